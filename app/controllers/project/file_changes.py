"""Files that change on disk while the project is open: images that come, go or are replaced, masks that others write.

Nothing of the user is lost: strokes are on disk before an image is read again, and images in use are never forgotten. What was
unusual when a file was read (scaled, left out) is shown in the status line and once in the messages.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from PySide6.QtCore import QFileSystemWatcher, QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication

from app.controllers.annotate.edit import EditController
from app.services.allocator import collection_paused
from app.services.autosave import SaveState
from app.services.notifications import Choice
from app.services.services import Services
from app.services.session import OpenImage, Unreadable
from app.services.timers import single_shot
from app.state.folder_scan import ScanReport, survey
from app.state.ground_truth import GroundTruth
from app.state.project import Project
from app.state.samples import truth_path
from app.text import displayed, joined, plural, sentence, tr
from deeplab_core.errors import AtrousError, join_messages, message
from deeplab_core.notes import Note, note_text

#: Most folders that are watched; the rest is looked at when the window becomes active. Systems bound this, some at 256 files.
MOST_FOLDERS = 128
#: Quiet time after the last event before it is passed on, in milliseconds: a file that is being copied sends many.
QUIET_MS = 700


class FolderWatcher(QObject):
    """Watches some folders and a few files.

    Signals:
        stirred(): something in a folder came, went or was renamed, or the window is active again.
        touched(): a watched file was written, replaced or removed, or any of the above.
    """

    stirred = Signal()
    touched = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._watcher = QFileSystemWatcher(self)
        self._files: frozenset[str] = frozenset()
        self._stir = single_shot(self, QUIET_MS, self.stirred.emit)
        self._touch = single_shot(self, QUIET_MS, self.touched.emit)
        self._watcher.directoryChanged.connect(self._on_folder)
        self._watcher.fileChanged.connect(self._on_file)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.applicationStateChanged.connect(self._on_state)

    def watch_folders(self, folders: Iterable[Path]) -> None:
        """Watch these folders from now on, the first :data:`MOST_FOLDERS` of them, and no others."""
        wanted = [str(folder) for _, folder in zip(range(MOST_FOLDERS), folders, strict=False)]
        gone = sorted(set(self._watcher.directories()) - set(wanted))
        new = [folder for folder in wanted if folder not in set(self._watcher.directories())]
        if gone:
            self._watcher.removePaths(gone)
        if new:
            self._watcher.addPaths(new)  # what cannot be watched is looked at when the window becomes active

    def watch_files(self, files: Iterable[Path]) -> None:
        """Watch these files from now on, and no others."""
        self._files = frozenset(str(path) for path in files)
        gone = sorted(set(self._watcher.files()) - self._files)
        if gone:
            self._watcher.removePaths(gone)
        self._add_files()

    def _add_files(self) -> None:
        """A file that was replaced is a new one to the system; one that is gone cannot be watched until it is back."""
        watched = set(self._watcher.files())
        missing = [path for path in sorted(self._files) if path not in watched and _exists(path)]
        if missing:
            self._watcher.addPaths(missing)

    def _on_folder(self, _folder: str) -> None:
        self._add_files()
        self._stir.start()
        self._touch.start()

    def _on_file(self, _path: str) -> None:
        self._add_files()
        self._touch.start()

    def _on_state(self, state: Qt.ApplicationState) -> None:
        if state is Qt.ApplicationState.ApplicationActive:
            self._add_files()
            self._stir.start()
            self._touch.start()


def _exists(path: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return Path(path).exists()
    return False


#: Shortest pause between two looks at a folder, in seconds, and as a multiple of the time that the last one took.
_PAUSE, _SHARE = 2.0, 10.0
#: How long a look is put off while a stroke is painted or a job works on the folder, in milliseconds.
_LATER_MS = 1000

_Stat = tuple[int, int, int] | None


class FileChanges(QObject):
    """Looks at the folder when the watch fires, and at the file and mask of the image in view."""

    def __init__(
        self,
        services: Services,
        edit: EditController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._edit = services.session, edit
        self._jobs, self._notifier = services.jobs, services.notifier
        self.watch = FolderWatcher(self)
        self._seen: int | None = None  # what the folder held at the last look
        self._looking = self._again = False
        self._not_before = 0.0
        self._file: Path | None = None
        self._file_stat: _Stat = None
        self._mask: Path | None = None
        self._mask_stat: _Stat = None
        self._later = single_shot(self, _LATER_MS, self.check)
        self._settled = single_shot(self, _LATER_MS, self._check_view)
        self._truth_state: int | None = None  # of the files of the ground truth at the last look
        self._truth_folders: Mapping[Path, _Stat] = {}  # of its folders, kept while it is read again: more may come meanwhile
        self._truth_written = False  # the file of the image in view
        self._truth_file: Path | None = None
        self._truth_stat: _Stat = None
        self._truth_later = single_shot(self, _LATER_MS, self._check_truth)
        self.watch.stirred.connect(self._truth_later.start)
        services.session.truthTaken.connect(self._follow_truth)
        self.watch.stirred.connect(self.check)
        self.watch.touched.connect(self._check_view)
        services.session.projectChanged.connect(self._follow_project)
        services.session.imageChanged.connect(self._follow_image)
        services.session.unreadableShown.connect(self._follow_unreadable)
        services.session.listChanged.connect(self._watch_folders)

    # -- the folder ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Compare the folder with the project, in the background, and take over what is new."""
        project, saver = self._session.project, self._session.autosaver
        if project is None or saver is None:
            return
        if self._looking:
            self._again = True  # what stirs may have come behind the look
            return
        busy = self._edit.busy or self._jobs.running or saver.error is not None
        if busy or time.monotonic() < self._not_before:
            self._later.start()
            return
        self._looking = True
        self._keep_key(project)
        seen, in_use, began = self._seen, self._session.ids_in_use(), time.monotonic()

        def work() -> tuple[int, ScanReport | None]:
            from deeplab_core.datasets.find import listing_state

            state = listing_state(project.folder)
            if state == seen or (seen is None and survey(project.folder)[0] == _known(project)):
                return state, None
            with collection_paused():
                return state, _only_counted(project) if project.read_only else project.rescan(in_use)

        def over() -> None:
            self._looking, again, self._again = False, self._again, False
            if again:
                self._later.start()
            took = time.monotonic() - began
            self._not_before = time.monotonic() + max(_PAUSE, _SHARE * took)

        def done(result: tuple[int, ScanReport | None]) -> None:
            over()
            if project is self._session.project:
                self._seen = result[0]
                if result[1] is not None:
                    self._take(project, result[1])

        def failed(error: Exception) -> None:
            over()
            self._notifier.report_or_raise(error, replace_key="scan")

        self._jobs.run(work, done, failed)

    def _take(self, project: Project, report: ScanReport) -> None:
        text = changes_text(report)
        if project.read_only:
            if text:
                why = tr("The project is open for reading only; its list stays as it is.")
                self._notifier.info(tr("The folder has changed"), f"{text} {why}", replace_key="scan")
            return
        self._session.listChanged.emit()
        if text:
            self._notifier.info(tr("The folder has changed"), text, replace_key="scan")
        nothing_shown = self._session.image is None and self._session.unreadable is None
        if nothing_shown and project.images:
            self._session.open_image(project.images[0].id, iter([record.id for record in project.images[1:]]))
        self._check_view()

    def _follow_project(self, _project: Project | None) -> None:
        self._seen, self._looking, self._again, self._not_before = None, False, False, 0.0
        if self._session.autosaver is not None:
            self._session.autosaver.saved.connect(self._follow_saved)
        self._truth_folders = {}
        self._follow_truth()

    def _watch_folders(self) -> None:
        project = self._session.project
        self.watch.watch_folders(() if project is None else _folders(project))

    # -- the ground truth ------------------------------------------------------------------------------------------------

    def _follow_truth(self) -> None:
        """Another project or other ground truth: remember how its files are now."""
        self._truth_state, self._truth_written = None, False
        self._watch_folders()
        self._keep_mask()
        self._truth_later.start()

    def _check_truth(self) -> None:
        """Look in the background whether files of the ground truth were written, came or went."""
        project = self._session.project
        if project is None:
            return
        truth = project.ground_truth
        if truth.choice is None or not truth.choice.folders:
            return
        if self._truth_state is not None and (self._edit.busy or self._jobs.running):
            self._truth_later.start()
            return

        def done(found: tuple[Mapping[Path, _Stat], int]) -> None:
            if project is not self._session.project or truth is not project.ground_truth:
                return
            folders, state = found
            written = self._truth_written or self._truth_state not in (None, state)
            stirred = any(self._truth_folders.get(path, stat) != stat for path, stat in folders.items())
            self._truth_state, self._truth_folders, self._truth_written = state, folders, False
            if written or stirred:
                self._session.truthStale.emit(written)

        self._jobs.run(lambda: _truth_state(truth), done, self._notifier.report_or_raise)

    # -- the image in view -----------------------------------------------------------------------------------------------

    def _follow_image(self, image: OpenImage | None) -> None:
        self._keep(None if image is None else image.path)

    def _follow_unreadable(self, found: Unreadable) -> None:
        project = self._session.project
        if project is not None:
            self._keep(project.path_of(project.record(found.id)))

    def _keep(self, path: Path | None) -> None:
        self._file, self._file_stat = path, _stat(path)
        self._keep_mask()

    def _keep_mask(self) -> None:
        project, image = self._session.project, self._session.image
        mask = project.record(image.id).mask if project is not None and image is not None else ""
        self._mask = project.directory / mask if project is not None and mask else None
        self._mask_stat = _stat(self._mask)
        self._truth_file = None if project is None or image is None else truth_path(project, image.id)
        self._truth_stat = _stat(self._truth_file)
        self.watch.watch_files(path for path in (self._file, self._mask, self._truth_file) if path is not None)

    def _follow_saved(self, image: int) -> None:
        """The window wrote a mask itself."""
        if self._session.image is not None and self._session.image.id == image:
            self._keep_mask()

    def _check_view(self) -> None:
        project, saver, path = self._session.project, self._session.autosaver, self._file
        if project is None or saver is None or path is None:
            return
        now = _stat(path)
        if now != self._file_stat:
            if self._edit.busy or self._jobs.running:
                self._settled.start()
                return
            self._keep_key(project)
            self._file_stat = now
            self._follow_file(path, now)
            return
        if _stat(self._truth_file) != self._truth_stat:
            self._truth_stat, self._truth_written = _stat(self._truth_file), True
            self._truth_later.start()
        if self._mask is None or _stat(self._mask) == self._mask_stat:
            return
        if saver.state is SaveState.SAVED:
            self._mask_stat = _stat(self._mask)
            self._say_mask()
        else:  # perhaps the window itself is writing it
            self._settled.start()

    def _follow_file(self, path: Path, now: _Stat) -> None:
        shown = self._session.unreadable
        if now is None:
            if shown is None:
                detail = tr("It is shown from memory. Your mask is kept and belongs to the image again when the file is back.")
                self._notifier.warning(tr("{name} is missing", name=path.name), detail, replace_key="view changed")
        elif shown is not None:
            self._session.open_image(shown.id)
        else:
            detail = joined(" ", filter(None, (tr("It was reloaded."), self._what_to_check())))
            self._notifier.warning(tr("{name} has changed on disk", name=path.name), detail, replace_key="view changed")
            self._session.reload_image()

    def _what_to_check(self) -> str:
        """What the user has to look at when the image is another one; nothing while it has no mask."""
        image, project = self._session.image, self._session.project
        if image is None or project is None or (image.document.labels == image.document.catalog.ignore).all():
            return ""
        if project.record(image.id).touched:
            return tr("Your strokes are kept; check whether the mask still fits.")
        return tr("Check whether the mask still fits.")

    def _keep_key(self, project: Project) -> None:
        """Before anything takes the new file for the one that was worked on: remember what that was."""
        image = self._session.image
        if image is not None and _stat(image.path) != self._file_stat:
            with contextlib.suppress(AtrousError):  # a full disk; the autosaver reports it
                project.keep_key(image.id, image.key)

    def _say_mask(self) -> None:
        image = self._session.image
        if image is None:
            return
        self._notifier.warning(
            tr("Another program changed the mask file of {name}", name=displayed(image.path.name)),
            tr("Your own mask and its steps are kept and shown. Read the file to see its content."),
            replace_key="view changed",
            choices=(Choice(tr("Read the file"), self._session.reload_image), Choice(tr("Keep my mask"), self._write_mine)),
        )

    def _write_mine(self) -> None:
        """Write the mask in view again; a file that is not Atrous's own is set aside by that."""
        image, saver = self._session.image, self._session.autosaver
        if image is not None and saver is not None:
            saver.save_again([image.id])


def changes_text(report: ScanReport) -> str:
    """What a look at the folder found, in sentences; empty if nothing needs to be said."""
    counts = []
    if report.added:
        counts.append(plural("{n} image was added.", "{n} images were added.", report.added))
    if report.removed:
        counts.append(plural("{n} image was removed.", "{n} images were removed.", report.removed))
    return tr(join_messages((*counts, *report.sentences())))


def _only_counted(project: Project) -> ScanReport:
    """What has changed in the folder of a project that cannot take it over."""
    found, known = survey(project.folder)[0], _known(project)
    return ScanReport(
        added=len(found.keys() - known.keys()),
        removed=len(known.keys() - found.keys()),
        changed=tuple(sorted(path for path in known.keys() & found.keys() if known[path] != found[path])),
    )


def _truth_state(truth: GroundTruth) -> tuple[dict[Path, _Stat], int]:
    """How the folders of the ground truth are, and a number that changes with its files."""
    folders = {path: _stat(path) for path in _truth_folders(truth)}
    return folders, hash(frozenset((path, _stat(path)) for path in truth.files.values()))


def _truth_folders(truth: GroundTruth) -> set[Path]:
    return {*(() if truth.choice is None else truth.choice.folders), *(path.parent for path in truth.files.values())}


def _known(project: Project) -> dict[str, tuple[int, int]]:
    """What the project knows of the files that are there, as :func:`survey` returns it."""
    return {record.relative_path: (record.size, record.mtime_ns) for record in project.images if not record.missing}


def _folders(project: Project) -> Iterator[Path]:
    """The folder itself and those below it that hold images, from the top."""
    parents = {record.relative_path.rpartition("/")[0] for record in project.images}  # strings: there may be 100,000
    yield project.folder
    for parent in sorted(parents, key=lambda path: (path.count("/"), path)):
        if parent:
            yield project.folder / parent
    yield from sorted(_truth_folders(project.ground_truth))


def _stat(path: Path | None) -> _Stat:
    """(inode, size in bytes, mtime in ns) of a file; None if it is gone."""
    if path is None:
        return None
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class FileNotes(QObject):
    """Follows the image in view.

    A fact that many images of a folder share is said once in the messages; the status line shows it for every image.

    Signals:
        changed(str, bool): the notes of the image in view, empty without any, and whether one is a warning.
    """

    changed = Signal(str, bool)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._notifier = services.notifier
        self._reported: set[tuple[str, str]] = set()
        services.session.projectChanged.connect(lambda _project: self._reported.clear())
        services.session.imageChanged.connect(self._follow)

    def report(self, name: str, thing: str, notes: tuple[Note, ...]) -> None:
        """Say the notes of a file in the messages, each kind of note once in a project.

        Args:
            name: of the file.
            thing: what it is: ``"image"``, ``"ground truth"``.
            notes: of the file.
        """
        for note in notes:
            if (thing, note.summary) in self._reported:
                continue
            self._reported.add((thing, note.summary))
            say = self._notifier.warning if note.warning else self._notifier.info
            said = message("image") if thing == "image" else message("ground truth")
            title = tr("{name}: this {thing} {summary}", name=name, thing=said, summary=note.summary)
            detail = tr("{sentence} This is not repeated for other files.", sentence=sentence(note.text))
            say(title, detail, replace_key=f"{thing} {note.kind}")

    def _follow(self, image: OpenImage | None) -> None:
        notes = () if image is None else image.notes
        text = tr(note_text(notes))
        self.changed.emit(f"{text[:1].upper()}{text[1:]}", any(note.warning for note in notes))
        if image is not None:
            self.report(displayed(image.path.name), "image", notes)

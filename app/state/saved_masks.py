"""Loading and saving the labels of a project's images: mask files plus the journal behind them."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.image_record import ImageFlag, ImageRecord
from app.state.journal import DamagedStep, Journal, JournalStep, damage_texts
from app.state.layout import MASKS, mask_names
from app.state.mask_file import MaskContent, MaskNote, UnknownClasses, read_mask_file, read_note, write_mask_file
from app.state.own_files import contained
from app.state.patch import WrongSize
from app.state.provenance import reclassified
from app.state.schema import WITH_RECLASSIFIED
from app.state.store import Store, set_aside
from app.state.stored_text import stored_text
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import ProjectError, StorageError, join_messages, message
from deeplab_core.labels import LabelMap
from deeplab_core.wording import clause

#: So begins the note of an image of which pixels were lost: saving its mask again does not make them good.
_LOST = message("Pixels were lost.")

#: What the window offers for an image with a refused mask; the remedies name it.
START_OVER, USE_MASK = message("Start this image over"), message("Use this mask as it is")


class MaskRefused(ProjectError):
    """The labels of an image cannot be put together from its mask file and its journal. The user decides.

    Attributes:
        usable: whether the file itself is sound, so that it can be taken as it is (``Project.take_mask``).
    """

    def __init__(self, what: str, *, why: str, usable: bool, path: str, lacks: str = message("right file")) -> None:
        one, both = message("'{choice}'", choice=START_OVER), message("'{one}' or '{other}'", one=START_OVER, other=USE_MASK)
        remedy = message(
            "Put the {lacks} back, or open the image in the window and choose {choices} there; the mask file is kept",
            lacks=lacks, choices=both if usable else one,
        )  # fmt: skip
        super().__init__(what, why=why, remedy=remedy, path=path)
        self.usable = usable


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image's labels as they were left.

    Attributes:
        document: labels and provenance; blank for an image that was never worked on.
        steps: what can be undone and redone, oldest first.
        move: number of the last journal move that the document contains.
        saved: whether the mask file contains all of it; also if there is nothing to save yet.
        notice: what was found damaged and how it was repaired, in words; empty for most.
    """

    document: Document
    steps: tuple[JournalStep, ...]
    move: int
    saved: bool
    notice: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """The database's record of an image's mask: its name, empty before the first save, and where the journal begins."""

    mask: str
    base: int


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why a mask file is not used.

    Attributes:
        why: in words, a sentence without a full stop.
        path: the file; None where its name may not be followed.
        sound: it can be read, but is not the mask of this image or this state.
    """

    why: str
    path: Path | None = None
    sound: bool = False


class SavedMasks:
    """Mask files of one project, each with the number of the last move it contains."""

    def __init__(self, directory: Path, store: Store, journal: Journal) -> None:
        self._directory = directory
        self._store = store
        self._journal = journal
        self._seen: dict[int, tuple[int, int, int]] = {}  # by image: the file that was read or written last, see _signature

    # -- loading ---------------------------------------------------------------------------------------------------------

    def load(self, record: ImageRecord, shape: tuple[int, int], catalog: ClassCatalog) -> LoadedImage:
        """Labels of an image: its mask file and the moves behind it.

        Args:
            shape: (H, W) of the oriented image.

        Raises:
            MaskRefused: the mask has classes that the project does not know; or it is damaged, older than the journal or another
                image's, and the journal does not reach back to the beginning. Damaged files are set aside, never deleted; others
                stay where they are.
                The same where the labels were made for a picture of another size.
        """
        for last in (False, True):
            row = self._row(record)
            content, problem = self._content(row, record, shape, catalog)
            document = Document(content.labels, catalog, content.provenance) if content else Document.blank(shape, catalog)
            saved_move = content.note.move if content else 0
            try:
                move, damaged = self._journal.replay(document, record.id, saved_move)
            except WrongSize as error:
                raise _other_size(error, shape, record) from error
            # Another process may save and bound its journal while this one reads. What it drops, it drops together with
            # raising the base: looked at after the moves, the base tells whether any of them were gone already.
            now = self._row(record)
            stale = saved_move < now.base
            if last or not (stale or problem or now.mask != row.mask):
                break
        if problem is None and stale and content is not None:
            why = message(
                "It holds the state up to step {step} of the journal, which begins behind step {base}",
                step=saved_move,
                base=now.base,
            )
            raise MaskRefused(message("the mask file is older than the project"), why=why, usable=True, path=record.relative_path)
        notices = []
        if problem is not None:
            notices.append(self._without_mask(record, row, problem, rebuilt=now.base == 0))
        if stale:
            raise MaskRefused(
                message("the mask of this image cannot be used and its journal does not reach back to the beginning"),
                why=join_messages(notices) or record.note,
                usable=problem is not None and problem.sound,
                path=record.relative_path,
            )
        if content is not None:
            if not self._store.read_only and reclassified(content.provenance).any():
                self._store.demand_version(WITH_RECLASSIFIED)  # a database that was lost or restored may not know
            notices += self._other_content(record, content.note)
            if saved_move > self._journal.head(record.id):
                # A power cut took the end of the journal, but the mask had reached the disk: it is all that counts now.
                if not self._store.read_only:
                    self._journal.reset(record.id, saved_move)
                notices.append(message("Undo steps of this image were lost in a power cut."))
                return LoadedImage(document, (), saved_move, True, join_messages(notices))
        damaged += self._journal.unmoved(record.id, complete=now.base == 0)
        steps, unreadable = self._journal.read_steps(record.id, [step.seq for step in damaged], document)
        notices += self._set_steps_aside(record, damaged, unreadable)
        document.revision = 0
        return LoadedImage(document, tuple(steps), move, move == saved_move, join_messages(notices))

    def _row(self, record: ImageRecord) -> _Row:
        row = self._store.row("SELECT mask, journal_base FROM images WHERE id = ?", (record.id,), (str, int))
        if row is None:
            raise ProjectError(
                message("the project does not know this image"),
                remedy=message("Open the folder again"),
                path=record.relative_path,
            )
        return _Row(*row)

    def _content(
        self, row: _Row, record: ImageRecord, shape: tuple[int, int], catalog: ClassCatalog
    ) -> tuple[MaskContent | None, _Problem | None]:
        if not row.mask:
            return None, None
        try:
            path = contained(self._directory, row.mask, below=MASKS)
        except ProjectError as error:
            return None, _Problem(
                message("The project names a file that does not belong to it: {reason}; it was not touched", reason=error.why)
            )
        signature = _signature(path)
        if signature is None and row.base == 0 and not self._was_saved(record):
            return None, None  # the name was taken, but the program ended before the file was written
        try:
            content = read_mask_file(path, catalog, shape)
        except WrongSize as error:
            other = self._whose(read_note(path), record)
            if other:
                return None, _Problem(other, path, sound=True)
            raise _other_size(error, shape, record) from error
        except UnknownClasses as error:
            raise MaskRefused(
                error.what, why=error.why, usable=True, path=record.relative_path, lacks=message("newer database")
            ) from error
        except ProjectError as error:
            return None, _Problem(message("The saved mask was damaged: {reason}", reason=clause(error.why)), path)
        other = self._whose(content.note, record) or self._before_start_over(row, content.note, record)
        if other:
            return None, _Problem(other, path, sound=True)
        if signature is not None:
            self._seen[record.id] = signature
        return content, None

    def _was_saved(self, record: ImageRecord) -> bool:
        row = self._store.row("SELECT 1 FROM images WHERE id = ? AND mask_move > 0", (record.id,))
        return row is not None

    def _whose(self, note: MaskNote, record: ImageRecord) -> str:
        """Why a mask is another image's, in words; empty where it is this one's.

        An image that was renamed keeps its mask, which still carries the old name: then the content tells.
        """
        if _normal(note.image) == _normal(record.relative_path):
            return ""
        if note.content_key and note.content_key == record.content_key:
            return ""
        owner = self._store.row(
            "SELECT path FROM images WHERE id != ? AND (path = ? AND NOT ? OR content_key != '' AND content_key = ?)",
            (record.id, note.image.encode(errors="replace").decode(), record.changed, note.content_key),
        )
        if owner is not None:
            return message("The mask file in its place is that of {name}", name=owner[0])
        if note.content_key and record.content_key and not record.changed:
            return message("The mask file in its place was made for another image, '{name}'", name=note.image)
        return ""

    def _before_start_over(self, row: _Row, note: MaskNote, record: ImageRecord) -> str:
        """Why a mask belongs to labels that were given up, in words; empty for others.

        A journal that reaches back to the beginning knows every move that a mask of its own can hold. A power cut can bring an
        old file back if its new name had not reached the disk.
        """
        if row.base > 0 or not 0 < note.move <= self._journal.head(record.id):
            return ""
        if self._store.row("SELECT 1 FROM moves WHERE image = ? AND n = ?", (record.id, note.move)) is not None:
            return ""
        return message("The mask file in its place is from before this image was started again")

    def _other_content(self, record: ImageRecord, note: MaskNote) -> list[str]:
        """A mask that was made for other content of the same file is shown, and marked to be looked at."""
        if not note.content_key or not record.content_key or note.content_key == record.content_key or record.changed:
            return []
        accepted = self._store.row("SELECT key FROM results WHERE image = ? AND kind = ?", (record.id, ACCEPTED))
        if accepted is not None and accepted[0] == record.content_key:
            return []
        if not self._store.read_only:
            self._store.write("UPDATE images SET flags = flags | ? WHERE id = ?", (int(ImageFlag.CHANGED), record.id))
        return [message("The mask was made for other content of this image file; check whether it still fits.")]

    def _without_mask(self, record: ImageRecord, row: _Row, problem: _Problem, *, rebuilt: bool) -> str:
        """Go on without a mask file: set it aside unless it is sound and still needed. Returns the notice."""
        why, kept = message("{problem}.", problem=clause(problem.why)), ""
        outcome = message("Its labels were rebuilt from the journal.") if rebuilt else message("Its labels could not be rebuilt.")
        if not self._store.read_only and (rebuilt or not problem.sound):
            if problem.path is not None and os.path.lexists(problem.path) and not self._is_shared(record, row.mask):
                name = set_aside(problem.path, "kept" if problem.sound else "damaged").name
                sound = message("It is kept as {name}.", name=name)
                kept = sound if problem.sound else message("The damaged file is kept as {name}.", name=name)
            flag = int(ImageFlag.DAMAGED)
            self._store.write(
                "UPDATE images SET mask = '', flags = flags | ?, note = ? WHERE id = ?",
                (flag, stored_text(join_messages([why, outcome])), record.id),
            )
        return join_messages([why, kept, outcome if rebuilt else ""])

    def _set_steps_aside(self, record: ImageRecord, lost: list[DamagedStep], unreadable: list[DamagedStep]) -> list[str]:
        """Take damaged steps out of the history. Returns what to tell."""
        damaged = {step.seq: step for step in (*unreadable, *lost)}
        if not damaged:
            return []
        notices = damage_texts(list(damaged.values()), lost)
        if not self._store.read_only:
            for step in damaged.values():
                self._journal.retire(record.id, step.seq)
            if any(step.lost_tiles is None or step.lost_tiles for step in lost):
                self._store.write(
                    "UPDATE images SET flags = flags | ?, note = ? WHERE id = ?",
                    (int(ImageFlag.DAMAGED), stored_text(join_messages([_LOST, *notices])), record.id),
                )
        return notices

    # -- saving ----------------------------------------------------------------------------------------------------------

    def save(self, record: ImageRecord, labels: LabelMap, provenance: NDArray[np.uint8], move: int, catalog: ClassCatalog) -> str:
        """Write an image's mask file; returns what the user should know, empty for most.

        The order makes every crash harmless: the journal reaches the disk before the mask that contains it, and the database
        learns of the mask after it is in place; until then it merely believes an older number. A file that the journal does
        not account for - newer than its last move, another image's, another program's - is set aside first.

        Args:
            move: number of the last journal move that ``labels`` contain.

        Raises:
            StorageError: it cannot be written; the older mask file is as it was.
            ProjectError: the folder of the masks leads elsewhere.
        """
        with self._store.transaction():  # another thread may look for a free name at the same time
            name, path, notice = self._place(record)
        self._store.sync()
        write_mask_file(path, labels, provenance, catalog, MaskNote(move, record.relative_path, record.content_key))
        signature = _signature(path)
        if signature is not None:
            self._seen[record.id] = signature
        with self._store.transaction() as connection:
            connection.execute(
                "UPDATE images SET mask = ?, mask_move = max(mask_move, ?),"
                " flags = CASE WHEN substr(note, 1, ?) = ? THEN flags ELSE flags & ? END WHERE id = ?",
                (name, move, len(_LOST), _LOST, ~int(ImageFlag.DAMAGED), record.id),
            )
        return notice

    def _place(self, record: ImageRecord) -> tuple[str, Path, str]:
        """(name, path) where the mask is written, and what to tell of a file that stood there."""
        row = self._row(record)
        if row.mask:
            try:
                path = contained(self._directory, row.mask, below=MASKS)
            except ProjectError:
                return self._new_place(record)  # it was reported when the image was loaded; the file is not touched
            why = "" if self._seen.get(record.id) == _signature(path) else self._why_kept(path, record, row)
            if not why:
                return row.mask, path, ""
            if self._is_shared(record, row.mask):
                return self._new_place(record)
            return row.mask, path, message("{reason}. It is kept as {name}.", reason=why, name=set_aside(path, "kept").name)
        return self._new_place(record)

    def _new_place(self, record: ImageRecord) -> tuple[str, Path, str]:
        """A name that no image has. The database takes it first: a file of that name that it finds later is then not ours."""
        for name in mask_names(record.relative_path):
            if self._store.row("SELECT 1 FROM images WHERE mask = ?", (name,)):
                continue
            contained(self._directory, str(PurePosixPath(name).parent / "x"), below=MASKS)  # no link on the way
            try:
                path = contained(self._directory, name, below=MASKS)
                found = read_note(path) if os.path.lexists(path) else None
            except ProjectError:
                continue  # not one of ours, or damaged: it stays
            if found is not None and _normal(found.image) != _normal(record.relative_path):
                continue
            notice = ""
            if found is not None:
                notice = message(
                    "There was a mask of {name} that the project did not know. It is kept as {file}.",
                    name=record.relative_path,
                    file=set_aside(path, "kept").name,
                )
            self._store.write("UPDATE images SET mask = ? WHERE id = ?", (name, record.id))
            return name, path, notice
        raise StorageError(
            message("there is no free name for the mask file"), remedy=message("Tidy the folder 'masks' of the project")
        )

    def _why_kept(self, path: Path, record: ImageRecord, row: _Row) -> str:
        """Why the file in the mask's place must not be replaced, in words; empty where it may."""
        if not os.path.lexists(path):
            return ""
        try:
            note = read_note(path)
        except ProjectError as error:
            return message(
                "The mask file of {name} was changed or damaged in the meantime: {reason}",
                name=record.relative_path,
                reason=error.why,
            )
        other = self._whose(note, record)
        if other:
            return other
        if note.move > self._journal.head(record.id):
            return message("The mask file of {name} is newer than what the project's database knows", name=record.relative_path)
        if note.move < row.base:
            return message("The mask file of {name} was replaced by an older one in the meantime", name=record.relative_path)
        return ""

    def _is_shared(self, record: ImageRecord, name: str) -> bool:
        """Whether another image claims the same file, which only a damaged database can say."""
        return self._store.row("SELECT 1 FROM images WHERE mask = ? AND id != ?", (name, record.id)) is not None

    # -- decisions of the user -------------------------------------------------------------------------------------------

    def start_over(self, record: ImageRecord, also: Callable[[int], None] = lambda _image: None) -> None:
        """Forget the labels and steps of an image. Its mask file is set aside, not deleted.

        Args:
            also: what else the database forgets of the image, in the same transaction.

        The database first, flushed, then the file: whatever stops the program in between leaves a file that the database does
        not know, and the next save sets it aside.
        """
        row = self._row(record)
        shared = self._is_shared(record, row.mask)
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM moves WHERE image = ?", (record.id,))
            connection.execute("DELETE FROM steps WHERE image = ?", (record.id,))
            connection.execute(
                "UPDATE images SET mask = '', mask_move = 0, journal_base = 0, status = 0, flags = flags & ?, note = ''"
                " WHERE id = ?",
                (int(ImageFlag.MISSING), record.id),
            )
            also(record.id)
        self._seen.pop(record.id, None)
        # Names that lead elsewhere are left alone, and a file that cannot be renamed now is set aside by the next save.
        with contextlib.suppress(ProjectError, StorageError):
            if row.mask and not shared:
                self._store.sync()
                path = contained(self._directory, row.mask, below=MASKS)
                if path.exists():
                    set_aside(path)

    def unknown_classes(self, record: ImageRecord, shape: tuple[int, int], catalog: ClassCatalog) -> tuple[ClassInfo, ...]:
        """Classes of an image's mask file that ``catalog`` lacks. Errors are those of :meth:`take_as_it_is`."""
        try:
            read_mask_file(contained(self._directory, self._row(record).mask, below=MASKS), catalog, shape)
        except UnknownClasses as error:
            return error.classes
        except WrongSize as error:
            raise _other_size(error, shape, record) from error
        return ()

    def take_as_it_is(
        self,
        record: ImageRecord,
        shape: tuple[int, int],
        catalog: ClassCatalog,
        also: Callable[[int], None] = lambda _image: None,
    ) -> None:
        """Make the mask file the labels of its image, whatever the journal says; undo steps of the image are forgotten.

        Args:
            also: as for :meth:`start_over`.

        Raises:
            ProjectError: it cannot be read, or is of another size.
        """
        row = self._row(record)
        path = contained(self._directory, row.mask, below=MASKS)
        try:
            content = read_mask_file(path, catalog, shape)
        except WrongSize as error:
            raise _other_size(error, shape, record) from error
        move = max(self._journal.head(record.id), content.note.move, 1)
        # The database first: should the program end in between, the file is older than the journal's base, and refused again.
        with self._store.transaction():
            self._journal.reset(record.id, move)
            also(record.id)
        self._store.sync()
        write_mask_file(
            path, content.labels, content.provenance, catalog, MaskNote(move, record.relative_path, record.content_key)
        )


#: Kind of the result that says for which content of an image its mask was accepted, see ``Project.accept_change``.
ACCEPTED = "accepted content"


def oriented_shape(image: Path) -> tuple[int, int]:
    """(H, W) of an image file as it is shown, from its header. Raises ImageReadError."""
    from deeplab_core.images.probe import probe_image

    width, height = probe_image(image).size
    return height, width


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Tells a file from every other that may take its place: inode, time of change in ns, bytes. None without a file."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _normal(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _other_size(error: WrongSize, shape: tuple[int, int], record: ImageRecord) -> MaskRefused:
    height, width = error.size
    return MaskRefused(
        message(
            "the labels are {width} x {height} px, but the image is {image_width} x {image_height}",
            width=width,
            height=height,
            image_width=shape[1],
            image_height=shape[0],
        ),
        why=message("The image file was replaced by one of another size"),
        usable=False,
        path=record.relative_path,
        lacks=message("old image file"),
    )

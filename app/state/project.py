"""A project: a folder of images and everything Atrous knows about them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.signal import Signal
from app.state.activity import ActivityLog
from app.state.adopt import forget_gone_masks, with_classes
from app.state.backups import Upkeep
from app.state.class_edits import ClassEdit, ClassEdits
from app.state.class_pixels import PixelCounts
from app.state.folder_scan import ScanReport, stat_images, survey, unheard
from app.state.ground_truth import GroundTruth
from app.state.image_record import (
    LATER_ROWS,
    RECORD_COLUMNS,
    RECORD_KINDS,
    ImageFlag,
    ImageRecord,
    ImageStatus,
    later_notice,
    records_from_rows,
)  # fmt: skip
from app.state.journal import LOG_BYTES, Journal, JournalStep
from app.state.kept_predictions import KeptPredictions
from app.state.locks import SETTING as LOCKS
from app.state.locks import Locks, known_ids
from app.state.opening import DEFAULT_CATALOG, Opened, meet_folder, open_directory, repaired, write_directory_again
from app.state.patch import TilePatch
from app.state.predictions import PredictionCache
from app.state.project_values import ProjectValues
from app.state.provenance import Provenance
from app.state.rebuild import refill
from app.state.record_list import RecordList
from app.state.reviews import Reviews
from app.state.runs import ProjectRuns
from app.state.saved_masks import ACCEPTED, LoadedImage, MaskRefused, SavedMasks, oriented_shape
from app.state.schema import WITH_RECLASSIFIED
from app.state.stored_text import stored_text
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.catalogs.editing import CatalogEdit
from deeplab_core.errors import AtrousError, ImageReadError, MessageText
from deeplab_core.labels import LabelMap
from deeplab_core.records import Prediction

__all__ = ["DEFAULT_CATALOG", "ImageFlag", "ImageRecord", "ImageStatus", "LoadedImage", "MaskRefused", "Project", "ScanReport"]


class Project(ProjectValues):
    """An open project. Use :meth:`open`; close it, or use it as a context manager.

    Records are replaced, never changed; listeners hear of a replaced record on the thread that replaced it. Everything else
    may be called from any thread.

    Attributes:
        folder: the images' folder.
        directory: where the project's data lies.
        read_only_reason: why nothing can be written, in words; None if it can.
        repairs: what was found damaged or lost when opening and what was done about it, in words; empty for most.
        later: which images a later version gave a status that this one does not know, in words.
        notices: these, the repairs, and what has happened to the images since the last visit.
        report: what happened to the folder's files since the last visit.
        ground_truth: which ground truth belongs to the images; empty until it was looked for.
        journal, predictions, kept_predictions, runs, class_edits, reviews, activity: the project's further parts.
    """

    def __init__(self, folder: Path, opened: Opened, catalog: ClassCatalog, files: dict[str, tuple[int, int]]) -> None:
        self.folder = folder
        self.directory = opened.directory
        self.read_only_reason = opened.read_only_reason
        self._records = RecordList(opened.store, files)
        self.report = ScanReport() if self.read_only else self._records.follow(files, folder)
        self.repairs = tuple(opened.notices)
        self.later = later_notice(opened.store.rows(LATER_ROWS, (), (str, int)))
        self.notices = (*self.repairs, *self.later, *self.report.sentences())
        self._store = opened.store
        self._lock = opened.lock
        self._catalog = catalog
        self.record_changed: Signal[ImageRecord] = Signal()  # of every record that was replaced
        self._locks = Locks(known_ids(self.setting(LOCKS), catalog.ids.tolist()))
        self.ground_truth = GroundTruth()
        self.journal = Journal(opened.store)
        self.runs = ProjectRuns(opened.store)
        self.predictions = PredictionCache(self.directory / "predictions", read_only=self.read_only)
        self.kept_predictions = KeptPredictions(self.predictions, self._update, self._has_labels, read_only=self.read_only)
        self._masks = SavedMasks(self.directory, opened.store, self.journal)
        self.class_edits = ClassEdits(opened.store, self.journal)
        self.reviews = Reviews(self, self._update, self.record)
        self.activity = ActivityLog(self)
        self._upkeep = Upkeep(opened.store, self.directory)

    @staticmethod
    def open(
        folder: str | Path,
        project_dir: str | Path | None = None,
        *,
        catalog: ClassCatalog | None = None,
        read_only: bool = False,
    ) -> Project:
        """Open a folder of images; its project data is created if it is missing.

        Args:
            project_dir: where the project's data lies; None means ``<folder>/.atrous``.
            catalog: classes of a new project; an existing one keeps its own.
            read_only: write nothing. A project that another process holds is opened so in any case.

        Raises:
            ImageReadError: the folder cannot be read.
            StorageError: there is no project yet and none can be created; the remedy names ``--project``.
            ProjectError: of a newer version, of another folder, or damaged beyond repair.
        """
        folder = Path(folder).absolute()
        found, left_out = survey(folder)
        opened = open_directory(folder, None if project_dir is None else Path(project_dir).absolute(), read_only=read_only)
        try:
            project = repaired(opened, lambda: Project(folder, opened, meet_folder(folder, opened, catalog), found))
            project.notices += unheard(opened.store, left_out)
            return project
        except BaseException:
            opened.store.close()
            if opened.lock is not None:
                opened.lock.release()
            raise

    def close(self) -> None:
        """Close the database and give the lock back. Call the autosaver's flush before."""
        self.stop_upkeep()
        self._store.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- images ----------------------------------------------------------------------------------------------------------

    @property
    def images(self) -> Sequence[ImageRecord]:
        """Records in natural order of their paths; images that are gone but have work on them are among them."""
        return self._records.all

    def record(self, image: int) -> ImageRecord:
        """The record with this id. Raises KeyError if it is missing."""
        return self._records.of(image)

    def index_of(self, image: int) -> int:
        """Place of a record in :attr:`images` by its id. Raises KeyError if it is missing."""
        return self._records.place(image)

    def path_of(self, record: ImageRecord) -> Path:
        """The image file."""
        return self.folder / record.relative_path

    def rescan(self, in_use: Collection[int] = ()) -> ScanReport:
        """Look at the folder again: new, moved, changed and missing images. Those ``in_use`` are never forgotten."""
        found, left_out = survey(self.folder)
        if self.read_only:
            return self.report
        report = self._records.follow(found, self.folder, in_use)
        self.report = replace(report, left_out=unheard(self._store, left_out))
        return self.report

    def set_status(self, image: int, status: ImageStatus) -> ImageRecord:
        """Say how far the work on an image has come; one that is marked as reviewed is not rejected any more."""
        flags = self.record(image).flags
        return self._update(
            image, status=status, flags=flags.without(ImageFlag.REJECTED) if status is ImageStatus.REVIEWED else flags
        )

    def set_failed(self, image: int, why: str) -> ImageRecord:
        """Note that a run or opening failed; an empty text takes it back."""
        flags = self.record(image).flags
        return self._update(image, flags=flags | ImageFlag.FAILED if why else flags.without(ImageFlag.FAILED), note=why)

    def accept_change(self, image: int) -> ImageRecord:
        """The user has checked an image that was changed or damaged: take the flags back."""
        record = self.record(image)
        if record.content_key:
            self.put_result(image, ACCEPTED, record.content_key, b"")
        flags = record.flags.without(ImageFlag.CHANGED | ImageFlag.DAMAGED)
        return self._update(image, flags=flags, note="")

    def keep_key(self, image: int, key: str) -> None:
        """Remember the content of an image that is in use, unless it is known: its file holds something else by now."""
        if not self.read_only and not self.record(image).content_key:
            self._update(image, content_key=key)

    def content_key(self, image: int) -> str:
        """Content key of an image, computed where it is not known or the file's time has changed.

        Reads the whole file. Where the content is another than the one worked on, the record is flagged CHANGED.

        Raises:
            ImageReadError: the file is gone or cannot be read.
        """
        from deeplab_core.images.identity import content_key

        record = self.record(image)
        path = self.path_of(record)
        stat = stat_images(self.folder, [record.relative_path]).get(record.relative_path)
        if record.content_key and stat == (record.size, record.mtime_ns):
            return record.content_key
        key = content_key(path)
        if stat is None or self.read_only:
            return key
        flags = record.flags
        if record.content_key and record.content_key != key and record.touched:
            flags |= ImageFlag.CHANGED
        self._update(image, content_key=key, size=stat[0], mtime_ns=stat[1], flags=flags)
        return key

    # -- labels ----------------------------------------------------------------------------------------------------------

    def load(self, image: int, shape: tuple[int, int] | None = None) -> LoadedImage:
        """Labels and undo steps of an image, as they were when the last step was done.

        Args:
            shape: (H, W) of the oriented image; None reads the file's header.

        Raises:
            MaskRefused: the mask is damaged beyond repair, older than the journal, another image's, or of another size.
            ImageReadError: the image's header cannot be read.
        """
        record = self.record(image)
        shape = shape or oriented_shape(self.path_of(record))
        if record.content_key and not record.missing:
            self.content_key(image)
        try:
            found = self.class_edits.follow(image, lambda all_: self._masks.load(self.record(image), shape, all_), self._catalog)
            found.document.locks = self._locks
            return found
        finally:
            self._refresh(image)

    def append_step(self, image: int, title: MessageText, source: Provenance, patch: TilePatch) -> JournalStep:
        """Record a step that was just done, and that the image was worked on. On disk when this returns.

        Raises:
            StorageError: it could not be recorded; nothing was changed.
            ProjectLocked: the project is read-only.
        """
        self.check_writable()
        status = ImageStatus.PREDICTED if source in (Provenance.MODEL, Provenance.CRF) else ImageStatus.TOUCHED
        record = self.record(image)
        with self._store.transaction(record.relative_path):
            # Only the user reclassifies, and the tiles of a stroke need not be looked into twice.
            fresh = source is Provenance.USER and self._store.version < WITH_RECLASSIFIED
            if fresh and patch.gives(Provenance.RECLASSIFIED):
                self._store.demand_version(WITH_RECLASSIFIED)
            step = self.journal.append(image, title, source, patch)
            if record.status < status:
                self._store.write("UPDATE images SET status = ? WHERE id = ?", (status, image))
        if record.status < status:
            self._replace(record._replace(status=status))
        return step

    def save_mask(self, image: int, labels: LabelMap, provenance: NDArray[np.uint8], move: int) -> str:
        """Write an image's mask file, which contains the journal up to ``move``. Takes long: meant for another thread.

        Returns:
            What the user should know, e.g. that a file in its place was set aside; empty for most.

        Raises:
            StorageError: it cannot be written; an older mask file is as it was.
            ProjectLocked: the project is read-only.
        """
        self.check_writable()
        record = self.record(image)
        if not record.content_key and not record.missing:
            from deeplab_core.images.identity import content_key

            with suppress(ImageReadError):  # the mask is worth saving without it
                record = record._replace(content_key=content_key(self.path_of(record)))
                self._store.write("UPDATE images SET content_key = ? WHERE id = ?", (record.content_key, image))
        notice = self._masks.save(record, labels, provenance, move, self._catalog)
        self._refresh(image, tell=False)
        return notice

    def take_mask(self, image: int) -> ImageRecord:
        """Make the mask file of an image its labels, whatever the journal says (:class:`MaskRefused`); its steps are forgotten.

        Classes of the mask that the project does not know are added to its own: the database is older than the mask.

        Raises:
            ProjectError: the file cannot be used either, or the project is read-only.
        """
        self.check_writable()
        record = self.record(image)
        shape = oriented_shape(self.path_of(record))
        unknown = self._masks.unknown_classes(record, shape, self.class_edits.reading_catalog(self._catalog))
        if unknown:
            self.set_catalog(with_classes(self._catalog, unknown))
        catalog = self.class_edits.reading_catalog(self._catalog)
        self._masks.take_as_it_is(record, shape, catalog, self.class_edits.forget)
        return self.accept_change(image)

    def start_over(self, image: int) -> ImageRecord:
        """Forget labels and steps of an image; its mask file is set aside, never deleted."""
        self.check_writable()
        self._masks.start_over(self.record(image), self.class_edits.forget)
        return self._refresh(image)

    def labelled(self) -> set[int]:
        """Ids of the images that have a mask or steps, from any source."""
        rows = self._store.rows("SELECT id FROM images WHERE mask != '' UNION SELECT image FROM steps")
        return {image for (image,) in rows}

    def sync(self) -> None:
        """Make what was recorded survive a power cut too, and fold a large log. Waits for the disk: meant for another thread."""
        if not self.read_only and self._store.sync() > LOG_BYTES:
            self._store.checkpoint()

    def tidy(self, journal_bytes: int) -> None:
        """Idle work: bound the journal, fold the database's log, and on a new day what :meth:`upkeep` does.

        Waits for the disk: meant for another thread.
        """
        if not self.read_only:
            self.journal.prune(journal_bytes)
            self._store.checkpoint()
            self._upkeep.daily(quietly=True)

    def upkeep(self) -> None:
        """Once a day: sweep temporary files of killed programs, copy the database, check it. Takes long: for another thread.

        Raises:
            ProjectError: the database is damaged; opening the folder again sets it aside and rebuilds it.
            StorageError: no copy could be written.
        """
        if not self.read_only:
            self._upkeep.daily()

    def stop_upkeep(self) -> None:
        """The project is about to be closed: end :meth:`upkeep` in another thread soon."""
        self._upkeep.stop()

    def write_again(self, in_memory: Collection[int] = ()) -> tuple[str, ...]:
        """Write a project that was removed or replaced while it was open again, from what this process still holds.

        A file in its place is set aside. Mask files that are gone are rebuilt from the journal when their image is opened.
        If the database was cut and cannot be read any more, statuses come from memory and strokes from the newest daily copy.

        Args:
            in_memory: ids of images with documents that the caller has, and saves afterwards.

        Returns:
            Paths of other images with lost labels: the mask file is gone and the journal does not reach back far enough.

        Raises:
            ProjectLocked: another window has opened a project in its place.
            StorageError: it cannot be written; nothing was changed.
        """
        self.check_writable()
        assert self._lock is not None
        self._lock, whole = write_directory_again(self.directory, self.folder, self._store, self._lock)
        if not whole:
            refill(self._store, self.directory, self._records.all, self._catalog, in_memory)
        lost = forget_gone_masks(self._store, self.directory)
        self._records.read()
        return tuple(path for image, path in lost.items() if image not in in_memory)

    # -- predictions -----------------------------------------------------------------------------------------------------

    def keep_prediction(self, image: int, prediction: Prediction, *, suggestion: bool = False) -> ImageRecord:
        """Keep a model's answer for an image; ``suggestion`` leaves it waiting because the user's work is there.

        Raises:
            StorageError: it cannot be written.
        """
        self.check_writable()
        return self.kept_predictions.keep(self.record(image), prediction, suggestion=suggestion)

    def prediction_of(self, image: int) -> Prediction | None:
        """The newest prediction of an image, in its model's ids; None if it has none. A lost one is noted in the record."""
        return self.kept_predictions.of(self.record(image))

    def check_predictions(self) -> tuple[ImageRecord, ...]:
        """Find images that are called predicted but have no prediction, and note it. For another thread."""
        return self.kept_predictions.check(list(self._records.all))

    def dismiss_suggestion(self, image: int) -> ImageRecord:
        """The user has decided about the waiting prediction."""
        return self._update(image, flags=self.record(image).flags.without(ImageFlag.SUGGESTED))

    # -- settings and results --------------------------------------------------------------------------------------------

    @property
    def catalog(self) -> ClassCatalog:
        """Classes of the project's masks."""
        return self._catalog

    def set_catalog(self, catalog: ClassCatalog) -> None:
        """Change colours, names or keys, or take another catalog; raises CatalogError if labels would lose their ids."""
        self.check_writable()
        self.class_edits.replace(self._catalog, catalog)
        self._catalog = catalog

    @property
    def locked_classes(self) -> frozenset[int]:
        """Ids of the classes with pixels that keep them, see :mod:`app.state.locks`."""
        return self._locks.ids.intersection(self._catalog.ids.tolist())

    def lock_classes(self, class_ids: Collection[int]) -> None:
        """Lock these classes and no others; documents in memory follow. Raises CatalogError, ProjectLocked."""
        for class_id in class_ids:
            self._catalog.by_id(class_id)
        self.set_setting(LOCKS, sorted(class_ids))
        self._locks.ids = frozenset(class_ids)

    def edit_classes(self, edit: CatalogEdit) -> None:
        """Keep an edit of the classes; labels follow when they are loaded. No image may be open. Raises CatalogError."""
        self.check_writable()
        self.class_edits.record(edit, self._catalog)
        self._catalog = edit.catalog

    def undo_class_edit(self) -> ClassEdit:
        """Take the newest edit of the classes back; raises CatalogError if there is none. No image may be open.

        Classes that it had added stay where an image has pixels of them, or cannot be read.
        """
        self.check_writable()
        edit, self._catalog = self.class_edits.undo(self._catalog)
        if edit.added:
            counts = self.count_pixels(edit.added)
            unused = set() if counts.errors else {number for number in edit.added if not counts.of(number)[1]}
            self._catalog = self.class_edits.drop(self._catalog, unused)
        return edit

    def count_pixels(self, class_ids: Collection[int]) -> PixelCounts:
        """Count the pixels of classes over all labelled images. Reads every mask: meant for another thread."""
        counts = PixelCounts()
        for image in sorted(self.labelled()):
            try:
                counts.add(self.load(image).document.labels, class_ids)
            except AtrousError as error:
                counts.errors.append(error)
        return counts

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _has_labels(self, image: int) -> bool:
        return bool(self.record(image).mask) or self.journal.head(image) > 0

    def _update(self, image: int, **values: Any) -> ImageRecord:
        self.check_writable()
        columns = ", ".join(f"{name} = ?" for name in values)
        self._store.write(
            f"UPDATE images SET {columns} WHERE id = ?",
            (*(stored_text(value) if isinstance(value, MessageText) else value for value in values.values()), image),
        )
        with self._records.mutex:  # two threads may change different fields of one record
            before = self.record(image)
            record = self._replace(before._replace(**values), tell=False)
        if record != before:
            self.record_changed.emit(record)
        return record

    def _refresh(self, image: int, *, tell: bool = True) -> ImageRecord:
        row = self._store.row(f"SELECT {RECORD_COLUMNS} FROM images WHERE id = ?", (image,), RECORD_KINDS)
        assert row is not None
        return self._replace(records_from_rows([row])[0], tell=tell)

    def _replace(self, record: ImageRecord, *, tell: bool = True) -> ImageRecord:
        if self._records.replace(record) and tell:
            self.record_changed.emit(record)
        return record

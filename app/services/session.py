"""What is open: the project, its undo history and autosaver, and the image in view. Features read it, the navigation sets it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.services.autosave import Autosaver
from app.services.read_ahead import Pixels, ReadAhead, read_pixels
from app.services.undo import UndoHistory
from app.state.document import Document
from app.state.patch import TilePatch
from app.state.project import LoadedImage, Project
from app.state.provenance import Provenance
from app.state.pyramid import Pyramid
from deeplab_core.errors import MessageText
from deeplab_core.images.probe import ImageInfo
from deeplab_core.labels import LabelMap
from deeplab_core.notes import Note
from deeplab_core.records import Prediction


@dataclass(slots=True)
class OpenImage:
    """One image on the canvas.

    Attributes:
        id: of its record.
        path: of the image file.
        rgb: (H, W, 3) uint8, EXIF orientation applied.
        levels: the same at smaller scales, for the canvas.
        info: of the file.
        document: labels and provenance, painted in place.
        prediction: the model's newest answer, in the *model's* ids; None before a model ran.
        missed: whether a run of the model on it ended without a prediction: it failed or was cancelled.
        key: content key of the file.
        note: what was found when it was read, for the user; empty for most.
        notes: what was scaled or left out of the image file; none for most.
    """

    id: int
    path: Path
    rgb: NDArray[np.uint8]
    info: ImageInfo
    document: Document
    key: str = ""
    prediction: Prediction | None = None
    missed: bool = False
    note: str = ""
    notes: tuple[Note, ...] = ()
    levels: Pyramid = ()


@dataclass(frozen=True, slots=True)
class ReadParts:
    """What the background read of one image brought; ``loaded`` is None if its document is in memory already."""

    pixels: Pixels
    loaded: LoadedImage | None


def read_parts(project: Project, image: int, ahead: ReadAhead, *, labels: bool) -> ReadParts:
    """Read an image, its prediction and, with ``labels``, its mask. Takes long: meant for another thread.

    Args:
        ahead: what was read before.

    Raises:
        ImageReadError: the file cannot be decoded.
        MaskRefused: its labels cannot be put together.
    """
    pixels = ahead.find(project, image) or read_pixels(project, image)
    loaded = project.load(image, pixels.data.rgb.shape[:2]) if labels else None
    return ReadParts(pixels, loaded)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that cannot be shown.

    Attributes:
        id: of its record.
        name: of the file, for the window.
        what: is wrong with it, a clause.
        detail: cause and remedy, sentences; may be empty.
    """

    id: int
    name: str
    what: str
    detail: str


def by_hand(document: Document) -> bool:
    """Whether the user (or an import) has set any pixel: then a prediction may only be suggested."""
    return bool(document.provenance.max() >= Provenance.USER)


def unset(document: Document) -> bool:
    """Whether no pixel has a label."""
    return not bool(document.provenance.max())


class Session(QObject):
    """The work that is open in the window. Only the navigation (``ProjectController``) changes the attributes.

    A feature that needs another image, other classes or the finished stroke asks for it here; who does it listens to the
    ``...Asked`` signals. So a feature depends on what is open, not on the controller that opens it.

    Attributes:
        project: the open project, or None.
        image: the image in view, or None.
        unreadable: the image that was chosen but cannot be shown; None while there is a picture, or nothing.
        opening: id of the image that is being read and comes into view next, or None.
        history: undo and redo of the project; None without one.
        autosaver: writes its masks; None without a project.
        undo_elsewhere: whether the user's last step is in another image, so that undo has an answer on an image without steps.
        prepared: what was settled about ground truth and classes before the project was shown, on a thread of the pool.

    Signals:
        leaving(): the project is saved and about to be let go: work in the background for it should end.
        projectChanged(Project | None): another project is open.
        imageChanged(OpenImage | None): another image is in view, its document ready to be painted.
        predictionChanged(OpenImage): the image in view has another prediction.
        predictionMissed(OpenImage): a run on the image in view ended without one.
        predictionKept(image id, Prediction): a run over the folder has predicted an image.
        recordChanged(ImageRecord): status, flags or note of one image.
        stepWritten(image id): a step was written straight to the journal of an image that is not open.
        listChanged(): images were added or removed.
        labelsCame(): an import or a merge is over; labels of many images may have changed.
        truthTaken(): the project has other ground truth, or it was read again.
        truthStale(bool): files of the ground truth were written or are gone; False: something came or went beside them.
        unreadableShown(Unreadable): no image is in view, because the one that was chosen cannot be opened.
        undoElsewhereChanged(): see :attr:`undo_elsewhere`.
        imageAsked(image id, ids to open instead or None), reloadAsked(work), classChangeAsked(change, done, failed),
        strokeEndAsked(): see the methods that emit them.
    """

    leaving = Signal()
    projectChanged = Signal(object)
    imageChanged = Signal(object)
    predictionChanged = Signal(object)
    predictionMissed = Signal(object)
    predictionKept = Signal(int, object)
    recordChanged = Signal(object)
    stepWritten = Signal(int)
    listChanged = Signal()
    labelsCame = Signal()
    truthTaken = Signal()
    truthStale = Signal(bool)
    unreadableShown = Signal(object)
    imageAsked = Signal(int, object)
    reloadAsked = Signal(object)
    classChangeAsked = Signal(object, object, object)
    strokeEndAsked = Signal()
    undoElsewhereChanged = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.project: Project | None = None
        self.image: OpenImage | None = None
        self.unreadable: Unreadable | None = None
        self.opening: int | None = None
        self.history: UndoHistory | None = None
        self.autosaver: Autosaver | None = None
        self.undo_elsewhere = False
        self.prepared: object = None

    def forget(self) -> None:
        """The project is closed: nothing is open any more."""
        self.project = self.image = self.opening = self.autosaver = self.prepared = None

    def leave_image(self) -> None:
        """Have no image in view; what is unsaved of it is being saved. Its document and its steps go once they are not needed."""
        if self.autosaver is not None:
            self.autosaver.leave()
            if self.history is not None:
                self.history.keep_only(self.autosaver.images)
        self.image = None

    @property
    def between_images(self) -> bool:
        """Whether no image is in view because a large one has made room for another, which is being read."""
        return self.image is None and self.opening is not None

    def announce_left(self) -> None:
        """Say that no image is in view, and free what the last one took: some of it lies in circles of references."""
        self.imageChanged.emit(None)
        gc.collect()

    # -- requests --------------------------------------------------------------------------------------------------------

    def open_image(self, image: int, onward: Iterator[int] | None = None) -> None:
        """Bring an image into view. Asked twice in a row, only the last one is shown.

        Args:
            onward: images to open instead, in this order, if it cannot be read; None shows what is wrong with it.
        """
        self.imageAsked.emit(image, onward)

    def reload_image(self, work: Callable[[], object] = lambda: None) -> None:
        """Read the image in view again, e.g. because its file has changed; ``work`` runs while it is closed."""
        self.reloadAsked.emit(work)

    def change_classes(
        self, change: Callable[[Project], object], done: Callable[[], None], failed: Callable[[], object] = lambda: None
    ) -> None:
        """Run ``change``, which gives the project other classes, while none of its images is open; then show it again.

        Either ``done`` or ``failed`` goes on; what failed is reported.

        Documents, undo steps and figures in memory hold the old ids, so all of them are made again.
        """
        self.classChangeAsked.emit(change, done, failed)

    def open_unreviewed(self, order: Iterable[int]) -> bool:
        """Open the first image of ``order`` that is neither in view nor reviewed; whether there is one."""
        current = None if self.image is None else self.image.id
        around = (image for image in order if image != current and self.is_unreviewed(image))
        for image in around:
            self.open_image(image, around)
            return True
        return False

    def end_stroke(self) -> None:
        """End the stroke that is being painted: the mask is about to be read or changed by something else."""
        self.strokeEndAsked.emit()

    # -- images ----------------------------------------------------------------------------------------------------------

    def is_in_use(self, image: int) -> bool:
        """Whether an image is in view, is being opened, or has changes that its mask file does not hold yet."""
        unsaved = self.autosaver is not None and self.autosaver.held(image) is not None
        return unsaved or image == self.opening or (self.image is not None and self.image.id == image)

    def ids_in_use(self) -> frozenset[int]:
        """Images that the window shows, opens or holds work of."""
        unsaved = () if self.autosaver is None else self.autosaver.in_memory()
        shown = (self.opening, None if self.image is None else self.image.id)
        refused = None if self.unreadable is None else self.unreadable.id
        return frozenset((*unsaved, *(image for image in (*shown, refused) if image is not None)))

    def is_unreviewed(self, image: int) -> bool:
        """Whether the user has neither marked an image of the open project as reviewed nor rejected it."""
        record = None if self.project is None else self.project.record(image)
        return record is not None and not record.reviewed and not record.rejected

    def note_undo_elsewhere(self, on: bool) -> None:
        """Set :attr:`undo_elsewhere`."""
        if on != self.undo_elsewhere:
            self.undo_elsewhere = on
            self.undoElsewhereChanged.emit()

    def take_prediction(self, image: OpenImage, prediction: Prediction, labels: LabelMap) -> None:
        """Give the image in view another prediction; ``labels`` (H, W) are its classes in the project's ids."""
        image.prediction, image.document.reference = prediction, labels
        self.predictionChanged.emit(image)

    def miss_prediction(self, image: int) -> None:
        """A run on an image has ended; if it is in view and has no prediction, none comes now."""
        view = self.image
        if view is not None and view.id == image and view.prediction is None:
            view.missed = True
            self.predictionMissed.emit(view)

    def write_step(self, image: int, title: MessageText, patch: TilePatch, source: Provenance = Provenance.IMPORT) -> None:
        """Write a step of an image that is not open straight to the journal.

        Raises:
            AtrousError: the project cannot be written.
        """
        if self.project is None or self.history is None or patch.empty:
            return
        self.history.forget(image)  # what it remembers is older than the journal now; it is read again with the image
        self.project.append_step(image, title, source, patch)
        self.stepWritten.emit(image)

    def undo_step(self, image: int, seq: int) -> None:
        """Undo the newest step of an image that is neither open nor being saved, in the journal. Raises AtrousError."""
        if self.project is not None and self.history is not None:
            self.history.forget(image)
            self.project.journal.undo(image, seq)
            self.stepWritten.emit(image)

"""The image in view, with everything that was read for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.services.undo import UndoHistory
from app.state.document import Document
from app.state.image_record import ImageStatus
from app.state.project import LoadedImage, Project
from app.state.provenance import Provenance
from app.state.pyramid import Pyramid, halved_levels
from deeplab_core.images.decode import ImageData
from deeplab_core.images.probe import ImageInfo
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
    note: str = ""
    notes: tuple[Note, ...] = ()
    levels: Pyramid = ()


@dataclass(frozen=True, slots=True)
class ReadParts:
    """What the background read of one image brought; ``loaded`` is None if its document is in memory already."""

    data: ImageData
    levels: Pyramid
    loaded: LoadedImage | None
    prediction: Prediction | None


def read_parts(project: Project, image: int, *, labels: bool) -> ReadParts:
    """Read an image, its prediction and, with ``labels``, its mask. Takes long: meant for another thread.

    Raises:
        ImageReadError: the file cannot be decoded.
        MaskRefused: its labels cannot be put together.
    """
    from deeplab_core.images.decode import read_image

    data = read_image(project.path_of(project.record(image)))
    loaded = project.load(image, data.rgb.shape[:2]) if labels else None
    return ReadParts(data, halved_levels(data.rgb), loaded, project.prediction_of(image))


def by_hand(document: Document) -> bool:
    """Whether the user (or an import) has set any pixel: then a prediction may only be suggested."""
    return bool(document.provenance.max() >= Provenance.PERSON)


def unset(document: Document) -> bool:
    """Whether no pixel has a label."""
    return not bool(document.provenance.max())


def open_context(
    project: Project | None, image: OpenImage | None, history: UndoHistory | None, *, undo_elsewhere: bool, refused: bool
) -> dict[str, bool]:
    """Context keys of what is open.

    Args:
        undo_elsewhere: the user's last step is in another image.
        refused: the mask of the image that was chosen cannot be read.
    """
    writable = project is not None and not project.read_only
    record = project.record(image.id) if project is not None and image is not None else None
    editable = writable and image is not None and history is not None
    return {
        "project_open": project is not None,
        "project_writable": writable,
        "has_images": bool(project is not None and project.images),
        "image_open": image is not None,
        "can_edit": writable and image is not None,
        "can_undo": editable and history is not None and (history.can_undo or undo_elsewhere),
        "can_redo": editable and history is not None and history.can_redo,
        "can_start_over": writable and (image is not None or refused),
        "reviewed": record is not None and record.status == ImageStatus.REVIEWED,
        "to_check": writable and record is not None and record.to_check,
    }

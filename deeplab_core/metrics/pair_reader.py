"""Reading a prediction and its truth into one frame: what evaluation, error analysis and ranking of folders share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.datasets.pairing import MaskPair
from deeplab_core.datasets.sidecars import SidecarFiles, confidence_file, read_confidence
from deeplab_core.errors import MaskFormatError, message
from deeplab_core.images.file_names import PHOTO_SUFFIXES
from deeplab_core.images.orientation import to_oriented
from deeplab_core.images.probe import ImageInfo, probe_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.frames import Frame, frame_of, recorded_frame
from deeplab_core.masks.read import load_mask, read_mask
from deeplab_core.notes import Note

Array = TypeVar("Array", bound=NDArray[Any])


@dataclass(frozen=True, slots=True, eq=False)
class PairLabels:
    """A pair as it is compared.

    Attributes:
        truth, prediction: (H, W) label maps, in the displayed frame where the photograph is known, else as stored. Their sizes
            may differ.
        info: header facts of the photograph, or None.
        truth_notes, prediction_notes: what was read in an unusual way.
    """

    truth: LabelMap
    prediction: LabelMap
    info: ImageInfo | None
    truth_notes: tuple[Note, ...] = ()
    prediction_notes: tuple[Note, ...] = ()


def check_same_size(prediction: LabelMap, truth: LabelMap, *, path: Path, truth_path: Path | None = None) -> None:
    """Refuse a (H, W) prediction of another size than its ground truth: masks are never resized.

    Args:
        path: of what the message is about: the prediction's file, or the image.
        truth_path: file of the ground truth, where the reader needs to be told.

    Raises:
        MaskFormatError: the sizes differ.
    """
    if prediction.shape == truth.shape:
        return
    (height, width), (truth_height, truth_width) = prediction.shape, truth.shape
    why = "" if truth_path is None else message("The truth is {truth}", truth=truth_path)
    remedy = message("Predict at the size of the photograph; masks are never resized")
    if truth_path is not None and truth.shape == prediction.shape[::-1]:
        why = message("The truth is {truth}, and one of the two may be turned by the photograph's EXIF tag", truth=truth_path)
        remedy = message("Name the photographs with --images: both masks are then turned as the photograph is displayed")
    raise MaskFormatError(
        message(
            "the prediction is {width} x {height} px, its truth {truth_width} x {truth_height} px",
            width=width, height=height, truth_width=truth_width, truth_height=truth_height,
        ),
        why=why,
        remedy=remedy,
        path=path,
    )  # fmt: skip


class PairReader:
    """Reads pairs of one folder of predictions; several threads may use one reader.

    Without photographs, truth and prediction are taken to be in the same frame, and nothing is turned.
    """

    def __init__(
        self,
        catalog: ClassCatalog,
        *,
        images_dir: Path | None = None,
        frame: Frame = "auto",
        prediction_frame: Frame | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            catalog: classes of both sides.
            images_dir: photographs of the same names.
            frame: frame of the photographs that the truth is stored in; see :func:`deeplab_core.masks.read_mask`.
            prediction_frame: that of the predictions; None takes what Atrous recorded beside each of them, else ``frame``.

        Raises:
            MaskFormatError: ``images_dir`` does not exist.
        """
        self.catalog = catalog
        self._images = None if images_dir is None else SidecarFiles(images_dir, tuple(sorted(PHOTO_SUFFIXES)))
        self._truth_frame: Frame = frame
        self._prediction_frame: Frame | None = prediction_frame

    def photograph(self, name: str) -> Path | None:
        """The photograph of a prediction (its path below its folder), or None."""
        return None if self._images is None else self._images.of(name)

    def read(self, pair: MaskPair, info: ImageInfo | None = None) -> PairLabels:
        """Read both masks of a pair.

        Args:
            pair: the files.
            info: header facts of the photograph, where they are known; else its header is read.

        Raises:
            ImageReadError, MaskFormatError: with the file at fault.
        """
        photograph = None if info is not None else self.photograph(pair.name)
        info = info if photograph is None else probe_image(photograph)
        truth = load_mask(pair.truth, self.catalog, info, frame=self._truth_frame)
        prediction = load_mask(pair.prediction, self.catalog, info, frame=self._frame_of_prediction(pair.prediction, info))
        return PairLabels(truth.labels, prediction.labels, info, truth.notes, prediction.notes)

    def truth(self, path: Path, info: ImageInfo | None) -> LabelMap:
        """Read a truth mask into the displayed frame."""
        return read_mask(path, self.catalog, info, frame=self._truth_frame)

    def prediction(self, path: Path, info: ImageInfo | None) -> LabelMap:
        """Read a predicted mask into the displayed frame."""
        return read_mask(path, self.catalog, info, frame=self._frame_of_prediction(path, info))

    def turned_like_truth(self, array: Array, path: Path, info: ImageInfo | None) -> Array:
        """Bring (H, W) pixels of a file that is stored like the truth at ``path`` into the displayed frame."""
        return _displayed(array, path, info, self._truth_frame)

    def turned_like_prediction(self, array: Array, path: Path, info: ImageInfo | None) -> Array:
        """Bring (H, W) pixels of a file that is stored like the prediction at ``path`` into the displayed frame."""
        return _displayed(array, path, info, self._frame_of_prediction(path, info))

    def ambiguous(self, pair: MaskPair, shape: tuple[int, ...]) -> AmbiguousMarks | None:
        """Regions that belong to a pair itself and are not scored; None: marks of a folder are found by name."""
        del pair, shape
        return None

    def confidence_file(self, pair: MaskPair) -> Path | None:
        """The confidence map of a pair's prediction, or None."""
        return confidence_file(pair.prediction)

    def confidence(self, path: Path, pair: MaskPair, shape: tuple[int, ...], info: ImageInfo | None) -> NDArray[np.uint8]:
        """(H, W) uint8: the map that :meth:`confidence_file` found, in the displayed frame. Raises MaskFormatError."""
        return read_confidence(path, shape, lambda pixels: self.turned_like_prediction(pixels, pair.prediction, info))

    def _frame_of_prediction(self, path: Path, info: ImageInfo | None) -> Frame:
        if self._prediction_frame is not None or info is None or info.orientation == 1:
            return self._prediction_frame or self._truth_frame
        # What is recorded counts where the size leaves both open, and that is what "auto" does.
        return "auto" if recorded_frame(path) is not None else self._truth_frame


def _displayed(array: Array, path: Path, info: ImageInfo | None, frame: Frame) -> Array:
    if info is None or info.orientation == 1:
        return array
    stored = frame_of(path, (array.shape[1], array.shape[0]), info, frame) == "stored"
    return to_oriented(array, info.orientation) if stored else array

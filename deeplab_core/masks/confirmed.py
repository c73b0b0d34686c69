"""Who set each pixel of an exported mask: a picture beside the mask, written by an export and read by an import.

The picture is an indexed PNG of the mask's size and frame. Its values are the codes of :data:`CODES`; the marker of the folder
(:mod:`deeplab_core.masks.output_marker`) records which picture belongs to which mask, and whether a user confirmed the whole
mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import MaskFormatError, message
from deeplab_core.images.orientation import to_oriented
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.output_marker import OutputMarker, ProvenanceFile, read_marker
from deeplab_core.masks.png import encode_png

#: Value in the picture -> what it means. They are the codes that a project keeps for its pixels.
CODES = {0: "unset", 1: "model", 2: "CRF", 3: "user", 4: "import", 5: "the user's class with a model's outline"}
#: Codes of pixels with a class that a user chose.
BY_USER = (3, 4, 5)
#: Folder of the pictures, below the target of an export.
FOLDER = "provenance"
_COLORS = ((0, 0, 0), (120, 120, 120), (90, 140, 200), (60, 180, 75), (240, 190, 40), (145, 210, 120))


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed:
    """What an export says about the pixels of one mask.

    Attributes:
        codes: (H, W) uint8, see :data:`CODES`.
        reviewed: whether a user confirmed the whole mask.
    """

    codes: NDArray[np.uint8]
    reviewed: bool

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """(H, W) bool: pixels that a user confirmed."""
        return np.ones(self.codes.shape, bool) if self.reviewed else np.isin(self.codes, BY_USER)


def provenance_name(stem: str) -> str:
    """Path of the picture for an output that is named after ``stem``, relative to the target of the export."""
    return f"{FOLDER}/{stem}.png"


def encode_provenance(codes: NDArray[np.uint8]) -> list[bytes]:
    """The picture in parts. ``codes``: (H, W) uint8, see :data:`CODES`. Raises MaskFormatError for other values."""
    if codes.size and int(codes.max()) >= len(CODES):
        raise MaskFormatError(
            message("{code} is not a code of who set a pixel", code=int(codes.max())),
            why=message("Known are 0..{highest}", highest=len(CODES) - 1),
        )
    return encode_png(np.ascontiguousarray(codes), palette=np.array(_COLORS, np.uint8))


def read_codes(path: str | Path) -> NDArray[np.uint8]:
    """(H, W) uint8 codes of a picture, in the frame that it is stored in. Raises MaskFormatError where it holds none."""
    from deeplab_core.masks.stored import read_stored

    values = read_stored(Path(path)).values
    if values is None or (values.size and int(values.max()) >= len(CODES)):
        raise MaskFormatError(
            message("the picture of who set each pixel is damaged"),
            why=message("Its values are not 0..{highest}", highest=len(CODES) - 1),
            remedy=message("Export the masks again, or remove the picture"),
            path=path,
        )
    return values.astype(np.uint8, copy=False)


def read_confirmed(mask: str | Path, info: ImageInfo | None = None) -> Confirmed | None:
    """Who set the pixels of a mask that Atrous exported with provenance.

    Args:
        mask: the mask file, anywhere below a folder with a marker.
        info: the photograph's header facts; with it the codes come back in the oriented frame.

    Returns:
        None where the export has no such picture for this mask.

    Raises:
        MaskFormatError: the picture is missing, damaged or of another size than the image.
    """
    found = _entry(Path(mask))
    if found is None:
        return None
    marker, name = found
    return _read(marker, marker.provenance[name], info)


def confirmed_of(marker: OutputMarker, labels: Path, image: str, info: ImageInfo) -> Confirmed | None:
    """Who set the pixels of an image, as the export in its marker's folder says, whatever the format of the labels.

    Args:
        labels: the file with the labels, of one image or of all.
        image: path of the image below its folder, with ``/``: pictures are called as their images.
        info: its header facts.

    Returns:
        (H, W) in the oriented frame; None where the export did not write the labels, or has no picture for the image.

    Raises:
        MaskFormatError: see :func:`read_confirmed`.
    """
    inside = labels.is_relative_to(marker.folder)
    if not marker.provenance or not inside or not marker.wrote(labels):
        return None
    entry = marker.provenance.get(labels.relative_to(marker.folder).as_posix())
    if entry is None:
        named = {provenance_name(stem) for stem in (image, str(PurePosixPath(image).with_suffix("")))}
        entry = next((one for one in marker.provenance.values() if one.file in named), None)
    return None if entry is None else _read(marker, entry, info)


def _read(marker: OutputMarker, entry: ProvenanceFile, info: ImageInfo | None) -> Confirmed:
    path = marker.folder / entry.file
    if ".." in Path(entry.file).parts or Path(entry.file).is_absolute():
        raise MaskFormatError(
            message("the marker of the folder names a file outside of it"), remedy=message("Export the masks again"), path=path
        )
    codes = read_codes(path)
    if info is not None:
        stored = marker.frame != "oriented"
        if codes.shape[::-1] != (info.stored_size if stored else info.size):
            raise MaskFormatError(
                message("the picture of who set each pixel has another size than the image"),
                remedy=message("Export the masks again"),
                path=path,
            )
        codes = to_oriented(codes, info.orientation) if stored else codes
    return Confirmed(np.ascontiguousarray(codes), entry.reviewed)


def _entry(mask: Path) -> tuple[OutputMarker, str] | None:
    for folder in mask.absolute().parents:
        marker = read_marker(folder)
        if marker is not None:
            name = mask.absolute().relative_to(folder).as_posix()
            return (marker, name) if name in marker.provenance else None
    return None

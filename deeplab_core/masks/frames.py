"""The two frames that a mask file may be stored in, and how to tell them apart.

*Stored* is the frame of the photograph's raw pixels, *displayed* (``"oriented"`` in code) is the picture as its EXIF orientation
turns it. Where the sides change places, the size tells; where both frames have the same size, nothing in the file does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deeplab_core.errors import AmbiguousFrameError, message
from deeplab_core.images.probe import ImageInfo

if TYPE_CHECKING:
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.masks.output_marker import OutputMarker

Frame = Literal["auto", "stored", "oriented"]

#: What the user calls the frames, on the command line and in TOML files.
MASK_FRAMES: dict[str, Frame] = {"stored": "stored", "displayed": "oriented"}
FRAME_OPTION = "--mask-frame stored or --mask-frame displayed"

#: How far above a mask its folder's marker is looked for: a run keeps the sub-folders of its images.
_LEVELS = 8


def is_ambiguous_frame(mask_size: tuple[int, int], info: ImageInfo) -> bool:
    """Whether a mask of this size fits both frames of an image, and the two frames differ.

    True for orientations 2 to 4 at any size and for 5 to 8 on square images. Costs nothing: no file is opened.

    Args:
        mask_size: (width, height) in px.
        info: the image's header facts.
    """
    return info.orientation != 1 and mask_size == info.stored_size == info.size


def frame_of(path: Path, mask_size: tuple[int, int], info: ImageInfo, frame: Frame) -> Frame:
    """Resolve ``"auto"`` to the frame that a mask file is in; other values pass unchanged.

    A size that fits one frame decides. Where both fit, the marker that Atrous left in the mask's folder decides.

    Args:
        path: the mask file.
        mask_size: its (width, height) in px; must fit at least one frame.
        info: the image's header facts.
        frame: what the user or the project said.

    Returns:
        ``"stored"`` or ``"oriented"``.

    Raises:
        AmbiguousFrameError: both frames fit and nothing determines which one is meant.
    """
    if frame != "auto":
        return frame
    if not is_ambiguous_frame(mask_size, info):
        return "stored" if mask_size == info.stored_size else "oriented"
    recorded = recorded_frame(path)
    if recorded is None:
        raise AmbiguousFrameError(
            message("the mask fits the image both as it is stored and as it is displayed"),
            why=message(
                "{file} has EXIF orientation {orientation}, and both frames are {width} x {height} px",
                file=info.path.name,
                orientation=info.orientation,
                width=info.width,
                height=info.height,
            ),
            remedy=message("Say which frame the masks of this folder are in"),
            option=FRAME_OPTION,
            path=path,
        )
    return recorded


def recorded_frame(path: Path) -> Literal["stored", "oriented"] | None:
    """The frame that Atrous recorded for a mask file, or for a whole folder, that it wrote; None for masks of other programs.

    Args:
        path: a mask file, or a folder. A marker that lists its files speaks for these files only.
    """
    return next((marker.frame for marker in _markers(path) if marker.frame is not None), None)


def recorded_catalog(path: Path) -> ClassCatalog | None:
    """The classes that Atrous recorded for a mask file that it wrote; None for masks of other programs."""
    return next((marker.catalog for marker in _markers(path) if marker.catalog is not None), None)


def _markers(path: Path) -> Iterator[OutputMarker]:
    """The markers that cover a mask file or a folder, nearest first."""
    from deeplab_core.masks.output_marker import MARKER_NAME, RUN_RECORD

    inside = path.is_dir()
    for place in ((path,) if inside else ()) + tuple(path.parents)[:_LEVELS]:
        stamps = tuple(_stamp(place / name) for name in (MARKER_NAME, RUN_RECORD))
        marker = _marker(place, stamps) if any(stamps) else None
        if marker is not None and (inside or marker.wrote(path)):
            yield marker


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _marker(folder: Path, _stamps: tuple[tuple[int, int] | None, ...]) -> OutputMarker | None:
    """A marker, read once for all masks of its folder: it may list a hundred thousand of them."""
    from deeplab_core.masks.output_marker import read_marker

    return read_marker(folder)

"""The two frames that a mask file may be stored in, and how to tell them apart.

*Stored* is the frame of the photograph's raw pixels, *displayed* (``"oriented"`` in code) is the picture as its EXIF orientation
turns it. Where the sides change places, the size tells; where both frames have the same size, nothing in the file does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from deeplab_core.errors import AmbiguousFrameError
from deeplab_core.images.probe import ImageInfo

Frame = Literal["auto", "stored", "oriented"]

#: What the user calls the frames, on the command line and in TOML files.
MASK_FRAMES: dict[str, Frame] = {"stored": "stored", "displayed": "oriented"}

#: Written by ``atrous predict`` into the folder of its masks; holds, among others, the frame they are in.
RUN_RECORD = "atrous-run.json"

#: How far above a mask its folder's record is looked for: a run keeps the sub-folders of its images.
_LEVELS = 8
_LARGEST_RECORD = 1 << 20


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

    A size that fits one frame decides. Where both fit, the record that Atrous left in the mask's folder decides.

    Args:
        path: the mask file.
        mask_size: its (width, height) in px; must fit at least one frame.
        info: the image's header facts.
        frame: what the user or the project said.

    Returns:
        ``"stored"`` or ``"oriented"``.

    Raises:
        AmbiguousFrameError: both frames fit and nothing says which one is meant.
    """
    if frame != "auto":
        return frame
    if not is_ambiguous_frame(mask_size, info):
        return "stored" if mask_size == info.stored_size else "oriented"
    recorded = recorded_frame(path.parent)
    if recorded is None:
        raise AmbiguousFrameError(
            "the mask fits the image both as it is stored and as it is displayed",
            why=f"{info.path.name} has EXIF orientation {info.orientation}, and both frames are {info.width} x {info.height} px",
            remedy="Say which frame the masks of this folder are in: --mask-frame stored or --mask-frame displayed; "
            "the window asks",
            path=path,
        )
    return recorded


def recorded_frame(folder: Path) -> Literal["stored", "oriented"] | None:
    """The frame that Atrous's own record in this folder, or in one above it, gives for the masks; None without a record."""
    for place in (folder, *list(folder.parents)[:_LEVELS]):
        record = place / RUN_RECORD
        try:
            if not record.is_file() or record.stat().st_size > _LARGEST_RECORD:
                continue
            content = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        found = content.get("frame") if isinstance(content, dict) else None
        return found if found in ("stored", "oriented") else None
    return None

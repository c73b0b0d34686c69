"""Files that belong to a mask by name: its image, its list of objects, its ambiguity marks, its confidence and instance maps."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import MaskFormatError, message
from deeplab_core.images.file_names import bare_stem, is_passed_over, name_key
from deeplab_core.masks.stored import StoredMask, decode_stored, read_stored

#: Brings the pixels of a file into the frame that is compared.
Turn = Callable[[NDArray[Any]], NDArray[Any]]

_CITYSCAPES_TRUTH = re.compile(r"_label(?:Train)?Ids$")


class SidecarFiles:
    """Files below one folder, found by the name of a mask below another.

    First comes a file of the mask's own path without its ending (``a.jpg`` or ``a.jpg.confidence.png`` for ``a.jpg.png``). Then
    an equal path below the folders, then an equal stem, if only one file has it: the usual additions to mask names (``_mask``,
    ``_gtFine_labelIds``, ...) and the photograph's own ending do not count there. The Unicode form of a name never counts.
    """

    def __init__(self, folder: Path, suffixes: tuple[str, ...]) -> None:
        """List the files of ``folder`` with names that end with one of the lower-case ``suffixes``; hidden ones are passed over.

        Raises:
            MaskFormatError: there is no such folder.
        """
        if not folder.is_dir():
            raise MaskFormatError(
                message("there is no such folder"),
                remedy=message("Name the folder of the files that go with the masks"),
                path=folder,
            )
        self._exact: dict[str, list[Path]] = defaultdict(list)
        self._by_path: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for root, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if not is_passed_over(name))
            for name in sorted(files):
                ending = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), None)
                if ending is None or is_passed_over(name):
                    continue
                path = Path(root, name)
                bare = PurePosixPath(path.relative_to(folder).as_posix()).with_name(name[: len(name) - len(ending)])
                for exact in {name_key(str(bare)), name_key(str(bare.with_name(name)))}:
                    self._exact[exact].append(path)
                self._by_path[_path_key(bare)].append(path)
                self._by_stem[bare_stem(bare.name)].append(path)

    def of(self, name: str) -> Path | None:
        """The file that goes with a mask (its path below its folder); None for none or more than one."""
        bare = PurePosixPath(name).with_suffix("")
        exact = self._exact.get(name_key(str(bare)))
        for found in (exact, self._by_path.get(_path_key(bare)), self._by_stem.get(bare_stem(bare.name))):
            if found:
                return found[0] if len(found) == 1 else None
        return None


def _path_key(bare: PurePosixPath) -> str:
    return name_key(str(bare.with_name(bare_stem(bare.name))))


def confidence_file(prediction: Path) -> Path | None:
    """``NAME.confidence.png`` beside a prediction, as ``atrous predict --save-confidence`` writes it, or None."""
    path = prediction.with_suffix(".confidence.png")
    return path if path.is_file() else None


def read_confidence(path: Path, shape: tuple[int, ...], turn: Turn | None = None) -> NDArray[np.uint8]:
    """(H, W) uint8: 255 x the largest probability. Raises MaskFormatError where it is not a grey 8-bit map of this shape."""
    return _confidence(read_stored(path), path, shape, turn)


def decode_confidence(data: bytes, path: Path, shape: tuple[int, ...], turn: Turn | None = None) -> NDArray[np.uint8]:
    """As :func:`read_confidence`, for a file that is in memory already; ``path`` is what errors name."""
    return _confidence(decode_stored(data, path), path, shape, turn)


def _confidence(stored: StoredMask, path: Path, shape: tuple[int, ...], turn: Turn | None) -> NDArray[np.uint8]:
    values = _fitting(stored, path, shape, message("confidence map"), turn)
    if values.dtype != np.uint8:
        raise MaskFormatError(
            message("the confidence map is not an 8-bit grey picture"), remedy=message("Predict again"), path=path
        )
    return values


def instance_file(truth: Path) -> Path | None:
    """The ``*_instanceIds.png`` beside a Cityscapes truth file; None if missing."""
    stem, replaced = _CITYSCAPES_TRUTH.subn("_instanceIds", truth.stem)
    path = truth.with_name(stem + ".png")
    return path if replaced and path.is_file() else None


def read_instances(path: Path, shape: tuple[int, ...], turn: Turn | None = None) -> NDArray[np.int64]:
    """(H, W) int64 instance numbers. Raises MaskFormatError where it is not a map of this shape."""
    return _values(path, shape, message("instance map"), turn).astype(np.int64)


def _values(path: Path, shape: tuple[int, ...], what: str, turn: Turn | None) -> NDArray[Any]:
    return _fitting(read_stored(path), path, shape, what, turn)


def _fitting(stored: StoredMask, path: Path, shape: tuple[int, ...], what: str, turn: Turn | None) -> NDArray[Any]:
    values = stored.values
    if values is not None and turn is not None:
        values = turn(values)
    if values is None or values.shape != shape:
        found = "colours" if values is None else f"{values.shape[1]} x {values.shape[0]} px"
        raise MaskFormatError(
            message("the {what} does not fit its mask", what=what),
            why=message("It holds {found}; the mask has {width} x {height} px", found=found, width=shape[1], height=shape[0]),
            path=path,
        )
    return values

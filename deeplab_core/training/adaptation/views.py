"""An image for the learning half: features, positions of its pixels on the grid of scores, the old model's prediction."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ComputeError, StorageError, message
from deeplab_core.inference import ScoreGrid, Scores
from deeplab_core.inference.geometry import AxisTaps, NetworkFrame, frame_for
from deeplab_core.inference.pixels import RGB, resize_rgb
from deeplab_core.inference.scores import store_scores
from deeplab_core.inference.torch_network import Canvas
from deeplab_core.nn import class_logits
from deeplab_core.records import Preprocessing
from deeplab_core.training.adaptation.frozen_split import Features, FrozenSplit

#: Longest side that is learned from, in network pixels: beyond it, memory and time would grow without bound.
LONGEST_SIDE = 1025
_LARGEST_HALF = 65504.0


class FeatureStore:
    """Keeps features in half precision: in memory up to a bound, the rest in files that vanish with the store.

    The files are in the temporary folder and take at most half of what is free there, for others write there too.

    Args:
        memory_bytes: bound of what is kept in memory.
        disk_bytes: bound of what is kept in files.

    Attributes:
        full: something could not be kept.
    """

    def __init__(self, memory_bytes: int = 512 << 20, disk_bytes: int = 4 << 30) -> None:
        self._memory, self._disk = memory_bytes, disk_bytes
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0
        self._written = 0
        self.full = False

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def room(self) -> int:
        """Bytes that can still be kept."""
        with contextlib.suppress(OSError):
            return self._memory + self._room_on_disk()
        return self._memory

    def keep(self, features: Features) -> tuple[NDArray[np.float16], ...]:
        """(1, C, h, w) float32 tensors as float16 arrays.

        Raises:
            StorageError: there is no room, or the temporary folder cannot be written.
        """
        return tuple(self._keep(part.detach().clamp(-_LARGEST_HALF, _LARGEST_HALF).half().cpu().numpy()) for part in features)

    def _keep(self, part: NDArray[np.float16]) -> NDArray[np.float16]:
        if part.nbytes <= self._memory:
            self._memory -= part.nbytes
            return np.ascontiguousarray(part)
        path: Path | None = None
        try:
            if part.nbytes > self._room_on_disk():
                raise self._refusal(message("there is too little room in the temporary folder"))
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="atrous-features-", ignore_cleanup_errors=True)
            path = Path(self._folder.name) / f"{self._files}.f16"
            path.write_bytes(np.ascontiguousarray(part).data)
            kept = np.memmap(path, np.float16, "r", shape=part.shape)
        except OSError as error:
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)  # half a file takes room from others
            raise self._refusal(error.strerror or str(error)) from error
        self._files += 1
        self._written += part.nbytes
        return kept

    def _room_on_disk(self) -> int:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        return max(0, min(self._disk, (free + self._written) // 2) - self._written)

    def _refusal(self, why: str) -> StorageError:
        self.full = True
        folder: str | None = None
        with contextlib.suppress(OSError):
            folder = tempfile.gettempdir()
        return StorageError(
            message("the network's output for the images cannot be kept while it learns"),
            why=why,
            remedy=message("Free some space there, or set TMPDIR (TEMP on Windows) to a folder with more and start Atrous again"),
            path=folder,
        )


@dataclass(frozen=True, eq=False)
class Encoded:
    """The output of the frozen half for one image, plain or mirrored.

    Attributes:
        features: (1, C, h, w) float16 each.
        frame: sizes of image, scaled image and canvas.
        mirrored: left to right.
        align_corners: rule of the network's upsampling.
    """

    features: tuple[NDArray[np.float16], ...]
    frame: NetworkFrame
    mirrored: bool
    align_corners: bool

    def tensors(self, device: torch.device) -> Features:
        """The features as float32 tensors."""
        return tuple(torch.from_numpy(np.array(part)).to(device).float() for part in self.features)


@dataclass(frozen=True, eq=False)
class Taps:
    """Bilinear reading of a grid at P points: four neighbours and their weights.

    Attributes:
        corners: (4, P) int64 flat grid indices.
        weights: (4, P) float32; they sum to 1.
    """

    corners: Tensor
    weights: Tensor

    @staticmethod
    def of(rows: AxisTaps, columns: AxisTaps, grid_width: int) -> Taps:
        """From the taps of each point's row and column."""
        y = np.stack([rows.lower, rows.lower, rows.upper, rows.upper]).astype(np.int64)
        x = np.stack([columns.lower, columns.upper, columns.lower, columns.upper]).astype(np.int64)
        down, right = rows.weight, columns.weight
        weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
        return Taps(torch.from_numpy(y * grid_width + x), torch.from_numpy(weights.astype(np.float32)))

    def read(self, grid: Tensor) -> Tensor:
        """(C, h, w) values to (P, C), as inference upsamples them."""
        flat = grid.flatten(1).t()
        corners, weights = self.corners.to(grid.device), self.weights.to(grid.device)
        parts = [flat.index_select(0, corners[place]) * weights[place, :, None] for place in range(4)]
        return parts[0] + parts[1] + parts[2] + parts[3]


@dataclass(frozen=True, eq=False)
class View:
    """One image, plain or mirrored, prepared for training.

    Attributes:
        encoded: kept features.
        old_scores: those of the network before learning.
    """

    encoded: Encoded
    old_scores: ScoreGrid

    def taps(self, indices: NDArray[np.int64]) -> Taps:
        """The position of some pixels of the image, given as (P,) flat indices, on the grid of scores."""
        width = self.encoded.frame.image[1]
        return Taps.of(
            self.old_scores.rows.at(indices // width),
            self.old_scores.columns.at(indices % width),
            self.old_scores.values.shape[1],
        )


def encode(
    split: FrozenSplit,
    rgb: RGB,
    preprocessing: Preprocessing,
    store: FeatureStore,
    device: torch.device,
    *,
    align_corners: bool,
    mirrored: bool,
    minimum_side: int = 1,
) -> Encoded:
    """Run the frozen part over an image (H, W, 3) uint8, prepared as the model card says.

    An image that would be longer than :data:`LONGEST_SIDE` on the canvas is made smaller.

    Raises:
        StorageError: the store cannot keep more.
    """
    size = (rgb.shape[0], rgb.shape[1])
    frame = frame_for(size, preprocessing, align_corners=align_corners, minimum_side=minimum_side)
    if max(frame.scaled) > LONGEST_SIDE:
        shorter = f"long_side:{LONGEST_SIDE}"
        frame = frame_for(size, preprocessing, resize=shorter, align_corners=align_corners, minimum_side=minimum_side)
    scaled = resize_rgb(rgb, frame.scaled)
    canvas = Canvas(scaled[:, ::-1] if mirrored else scaled, preprocessing, device, frame.content)
    features = store.keep(split.encode(canvas.window(0, 0, *frame.canvas)))
    return Encoded(features, frame, mirrored, align_corners)


def network_scores(split: FrozenSplit, encoded: Encoded, device: torch.device) -> ScoreGrid:
    """Scores of the network as it is now.

    Raises:
        ComputeError: numbers that are not finite.
    """
    with torch.no_grad():
        logits = split.logits(encoded.tensors(device), encoded.frame.canvas)[0].float()
    if not bool(torch.isfinite(logits).all()):
        raise ComputeError(
            message("the network gave numbers that are not finite"),
            why=message("the weights are damaged, or learning went too far"),
            remedy=message("Choose a gentler strength, or another model"),
        )
    logits = class_logits(logits[None])[0]
    values = store_scores(logits.permute(1, 2, 0).contiguous().cpu().numpy())
    return ScoreGrid(values, encoded.frame, encoded.align_corners, encoded.mirrored)


def label_map(grid: ScoreGrid, catalog: ClassCatalog, threshold: float | None = None) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """(H, W) ids of the model's catalog and (H, W) uint8 confidence, as a prediction with the card's threshold has them."""
    return Scores((grid,), catalog).label_map(threshold)

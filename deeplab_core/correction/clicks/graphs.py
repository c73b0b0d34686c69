"""What click networks share: a graph as they see it, how it takes an image, and what is kept of an image."""

from __future__ import annotations

import hashlib
import weakref
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import WeightsError, message
from deeplab_core.geometry import Box, strips
from deeplab_core.parallel import IsCancelled
from deeplab_core.regions import Mask

Kept = TypeVar("Kept")

#: Mean and standard deviation of ImageNet's colours, 0..1: of RITM, SimpleClick, SAM and their relatives (ISModel in
#: https://github.com/SamsungLabs/ritm_interactive_segmentation/blob/master/isegm/model/is_model.py), and the same times 255 as
#: SAM writes it (https://github.com/facebookresearch/segment-anything/blob/main/segment_anything/build_sam.py).
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
SAM_MEAN: Final = (123.675, 116.28, 103.53)

#: Bytes of features that are kept; those of the image used last always are.
_ROOM = 256 << 20
#: Number of clicks that keep their results, so that the next click begins where the last one ended.
KEPT_STEPS: Final = 24


class Tensor(Protocol):
    """A tensor at the border of a graph: None in its shape is a free side."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int | None, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


class Graph(Protocol):
    """A graph that an engine can run.

    Attributes:
        path: of its file; errors name it.
        title: engine and version.
        inputs, outputs: in the file's order.
    """

    path: Path
    title: str

    @property
    def inputs(self) -> Sequence[Tensor]: ...

    @property
    def outputs(self) -> Sequence[Tensor]: ...

    def holds(self, values: Sequence[float]) -> bool:
        """Whether these numbers stand side by side among its constants, as float32 or float16."""

    def run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        *,
        remedy: str,
        cancel: IsCancelled | None = None,
    ) -> list[NDArray[Any]]:
        """Some outputs, by name.

        Raises:
            ComputeError: the engine refused; MemoryError where memory ran out; Cancelled.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Clicks:
    """What the user pointed at, so far.

    Attributes:
        points: (N, 2) float64 x and y, image px, in their order.
        positive: (N,) bool.
        box: left, top, right, bottom in image px, or None.
    """

    points: NDArray[np.float64]
    positive: NDArray[np.bool_]
    box: tuple[float, float, float, float] | None = None

    def __len__(self) -> int:
        return len(self.points)

    def first(self, count: int) -> Clicks:
        """The first ``count`` clicks, and the box."""
        return Clicks(self.points[:count], self.positive[:count], self.box)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """(N, 2) column and row of each click."""
        return np.floor(self.points).astype(np.int64).reshape(-1, 2)

    def key(self) -> bytes:
        """Equal for equal clicks."""
        box = () if self.box is None else self.box
        return self.points.tobytes() + b"|" + self.positive.tobytes() + b"|" + np.asarray(box, np.float64).tobytes()


class ClickEngine(Protocol):
    """A click network that runs: a :class:`~deeplab_core.correction.ClickModel` with what a program needs besides.

    Attributes:
        title: kind of network, engine and version.
        notes: what is unusual about it.
    """

    title: str
    notes: tuple[str, ...]

    @abstractmethod
    def prepare(self, rgb: NDArray[np.uint8], cancel: IsCancelled | None = None) -> None:
        """Compute what depends on the image only, unless it is kept already or there is no such part."""

    @abstractmethod
    def masks(
        self,
        rgb: NDArray[np.uint8],
        points: NDArray[np.float64],
        positive: NDArray[np.bool_],
        box: tuple[float, float, float, float] | None,
        previous: Mask,
        cancel: IsCancelled | None = None,
    ) -> Sequence[Mask]:
        """See :class:`~deeplab_core.correction.ClickModel`; ``cancel`` stops it with Cancelled."""


class ImageNames:
    """Names images by their content; the one asked about last is not read again."""

    def __init__(self) -> None:
        self._last: weakref.ref[NDArray[np.uint8]] | None = None
        self._name = b""

    def of(self, rgb: NDArray[np.uint8]) -> bytes:
        """The name of an (H, W, 3) image."""
        if self._last is None or self._last() is not rgb:
            self._name = digest(rgb)
            self._last = weakref.ref(rgb)
        return self._name


def digest(array: NDArray[Any]) -> bytes:
    """A name of what an array holds, its shape included."""
    found = hashlib.blake2b(repr(array.shape).encode(), digest_size=16)
    found.update(np.ascontiguousarray(array).data)
    return found.digest()


class Store(Generic[Kept]):
    """What was computed, by name: the newest that fit into ``room`` bytes, and ``most`` at most; the newest in any case."""

    def __init__(self, room: int = _ROOM, most: int = 64) -> None:
        self._kept: OrderedDict[bytes, tuple[Kept, int]] = OrderedDict()
        self._room, self._most = room, most

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, name: bytes) -> Kept | None:
        """What is kept under a name."""
        if name not in self._kept:
            return None
        self._kept.move_to_end(name)
        return self._kept[name][0]

    def keep(self, name: bytes, what: Kept, size: int) -> None:
        """Keep something of ``size`` bytes, and let the oldest go."""
        self._kept[name] = (what, size)
        self._kept.move_to_end(name)
        while len(self._kept) > 1 and (
            len(self._kept) > self._most or sum(size for _, size in self._kept.values()) > self._room
        ):  # fmt: skip
            self._kept.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Colours:
    """How a graph takes colours: ``(value * factor - mean) / std`` of 0..255."""

    factor: float
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def of(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) float32 from (H, W, 3) uint8."""
        std = np.asarray(self.std)
        scale, offset = (self.factor / std).astype(np.float32), (np.asarray(self.mean) / std).astype(np.float32)
        return np.asarray(rgb * scale - offset, np.float32)


#: Colours as they are, 0..1, and normalised by ImageNet's mean and deviation.
BYTES, UNIT, NORMALISED = Colours(1.0), Colours(1 / 255), Colours(1 / 255, IMAGENET_MEAN, IMAGENET_STD)


def colours_of(graph: Graph, otherwise: Colours) -> Colours:
    """How a graph takes colours: if it subtracts the mean itself, its constants hold that mean."""
    if graph.holds(SAM_MEAN):
        return BYTES
    if graph.holds(IMAGENET_MEAN):
        return UNIT
    return otherwise


def resized(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An (H, W, C) image of another (H, W): averaged where it gets smaller, bilinear where it gets larger."""
    if rgb.shape[:2] == size:
        return rgb
    smaller = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
    rule = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(rgb), size[::-1], interpolation=rule), np.uint8)


def fed(values: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    """An array of a tensor's type."""
    if tensor.dtype == np.uint8 and values.dtype != np.uint8:
        values = np.clip(np.rint(values), 0, 255)
    return np.ascontiguousarray(values, dtype=tensor.dtype)


def above(grid: NDArray[np.float32], scale: tuple[float, float], size: tuple[int, int], limit: float) -> tuple[Box, Mask]:
    """Where a grid, enlarged bilinearly, is above a limit.

    Args:
        grid: (h, w) scores.
        scale: grid points per pixel, along x and y; the grid's corner is the area's.
        size: (H, W) of the area.
        limit: of the scores.

    Returns:
        A box in the area, and the (height, width) bool mask in it; everything outside is below.
    """
    rough = Box.around(grid > limit)
    if rough is None:
        return Box(0, 0, 0, 0), np.zeros((0, 0), np.bool_)
    # A pixel is above only if one of the four grid points around it is.
    box = Box.between(
        int((rough.x - 0.5) / scale[0]) - 1,
        int((rough.y - 0.5) / scale[1]) - 1,
        int((rough.right + 0.5) / scale[0]) + 2,
        int((rough.bottom + 0.5) / scale[1]) + 2,
    ).clipped(size)
    left, right, share = _neighbours(np.arange(box.x, box.right), scale[0], grid.shape[1])
    top, bottom, weight = _neighbours(np.arange(box.y, box.bottom), scale[1], grid.shape[0])
    wide = grid[:, left] * (1 - share) + grid[:, right] * share
    mask = np.empty(box.size, np.bool_)
    for rows in strips(box.size):
        down = weight[rows, None]
        mask[rows] = wide[top[rows]] * (1 - down) + wide[bottom[rows]] * down > limit
    return box, mask


def _neighbours(
    pixels: NDArray[np.int64], scale: float, points: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Grid points before and behind the centres of pixels, and the share of the second."""
    at = np.clip((pixels + 0.5) * scale - 0.5, 0, points - 1)
    before = np.floor(at).astype(np.int64)
    return before, np.minimum(before + 1, points - 1), (at - before).astype(np.float32)


def shapes(tensors: Sequence[Tensor]) -> str:
    """Names and shapes, for errors."""
    return ", ".join(
        f"{tensor.name} ({', '.join('any' if side is None else str(side) for side in tensor.shape)})" for tensor in tensors
    )


def unfit(graph: Graph, why: str) -> WeightsError:
    """A graph that is not a click network of a known kind."""
    return WeightsError(
        message("not a network for clicks of a known kind"),
        why=why,
        remedy=message("Export it as docs/correcting.md describes, or choose another file"),
        path=graph.path,
    )

"""A graph of any program that another engine computes, with the face of every network of this package. No torch."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deeplab_core.backends.signature import Runner, Signature
from deeplab_core.errors import ComputeError, message
from deeplab_core.networks import ComputeDevice, Engine, GraphNetwork

#: Grids coarser than this are those of no known network.
_COARSEST = 64

#: Sides that nearly every network with a decoder takes are multiples of this.
_GRAIN = 32

#: A graph does not say how far its scores look: as far as any image reaches, so that tiles overlap by the most that is allowed.
UNKNOWN_RADIUS = 1 << 16


class EngineModel(GraphNetwork):
    """A graph run by ONNX Runtime or LiteRT: no layers, no weights that could be trained or changed.

    Args:
        runner: the loaded graph.
        signature: how it is fed and read.
        num_classes: of its card.
        output_stride: tiles start on its multiples.
        align_corners: rule of the upsampling from its output to the input's size.
        architecture: as its card describes it.
        minimum_side: smallest side that a graph of free size takes.
    """

    def __init__(
        self,
        runner: Runner,
        signature: Signature,
        *,
        num_classes: int,
        output_stride: int,
        align_corners: bool,
        architecture: dict[str, Any],
        minimum_side: int = 1,
    ) -> None:
        super().__init__(
            num_classes=num_classes, output_stride=output_stride, output_strides=(output_stride,), align_corners=align_corners
        )
        self.architecture = architecture
        self.signature = signature
        self.in_channels = signature.channels
        self.minimum_side = minimum_side if signature.size == (None, None) else 1
        self._runner = runner
        self._padded: set[tuple[int, int]] = set()

    @property
    def engine(self) -> Engine:
        """What computes it, and where."""
        notes = self._runner.notes
        if self._padded:
            notes = (*notes, f"This graph refuses some sizes: such images were continued to a multiple of {_GRAIN} px.")
        if self.signature.labels:
            notes = (*notes, "This network gives labels without scores: confidence is 255 everywhere.")
        return Engine(
            name=self._runner.title,
            device=self._runner.device,
            precision=self._runner.precision,
            input_size=self.signature.size,
            labels_only=self.signature.labels,
            notes=notes,
        )

    @property
    def operations(self) -> Counter[str]:
        """How often each operation occurs in the graph; empty if the engine does not report it."""
        return self._runner.operations

    def copy(self) -> EngineModel:
        """A network of its own over the same graph, which nothing can change."""
        return EngineModel(
            self._runner, self.signature, num_classes=self.num_classes, output_stride=self.output_stride,
            align_corners=self.align_corners, architecture=dict(self.architecture), minimum_side=self.minimum_side,
        )  # fmt: skip

    def move(self, device: ComputeDevice) -> None:
        """Compute on a device as far as the engine can; types and memory formats are the graph's own."""
        self._runner = self._runner.on(device)

    def __call__(self, x: ArrayLike) -> NDArray[np.float32]:
        """(N, C, H, W) float32 to (N, num_classes, H, W) logits."""
        images = np.asarray(x, np.float32)
        return bilinear(self.coarse_logits(images), (images.shape[-2], images.shape[-1]), self.align_corners)

    def coarse_logits(self, x: ArrayLike, pooled: Any = None) -> NDArray[np.float32]:  # noqa: ARG002
        """Logits on the grid of the graph's output: (N, C, h, w) float32.

        Windows smaller than a fixed input are continued by zeros (the mean, after normalisation). Where the grid's points are
        no whole number of pixels apart, a fixed input's logits come at full resolution, so that windows can be cut out.

        Raises:
            ComputeError: ``x`` is larger than a fixed input, or the engine failed.
        """
        return np.concatenate([self._one(image[None]) for image in np.asarray(x, np.float32)])

    def _one(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = x.shape[-2:]
        fixed = (self.signature.size[0] or height, self.signature.size[1] or width)
        if self.signature.size == (None, None):
            return self._free(x)
        if height > fixed[0] or width > fixed[1]:
            raise ComputeError(
                message(
                    "this network takes {fixed_width} x {fixed_height} pixels, not {width} x {height}",
                    fixed_width=fixed[1],
                    fixed_height=fixed[0],
                    width=width,
                    height=height,
                ),
                why=message("its graph was written for one size"),
                remedy=message("Choose smaller overlaps of tiles, or the size of its model card"),
            )
        return self._cut(self._run(_longer(x, fixed, "constant")), fixed, height, width)

    def _free(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """A graph of free size may still take only some: networks with a decoder often want multiples of 32."""
        height, width = x.shape[-2:]
        fuller = -(-height // _GRAIN) * _GRAIN, -(-width // _GRAIN) * _GRAIN
        if (height, width) not in self._padded:
            try:
                return self._run(x)
            except ComputeError:
                if fuller == (height, width):
                    raise
        logits = self._run(_longer(x, fuller, "edge"))
        self._padded.add((height, width))
        return self._cut(logits, fuller, height, width)

    def _cut(self, logits: NDArray[np.float32], size: tuple[int, int], height: int, width: int) -> NDArray[np.float32]:
        """The grid of the first rows and columns of an input of ``size``."""
        step = _step(size, (logits.shape[-2], logits.shape[-1]))
        if step is None:
            logits, step = bilinear(logits, size, self.align_corners), 1
        return logits[..., : (height - 1) // step + 1, : (width - 1) // step + 1]

    def _run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        raw = self._runner.run(self.signature.pack(x, self._runner.input), self.signature.output.name)
        return self.signature.unpack(raw, self.num_classes)[None]

    def receptive_radius(self) -> int:
        """:data:`UNKNOWN_RADIUS`."""
        return UNKNOWN_RADIUS


def _longer(x: NDArray[np.float32], size: tuple[int, int], mode: Literal["constant", "edge"]) -> NDArray[np.float32]:
    """(N, C, H, W) continued at the bottom and right to a size: by zeros, or by its last row and column."""
    height, width = x.shape[-2:]
    return np.pad(x, ((0, 0), (0, 0), (0, size[0] - height), (0, size[1] - width)), mode)


def bilinear(x: NDArray[np.float32], size: tuple[int, int], align_corners: bool) -> NDArray[np.float32]:
    """(N, C, h, w) upsampled to a size by the rule of torch's ``interpolate``."""
    for axis, wanted in ((2, size[0]), (3, size[1])):
        source = x.shape[axis]
        place = np.arange(wanted, dtype=np.float32)
        if align_corners:
            place *= np.float32((source - 1) / max(wanted - 1, 1))
        else:
            place = (place + np.float32(0.5)) * np.float32(source / wanted) - np.float32(0.5)
        place = np.clip(place, 0, source - 1)
        lower = place.astype(np.intp)
        upper = np.minimum(lower + 1, source - 1)
        share = (place - lower).astype(np.float32).reshape([-1 if axis == k else 1 for k in range(4)])
        x = np.take(x, lower, axis) * (1 - share) + np.take(x, upper, axis) * share
    return x


def _step(size: tuple[int, int], grid: tuple[int, int]) -> int | None:
    """Pixels per grid point where convolutions of stride 2 keep the pixels 0, 2, 4, ...; None where it is not a whole number."""
    fits = (s for s in range(1, _COARSEST + 1) if all((side - 1) // s + 1 == n for side, n in zip(size, grid, strict=True)))
    return next(fits, None)

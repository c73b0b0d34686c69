"""A graph that another engine computes, with the face of every network of this package."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deeplab_core.backends.signature import Runner, Signature
from deeplab_core.errors import ComputeError, message
from deeplab_core.nn import Engine, SegmentationModel
from deeplab_core.nn.layers import resize

#: Grids coarser than this are those of no known network.
_COARSEST = 64

#: Sides that nearly every network with a decoder takes are multiples of this.
_GRAIN = 32

#: A graph does not say how far its scores look: as far as any image reaches, so that tiles overlap by the most that is allowed.
UNKNOWN_RADIUS = 1 << 16


class EngineModel(SegmentationModel):
    """A graph run by ONNX Runtime or LiteRT: no torch layers, no weights that torch could train or change.

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

    def __deepcopy__(self, memo: dict[int, Any]) -> EngineModel:
        """A network of its own over the same graph, which nothing can change."""
        return EngineModel(
            self._runner, self.signature, num_classes=self.num_classes, output_stride=self.output_stride,
            align_corners=self.align_corners, architecture=dict(self.architecture), minimum_side=self.minimum_side,
        )  # fmt: skip

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device as far as the engine can; types and memory formats are the graph's own."""
        device = torch._C._nn._parse_to(*args, **kwargs)[0]
        if device is not None:
            self._runner = self._runner.on(device)
        return self

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Logits on the grid of the graph's output: (N, C, h, w) float32 on the device of ``x``.

        Windows smaller than a fixed input are continued by zeros (the mean, after normalisation). Where the grid's points are
        no whole number of pixels apart, a fixed input's logits come at full resolution, so that windows can be cut out.

        Raises:
            ComputeError: ``x`` is larger than a fixed input, or the engine failed.
        """
        with torch.inference_mode():
            images = [self._one(image[None].float().cpu()) for image in x]
            return torch.cat(images).to(x.device)

    def _one(self, x: Tensor) -> Tensor:
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
        return self._cut(self._run(functional.pad(x, (0, fixed[1] - width, 0, fixed[0] - height))), fixed, height, width)

    def _free(self, x: Tensor) -> Tensor:
        """A graph of free size may still take only some: networks with a decoder often want multiples of 32."""
        height, width = x.shape[-2:]
        fuller = -(-height // _GRAIN) * _GRAIN, -(-width // _GRAIN) * _GRAIN
        if (height, width) not in self._padded:
            try:
                return self._run(x)
            except ComputeError:
                if fuller == (height, width):
                    raise
        logits = self._run(functional.pad(x, (0, fuller[1] - width, 0, fuller[0] - height), mode="replicate"))
        self._padded.add((height, width))
        return self._cut(logits, fuller, height, width)

    def _cut(self, logits: Tensor, size: tuple[int, int], height: int, width: int) -> Tensor:
        """The grid of the first rows and columns of an input of ``size``."""
        step = _step(size, (logits.shape[-2], logits.shape[-1]))
        if step is None:
            logits, step = resize(logits, size, self.align_corners), 1
        return logits[..., : (height - 1) // step + 1, : (width - 1) // step + 1]

    def _run(self, x: Tensor) -> Tensor:
        packed = self.signature.pack(x.numpy(), self._runner.input)
        raw = self._runner.run(packed, self.signature.output.name)
        logits: np.ndarray[Any, np.dtype[np.float32]] = self.signature.unpack(raw, self.num_classes)
        return torch.from_numpy(logits)[None]

    def receptive_radius(self) -> int:
        """:data:`UNKNOWN_RADIUS`."""
        return UNKNOWN_RADIUS


def _step(size: tuple[int, int], grid: tuple[int, int]) -> int | None:
    """Pixels per grid point where convolutions of stride 2 keep the pixels 0, 2, 4, ...; None where it is not a whole number."""
    fits = (s for s in range(1, _COARSEST + 1) if all((side - 1) // s + 1 == n for side, n in zip(size, grid, strict=True)))
    return next(fits, None)

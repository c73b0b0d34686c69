"""What every network says of itself, whoever computes it: our torch layers, or a graph that another engine runs. No torch."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from deeplab_core.errors import AtrousError, message
from deeplab_core.parallel import available_cores
from deeplab_core.records import OUTPUT_STRIDES


@dataclass(frozen=True, slots=True)
class ComputeDevice:
    """Where numbers are computed; ``str()`` spells it as torch does: ``cpu``, ``cuda:0``, ``mps``."""

    type: str
    index: int | None = None

    @classmethod
    def parse(cls, text: object) -> ComputeDevice:
        """A device from its spelling, or from a device of torch.

        Raises:
            ValueError: it is not spelled ``kind`` or ``kind:number``.
        """
        kind, colon, number = str(text).strip().lower().partition(":")
        if not kind.isalpha() or (colon and not number.isdecimal()):
            raise ValueError(f"'{text}' is no device")
        return cls(kind, int(number) if colon else None)

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The engine of a network that torch does not compute.

    Attributes:
        name: library and version, e.g. ``"onnxruntime 1.20.1"``.
        device: what it computes on, e.g. ``"cpu"`` or ``"cuda:0"``; not always what the network was moved to.
        precision: ``fp32``, ``fp16`` or ``int8``, as the file has it; options do not change it.
        input_size: the only (height, width) that the graph takes, None for a free side. Smaller windows are padded by the
            network itself, larger canvases have to be cut into tiles.
        labels_only: the graph gives labels without scores; its probabilities are 1 everywhere and say nothing.
        shares_context: tiles get the pooled context of the whole image, as with torch.
        notes: what the user should know of its predictions.
    """

    name: str
    device: str = "cpu"
    precision: str = "fp32"
    input_size: tuple[int | None, int | None] = (None, None)
    labels_only: bool = False
    shares_context: bool = False
    notes: tuple[str, ...] = ()

    def tile_for(self, canvas: tuple[int, int]) -> int | None:
        """Side of the largest square tile that the graph takes of a canvas (height, width); None where it takes it whole."""
        sides = [side for side in self.input_size if side is not None]
        fits = all(side is None or length <= side for length, side in zip(canvas, self.input_size, strict=True))
        return None if fits else min(sides)


class Network:
    """The facts of a network that a prediction depends on.

    Attributes:
        architecture: keyword arguments of :func:`deeplab_core.nn.create_model` that build this network again (JSON values).
        num_classes: channels of the logits; 1 is a two-class (sigmoid) network.
        align_corners: rule of the bilinear upsampling from coarse logits to the input's size.
        output_strides: strides that :attr:`output_stride` may be set to; a single one where the network has no choice.
        in_channels: channels of the input: 3, 1 (gray) or 4.
        minimum_side: smallest height and width that the layers accept; 1 unless a peer's unpadded convolutions need more.
    """

    in_channels: int = 3
    minimum_side: int = 1

    def _describe(self, *, num_classes: int, output_stride: int, output_strides: tuple[int, ...], align_corners: bool) -> None:
        self.architecture: dict[str, Any] = {}
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.output_strides = output_strides
        self._output_stride = output_stride

    @property
    def output_stride(self) -> int:
        """Input pixels per feature at the encoder's end. Setting it changes strides and atrous rates, never a weight."""
        return self._output_stride

    @output_stride.setter
    def output_stride(self, value: int) -> None:
        if value not in self.output_strides:
            choices = ", ".join(str(stride) for stride in self.output_strides)
            raise AtrousError(
                message("output stride {value} is not possible for this network", value=value),
                why=message("its layers allow {choices}", choices=choices),
                remedy=message("Choose one of {choices}", choices=choices),
            )
        self._output_stride = value
        self._set_output_stride(value)

    def _set_output_stride(self, value: int) -> None:
        """Hook for networks with a choice of strides."""

    @property
    def sigmoid(self) -> bool:
        """Whether the network has one channel: the logit of one class against the background."""
        return self.num_classes == 1

    @property
    def label_count(self) -> int:
        """Classes that the network tells apart: its channels, or background and object where it has one."""
        return max(2, self.num_classes)

    @property
    def engine(self) -> Engine | None:
        """What computes the network where torch does not."""
        return None

    def receptive_radius(self) -> int:
        """Theoretical radius in input pixels at the current stride; image-level pooling left out.

        A coarse score depends on no input pixel further than this from its centre (Chebyshev distance).
        """
        raise NotImplementedError


class GraphNetwork(Network):
    """A network that another engine computes as a finished graph. Arrays go in and come out.

    Args:
        num_classes, output_stride, output_strides, align_corners: see :class:`Network`.
    """

    def __init__(
        self, *, num_classes: int, output_stride: int, output_strides: tuple[int, ...] = OUTPUT_STRIDES, align_corners: bool
    ) -> None:
        self._describe(
            num_classes=num_classes, output_stride=output_stride, output_strides=output_strides, align_corners=align_corners
        )

    @property
    def engine(self) -> Engine:
        """What computes it, and where."""
        raise NotImplementedError

    def copy(self) -> GraphNetwork:
        """A network with a stride of its own over the same graphs, which nothing can change."""
        raise NotImplementedError

    def move(self, device: ComputeDevice) -> None:
        """Compute on a device from now on, as far as the engine can; :attr:`engine` records where it does."""

    @property
    def weight_bytes(self) -> int:
        """About the memory that its weights take; 0 if nothing tells."""
        return 0

    def pooled_context(self, x: Any, region: tuple[int, int, int, int] | None = None) -> Any:  # noqa: ARG002
        """As :meth:`deeplab_core.nn.SegmentationModel.pooled_context`, for arrays; None if tiles share nothing."""
        return None

    def features(self, x: Any) -> Any:  # noqa: ARG002
        """(N, C, h, w) float32 output of the encoder, before pyramid and decoder; None if the graph does not give it."""
        return None

    def coarse_logits(self, x: Any, pooled: Any = None) -> Any:
        """Logits before the final upsampling.

        Args:
            x: (N, in_channels, H, W) float32, normalised as the model card says.
            pooled: (N, C, 1, 1) float32, what :meth:`pooled_context` gave for the whole image; None if there is none.

        Returns:
            (N, num_classes, h, w) float32.
        """
        raise NotImplementedError


def compute_threads() -> int:
    """Threads of an engine beside torch: torch's own number where torch is loaded, else the available cores, or
    ``OMP_NUM_THREADS`` where that is fewer.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(available_cores(), int(asked) if asked.isdecimal() and int(asked) else sys.maxsize)

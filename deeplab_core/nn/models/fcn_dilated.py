"""The fully convolutional head over a dilated encoder: torchvision's ``fcn_resnet50``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from deeplab_core.nn.base import Encoder, SegmentationModel
from deeplab_core.nn.layers import Norm, initialise, resize
from deeplab_core.nn.models.deeplab import AuxiliaryHead


@dataclass(frozen=True, slots=True, kw_only=True)
class DilatedFCNOptions:
    """Head of the dilated FCN.

    Attributes:
        hidden: channels of the 3x3 convolution; None takes a quarter of the encoder's.
        auxiliary: hidden channels of a training-only head on level 4, or 0.
        norm_eps, norm_momentum: batch norm of the heads.
        align_corners: rule of upsampling.
    """

    hidden: int | None = None
    auxiliary: int = 0
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    align_corners: bool = False


class DilatedFCN(SegmentationModel):
    """One 3x3 convolution and a classifier at the encoder's end; keys ``encoder``, ``head``, ``auxiliary``."""

    auxiliary_key_prefix = "auxiliary."

    def __init__(self, encoder: Encoder, *, num_classes: int, output_stride: int, options: DilatedFCNOptions) -> None:
        super().__init__(
            num_classes=num_classes,
            output_stride=output_stride,
            output_strides=encoder.output_strides,
            align_corners=options.align_corners,
        )
        o = options
        norm = Norm(o.norm_eps, o.norm_momentum)
        channels = encoder.level_channels
        self.head = AuxiliaryHead(channels[-1], o.hidden or channels[-1] // 4, num_classes, norm)
        self.auxiliary = AuxiliaryHead(channels[3], o.auxiliary, num_classes, norm) if o.auxiliary else None
        self.encoder = encoder
        initialise(self)
        self.output_stride = output_stride

    def _set_output_stride(self, value: int) -> None:
        self.encoder.set_output_stride(value)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at the output stride."""
        out: Tensor = self.head(self.encoder.levels(x)[-1])
        return out

    def logits_with_auxiliary(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits and the auxiliary head's, both at input size; for the training loss."""
        size = (x.shape[-2], x.shape[-1])
        levels = self.encoder.levels(x)
        logits = resize(self.head(levels[-1]), size, self.align_corners)
        if self.auxiliary is None:
            return logits, None
        return logits, resize(self.auxiliary(levels[3]), size, self.align_corners)

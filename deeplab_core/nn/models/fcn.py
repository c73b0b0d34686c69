"""Fully convolutional networks: FCN-32s, 16s, 8s over VGG-16 (Long, Shelhamer, Darrell 2015, arXiv 1411.4038 and 1605.06211),
and the fully convolutional head over a dilated encoder (torchvision's ``fcn_resnet50``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import Encoder, SegmentationModel
from deeplab_core.nn.layers import ConvNormAct, Norm, Window, fill_bilinear, initialise, resize
from deeplab_core.nn.models.deeplab import AuxiliaryHead
from deeplab_core.nn.models.vgg import vgg_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class FCNOptions:
    """Which FCN.

    Attributes:
        variant: finest features that are added: pool5 alone (``"32s"``), pool4 (``"16s"``), pool3 (``"8s"``); or all of them
            trained at once, scaled by 0.01 and 0.0001 before their classifiers (``"8s_at_once"``).
    """

    variant: Literal["32s", "16s", "8s", "8s_at_once"] = "8s"


class FCN(SegmentationModel):
    """VGG-16 with convolutional fc6 and fc7, class scores of several strides, bilinear transposed convolutions.

    The first convolution pads by 100 px, so that inputs of any size leave something for the 7x7 fc6; all sums crop for it (5, 9,
    31 and so on are the prototxts' offsets). ``coarse_logits`` are at input size: the upsampling is part of the network.
    """

    def __init__(self, *, num_classes: int, options: FCNOptions) -> None:
        super().__init__(num_classes=num_classes, output_stride=32, output_strides=(32,))
        self.variant = options.variant
        self.stages = vgg_stages(first_padding=100)
        self.fc6 = ConvNormAct(512, 4096, Window(7, padding=0), norm=None)
        self.fc7 = ConvNormAct(4096, 4096, 1, norm=None)
        self.dropout = nn.Dropout2d(0.5)
        self.score_fr = nn.Conv2d(4096, num_classes, 1)
        initialise(self)
        self.upscores = nn.ModuleDict()
        self.score_pools = nn.ModuleDict()
        if self.variant == "32s":
            self._add_upscore("final", 64, 32)
            return
        self._add_upscore("fr", 4, 2)
        self._add_score("pool4", 512)
        if self.variant == "16s":
            self._add_upscore("final", 32, 16)
            return
        self._add_upscore("pool4", 4, 2)
        self._add_score("pool3", 256)
        self._add_upscore("final", 16, 8)

    def _add_upscore(self, name: str, kernel: int, stride: int) -> None:
        layer = nn.ConvTranspose2d(self.num_classes, self.num_classes, kernel, stride=stride, bias=False)
        fill_bilinear(layer)
        self.upscores[name] = layer

    def _add_score(self, name: str, channels: int) -> None:
        layer = nn.Conv2d(channels, self.num_classes, 1)
        # As published: a skip starts as nothing and learns its share.
        nn.init.zeros_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
        self.score_pools[name] = layer

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at input size."""
        pools: list[Tensor] = []
        out = x
        for stage in self.stages:
            out = functional.max_pool2d(stage(out), 2, 2, ceil_mode=True)
            pools.append(out)
        out = self.score_fr(self.dropout(self.fc7(self.dropout(self.fc6(out)))))
        offset = 19
        once = self.variant == "8s_at_once"
        if "pool4" in self.score_pools:
            out = self._add(self.upscores["fr"](out), "pool4", pools[3] * 0.01 if once else pools[3], 5)
            offset = 27
        if "pool3" in self.score_pools:
            out = self._add(self.upscores["pool4"](out), "pool3", pools[2] * 0.0001 if once else pools[2], 9)
            offset = 31
        full: Tensor = self.upscores["final"](out)
        return full[..., offset : offset + x.shape[-2], offset : offset + x.shape[-1]]

    def _add(self, scores: Tensor, name: str, features: Tensor, offset: int) -> Tensor:
        skip: Tensor = self.score_pools[name](features)
        return scores + skip[..., offset : offset + scores.shape[-2], offset : offset + scores.shape[-1]]


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

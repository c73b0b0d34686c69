"""Networks that unpool with the switches of their pooling: SegNet, SegNet-Basic (arXiv 1511.00561) and DeconvNet (1505.04366)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.layers import ConvNormAct, Norm, Window, initialise
from deeplab_core.nn.models.vgg import STAGES, vgg_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class SegNetOptions:
    """Size of SegNet.

    Attributes:
        form: ``"vgg16"``, or ``"basic"``: four 7x7 convolutions each way, local response normalisation of the input, no ReLU in
            the decoder.
    """

    form: Literal["vgg16", "basic"] = "vgg16"


def _pooled(x: Tensor, ceil: bool) -> tuple[Tensor, Tensor]:
    values, switches = functional.max_pool2d_with_indices(x, [2, 2], [2, 2], ceil_mode=ceil)
    return values, switches


class SegNet(SegmentationModel):
    """Encoder, unpooling by kept switches, mirrored decoder; keys ``encoder``, ``decoder``, ``classifier``. Pooling rounds up."""

    def __init__(self, *, num_classes: int, options: SegNetOptions) -> None:
        super().__init__(num_classes=num_classes, output_stride=1, output_strides=(1,))
        norm = Norm()
        basic = options.form == "basic"
        self.normalise: nn.Module = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75) if basic else nn.Identity()
        if basic:
            self.encoder = nn.ModuleList(
                nn.Sequential(ConvNormAct(3 if i == 0 else 64, 64, 7, norm=norm, bias=True)) for i in range(4)
            )
            self.decoder = nn.ModuleList(nn.Sequential(ConvNormAct(64, 64, 7, norm=norm, act=None, bias=True)) for _ in range(4))
            self.classifier = nn.Conv2d(64, num_classes, 1)
        else:
            self.encoder = vgg_stages(norm=norm)
            self.decoder = nn.ModuleList()
            for number in range(4, -1, -1):
                width, count = STAGES[number]
                after = STAGES[number - 1][0] if number else None
                convs = nn.Sequential()
                for index in range(count):
                    last = index == count - 1
                    if last and after is None:
                        break
                    convs.append(ConvNormAct(width, after if last and after else width, 3, norm=norm, bias=True))
                self.decoder.append(convs)
            self.classifier = nn.Conv2d(64, num_classes, 3, padding=1)
        initialise(self)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at input size: there is no coarser form."""
        x = self.normalise(x)
        kept: list[tuple[Tensor, tuple[int, int]]] = []
        for stage in self.encoder:
            x = stage(x)
            size = (x.shape[-2], x.shape[-1])
            x, switches = _pooled(x, True)
            kept.append((switches, size))
        for stage in self.decoder:
            switches, size = kept.pop()
            x = stage(functional.max_unpool2d(x, switches, [2, 2], [2, 2], output_size=list(size)))
        logits: Tensor = self.classifier(x)
        return logits


class TransposedNormAct(nn.Module):
    """Transposed convolution of stride 1, norm, ReLU; keys ``conv`` and ``norm``."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, padding: int, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel, padding=padding)
        self.norm = norm.build(out_channels)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H', W')``."""
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class DeconvNetOptions:
    """DeconvNet has one form.

    Attributes:
        hidden: channels of fc6 and fc7.
    """

    hidden: int = 4096


class DeconvNet(SegmentationModel):
    """VGG-16 down to one vector per 224 px window, and its mirror of unpoolings and transposed convolutions.

    Keys ``encoder``, ``fc6``, ``fc7``, ``fc6_deconv``, ``decoder``, ``classifier``. Made for 224 x 224 windows; larger inputs run
    fully convolutionally.
    """

    minimum_side = 224

    def __init__(self, *, num_classes: int, options: DeconvNetOptions) -> None:
        super().__init__(num_classes=num_classes, output_stride=1, output_strides=(1,))
        norm = Norm()
        self.encoder = vgg_stages(norm=norm)
        self.fc6 = ConvNormAct(512, options.hidden, Window(7, padding=0), norm=norm, bias=True)
        self.fc7 = ConvNormAct(options.hidden, options.hidden, 1, norm=norm, bias=True)
        self.fc6_deconv = TransposedNormAct(options.hidden, 512, 7, padding=0, norm=norm)
        self.decoder = nn.ModuleList()
        for number in range(4, -1, -1):
            width, count = STAGES[number]
            after = STAGES[number - 1][0] if number else width
            stage = nn.Sequential()
            for index in range(count):
                stage.append(TransposedNormAct(width, after if index == count - 1 else width, 3, padding=1, norm=norm))
            self.decoder.append(stage)
        self.classifier = nn.Conv2d(64, num_classes, 1)
        initialise(self)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at input size: there is no coarser form."""
        kept: list[tuple[Tensor, tuple[int, int]]] = []
        for stage in self.encoder:
            x = stage(x)
            size = (x.shape[-2], x.shape[-1])
            x, switches = _pooled(x, False)
            kept.append((switches, size))
        x = self.fc6_deconv(self.fc7(self.fc6(x)))
        for stage in self.decoder:
            switches, size = kept.pop()
            x = stage(functional.max_unpool2d(x, switches, [2, 2], [2, 2], output_size=list(size)))
        logits: Tensor = self.classifier(x)
        return logits

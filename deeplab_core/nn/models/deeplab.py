"""DeepLabv3 (Chen et al. 2017, arXiv 1706.05587) and DeepLabv3+ (Chen et al. 2018, arXiv 1802.02611)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import Encoder, SegmentationModel, region_mean
from deeplab_core.nn.exact import ConvOverUpsampled, applies
from deeplab_core.nn.layers import ConvNormAct, Norm, SeparableConvNormAct, SeparableInner, initialise, resize, upsampling_matrix


@dataclass(frozen=True, slots=True)
class GridWindow:
    """A part of the grid of coarse logits: its first row and column, and its size."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """Rows of the grid."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """Columns of the grid."""
        return slice(self.left, self.left + self.width)


@dataclass(frozen=True, slots=True)
class CellBranch:
    """One branch: what it reads (-1 for the encoder's features, else an earlier branch) and its (vertical, horizontal) rate at
    output stride 16.
    """

    source: int
    rate: tuple[int, int]


#: Cells by name. ``cityscapes_top1`` is figure 5 of the paper, the cell of TensorFlow's Xception-71 releases.
CELLS: dict[str, tuple[CellBranch, ...]] = {
    "cityscapes_top1": (
        CellBranch(-1, (1, 6)),
        CellBranch(0, (18, 15)),
        CellBranch(1, (6, 3)),
        CellBranch(0, (1, 1)),
        CellBranch(0, (6, 21)),
    ),
}


class DensePredictionCell(nn.Module):
    """A searched cell in place of the pyramid (Chen et al. 2018, "Searching for Efficient Multi-Scale Architectures", arXiv
    1809.04184): five atrous separable convolutions, each over the encoder's features or over an earlier branch.

    Branches, their concatenation in order, and a 1x1 projection; keys ``branches.N`` and ``project``, as the pyramid's.

    Args:
        cell: name in :data:`CELLS`.
        channels: of every branch and of the output; 256 in the paper.
        dropout: probability of dropping concatenated features, in training only.
        norm: batch norm of the layers.
    """

    def __init__(self, in_channels: int, cell: str, *, channels: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.plan = CELLS[cell]
        self.pooling = None
        self.branches = nn.ModuleList(
            SeparableConvNormAct(in_channels if branch.source < 0 else channels, channels, norm=norm) for branch in self.plan
        )
        self.project = ConvNormAct(channels * len(self.plan), channels, 1, norm=norm)
        self.dropout = nn.Dropout(dropout)

    def set_output_stride(self, output_stride: int) -> None:
        """Scale the rates to the output stride."""
        for layer, branch in zip(self.branches, self.plan, strict=True):
            assert isinstance(layer, SeparableConvNormAct)
            vertical, horizontal = (max(1, rate * 16 // output_stride) for rate in branch.rate)
            layer.set_rate((vertical, horizontal))

    def forward(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (no branch sees the whole image)
        """``(N, C, h, w)`` to ``(N, channels, h, w)``."""
        parts: list[Tensor] = []
        for layer, branch in zip(self.branches, self.plan, strict=True):
            parts.append(layer(x if branch.source < 0 else parts[branch.source]))
        out: Tensor = self.project(self.dropout(torch.cat(parts, dim=1)))
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepLabOptions:
    """What differs between the DeepLab heads of the field. Each attribute says who uses what.

    Attributes:
        atrous_rates: of the 3x3 branches of atrous spatial pyramid pooling, at output stride 16; () leaves only the 1x1 branch
            (TensorFlow's MobileNetV2 release).
        scale_rates: rates are doubled at stride 8 and halved at 32; off in segmentation_models.pytorch.
        image_pooling: the image-level branch.
        pyramid: off classifies the encoder's features without any spatial pyramid (SegmenTron's MobileNetV2).
        dense_prediction_cell: name of a searched cell in place of the pyramid (TensorFlow's Xception-71), or None.
        branch_order: order of concatenation; it decides which channels of ``project`` belong to which branch. ``"pool_first"`` in
            TensorFlow and its ports, ``"pool_last"`` elsewhere.
        aspp_channels, decoder_channels, low_level_channels: 256, 256, 48 in the paper.
        aspp_dropout, decoder_dropout: probability of dropping, in training only.
        separable: depthwise separable 3x3 convolutions in the pyramid and the decoder.
        separable_inner: what stands between their halves.
        after_aspp: a 3x3 convolution behind the pyramid: ``"conv"`` in torchvision's and VainF's DeepLabv3, ``"separable"`` in
            segmentation_models.pytorch's DeepLabv3+, None in TensorFlow.
        decoder: ``"deeplabv3plus"`` refines at the low-level features' resolution, ``"bilinear"`` classifies at the encoder's
            (the naive decoder; the same as DeepLabv3), ``"convs"`` has the decoder's 3x3 convolutions at the encoder's
            resolution without low-level features (SegmenTron).
        decoder_separable: overrides ``separable`` for the decoder.
        decoder_convs: number of 3x3 convolutions (two in the paper; one in VainF and segmentation_models.pytorch).
        decoder_order: ``"low_level_first"`` in VainF, ``"aspp_first"`` elsewhere.
        head_bias: convolutions have a bias although a norm follows (bubbliiiing).
        auxiliary: adds a training-only FCN head (torchvision's ``aux_classifier``) with this many hidden channels; 0 for none.
        auxiliary_level: index of the encoder level that it reads: 3 over ResNets, 2 over MobileNetV3.
        norm_eps, norm_momentum, folded_norm: batch norm of the head.
        align_corners: rule of every bilinear upsampling in the model. True (TensorFlow, jfzhang95) fits stride-16 features
            exactly on inputs of 16 k + 1 pixels; False in VainF, torchvision, kazuto1011.
        native_output: what the authors' code returns: logits at the ``"input"`` size, or ``"coarse"`` ones.
    """

    atrous_rates: tuple[int, ...] = (6, 12, 18)
    scale_rates: bool = True
    image_pooling: bool = True
    pyramid: bool = True
    dense_prediction_cell: Literal["cityscapes_top1"] | None = None
    branch_order: Literal["pool_last", "pool_first"] = "pool_last"
    aspp_channels: int = 256
    aspp_dropout: float = 0.1
    separable: bool = False
    separable_inner: SeparableInner = "norm_relu"
    after_aspp: Literal["conv", "separable"] | None = None
    decoder: Literal["deeplabv3plus", "bilinear", "convs"] = "deeplabv3plus"
    low_level_channels: int = 48
    decoder_channels: int = 256
    decoder_convs: int = 2
    decoder_separable: bool | None = None
    decoder_order: Literal["aspp_first", "low_level_first"] = "aspp_first"
    decoder_dropout: float = 0.1
    head_bias: bool = False
    auxiliary: int = 0
    auxiliary_level: int = 3
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    folded_norm: bool = False
    align_corners: bool = True
    native_output: Literal["input", "coarse"] = "input"


def _conv3x3(
    in_channels: int, out_channels: int, *, separable: bool, o: DeepLabOptions, norm: Norm
) -> ConvNormAct | SeparableConvNormAct:
    if separable:
        return SeparableConvNormAct(in_channels, out_channels, norm=norm, inner=o.separable_inner, bias=o.head_bias)
    return ConvNormAct(in_channels, out_channels, 3, norm=norm, bias=o.head_bias)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling with image-level features (DeepLabv3, section 3.3).

    Keys: ``branches.0`` (1x1), ``branches.1..`` (3x3, one per rate), ``pooling``, ``project``.
    """

    branch_weight: Tensor | None
    image_weight: Tensor | None

    def __init__(self, in_channels: int, options: DeepLabOptions) -> None:
        super().__init__()
        o = options
        norm = Norm(o.norm_eps, o.norm_momentum, o.folded_norm)
        self.options = o
        self.branches = nn.ModuleList([ConvNormAct(in_channels, o.aspp_channels, 1, norm=norm, bias=o.head_bias)])
        self.branches.extend(
            _conv3x3(in_channels, o.aspp_channels, separable=o.separable, o=o, norm=norm) for _ in o.atrous_rates
        )
        self.pooling = ConvNormAct(in_channels, o.aspp_channels, 1, norm=norm, bias=o.head_bias) if o.image_pooling else None
        width = o.aspp_channels * (len(self.branches) + (1 if o.image_pooling else 0))
        self.project = ConvNormAct(width, o.aspp_channels, 1, norm=norm, bias=o.head_bias)
        self.dropout = nn.Dropout(o.aspp_dropout)
        self.joined: Callable[[Tensor], Tensor] | None = None  # another way to the branches' share of ``project``
        self.register_buffer("branch_weight", None, persistent=False)
        self.register_buffer("image_weight", None, persistent=False)

    def save_arithmetic(self) -> None:
        """The pooled features are one vector: what ``project`` makes of them is a bias, not a map.

        Pyramids of separable convolutions are left as they are: it is 1 % of such networks, and their recorded confidences, the
        bundled networks' among them, stay equal to the last bit.
        """
        if self.pooling is None or self.options.separable:
            return
        weight, width = self.project.conv.weight.detach(), self.options.aspp_channels
        first = self.options.branch_order == "pool_first"
        self.image_weight = (weight[:, :width] if first else weight[:, -width:]).clone()
        self.branch_weight = (weight[:, width:] if first else weight[:, :-width]).clone()

    def set_output_stride(self, output_stride: int) -> None:
        """Scale the rates to the output stride."""
        for branch, rate in zip(list(self.branches)[1:], self.options.atrous_rates, strict=True):
            assert isinstance(branch, (ConvNormAct, SeparableConvNormAct))
            branch.set_rate(max(1, rate * 16 // output_stride) if self.options.scale_rates else rate)

    def forward(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        """``(N, C, h, w)`` to ``(N, aspp_channels, h, w)``; ``pooled`` (N, C, 1, 1) replaces the mean of ``x``."""
        parts: list[Tensor] = [branch(x) for branch in self.branches]
        if self.pooling is not None:
            mean = x.mean((2, 3), keepdim=True) if pooled is None else pooled
            if self.branch_weight is not None and self.image_weight is not None and applies(x):
                layer = self.project
                features = torch.cat(parts, dim=1)
                of_branches = (
                    functional.conv2d(features, self.branch_weight, layer.conv.bias)
                    if self.joined is None
                    else self.joined(features)
                )
                joined = of_branches + functional.conv2d(self.pooling(mean), self.image_weight)
                projected: Tensor = self.dropout(layer.act(layer.norm(joined)))
                return projected
            # Bilinear upsampling of a single pixel is a broadcast, whatever the corner rule.
            image = self.pooling(mean).expand(-1, -1, *x.shape[-2:])
            parts = [image, *parts] if self.options.branch_order == "pool_first" else [*parts, image]
        out: Tensor = self.dropout(self.project(torch.cat(parts, dim=1)))
        return out


class Decoder(nn.Module):
    """The decoder of DeepLabv3+ (section 3.1, table 1); keys ``reduce`` (1x1) and ``convs``.

    Args:
        low_level_channels: None decodes without low-level features.
    """

    def __init__(self, in_channels: int, low_level_channels: int | None, options: DeepLabOptions) -> None:
        super().__init__()
        o = options
        norm = Norm(o.norm_eps, o.norm_momentum, o.folded_norm)
        self.options = o
        self.reduce: ConvNormAct | None = None
        if low_level_channels is not None:
            self.reduce = ConvNormAct(low_level_channels, o.low_level_channels, 1, norm=norm, bias=o.head_bias)
            in_channels += o.low_level_channels
        separable = o.separable if o.decoder_separable is None else o.decoder_separable
        channels = [in_channels] + [o.decoder_channels] * o.decoder_convs
        self.convs = nn.Sequential(*(_conv3x3(a, b, separable=separable, o=o, norm=norm) for a, b in pairwise(channels)))
        self.dropout = nn.Dropout(o.decoder_dropout)
        self.out_channels = channels[-1]
        self.first: ConvOverUpsampled | None = None

    def save_arithmetic(self) -> None:
        """The first 3x3 convolution reads the pyramid's features before they are upsampled."""
        first = self.convs[0] if len(self.convs) else None
        if self.reduce is None or not isinstance(first, ConvNormAct) or not ConvOverUpsampled.fits(first.conv):
            return
        width = self.options.low_level_channels
        low = slice(0, width) if self.options.decoder_order == "low_level_first" else slice(first.conv.in_channels - width, None)
        self.first = ConvOverUpsampled(first.conv, low, self.options.align_corners)

    def forward(self, x: Tensor, low_level: Tensor) -> Tensor:
        """Pyramid features and low-level features to ``(N, decoder_channels, h, w)``, at the low-level features' size if used."""
        if self.reduce is not None:
            low = self.reduce(low_level)
            if self.first is not None and applies(x) and self.first.pays(low, x):
                layer = self.convs[0]
                assert isinstance(layer, ConvNormAct)
                refined: Tensor = self.dropout(self.convs[1:](layer.act(layer.norm(self.first(low, x)))))
                return refined
            x = self._joined(low, x)
        out: Tensor = self.dropout(self.convs(x))
        return out

    def _joined(self, low: Tensor, x: Tensor) -> Tensor:
        """Reduced low-level features and upsampled pyramid features in the order of the first convolution's channels."""
        return self._ordered(low, resize(x, (low.shape[-2], low.shape[-1]), self.options.align_corners))

    def _ordered(self, low: Tensor, high: Tensor) -> Tensor:
        return torch.cat([low, high] if self.options.decoder_order == "low_level_first" else [high, low], dim=1)

    def in_windows(self, x: Tensor, low_level: Tensor, windows: Sequence[GridWindow]) -> Tensor:
        """The same in ``W`` windows of one size, ``(W, decoder_channels, h, w)``, for one image (N = 1) and a decoder that
        reads low-level features. Beyond a window's edge the convolutions see zeros; see :meth:`DeepLab.window_logits`.
        """
        assert self.reduce is not None
        down, across = (
            upsampling_matrix(x.shape[axis], low_level.shape[axis], self.options.align_corners).to(x) for axis in (-2, -1)
        )
        low = self.reduce(torch.cat([low_level[..., one.rows, one.columns] for one in windows]))
        high = torch.cat([down[one.rows] @ x @ across[one.columns].t() for one in windows])
        out: Tensor = self.dropout(self.convs(self._ordered(low, high)))
        return out


class AuxiliaryHead(nn.Module):
    """FCN head on an earlier level, for the training loss only (torchvision's ``FCNHead``)."""

    def __init__(self, in_channels: int, hidden: int, num_classes: int, norm: Norm) -> None:
        super().__init__()
        self.conv = ConvNormAct(in_channels, hidden, 3, norm=norm)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Conv2d(hidden, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, h, w)`` to ``(N, num_classes, h, w)``."""
        out: Tensor = self.classifier(self.dropout(self.conv(x)))
        return out


class DeepLab(SegmentationModel):
    """DeepLabv3 and DeepLabv3+ over any encoder.

    Keys: ``encoder``, ``aspp``, ``after_aspp``, ``decoder``, ``classifier``, ``auxiliary``.
    """

    auxiliary_key_prefix = "auxiliary."

    def __init__(self, encoder: Encoder, *, num_classes: int, output_stride: int, options: DeepLabOptions) -> None:
        super().__init__(
            num_classes=num_classes,
            output_stride=output_stride,
            output_strides=encoder.output_strides,
            align_corners=options.align_corners,
        )
        o = options
        norm = Norm(o.norm_eps, o.norm_momentum, o.folded_norm)
        self.options = o
        self.minimum_side = encoder.minimum_side
        channels = encoder.level_channels[-1]
        self.aspp: ASPP | DensePredictionCell | None = None
        if o.dense_prediction_cell is not None:
            self.aspp = DensePredictionCell(
                channels, o.dense_prediction_cell, channels=o.aspp_channels, dropout=o.aspp_dropout, norm=norm
            )
            channels = o.aspp_channels
        elif o.pyramid:
            self.aspp = ASPP(channels, o)
            channels = o.aspp_channels
        self.after_aspp: nn.Module = nn.Identity()
        if o.after_aspp is not None:
            self.after_aspp = _conv3x3(channels, o.aspp_channels, separable=o.after_aspp == "separable", o=o, norm=norm)
            channels = o.aspp_channels
        self.decoder: Decoder | None = None
        if o.decoder != "bilinear":
            self.decoder = Decoder(channels, encoder.level_channels[1] if o.decoder == "deeplabv3plus" else None, o)
            channels = self.decoder.out_channels
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        self.auxiliary: AuxiliaryHead | None = None
        if o.auxiliary:
            self.auxiliary = AuxiliaryHead(encoder.level_channels[o.auxiliary_level], o.auxiliary, num_classes, norm)
        self.encoder = encoder
        initialise(self)
        self.output_stride = output_stride

    def _set_output_stride(self, value: int) -> None:
        self.encoder.set_output_stride(value)
        if self.aspp is not None:
            self.aspp.set_output_stride(value)

    def pooled_context(self, x: Tensor, region: tuple[int, int, int, int] | None = None) -> Tensor | None:
        """Mean encoder features ``(N, C, 1, 1)`` of a region of ``x``; None without image pooling."""
        if self.aspp is None or self.aspp.pooling is None:
            return None
        return region_mean(self.encoder.levels(x)[-1], region, self.output_stride)

    def _context(self, levels: Sequence[Tensor], pooled: Tensor | None) -> Tensor:
        features: Tensor = self.after_aspp(levels[-1] if self.aspp is None else self.aspp(levels[-1], pooled))
        return features

    def _classify(self, levels: Sequence[Tensor], pooled: Tensor | None) -> Tensor:
        features = self._context(levels, pooled)
        if self.decoder is not None:
            features = self.decoder(features, levels[1])
        out: Tensor = self.classifier(features)
        return out

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        """Logits at a quarter of the input's size with the decoder, at the output stride without."""
        return self._classify(self.encoder.levels(x), pooled)

    @property
    def window_margin(self) -> int | None:
        """How many grid points from a window's inner edges :meth:`window_logits` differs from the whole grid's logits; None
        where the network has no decoder that reads low-level features, whose work windows save.
        """
        return None if self.decoder is None or self.decoder.reduce is None else len(self.decoder.convs)

    def window_logits(self, x: Tensor, windows: Sequence[GridWindow]) -> Tensor:
        """Coarse logits in some windows of their grid: most of a decoder's work is saved, the pyramid runs over the whole image.

        They are those of :meth:`coarse_logits`, except within :attr:`window_margin` of edges that are not the grid's own.

        Args:
            x: ``(1, C, H, W)`` float32, one image.
            windows: inside the grid, all of one size; only with a :attr:`window_margin`.

        Returns:
            ``(W, num_classes, h, w)``.
        """
        assert self.decoder is not None
        levels = self.encoder.levels(x)
        out: Tensor = self.classifier(self.decoder.in_windows(self._context(levels, None), levels[1], windows))
        return out

    def native_logits(self, x: Tensor) -> Tensor:
        """As the authors' code returns them; see :attr:`DeepLabOptions.native_output`."""
        return self.coarse_logits(x) if self.options.native_output == "coarse" else self(x)

    def logits_with_auxiliary(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits and the auxiliary head's, both at input size; for the training loss."""
        size = (x.shape[-2], x.shape[-1])
        levels = self.encoder.levels(x)
        logits = resize(self._classify(levels, None), size, self.align_corners)
        if self.auxiliary is None:
            return logits, None
        return logits, resize(self.auxiliary(levels[self.options.auxiliary_level]), size, self.align_corners)

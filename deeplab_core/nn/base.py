"""The contract that every segmentation network of this package keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.networks import Network
from deeplab_core.nn.layers import resize
from deeplab_core.nn.receptive import receptive_radius
from deeplab_core.records import OUTPUT_STRIDES


class SegmentationModel(Network, nn.Module, ABC):
    """A network that gives every pixel a score per class.

    Input is ``(N, in_channels, H, W)`` float32, already normalised as the model card says; ``coarse_logits`` and
    ``native_logits`` need ``H, W >= minimum_side``, the call itself takes any size.

    Attributes:
        auxiliary_key_prefix: prefix of the parameters that only training uses, or an empty string.
    """

    auxiliary_key_prefix: str = ""

    def __init__(
        self,
        *,
        num_classes: int,
        output_stride: int,
        output_strides: tuple[int, ...] = OUTPUT_STRIDES,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self._describe(
            num_classes=num_classes, output_stride=output_stride, output_strides=output_strides, align_corners=align_corners
        )

    def pooled_context(
        self,
        x: Tensor,  # noqa: ARG002  (most networks pool nothing)
        region: tuple[int, int, int, int] | None = None,  # noqa: ARG002
    ) -> Tensor | None:
        """Mean of the encoder's features over the image, for models with image-level pooling.

        Means of disjoint parts of one image may be combined by area weight and handed to :meth:`coarse_logits`, so that
        tiles see the whole image's context.

        Args:
            x: ``(N, 3, H, W)`` float32.
            region: (top, left, bottom, right) in pixels of ``x``: average only the features with centres, at multiples of
                the output stride, lie inside (half-open). A tile's margin is context for its core but belongs to another tile.

        Returns:
            ``(N, C, 1, 1)`` float32, or None where the model pools nothing over the whole image.
        """
        return None

    @abstractmethod
    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        """Logits before the final upsampling.

        Args:
            x: ``(N, 3, H, W)`` float32.
            pooled: what :meth:`pooled_context` gave for the whole image; None pools over ``x`` itself. Models without
                image-level pooling ignore it.

        Returns:
            ``(N, num_classes, h, w)`` float32 with ``h <= H`` and ``w <= W``.
        """

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` float32 to ``(N, num_classes, H, W)`` logits, for any size: what is below :attr:`minimum_side` is
        continued at the bottom and right by its last row and column.
        """
        height, width = x.shape[-2:]
        lacking = (max(0, self.minimum_side - width), max(0, self.minimum_side - height))
        if any(lacking):
            x = functional.pad(x, (0, lacking[0], 0, lacking[1]), mode="replicate")
        logits = resize(self.coarse_logits(x), (x.shape[-2], x.shape[-1]), self.align_corners)
        return logits[..., :height, :width]

    def native_logits(self, x: Tensor) -> Tensor:
        """Logits at the size and in the form that the authors' own code returns; :meth:`forward` where that is the same."""
        out: Tensor = self(x)
        return out

    def receptive_radius(self) -> int:
        """Theoretical radius in input pixels, by layer arithmetic at the current stride; image-level pooling left out.

        A coarse score depends on no input pixel further than this from its centre (Chebyshev distance).
        """
        return receptive_radius(self)


def class_logits(logits: Tensor) -> Tensor:
    """Logits of every class: as they are, or, of a one-channel network, 0 for the background and the logit for the object.

    The softmax of ``(0, z)`` is ``(1 - sigmoid(z), sigmoid(z))`` and its cross entropy is binary cross entropy, so whatever is
    right for several classes is right for one channel too.

    Args:
        logits: ``(N, C, ...)``.

    Returns:
        ``(N, max(2, C), ...)``.
    """
    return logits if logits.shape[1] > 1 else torch.cat((torch.zeros_like(logits), logits), dim=1)


def region_mean(features: Tensor, region: tuple[int, int, int, int] | None, stride: int) -> Tensor:
    """Mean over positions, ``(N, C, 1, 1)``: of all features, or of those with centres in a region.

    Args:
        features: ``(N, C, h, w)``; feature ``i`` is centred at pixel ``i * stride``.
        region: (top, left, bottom, right) in pixels, half-open; see :meth:`SegmentationModel.pooled_context`.
        stride: input pixels per feature.
    """
    if region is not None:
        top, left, bottom, right = (-(-edge // stride) for edge in region)
        features = features[..., top:bottom, left:right]
    return features.mean((2, 3), keepdim=True)


class Encoder(nn.Module, ABC):
    """A backbone that returns five levels of features.

    Attributes:
        level_channels: channels of the levels, nominal strides 2, 4, 8, 16, 32. Levels past the output stride keep its
            resolution. The last level is the encoder's output, the second the low-level features of DeepLabv3+.
        minimum_side: smallest input side.
        output_strides: strides that can be chosen.
    """

    level_channels: tuple[int, ...] = ()
    minimum_side: int = 1
    output_strides: tuple[int, ...] = OUTPUT_STRIDES

    @abstractmethod
    def set_output_stride(self, output_stride: int) -> None:
        """Set strides and atrous rates for one of :attr:`output_strides`."""

    @property
    def chain(self) -> tuple[tuple[str, ...], ...]:
        """Names of the modules of each part, in the order in which the parts run; each part needs only what the one before gave.

        Empty where the encoder is not such a chain; then it can only be run whole.
        """
        return ()

    def run_chain(
        self, x: Tensor, levels: tuple[Tensor, ...] = (), *, first: int = 0, stop: int | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the parts ``first`` to ``stop`` (exclusive; None runs to the end) of :attr:`chain`.

        Args:
            x: ``(N, 3, H, W)`` input of the network, or what part ``first - 1`` gave.
            levels: levels found so far.

        Returns:
            What the last of these parts gave, and all levels found so far; the five levels once the chain has ended.
        """
        raise NotImplementedError("this encoder is not a chain")

    def levels(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to five ``(N, C_i, H_i, W_i)``; sizes are ceil(H / stride) for padded networks."""
        out: tuple[Tensor, ...] = self(x)
        return out

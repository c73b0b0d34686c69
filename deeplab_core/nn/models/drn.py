"""Dilated residual networks as their authors use them: a 1x1 classifier at stride 8, upsampled by a transposed convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import Encoder, SegmentationModel
from deeplab_core.nn.layers import fill_bilinear, initialise, resize


@dataclass(frozen=True, slots=True, kw_only=True)
class DRNHeadOptions:
    """Forms of the head in fyu/drn.

    Attributes:
        upsampling: ``"transposed"``, a grouped 16x16 transposed convolution of stride 8 (bilinear at first, not trained), or
            ``"bilinear"`` with aligned corners (the repository's ``use_torch_up``).
        head: ``"segmentation"``, or ``"classification"``: the ImageNet network. Its dense scores are the classifier at every
            position; its native output is one vector per image.
        classifier_kernel_pool: side of the classification network's average pooling (28 at 224 px input).
    """

    upsampling: Literal["transposed", "bilinear"] = "transposed"
    head: Literal["segmentation", "classification"] = "segmentation"
    classifier_kernel_pool: int = 28


class DRNSegmenter(SegmentationModel):
    """DRN with its own head; keys ``encoder``, ``classifier``, ``upsampling``.

    ``coarse_logits`` are already at input size where the upsampling is a layer of the network. Native output is the logarithm of
    the softmax, for sizes that are not a multiple of 8 larger than the input: ``8 * ceil(H / 8)``.
    """

    def __init__(self, encoder: Encoder, *, num_classes: int, output_stride: int, options: DRNHeadOptions) -> None:
        transposed = options.upsampling == "transposed" and options.head == "segmentation"
        super().__init__(num_classes=num_classes, output_stride=8, output_strides=(8,), align_corners=not transposed)
        self.options = options
        self.encoder = encoder
        self.classifier = nn.Conv2d(encoder.level_channels[-1], num_classes, 1)
        initialise(self)
        self.upsampling: nn.ConvTranspose2d | None = None
        if transposed:
            self.upsampling = nn.ConvTranspose2d(
                num_classes, num_classes, 16, stride=8, padding=4, groups=num_classes, bias=False
            )
            fill_bilinear(self.upsampling)
            self.upsampling.requires_grad_(False)
        self.output_stride = output_stride

    def _set_output_stride(self, value: int) -> None:
        self.encoder.set_output_stride(value)

    def _scores(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.encoder.levels(x)[-1])
        return out

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at input size with the transposed convolution, at stride 8 without."""
        scores = self._scores(x)
        if self.upsampling is None:
            return scores
        upsampled: Tensor = self.upsampling(scores)
        return upsampled[..., : x.shape[-2], : x.shape[-1]]

    def native_logits(self, x: Tensor) -> Tensor:
        """Log-probabilities ``(N, C, 8 ceil(H / 8), 8 ceil(W / 8))``; of a classification network ``(N, C)`` logits."""
        if self.options.head == "classification":
            features = self.encoder.levels(x)[-1]
            kernel = min(self.options.classifier_kernel_pool, *features.shape[-2:])
            return self.classifier(functional.avg_pool2d(features, kernel)).flatten(1)  # type: ignore[no-any-return]
        scores = self._scores(x)
        height, width = scores.shape[-2] * 8, scores.shape[-1] * 8
        full = resize(scores, (height, width), True) if self.upsampling is None else self.upsampling(scores)
        return functional.log_softmax(full, dim=1)

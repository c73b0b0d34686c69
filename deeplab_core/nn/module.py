"""Any ``nn.Module`` as a network of this package."""

from __future__ import annotations

from torch import Tensor, nn

from deeplab_core.errors import ArrayError, message
from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.receptive import feature_map


class ModuleNetwork(SegmentationModel):
    """A module of another program: its logits, at whatever size it gives them, are what this package works with.

    Args:
        module: reads ``(N, C, H, W)`` and gives logits ``(N, num_classes, h, w)`` with ``h <= H``, ``w <= W``: a tensor, a
            dictionary with ``"out"`` (torchvision), or a tuple whose first tensor they are. It is used as it is, not copied.
        num_classes: channels of the logits.
        stride: distance in input pixels that tiles of large images begin at; 32 suits every network that halves five times.
        in_channels: of the input.
    """

    def __init__(self, module: nn.Module, *, num_classes: int, stride: int = 32, in_channels: int = 3) -> None:
        super().__init__(num_classes=num_classes, output_stride=stride, output_strides=(stride,))
        self.in_channels = in_channels
        self.module = module
        self.architecture = {"name": "module", "module": type(module).__name__}

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is known of its pooling)
        """The module's logits.

        Raises:
            ArrayError: it gives another number of channels, or more pixels than it was given.
        """
        out = feature_map(self.module, x)
        if out.shape[1] != self.num_classes:
            raise ArrayError(
                message("the module gives {found} channels for {wanted} classes", found=out.shape[1], wanted=self.num_classes),
                remedy=message("Name as many classes as it has channels"),
            )
        if out.shape[-2] > x.shape[-2] or out.shape[-1] > x.shape[-1]:
            raise ArrayError(
                message(
                    "the module gives {found} for an image of {given}", found=tuple(out.shape[-2:]), given=tuple(x.shape[-2:])
                ),
                why=message("Logits have at most the image's size"),
                remedy=message("Crop or resize them in the module"),
            )
        return out.float()

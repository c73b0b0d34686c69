"""Small networks with the traits that matter to inference: stride, radius, corner rule, pooling, batch norm."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.layers import resize
from deeplab_core.records import ModelCard, Preprocessing

CLASSES = 5


def catalog(classes: int = CLASSES, first_id: int = 0) -> ClassCatalog:
    infos = tuple(ClassInfo(first_id + i, f"class {i}", (i, 2 * i, 3 * i)) for i in range(classes))
    return ClassCatalog("tiny", "Tiny", infos)


def card(classes: int = CLASSES, *, first_id: int = 0, output_stride: int = 8, **preprocessing: object) -> ModelCard:
    return ModelCard(
        id="tiny", name="Tiny", architecture={}, catalog=catalog(classes, first_id), output_stride=output_stride,
        preprocessing=Preprocessing(**preprocessing),  # type: ignore[arg-type]
    )  # fmt: skip


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth coloured blobs with some noise."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 7, 9)))
    smooth = interpolate(coarse, size=(height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    return np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


class TinyNet(SegmentationModel):
    """Encoder of stride 8, optional image pooling, optional decoder at stride 4; every layer random but fixed."""

    def __init__(
        self, *, align_corners: bool = False, pooling: bool = False, decoder: bool = False, classes: int = CLASSES
    ) -> None:
        super().__init__(num_classes=classes, output_stride=8, output_strides=(8,), align_corners=align_corners)
        torch.manual_seed(3)
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12), nn.ReLU(),
        )  # fmt: skip
        self.deep = nn.Sequential(nn.Conv2d(12, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.atrous = nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.pool = nn.Conv2d(16, 16, 1) if pooling else None
        self.low = nn.Conv2d(12, 16, 1) if decoder else None
        self.classifier = nn.Conv2d(16, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.normal_(module.bias, 0, 0.2)
        self.eval()
        self._spread_classes()

    def _spread_classes(self) -> None:
        """Scale and shift the classifier so that, on coloured blobs, every class wins somewhere and clearly."""
        with torch.no_grad():
            x = resize(torch.randn(1, 3, 12, 12) * 1.5, (96, 96), False)
            logits = self.coarse_logits(x)
            mean, deviation = logits.mean((0, 2, 3)), logits.std((0, 2, 3))
            gain = 5.0 / deviation
            self.classifier.weight.mul_(gain[:, None, None, None])
            self.classifier.bias.sub_(mean).mul_(gain)

    def pooled_context(self, x: Tensor, region: tuple[int, int, int, int] | None = None) -> Tensor | None:
        if self.pool is None:
            return None
        features = self.deep(self.stem(x))
        if region is not None:
            top, left, bottom, right = (-(-edge // 8) for edge in region)
            features = features[..., top:bottom, left:right]
        return features.mean((2, 3), keepdim=True)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        low = self.stem(x)
        features = self.deep(low)
        out = self.atrous(features)
        if self.pool is not None:
            out = out + 3.0 * self.pool(features.mean((2, 3), keepdim=True) if pooled is None else pooled)
        if self.low is not None:
            out = resize(out, (low.shape[-2], low.shape[-1]), self.align_corners) + self.low(low)
        logits: Tensor = self.classifier(torch.relu(out))
        return logits

"""The half of a prediction that torch computes: windows of the image on its device, coarse scores, pooled context."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from deeplab_core.backends.compiled import CompiledNetwork
from deeplab_core.inference.device import PrecisionName
from deeplab_core.inference.geometry import Size
from deeplab_core.inference.pixels import RGB, to_network_channels
from deeplab_core.networks import ComputeDevice
from deeplab_core.nn import SegmentationModel, class_logits
from deeplab_core.records import Preprocessing

DTYPES: dict[PrecisionName, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Canvas:
    """The scaled image with its padding, as a network of torch sees it; windows of it are made on demand.

    Args:
        scaled: (h, w, 3) uint8 RGB, with a fourth channel where the network takes it.
        preprocessing: of the model card: channel order, mean and std, padding value.
        device: where windows are made.
        content: (height, width) beyond which the last row and column go on, see
            :class:`~deeplab_core.inference.geometry.NetworkFrame`; None pads without end.
    """

    def __init__(
        self, scaled: RGB, preprocessing: Preprocessing, device: ComputeDevice | torch.device, content: Size | None = None
    ) -> None:
        self._scaled = scaled
        self._content = content
        self._device = where = torch.device(str(device))
        self._order = preprocessing.channel_order
        mean, std, pad = (
            torch.tensor(values, dtype=torch.float32, device=where).view(1, 1, -1)
            for values in (preprocessing.mean, preprocessing.std, preprocessing.pad_value)
        )
        self._mean, self._std = mean, std
        self._pad = (pad - mean) / std

    def window(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        """(1, C, bottom - top, right - left) float32 in channels-last memory; what lies outside the image is padding."""
        if self._content is not None and (bottom > self._content[0] or right > self._content[1]):
            # The canvas is small, so the whole of it is made and cut.
            known = self._filled(0, 0, *self._content)
            lacking = (0, max(0, right - self._content[1]), 0, max(0, bottom - self._content[0]))
            longer = functional.pad(known, lacking, mode="replicate")[..., top:bottom, left:right]
            return longer.contiguous(memory_format=torch.channels_last)
        return self._filled(top, left, bottom, right)

    def _filled(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        part = to_network_channels(self._scaled[top:bottom, left:right], self._order)
        pixels = torch.from_numpy(np.array(part, order="C")).to(self._device)
        normal = pixels.float().sub_(self._mean).div_(self._std)
        height, width = bottom - top, right - left
        if part.shape[:2] != (height, width):
            padded = self._pad.expand(height, width, part.shape[2]).clone()
            padded[: part.shape[0], : part.shape[1]] = normal
            normal = padded
        return normal.permute(2, 0, 1).unsqueeze(0).contiguous(memory_format=torch.channels_last)


class TorchPasses:
    """Forward passes of one network in one precision on one device; fp32 runs plain, others under autocast.

    Args:
        model: prepared; its output stride may change between calls.
    """

    def __init__(self, model: SegmentationModel, device: ComputeDevice, precision: PrecisionName) -> None:
        self._model, self._device, self._dtype = model, torch.device(str(device)), DTYPES[precision]

    def scores(self, x: Tensor, pooled: NDArray[np.float32] | None, compiled: CompiledNetwork | None) -> NDArray[np.float32]:
        """Logits of every class, (h, w, C) float32, of one window; ``compiled`` computes them where it is not None."""
        given = None if pooled is None else torch.from_numpy(pooled).to(self._device)
        other = None if compiled is None else compiled(x, given)
        with torch.inference_mode(), self._autocast():
            logits = (self._model.coarse_logits(x, given) if other is None else other)[0].float()
            return class_logits(logits[None])[0].permute(1, 2, 0).contiguous().cpu().numpy()

    def context(self, x: Tensor, core: tuple[int, int, int, int]) -> NDArray[np.float64] | None:
        """Mean features (1, C, 1, 1) of a part of a window; None if the network pools nothing."""
        with torch.inference_mode(), self._autocast():
            mean = self._model.pooled_context(x, core)
        return None if mean is None else mean.cpu().double().numpy()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32)

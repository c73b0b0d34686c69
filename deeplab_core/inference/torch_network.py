"""The half of a prediction that torch computes: windows of the image on its device, coarse scores, pooled context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from deeplab_core.backends.compiled import CompiledNetwork
from deeplab_core.backends.cuda_graph import CudaGraphNetwork
from deeplab_core.inference.batches import Forward, WindowBatches, to_host
from deeplab_core.inference.device import PrecisionName
from deeplab_core.inference.geometry import Size
from deeplab_core.inference.network import NotFiniteError
from deeplab_core.inference.pixels import RGB, NormalValues, to_network_channels
from deeplab_core.inference.scores import LOWEST
from deeplab_core.networks import ComputeDevice
from deeplab_core.nn import SegmentationModel, class_logits
from deeplab_core.records import Preprocessing

DTYPES: dict[PrecisionName, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@cache
def _upload_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def _uploading(device: torch.device) -> Iterator[None]:
    """Copy to a GPU, and normalise there, beside the passes that it computes; what comes after in the own stream waits."""
    if device.type != "cuda":
        yield
        return
    upload = _upload_stream(device)
    with torch.cuda.stream(upload):
        yield
    torch.cuda.current_stream(device).wait_stream(upload)


class Canvas:
    """The scaled image with its padding, as a network of torch sees it; windows of it are made on demand.

    Pixels go to other devices than the CPU as bytes, from pinned memory where it is a GPU, and are normalised there.

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
        self._normal = NormalValues(preprocessing)
        with _uploading(where):
            mean, std, pad = (
                torch.tensor(values, dtype=torch.float32, device=where).view(1, 1, -1)
                for values in (preprocessing.mean, preprocessing.std, preprocessing.pad_value)
            )
            self._mean, self._std = mean, std
            self._pad = (pad - mean) / std

    def window(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        """(1, C, bottom - top, right - left) float32 in channels-last memory; what lies outside the image is padding."""
        with _uploading(self._device):
            made = self._made(top, left, bottom, right)
        if made.is_cuda:  # its memory belongs to the stream of uploads, and another one reads it
            made.record_stream(torch.cuda.current_stream(made.device))
        return made

    def _made(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        if self._content is not None and (bottom > self._content[0] or right > self._content[1]):
            # The canvas is small, so the whole of it is made and cut.
            known = self._filled(0, 0, *self._content)
            lacking = (0, max(0, right - self._content[1]), 0, max(0, bottom - self._content[0]))
            longer = functional.pad(known, lacking, mode="replicate")[..., top:bottom, left:right]
            return longer.contiguous(memory_format=torch.channels_last)
        return self._filled(top, left, bottom, right)

    def _filled(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        part = to_network_channels(self._scaled[top:bottom, left:right], self._order)
        height, width = bottom - top, right - left
        if self._device.type == "cpu":
            made = torch.empty(height, width, part.shape[2])
            self._normal.fill(part, made.numpy())
        else:
            made = self._normalised_there(part, height, width)
        return made.permute(2, 0, 1).unsqueeze(0).contiguous(memory_format=torch.channels_last)

    def _normalised_there(self, part: NDArray[np.uint8], height: int, width: int) -> Tensor:
        pixels = torch.from_numpy(np.array(part, order="C"))
        if self._device.type == "cuda":
            pixels = pixels.pin_memory().to(self._device, non_blocking=True)
        else:
            pixels = pixels.to(self._device)
        normal = pixels.float().sub_(self._mean).div_(self._std)
        if part.shape[:2] != (height, width):
            padded = self._pad.expand(height, width, part.shape[2]).clone()
            padded[: part.shape[0], : part.shape[1]] = normal
            normal = padded
        return normal


def stored(logits: Tensor) -> Tensor:
    """As :func:`~deeplab_core.inference.scores.store_scores`, bit for bit, on the device: half the bytes come back.

    Args:
        logits: (N, h, w, C) float32.

    Returns:
        (N, h, w, C) float16.
    """
    return (logits - logits.amax(-1, keepdim=True)).clamp_(min=LOWEST).half()


class TorchPasses:
    """Forward passes of one network in one precision on one device; fp32 runs plain, others under autocast.

    Args:
        model: prepared; its output stride may change between calls.
        batches: joins the windows of several threads; None computes each by itself.
    """

    def __init__(
        self, model: SegmentationModel, device: ComputeDevice, precision: PrecisionName, batches: WindowBatches | None = None
    ) -> None:
        self._model, self._device, self._dtype = model, torch.device(str(device)), DTYPES[precision]
        self._batches = batches

    def scores(
        self, x: Tensor, pooled: NDArray[np.float32] | None, compiled: CompiledNetwork | CudaGraphNetwork | None
    ) -> NDArray[np.float16]:
        """Scores of every class, (h, w, C) float16, of one window; ``compiled`` computes its logits where it is not None.

        Raises:
            NotFiniteError: a logit is NaN or infinite.
        """
        given = None if pooled is None else torch.from_numpy(pooled).to(self._device)

        def forward(windows: Tensor) -> tuple[Tensor, ...]:
            other = None if compiled is None else compiled(windows, given)
            with torch.inference_mode(), self._autocast():
                logits = (self._model.coarse_logits(windows, given) if other is None else other).float()
                logits = class_logits(logits).permute(0, 2, 3, 1).contiguous()
                # NaN and infinity survive a sum; the sum itself may overflow only for logits that are useless anyway.
                return stored(logits), logits.sum((1, 2, 3)).isfinite()

        # Tiles that share the context of one image have a pass of their own.
        kind = object() if pooled is not None else (self._dtype, self._model.output_stride, id(compiled))
        values, finite = self._run(x, kind, forward)
        if not finite:
            raise NotFiniteError
        found: NDArray[np.float16] = values[0].numpy()
        return found

    def context(self, x: Tensor, core: tuple[int, int, int, int]) -> NDArray[np.float64] | None:
        """Mean features (1, C, 1, 1) of a part of a window; None if the network pools nothing."""

        def forward(window: Tensor) -> tuple[Tensor, ...]:
            with torch.inference_mode(), self._autocast():
                mean = self._model.pooled_context(window, core)
            return () if mean is None else (mean,)

        found = self._run(x, object(), forward)
        return found[0].double().numpy() if found else None

    def _run(self, x: Tensor, kind: object, forward: Forward) -> tuple[Tensor, ...]:
        if self._batches is not None:
            return self._batches(x, kind, forward)
        found = to_host(forward(x))
        found.wait()
        return found.parts

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32)

"""Forward passes of fixed sizes as CUDA graphs: torch's own kernels, launched all at once.

A network of a hundred layers launches several hundred kernels; on a fast GPU and one image that takes longer than they compute.
The engine is called ``cuda-graph``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from deeplab_core.errors import Cancelled
from deeplab_core.nn import SegmentationModel

#: Gives the logits of inputs of the sizes that it was made with.
Replay = Callable[..., Tensor]
LogitsPass = Callable[..., Tensor]
#: Makes a replay of a forward pass from inputs of its sizes.
Capture = Callable[[LogitsPass, tuple[Tensor, ...]], Replay]

#: Sizes that are kept, the latest; each holds its buffers on the device.
MOST_GRAPHS = 8
_WARM_UPS = 3


def capture(forward: LogitsPass, inputs: tuple[Tensor, ...], pool: Any = None) -> Replay:
    """A CUDA graph of ``forward``; what it gives is a copy, so that the next replay may write over the buffers.

    Args:
        pool: memory that graphs share which never run at the same time.
    """
    device = inputs[0].device
    own = tuple(given.clone() for given in inputs)
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):  # libraries choose their kernels, which cannot be captured
        for _ in range(_WARM_UPS):
            forward(*own)
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Other threads go on to upload images meanwhile.
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        found = forward(*own)

    def replay(*inputs: Tensor) -> Tensor:
        for buffer, given in zip(own, inputs, strict=True):
            buffer.copy_(given)
        graph.replay()
        return found.clone()

    return replay


class CudaGraphNetwork:
    """The coarse logits of a network by CUDA graphs.

    A size that comes for the first time is computed as torch does; from the second time on by a graph. Folders of images that all
    differ never pay for graphs.

    Args:
        model: prepared for inference, on the GPU; its output stride may change between calls.
        precision: of the arithmetic.
        capture: makes a graph; None is :func:`capture` with memory that all graphs of this network share.

    Attributes:
        refused: why the last size that could not be captured is computed by torch; empty without one.
    """

    engine: Literal["cuda-graph"] = "cuda-graph"

    def __init__(
        self, model: SegmentationModel, precision: Literal["fp32", "bf16", "fp16"], capture: Capture | None = None
    ) -> None:
        self.precision = precision
        self.refused = ""
        self.title = f"CUDA graph, torch {torch.__version__}"
        self._model = model
        self._capture = capture or _with_shared_memory()
        self._seen: OrderedDict[object, Replay | None] = OrderedDict()
        self._mutex = threading.Lock()  # graphs share memory

    def __call__(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        """As :meth:`SegmentationModel.coarse_logits`, in float32.

        Raises:
            RuntimeError: memory ran out; what graphs held of it is free then.
        """
        inputs = (x,) if pooled is None else (x, pooled)
        key = (self._model.output_stride, *(tuple(given.shape) for given in inputs))
        with self._mutex:
            try:
                replay = self._replay(key, inputs)
                return self._forward(*inputs) if replay is None else replay(*inputs)
            except torch.OutOfMemoryError:
                self._seen.clear()
                raise

    def _replay(self, key: object, inputs: tuple[Tensor, ...]) -> Replay | None:
        """The graph of a size; None if the size is new."""
        known = key in self._seen
        replay = self._seen.get(key)
        if known and replay is None:
            try:
                replay = self._capture(self._forward, inputs)
            except (torch.OutOfMemoryError, Cancelled):
                raise
            except Exception as error:  # e.g. a layer that waits for the device
                self.refused = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
                replay = self._forward
        self._seen[key] = replay
        self._seen.move_to_end(key)
        while len(self._seen) > MOST_GRAPHS:
            self._seen.popitem(last=False)
        return replay

    def _forward(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        return eager_logits(self._model, x, self.precision, pooled)


def _with_shared_memory() -> Capture:
    pool = torch.cuda.graph_pool_handle()
    return lambda forward, inputs: capture(forward, inputs, pool)


def eager_logits(
    model: SegmentationModel, x: Tensor, precision: Literal["fp32", "bf16", "fp16"], pooled: Tensor | None = None
) -> Tensor:
    """Coarse logits by torch, layer by layer, as float32; a reduced precision computes under autocast."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    # Casts are kept inside the graph: a cache of them would outlive it.
    with torch.inference_mode(), torch.autocast(x.device.type, dtype, enabled=precision != "fp32", cache_enabled=False):
        return model.coarse_logits(x, pooled).float()

"""A network of ours run by ONNX Runtime, OpenVINO or bf16 tiles: its prepared layers, the numbers those of torch.

Graphs that users bring are :mod:`deeplab_core.backends.network`'s business; here the network stays a torch model, which gives
receptive fields, pooled contexts and everything else, and only its forward pass runs elsewhere.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.backends.engines import PACKAGES, EngineName, installed_version
from deeplab_core.errors import ComputeError, message
from deeplab_core.kernels.compiled import multiplies_tiles
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.exact import ConvOverUpsampled
from deeplab_core.nn.layers import twin

#: Largest difference of a logit from torch's, in parts of the logits' range.
TOLERANCE = 1e-3
_OPSET = 17
_EXAMPLE = (97, 129)
#: Sizes, beyond the smallest of a network, at which a graph is compared with torch when it is made: odd, even, not square.
_CHECKED = ((64, 96), (33, 51))
_INPUT, _POOLED, _OUTPUT = "image", "pooled", "logits"
#: torch's exporter has one state for the whole process; images side by side may ask for their first graph at the same time.
_MAKING_GRAPHS = threading.Lock()


class Graph(Protocol):
    """One traced graph, loaded by an engine."""

    def run(self, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Logits (N, C, h, w) of an image (N, channels, H, W), and of the pooled context where the graph takes one."""

    def give_back_memory(self) -> None:
        """Free what is kept for the next run; nothing may run at the same time."""


class CompiledNetwork:
    """The coarse logits of a network by another engine; on the CPU, in float32 or what ``precision`` says.

    Args:
        model: prepared for inference, on the CPU; its output stride may change between calls.
        engine: which.
        precision: ``"fp32"``, or ``"bf16"`` (OpenVINO on processors that have it). The engine ``amx`` computes fp32 from
            halves in bf16 (:mod:`deeplab_core.backends.tiles`).

    Raises:
        ComputeError: the engine, or ``onnx``, is not installed; the processor lacks the precision.
    """

    def __init__(self, model: SegmentationModel, engine: EngineName, precision: Literal["fp32", "bf16"] = "fp32") -> None:
        self.engine, self.precision = engine, precision
        title = f"{PACKAGES[engine]} {installed_version(PACKAGES[engine])}"
        self.title = f"AMX by {title}" if engine == "amx" else title
        self._model = model
        self._tiles = engine == "openvino" and precision == "bf16" and has_amx()
        self._make = _by_tiles(precision) if engine == "amx" else _from_file(engine, precision, self._tiles)
        self._graphs: dict[tuple[int, bool], Graph] = {}

    def __call__(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        """As :meth:`SegmentationModel.coarse_logits`.

        Raises:
            ComputeError: the network cannot be traced, or the engine computes something else.
        """
        inputs = {_INPUT: _array(x)} if pooled is None else {_INPUT: _array(x), _POOLED: _array(pooled)}
        return torch.from_numpy(self._graph(pooled).run(inputs))

    def give_back_memory(self) -> None:
        """Free what the engine keeps for the next image; no image may be computed at the same time."""
        for graph in self._graphs.values():
            graph.give_back_memory()

    def _graph(self, pooled: Tensor | None) -> Graph:
        key = (self._model.output_stride, pooled is not None)
        if key not in self._graphs:
            with _MAKING_GRAPHS:
                if key not in self._graphs:
                    self._graphs[key] = self._made(pooled)
        return self._graphs[key]

    def _made(self, pooled: Tensor | None) -> Graph:
        try:
            graph = self._make(self._model, pooled)
            self._check(graph, pooled)
        except ComputeError:
            raise
        except Exception as error:  # exporters and engines raise dozens of types without a common base
            raise ComputeError(
                message("{engine} cannot run this network", engine=self.title),
                why=_first_line(error),
                remedy=message("Choose the engine torch"),
            ) from error
        return graph

    def _check(self, graph: Graph, pooled: Tensor | None) -> None:
        """Compare with torch at small sizes: a trace may have kept a size that it should have computed."""
        tolerance = TOLERANCE if self.precision == "fp32" else 0.5  # of a few pixels; photographs are compared in a trial
        for number, (height, width) in enumerate(_CHECKED):
            least = self._model.minimum_side
            generator = torch.Generator().manual_seed(number)
            x = torch.randn(1, self._model.in_channels, least + height, least + width, generator=generator)
            with torch.inference_mode():
                expected = self._model.coarse_logits(x, pooled).numpy()
            inputs = {_INPUT: x.numpy()} if pooled is None else {_INPUT: x.numpy(), _POOLED: _array(pooled)}
            got = graph.run(inputs)
            # A network without a spread of logits has nothing to compare.
            if got.shape != expected.shape or not float(np.abs(got - expected).max()) <= tolerance * float(np.ptp(expected)):
                raise ComputeError(
                    message("{engine} gives other numbers than torch", engine=self.title),
                    why=message("at {width} x {height} pixels", width=least + width, height=least + height),
                    remedy=message("Choose the engine torch"),
                )


#: Bytes of weights that a core's cache holds for sure.
_CACHED_WEIGHTS = 2 << 20


class AtrousProducts(nn.Module):
    """An atrous 3x3 convolution as the sum of nine 1x1 convolutions, each over the moved input.

    On processors with AMX OpenVINO computes the former line by line and reads all weights for each: 49 to 71 ms for 2048 to 256
    channels on 33 x 33 positions at the rates 6, 12 and 18, where 1x1 convolutions of as many multiplications take 15.

    Args:
        conv: kernel 3x3, stride 1, its padding the rate, one group.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.rate = int(conv.dilation[0])

    @staticmethod
    def fits(conv: nn.Module) -> bool:
        """Whether a layer is such a convolution, and its weights exceed the cache in bf16."""
        if not isinstance(conv, nn.Conv2d) or conv.dilation[0] == 1 or conv.padding_mode != "zeros":
            return False
        rate = (conv.dilation[0], conv.dilation[0])
        plain = (conv.kernel_size, conv.stride, conv.padding, conv.dilation) == ((3, 3), (1, 1), rate, rate)
        return plain and conv.groups == 1 and 2 * conv.weight.numel() > _CACHED_WEIGHTS

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, h, w)`` to ``(N, out, h, w)``."""
        padded = functional.pad(x, (self.rate,) * 4)
        total: Tensor | None = None
        for row in range(3):
            for column in range(3):
                part = functional.conv2d(
                    padded[..., self._moved(row), self._moved(column)],
                    self.conv.weight[..., row : row + 1, column : column + 1],
                    self.conv.bias if total is None else None,
                )
                total = part if total is None else total + part
        assert total is not None
        return total

    def _moved(self, tap: int) -> slice:
        """Positions of the padded input under a row or column of the kernel."""
        return slice(tap * self.rate, (tap - 2) * self.rate or None)


def for_tiles(model: SegmentationModel) -> SegmentationModel:
    """The network on the same tensors, in the form that OpenVINO computes fastest by AMX in bf16."""
    found = twin(model, lambda tensor: tensor)
    for module in list(found.modules()):
        if isinstance(module, ConvOverUpsampled):
            module.by_convolution = True
        for name, layer in module.named_children():
            if AtrousProducts.fits(layer):
                setattr(module, name, AtrousProducts(layer))  # type: ignore[arg-type]
    return found


def has_amx() -> bool:
    """Whether this processor multiplies tiles in bf16; False where torch is too old to tell."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    return capabilities is not None and bool(capabilities().get("amx_bf16"))


class _Coarse(nn.Module):
    """The coarse logits as a forward pass of plain tensors."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        return self.model.coarse_logits(x, pooled)


def traced(model: SegmentationModel, pooled: Tensor | None = None) -> bytes:
    """The coarse logits of a prepared network as an ONNX file of free batch, height and width.

    Torch's older exporter writes it in a second, the newer one takes twenty: a trial at first use cannot wait for it. What
    it might get wrong, sizes that were constants, is compared afterwards.

    Args:
        pooled: an example of the image's pooled context; None makes a graph that pools by itself.
    """
    least = model.minimum_side
    example = torch.zeros(1, model.in_channels, least + _EXAMPLE[0], least + _EXAMPLE[1])
    names = [_INPUT] if pooled is None else [_INPUT, _POOLED]
    arguments = (example,) if pooled is None else (example, pooled.float().cpu())
    stream = io.BytesIO()
    target: Any = stream  # streams are taken, too, though not declared
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Coarse(model).eval(), arguments, target, input_names=names, output_names=[_OUTPUT], opset_version=_OPSET,
            dynamic_axes={_INPUT: {0: "n", 2: "height", 3: "width"}, _OUTPUT: {0: "n", 2: "h", 3: "w"}}, dynamo=False,
        )  # fmt: skip
    return stream.getvalue()


def _from_file(engine: EngineName, precision: str, tiles: bool) -> Callable[[SegmentationModel, Tensor | None], Graph]:
    """What makes an engine's graph from a network and an example of its pooled context."""
    load = _loader(engine, precision)
    return lambda model, pooled: load(traced(for_tiles(model) if tiles else model, pooled))


def _by_tiles(precision: str) -> Callable[[SegmentationModel, Tensor | None], Graph]:
    if not multiplies_tiles():
        raise ComputeError(
            message("this processor has no AMX, or the system does not allow it"), remedy=message("Choose the engine torch")
        )
    if precision != "fp32":
        raise ComputeError(
            message("the engine {engine} has no {precision}", engine="amx", precision=precision),
            remedy=message("Choose fp32, or the engine openvino"),
        )
    from deeplab_core.backends.tiles import TileGraph

    return lambda model, _pooled: TileGraph(model, torch.get_num_threads())


def _loader(engine: EngineName, precision: str) -> Callable[[bytes], Graph]:
    if not installed_version("onnx"):
        raise ComputeError(
            message("the engine {engine} needs the package onnx", engine=engine), remedy=message("Run: pip install onnx")
        )
    if not installed_version(PACKAGES[engine]):
        raise ComputeError(
            message("the engine {engine} is not installed", engine=engine),
            remedy=message("Run: pip install {package}", package=PACKAGES[engine]),
        )
    if engine == "openvino":
        return lambda data: _OpenVinoGraph(data, precision)
    if precision != "fp32":
        raise ComputeError(
            message("ONNX Runtime has no {precision} on the CPU", precision=precision),
            remedy=message("Choose fp32, or the engine openvino"),
        )
    return _OnnxGraph


class _OnnxGraph:
    """A session of ONNX Runtime with torch's number of threads."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = False  # it never shrinks: each graph would hold what its largest image took
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning costs other processes their cores
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """See :class:`Graph`."""
        found: NDArray[np.float32] = self._session.run([_OUTPUT], inputs)[0]
        return found

    def give_back_memory(self) -> None:
        """See :class:`Graph`; it keeps nothing."""


class _OpenVinoGraph:
    """A model compiled by OpenVINO for the CPU, for any size, with torch's number of threads."""

    def __init__(self, data: bytes, precision: str) -> None:
        import openvino

        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ComputeError(message("this processor has no bf16 instructions"), remedy=message("Choose fp32"))
        properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
        }
        self._compiled = core.compile_model(core.read_model(data), "CPU", properties)
        self._requests = threading.local()  # a request serves one thread at a time

    def run(self, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """See :class:`Graph`."""
        # The request owns the memory of its results and writes into it again.
        request = getattr(self._requests, "own", None)
        if request is None:
            request = self._requests.own = self._compiled.create_infer_request()
        found: NDArray[np.float32] = request.infer(inputs)[0].copy()
        return found

    def give_back_memory(self) -> None:
        """See :class:`Graph`: two thirds of it go back; what is compiled for the sizes seen stays."""
        self._compiled.release_memory()


def _array(x: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = x.detach().float().contiguous().cpu().numpy()
    return array


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

"""ONNX Runtime on the CPU and on CUDA; the extra ``pip install atrous[onnx]``."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from deeplab_core.backends.onnx_file import OnnxFile, with_output
from deeplab_core.backends.signature import TensorSpec
from deeplab_core.errors import ComputeError, WeightsError, message

_TYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8, "tensor(int16)": np.int16, "tensor(int32)": np.int32, "tensor(int64)": np.int64,
    "tensor(uint16)": np.uint16, "tensor(uint32)": np.uint32, "tensor(bool)": np.bool_,
}  # fmt: skip
_INTEGER_OPERATIONS = {"QLinearConv", "ConvInteger", "QuantizeLinear", "DequantizeLinear"}
#: Operations that end a network without an activation.
_LINEAR = {"Conv", "ConvTranspose", "BatchNormalization", "Add", "MatMul", "Gemm"}
_MEMORY_PHRASES = ("failed to allocate", "bad_alloc", "out of memory", "cuda failure 2")


class OnnxRunner:
    """One ``.onnx`` file; see :class:`~deeplab_core.backends.signature.Runner`.

    Where a graph ends with a bilinear enlargement of its scores, the scores before it are read instead: they are a hundredth
    of the size, and the enlargement is done by the same rule, strip by strip, where labels are decided.

    Raises:
        WeightsError: ONNX Runtime is not installed, or cannot open the file.
    """

    def __init__(self, path: Path, file: OnnxFile, device: torch.device | None = None) -> None:
        runtime = _installed(path)
        self._path, self._file = path, file
        self.operations = file.operations
        self.title = f"onnxruntime {runtime.__version__}"
        providers, self.device, self.notes = _providers(runtime, device or torch.device("cpu"))
        # Weights in other files are found beside the model's path, which bytes do not have.
        self._coarse = {} if file.external else dict(file.upsampled)
        try:
            # Its own second try prints to stdout, where results go.
            self._session = runtime.InferenceSession(
                self._model(), _session_options(runtime), providers=providers, enable_fallback=0
            )
            # Names that are no UTF-8 fail when they are asked for.
            inputs, outputs = _borders(self._session.get_inputs()), _borders(self._session.get_outputs())
        except Exception as error:  # the library raises a dozen types without a common base
            raise WeightsError(
                message("ONNX Runtime cannot open the file"), why=_first_line(error),
                remedy=message("Download or export it again; a newer onnxruntime may know its operations"), path=path,
            ) from error  # fmt: skip
        if device is not None and device.type == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            self.device = "cpu"
            self.notes = ("ONNX Runtime could not start CUDA and computes on the CPU; its CUDA libraries may be missing.",)
        self._run_options = runtime.RunOptions()
        self._run_options.only_execute_path_to_fetches = True
        self._run_options.log_severity_level = 4  # what fails is raised, and said once
        if len(inputs) != 1:
            raise WeightsError(
                message("the graph has {count} inputs, not one image", count=len(inputs)),
                remedy=message("Export it again"),
                path=path,
            )
        self.input = _spec(inputs[0], path)
        found = {out.name: replace(_spec(out, path), sigmoid=_is_sigmoid(file.makers.get(out.name, ""))) for out in outputs}
        sources = {upsampling.source for upsampling in self._coarse.values()}
        own = [name for name in found if name not in sources]
        self.outputs = tuple(found[self._coarse[name].source] if name in self._coarse else found[name] for name in own)
        self.align_corners = {upsampling.source: upsampling.align_corners for upsampling in self._coarse.values()}
        half = np.float16 in (self.input.dtype, *(out.dtype for out in self.outputs))
        self.precision = "int8" if _INTEGER_OPERATIONS.intersection(file.operations) else "fp16" if half else "fp32"

    def _model(self) -> bytes | str:
        if not self._coarse:
            return str(self._path)
        sources = dict.fromkeys(upsampling.source for upsampling in self._coarse.values())
        return self._path.read_bytes() + b"".join(with_output(source) for source in sources)

    def run(self, values: NDArray[Any], output: str) -> NDArray[Any]:
        """One output; see the protocol."""
        try:
            found: NDArray[Any] = self._session.run([output], {self.input.name: values}, self._run_options)[0]
        except Exception as error:  # as above
            line = _first_line(error)
            if any(phrase in line.lower() for phrase in _MEMORY_PHRASES):
                raise MemoryError(line) from error
            raise ComputeError(
                message("ONNX Runtime cannot compute this image"),
                why=line,
                remedy=message("Choose a size that the network takes (resize and padding on its model card)"),
            ) from error
        return found

    def on(self, device: torch.device) -> OnnxRunner:
        """The same file in a session for another device, as far as the installed ONNX Runtime has it."""
        _, nearest, notes = _providers(_installed(self._path), device)
        if nearest != self.device:
            return OnnxRunner(self._path, self._file, device)
        twin = copy.copy(self)
        twin.notes = notes
        return twin


def _is_sigmoid(operation: str) -> bool | None:
    """Whether what an operation makes are probabilities (True) or logits (False); None where it does not tell."""
    return True if operation == "Sigmoid" else False if operation in _LINEAR else None


def _installed(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsError(
            message("an ONNX file needs ONNX Runtime, which is not installed"),
            remedy=message("Run: pip install onnxruntime (onnxruntime-gpu for CUDA)"),
            path=path,
        ) from error
    return onnxruntime


def _providers(runtime: Any, device: torch.device) -> tuple[list[Any], str, tuple[str, ...]]:
    """Execution providers in order of preference, the device that they mean, and notes."""
    cpu = "CPUExecutionProvider"
    if device.type == "cpu":
        return [cpu], "cpu", ()
    if device.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers():
        index = device.index or 0
        return [("CUDAExecutionProvider", {"device_id": index}), cpu], f"cuda:{index}", ()
    remedy = "; for CUDA run: pip uninstall onnxruntime, pip install onnxruntime-gpu" if device.type == "cuda" else ""
    return [cpu], "cpu", (f"This ONNX Runtime computes on the CPU, not on {device}{remedy}.",)


def _session_options(runtime: Any) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


class _Border(NamedTuple):
    """A tensor as ONNX Runtime describes it."""

    name: str
    type: str
    shape: list[int | str | None]


def _borders(tensors: list[Any]) -> list[_Border]:
    return [_Border(tensor.name, tensor.type, tensor.shape) for tensor in tensors]


def _spec(tensor: _Border, path: Path) -> TensorSpec:
    dtype = _TYPES.get(tensor.type)
    if dtype is None:
        raise WeightsError(
            message("the graph's tensor {tensor} is of type {tensor_type}", tensor=tensor.name, tensor_type=tensor.type),
            remedy=message("Export it again"),
            path=path,
        )
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in tensor.shape)
    return TensorSpec(name=tensor.name, shape=shape, dtype=np.dtype(dtype))


def _first_line(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.removeprefix("[ONNXRuntimeError] : ")[:300]

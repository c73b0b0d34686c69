"""An ONNX Runtime session: opened on a device, fed by name, its errors named; the extra ``pip install atrous[onnx]``."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deeplab_core.backends.signature import TensorSpec
from deeplab_core.errors import Cancelled, ComputeError, WeightsError, message
from deeplab_core.networks import ComputeDevice, compute_threads
from deeplab_core.parallel import IsCancelled

_TYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8, "tensor(int16)": np.int16, "tensor(int32)": np.int32, "tensor(int64)": np.int64,
    "tensor(uint16)": np.uint16, "tensor(uint32)": np.uint32, "tensor(bool)": np.bool_,
}  # fmt: skip
_MEMORY_PHRASES = ("failed to allocate", "bad_alloc", "out of memory", "cuda failure 2")
#: How often a running graph asks whether it is cancelled, in seconds.
_ASK_EVERY = 0.05


class OnnxSession:
    """A graph that ONNX Runtime has opened.

    Args:
        path: of the file; errors name it.
        model: its bytes, if they are not those of the file.
        device: CPU or CUDA, as far as the installed ONNX Runtime has it.

    Attributes:
        title: library and version.
        device, notes: where it runs, and why not where it was asked to.
        inputs, outputs: in the file's order.

    Raises:
        WeightsError: ONNX Runtime is not installed, or cannot open the file.
    """

    def __init__(self, path: Path, model: bytes | None = None, device: ComputeDevice | None = None) -> None:
        runtime = _installed(path)
        self.path = path
        self.title = f"onnxruntime {runtime.__version__}"
        self.device: str
        self.notes: tuple[str, ...]
        providers, self.device, self.notes = _providers(runtime, device or ComputeDevice("cpu"))
        try:
            # Its own second try prints to stdout, where results go.
            self._session = runtime.InferenceSession(
                model or str(path), _session_options(runtime), providers=providers, enable_fallback=0
            )
            # Names that are not UTF-8 fail when they are asked for.
            inputs, outputs = _borders(self._session.get_inputs()), _borders(self._session.get_outputs())
        except Exception as error:  # the library raises a dozen types without a common base
            raise WeightsError(
                message("ONNX Runtime cannot open the file"), why=_first_line(error),
                remedy=message("Download or export it again; a newer onnxruntime may know its operations"), path=path,
            ) from error  # fmt: skip
        if device is not None and device.type == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            self.device = "cpu"
            self.notes = ("ONNX Runtime could not start CUDA and computes on the CPU; its CUDA libraries may be missing.",)
        self._runtime = runtime
        self.inputs = tuple(_spec(tensor, path) for tensor in inputs)
        self.outputs = tuple(_spec(tensor, path) for tensor in outputs)

    def nearest(self, device: ComputeDevice) -> tuple[str, tuple[str, ...]]:
        """Where a session for a device would run, and notes on it."""
        _, nearest, notes = _providers(self._runtime, device)
        return nearest, notes

    def run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        *,
        remedy: str,
        cancel: IsCancelled | None = None,
    ) -> list[NDArray[Any]]:
        """Some outputs; what they do not need is not computed.

        Args:
            feeds: arrays of the inputs' types and shapes, by name.
            outputs: names.
            remedy: what the user can do if the graph does not take these sizes.
            cancel: asked some times a second; the graph stops in the middle.

        Raises:
            ComputeError: the engine refused; MemoryError where memory ran out; Cancelled.
        """
        options = self._runtime.RunOptions()
        options.only_execute_path_to_fetches = True
        options.log_severity_level = 4  # what fails is raised, and reported once
        try:
            with _stopping(options, cancel):
                found: list[NDArray[Any]] = self._session.run(list(outputs), dict(feeds), options)
        except Cancelled:
            raise
        except Exception as error:  # as above
            if options.terminate:
                raise Cancelled from error
            line = _first_line(error)
            if any(phrase in line.lower() for phrase in _MEMORY_PHRASES):
                raise MemoryError(line) from error
            raise ComputeError(message("ONNX Runtime cannot compute this image"), why=line, remedy=remedy) from error
        return found


@contextmanager
def _stopping(options: Any, cancel: IsCancelled | None) -> Iterator[None]:
    """Stop a run in the middle once it is cancelled."""
    if cancel is None:
        yield
        return
    if cancel():
        raise Cancelled
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_ASK_EVERY):
            if cancel():
                options.terminate = True
                return

    watcher = threading.Thread(target=watch, name="onnx-cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _installed(path: Path) -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsError(
            message("an ONNX file needs ONNX Runtime, which is not installed"),
            remedy=message("Run: pip install onnxruntime (onnxruntime-gpu for CUDA)"),
            path=path,
        ) from error
    module: ModuleType = onnxruntime
    return module


def _providers(runtime: ModuleType, device: ComputeDevice) -> tuple[list[Any], str, tuple[str, ...]]:
    """Execution providers in order of preference, the device that they mean, and notes."""
    cpu = "CPUExecutionProvider"
    if device.type == "cpu":
        return [cpu], "cpu", ()
    if device.type == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers():
        index = device.index or 0
        return [("CUDAExecutionProvider", {"device_id": index}), cpu], f"cuda:{index}", ()
    remedy = "; for CUDA run: pip uninstall onnxruntime, pip install onnxruntime-gpu" if device.type == "cuda" else ""
    return [cpu], "cpu", (f"This ONNX Runtime computes on the CPU, not on {device}{remedy}.",)


def _session_options(runtime: ModuleType) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = compute_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # it never shrinks: a session would hold what its largest image took
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

"""LiteRT (formerly TensorFlow Lite): float and integer graphs on the CPU; the extra ``pip install atrous[litert]``."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.backends.signature import TensorSpec
from deeplab_core.errors import ComputeError, WeightsError, message
from deeplab_core.networks import ComputeDevice, compute_threads

_NAME = "ai-edge-litert"


def looks_like_litert(head: bytes) -> bool:
    """Whether a file's first bytes are those of a LiteRT flatbuffer."""
    return head[4:8] == b"TFL3"


class LiteRTRunner:
    """One ``.tflite`` file; see :class:`~deeplab_core.backends.signature.Runner`.

    Raises:
        WeightsError: LiteRT is not installed, or the file is damaged or of operations that it does not know.
    """

    def __init__(self, path: Path) -> None:
        self.title, self.device = f"LiteRT {_installed(path)}", "cpu"
        self.notes: tuple[str, ...] = ()
        self.align_corners: dict[str, bool] = {}
        self.operations: Counter[str] = Counter()
        try:
            self._interpreter, self.precision = _opened(path.read_bytes())
            self._describe()
        except (ValueError, RuntimeError, OSError, LookupError) as error:
            raise WeightsError(
                message("LiteRT cannot open the file"),
                why=str(error).strip(),
                remedy=message("Download or convert it again"),
                path=path,
            ) from error
        # The interpreter holds the activations of a run: one at a time.
        self._lock = threading.Lock()

    def _describe(self) -> None:
        steps = _steps(self._interpreter)  # before they are handed to accelerated kernels, which hide them
        self._interpreter.allocate_tensors()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1:
            raise ValueError(f"the graph has {len(inputs)} inputs, not one image")
        self.input = _spec(inputs[0])
        ends = {int(place): str(step["op_name"]) for step in steps for place in step["outputs"]}
        kinds = {"LOGISTIC": True, "CONV_2D": False, "RESIZE_BILINEAR": False}
        self.outputs: tuple[TensorSpec, ...] = tuple(
            replace(_spec(detail), sigmoid=kinds.get(ends.get(int(detail["index"]), ""))) for detail in outputs
        )
        self._places = {spec.name: detail["index"] for spec, detail in zip(self.outputs, outputs, strict=True)}
        self._input_place = inputs[0]["index"]
        self.operations.update(str(step["op_name"]) for step in steps)
        shapes = {int(tensor["index"]): tensor["shape"] for tensor in self._interpreter.get_tensor_details()}
        self._classes = {
            self.outputs[place].name: int(shapes[int(step["inputs"][0])][-1])
            for step in steps
            if step["op_name"] == "ARG_MAX"
            for place, detail in enumerate(outputs)
            if detail["index"] in step["outputs"]
        }

    def run(self, values: NDArray[Any], output: str) -> NDArray[Any]:
        """One output; see the protocol."""
        with self._lock:
            try:
                if tuple(self._interpreter.tensor(self._input_place)().shape) != values.shape:
                    self._interpreter.resize_tensor_input(self._input_place, values.shape, strict=True)
                    self._interpreter.allocate_tensors()
                self._interpreter.set_tensor(self._input_place, values)
                self._interpreter.invoke()
                found: NDArray[Any] = self._interpreter.get_tensor(self._places[output])
            except (ValueError, RuntimeError) as error:
                raise ComputeError(
                    message("LiteRT cannot compute this image"),
                    why=str(error).strip(),
                    remedy=message("Choose another size or model"),
                ) from error
        return found

    def on(self, device: ComputeDevice) -> LiteRTRunner:
        """The same interpreter: it computes on the CPU alone, and reports it if more was asked for."""
        twin = copy.copy(self)
        twin.notes = () if device.type == "cpu" else (f"LiteRT computes on the CPU, not on {device}.",)
        return twin

    def classes_behind_labels(self, output: str) -> int:
        """Number of classes of the scores that an output's labels were taken from; 0 where the library does not tell."""
        return self._classes.get(output, 0)


def _installed(path: Path) -> str:
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        raise WeightsError(
            message("a LiteRT file needs the LiteRT library, which is not installed"),
            remedy=message("Run: pip install ai-edge-litert"),
            path=path,
        ) from error
    return version(_NAME)


def _opened(content: bytes) -> tuple[Any, str]:
    """An interpreter, and the precision of its graph.

    Integer graphs run on LiteRT's own kernels instead of the XNNPACK ones that it prefers: a third slower, but nearer to the
    float network. Measured on the released DeepLabv3 (uint8) and 26 photographs: 99.1 instead of 98.4 % of the labels equal.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    threads = compute_threads()
    plain = Interpreter(
        model_content=content, num_threads=threads,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    if any(_is_quantised(tensor) for tensor in plain.get_tensor_details()):
        return plain, "int8"
    return Interpreter(model_content=content, num_threads=threads), "fp32"


def _steps(interpreter: object) -> list[dict[str, Any]]:
    """The graph's operations in order; empty where this version of the library does not list them."""
    listed = getattr(interpreter, "_get_ops_details", None)
    return list(listed()) if listed is not None else []


def _spec(detail: dict[str, Any]) -> TensorSpec:
    signature = detail.get("shape_signature", detail["shape"])
    scale, zero_point = detail["quantization"]
    return TensorSpec(
        name=str(detail["name"]),
        shape=tuple(int(side) if side >= 0 else None for side in signature),
        dtype=np.dtype(detail["dtype"]),
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _is_quantised(detail: dict[str, Any]) -> bool:
    return detail["dtype"] in (np.int8, np.uint8) and len(detail["quantization_parameters"]["scales"]) > 0

"""ONNX Runtime on the CPU and on CUDA; the extra ``pip install atrous[onnx]``."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.backends.onnx_file import OnnxFile, with_output
from deeplab_core.backends.onnx_session import OnnxSession
from deeplab_core.errors import WeightsError, message
from deeplab_core.networks import ComputeDevice

_INTEGER_OPERATIONS = {"QLinearConv", "ConvInteger", "QuantizeLinear", "DequantizeLinear"}
#: Operations that end a network without an activation.
_LINEAR = {"Conv", "ConvTranspose", "BatchNormalization", "Add", "MatMul", "Gemm"}


class OnnxRunner:
    """One ``.onnx`` file; see :class:`~deeplab_core.backends.signature.Runner`.

    Where a graph ends with a bilinear enlargement of its scores, the scores before it are read instead: they are a hundredth
    of the size, and the enlargement is done by the same rule, strip by strip, where labels are decided.

    Raises:
        WeightsError: ONNX Runtime is not installed, or cannot open the file.
    """

    def __init__(self, path: Path, file: OnnxFile, device: ComputeDevice | None = None) -> None:
        self._path, self._file = path, file
        self.operations = file.operations
        # Weights in other files are found beside the model's path, which bytes do not have.
        self._coarse = {} if file.external else dict(file.upsampled)
        self._session = OnnxSession(path, self._model(), device)
        self.title, self.device = self._session.title, self._session.device
        self.notes: tuple[str, ...] = self._session.notes
        inputs, outputs = self._session.inputs, self._session.outputs
        if len(inputs) != 1:
            raise WeightsError(
                message("the graph has {count} inputs, not one image", count=len(inputs)),
                remedy=message("Export it again"),
                path=path,
            )
        self.input = inputs[0]
        found = {out.name: replace(out, sigmoid=_is_sigmoid(file.makers.get(out.name, ""))) for out in outputs}
        sources = {upsampling.source for upsampling in self._coarse.values()}
        own = [name for name in found if name not in sources]
        self.outputs = tuple(found[self._coarse[name].source] if name in self._coarse else found[name] for name in own)
        self.align_corners = {upsampling.source: upsampling.align_corners for upsampling in self._coarse.values()}
        half = np.float16 in (self.input.dtype, *(out.dtype for out in self.outputs))
        self.precision = "int8" if _INTEGER_OPERATIONS.intersection(file.operations) else "fp16" if half else "fp32"

    def _model(self) -> bytes | None:
        if not self._coarse:
            return None
        sources = dict.fromkeys(upsampling.source for upsampling in self._coarse.values())
        return self._path.read_bytes() + b"".join(with_output(source) for source in sources)

    def run(self, values: NDArray[Any], output: str) -> NDArray[Any]:
        """One output; see the protocol."""
        remedy = message("Choose a size that the network takes (resize and padding on its model card)")
        return self._session.run({self.input.name: values}, [output], remedy=remedy)[0]

    def on(self, device: ComputeDevice) -> OnnxRunner:
        """The same file in a session for another device, as far as the installed ONNX Runtime has it."""
        nearest, notes = self._session.nearest(device)
        if nearest != self.device:
            return OnnxRunner(self._path, self._file, device)
        twin = copy.copy(self)
        twin.notes = notes
        return twin


def _is_sigmoid(operation: str) -> bool | None:
    """Whether what an operation makes are probabilities (True) or logits (False); None where it does not tell."""
    return True if operation == "Sigmoid" else False if operation in _LINEAR else None

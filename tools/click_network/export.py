"""The network as one ONNX graph in RITM's signature, weights in half precision."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from deeplab_core.atomic import atomic_write
from deeplab_core.nn.base import Encoder
from tools.click_network.network import ClickGraph, ClickHead

#: Weights of at least this many numbers are stored in half precision.
_LARGE = 256
_OPSET = 17


def export(encoder: Encoder, head: ClickHead, out: Path, side: int | None = None) -> None:
    """Write ``out``: image (1, 4, H, W) of colours 0..1 and mask so far, points (1, 2n, 3), to logits (1, 1, H, W).

    H and W are ``side``, or free multiples of 16 for None. Of fixed size every look costs the same, and a whole image is seen
    coarsely. Large weights are float16 with a cast behind them, which an engine computes once when it
    loads the file; everything is computed in float32.
    """
    graph = ClickGraph(encoder, head).eval().to(memory_format=torch.contiguous_format)
    example = torch.rand(1, 4, side or 128, side or 160), torch.full((1, 6, 3), -1.0)
    sides = {} if side else {2: "height", 3: "width"}
    free = {"image": sides, "points": {1: "clicks"}, "logits": sides}
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        torch.onnx.export(
            graph, example, str(plain), input_names=["image", "points"], output_names=["logits"], dynamic_axes=free, dynamo=False,
            opset_version=_OPSET,
        )  # fmt: skip
        model = onnx.load(str(plain))
    _halve(model)
    onnx.checker.check_model(model)
    atomic_write(out, model.SerializeToString())


def _halve(model: onnx.ModelProto) -> None:
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _LARGE:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)

"""``python -m tools.graphs``: the graphs that run the bundled models without PyTorch. ``make models`` calls it.

A graph file holds a network's operations at one output stride, and names instead of weights, so that one file serves every
model of its architecture and is written again only if the network's code changes; a test compares it with the network.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from app.paths import BUNDLED_MODELS
from deeplab_core.atomic import atomic_write
from deeplab_core.backends.own_graphs import FACTS, FEATURES, GIVEN, IMAGE, LOGITS, POOLED, GraphFacts, graph_file
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.exact import save_arithmetic
from deeplab_core.nn.models.deeplab import DeepLab
from deeplab_core.weights import load_model

#: Output strides that are written, as far as a network has them.
STRIDES = (8, 16, 32)
_OPSET = 17
_EXAMPLE = (97, 129)


class _Plain(nn.Module):
    """The coarse logits of a network that pools nothing."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        save_arithmetic(self.model)  # while it is traced, so that what it derives from the weights is derived in the graph, too
        return self.model.coarse_logits(x)


class _Pooling(nn.Module):
    """Coarse logits and encoder features; ``given`` is 1 where the pooled context comes from outside, else 0."""

    def __init__(self, model: DeepLab) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, pooled: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        save_arithmetic(self.model)
        levels = self.model.encoder.levels(x)
        own = levels[-1].mean((2, 3), keepdim=True)
        # One of the two factors is exactly 0 and the other exactly 1.
        return self.model._classify(levels, own * (1.0 - given) + pooled * given), levels[-1]


def graph_of(model: SegmentationModel) -> bytes:
    """The graph of a network at its output stride, without its weights."""
    pools = isinstance(model, DeepLab) and model.aspp is not None and getattr(model.aspp, "pooling", None) is not None
    least = model.minimum_side
    image = torch.zeros(1, model.in_channels, least + _EXAMPLE[0], least + _EXAMPLE[1])
    free = {0: "n", 2: "height", 3: "width"}
    axes: dict[str, Any] = {IMAGE: free, LOGITS: {0: "n", 2: "h", 3: "w"}}
    if pools:
        assert isinstance(model, DeepLab)
        module: nn.Module = _Pooling(model)
        with torch.no_grad():
            channels = model.encoder.levels(image)[-1].shape[1]
        arguments: tuple[Tensor, ...] = (image, torch.zeros(1, channels, 1, 1), torch.zeros(1))
        axes |= {POOLED: {0: "n"}, FEATURES: {0: "n", 2: "fh", 3: "fw"}}
    else:
        module, arguments = _Plain(model), (image,)
    stream = io.BytesIO()
    target: Any = stream
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), arguments, target, input_names=[IMAGE, POOLED, GIVEN][: len(arguments)],
            output_names=[LOGITS, FEATURES][: 2 if pools else 1], opset_version=_OPSET, dynamic_axes=axes, dynamo=False,
            do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    proto = onnx.load_from_string(stream.getvalue())
    state = model.state_dict()
    kept, tensors = [], {}
    for initializer in proto.graph.initializer:
        name = initializer.name.removeprefix("model.")
        if name in state and tuple(initializer.dims) == tuple(state[name].shape):
            tensors[name] = tuple(initializer.dims)
        else:
            kept.append(initializer)
    left = sum(onnx.numpy_helper.to_array(one).size for one in kept)
    if left > 10_000:
        raise SystemExit(f"{left} numbers of the graph are not tensors of the network: {', '.join(one.name for one in kept)}")
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    del proto.graph.value_info[:]
    for node in proto.graph.node:
        node.ClearField("doc_string")
        for place, name in enumerate(node.input):
            if name.removeprefix("model.") in tensors:
                node.input[place] = name.removeprefix("model.")
    facts = GraphFacts(
        output_stride=model.output_stride, output_strides=model.output_strides, align_corners=model.align_corners,
        in_channels=model.in_channels, minimum_side=model.minimum_side, radius=model.receptive_radius(), pools=pools,
        tensors=tensors,
    )  # fmt: skip
    entry = proto.metadata_props.add()
    entry.key, entry.value = FACTS, json.dumps(dataclasses.asdict(facts))
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def write_graphs(weights: Path) -> list[Path]:
    """Write the graphs of a model's architecture; those that are there are replaced."""
    written = []
    for stride in STRIDES:
        model, card = load_model(weights)
        assert isinstance(model, SegmentationModel)
        if stride in model.output_strides:
            model.output_stride = stride
            path = graph_file(card.architecture, stride)
            path.parent.mkdir(exist_ok=True)
            atomic_write(path, graph_of(model))
            written.append(path)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Write the graphs of every bundled model, or of the named files."""
    parser = argparse.ArgumentParser(prog="python -m tools.graphs", description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="*", type=Path, help="safetensors files of Atrous; the bundled ones if none are named")
    chosen = parser.parse_args(arguments).weights or sorted(BUNDLED_MODELS.glob("*.safetensors"))
    for path in dict.fromkeys(graph for weights in chosen for graph in write_graphs(weights)):
        print(f"{path.stat().st_size / 1e3:7.0f} kB  {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

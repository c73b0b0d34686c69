"""Small graphs written operation by operation, and the torch network that computes the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deeplab_core.nn import SegmentationModel
from deeplab_core.records import ModelCard

CLASSES = 5
STRIDE = 4

Ending = Literal["grid", "half_pixel", "align_corners", "softmax", "labels", "labels4d", "mask"]


def weights() -> dict[str, np.ndarray]:
    """Of a 5x5 convolution of stride 4 and a 1x1 convolution; classes win everywhere by turns."""
    draw = np.random.default_rng(7)
    return {
        "w1": (draw.normal(size=(8, 3, 5, 5)) * 0.2).astype(np.float32),
        "b1": draw.normal(size=8).astype(np.float32) * 0.1,
        "w2": (draw.normal(size=(CLASSES, 8, 1, 1)) * 1.5).astype(np.float32),
        "b2": np.zeros(CLASSES, np.float32),
    }


class TwinNet(SegmentationModel):
    """What the graphs compute."""

    def __init__(self, *, align_corners: bool = False, input_scale: float = 1.0) -> None:
        super().__init__(num_classes=CLASSES, output_stride=16, output_strides=(16,), align_corners=align_corners)
        self.values = {name: torch.from_numpy(value) for name, value in weights().items()}
        self.input_scale = input_scale

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        w = self.values
        x = functional.conv2d(x * self.input_scale, w["w1"], w["b1"], stride=STRIDE, padding=2)
        return functional.conv2d(torch.relu(x), w["w2"], w["b2"])


def write_onnx(
    path: Path,
    *,
    ending: Ending = "half_pixel",
    channels_last: bool = False,
    size: tuple[int, int] | None = None,
    input_type: str = "FLOAT",
    channels: int = 3,
    second_input: bool = False,
    auxiliary: bool = False,
    card: ModelCard | None = None,
    metadata: dict[str, str] | None = None,
    external: str | None = None,
) -> Path:
    """One graph of many forms."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    side: list[Any] = list(size) if size is not None else ["height", "width"]
    image_shape = [1, *side, channels] if channels_last else [1, channels, *side]
    nodes: list[Any] = []

    def add(op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    constants = weights()
    if channels != 3:
        constants["w1"] = constants["w1"][:, :channels]
    if input_type == "FLOAT16":
        constants = {name: value.astype(np.float16) for name, value in constants.items()}
    last = "image"
    if input_type == "UINT8":
        last = add("Cast", [last], to=TensorProto.FLOAT)
        constants["unit"] = np.float32(1 / 64).reshape(())
        last = add("Mul", [last, "unit"])
    if channels_last:
        last = add("Transpose", [last], perm=[0, 3, 1, 2])
    planes = last
    last = add("Conv", [last, "w1", "b1"], strides=[STRIDE, STRIDE], pads=[2, 2, 2, 2])
    last = add("Conv", [add("Relu", [last]), "w2", "b2"])
    if ending != "grid":
        constants |= {"from2": np.array([2]), "to4": np.array([4]), "head": np.array([1, CLASSES])}
        target = add("Concat", ["head", add("Slice", [add("Shape", [planes]), "from2", "to4"])], axis=0)
        rule = "align_corners" if ending == "align_corners" else "half_pixel"
        last = add("Resize", [last, "", "", target], mode="linear", coordinate_transformation_mode=rule)
    kind = TensorProto.FLOAT16 if input_type == "FLOAT16" else TensorProto.FLOAT
    shape: list[Any] = [1, CLASSES, None, None]
    if ending == "softmax":
        last = add("Softmax", [last], axis=1)
    if ending == "mask":
        constants["first"] = np.array([0])
        constants["second"] = np.array([1])
        constants["axis1"] = np.array([1])
        last = add("Slice", [last, "first", "second", "axis1"])
        shape = [1, 1, None, None]
    if ending in ("labels", "labels4d"):
        last = add("ArgMax", [last], axis=1, keepdims=int(ending == "labels4d"))
        kind, shape = TensorProto.INT64, [1, None, None] if ending == "labels" else [1, 1, None, None]
    elif channels_last:
        last = add("Transpose", [last], perm=[0, 2, 3, 1])
        shape = [1, None, None, shape[1]]
    nodes[-1].output[0] = "answer"
    outputs = [helper.make_tensor_value_info("answer", kind, shape)]
    if auxiliary:
        nodes.append(helper.make_node("Conv", ["t1" if not channels_last else "t2", "w2", "b2"], ["auxiliary"]))
        outputs.append(helper.make_tensor_value_info("auxiliary", kind, [1, CLASSES, None, None]))
    inputs = [helper.make_tensor_value_info("image", getattr(TensorProto, input_type), image_shape)]
    if second_input:
        inputs.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
        nodes.append(helper.make_node("Identity", ["other"], ["unused"]))
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    if external is not None:
        onnx.external_data_helper.set_external_data(tensors[0], external)
        tensors[0].ClearField("raw_data")
        tensors[0].data_location = TensorProto.EXTERNAL
    model = helper.make_model(
        helper.make_graph(nodes, "small", inputs, outputs, tensors), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    said = dict(metadata or {})
    if card is not None:
        said["atrous_card"] = json.dumps(card.to_dict())
    helper.set_model_props(model, said)
    path.write_bytes(model.SerializeToString())
    return path


def write_litert(path: Path, *, size: tuple[int, int] = (33, 49), labels: bool = False) -> Path:
    """The same convolutions as a float LiteRT graph (NHWC), ending with its grid of scores or with their labels."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    values = weights()
    # LiteRT pads 'SAME' as (kernel - stride) asks, which is 2 on every side for sizes of the form 4 k + 1.
    grid = tuple((side + STRIDE - 1) // STRIDE for side in size)
    assert all(side % STRIDE == 1 for side in size)
    model = schema.ModelT()
    model.version, model.description, model.buffers = 3, "small", [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []

    def tensor(name: str, shape: tuple[int, ...], data: np.ndarray | None = None, kind: int = schema.TensorType.FLOAT32) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), kind, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    model.operatorCodes = []
    for code in (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.ARG_MAX):
        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.version = 1
        model.operatorCodes.append(made)

    def convolution(source: int, weight: str, bias: str, stride: int, out: int, relu: bool) -> None:
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.SAME, stride, stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU if relu else schema.ActivationFunctionType.NONE
        ohwi = values[weight].transpose(0, 2, 3, 1)
        operator = schema.OperatorT()
        operator.opcodeIndex = 0
        operator.inputs = [source, tensor(weight, ohwi.shape, ohwi), tensor(bias, values[bias].shape, values[bias])]
        operator.outputs = [out]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
        graph.operators.append(operator)

    image = tensor("image", (1, *size, 3))
    hidden = tensor("hidden", (1, *grid, 8))
    scores = tensor("scores", (1, *grid, CLASSES))
    convolution(image, "w1", "b1", STRIDE, hidden, True)
    convolution(hidden, "w2", "b2", 1, scores, False)
    answer = scores
    if labels:
        answer = tensor("labels", (1, *grid), kind=schema.TensorType.INT64)
        axis = tensor("axis", (1,), np.array([3], np.int32), schema.TensorType.INT32)
        options = schema.ArgMaxOptionsT()
        options.outputType = schema.TensorType.INT64
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 1, [scores, axis], [answer]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.ArgMaxOptions, options
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [image], [answer]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path

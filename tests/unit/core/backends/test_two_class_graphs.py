"""Graphs of one output channel, of other numbers of input channels, and of sizes that they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deeplab_core.backends.export import export_onnx
from deeplab_core.inference import Predictor
from deeplab_core.model_cards import OBJECT_CATALOG
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard, PredictOptions
from deeplab_core.weights import load_model, read_card

pytest.importorskip("onnx", reason="onnx is not installed: no graphs can be written")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: no ONNX graph can be run")


ONE = ("logit", "sigmoid", "flat", "enlarged sigmoid")


def write_one_channel(path: Path, form: str, *, channels: int = 3, pads: int = 1, stride: int = 1) -> np.ndarray:
    """A graph of one convolution with one channel; returns its weights."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = 0.3 * np.random.default_rng(5).normal(size=(1, channels, 3, 3)).astype(np.float32)
    steps = [("Conv", {"pads": [pads] * 4, "strides": [stride, stride]}, ["image", "w"])]
    if "sigmoid" in form:
        steps.append(("Sigmoid", {}, []))
    if "enlarged" in form:
        steps.append(("Resize", {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}, ["", "scales"]))
    if form == "flat":
        steps.append(("Squeeze", {}, ["axes"]))
    nodes, last = [], ""
    for number, (op, attributes, inputs) in enumerate(steps):
        name = "answer" if number == len(steps) - 1 else f"t{number}"
        nodes.append(helper.make_node(op, [last, *inputs] if last else inputs, [name], **attributes))
        last = name
    tensors = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array([1]), "axes")]
    tensors.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, "h", "w"])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, *([] if form == "flat" else [1]), None, None])
    graph = helper.make_graph(nodes, "one", [image], [answer], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return weight


@pytest.mark.parametrize("form", ONE)
def test_one_output_channel_is_a_two_class_network(form: str, tmp_path: Path) -> None:
    stride = 2 if "enlarged" in form else 1
    weight = write_one_channel(tmp_path / "one.onnx", form, stride=stride)
    model, card = load_model(tmp_path / "one.onnx")
    assert (model.num_classes, card.threshold, card.catalog.names) == (1, 0.5, ("background", "object"))
    assert read_card(tmp_path / "one.onnx") == card
    x = torch.randn(1, 3, 40, 56)
    expected = torch.nn.functional.conv2d(x, torch.from_numpy(weight), padding=1, stride=stride)
    found = torch.from_numpy(model.coarse_logits(x))
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=2e-2)  # a sigmoid keeps few digits of large logits
    rgb = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    labels = [Predictor(model, card)(rgb, options=PredictOptions(threshold=value)).labels for value in (0.05, 0.5, 0.95)]
    assert (labels[0] >= labels[1]).all()
    assert (labels[1] >= labels[2]).all()
    assert 0 < labels[1].mean() < 1


@pytest.mark.parametrize("channels", [1, 4])
def test_graphs_of_one_and_four_input_channels_run(channels: int, tmp_path: Path) -> None:
    write_one_channel(tmp_path / "one.onnx", "logit", channels=channels)
    model, card = load_model(tmp_path / "one.onnx")
    assert (model.in_channels, card.preprocessing.channels) == (channels, channels)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, max(3, channels)), dtype=np.uint8)
    assert set(np.unique(Predictor(model, card)(pixels).labels)) == {0, 1}


@pytest.mark.parametrize("output", ["logits", "labels"])
def test_an_exported_one_channel_network_is_the_network(output: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = create_model("unet", num_classes=1, width=2, in_channels=1, upsampling="bilinear").eval()
    card = ModelCard(id="", name="one", architecture={}, catalog=OBJECT_CATALOG, output_stride=1, align_corners=True,
                     threshold=0.4)  # fmt: skip
    with torch.no_grad():  # logits around the threshold's
        mean = net(torch.randn(1, 1, 64, 64)).mean()
        net.classifier.bias.sub_(mean)
    exported = export_onnx(tmp_path / "net.onnx", net, card, output=output)
    assert exported.agreement >= 0.999
    model, read = load_model(tmp_path / "net.onnx")
    assert read.threshold == (0.4 if output == "logits" else None)
    assert model.label_count == 2
    own = Predictor(net, card)
    for size in ((64, 80), (5, 7), (1, 40)):  # two of them are smaller than the network takes
        rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
        mine = own(rgb).labels
        found = Predictor(model, read)(rgb).labels
        assert (found == mine).mean() > 0.99


def test_a_graph_that_wants_multiples_gets_them(tmp_path: Path) -> None:
    """Networks with a decoder that joins features of halved sizes refuse odd ones: the picture is continued, the rest cut off."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(5).normal(size=(2, 3, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("MaxPool", ["image"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["small", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("Add", ["large", "image"], ["joined"]),
        helper.make_node("Conv", ["joined", "w"], ["answer"]),
    ]
    tensors = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, 2, None, None])
    graph = helper.make_graph(nodes, "picky", [image], [answer], tensors)
    path = tmp_path / "picky.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    model, card = load_model(path)
    predictor = Predictor(model, card)
    whole = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    for size in ((32, 64), (31, 63), (1, 1), (3, 50)):
        found = predictor(np.ascontiguousarray(whole[: size[0], : size[1]]))
        assert found.labels.shape == size
        assert any("continued to a multiple" in note for note in found.report.notes) == (size != (32, 64))

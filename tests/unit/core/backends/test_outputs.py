"""Which of a graph's outputs is read: by its name, its shape, and the classes of the card; whatever order the file has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplab_core.errors import WeightsError
from deeplab_core.inference import Predictor
from deeplab_core.model_cards import numbered_catalog, write_card_file
from deeplab_core.records import ModelCard
from deeplab_core.weights import load_model, read_card

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CLASSES = 4
#: What an output may be: class scores at full size or coarse, of another number of classes, features, labels of several types.
KINDS = (
    "scores", "coarse", "seven", "features", "single", "labels", "float labels", "labels4d", "mask", "channels last", "no batch",
    "probabilities",
)  # fmt: skip


def write(path: Path, outputs: dict[str, str]) -> Path:
    """A graph with the kinds of ``outputs`` by name; scores of pixel and class follow from the colour alone."""
    from onnx import TensorProto, helper, numpy_helper

    constants: dict[str, np.ndarray] = {}
    nodes: list[Any] = []
    infos: list[Any] = []

    def add(op: str, inputs: list[str], name: str = "", **attributes: Any) -> str:
        name = name or f"t{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    for name, kind in outputs.items():
        width = {"seven": 7, "features": 256, "single": 1, "mask": 1}.get(kind, CLASSES)
        key = f"w{width}"
        constants.setdefault(key, np.random.default_rng(width).normal(size=(width, 3, 1, 1)).astype(np.float32))
        stride = 4 if kind in ("coarse", "features") else 1
        last = add("Conv", ["image", key], strides=[stride, stride])
        dtype, shape = TensorProto.FLOAT, [1, width, None, None]
        if kind in ("labels", "float labels", "labels4d"):
            last = add("ArgMax", [last], axis=1, keepdims=int(kind == "labels4d"))
            dtype, shape = TensorProto.INT64, [1, 1, None, None] if kind == "labels4d" else [1, None, None]
            if kind == "float labels":
                last = add("Cast", [last], to=TensorProto.FLOAT)
                dtype = TensorProto.FLOAT
        elif kind == "mask":
            constants["half"] = np.float32(0.1).reshape(())
            last = add("Greater", [last, "half"])
            dtype = TensorProto.BOOL
        elif kind == "channels last":
            last = add("Transpose", [last], perm=[0, 2, 3, 1])
            shape = [1, None, None, width]
        elif kind == "no batch":
            constants["axis0"] = np.array([0])
            last = add("Squeeze", [last, "axis0"])
            shape = [width, None, None]
        elif kind == "probabilities":
            last = add("Softmax", [last], axis=1)
        add("Identity", [last], name)
        infos.append(helper.make_tensor_value_info(name, dtype, shape))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "outputs", [image], infos, tensors)
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString())
    return path


def read_by(path: Path, **kinds: str) -> str:
    """Name of the output that is read of a graph with these outputs."""
    model, _ = load_model(write(path, kinds))
    return str(model.signature.output.name)  # type: ignore[union-attr]


@pytest.mark.parametrize("reverse", [False, True], ids=["first", "last"])
@pytest.mark.parametrize(
    ("answer", "other"),
    [
        (("out", "scores"), ("aux", "scores")),
        (("output", "coarse"), ("aux_output", "scores")),
        (("logits", "scores"), ("features", "features")),
        (("segmentation", "scores"), ("depth", "single")),
        (("x", "scores"), ("y", "labels")),
        (("x", "scores"), ("y", "coarse")),
        (("x", "scores"), ("y", "features")),
        (("x", "labels"), ("backbone_features", "features")),
        (("semanticLogits", "scores"), ("edgeLogits", "single")),
        (("masks", "scores"), ("embedding", "seven")),
        (("x", "channels last"), ("aux", "scores")),
        (("x", "scores"), ("y", "single")),
    ],
)
def test_the_answer_is_found_wherever_it_stands(
    answer: tuple[str, str], other: tuple[str, str], reverse: bool, tmp_path: Path
) -> None:
    pairs = [answer, other][:: -1 if reverse else 1]
    card = ModelCard(id="", name="n", architecture={"name": "onnx"}, catalog=numbered_catalog(CLASSES))
    if answer[1] == "labels":
        write_card_file(tmp_path / "g.onnx", card)
    assert read_by(tmp_path / "g.onnx", **dict(pairs)) == answer[0]


def test_the_classes_of_the_card_decide_between_outputs(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    assert read_by(path, first="seven", second="scores") == "first"
    _, card = load_model(path)
    assert "output" in card.guessed
    assert card.extra["other_outputs"] == ["second"]
    write_card_file(path, replace(card, catalog=numbered_catalog(CLASSES), extra={}))
    model, card = load_model(path)
    assert model.num_classes == CLASSES
    assert card.extra["output"] == "second"


def test_the_output_can_be_chosen_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "g.onnx", {"a": "scores", "b": "scores", "aux": "seven"})
    _, card = load_model(path, options={"output": "aux"})
    assert card.extra["output"] == "aux"
    assert "output" not in card.guessed
    write_card_file(path, card)
    assert load_model(path)[0].num_classes == 7
    assert read_card(path).extra["output"] == "aux"
    with pytest.raises(WeightsError, match=r"no output 'c'.*a, b, aux"):
        load_model(path, options={"output": "c"})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("features", "coarse", "seven", "single")])
def test_every_form_gives_the_same_labels(kind: str, tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    card = ModelCard(id="", name="n", architecture={"name": "onnx"}, catalog=numbered_catalog(CLASSES))
    plain = Predictor(*load_model(write(tmp_path / "plain.onnx", {"out": "scores"})), device="cpu")(rgb)
    path = write(tmp_path / "g.onnx", {"out": kind})
    if kind == "mask":
        model, card = load_model(path)
        assert (model.num_classes, len(card.catalog)) == (2, 2)
        assert set(np.unique(Predictor(model, card, device="cpu")(rgb).labels)) <= {0, 1}
        return
    write_card_file(path, card)
    model, card = load_model(path)
    assert model.num_classes == CLASSES
    labels = Predictor(model, card, device="cpu")(rgb).labels
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(labels, plain.labels)

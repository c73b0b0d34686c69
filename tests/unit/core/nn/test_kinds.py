"""Each kind of model with each feature: a result, or a message that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deeplab_core.backends.export import export_onnx
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError
from deeplab_core.inference import PredictOptions, Predictor, VariantPredictor, parse_variant
from deeplab_core.inference.embedding import embed
from deeplab_core.inference.receptive_field import receptive_field
from deeplab_core.nn import count_multiply_adds, count_parameters, create_model
from deeplab_core.nn.count import layer_table
from deeplab_core.training.adaptation import Corrected, adapt
from deeplab_core.weights import load_model, save_model
from tests.unit.core.backends.graphs import write_onnx

pytestmark = pytest.mark.filterwarnings(r"ignore:`torch\.jit\.:FutureWarning")

CLASSES = ClassCatalog("five", "Five", tuple(ClassInfo(i, f"class {i}", (40 * i, 9 * i, i)) for i in range(5)))
RGB = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
MASK = np.repeat(np.arange(4, dtype=np.uint8), 16)[:, None].repeat(64, 1)


class Other(nn.Module):
    """A network of another program."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.last = nn.Conv2d(8, 5, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


class Attention(Other):
    """Every position sees every other one."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        tokens = x.flatten(2)
        return self.last((tokens @ (tokens.transpose(1, 2) @ tokens) * 1e-4).reshape(x.shape))


@cache
def predictor(kind: str, folder: Path) -> Predictor:
    """Of a kind of model; ``folder`` is for the file of a graph."""
    torch.manual_seed(0)
    if kind == "ours":
        return Predictor.of(create_model("unet", num_classes=5, width=2, upsampling="bilinear").eval(), classes=CLASSES)
    if kind == "graph":
        return Predictor(*load_model(write_onnx(folder / "graph.onnx")))
    makers: dict[str, Callable[[], nn.Module]] = {
        "another program's": Other,
        "with attention": Attention,
        "scripted": lambda: torch.jit.script(Other()),
        "traced": lambda: torch.jit.trace(Other().eval(), torch.rand(1, 3, 64, 64)),
        "scripted in part": lambda: nn.Sequential(nn.Conv2d(3, 3, 1), torch.jit.script(Other())),
    }
    return Predictor.of(makers[kind]().eval(), classes=CLASSES)


def learn(found: Predictor) -> object:
    return adapt(found.model, found.card, [Corrected(f"photo {number}", lambda: (RGB, MASK, MASK)) for number in range(2)])


def kept(found: Predictor, folder: Path) -> object:
    ours = found.model.architecture.get("name") == "unet"  # a predictor holds a copy whose batch norms are folded away
    model = create_model(**found.model.architecture).eval() if ours else found.model
    save_model(folder / "net.safetensors", model, found.card)
    return load_model(folder / "net.safetensors")


FEATURES: dict[str, Callable[[Predictor, Path], object]] = {
    "predict": lambda found, _: found(RGB),
    "tiles": lambda found, _: found(RGB, options=PredictOptions(tile=32)),
    "cancel": lambda found, _: found(RGB, cancel=lambda: False, progress=lambda *_: None),
    "stride": lambda found, _: found(RGB, options=PredictOptions(output_stride=8)),
    "engine": lambda found, _: found(RGB, options=PredictOptions(engine="onnx")),
    "ablate": lambda found, _: VariantPredictor(found, [parse_variant("flip", found.options)])(RGB),
    "receptive field": lambda found, _: receptive_field(found, RGB, 30, 30),
    "receptive radius": lambda found, _: found.model.receptive_radius(),
    "parameters": lambda found, _: count_parameters(found.model),
    "multiply-adds": lambda found, _: count_multiply_adds(found.model, (64, 64)),
    "layers": lambda found, _: layer_table(found.model, (64, 64)),
    "more like this": lambda found, _: embed(found, RGB),
    "save and load": kept,
    "export": lambda found, folder: export_onnx(folder / "net.onnx", found.model, found.card),
    "learn": lambda found, _: learn(found),
}

#: What each kind refuses; all else works. A graph is no module: the features of layers are not asked of it.
REFUSED = {
    "ours": ("stride",),
    "another program's": ("stride", "save and load"),
    "with attention": ("stride", "save and load", "receptive field", "receptive radius"),
    "graph": ("stride", "save and load", "export", "receptive field", "more like this", "learn"),
    **dict.fromkeys(
        ("scripted", "traced", "scripted in part"),
        ("stride", "save and load", "receptive field", "receptive radius", "layers", "more like this", "learn", "export"),
    ),
}
OF_LAYERS = {"receptive radius", "parameters", "multiply-adds", "layers"}
#: Made by torch's exporter, whose own seconds say nothing more about other kinds; learning is the same for all modules.
SLOW = {
    "export": ("ours", "graph", "scripted", "traced", "scripted in part"),
    "learn": ("another program's", "graph", "scripted", "traced", "scripted in part"),
}


@pytest.fixture(scope="module")
def graph_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graph")


CASES = [
    (kind, feature)
    for kind in REFUSED
    for feature in FEATURES
    if not (kind == "graph" and feature in OF_LAYERS) and kind in SLOW.get(feature, REFUSED)
]


@pytest.mark.parametrize(("kind", "feature"), CASES)
def test_a_kind_of_model_gives_a_result_or_a_remedy(kind: str, feature: str, graph_folder: Path, tmp_path: Path) -> None:
    """TorchScript modules could not be used at all, and torch's own bare errors said so."""
    found = predictor(kind, graph_folder)
    if feature not in REFUSED[kind]:
        assert FEATURES[feature](found, tmp_path) is not None
        return
    with pytest.raises(AtrousError) as caught:
        FEATURES[feature](found, tmp_path)
    assert caught.value.remedy
    if kind.startswith(("scripted", "traced")) and feature not in ("stride", "save and load"):
        assert "TorchScript" in caught.value.why
        assert "before torch.jit.script" in caught.value.remedy


def test_a_module_that_is_compiled_or_not_is_predicted_alike(graph_folder: Path) -> None:
    plain, scripted = (predictor(kind, graph_folder) for kind in ("another program's", "scripted"))
    for options in (PredictOptions(), PredictOptions(tile=32), PredictOptions(flip=True)):
        np.testing.assert_array_equal(plain(RGB, options=options).labels, scripted(RGB, options=options).labels)


def test_tiles_of_a_network_without_a_radius_overlap_as_much_as_any(graph_folder: Path) -> None:
    found = predictor("with attention", graph_folder)
    assert found._margin(96, PredictOptions(tile=96)) == 16
    assert found._margin(960, PredictOptions(tile=960)) == 160

"""Writing ONNX: the file gives the network's logits at every size, carries its card, and is not written otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deeplab_core.backends.export import TOLERANCE, export_onnx
from deeplab_core.errors import ExportError, WeightsError
from deeplab_core.inference import Predictor
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.models.deeplab import Decoder, DeepLabOptions
from deeplab_core.records import PredictOptions
from deeplab_core.weights import load_model
from tests.unit.core.backends.graphs import write_onnx
from tests.unit.core.inference.networks import TinyNet, card


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):  # seconds, so not when tests are collected, which every process does
        pytest.importorskip(library, reason=f"{library} is not installed: nothing can be exported")


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((13, 11, 1), np.uint8))


@pytest.mark.parametrize("align_corners", [False, True], ids=["centres", "corners"])
def test_free_sizes(align_corners: bool, photograph: np.ndarray, tmp_path: Path) -> None:
    network = TinyNet(align_corners=align_corners, pooling=True, decoder=True).train()
    done = export_onnx(tmp_path / "net.onnx", network, card())
    assert network.training
    network.eval()
    assert done.difference <= TOLERANCE * done.deviation
    assert done.agreement > 0.999
    assert any(height % 2 for height, _ in done.sizes)
    assert any(width % 2 == 0 for _, width in done.sizes)

    import onnxruntime

    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(3)
    for size in ((1, 1), (17, 200), (128, 31)):
        x = torch.randn(3, 3, *size, generator=generator)
        with torch.no_grad():
            expected = network(x).numpy()
        # Two runtimes weigh the pixels of an upsampling in another order: equal to 1e-5 of what the logits span.
        span = float(np.ptp(expected))
        np.testing.assert_allclose(session.run(None, {"image": x.numpy()})[0], expected, rtol=1e-5, atol=1e-5 * span)

    model, found = load_model(done.path)
    assert found == replace(done.card, architecture=found.architecture)
    assert found.catalog == card().catalog
    assert model.align_corners == align_corners
    options = PredictOptions(scales=(1.0, 1.5), flip=True)
    ours, theirs = Predictor(network, found)(photograph, options=options), Predictor(model, found)(photograph, options=options)
    assert (ours.labels == theirs.labels).mean() > 0.9999
    tiled = Predictor(model, found)(photograph, options=PredictOptions(tile=64))
    assert any("without the context of the whole image" in note for note in tiled.report.notes)


class WithDecoders(SegmentationModel):
    """Little more than the decoder of DeepLabv3+, once for each rule of upsampling: a network takes seconds to be traced."""

    def __init__(self) -> None:
        super().__init__(num_classes=3, output_stride=16, output_strides=(16,), align_corners=True)
        torch.manual_seed(5)
        self.low, self.high = nn.Conv2d(3, 4, 3, stride=4, padding=1), nn.Conv2d(4, 8, 3, stride=4, padding=1)
        small = {"low_level_channels": 2, "decoder_channels": 8, "decoder_convs": 1}
        self.decoders = nn.ModuleList(
            Decoder(8, 4, DeepLabOptions(**small, align_corners=align_corners)) for align_corners in (False, True)
        )
        self.classifier = nn.Conv2d(8, 3, 1)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        low = self.low(x)
        high = self.high(low)
        centres, corners = (decoder(high, low) for decoder in self.decoders)
        logits: Tensor = self.classifier(centres - 2 * corners)
        return logits


def test_graphs_keep_the_savings_of_arithmetic(tmp_path: Path) -> None:
    """The only thing that a file upsamples are its logits, and it is right at every size."""
    import onnx
    import onnxruntime

    network = WithDecoders().eval()
    done = export_onnx(tmp_path / "net.onnx", network, card(3, output_stride=16))
    operations = [node.op_type for node in onnx.load(done.path).graph.node]
    assert operations.count("Resize") == 1
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    for size in ((1, 1), (17, 200), (128, 31), (300, 257)):
        x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = network(x).numpy()
        got = session.run(None, {"image": x.numpy()})[0]
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5 * float(np.ptp(expected)))


def test_one_size_and_labels(photograph: np.ndarray, tmp_path: Path) -> None:
    network = TinyNet()
    done = export_onnx(tmp_path / "net.onnx", network, card(), output="labels", size=(64, 96))
    assert done.sizes == ((64, 96),)
    model, found = load_model(done.path)
    assert model.engine is not None
    assert model.engine.input_size == (64, 96)
    assert found.preprocessing.resize == "fit:64x96"
    got = Predictor(model, found)(photograph)
    expected = Predictor(network, found)(photograph)
    assert (got.labels == expected.labels).mean() > 0.97  # the nearest label instead of interpolated scores
    assert (got.confidence == 255).all()


class Moody(TinyNet):
    """A network with a traced form that differs from what it computes."""

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        logits = super().coarse_logits(x, pooled)
        return logits if torch.compiler.is_exporting() else logits.flip(1)


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(ExportError, match="other numbers") as caught:
        export_onnx(path, Moody(), card(), size=(32, 32))
    assert caught.value.path == path
    assert not path.exists()


def test_a_network_that_cannot_be_traced_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("in step 1") from ValueError("data-dependent shapes\nmore")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(ExportError, match="cannot be written") as caught:
        export_onnx(tmp_path / "net.onnx", TinyNet(), card())
    assert caught.value.why == "data-dependent shapes"
    assert "--size" in caught.value.remedy


def test_what_cannot_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, graph_card = load_model(write_onnx(tmp_path / "graph.onnx"))
    with pytest.raises(ExportError, match="a graph for onnxruntime"):
        export_onnx(tmp_path / "again.onnx", graph, graph_card)
    with pytest.raises(WeightsError, match="lists 3 classes"):
        export_onnx(tmp_path / "net.onnx", TinyNet(), card(3))
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ExportError, match="not installed"):
        export_onnx(tmp_path / "net.onnx", TinyNet(), card())

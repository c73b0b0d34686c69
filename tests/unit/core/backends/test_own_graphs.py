"""The graphs that are shipped for installations without torch, against the networks that they were written from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from app.paths import BUNDLED_MODELS, SAMPLE_PROJECT
from deeplab_core.analysis.similarity import similarity
from deeplab_core.backends import OwnGraph, load_own_graph
from deeplab_core.backends.own_graphs import GRAPHS, graph_file
from deeplab_core.errors import AtrousError, ComputeError, MissingPackage, WeightsError
from deeplab_core.geometry import Box
from deeplab_core.images import read_image
from deeplab_core.inference import PredictOptions, Predictor
from deeplab_core.inference.embedding import embed
from deeplab_core.weights import load_model
from deeplab_core.weights.files import read_own_weights

MODELS = sorted(BUNDLED_MODELS.glob("*.safetensors"))
#: Largest difference of a logit in parts of the logits' range; it is 2e-6.
TOLERANCE = 1e-3


def graph(path: Path) -> OwnGraph:
    weights = read_own_weights(path)
    return load_own_graph(weights.card, weights.tensors(), path)


def same(got: np.ndarray, expected: np.ndarray) -> None:
    """Equal within the tolerance, and equal labels outside ties."""
    span = float(np.ptp(expected))
    assert got.shape == expected.shape
    assert float(np.abs(got - expected).max()) <= TOLERANCE * span
    top = np.sort(expected, axis=1)
    clear = top[:, -1] - top[:, -2] > 2 * TOLERANCE * span
    assert (got.argmax(1) == expected.argmax(1))[clear].all()
    assert clear.mean() > 0.5


@pytest.mark.parametrize("path", MODELS, ids=[path.stem for path in MODELS])
def test_a_graph_gives_the_networks_logits_at_every_stride(path: Path) -> None:
    """With its own context and with one from outside, at odd and even sizes."""
    own = graph(path)
    model, card = load_model(path)
    assert set(own.output_strides) >= {8, 16}
    for stride in own.output_strides:
        own.output_stride = model.output_stride = stride
        assert own.receptive_radius() == model.receptive_radius()
        for number, size in enumerate(((97, 129), (64, 96))):
            x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(number))
            region = (0, 0, 33, 65)
            with torch.inference_mode():
                context = model.pooled_context(x, region)
                expected, shared = model.coarse_logits(x), model.coarse_logits(x, context)
            same(own.coarse_logits(x), expected.numpy())
            assert context is not None
            own_context = own.pooled_context(x, region)
            np.testing.assert_allclose(own_context, context.numpy(), atol=1e-4 * float(context.abs().max()))
            same(own.coarse_logits(x, own_context), shared.numpy())
    assert (own.num_classes, own.align_corners, own.in_channels) == (model.num_classes, model.align_corners, model.in_channels)
    assert card.architecture == own.architecture


@pytest.mark.parametrize(
    "options", [PredictOptions(), PredictOptions(tile=256, flip=True, output_stride=8)], ids=["whole", "tiles"]
)
def test_predictions_are_those_of_torch(options: PredictOptions) -> None:
    path = BUNDLED_MODELS / "rooms-voc.safetensors"
    rgb = read_image(SAMPLE_PROJECT / "images" / "room_00000.jpg").rgb
    model, card = load_model(path)
    expected, got = Predictor(model, card, device="cpu"), Predictor(graph(path), card, device="cpu")
    one, other = expected(rgb, options=options), got(rgb, options=options)
    assert float((one.labels == other.labels).mean()) > 0.9999
    assert np.abs(one.confidence.astype(int) - other.confidence).max() <= 1
    assert one.report.tiles == other.report.tiles
    assert "onnxruntime" in other.report.device
    assert not [note for note in other.report.notes if "without the context" in note]


def test_strides_that_it_lacks_are_refused_as_with_torch() -> None:
    with pytest.raises(AtrousError, match="not possible"):
        graph(MODELS[0]).output_stride = 4


def test_weights_that_do_not_fit_are_refused() -> None:
    weights = read_own_weights(MODELS[0])
    tensors = weights.tensors()
    tensors["classifier.weight"] = tensors["classifier.weight"][:3]
    with pytest.raises(WeightsError, match="do not fit"):
        load_own_graph(weights.card, tensors, MODELS[0])


def test_tensors_that_the_graph_does_not_read_are_refused_as_with_torch() -> None:
    weights = read_own_weights(MODELS[0])
    with pytest.raises(WeightsError, match=r"left over: head\.extra"):
        load_own_graph(weights.card, {**weights.tensors(), "head.extra": np.ones(3, np.float32)}, MODELS[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_weights_of_other_precisions_are_read_as_torch_reads_them(tmp_path: Path, dtype: torch.dtype) -> None:
    """numpy has no bfloat16."""
    path = tmp_path / "model.safetensors"
    with safe_open(MODELS[0], "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        tensors = {key: values.to(dtype) if values.is_floating_point() else values for key, values in tensors.items()}
        save_file(tensors, path, metadata=file.metadata())
    found = read_own_weights(path).tensors()
    assert set(found) == {key for key, values in tensors.items() if values.is_floating_point()}
    for key, values in found.items():
        assert values.dtype == np.float32
        assert (values == tensors[key].float().numpy()).all()


def test_a_file_that_is_cut_while_it_is_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(MODELS[0].read_bytes())
    weights = read_own_weights(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="safetensors file is damaged"):
        weights.tensors()


def test_a_network_without_a_graph_says_so() -> None:
    weights = read_own_weights(MODELS[0])
    other = replace(weights.card, architecture={**weights.card.architecture, "aspp_channels": 77})
    with pytest.raises(MissingPackage):
        load_own_graph(other, weights.tensors(), MODELS[0])


def test_graphs_belong_to_a_bundled_model() -> None:
    """A file that nothing uses any more is not shipped."""
    used = {graph_file(read_own_weights(path).card.architecture, stride) for path in MODELS for stride in (8, 16, 32)}
    assert set(GRAPHS.iterdir()) == used


@pytest.mark.parametrize("path", MODELS, ids=[path.stem for path in MODELS])
def test_more_like_this_gets_the_features_that_torch_gives(path: Path) -> None:
    """So that vectors that one flavour has kept are those of the other; for the whole image and a region, padded or not."""
    image = read_image(sorted((SAMPLE_PROJECT / "images").iterdir())[0]).rgb
    own, card = graph(path), read_own_weights(path).card
    with_torch, without = Predictor(*load_model(path), device="cpu"), Predictor(own, card, device="cpu")
    for rgb, region in ((image, None), (image[:201, :300], None), (image, Box(40, 60, 90, 70))):
        expected, found = (embed(predictor, rgb, region=region) for predictor in (with_torch, without))
        np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), atol=2e-3)
        assert similarity(found, expected, of_region=False) > 0.9999


def test_a_graph_that_pools_nothing_has_no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    own, card = graph(MODELS[0]), read_own_weights(MODELS[0]).card
    monkeypatch.setattr(OwnGraph, "features", lambda *_arguments: None)
    with pytest.raises(ComputeError, match="no features to compare images by") as error:
        embed(Predictor(own, card, device="cpu"), np.zeros((40, 50, 3), np.uint8))
    assert "safetensors" in error.value.remedy

"""ONNX graphs of every form behind the Predictor, against the torch network that computes the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deeplab_core.errors import AtrousError, ComputeError, WeightsError
from deeplab_core.inference import Predictor
from deeplab_core.model_cards import numbered_catalog, write_card_file
from deeplab_core.networks import ComputeDevice
from deeplab_core.records import ModelCard, PredictOptions, Preprocessing
from deeplab_core.weights import card_path, list_models, load_model, read_card
from tests.unit.core.backends.graphs import CLASSES, TwinNet, write_onnx

pytest.importorskip("onnx", reason="onnx is not installed: no graphs can be written")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: no ONNX graph can be run")


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((11, 9, 1), np.uint8))[:97, :101]


def card_of(**changes: Any) -> ModelCard:
    return ModelCard(
        id="", name="Small", architecture={"name": "small"}, catalog=numbered_catalog(CLASSES), output_stride=16, **changes
    )


def assert_same(a: Any, b: Any) -> None:
    np.testing.assert_array_equal(a.labels, b.labels)
    assert np.abs(a.confidence.astype(int) - b.confidence).max() <= 1


@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("size", [None, (97, 101)], ids=["free", "fixed"])
@pytest.mark.parametrize("ending", ["grid", "half_pixel", "align_corners", "softmax"])
def test_a_graph_gives_what_its_torch_twin_gives(
    channels_last: bool, size: tuple[int, int] | None, ending: Any, photograph: np.ndarray, tmp_path: Path
) -> None:
    model, card = load_model(write_onnx(tmp_path / "g.onnx", channels_last=channels_last, size=size, ending=ending))
    assert model.num_classes == CLASSES
    assert model.align_corners or ending != "align_corners"
    twin = TwinNet(align_corners=model.align_corners)
    expected = Predictor(twin, card, device="cpu")(photograph)
    got = Predictor(model, card, device="cpu")(photograph)
    assert_same(got, expected) if ending != "softmax" else agree(got, expected)
    assert got.report.device.startswith("cpu (onnxruntime")
    assert np.unique(got.labels).size > 2


def agree(got: Any, expected: Any) -> None:
    """Probabilities at full size were interpolated before the logarithm: equal up to rounding at ties."""
    assert (got.labels == expected.labels).mean() > 0.999
    assert np.abs(got.confidence.astype(int) - expected.confidence).max() <= 2


def test_scores_are_read_before_the_graph_enlarges_them(tmp_path: Path) -> None:
    model, _ = load_model(write_onnx(tmp_path / "g.onnx", ending="align_corners", auxiliary=True))
    assert model.align_corners
    assert model.coarse_logits(torch.zeros(1, 3, 65, 33)).shape == (1, CLASSES, 17, 9)
    assert model(torch.zeros(2, 3, 65, 33)).shape == (2, CLASSES, 65, 33)


@pytest.mark.parametrize("options", [
    PredictOptions(scales=(0.75, 1.0, 1.25), flip=True), PredictOptions(tile=64, overlap=16), PredictOptions(scales=(0.5,)),
])  # fmt: skip
@pytest.mark.parametrize("size", [None, (97, 101)], ids=["free", "fixed"])
def test_scales_mirrors_and_tiles(
    options: PredictOptions, size: tuple[int, int] | None, photograph: np.ndarray, tmp_path: Path
) -> None:
    model, card = load_model(write_onnx(tmp_path / "g.onnx", size=size))
    card = replace(card, preprocessing=replace(card.preprocessing, padding="none"))
    expected = Predictor(TwinNet(), card, options, device="cpu")(photograph)
    got = Predictor(model, card, options, device="cpu")(photograph)
    if size is None:
        assert_same(got, expected)
    else:  # a fixed graph sees the mean beyond a small window, the network zeros of its own padding
        assert (got.labels == expected.labels).mean() > 0.97


def test_a_picture_larger_than_a_fixed_graph_is_cut_into_tiles(tmp_path: Path) -> None:
    model, card = load_model(write_onnx(tmp_path / "g.onnx", size=(64, 80)))
    assert card.preprocessing.resize == "fit:64x80"
    large = np.random.default_rng(1).integers(0, 256, (150, 170, 3), dtype=np.uint8)
    native = PredictOptions(resize="native", overlap=16)
    free = replace(card, preprocessing=replace(card.preprocessing, padding="none"))
    got = Predictor(model, free, native, device="cpu")(large)
    assert got.report.tiles > 1
    assert (got.labels == Predictor(TwinNet(), free, native, device="cpu")(large).labels).mean() > 0.99
    with pytest.raises(ComputeError, match="takes 80 x 64 pixels, not 99 x 65"):
        model.coarse_logits(torch.zeros(1, 3, 65, 99))


@pytest.mark.parametrize("ending", ["labels", "labels4d"])
def test_labels_without_scores_are_taken_as_they_are_and_said(ending: Any, photograph: np.ndarray, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "g.onnx", ending=ending, card=card_of())
    model, card = load_model(path)
    got = Predictor(model, card, device="cpu")(photograph)
    expected = Predictor(TwinNet(), card, device="cpu")(photograph)
    assert (got.labels == expected.labels).mean() > 0.999
    assert (got.confidence == 255).all()
    assert any("labels without scores" in note for note in got.report.notes)
    enlarged = Predictor(model, card, PredictOptions(resize="long_side:33"), device="cpu")(photograph)
    assert (enlarged.confidence == 255).all()


def test_labels_of_unknown_many_classes_need_a_card(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "g.onnx", ending="labels")
    with pytest.raises(WeightsError, match="how many classes") as caught:
        load_model(path)
    assert card_path(path).name in caught.value.remedy
    write_card_file(path, card_of())
    assert load_model(path)[0].num_classes == CLASSES


def test_a_label_that_the_card_does_not_list_is_an_error(photograph: np.ndarray, tmp_path: Path) -> None:
    few = replace(card_of(), catalog=numbered_catalog(2))
    model, card = load_model(write_onnx(tmp_path / "g.onnx", ending="labels", card=few))
    with pytest.raises(ComputeError, match="lists 2 classes"):
        Predictor(model, card, device="cpu")(photograph)


def test_raw_pixels_go_into_an_integer_input_unchanged(photograph: np.ndarray, tmp_path: Path) -> None:
    model, card = load_model(write_onnx(tmp_path / "g.onnx", input_type="UINT8", channels_last=True))
    assert (card.preprocessing.mean, card.preprocessing.std) == ((0.0,) * 3, (1.0,) * 3)
    assert_same(Predictor(model, card)(photograph), Predictor(TwinNet(input_scale=1 / 64), card)(photograph))


def test_half_precision_graphs(photograph: np.ndarray, tmp_path: Path) -> None:
    model, card = load_model(write_onnx(tmp_path / "g.onnx", input_type="FLOAT16"))
    got = Predictor(model, card, PredictOptions(precision="fp32"))(photograph)
    assert (got.labels == Predictor(TwinNet(), card)(photograph).labels).mean() > 0.99
    assert got.report.precision == "fp16"
    assert any("computes in fp16" in note for note in got.report.notes)


def test_what_the_file_does_not_say_is_named_as_guessed(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "streets.onnx", ending="grid")
    _, card = load_model(path)
    assert set(card.guessed) == {"catalog", "preprocessing", "output_stride", "align_corners"}
    assert card.name == "streets"
    assert card.sha256[:12] in card.id
    assert read_card(path) == card


def test_the_card_inside_wins_over_guesses_and_the_one_beside_over_both(tmp_path: Path) -> None:
    inside = card_of(preprocessing=Preprocessing(channel_order="BGR", std=(1.0, 1.0, 1.0)), align_corners=True)
    path = write_onnx(tmp_path / "g.onnx", ending="grid", card=inside)
    model, card = load_model(path)
    assert (card.name, card.preprocessing, card.guessed) == ("Small", inside.preprocessing, ())
    assert card.architecture == {"name": "onnx", "exported_from": {"name": "small"}}
    assert model.align_corners
    write_card_file(path, replace(inside, name="Edited", align_corners=False))
    model, card = load_model(path)
    assert card.name == "Edited"
    assert not model.align_corners
    assert [entry.card for entry in list_models([tmp_path])] == [card]


def test_another_stride_is_refused(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "g.onnx")
    assert load_model(path, output_stride=16)[0].output_stride == 16
    with pytest.raises(AtrousError, match="output stride 8"):
        load_model(path, output_stride=8)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_the_engine_lacks_is_said(photograph: np.ndarray, tmp_path: Path) -> None:
    model, card = load_model(write_onnx(tmp_path / "g.onnx"))
    model.move(ComputeDevice("mps"))
    assert model.engine is not None
    assert "on the CPU, not on mps" in " ".join(model.engine.notes)
    predictor = Predictor(model, card, device="cpu")
    assert predictor.device_note == ""
    assert predictor.model is not model
    assert_same(predictor(photograph), Predictor(TwinNet(), card, device="cpu")(photograph))


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives(photograph: np.ndarray, tmp_path: Path) -> None:
    model, card = load_model(write_onnx(tmp_path / "g.onnx"))
    predictor = Predictor(model, card, device="cuda")
    got = predictor(photograph)
    assert got.report.device.startswith(("cuda:0 (onnxruntime", "cpu (onnxruntime"))
    assert got.report.device.startswith("cuda") or predictor.device_note
    assert (got.labels == Predictor(model, card, device="cpu")(photograph).labels).mean() > 0.99


def test_cuda_that_does_not_start_falls_back_and_says_so(
    photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    from deeplab_core.backends.onnx_file import read_onnx_file
    from deeplab_core.backends.onnx_runner import OnnxRunner

    path = write_onnx(tmp_path / "g.onnx")
    asked: list[Any] = []
    start = onnxruntime.InferenceSession

    def without_cuda(model: Any, options: Any, *, providers: list[Any], **rest: Any) -> Any:
        asked.extend(providers)
        return start(model, options, providers=["CPUExecutionProvider"], **rest)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    runner = OnnxRunner(path, read_onnx_file(path)).on(ComputeDevice("cuda", 1))
    assert asked[-2:] == [("CUDAExecutionProvider", {"device_id": 1}), "CPUExecutionProvider"]
    assert runner.device == "cpu"
    assert "could not start CUDA" in runner.notes[0]

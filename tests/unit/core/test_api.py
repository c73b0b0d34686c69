"""The notebook API: functions over arrays, errors that say what to do, results that show themselves."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch import nn

from deeplab_core.api import crf, evaluate, overlay, trimap_curve
from deeplab_core.arrays import as_labels, as_picture, as_probabilities
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import ArrayError, AtrousError, CatalogError
from deeplab_core.inference import Predictor
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.nn import create_model
from deeplab_core.refine import DenseCRF, preset
from tests.unit.core.inference.networks import photograph

LABELS = np.array([[0, 0, 1, 1], [0, 2, 1, 255]], np.uint8)


def test_iou_of_arrays_by_hand() -> None:
    found = evaluate([[LABELS]][0], [np.array([[0, 1, 1, 1], [0, 2, 2, 0]], np.uint8)])
    # class 0: 2 of 3; class 1: 2 of 4; class 2: 1 of 2; the void pixel counts nowhere.
    np.testing.assert_allclose(found.iou(), [2 / 3, 2 / 4, 1 / 2])
    assert found.total == 7
    table = found.to_pandas()
    assert list(table["class"]) == ["class 0", "class 1", "class 2"]
    assert table["iou"].tolist() == pytest.approx([2 / 3, 1 / 2, 1 / 2])
    html = found._repr_html_()
    assert "66.7 %" in html
    assert "mIoU 55.6 % over 3 classes" in html


@settings(max_examples=40, deadline=None)
@given(
    masks=hnp.arrays(
        np.uint8, st.tuples(st.just(2), st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2, 255])
    )
)
def test_torch_and_numpy_and_sequences_agree(masks: np.ndarray) -> None:
    truth, prediction = masks
    one = evaluate(truth, prediction, classes="voc21")
    assert one == evaluate(torch.from_numpy(truth), torch.from_numpy(prediction), classes=get_catalog("voc21"))
    twice = evaluate([truth, truth], [prediction, prediction], classes="voc21")
    np.testing.assert_array_equal(twice.counts, 2 * one.counts)


def test_the_trimap_curve_is_that_of_the_core() -> None:
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(0, 3, (4, 5)), np.ones((12, 12), int)).astype(np.uint8)
    prediction = np.roll(truth, 2, axis=1)
    curve = trimap_curve(truth, prediction, classes="voc21")
    histogram = BandHistogram(get_catalog("voc21"), rule="edge")
    histogram.update(index=band_map(truth=truth, rule="edge"), truth=truth, prediction=prediction)
    np.testing.assert_array_equal(curve.mean_iou, histogram.curve("truth").mean_iou)
    assert len(curve.to_pandas()) == 40
    assert "trimap width" in curve._repr_html_()


def test_the_crf_is_that_of_the_core() -> None:
    rgb = photograph(24, 32)
    p = np.random.default_rng(1).dirichlet(np.ones(3), (24, 32)).astype(np.float32).transpose(2, 0, 1)
    np.testing.assert_array_equal(crf(rgb, torch.from_numpy(p.copy()), "v1"), DenseCRF(rgb, preset("v1")).refine(p))


def test_an_overlay_is_a_picture_and_leaves_void_clear() -> None:
    rgb = np.full((2, 4, 3), 100, np.uint8)
    shown = overlay(rgb, LABELS, classes="voc21", opacity=0.5)
    assert shown.rgb[1, 3].tolist() == [100, 100, 100]
    assert shown.rgb[0, 3].tolist() == [round(0.1 * 100 + 0.9 * 128), 10, 10]  # beside void: an edge
    picture = Image.open(io.BytesIO(shown._repr_png_()))
    np.testing.assert_array_equal(np.asarray(picture), shown.rgb)
    assert np.array_equal(overlay(rgb, np.zeros((2, 4), bool), opacity=0.0).rgb, rgb)


class Other(nn.Module):
    """A module of another program that gives a dictionary, as torchvision's do."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, classes, 1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": nn.functional.interpolate(self.layers(x), x.shape[-2:], mode="bilinear", align_corners=False)}


def test_any_module_predicts_and_its_logits_are_its_own() -> None:
    module = Other().train()
    predictor = Predictor.of(module, classes=["floor", "chair", "sofa"], device="cpu")
    rgb = photograph(64, 96)
    card = predictor.card
    x = (
        torch.from_numpy(rgb).permute(2, 0, 1)[None].float() - torch.tensor(card.preprocessing.mean)[:, None, None]
    ) / torch.tensor(card.preprocessing.std)[:, None, None]
    with torch.no_grad():
        want = module(x)["out"][0].numpy()
    logits = predictor.logits(rgb)
    assert logits.shape == (3, 64, 96)
    np.testing.assert_allclose(logits - logits.max(0), want - want.max(0), atol=5e-3)
    p = predictor.probabilities(rgb)
    assert p.flags.c_contiguous
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(p, torch.from_numpy(want).softmax(0).numpy(), atol=2e-3)
    prediction = predictor(rgb)
    chosen = np.take_along_axis(p, prediction.labels[None].astype(np.intp), axis=0)[0]
    assert float((p.max(0) - chosen).max()) < 1e-4  # equal but for ties
    assert module.training
    assert "chair" in predictor.card._repr_html_()
    assert "96 x 64" in prediction._repr_html_()


@pytest.mark.parametrize("classes", ["voc21", 21, [f"c{n}" for n in range(21)], get_catalog("voc21")])
def test_classes_in_every_form(classes: Any) -> None:
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=21)
    predictor = Predictor.of(model, classes=classes, device="cpu")
    assert len(predictor.card.catalog) == 21
    assert predictor.card.preprocessing.padding == "none"


def test_a_module_with_other_channels_is_refused() -> None:
    with pytest.raises(ArrayError, match="3 channels for 5 classes"):
        Predictor.of(Other(), classes=5, device="cpu")(photograph(32, 32))


def test_logits_of_several_passes_have_the_probabilities_of_their_mean() -> None:
    from deeplab_core.records import PredictOptions

    predictor = Predictor.of(Other(), classes=3, device="cpu")
    rgb, options = photograph(32, 48), PredictOptions(flip=True, scales=(0.75, 1.0))
    logits = torch.from_numpy(predictor.logits(rgb, options=options))
    np.testing.assert_allclose(logits.softmax(0).numpy(), predictor.probabilities(rgb, options=options), atol=1e-4)


P = np.full((3, 4, 6), 1 / 3, np.float32)
RGB = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("call", "says", "remedy"),
    [
        (lambda: evaluate(Path("mask.png"), LABELS), "the ground truth must be an array, not a path", "Read the file first"),  # type: ignore[arg-type]
        (lambda: evaluate(LABELS, None), "must be an array, not NoneType", "numpy array or a torch tensor"),  # type: ignore[arg-type]
        (lambda: evaluate(LABELS, LABELS[None]), "an axis too many", "squeeze()"),
        (lambda: evaluate(LABELS, np.zeros((21, 2, 4))), r"float64 (21, 2, 4)", "argmax(0)"),
        (lambda: evaluate(LABELS, LABELS.astype(np.float32)), "float32 numbers", "astype"),
        (lambda: evaluate(LABELS, LABELS[:1]), "the sizes differ: (2, 4) and (1, 4)", "nearest neighbour"),
        (lambda: evaluate([LABELS, LABELS], [LABELS]), "2 masks of ground truth, 1 of predictions", "same order"),
        (lambda: evaluate(LABELS.astype(int) - 1, LABELS, classes="voc21"), "ids from -1", "Set void to 255"),
        (lambda: as_picture(RGB.transpose(2, 0, 1)), "uint8 (3, 4, 6)", "moveaxis(image, 0, -1)"),
        (lambda: as_picture(RGB / 255.0), "float64 (4, 6, 3)", "255 * image"),
        (lambda: as_picture(RGB[None]), "(1, 4, 6, 3)", "image[0]"),
        (lambda: as_picture(RGB[:0]), "empty", "with pixels"),
        (lambda: crf(RGB, P.transpose(1, 2, 0)), "classes last", "moveaxis(probabilities, -1, 0)"),
        (lambda: crf(RGB, P[None]), "axis for the batch", "probabilities[0]"),
        (lambda: crf(RGB, P[:, :2]), "(3, 2, 6)", "Resize the scores"),
        (lambda: crf(RGB, 5 * P), "lie between 1.67 and 1.67", "softmax"),
        (lambda: crf(RGB, np.full_like(P, np.nan)), "lie between nan and nan", "softmax"),
        (lambda: crf(RGB, P, "v9"), "no CRF preset 'v9'", "Choose one of"),
        (lambda: overlay(RGB, LABELS), "sizes differ", "one size"),
        (lambda: overlay(RGB, np.zeros((4, 6), int), opacity=2), "opacity is 2", "0 to 1"),
        (lambda: Predictor.of(Other(), classes=3, device="cpu")("image.png"), "not a path", "Read the file first"),  # type: ignore[arg-type]
        (lambda: Predictor.of(Other(), classes=3, device="cpu")(torch.zeros(3, 8, 8)), "torch tensor", "numpy()"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong_and_what_to_do(call: Callable[[], object], says: str, remedy: str) -> None:
    with pytest.raises(AtrousError) as caught:
        call()
    assert says in str(caught.value)
    assert remedy in str(caught.value)


def test_an_array_error_is_also_what_numpy_raises() -> None:
    with pytest.raises(ValueError, match="axis too many"):
        as_labels(LABELS[None])
    with pytest.raises(TypeError, match="must be an array"):
        as_probabilities([1, 2], (1, 2))


def test_undeclared_ids_are_refused() -> None:
    with pytest.raises(CatalogError, match="40"):
        evaluate(np.full((2, 2), 40, np.uint8), np.zeros((2, 2), np.uint8), classes="voc21")


def test_wide_masks_have_their_own_void() -> None:
    mask = np.array([[0, 300, 65535]], np.uint16)
    assert evaluate(mask, mask).total == 2

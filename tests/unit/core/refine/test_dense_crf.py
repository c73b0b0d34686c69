"""What the CRF promises its callers: reuse, pruning, strokes, threads, cancelling, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeplab_core.errors import AtrousError, Cancelled, ComputeError
from deeplab_core.refine import PRESETS, CRFParams, DenseCRF, ProbabilitySource, preset
from tests.unit.core.refine.scenes import blob

PARAMS = CRFParams(bilateral_sxy=30, bilateral_srgb=13, bilateral_compat=6)


def test_a_second_call_equals_a_fresh_object() -> None:
    """Lattices are kept over weights, steps and probabilities, and replaced when a deviation changes."""
    rgb, probabilities = blob(classes=6)
    crf = DenseCRF(rgb, PARAMS)
    crf.refine(probabilities)
    kept = dict(crf._lattices)
    changes = ({"bilateral_compat": 2, "iterations": 4}, {"normalization": "after"}, {"gaussian_compat": 0})
    for params in (replace(PARAMS, **change) for change in changes):
        np.testing.assert_array_equal(crf.refine(probabilities, params=params), DenseCRF(rgb, params).refine(probabilities))
    assert dict(crf._lattices) == kept
    other = replace(PARAMS, bilateral_srgb=20)
    np.testing.assert_array_equal(crf.refine(probabilities, params=other), DenseCRF(rgb, other).refine(probabilities))


def test_lattices_do_not_pile_up() -> None:
    rgb, probabilities = blob(12, 12)
    crf = DenseCRF(rgb, PARAMS)
    for srgb in range(5, 25):
        crf.refine(probabilities, params=replace(PARAMS, bilateral_srgb=srgb, iterations=1))
    assert len(crf._lattices) <= 2


def test_input_is_not_changed() -> None:
    rgb, probabilities = blob()
    before = rgb.copy(), probabilities.copy()
    DenseCRF(rgb, PARAMS).refine(probabilities)
    np.testing.assert_array_equal(rgb, before[0])
    np.testing.assert_array_equal(probabilities, before[1])


def test_pruned_labels_are_zero_and_the_rest_hardly_moves() -> None:
    rgb, probabilities = blob(40, 50, classes=12)
    probabilities[4:] *= 0.02
    probabilities /= probabilities.sum(axis=0)
    whole = DenseCRF(rgb, PARAMS, prune=False).refine(probabilities)
    crf = DenseCRF(rgb, PARAMS)
    marginals = crf.marginals(probabilities)
    pruned = marginals.probabilities()
    left_out = np.setdiff1d(np.arange(12), marginals.active)
    assert left_out.size >= 4
    assert not pruned[left_out].any()
    assert (pruned.argmax(0) == whole.argmax(0)).mean() >= 0.999
    np.testing.assert_array_equal(marginals.labels(), pruned.argmax(0))


@pytest.mark.parametrize("classes", [3, 7, 20])
def test_threads_change_rounding_only(classes: int) -> None:
    rgb, probabilities = blob(170, 190, classes=classes)
    one = DenseCRF(rgb, PARAMS, prune=False).refine(probabilities)
    three = DenseCRF(rgb, PARAMS, prune=False, threads=3).refine(probabilities)
    assert np.abs(one - three).max() < 1e-3
    assert (one.argmax(0) == three.argmax(0)).mean() >= 0.9999


def test_a_stroke_keeps_its_label_and_pulls_its_surroundings() -> None:
    rgb, probabilities = blob(40, 48)
    strokes = np.full((40, 48), 255, np.uint8)
    strokes[20, 15:33] = 2
    free = DenseCRF(rgb, PARAMS).marginals(probabilities).labels()
    held = DenseCRF(rgb, PARAMS).marginals(probabilities, clamp=strokes).labels()
    assert (free == 2).sum() == 0
    assert (held[20, 15:33] == 2).all()
    refined = DenseCRF(rgb, PARAMS).refine(probabilities, clamp=strokes)
    np.testing.assert_allclose(refined[2, 20, 15:33], 1.0, atol=1e-6)
    plain = DenseCRF(rgb, PARAMS, prune=False).refine(probabilities)
    assert refined[2, 19, 15:33].mean() > plain[2, 19, 15:33].mean()


def test_a_stroke_of_a_class_that_the_network_never_thought_of() -> None:
    rgb, probabilities = blob(30, 30, classes=4)
    probabilities[3] = 0.0
    probabilities /= probabilities.sum(axis=0)
    strokes = np.full((30, 30), 65535, np.uint16)
    strokes[5:8, 5:8] = 3
    labels = DenseCRF(rgb, PARAMS).marginals(probabilities, clamp=strokes, ignore=65535).labels()
    assert (labels[5:8, 5:8] == 3).all()


def test_probabilities_may_come_in_strips() -> None:
    rgb, probabilities = blob(64, 48, classes=5)
    channels_last = np.ascontiguousarray(probabilities.transpose(1, 2, 0))
    asked: list[tuple[int, int]] = []

    def read(first: int, last: int) -> np.ndarray:
        asked.append((first, last))
        return channels_last[first:last].transpose(2, 0, 1)

    source = ProbabilitySource((64, 48), 5, read)
    np.testing.assert_array_equal(
        DenseCRF(rgb, PARAMS).marginals(source).probabilities(), DenseCRF(rgb, PARAMS).refine(probabilities)
    )
    assert asked


def test_labels_take_the_catalogs_ids_and_confidence_is_of_the_winner() -> None:
    rgb, probabilities = blob()
    marginals = DenseCRF(rgb, PARAMS).marginals(probabilities)
    ids = np.array([7, 11, 300], np.uint16)
    np.testing.assert_array_equal(marginals.labels(ids), ids[marginals.labels()])
    np.testing.assert_array_equal(marginals.confidence(), np.rint(255 * marginals.probabilities().max(axis=0)).astype(np.uint8))


def test_it_can_be_cancelled_between_steps() -> None:
    rgb, probabilities = blob()
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        DenseCRF(rgb, PARAMS, prune=False).refine(probabilities, cancel=lambda: next(answers))


@pytest.mark.parametrize(
    ("field", "value"),
    [("gaussian_sxy", 0.0), ("bilateral_srgb", float("nan")), ("temperature", -1.0), ("iterations", -1), ("normalization", "x")],
)
def test_parameters_out_of_range_are_named(field: str, value: object) -> None:
    rgb, probabilities = blob(8, 8)
    with pytest.raises(AtrousError, match="CRF normalisation 'x'" if value == "x" else f"CRF parameter {field}"):
        DenseCRF(rgb, replace(PARAMS, **{field: value})).refine(probabilities)


def test_deviations_too_small_to_be_numbered_are_refused() -> None:
    rgb, probabilities = blob()
    with pytest.raises(AtrousError, match="too small"):
        DenseCRF(rgb, replace(PARAMS, bilateral_srgb=1e-4, bilateral_sxy=1e-4)).refine(probabilities)


def test_bad_input_is_refused() -> None:
    rgb, probabilities = blob(8, 8)
    with pytest.raises(ValueError, match="uint8"):
        DenseCRF(rgb.astype(np.float32), PARAMS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="differ in size"):
        DenseCRF(rgb, PARAMS).refine(probabilities[:, :-1])
    with pytest.raises(ValueError, match="C >= 2"):
        DenseCRF(rgb, PARAMS).refine(probabilities[:1])
    strokes = np.full((8, 8), 255, np.uint8)
    strokes[0, 0] = 9
    with pytest.raises(ValueError, match="channel 9"):
        DenseCRF(rgb, PARAMS).refine(probabilities, clamp=strokes)
    probabilities[0, 0, 0] = np.nan
    with pytest.raises(ComputeError, match="not finite"):
        DenseCRF(rgb, PARAMS).refine(probabilities)


def test_presets_are_usable_and_say_their_source() -> None:
    rgb, probabilities = blob(12, 12)
    assert {"v1", "v1-msc", "v1-coco", "v2", "readme"} <= set(PRESETS)
    for name, each in PRESETS.items():
        assert each.source
        refined = DenseCRF(rgb, preset(name)).refine(probabilities)
        np.testing.assert_allclose(refined.sum(axis=0), 1.0, atol=1e-5)
    with pytest.raises(AtrousError, match="v3"):
        preset("v3")

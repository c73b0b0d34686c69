"""Large images in strips: the same marginals to the bit, in the memory that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.errors import Cancelled
from deeplab_core.refine import CRFParams, DenseCRF, dense_crf, strips
from deeplab_core.refine.lattice import Lattice, TooLargeError, position_features, position_strips
from deeplab_core.refine.marginals import Marginals
from tests.unit.core.refine.scenes import blob

PARAMS = CRFParams(bilateral_sxy=30, bilateral_srgb=13, bilateral_compat=6)


def scene(height: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """As ``blob``; labels from the fourth on are improbable, so that they are dropped after the first step."""
    rgb, probabilities = blob(height, width, classes)
    probabilities[3:] *= 0.03
    return rgb, np.ascontiguousarray(probabilities / probabilities.sum(axis=0))


def in_strips(monkeypatch: pytest.MonkeyPatch, rgb: np.ndarray, probabilities: np.ndarray, **options: object) -> Marginals:
    """Marginals by strips of eleven rows; ``positions`` keeps the simplices of the smoothness kernel."""
    monkeypatch.setattr(dense_crf, "_STRIPS_FROM", 0)
    keep = options.pop("positions", False)
    monkeypatch.setattr(DenseCRF, "_keeps_positions", lambda *_arguments: keep)
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 11 * rgb.shape[1] + 5)
    clamp = options.pop("clamp", None)
    return DenseCRF(rgb, **options).marginals(probabilities, clamp=clamp)  # type: ignore[arg-type]


@pytest.mark.parametrize("classes", [2, 4, 9, 21])
@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_equal_to_the_bit(monkeypatch: pytest.MonkeyPatch, classes: int, prune: bool, threads: int) -> None:
    rgb, probabilities = scene(90, 120, classes)
    clamp = np.full((90, 120), 255, np.uint8)
    clamp[40:43, 20:90] = 1
    whole = DenseCRF(rgb, PARAMS, prune=prune).marginals(probabilities, clamp=clamp)
    found = in_strips(monkeypatch, rgb, probabilities, params=PARAMS, prune=prune, threads=threads, clamp=clamp)
    np.testing.assert_array_equal(found.active, whole.active)
    np.testing.assert_array_equal(found.q, whole.q)
    assert (found.active.size < classes) == (prune and classes > 4)


@pytest.mark.parametrize("normalization", ["symmetric", "after", "none"])
@pytest.mark.parametrize(("gaussian", "bilateral"), [(3.0, 0.0), (0.0, 4.0), (0.0, 0.0)])
def test_equal_with_one_kernel_or_none(
    monkeypatch: pytest.MonkeyPatch, normalization: str, gaussian: float, bilateral: float
) -> None:
    rgb, probabilities = scene(50, 70, 5)
    params = CRFParams(
        gaussian_compat=gaussian, bilateral_compat=bilateral, bilateral_sxy=20, normalization=normalization, iterations=4
    )  # type: ignore[arg-type]
    whole = DenseCRF(rgb, params).marginals(probabilities)
    found = in_strips(monkeypatch, rgb, probabilities, params=params)
    np.testing.assert_array_equal(found.active, whole.active)
    np.testing.assert_array_equal(found.q, whole.q)


@pytest.mark.parametrize("iterations", [0, 1, 2, 3])
def test_equal_where_the_steps_end_before_labels_are_dropped(monkeypatch: pytest.MonkeyPatch, iterations: int) -> None:
    rgb, probabilities = scene(50, 70, 12)
    params = CRFParams(bilateral_sxy=20, iterations=iterations)
    whole = DenseCRF(rgb, params).marginals(probabilities)
    found = in_strips(monkeypatch, rgb, probabilities, params=params)
    np.testing.assert_array_equal(found.q, whole.q)


def test_kept_positions_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, probabilities = scene(50, 70, 12)
    whole = DenseCRF(rgb, PARAMS).marginals(probabilities)
    found = in_strips(monkeypatch, rgb, probabilities, params=PARAMS, positions=True)
    np.testing.assert_array_equal(found.q, whole.q)


def test_positions_are_kept_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the other kernel and two sets of tables; the number of vertices is estimated."""
    rgb, _ = scene(150, 180, 3)
    appearance = DenseCRF(rgb, PARAMS)._lattice(30, 13)
    kept = Lattice.build(position_features(150, 180, 3.0))
    monkeypatch.setattr(dense_crf, "_STRIPS_FROM", 0)
    tables = 2 * 4 * 24 * (appearance.count + kept.count)
    least = appearance.nbytes + kept.nbytes + tables
    assert not DenseCRF(rgb, PARAMS, memory_limit=int(0.9 * least))._keeps_positions(3.0, appearance, 21)
    assert DenseCRF(rgb, PARAMS, memory_limit=int(1.2 * least))._keeps_positions(3.0, appearance, 21)


def test_a_strip_embeds_positions_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step reads the tables of a strip and fills the next ones with it; both need the same simplices."""
    rgb, probabilities = scene(50, 70, 3)
    asked: list[tuple[int, int]] = []
    made = Lattice.factors

    def watched(self: Lattice, normalization: str, first: int = 0, last: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        asked.append((first, last or 0))
        return made(self, normalization, first, last)

    monkeypatch.setattr(Lattice, "factors", watched)
    params = CRFParams(bilateral_compat=0, iterations=3)
    in_strips(monkeypatch, rgb, probabilities, params=params, prune=False)
    assert len(asked) == 3 * 5  # five strips of eleven rows
    assert set(asked) == set(asked[:5])


def test_simplices_that_are_not_kept_are_the_same() -> None:
    kept = Lattice.build(position_features(70, 90, 3.0, top=5, left=2))
    again = Lattice.build(position_strips(70, 90, 3.0, top=5, left=2), keep=False)
    assert again.vertices.shape == (0, 3)
    assert again.nbytes < kept.nbytes
    np.testing.assert_array_equal(again.mass, kept.mass)
    for first, last in ((0, 6300), (17, 400), (6200, 6300)):
        vertices, weights = again.simplices(first, last)
        np.testing.assert_array_equal(vertices, kept.vertices[first:last])
        np.testing.assert_array_equal(weights, kept.weights[first:last])


def test_features_in_strips_build_the_same_lattice(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = blob(60, 80, classes=3)[0]
    whole = DenseCRF(rgb, PARAMS)._lattice(30, 13)
    monkeypatch.setattr("deeplab_core.refine.lattice._STRIP", 333)
    parts = DenseCRF(rgb, PARAMS)._lattice(30, 13)
    np.testing.assert_array_equal(parts.vertices, whole.vertices)
    np.testing.assert_array_equal(parts.weights, whole.weights)
    np.testing.assert_array_equal(parts.mass, whole.mass)


def test_unary_terms_are_kept_only_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways give the same marginals; a bound between them takes the second."""
    rgb, probabilities = scene(90, 120, 21)
    seen: list[bool] = []
    advance = strips.StripField._advance

    def watched(self: strips.StripField) -> None:
        advance(self)
        seen.append(self._logits is not None)

    monkeypatch.setattr(strips.StripField, "_advance", watched)
    free = in_strips(monkeypatch, rgb, probabilities, params=PARAMS, memory_limit=1 << 40)
    assert seen[-1]
    seen.clear()
    monkeypatch.setattr(strips.StripField, "_keep_logits", lambda _self: None)
    bound = in_strips(monkeypatch, rgb, probabilities, params=PARAMS, memory_limit=1 << 40)
    assert not any(seen)
    np.testing.assert_array_equal(free.q, bound.q)


def test_too_large_is_refined_at_a_smaller_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, probabilities = blob(150, 180, classes=4)
    monkeypatch.setattr(dense_crf, "_STRIPS_FROM", 0)
    whole = DenseCRF(rgb, PARAMS).marginals(probabilities)
    for limit in (150 * 180 * 60, 150 * 180 * 80):  # known before a lattice is built, and only then
        small = DenseCRF(rgb, PARAMS, memory_limit=limit).marginals(probabilities)
        assert "for memory" in small.note
        assert (small.labels() == whole.labels()).mean() > 0.98


def test_building_stops_at_its_limit() -> None:
    with pytest.raises(TooLargeError) as error:
        Lattice.build(np.random.default_rng(0).uniform(0, 50, (5000, 5)).astype(np.float32), limit=1_000_000)
    assert error.value.needed > 1_000_000


def test_cancel_within_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, probabilities = blob(90, 120, classes=4)
    monkeypatch.setattr(dense_crf, "_STRIPS_FROM", 0)
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 1200)
    asked: list[int] = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) == 5

    with pytest.raises(Cancelled):
        DenseCRF(rgb, PARAMS).marginals(probabilities, cancel=cancel)
    assert len(asked) == 5

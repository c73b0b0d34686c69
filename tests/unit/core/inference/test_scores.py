"""Coarse scores: the labels of the whole map, of one pixel, and of torch's own upsampling are the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from deeplab_core.inference import ScoreGrid, Scores, ScoreStore, warm_up
from deeplab_core.inference import scores as scores_module
from deeplab_core.inference.geometry import NetworkFrame
from deeplab_core.inference.scores import store_scores
from deeplab_core.kernels import compiled
from deeplab_core.kernels import upsampling_numpy as numpy_kernels
from tests.unit.core.inference.networks import catalog

sizes = st.integers(1, 40)


def random_scores(
    image: tuple[int, int], grid: tuple[int, int], *, canvas: tuple[int, int] | None = None, classes: int = 5,
    align_corners: bool = False, mirrored: bool = False, seed: int = 0, spread: float = 5.0,
) -> Scores:  # fmt: skip
    values = store_scores(np.random.default_rng(seed).normal(0, spread, (*grid, classes)).astype(np.float32))
    frame = NetworkFrame(image, image, canvas or image)
    return Scores((ScoreGrid(values, frame, align_corners, mirrored),), catalog(classes))


def by_torch(scores: Scores) -> np.ndarray:
    """(C, H, W) probabilities by the long way: upsample the whole grid to the canvas, crop, softmax."""
    total = 0.0
    for grid in scores.grids:
        logits = torch.from_numpy(grid.values.astype(np.float32)).permute(2, 0, 1)[None]
        up = interpolate(logits, size=grid.frame.canvas, mode="bilinear", align_corners=grid.align_corners)
        up = up[..., : grid.frame.scaled[0], : grid.frame.scaled[1]]
        up = up.flip(-1) if grid.mirrored else up
        total = total + up[0].softmax(0).numpy()
    return total / len(scores.grids)


@settings(max_examples=60, deadline=None)
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.tuples(st.integers(0, 9), st.integers(0, 9)), st.booleans(),
       st.booleans(), st.sampled_from([0.3, 5.0, 40.0]), st.integers(0, 99))  # fmt: skip
def test_labels_and_confidence_are_those_of_upsampling_everything(
    image: tuple[int, int], grid: tuple[int, int], padding: tuple[int, int], align: bool, mirrored: bool, spread: float, seed: int
) -> None:
    canvas = (image[0] + padding[0], image[1] + padding[1])
    scores = random_scores(image, grid, canvas=canvas, align_corners=align, mirrored=mirrored, seed=seed, spread=spread)
    labels, confidence = scores.label_map()
    expected = by_torch(scores)
    top = np.sort(expected, axis=0)
    clear = top[-1] - top[-2] > 1e-3
    assert (labels[clear] == expected.argmax(0)[clear]).all()
    assert np.abs(confidence - 255 * expected.max(0)).max() <= 0.51 + 0.01
    assert labels.flags.c_contiguous
    assert labels.dtype == np.uint8


@settings(max_examples=40, deadline=None)
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.booleans(), st.integers(0, 99), st.integers(1, 3))
def test_one_pixel_agrees_with_the_map(
    image: tuple[int, int], grid: tuple[int, int], align: bool, seed: int, passes: int
) -> None:
    parts = [random_scores(image, grid, align_corners=align, mirrored=n % 2 == 1, seed=seed + n).grids[0] for n in range(passes)]
    scores = Scores(tuple(parts), catalog())
    labels, confidence = scores.label_map()
    rng = np.random.default_rng(seed)
    for _ in range(6):
        y, x = int(rng.integers(image[0])), int(rng.integers(image[1]))
        ids, probabilities = scores.top_classes_at(x, y, top=5)
        assert ids[0] == labels[y, x]
        assert list(probabilities) == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1.0, abs=2e-5)
        assert round(255 * probabilities[0]) == pytest.approx(int(confidence[y, x]), abs=1)
        np.testing.assert_allclose(scores.probabilities_at(x, y), by_torch(scores)[:, y, x], atol=3e-5)


def test_mean_of_probabilities_not_of_scores() -> None:
    """Two passes that disagree: the mean of probabilities and the mean of scores have different winners."""
    frame = NetworkFrame((1, 1), (1, 1), (1, 1))
    first, second = np.array([[[0.0, 9.0, 0.0]]], np.float32), np.array([[[0.0, -9.0, 2.0]]], np.float32)
    scores = Scores(tuple(ScoreGrid(store_scores(v), frame, False) for v in (first, second)), catalog(3))
    labels, _ = scores.label_map()
    mean = (torch.tensor(first).softmax(2) + torch.tensor(second).softmax(2)) / 2
    assert labels[0, 0] == int(mean.argmax()) == 1
    assert (first + second).argmax() == 2


def test_numpy_twin_gives_the_same_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    single = random_scores((61, 87), (9, 12), classes=9, seed=4)
    several = Scores((single.grids[0], random_scores((61, 87), (7, 8), classes=9, mirrored=True).grids[0]), catalog(9))
    compiled = single.label_map(), several.label_map()
    monkeypatch.setattr(scores_module, "_kernels", lambda: numpy_kernels)
    for (labels, confidence), (other, other_confidence) in zip(compiled, (single.label_map(), several.label_map()), strict=True):
        assert (labels != other).sum() <= 1  # means of probabilities may tie
        assert np.abs(confidence.astype(int) - other_confidence).max() <= 1


@settings(max_examples=100, deadline=None)
@given(st.tuples(sizes, sizes), st.tuples(st.integers(1, 12), st.integers(1, 12)), st.integers(1, 6), st.booleans(),
       st.booleans(), st.sampled_from([1e-7, 0.4, 3.0, 900.0, 7e4]), st.booleans(), st.integers(0, 999))  # fmt: skip
def test_labels_alone_are_those_of_the_map_also_at_ties(
    image: tuple[int, int], grid: tuple[int, int], classes: int, align: bool, mirrored: bool, spread: float, ties: bool, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(0, spread, (*grid, classes)).astype(np.float32)
    if ties:  # few values, so that classes are equal at corners, along edges and between them
        values = np.float32(spread) * np.rint(values / np.float32(spread))
    frame = NetworkFrame(image, image, image)
    scores = Scores((ScoreGrid(store_scores(values), frame, align, mirrored),), catalog(classes, first_id=3))
    labels = scores.labels()
    np.testing.assert_array_equal(labels, scores.label_map()[0])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scores_module, "_kernels", lambda: numpy_kernels)
        np.testing.assert_array_equal(labels, scores.labels())
    assert labels.flags.c_contiguous


def test_labels_alone_of_large_cells_many_classes_and_thresholds() -> None:
    for scores in (
        random_scores((90, 400), (3, 4), classes=9, spread=0.5),
        random_scores((90, 400), (9, 12), classes=300, spread=2.0),
        random_scores((20, 30), (90, 70)),
        Scores((random_scores((33, 21), (5, 4)).grids[0], random_scores((33, 21), (4, 5), seed=1).grids[0]), catalog()),
    ):
        labels = scores.labels()
        np.testing.assert_array_equal(labels, scores.label_map()[0])
        assert labels.dtype == scores.catalog.dtype
    two = random_scores((40, 50), (5, 6), classes=2)
    for threshold in (None, 0.2, 0.5, 0.9):
        np.testing.assert_array_equal(two.labels(threshold), two.label_map(threshold)[0])


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    single = random_scores((64, 48), (9, 7), seed=2)
    several = Scores((single.grids[0], random_scores((64, 48), (5, 6)).grids[0]), catalog())
    whole = [scores.label_map() for scores in (single, several)]
    monkeypatch.setattr(scores_module, "_STRIP_FLOATS", 1)
    for scores, (labels, confidence) in zip((single, several), whole, strict=True):
        again = scores.label_map()
        np.testing.assert_array_equal(again[0], labels)
        np.testing.assert_array_equal(again[1], confidence)


def test_ids_are_names_not_channels() -> None:
    base = random_scores((20, 20), (4, 4))
    shifted = Scores(base.grids, catalog(first_id=100))
    np.testing.assert_array_equal(shifted.label_map()[0], base.label_map()[0] + 100)
    assert shifted.top_classes_at(3, 3)[0][0] == shifted.label_map()[0][3, 3]


def test_wide_catalogs_get_wide_maps() -> None:
    labels, _ = random_scores((8, 8), (3, 3), classes=300).label_map()
    assert labels.dtype == np.uint16


def test_scores_far_apart_survive_float16() -> None:
    values = store_scores(np.array([[[1e30, -1e30, 0.0]]], np.float32))
    assert np.isfinite(values).all()
    assert values[0, 0, 0] == 0


def test_pixel_outside_is_an_error() -> None:
    with pytest.raises(IndexError, match=r"\(9, 0\) lies outside the image of 9 x 4"):
        random_scores((4, 9), (2, 2)).probabilities_at(9, 0)


def test_store_is_bounded_by_bytes_and_forgets_the_longest_unused() -> None:
    scores = {name: random_scores((4, 4), (10, 10)) for name in "abc"}
    size = scores["a"].nbytes
    store = ScoreStore(max_bytes=2 * size)
    assert store.keep("a", scores["a"])
    assert store.keep("b", scores["b"])
    assert store.find("a") is scores["a"]
    assert store.keep("c", scores["c"])
    assert store.find("b") is None
    assert store.find("a") is scores["a"]
    assert store.nbytes == 2 * size
    assert not ScoreStore(max_bytes=size - 1).keep("a", scores["a"])
    store.clear()
    assert store.nbytes == 0


def test_nobody_waits_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scores_module._kernels() is not numpy_kernels
    with monkeypatch.context() as patched:
        patched.setattr(compiled._Choice, "compiling", -1)  # another thread compiles
        assert scores_module._kernels() is numpy_kernels
        expected = random_scores((31, 17), (4, 5)).label_map()
        np.testing.assert_array_equal(random_scores((31, 17), (4, 5)).labels(), expected[0])
    np.testing.assert_array_equal(random_scores((31, 17), (4, 5)).label_map()[0], expected[0])
    warm_up()
    assert compiled._Choice.compiling is None


def test_steep_scores_over_long_runs() -> None:
    """Where exponentials of a run would vanish or overflow, single pixels are computed."""
    for spread in (50.0, 500.0, 2e4):
        scores = random_scores((60, 300), (3, 4), spread=spread, seed=int(spread))
        labels, confidence = scores.label_map()
        expected = by_torch(scores)
        top = np.sort(expected, axis=0)
        clear = top[-1] - top[-2] > 1e-3
        assert (labels[clear] == expected.argmax(0)[clear]).all()
        assert np.abs(confidence - 255 * expected.max(0)).max() <= 0.52

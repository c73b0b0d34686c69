"""Scribbles, outlines that snap, and the geometry of paths."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.correction import BANDS, FLOODED, REACHES, Corrector, Provenance
from deeplab_core.correction.paths import path_pixels
from deeplab_core.correction.scribble import needed_box
from deeplab_core.correction.snapping import _best_offsets
from deeplab_core.kernels.compiled import allow_compiled
from deeplab_core.kernels.shortest_paths import best_offsets
from tests.unit.core.correction.scenes import CATALOG, disk_corrector, disk_scene


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("reach", REACHES[2:])  # the nearer ones end within the disk
@pytest.mark.parametrize("scores", [True, False])
def test_a_scribble_finds_the_object_that_it_is_drawn_in(reach: int, scores: bool) -> None:
    corrector, inside = disk_corrector(scores=scores)
    proposal = corrector.scribble([(24, 24), (40, 24)], 3, reach)
    assert proposal is not None
    assert overlap(proposal.mask, inside) > (0.9 if reach > 12 else 0.6)
    stroke = np.asarray(proposal.provenance) == Provenance.USER
    assert stroke.sum() == 17
    assert stroke[24, 24:41].all()


def test_a_large_part_is_computed_at_a_smaller_scale_with_the_same_result() -> None:
    rgb, inside = disk_scene(480, 640)
    corrector = Corrector(rgb, np.zeros(inside.shape, np.uint8), catalog=CATALOG)
    proposal = corrector.scribble([(240, 240), (400, 240)], 3, 150)
    assert proposal is not None
    assert overlap(proposal.mask, inside) > 0.95


def test_a_scribble_does_not_jump_to_what_looks_alike_elsewhere() -> None:
    rgb = np.full((40, 90, 3), 90, np.uint8)
    rgb[10:30, 10:30] = rgb[10:30, 50:70] = (200, 60, 50)
    corrector = Corrector(rgb, np.zeros((40, 90), np.uint8), catalog=CATALOG)
    proposal = corrector.scribble([(15, 20), (25, 20)], 3, 30)
    assert proposal is not None
    assert proposal.mask[12:28, 12:28].all()
    assert not proposal.mask[:, 40:].any()


def test_a_scribble_takes_from_the_class_it_begins_on_or_crosses_most() -> None:
    rgb, inside = disk_scene()
    labels = np.zeros(inside.shape, np.uint8)
    labels[:, :20] = 3
    labels[:, 40:] = 7
    corrector = Corrector(rgb, labels, catalog=CATALOG)
    begins_on_own = corrector.scribble([(10, 24), (36, 24)], 3, 12)
    assert begins_on_own is not None
    assert set(labels[begins_on_own.mask].tolist()) == {0}
    begins_on_box = corrector.scribble([(50, 24), (25, 24)], 3, 12)
    assert begins_on_box is not None
    assert set(labels[begins_on_box.mask].tolist()) == {7}
    assert corrector.scribble([(2, 2), (9, 9)], 3, 12) is None


@pytest.mark.parametrize("shift", [-3, 3])
def test_a_border_snaps_to_the_edge_within_its_band_and_stays_without(shift: int) -> None:
    rgb, inside = disk_scene(96, 128)
    size = 2 * abs(shift) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    drawn = (cv2.dilate if shift > 0 else cv2.erode)(inside.astype(np.uint8), kernel) > 0
    corrector = Corrector(rgb, np.where(drawn, 3, 0).astype(np.uint8), catalog=CATALOG)
    before = overlap(drawn, inside)
    for by, band in [*(("colours", band) for band in BANDS), *(("edges", band) for band in FLOODED[2:])]:
        proposal = corrector.snap_border(64, 48, band, by)
        assert proposal is not None
        after = np.where(proposal.mask, proposal.labels, corrector.labels) == 3
        # Flooding leaves a line of one pixel as it was.
        assert overlap(after, inside) > max(before, 0.97 if by == "colours" else 0.96)
    right = Corrector(rgb, np.where(inside, 3, 0).astype(np.uint8), catalog=CATALOG)
    for by in ("colours", "edges"):
        proposal = right.snap_border(64, 48, 5, by)
        assert proposal is None or proposal.mask.sum() < 0.02 * inside.sum()


def test_flooding_stays_within_its_band_and_leaves_painted_pixels() -> None:
    rgb, inside = disk_scene(96, 128)
    labels = np.where(cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0, 3, 0).astype(np.uint8)
    painted = np.zeros(labels.shape, np.uint8)
    painted[:48] = Provenance.USER
    corrector = Corrector(rgb, labels, catalog=CATALOG, provenance=painted)
    near = corrector.snap_border(64, 60, 2, "edges")  # the edge is four pixels away
    outline = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((7, 7), np.uint8)) > 0
    assert near is None or not (near.mask & ~outline).any()
    proposal = corrector.snap_border(64, 60, 8, "edges")
    assert proposal is not None
    assert not proposal.mask[:48].any()
    assert proposal.mask[48:].any()


def test_what_a_component_loses_takes_the_nearest_class_and_void_stays() -> None:
    rgb, inside = disk_scene(96, 128)
    drawn = cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    labels = np.where(drawn, 3, 0).astype(np.uint8)
    labels[:, :40] = np.where(drawn, 3, 7)[:, :40]
    labels[:6] = 255
    corrector = Corrector(rgb, labels, catalog=CATALOG)
    proposal = corrector.snap_border(64, 48, 10)
    assert proposal is not None
    taken = np.asarray(proposal.labels)[proposal.mask & drawn]
    assert set(taken.tolist()) == {0, 7}
    assert not (proposal.mask & (labels == 255)).any()
    assert corrector.snap_border(3, 3, 10) is None


def test_a_lasso_snaps_to_the_edge() -> None:
    rgb, inside = disk_scene(96, 128)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    path = np.stack([64.5 + 35 * np.cos(angle), 48.5 + 35 * np.sin(angle)], axis=1)
    corrector = Corrector(rgb, np.zeros(inside.shape, np.uint8), catalog=CATALOG)
    plain, snapped = corrector.lasso(path, 3), corrector.lasso(path, 3, snap=6)
    assert plain is not None
    assert snapped is not None
    assert overlap(snapped.mask, inside) > 0.97 > overlap(plain.mask, inside)
    moved = corrector.snapped(path, 6)
    assert np.hypot(*(moved - (64.5, 48.5)).T).min() > 28
    assert corrector.snapped(path[:2], 6).tolist() == path[:2].tolist()


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=5),
    st.tuples(st.integers(0, 12), st.integers(0, 8)),
)
def test_a_path_is_a_connected_line_through_its_points(points: list[tuple[float, float]], inside: tuple[int, int]) -> None:
    path = np.array([*points, (inside[0] + 0.5, inside[1] + 0.5)])
    xs, ys = path_pixels(path, (9, 13))
    assert ((xs >= 0) & (xs < 13) & (ys >= 0) & (ys < 9)).all()
    assert (xs[-1], ys[-1]) == inside
    for x, y in path:
        if 0 <= x < 13 and 0 <= y < 9:
            assert ((xs == int(x)) & (ys == int(y))).any()


def brute_force(costs: np.ndarray, bend: float, start: int) -> Fraction:
    """The least cost of a closed path through an offset of the first point."""
    points, offsets = costs.shape
    best = {start: Fraction(float(costs[0, start]))}
    for n in range(1, points):
        best = {
            k: min(best[j] + Fraction(bend) * abs(j - k) for j in best if abs(j - k) <= 1) + Fraction(float(costs[n, k]))
            for k in range(offsets)
            if any(abs(j - k) <= 1 for j in best)
        }
    return min(best[k] + Fraction(bend) * abs(k - start) for k in best if abs(k - start) <= 1)


@settings(max_examples=40)
@given(st.integers(3, 9), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_ribbons_path_is_closed_and_the_cheapest_through_its_beginning(points: int, offsets: int, seed: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 16, (points, offsets)).astype(np.float32)
    path = best_offsets(costs, 0.5)
    steps = np.abs(np.diff(np.append(path, path[0])))
    assert (steps <= 1).all()
    total = Fraction(float(costs[np.arange(points), path].sum())) + Fraction(1, 2) * int(steps.sum())
    assert total == brute_force(costs, 0.5, int(path[0]))


def test_a_lasso_snaps_alike_with_and_without_compiled_loops() -> None:
    """The window has no compiled loops."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        costs = rng.integers(0, 5, (int(rng.integers(8, 40)), int(rng.integers(2, 9)))).astype(np.float32)
        allow_compiled(False)
        try:
            plain = _best_offsets(costs)
        finally:
            allow_compiled(True)
        assert np.array_equal(plain, best_offsets(costs, 1.0))


def test_the_labels_of_the_needed_box_suffice_for_a_scribble() -> None:
    rng = np.random.default_rng(4)
    rgb = rng.integers(0, 255, (90, 120, 3)).astype(np.uint8)
    labels = np.zeros((90, 120), np.uint8)
    labels[:, 60:] = 3
    path = [(70.0, 40.0), (74.0, 46.0)]
    whole = Corrector(rgb, labels, catalog=CATALOG).scribble(path, 0, 6, 3)
    box = needed_box(path, 3, 6, (90, 120))
    assert box.area < labels.size
    cut = np.full_like(labels, CATALOG.ignore)
    cut[box.slices] = labels[box.slices]
    part = Corrector(rgb, cut, catalog=CATALOG).scribble(path, 0, 6, 3)
    assert whole is not None
    assert part is not None
    assert np.array_equal(whole.mask, part.mask)


@pytest.mark.parametrize("shift", [-4, 4])
def test_an_outline_snaps_to_the_object_that_it_is_drawn_around(shift: int) -> None:
    rgb, inside = disk_scene(96, 128)
    rows, columns = np.nonzero(inside)
    middle, radius = (columns.mean() + 0.5, rows.mean() + 0.5), (np.ptp(columns) + 1) / 2 + shift
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    path = np.stack([middle[0] + radius * np.cos(turns), middle[1] + radius * np.sin(turns)], axis=1)
    labels = np.zeros((96, 128), np.uint8)
    labels[:, :64] = 255
    provenance = np.zeros((96, 128), np.uint8)
    provenance[:, 100:] = Provenance.USER
    corrector = Corrector(rgb, labels, catalog=CATALOG, provenance=provenance)
    for band in BANDS:
        proposal = corrector.snap_outline(path, 3, band)
        assert proposal is not None
        assert overlap(proposal.mask, inside) > 0.97
        assert proposal.provenance == Provenance.RECLASSIFIED
    assert corrector.snap_outline([(1, 1), (1.2, 1), (1, 1.2)], 3, 10) is None


def test_what_an_outline_gives_up_takes_the_nearest_class_but_not_what_was_painted() -> None:
    rgb, inside = disk_scene(96, 128)
    drawn = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    labels = np.where(drawn, 3, 7).astype(np.uint8)
    provenance = np.zeros((96, 128), np.uint8)
    provenance[:, :50] = Provenance.USER
    corrector = Corrector(rgb, labels, catalog=CATALOG, provenance=provenance)
    rows, columns = np.nonzero(drawn)
    path = [
        (columns.min(), rows.min()),
        (columns.max() + 1, rows.min()),
        (columns.max() + 1, rows.max() + 1),
        (columns.min(), rows.max() + 1),
    ]
    proposal = corrector.snap_outline(path, 3, 10)
    assert proposal is not None
    corrector.apply(proposal)
    after = corrector.labels == 3
    assert overlap(after[:, 50:], inside[:, 50:]) > 0.95
    assert (corrector.labels[:, :50] == 3)[drawn[:, :50]].all()
    assert set(np.unique(corrector.labels).tolist()) == {3, 7}


def test_a_guess_for_a_path_leaves_classes_out() -> None:
    rgb, _ = disk_scene(96, 128)
    labels = np.zeros((96, 128), np.uint8)
    scores = np.random.default_rng(4).random((len(CATALOG), 12, 16)).astype(np.float32)
    corrector = Corrector(rgb, labels, catalog=CATALOG, scores=scores / scores.sum(axis=0))
    path, seen = [(5.0, 5.0), (100.0, 80.0)], []
    for _ in range(len(CATALOG) - 1):
        found = corrector.region_guess(path, 3, seen)
        assert found is not None
        assert found not in seen
        seen.append(found)
    proposal = corrector.regions_along(path, 3)
    assert proposal is not None
    assert proposal.labels == seen[0]
    box, mask = corrector.region_mask(5, 5, 3)
    only = corrector.region_at(5, 5, 3, 3)
    assert only is not None
    assert np.array_equal(only.mask[box.slices], mask)

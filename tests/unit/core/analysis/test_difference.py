"""The difference of two runs: errors fixed and made, by kind, cell, slice and component."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis import FailureKind, component_mask, difference
from deeplab_core.analysis.compared_slices import compare_axes
from deeplab_core.analysis.difference import ChangedFiles, ImageErrorChange, RunDifference, compare_errors, compare_runs
from deeplab_core.analysis.error_maps import map_errors
from deeplab_core.analysis.record import ERROR_PIXELS, slice_name
from deeplab_core.analysis.slice_scores import paired_axis_scores, score_axis, sliced_axes
from deeplab_core.analysis.slices import ObjectAxis, PixelAxis, slice_objects
from deeplab_core.analysis.verdicts import Verdict
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_mask
from tests.unit.core.metrics.maps import catalog_of, label_maps

VOC = get_catalog("voc21")
CHAIR, PERSON, SOFA = 9, 15, 18
SMALL = catalog_of(0, 5, 9, name="small")


def difference_of(*images: tuple[np.ndarray, np.ndarray, np.ndarray], catalog=VOC, **more: object) -> RunDifference:
    found = RunDifference(catalog)
    for number, (truth, before, after) in enumerate(images):
        maps = [map_errors(truth=truth, prediction=run, catalog=catalog, **more) for run in (before, after)]
        found.add(f"{number}.png", ImageErrorChange.of(*maps))
    return found


def room() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A chair of 20 x 20 px is called sofa before and right after; a person of 10 x 10 px is right before, missed after."""
    truth = np.zeros((60, 80), np.uint8)
    truth[10:30, 10:30], truth[40:50, 60:70] = CHAIR, PERSON
    before, after = truth.copy(), truth.copy()
    before[10:30, 10:30] = SOFA
    after[40:50, 60:70] = 0
    before[0, 0] = after[0, 0] = CHAIR  # stays
    return truth, before, after


def test_golden_values_of_a_difference() -> None:
    found = difference_of(room())
    assert (found.before.wrong_px, found.after.wrong_px, found.fixed.wrong_px, found.made.wrong_px) == (401, 101, 400, 100)
    assert found.stayed == 1
    kinds = {row.kind: row for row in found.kinds()}
    swap, missed = kinds[FailureKind.CLASS_SWAP], kinds[FailureKind.MISSED_OBJECT]
    assert (swap.before, swap.after, swap.fixed, swap.made) == (400, 0, 400, 0)
    assert (swap.images_better, swap.images_worse) == (1, 0)
    assert (missed.before, missed.after, missed.fixed, missed.made) == (0, 100, 0, 100)
    assert not kinds[FailureKind.LOW_VISIBLE].measured
    cells = [(cell.truth, cell.prediction, cell.before, cell.after, cell.fixed, cell.made) for cell in found.cells()]
    assert cells == [(CHAIR, SOFA, 400, 0, 400, 0), (PERSON, 0, 0, 100, 0, 100)]
    assert [(one.truth, one.prediction, one.pixels) for one in found.won()] == [(CHAIR, SOFA, 400)]
    assert [(one.truth, one.prediction, one.pixels) for one in found.lost()] == [(PERSON, 0, 100)]
    assert FailureKind.CLASS_SWAP in found.won()[0].kinds


def test_intervals_of_counts_are_those_of_the_images() -> None:
    """A kind and a cell have the interval of the sum over images that any one would draw."""
    truth, before, after = room()
    images = [(truth, before, after), (truth, before, before), (truth, after, before), (truth, before, after)]
    found = difference_of(*images)
    drawn = np.random.default_rng(3).integers(0, 4, (500, 4))  # the draws of the bootstrap
    swap = next(row for row in found.kinds(resamples=500, seed=3) if row.kind is FailureKind.CLASS_SWAP)
    won = np.array([400, 0, -400, 400])[drawn].sum(axis=1)
    assert (swap.low, swap.high) == tuple(np.quantile(won, [0.025, 0.975]))
    assert (swap.images_better, swap.images_worse) == (2, 1)
    cells = {(cell.truth, cell.prediction): cell for cell in found.cells(resamples=500, seed=3)}
    assert (cells[CHAIR, SOFA].low, cells[CHAIR, SOFA].high) == (swap.low, swap.high)
    assert np.isnan(found.cells(resamples=0)[0].low)
    assert np.isnan(difference_of(room()).kinds()[0].low)  # one image has none


def test_p_values_of_counts_are_one_family_and_need_six_images() -> None:
    truth, before, after = room()
    both = np.where(before != truth, before, after)
    images = [(truth, both, before)] * 9 + [(truth, both, truth)] * 3 + [(truth, before, truth)] * 2
    found = difference_of(*images)
    cells = {(cell.truth, cell.prediction): cell for cell in found.cells(resamples=2000)}
    missed, swapped = cells[PERSON, 0], cells[CHAIR, SOFA]
    assert (missed.images_better, missed.images_worse, swapped.images_better) == (12, 0, 5)
    assert missed.p == pytest.approx(2 / 2001), "no draw is on the other side, and no other cell was tested"
    assert (missed.verdict, swapped.verdict) == (Verdict.BETTER, Verdict.FEW)
    assert np.isnan(swapped.p)
    assert not np.isnan(swapped.low), "an interval it has"
    other_way = {(cell.truth, cell.prediction): cell for cell in difference_of(*[(t, b, a) for t, a, b in images]).cells()}
    assert other_way[PERSON, 0].verdict is Verdict.WORSE
    (first,) = difference_of(*[(truth, both, truth)] * 7).cells(1, resamples=2000)
    assert first.p == pytest.approx(3 * 2 / 2001), "the two cells that are not listed were tested too"
    kinds = {row.kind: row for row in found.kinds(resamples=2000)}
    tested = [row for row in kinds.values() if not np.isnan(row.p)]
    assert kinds[FailureKind.MISSED_OBJECT].p == pytest.approx(len(tested) * 2 / 2001)
    assert kinds[FailureKind.LOW_VISIBLE].verdict is None
    assert {row.verdict for row in found.kinds(test=False)} == {None}
    assert {row.verdict for row in found.cells(resamples=0)} == {None}


def test_many_cells_can_still_be_told_from_chance() -> None:
    """2 / 10,001 times 306 cells is above 0.05: so few draws could mark none of them, whatever the difference."""
    classes = np.arange(18, dtype=np.uint8)
    truth = np.repeat(classes, 17)[None]
    before = np.concatenate([classes[classes != one] for one in classes])[None]
    found = difference_of(*[(truth, before, truth)] * 6)
    cells = found.cells(resamples=10_000)
    assert len(cells) == 18 * 17
    assert {cell.verdict for cell in cells} == {Verdict.BETTER}
    assert cells[0].p == pytest.approx(306 * 2 / 30_601)


def test_draws_do_not_depend_on_the_order_of_the_images() -> None:
    truth, before, after = room()
    one = difference_of((truth, before, after), (truth, before, truth), (truth, after, before))
    other = RunDifference(VOC)
    for name in reversed(list(one.before)):
        other.add(name, ImageErrorChange(*(getattr(one, view).get(name) for view in ("before", "after", "fixed", "made"))))
    assert [(row.fixed, row.low, row.high) for row in one.kinds()] == [(row.fixed, row.low, row.high) for row in other.kinds()]
    sides = [score_axis(sliced_axes(found.before, only=["size"])[0]) for found in (one, other)]
    np.testing.assert_array_equal(*[[row.interval for row in side] for side in sides])


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_pair_is_both_of_its_cells(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    images = [tuple(data.draw(label_maps(SMALL, shape)) for _ in range(3)) for _ in range(3)]
    found = difference_of(*images, catalog=SMALL, things=frozenset({5, 9}))
    cells = {(cell.truth, cell.prediction): cell for cell in found.cells(resamples=50)}
    pairs = found.cells(resamples=50, both_ways=True)
    assert sum(pair.fixed for pair in pairs) == sum(cell.fixed for cell in cells.values())
    for pair in pairs:
        places = [SMALL.index_of(pair.truth), len(SMALL) if not pair.both_ways else SMALL.index_of(pair.prediction)]
        for name in ("before", "after", "fixed", "made"):
            counts, _ = getattr(found, name).error_cells()
            assert getattr(pair, name) == counts[*places] + (counts[*places[::-1]] if pair.both_ways else 0)
        assert pair.both_ways == (pair.prediction != SMALL.ignore)
        assert not pair.both_ways or (pair.prediction, pair.truth) not in {(one.truth, one.prediction) for one in pairs}


def test_half_a_component_is_fixed_and_keeps_its_kind() -> None:
    truth, before, _ = room()
    after = before.copy()
    after[10:30, 10:20] = CHAIR  # half of the swap is mended; in the second run the rest is no whole segment any more
    found = difference_of((truth, before, after))
    kinds = {row.kind: row for row in found.kinds()}
    assert kinds[FailureKind.SEGMENT].fixed == 200
    assert kinds[FailureKind.SEGMENT].before == 401
    assert [one.pixels for one in found.won()] == [200]
    mask = component_mask(found.won()[0], truth=truth, prediction=np.where(after == truth, before, truth))
    assert mask.sum() == 200


def test_both_runs_need_one_truth() -> None:
    truth, before, after = room()
    other = truth.copy()
    other[0, 5] = CHAIR
    one = map_errors(truth=truth, prediction=before, catalog=VOC)
    with pytest.raises(ValueError, match="one ground truth"):
        ImageErrorChange.of(one, map_errors(truth=other, prediction=after, catalog=VOC))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_after_is_before_without_the_fixed_and_with_the_made(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    images = [tuple(data.draw(label_maps(SMALL, shape)) for _ in range(3)) for _ in range(2)]
    found = difference_of(*images, catalog=SMALL, things=frozenset({5, 9}))
    wrong = [sum(int(((run[0] != run[n]) & (run[0] != SMALL.ignore)).sum()) for run in images) for n in (1, 2)]
    assert wrong == [found.before.wrong_px, found.after.wrong_px]
    assert wrong[1] == wrong[0] - found.fixed.wrong_px + found.made.wrong_px
    before, after, fixed, made = (
        getattr(found, view).error_cells()[0] for view in ("before", "after", "fixed", "made")
    )  # fmt: skip
    assert (after.sum(axis=1) == before.sum(axis=1) - fixed.sum(axis=1) + made.sum(axis=1)).all()  # of every class of the truth
    assert (fixed <= before).all()
    assert (made <= after).all()
    for axis in (PixelAxis.DISTANCE,):
        lost = [_off(getattr(found, view).total(slice_name(axis))) for view in ("before", "after", "fixed", "made")]
        assert (lost[1] == lost[0] - lost[2] + lost[3]).all()
    lost = [found_lost(getattr(found, view)) for view in ("before", "after", "fixed", "made")]
    assert (lost[1] == lost[0] - lost[2] + lost[3]).all()


def _off(counts: np.ndarray) -> np.ndarray:
    """(S, C) wrong pixels of each slice by class of the truth."""
    right = np.stack([np.diagonal(one) for one in counts])
    return counts.sum(axis=2) - right


def found_lost(folder) -> np.ndarray:
    return folder.objects["pixels"].astype(np.int64) - folder.objects["right"]


def test_slices_are_scored_as_they_are_shown() -> None:
    found = difference_of(room(), room())
    axes = {axis.name: axis for axis in sliced_axes(found.before)}
    rows = score_axis(axes["size"], resamples=100)
    expected = slice_objects(found.before.objects, ObjectAxis.SIZE)
    assert [row.count for row in rows] == [row.objects for row in expected]
    for row, known in zip(rows, expected, strict=True):
        assert row.score == pytest.approx(known.iou, nan_ok=True)
    pixels = {axis.axis: axis for axis in found.before.slices.values()}[PixelAxis.DISTANCE].rows()
    for row, known in zip(score_axis(axes["pixel_distance"], resamples=0), pixels, strict=True):
        assert row.score == pytest.approx(known.mean_iou, nan_ok=True)
        assert (row.images, row.pixels) == (known.images, known.pixels)
    assert "pixel_brightness" not in axes
    low, high = rows[1].interval
    assert low == high == 0.0  # both images are the same
    only = {axis.name: axis for axis in sliced_axes(found.before, class_id=PERSON)}
    assert set(only) == {"size", "border_share"}
    assert [row.count for row in score_axis(only["size"], resamples=0)][:3] == [2, 0, 0]


def test_slices_of_two_runs_are_paired_and_corrected() -> None:
    found = difference_of(*[room() for _ in range(12)])
    axes = compare_axes(sliced_axes(found.before), sliced_axes(found.after), resamples=500)
    size = next(axis for axis in axes if axis.name == "size")
    assert [(row.name, row.before, row.after, row.verdict) for row in size.rows] == [
        ("0 to 256", 1.0, 0.0, Verdict.WORSE),
        ("256 to 1024", 0.0, 1.0, Verdict.BETTER),
    ]
    assert size.counts == (12, 12)
    few = compare_axes(sliced_axes(difference_of(room()).before), sliced_axes(difference_of(room()).after), resamples=50)
    assert {row.verdict for axis in few for row in axis.rows} == {Verdict.FEW}
    # The same draws on both sides: equal runs never differ.
    same = sliced_axes(found.before)
    whole, drawn = paired_axis_scores(same[0], same[0], resamples=30, seed=3)
    assert np.array_equal(whole[0], whole[1], equal_nan=True)
    assert np.array_equal(drawn[0], drawn[1], equal_nan=True)


def test_folders_are_read_and_a_broken_file_fails_alone(tmp_path: Path) -> None:
    truth, before, after = room()
    files = {}
    for name in ("a", "b"):
        paths = [tmp_path / f"{name}-{sort}.png" for sort in ("truth", "before", "after")]
        for path, labels in zip(paths, (truth, before, after), strict=True):
            write_mask(path, labels, VOC)
        files[f"{name}.png"] = ChangedFiles(*paths)
    write_mask(tmp_path / "b-after.png", after[:5], VOC)
    found = compare_errors(files, VOC)
    assert (found.images, found.fixed.wrong_px, list(found.files)) == (1, 400, ["a.png"])
    assert "b-after.png" in str(found.failures[0])
    assert found.fixed.total(ERROR_PIXELS).sum() == truth.size


def test_several_runs_are_compared_with_one_that_is_inspected_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, before, after = room()
    other = after.copy()
    other[0, 0] = 0
    paths = {name: tmp_path / f"{name}.png" for name in ("truth", "before", "after", "other", "wide")}
    masks = {"truth": truth, "before": before, "after": after, "other": other, "wide": np.zeros((60, 90), np.uint8)}
    for name, path in paths.items():
        write_mask(path, masks[name], VOC)
    runs = [{"a": ChangedFiles(paths["truth"], paths["before"], paths[name])} for name in ("after", "other", "wide")]
    read = []
    monkeypatch.setattr(difference, "map_errors", lambda **pixels: read.append(pixels["prediction"]) or map_errors(**pixels))
    found = compare_runs(runs, VOC)
    assert len(read) == 3, "the first run once, and each of the others that has the right size"
    for files, one in zip(runs, found, strict=True):
        alone = compare_errors(files, VOC)
        assert len(alone.failures) == len(one.failures)
        assert one.images == alone.images
        for view in ("before", "after", "fixed", "made"):
            assert (getattr(one, view).error_cells()[0] == getattr(alone, view).error_cells()[0]).all()
    assert [len(one.failures) for one in found] == [0, 0, 1]

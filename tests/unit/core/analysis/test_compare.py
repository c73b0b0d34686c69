from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis.compare import compare_reports
from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.analysis.verdicts import ScoreChange, Verdict, corrected, needed_draws, p_value
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import MaskFormatError
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics.truth_hash import ground_truth_hash
from tests.unit.core.metrics.maps import catalog_of

CATALOG = catalog_of(0, 3, 8, name="rooms")
IMAGES = 12


def write_scenes(root: Path, errors: dict[str, float], images: int = IMAGES) -> None:
    """Truth, and one folder of predictions for each share of wrong pixels of class 3; class 8 is in three images only."""
    for seed in range(images):
        rng = np.random.default_rng(seed)
        truth = np.kron(rng.choice([0, 0, 3, 8 if seed < 3 else 0], (4, 5)), np.ones((8, 8))).astype(np.uint8)
        folders = {"truth": truth}
        chance = rng.random(truth.shape)
        for name, share in errors.items():
            folders[name] = np.where((truth == 3) & (chance < share), 0, truth).astype(np.uint8)
        for name, labels in folders.items():
            (root / name).mkdir(exist_ok=True)
            write_indexed_png(root / name / f"{seed}.png", labels, CATALOG)


def report(root: Path, name: str, **options) -> Path:
    path = root / f"{name}.json"
    path.write_text(evaluate_folders(root / name, [root / "truth"], CATALOG, resamples=0, **options).to_json())
    return path


@pytest.fixture
def reports(tmp_path: Path) -> tuple[Path, Path]:
    write_scenes(tmp_path, {"poor": 0.5, "good": 0.1})
    return report(tmp_path, "poor"), report(tmp_path, "good")


def test_what_got_better_is_called_so_and_worse_the_other_way(reports: tuple[Path, Path]) -> None:
    forward, backward = compare_reports(*reports, resamples=500), compare_reports(*reports[::-1], resamples=500)
    by_name = {change.name: change for change in (*forward.overall, *forward.classes)}
    assert by_name["mIoU"].verdict is Verdict.BETTER
    assert by_name["mIoU"].low > 0
    assert by_name["class 3"].verdict is Verdict.BETTER
    assert by_name["class 3"].p <= 0.05
    assert by_name["class 8"].verdict is Verdict.FEW
    assert math.isnan(by_name["class 8"].p)
    assert by_name["class 8"].images == 3
    assert by_name["mIoU within 4 px"].difference > 0
    assert {"boundary IoU", "DAVIS boundary F", "Csurka boundary F"} <= by_name.keys()
    for there, back in zip(forward.classes, backward.classes, strict=True):
        assert there.difference == -back.difference
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert backward.classes[1].verdict is Verdict.WORSE


def test_scores_are_those_of_the_reports(reports: tuple[Path, Path]) -> None:
    result = compare_reports(*reports, resamples=100)
    before, after = (json.loads(path.read_text()) for path in reports)
    for side, figure in ((before, result.overall[0].before), (after, result.overall[0].after)):
        compared = side["pooled"]["mean_iou_by_rule"]["truth"]
        assert figure == pytest.approx(compared["mean_iou"])
        assert result.overall[0].classes == compared["classes"] == len(result.class_set)
    for place, row in enumerate(after["bands"]["widths"], start=2):
        compared = row["inside"]["mean_iou_by_rule"]["truth"]
        assert result.overall[place].after == pytest.approx(compared["mean_iou"])
        assert result.overall[place].classes == compared["classes"]
    assert [change.after for change in result.classes] == [row["iou"] for row in after["pooled"]["classes"]]
    plain = result.to_dict()
    assert plain["format"] == "atrous-comparison-2"
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_equal_reports_differ_in_nothing(reports: tuple[Path, Path]) -> None:
    result = compare_reports(reports[0], reports[0], resamples=200)
    for change in (*result.overall, *result.classes):
        assert (change.difference, change.low, change.high) == (0, 0, 0)
        assert change.verdict in (Verdict.UNCLEAR, Verdict.FEW)


def test_the_pair_is_drawn_together(reports: tuple[Path, Path], tmp_path: Path) -> None:
    # A difference far smaller than the spread between images is seen, because both sides are drawn alike.
    write_scenes(tmp_path, {"nearly": 0.48})
    result = compare_reports(reports[0], report(tmp_path, "nearly"), resamples=500)
    change = next(change for change in result.classes if change.name == "class 3")
    assert 0 < change.difference < 0.05
    assert change.verdict is Verdict.BETTER
    assert change.high - change.low < 0.03


def test_only_images_of_both_are_compared(tmp_path: Path) -> None:
    write_scenes(tmp_path, {"one": 0.3, "other": 0.2})
    (tmp_path / "other" / "4.png").unlink()
    first = report(tmp_path, "one")
    result = compare_reports(first, report(tmp_path, "other"), resamples=100)
    assert result.images == IMAGES - 1
    assert result.only_before == ("4.png",)
    assert result.only_after == ()


def test_other_bands_and_no_boundary_leave_the_rest(tmp_path: Path) -> None:
    write_scenes(tmp_path, {"one": 0.3, "other": 0.2})
    first = report(tmp_path, "one", bands=(1, 3))
    names = [c.name for c in compare_reports(first, report(tmp_path, "other", bands=(3, 9)), resamples=100).overall]
    assert "mIoU within 3 px" in names
    assert "mIoU within 1 px" not in names
    names = [c.name for c in compare_reports(first, report(tmp_path, "other", band_rule="void"), resamples=100).overall]
    assert "mIoU within 3 px" not in names
    second = report(tmp_path, "other", boundary=False)
    assert "boundary IoU" not in [c.name for c in compare_reports(first, second, resamples=100).overall]


def test_reports_that_do_not_belong_together_are_refused(reports: tuple[Path, Path], tmp_path: Path) -> None:
    good = json.loads(reports[1].read_text())
    bad = tmp_path / "bad.json"

    def refused(text: str, error: type[Exception], match: str) -> None:
        bad.write_text(text)
        with pytest.raises(error, match=match) as caught:
            compare_reports(reports[0], bad, resamples=100)
        if error is MaskFormatError:
            assert caught.value.path == bad

    refused("not json", MaskFormatError, "not valid JSON")
    refused("[1]", MaskFormatError, "cannot be|can be compared")
    refused(json.dumps({**good, "format": "atrous-evaluation-1"}), MaskFormatError, "atrous-evaluation-1")
    refused(json.dumps({key: value for key, value in good.items() if key != "bands"}), MaskFormatError, "damaged")
    refused(json.dumps({**good, "images": good["images"][:1]}), MaskFormatError, "1 image in common")
    changed = json.loads(json.dumps(good))
    for row in changed["catalog"]["classes"]:
        row["name"] = f"roof {row['id']}"
    refused(json.dumps(changed), MaskFormatError, "no class in common")
    with pytest.raises(MaskFormatError, match=r"does not exist|cannot be read"):
        compare_reports(tmp_path / "gone.json", reports[0])


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    change = ScoreChange(
        name="a", before=0.1, after=0.2, low=0.05, high=0.2, p=0.01, images=9, verdict=Verdict.UNCLEAR
    )  # fmt: skip
    changes = [replace(change, p=p, images=images) for p, images in ((0.04, 9), (0.01, 9), (0.03, 9), (0.001, 2))]
    found = corrected(changes)
    assert [c.p for c in found[:3]] == pytest.approx([0.06, 0.03, 0.06])
    assert [c.verdict for c in found] == [Verdict.UNCLEAR, Verdict.BETTER, Verdict.UNCLEAR, Verdict.FEW]


# One class set for both sides


def write_folder(root: Path, name: str, maps: list[np.ndarray], catalog: ClassCatalog = CATALOG) -> None:
    (root / name).mkdir(exist_ok=True)
    for place, labels in enumerate(maps):
        write_indexed_png(root / name / f"{place}.png", labels.astype(np.uint8), catalog)


def scenes(seed: int, images: int = 8, classes: tuple[int, ...] = (0, 3)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.kron(rng.choice(classes, (4, 5)), np.ones((8, 8))).astype(np.uint8) for _ in range(images)]


def with_stray_pixels(maps: list[np.ndarray], class_id: int, number: int = 1) -> list[np.ndarray]:
    """The maps with the first pixels of each called another class."""
    changed = [labels.copy() for labels in maps]
    for labels in changed:
        labels.reshape(-1)[:number] = class_id
    return changed


def test_one_wrong_pixel_of_an_absent_class_in_each_image_moves_no_mean(tmp_path: Path) -> None:
    truth = scenes(1)
    write_folder(tmp_path, "truth", truth)
    write_folder(tmp_path, "clean", truth)
    write_folder(tmp_path, "stray", with_stray_pixels(truth, 8))
    stray, clean = report(tmp_path, "stray"), report(tmp_path, "clean")
    assert json.loads(stray.read_text())["pooled"]["mean_iou_classes"] == 3  # the rule of one report counts the invented class
    result = compare_reports(stray, clean, resamples=500)
    assert result.class_set == ("class 0", "class 3")
    pixels, wrong = 8 * 32 * 40, 8
    for change in result.overall:
        if change.name == "mIoU" or change.name.startswith("mIoU within"):
            assert change.classes == 2
            assert 0 <= change.difference < 20 * wrong / pixels  # on 8f62d5b: a third of the mean
    assert result.overall[0].difference == pytest.approx(wrong / pixels, rel=1.5)
    assert any("stray.json predicts classes that the ground truth does not have: class 8 (8 px)" in note for note in result.notes)


def test_calling_unlabelled_pixels_an_absent_class_changes_nothing_at_all(tmp_path: Path) -> None:
    # A void prediction is a miss as well, so only a mean over other classes could tell the two apart.
    truth = scenes(2)
    write_folder(tmp_path, "truth", truth)
    write_folder(tmp_path, "void", with_stray_pixels(truth, 255, 9))
    write_folder(tmp_path, "stray", with_stray_pixels(truth, 8, 9))
    result = compare_reports(report(tmp_path, "stray"), report(tmp_path, "void"), resamples=500)
    for change in result.overall:
        if "mIoU" in change.name or change.name in ("pixel accuracy", "boundary IoU"):
            assert (change.difference, change.low, change.high) == (0, 0, 0), change.name
            assert change.verdict is Verdict.UNCLEAR


def test_a_difference_too_small_to_print_gets_no_mark(tmp_path: Path) -> None:
    truth = [np.kron(labels, np.ones((16, 16), np.uint8)) for labels in scenes(3, images=12)]
    write_folder(tmp_path, "truth", truth)
    write_folder(tmp_path, "clean", truth)
    write_folder(tmp_path, "stray", with_stray_pixels(truth, 3))
    result = compare_reports(report(tmp_path, "stray", bands=(40,)), report(tmp_path, "clean", bands=(40,)), resamples=500)
    assert 0 < result.overall[0].difference < 0.00005
    assert result.overall[0].low > 0  # every draw agrees
    assert result.overall[0].verdict is Verdict.UNCLEAR


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_compared_means_are_those_of_a_loop_over_the_classes_of_the_ground_truth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        truth = scenes(seed, 3, (0, 3, 255))
        if not any((labels != 255).any() for labels in truth):
            return
        write_folder(root, "truth", truth)
        sides = {}
        for name in ("one", "other"):
            wrong = [
                np.where(rng.random(labels.shape) < 0.3, rng.choice([0, 3, 8, 255], labels.shape), labels) for labels in truth
            ]
            write_folder(root, name, wrong)
            sides[name] = wrong
        result = compare_reports(report(root, "one", bands=(2,)), report(root, "other", bands=(2,)), resamples=100)
    present = [c for c in (0, 3, 8) if any((labels == c).any() for labels in truth)]
    for name, figure in (("one", result.overall[0].before), ("other", result.overall[0].after)):
        iou = []
        for class_id in present:
            both = sum(int(((t == class_id) & (p == class_id)).sum()) for t, p in zip(truth, sides[name], strict=True))
            either = sum(
                int((((t == class_id) | (p == class_id)) & (t != 255)).sum()) for t, p in zip(truth, sides[name], strict=True)
            )
            iou.append(both / either)
        assert figure == pytest.approx(float(np.mean(iou)))
    assert result.overall[0].classes == len(present)


def test_different_catalogs_are_compared_over_the_common_classes_without_a_mark(tmp_path: Path) -> None:
    write_scenes(tmp_path, {"poor": 0.6, "good": 0.1})
    poor = report(tmp_path, "poor")
    other = ClassCatalog(
        name="yard",
        title="yard",
        classes=tuple(ClassInfo(i, name, (i, i, 9)) for i, name in ((3, "Class_3"), (0, "class 0"), (5, "tree"), (8, "shed"))),
    )
    target = tmp_path / "yard.json"
    target.write_text(evaluate_folders(tmp_path / "good", [tmp_path / "truth"], other, resamples=0).to_json())
    result = compare_reports(poor, target, resamples=200)
    assert result.class_set == ("class 0", "class 3")
    assert not result.same_truth
    by_name = {change.name: change for change in (*result.overall, *result.classes)}
    assert by_name["mIoU"].classes == 2
    assert by_name["class 3"].difference > 0.2
    assert {change.verdict for change in by_name.values()} == {Verdict.WITHHELD}
    assert all(math.isnan(change.p) for change in by_name.values())
    assert any("'rooms' (3) and 'yard' (4)" in note and "2 classes that both" in note for note in result.notes)
    assert "DAVIS boundary F" not in by_name
    both = evaluate_folders(tmp_path / "good", [tmp_path / "truth"], CATALOG, resamples=0).matrix.iou()[:2]
    assert by_name["mIoU"].after == pytest.approx(both.mean())
    assert compare_reports(target, poor, resamples=200).overall[0].before == pytest.approx(both.mean())


def test_different_classes_in_the_ground_truth_are_compared_over_the_common_ones(tmp_path: Path) -> None:
    write_scenes(tmp_path, {"one": 0.3, "other": 0.2})
    first = report(tmp_path, "one")
    for seed in range(IMAGES):  # another ground truth, without class 8
        labels = read_mask(tmp_path / "truth" / f"{seed}.png", CATALOG)
        write_indexed_png(tmp_path / "truth" / f"{seed}.png", np.where(labels == 8, 0, labels).astype(np.uint8), CATALOG)
    result = compare_reports(first, report(tmp_path, "other"), resamples=200)
    assert result.class_set == ("class 0", "class 3")
    assert result.overall[0].classes == 2
    assert not result.same_truth
    assert any("ground truths hold different classes" in note for note in result.notes)
    assert {change.verdict for change in result.overall} == {Verdict.WITHHELD}


def test_another_ground_truth_of_the_same_classes_and_sizes_is_noticed(tmp_path: Path) -> None:
    write_scenes(tmp_path, {"one": 0.3, "other": 0.2})
    first = report(tmp_path, "one")
    labels = read_mask(tmp_path / "truth" / "5.png", CATALOG)
    write_indexed_png(tmp_path / "truth" / "5.png", np.ascontiguousarray(labels[::-1]), CATALOG)  # the same pixel counts
    result = compare_reports(first, report(tmp_path, "other"), resamples=200)
    assert not result.same_truth
    assert result.truth_before != result.truth_after
    assert any("Not the same ground truth: it differs in 1 of 12 images, e.g. 5.png" in note for note in result.notes)
    assert {change.verdict for change in (*result.overall, *result.classes)} == {Verdict.WITHHELD}


def test_the_hash_knows_content_only(tmp_path: Path) -> None:
    write_scenes(tmp_path, {"one": 0.3})
    first = evaluate_folders(tmp_path / "one", [tmp_path / "truth"], CATALOG, resamples=0)
    (tmp_path / "arrays").mkdir()
    for seed in reversed(range(IMAGES)):
        np.save(tmp_path / "arrays" / f"{seed}.npy", read_mask(tmp_path / "truth" / f"{seed}.png", CATALOG))
    again = evaluate_folders(tmp_path / "one", [tmp_path / "arrays"], CATALOG, resamples=0)
    assert first.truth_sha256 == again.truth_sha256
    images = [(image.name, image.truth_sha256) for image in first.images]
    assert ground_truth_hash(reversed(images)) == first.truth_sha256
    assert ground_truth_hash(images[1:]) != first.truth_sha256
    assert ground_truth_hash([("a/é.png", "0")]) == ground_truth_hash([("a/é.npy", "0")])


def test_reports_of_older_versions_are_compared_by_their_pixels(reports: tuple[Path, Path], tmp_path: Path) -> None:
    old = json.loads(reports[0].read_text())
    del old["truth_sha256"]
    for row in old["images"]:
        del row["truth_sha256"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    result = compare_reports(path, reports[1], resamples=500)
    assert result.overall[0].verdict is Verdict.BETTER
    assert any("older version" in note for note in result.notes)
    old["images"][0]["counts"][0]["truth_px"] += 1
    path.write_text(json.dumps(old))
    assert not compare_reports(path, reports[1], resamples=100).same_truth


def test_overall_rows_are_one_family(reports: tuple[Path, Path]) -> None:
    result = compare_reports(*reports, resamples=500)
    tested = [change for change in result.overall if not math.isnan(change.p)]
    assert len(tested) == len(result.overall) == 11
    smallest = min(change.p for change in tested)
    assert smallest >= 11 * 2 / 501 - 1e-12  # the smallest that 500 draws can give, times the rows
    assert result.families.startswith("p is corrected by Holm's method, over the 11 overall rows")


def test_images_of_one_report_that_differ_only_in_form_are_named_and_left_out(reports: tuple[Path, Path]) -> None:
    data = json.loads(reports[0].read_text(encoding="utf-8"))
    for row, name in zip(data["images"], ("Z\u00fc.png", "Zu\u0308.png"), strict=False):
        row["name"] = name
    reports[0].write_text(json.dumps(data), encoding="utf-8")
    found = compare_reports(*reports, resamples=100)
    assert found.images == IMAGES - 2
    assert any("Z\u00fc.png and Zu\u0308.png" in note for note in found.notes)


@pytest.mark.parametrize("tests", [10, 250, 4000])
def test_needed_draws_leave_a_verdict_to_the_largest_family(tests: int) -> None:
    def verdicts_of(draws: int) -> set[Verdict]:
        change = ScoreChange(
            name="", before=0.1, after=0.9, low=0.7, high=0.9, p=p_value(np.full(draws, 0.8)), images=99, verdict=Verdict.UNCLEAR
        )
        return {row.verdict for row in corrected([change] * tests)}

    assert verdicts_of(needed_draws(tests)) == {Verdict.BETTER}
    assert verdicts_of(30 * tests) == {Verdict.UNCLEAR}

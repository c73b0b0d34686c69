from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deeplab_core.errors import CatalogError, MaskFormatError
from deeplab_core.formats import write_indexed_png
from deeplab_core.metrics.compare import Change, Verdict, _corrected, compare_reports
from deeplab_core.metrics.evaluate import evaluate_folders
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
    assert result.overall[0].before == pytest.approx(before["pooled"]["mean_iou"])
    assert result.overall[0].after == pytest.approx(after["pooled"]["mean_iou"])
    assert [change.after for change in result.classes] == [row["iou"] for row in after["pooled"]["classes"]]
    plain = result.to_dict()
    assert plain["format"] == "atrous-comparison-1"
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

    refused("not json", MaskFormatError, "not a JSON file")
    refused("[1]", MaskFormatError, "cannot be|can be compared")
    refused(json.dumps({**good, "format": "atrous-evaluation-1"}), MaskFormatError, "atrous-evaluation-1")
    refused(json.dumps({key: value for key, value in good.items() if key != "bands"}), MaskFormatError, "damaged")
    refused(json.dumps({**good, "images": good["images"][:1]}), MaskFormatError, "1 images in common")
    changed = json.loads(json.dumps(good))
    changed["images"][0]["counts"][0]["truth_px"] += 1
    refused(json.dumps(changed), MaskFormatError, "different truth")
    changed = json.loads(json.dumps(good))
    changed["catalog"]["classes"][0]["name"] = "roof"
    refused(json.dumps(changed), CatalogError, "cannot be pooled")
    with pytest.raises(MaskFormatError, match="cannot be read"):
        compare_reports(tmp_path / "gone.json", reports[0])


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    change = Change(
        name="a", before=0.1, after=0.2, low=0.05, high=0.2, p=0.01, images=9, verdict=Verdict.UNCLEAR
    )  # fmt: skip
    changes = [replace(change, p=p, images=images) for p, images in ((0.04, 9), (0.01, 9), (0.03, 9), (0.001, 2))]
    corrected = _corrected(changes)
    assert [c.p for c in corrected[:3]] == pytest.approx([0.06, 0.03, 0.06])
    assert [c.verdict for c in corrected] == [Verdict.UNCLEAR, Verdict.BETTER, Verdict.UNCLEAR, Verdict.FEW]

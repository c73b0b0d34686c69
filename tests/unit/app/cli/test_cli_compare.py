"""``atrous evaluate`` with its options, and ``atrous compare``, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks import mark_output
from deeplab_core.masks.png import write_indexed_png
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

VOC = get_catalog("voc21")


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Truth and two models' masks of eight images; 'after' finds more of the chairs."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        truth = np.kron(rng.choice([0, 0, 9, 15], (3, 4)), np.ones((8, 8))).astype(np.uint8)
        chance = rng.random(truth.shape)
        for name, share in (("truth", 0.0), ("before", 0.6), ("after", 0.1)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_indexed_png(tmp_path / name / f"{seed}.png", np.where((truth == 9) & (chance < share), 18, truth), VOC)
    return tmp_path


def evaluate(scenes: Path, name: str, *options: str) -> int:
    arguments = ["--prediction", str(scenes / name), "--truth", str(scenes / "truth"), "--catalog", "voc21"]
    return run(["evaluate", *arguments, "--json", str(scenes / f"{name}.json"), *options])


def test_two_evaluations_are_compared(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(scenes, "before", "--resamples", "50") == evaluate(scenes, "after", "--resamples", "50") == 0
    figures = capsys.readouterr().out
    assert "boundary IoU" in figures
    assert "in 8 images" in figures
    target = scenes / "out" / "change.json"
    arguments = [str(scenes / "before.json"), str(scenes / "after.json"), "--resamples", "500", "--json", str(target)]
    assert run(["compare", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    chair = next(line for line in lines if " chair " in line)
    assert chair.startswith("+")
    assert "1 class better" in lines[-1]
    change = next(row for row in json.loads(target.read_text())["classes"] if row["name"] == "chair")
    assert change["verdict"] == "better"
    assert change["low"] > 0


def test_images_of_one_side_only_are_said(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scenes / "after" / "3.png").unlink()
    evaluate(scenes, "before", "--resamples", "0", "--no-boundary")
    evaluate(scenes, "after", "--resamples", "0", "--no-boundary")
    capsys.readouterr()
    assert run(["compare", str(scenes / "before.json"), str(scenes / "after.json"), "--resamples", "100"]) == 0
    found = capsys.readouterr()
    assert "1 image is in" in found.err
    assert "3.png" in found.err
    assert "boundary IoU" not in found.out


def test_equal_seeds_give_equal_intervals(scenes: Path) -> None:
    written = []
    for seed in ("4", "4", "5"):
        assert evaluate(scenes, "before", "--resamples", "50", "--seed", seed) == 0
        written.append((scenes / "before.json").read_text())
    assert written[0] == written[1] != written[2]


def test_a_file_that_is_no_report_is_one_line(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = scenes / "x.json"
    report.write_text("{}")
    assert run(["compare", str(report), str(report)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "atrous evaluate --json" in error


def test_photographs_and_curves_reach_the_page(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curves = scenes / "curves.json"
    points = [{"x": 1, "score": 0.2}, {"x": 2, "score": 0.8}]
    curve = {"title": "IoU by size", "x_label": "area", "series": "m", "points": points}
    curves.write_text(json.dumps({"format": "atrous-slices-1", "curves": [curve]}))
    page = scenes / "page.html"
    options = ["--html", str(page), "--slices", str(curves), "--images", str(scenes)]
    assert evaluate(scenes, "before", "--resamples", "0", *options) == 0
    assert "IoU by size" in page.read_text(encoding="utf-8")
    curves.write_text("[]")
    capsys.readouterr()
    assert evaluate(scenes, "before", *options) == 2
    assert "not curves" in capsys.readouterr().err


def test_the_trimap_curve_of_another_model_is_in_the_report(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = scenes / "after.html"
    assert evaluate(scenes, "before", "--resamples", "0", "--no-boundary") == 0
    other = ["--compare-with", str(scenes / "before.json"), "--resamples", "0", "--no-boundary", "--html", str(page)]
    assert evaluate(scenes, "after", *other) == 0
    assert "mIoU, before" in page.read_text()
    page.unlink()
    capsys.readouterr()
    assert evaluate(scenes, "after", "--beside", *other[1:]) == 0  # the name of version 0.1
    assert "mIoU, before" in page.read_text()
    page.unlink()
    capsys.readouterr()
    assert evaluate(scenes, "after", *other, "--band-rule", "void") == 2
    assert "--band-rule" in capsys.readouterr().err
    (scenes / "before.json").write_text('{"format": "atrous-evaluation-2"}')
    assert evaluate(scenes, "after", *other) == 2
    assert "damaged" in capsys.readouterr().err
    assert not page.exists()


def test_an_invented_class_is_no_gain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One wrong 'sheep' pixel in each of 14 images once gave '+ mIoU +0.04 p 0.0002', because one mean had a class more."""
    for seed in range(14):
        rng = np.random.default_rng(seed)
        truth = np.kron(rng.choice([0, 9, 15, 18], (6, 8)), np.ones((32, 32))).astype(np.uint8)
        wrong = np.where(np.kron(rng.random((6, 8)) < 0.4, np.ones((32, 32))) > 0, 0, truth).astype(np.uint8)
        stray = wrong.copy()
        stray[0, 0] = 17
        for name, labels in (("truth", truth), ("before", stray), ("after", wrong)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_indexed_png(tmp_path / name / f"{seed}.png", labels, VOC)
    assert evaluate(tmp_path, "before", "--resamples", "0") == evaluate(tmp_path, "after", "--resamples", "0") == 0
    said = capsys.readouterr().out
    assert "nan" not in said
    assert "over the 4 in the ground truth, as 'compare' counts; 1 more only in the masks" in said
    assert "mIoU over 5 classes, rule 'edge'" in said
    target = tmp_path / "change.json"
    arguments = [str(tmp_path / "before.json"), str(tmp_path / "after.json"), "--resamples", "500", "--json", str(target)]
    assert run(["compare", *arguments]) == 0
    found = capsys.readouterr().out
    assert "classes  images" in found
    assert "before.json predicts classes that the ground truth does not have: sheep (14 px)" in found
    rows = {row["name"]: row for row in json.loads(target.read_text())["overall"]}
    for name, row in rows.items():
        if name.startswith("mIoU") or name == "boundary IoU":
            assert row["classes"] == 4
            assert abs(row["difference"]) < 0.0005, name
    line = next(line for line in found.splitlines() if " mIoU " in line)
    assert not line.startswith("+")
    stray = next(line for line in found.splitlines() if line.split()[:1] == ["sheep"])
    assert "not measured" in stray
    counts = [int(word) for word in found.splitlines()[-1].split() if word.isdigit()]
    assert sum(counts) == 4, "an invented class is not a class without a clear change"


def test_nothing_that_could_be_compared_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Masks of another size: the means were once printed as 'nan'."""
    for name, side in (("truth", 16), ("before", 20)):
        (tmp_path / name).mkdir()
        write_indexed_png(tmp_path / name / "1.png", np.zeros((side, side), np.uint8), VOC)
    assert evaluate(tmp_path, "before", "--resamples", "0") == 1
    said = capsys.readouterr().out
    assert "nan" not in said
    assert "mIoU  not measured" in said
    assert "pixel accuracy  not measured" in said


def test_reports_of_other_classes_get_no_mark(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """VOC against one's own classes of the same names: common classes, a sentence, no '+'."""
    own = scenes / "own.yaml"
    own.write_text(
        "classes:\n"
        + "".join(f"  - {{id: {i}, name: {n}}}\n" for i, n in ((0, "background"), (9, "chair"), (15, "x"), (18, "y")))
    )
    assert evaluate(scenes, "before", "--resamples", "0") == 0
    arguments = ["--prediction", str(scenes / "after"), "--truth", str(scenes / "truth"), "--catalog", str(own)]
    assert run(["evaluate", *arguments, "--resamples", "0", "--json", str(scenes / "after.json")]) == 0
    capsys.readouterr()
    assert run(["compare", str(scenes / "before.json"), str(scenes / "after.json"), "--resamples", "200"]) == 0
    found = capsys.readouterr().out
    assert "different class sets" in found
    assert not any(line.startswith(("+", "-")) for line in found.splitlines())


def test_a_comparison_against_predicted_ground_truth_is_marked(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark_output(scenes / "truth", "prediction", {f"{seed}.png": None for seed in range(8)}, catalog=VOC)
    for name in ("before", "after"):
        assert evaluate(scenes, name, "--resamples", "0", "--no-boundary", "--allow-predicted-truth") == 0
    capsys.readouterr()
    target = scenes / "change.json"
    arguments = [str(scenes / "before.json"), str(scenes / "after.json"), "--resamples", "100", "--json", str(target)]
    assert run(["compare", *arguments]) == 0
    assert f"the ground truth of {scenes / 'before.json'} holds masks that Atrous predicted" in capsys.readouterr().err
    recorded = json.loads(target.read_text())["ground_truth"]
    assert recorded["after"]["written_by_atrous"][0]["kind"] == "prediction"


def rows(path: Path) -> dict[str, dict[str, object]]:
    """Every row of a written comparison by its name."""
    data = json.loads(path.read_text())
    return {row["name"]: row for row in [*data["overall"], *data["classes"]]}


def test_folders_are_compared_like_their_reports(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("before", "after"):
        assert evaluate(scenes, name, "--resamples", "0") == 0
    reports, folders = scenes / "reports.json", scenes / "folders.json"
    more = ["--resamples", "300", "--json"]
    assert run(["compare", str(scenes / "before.json"), str(scenes / "after.json"), *more, str(reports)]) == 0
    truth = ["--truth", str(scenes / "truth"), "--catalog", "voc21"]
    assert run(["compare", str(scenes / "before"), str(scenes / "after"), *truth, *more, str(folders)]) == 0
    assert rows(folders) == rows(reports)
    found, expected = (json.loads(path.read_text()) for path in (folders, reports))
    assert found["truth_sha256"] == expected["truth_sha256"]
    assert found["ground_truth"] == expected["ground_truth"]
    capsys.readouterr()


def test_a_folder_is_measured_like_the_report_on_the_other_side(scenes: Path) -> None:
    for name in ("before", "after"):
        assert evaluate(scenes, name, "--resamples", "0", "--bands", "3,5", "--band-rule", "void", "--no-boundary") == 0
    reports, mixed = scenes / "reports.json", scenes / "mixed.json"
    truth = ["--truth", str(scenes / "truth"), "--catalog", "voc21"]
    assert run(["compare", str(scenes / "before.json"), str(scenes / "after.json"), "--json", str(reports)]) == 0
    assert run(["compare", str(scenes / "before.json"), str(scenes / "after"), *truth, "--json", str(mixed)]) == 0
    assert rows(mixed) == rows(reports)


def test_what_can_be_compared_is_said(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(scenes, "before", "--resamples", "0", "--no-boundary") == 0
    report, folder, truth = str(scenes / "before.json"), str(scenes / "before"), ["--truth", str(scenes / "truth")]
    capsys.readouterr()
    for arguments, message in (
        ([report, report, *truth], "a report has its own"),
        ([report, str(scenes / "gone.json")], "does not exist"),
        ([report, "no-such-model"], "no known model"),
        ([folder, folder], "name the ground truth with --truth DIR"),
    ):
        assert run(["compare", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_an_unreadable_mask_fails_alone(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scenes / "after" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    truth = ["--truth", str(scenes / "truth"), "--catalog", "voc21", "--resamples", "100"]
    assert run(["compare", str(scenes / "before"), str(scenes / "after"), *truth]) == 1
    found = capsys.readouterr()
    assert "not compared" in found.err
    assert "3.png" in found.err
    assert "mIoU" in found.out


def test_models_are_compared_like_the_masks_that_they_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = {
        "random": save_tiny_model(tmp_path / "random.safetensors"),
        "sure": save_tiny_model(tmp_path / "sure.safetensors", sure_of=2),
    }
    for folder in ("images", "truth"):
        (tmp_path / folder).mkdir()
    for seed in range(3):
        save_photograph(tmp_path / "images" / f"{seed}.jpg", 48, 64, seed)
        Image.fromarray(np.full((48, 64), 1 + seed % 2, np.uint8)).save(tmp_path / "truth" / f"{seed}.png")
    images, truth = str(tmp_path / "images"), ["--truth", str(tmp_path / "truth"), "--images", str(tmp_path / "images")]
    for name, model in models.items():
        assert run(["predict", images, "--model", str(model), "-o", str(tmp_path / name), "--device", "cpu"]) == 0
    direct, masks = tmp_path / "direct.json", tmp_path / "masks.json"
    more = [*truth, "--resamples", "100", "--json"]
    assert run(["compare", *map(str, models.values()), "--device", "cpu", *more, str(direct)]) == 0
    assert run(["compare", str(tmp_path / "random"), str(tmp_path / "sure"), *more, str(masks)]) == 0
    assert rows(direct) == rows(masks)
    capsys.readouterr()
    assert run(["compare", *map(str, models.values()), *truth[:2]]) == 2
    assert "--images DIR" in capsys.readouterr().err


def compare(scenes: Path, *more: str) -> int:
    arguments = [str(scenes / "before"), str(scenes / "after"), "--truth", str(scenes / "truth"), "--catalog", "voc21"]
    return run(["compare", *arguments, "--resamples", "300", *more])


def test_the_errors_of_two_folders_are_compared(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page, csv, photographs = scenes / "c.json", scenes / "c.html", scenes / "rooms.csv", scenes / "photographs"
    csv.write_text("image,floor\n" + "\n".join(f"{seed},{seed % 2}" for seed in range(8)) + "\n")
    photographs.mkdir()
    for seed in range(8):
        save_photograph(photographs / f"{seed}.jpg", 24, 32)
    more = ["--attributes", str(csv), "--images", str(photographs), "--json", str(out), "--html", str(page)]
    assert compare(scenes, *more) == 0
    text = capsys.readouterr().out
    data = json.loads(out.read_text())["errors"]
    assert data["wrong_px"]["after"] == data["wrong_px"]["before"] - data["fixed_px"] + data["made_px"]
    assert f"Wrong pixels: {data['wrong_px']['before']:,} before, {data['wrong_px']['after']:,} after" in text
    cell = data["cells"][0]
    assert (cell["truth"], cell["prediction"], cell["images_worse"]) == (9, 18, 0)
    assert "chair called sofa" in text
    floor = next(axis for axis in data["slices"] if axis["name"] == "floor")
    assert [(row["name"], row["count"]) for row in floor["slices"]] == [("0", 4), ("1", 4)]
    assert {row["verdict"] for row in floor["slices"]} == {"too few images"}
    assert data["won"][0]["truth"] == 9
    html = page.read_text("utf-8")
    assert "Largest errors fixed" in html
    assert 'href="photographs/' in html
    assert "data:image/jpeg" in html
    assert "floor, mIoU" in html


def test_reports_name_their_masks(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("before", "after"):
        assert evaluate(scenes, name, "--resamples", "0", "--no-boundary") == 0
    capsys.readouterr()
    arguments = [str(scenes / "before.json"), str(scenes / "after.json"), "--resamples", "100"]
    assert run(["compare", *arguments]) == 0
    assert "Wrong pixels" not in capsys.readouterr().out
    assert run(["compare", *arguments, "--errors"]) == 0
    assert "Wrong pixels" in capsys.readouterr().out
    (scenes / "after" / "3.png").unlink()
    assert run(["compare", *arguments, "--errors"]) == 0
    found = capsys.readouterr()
    assert "over 7 images" in found.out
    assert "errors are not compared for 1 of 8 images" in found.err
    assert run(["compare", *arguments, "--no-errors", "--attributes", str(scenes / "after.json")]) == 2


def test_errors_need_one_ground_truth(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("before", "after"):
        assert evaluate(scenes, name, "--resamples", "0", "--no-boundary") == 0
        write_indexed_png(scenes / "truth" / "0.png", np.zeros((24, 32), np.uint8), VOC)
    capsys.readouterr()
    assert run(["compare", str(scenes / "before.json"), str(scenes / "after.json"), "--resamples", "100", "--errors"]) == 0
    found = capsys.readouterr()
    assert "errors are not compared: classes or ground truth of the two sides differ" in found.err
    assert "Wrong pixels" not in found.out

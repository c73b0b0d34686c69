"""``atrous inspect`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_mask


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    voc = get_catalog("voc21")
    truth = np.zeros((50, 60), np.uint8)
    truth[10:40, 10:40] = 9
    for folder in ("truth", "prediction", "images"):
        (tmp_path / folder).mkdir()
    write_mask(tmp_path / "truth" / "one.png", truth, voc)
    write_mask(tmp_path / "prediction" / "one.png", np.where(truth, 18, 0).astype(np.uint8), voc)
    Image.fromarray(np.full((50, 60, 3), 120, np.uint8)).save(tmp_path / "images" / "one.jpg")
    return tmp_path


def inspect(folders: Path, *more: str) -> int:
    arguments = ["--prediction", str(folders / "prediction"), "--catalog", "voc21"]
    return run(["inspect", *arguments, *more])


def test_figures_components_json_and_cutouts(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folders / "out"
    more = ["--images", str(folders / "images"), "--cell", "chair:sofa", "--cutouts", str(out), "--json", str(out / "i.json")]
    assert inspect(folders, "--truth", str(folders / "truth"), *more) == 0
    text = capsys.readouterr().out
    assert "chair / sofa: 900 + 0 px, score 1.000" in text
    assert "class_swap" in text
    assert "900 px  chair called sofa  one.png  x 10..39, y 10..39" in text
    data = json.loads((out / "i.json").read_text())
    assert data["format"] == "atrous-inspection-1"
    places = ["--prediction", str(folders / "prediction"), "--truth", str(folders / "truth"), "--catalog", "voc21"]
    assert run(["evaluate", *places, "--json", str(out / "e.json")]) == 0
    assert data["truth_sha256"] == json.loads((out / "e.json").read_text())["truth_sha256"]
    with Image.open(out / "001_chair_called_sofa_one.png") as picture:
        assert max(picture.size) == 192


def test_components_of_a_kind(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect(folders, "--truth", str(folders / "truth"), "--kind", "invented_object") == 0
    assert capsys.readouterr().out.rstrip().endswith("none")


def test_components_of_a_slice(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect(folders, "--truth", str(folders / "truth"), "--slice", "size:256") == 0
    assert "900 px  chair called sofa  one.png" in capsys.readouterr().out
    assert inspect(folders, "--truth", str(folders / "truth"), "--slice", "size:0") == 0
    assert capsys.readouterr().out.rstrip().endswith("none")


def test_orders_without_truth(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folders / "orders.json"
    assert inspect(folders, "--second", str(folders / "truth"), "--json", str(file)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split() == ["576", "one.png"]  # of 30 x 30 px those more than 3 px from the edge
    assert lines[-2].startswith("Worst first by disagreement: ")
    assert json.loads(file.read_text())["rankings"]["disagreement"]["images"][0]["image"] == "one.png"


def test_a_file_that_fails_gives_status_1(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(folders / "truth" / "one.png")
    assert inspect(folders, "--truth", str(folders / "truth")) == 1
    assert "not inspected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--cell", "chair:sofa"], "need --truth"),
        (["--truth", "truth", "--cell", "chair"], "is not TRUTH:PREDICTION"),
        (["--truth", "truth", "--cell", "chair:dragon"], "no class 'dragon'"),
        (["--truth", "truth", "--pair", "chair:chair"], "names one class twice"),
        (["--truth", "truth", "--pair", "void:chair"], "void ground truth is not scored"),
        (["--truth", "truth", "--class", "dragon"], "no class 'dragon'"),
        (["--class", "chair"], "need --truth"),
        (["--truth", "truth", "--cutouts", "out"], "--images"),
        (["--kind", "bad luck"], "is not one of"),
        (["--slice", "mood:3", "--truth", "truth"], "'mood' is not an axis; these are: size"),
        (["--slice", "size:3", "--truth", "truth"], "no slice of 'size' begins at '3'; these do: 0, 256, 1024"),
        (["--slice", "size:0", "--kind", "extent", "--truth", "truth"], "lists by itself"),
        ([], "--save-confidence"),
    ],
)
def test_bad_usage(folders: Path, more: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect(folders, *(str(folders / part) if part == "truth" else part for part in more)) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1


def test_a_class_and_a_pair(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voc, out = get_catalog("voc21"), folders / "i.json"
    truth = np.zeros((50, 60), np.uint8)
    truth[10:40, 10:40] = 18
    prediction = truth.copy()
    prediction[10:40, 30:40] = 9
    write_mask(folders / "truth" / "two.png", truth, voc)
    write_mask(folders / "prediction" / "two.png", prediction, voc)
    more = ["--class", "chair", "--pair", "chair:sofa", "--json", str(out)]
    assert inspect(folders, "--truth", str(folders / "truth"), *more) == 0
    text = capsys.readouterr().out
    assert "chair: IoU 0.000, 900 px missed, 300 px of false alarms" in text
    assert "chair / sofa: 1,200 px, 100.0% of all wrong px, in 2 of 2 images; 75.0% of it in one.png" in text
    assert "sofa called chair: 300 px, 1 component, 1 image; most of it, 100.0%, in two.png" in text
    assert "300 px  sofa called chair  two.png" in text  # the components of both directions
    loss = json.loads(out.read_text())["pair_losses"][0]
    assert [cell["pixels"] for cell in loss["cells"]] == [900, 300]
    assert [row["share_of_loss"] for row in loss["classes"]] == [1.0, 1.0]
    assert [row["iou_if_fixed"] for row in loss["classes"]] == [1.0, 1.0]


def test_the_report_shows_pairs_and_classes(folders: Path) -> None:
    out, page = folders / "i.json", folders / "e.html"
    assert inspect(folders, "--truth", str(folders / "truth"), "--json", str(out)) == 0
    arguments = ["--prediction", str(folders / "prediction"), "--truth", str(folders / "truth"), "--catalog", "voc21"]
    assert run(["evaluate", *arguments, "--slices", str(out), "--html", str(page)]) == 0
    html = page.read_text("utf-8")
    assert "<h2>Confused classes</h2>" in html
    assert "chair / sofa" in html
    assert "one.png: 100.0" in html
    assert "missed chair" in html
    assert "Boundary, extent and segment add up to the loss of a class." in html


def test_attributes_are_slices_everywhere(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page, csv = folders / "i.json", folders / "e.html", folders / "rooms.csv"
    csv.write_text("image,light\none.jpg,dim\nmissing.jpg,bright\n")
    more = ["--attributes", str(csv), "--json", str(out)]
    assert inspect(folders, "--truth", str(folders / "truth"), *more) == 0
    found = capsys.readouterr()
    assert "light                         images   mIoU" in found.out
    assert "dim" in found.out
    assert "rooms.csv: 1 image of it not found here, e.g. missing" in found.err
    data = json.loads(out.read_text())
    assert data["own_slices"]["light"]["rows"][1] == {
        "label": "dim", "score": 0.5, "interval": None, "count": 1, "images": 1, "pixels": 3000,
    }  # fmt: skip
    assert data["object_slices"]["size"]["rows"][1]["iou_interval"] is None  # one image has no interval
    arguments = ["--prediction", str(folders / "prediction"), "--truth", str(folders / "truth"), "--catalog", "voc21"]
    assert run(["evaluate", *arguments, "--slices", str(out), "--html", str(page)]) == 0
    assert "<h2>By light</h2>" in page.read_text("utf-8")
    capsys.readouterr()
    assert inspect(folders, "--truth", str(folders / "truth"), "--attributes", str(csv), "--slice", "light:dim") == 0
    assert "900 px  chair called sofa  one.png" in capsys.readouterr().out
    assert inspect(folders, "--truth", str(folders / "truth"), "--attributes", str(csv), "--slice", "light:dark") == 2
    assert "'light' has no slice 'dark'; it has: bright, dim" in capsys.readouterr().err


def test_components_by_what_fixing_them_wins(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missed bottle of 20 px wins more than a hundred px of background."""
    voc = get_catalog("voc21")
    truth = np.zeros((50, 60), np.uint8)
    truth[5:10, 5:9] = 5
    prediction = np.zeros_like(truth)
    prediction[30:40, 30:40] = 18
    for folder, labels in (("truth", truth), ("prediction", prediction)):
        write_mask(folders / folder / "one.png", labels, voc)

    def listed(*more: str) -> list[str]:
        assert inspect(folders, "--truth", str(folders / "truth"), *more) == 0
        text = capsys.readouterr().out.split("onnected errors")[1]
        return [line for line in text.splitlines()[1:] if " called " in line]

    assert ["bottle" in line for line in listed()] == [False, True]
    for order in ("gain_folder", "gain_image"):
        first, second = listed("--order", order)
        assert "bottle called background" in first
        assert first.split()[0] > second.split()[0] > "+0.0"
    assert len(listed("--order", "gain_folder", "--pair", "bottle:background", "--pair", "background:sofa", "--top", "1")) == 1

"""The study of chairs and sofas, and the page of ablations: sets, measures and pages, on made masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from deeplab_core.analysis import ObjectAxis
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError
from deeplab_core.masks.png import write_mask
from deeplab_core.masks.read import read_mask
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard
from deeplab_core.weights import save_model
from tools import ablations, image_sets, page_parts
from tools.studies.chairs_and_sofas import page, pictures, plots, runs

VOC = get_catalog("voc21")
CHAIR, SOFA = 9, 18


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """Two rooms: a chair of 20 x 20 px of which half can be seen, a sofa of 20 x 40 px that can be seen whole."""
    folder = tmp_path / "rendered"
    for part in ("images", "truth", "objects"):
        (folder / part).mkdir(parents=True)
    for number in range(2):
        truth = np.zeros((60, 80), np.uint8)
        truth[10:30, 5:25], truth[10:30, 35:75] = CHAIR, SOFA
        Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(folder / "images" / f"room_{number}.jpg")
        write_mask(folder / "truth" / f"room_{number}.png", truth, VOC)
        objects = [
            {"voc_id": CHAIR, "box": [5, 10, 25, 30], "visible_px": 400, "visible_fraction": 0.5, "truncated": False},
            {"voc_id": SOFA, "box": [35, 10, 75, 30], "visible_px": 800, "visible_fraction": 1.0, "truncated": False},
        ]
        (folder / "objects" / f"room_{number}.json").write_text(json.dumps({"objects": objects}))
    return folder


@pytest.fixture
def results(rooms: Path, tmp_path: Path) -> list[runs.Result]:
    """A network that calls the first room's chair a sofa and is right everywhere else; a setting that is right; another."""
    data = image_sets.gather_rooms([rooms], tmp_path / "set")
    found = []
    for model, variant, wrong in (("made", "", True), ("made", "flip", False), ("other", "", True)):
        masks = tmp_path / f"{model}-{variant}"
        masks.mkdir()
        for number in range(2):
            labels = read_mask(rooms / "truth" / f"room_{number}.png", VOC).copy()
            if number == 0 and wrong:
                labels[labels == CHAIR] = SOFA
            write_mask(masks / f"0_room_{number}.png", labels, VOC)
        found.append(runs.measure(model, data, variant, masks, seconds=0.25))
    return found


@pytest.fixture
def result(results: list[runs.Result]) -> runs.Result:
    """The network as trained."""
    return results[0]


def test_a_swap_is_all_of_the_loss_and_its_repair_gives_everything_back(result: runs.Result) -> None:
    assert result.iou("chair") == pytest.approx(1 / 2)
    assert result.iou("sofa") == pytest.approx(1600 / 2000)
    chair, sofa = result.swap("chair"), result.swap("sofa")
    assert (chair.share, chair.gain) == pytest.approx((1.0, 1 / 2))
    assert (sofa.share, sofa.gain) == pytest.approx((1.0, 1 - 1600 / 2000))
    assert result.loss("chair")["missed_object"][0] == 0  # called another object's class, not missed


def test_slices_follow_the_visible_share(result: runs.Result) -> None:
    chairs = {row.low: row for row in result.sliced(ObjectAxis.VISIBLE_FRACTION, "chair")}
    assert [low for low, row in chairs.items() if row.objects] == [0.5]
    assert chairs[0.5].recall == pytest.approx(1 / 2)
    assert chairs[0.5].swapped == pytest.approx(1 / 2)
    assert result.visible_half("chair") == pytest.approx(1 / 2)


def test_the_page_keeps_what_people_wrote(result: runs.Result, tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text("# Mine\n<!-- overall -->\nold\n<!-- end -->\nAnd what I think.\n")
    page_parts.fill(written, {"overall": page.overall([result])})
    text = written.read_text()
    assert text.startswith("# Mine\n")
    assert text.endswith("<!-- end -->\nAnd what I think.\n")
    assert "old" not in text
    assert "| made on 2 rendered rooms | 76.7 | 50.0 (" in text
    page_parts.fill(written, {"overall": page.overall([result])})
    assert written.read_text() == text


def test_a_page_without_the_marker_is_named(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text("nothing")
    with pytest.raises(AtrousError, match="no place for 'overall'"):
        page_parts.fill(written, {"overall": ""})


def test_every_table_and_picture_is_made(result: runs.Result, tmp_path: Path) -> None:
    assert page.slices(result, ObjectAxis.VISIBLE_FRACTION).count("\n") == 2 + 2 * 5
    assert "| chair and sofa swapped | 100.0 % (100.0 to 100.0) (+50.0) | 100.0 % (100.0 to 100.0) (+20.0) |" in page.losses(
        [result]
    )
    pairs = page.pairs([result])
    assert "| chair called sofa, px | 400 |" in pairs
    assert "| sofa called chair, px | 0 |" in pairs
    assert "| images with such a pixel | 1 of 2 |" in pairs
    assert "| in the image with most of it | 100.0 % |" in pairs
    plots.draw_slices([result], ObjectAxis.VISIBLE_FRACTION, tmp_path / "slices.svg")
    plots.draw_bands([result], tmp_path / "bands.svg")
    pictures.draw_confusions(result, tmp_path / "confusions.png")
    assert "<style>" in (tmp_path / "slices.svg").read_text()
    with Image.open(tmp_path / "confusions.png") as sheet:
        assert sheet.width > 400


def test_settings_and_networks_are_compared_over_one_class_set(results: list[runs.Result]) -> None:
    found = runs.compare(results)
    shown = page.conditions(found)
    assert "| as trained | 76.7 | 50.0 | 80.0 |" in shown
    assert "| mirrored | +23.3 [0.0, +44.4] | +50.0 [0.0, +100.0] |" in shown
    assert shown.count("\n") == 4  # the other network is not a setting
    other = page.networks([(results[0], found)]).splitlines()[-1]
    assert other.startswith("| rendered rooms, other against made | 0.0 [0.0, 0.0] | 0.0 ")


def test_other_classes_become_void_and_are_counted(tmp_path: Path) -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[:2], labels[2:5], labels[5] = 15, CHAIR, 255  # a person, a chair, void
    (tmp_path / "truth").mkdir()
    write_mask(tmp_path / "truth" / "a.png", labels, VOC)
    data = image_sets.ImageSet("photographs", "photographs", tmp_path, 1)
    left = image_sets.restrict_truth(data, VOC, ["background", "chair"], tmp_path / "common")
    assert left == pytest.approx(20 / 90)
    assert np.array_equal(read_mask(tmp_path / "common" / "a.png", VOC), np.where(labels == 15, 255, labels))


def test_photographs_that_are_not_there_are_no_set(tmp_path: Path) -> None:
    assert image_sets.gather_photographs(tmp_path, tmp_path / "set") is None


def test_only_photographs_with_voc_truth_are_taken(tmp_path: Path) -> None:
    real = tmp_path / "real"
    for group in ("voc", "nyu"):
        (real / group).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(real / group / "a.jpg")
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(real / group / "a.png")
    rows = [{"image": f"{group}/a.jpg", "label": f"{group}/a.png"} for group in ("voc", "nyu")] + [{"image": "voc/b.jpg"}]
    (real / "manifest.json").write_text(json.dumps(rows))
    data = image_sets.gather_photographs(real, tmp_path / "set")
    assert data is not None
    assert data.images == 1
    assert [path.name for path in (data.folder / "images").iterdir()] == ["voc_a.jpg"]


def test_the_page_of_ablations_is_written_from_the_json(rooms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"separable": True, "aspp_channels": 8, "decoder_channels": 8}
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=21, **small).eval()
    save_model(tmp_path / "net.safetensors", model, ModelCard(id="net", name="net", architecture={}, catalog=VOC))
    out, written = tmp_path / "out", tmp_path / "page.md"
    written.write_text("# Mine\n<!-- photographs -->\nkept\n<!-- end -->\n<!-- rooms -->\n<!-- end -->\n")
    monkeypatch.setattr(ablations, "PAGE", written)
    monkeypatch.setattr(ablations, "VARIANTS", {"flip": "mirrored"})
    monkeypatch.setitem(ablations.MODELS, "rooms", str(tmp_path / "net.safetensors"))
    arguments = ["--only", "rooms", "--rooms", str(rooms), "--out", str(out)]
    assert CliRunner().invoke(ablations.main, arguments, catch_exceptions=False).exit_code == 0
    text = written.read_text()
    assert "kept" in text
    assert "    atrous ablate rooms/images --model" in text
    assert "- **mirrored**: cannot tell for any score or class. Of " in text
    assert "| 0.5 to 0.75 | 2 |" in text  # two chairs of which half can be seen
    assert "    - won: " in text
    assert all(len(line) <= 140 or line.startswith("|") or line.startswith("    atrous") for line in text.splitlines())
    (chosen,) = ablations.present(out)
    assert chosen.data.images == 2
    assert chosen.results.is_file()
    written.write_text(text.replace("mirrored", "flipped"))
    assert CliRunner().invoke(ablations.main, [*arguments, "--page-only"], catch_exceptions=False).exit_code == 0
    assert written.read_text() == text

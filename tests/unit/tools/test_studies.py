"""The study of chairs and sofas: sets, measures and the page, on made masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.analysis import ObjectAxis
from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.analysis.inspection import FolderSources, inspect_folders
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError
from deeplab_core.masks.png import write_mask
from deeplab_core.masks.read import read_mask
from tools.studies.chairs_and_sofas import page, pictures, plots, runs, sets

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
def result(rooms: Path, tmp_path: Path) -> runs.Result:
    """A network that calls the first room's chair a sofa and is right everywhere else."""
    data = sets.gather_rooms([rooms], tmp_path / "set")
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in range(2):
        labels = read_mask(rooms / "truth" / f"room_{number}.png", VOC).copy()
        if number == 0:
            labels[labels == CHAIR] = SOFA
        write_mask(masks / f"0_room_{number}.png", labels, VOC)
    truth = [data.folder / "truth"]
    return runs.Result(
        subject=runs.Subject("made", "made", tmp_path),
        data=data,
        condition=runs.CONDITIONS[0],
        evaluation=evaluate_folders(masks, truth, VOC, boundary=False, resamples=50),
        inspection=inspect_folders(masks, truth, VOC, sources=FolderSources(objects=data.objects)),
        masks=masks,
        milliseconds=1.0,
    )


def test_a_swap_is_all_of_the_loss_and_its_repair_gives_everything_back(result: runs.Result) -> None:
    assert result.iou("chair") == pytest.approx(1 / 2)
    assert result.iou("sofa") == pytest.approx(1600 / 2000)
    assert result.loss("chair")["swap"] == pytest.approx((1.0, 1 / 2))
    assert result.loss("sofa")["swap"] == pytest.approx((1.0, 1 - 1600 / 2000))
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
    page.fill(written, {"overall": page.overall([result])})
    text = written.read_text()
    assert text.startswith("# Mine\n")
    assert text.endswith("<!-- end -->\nAnd what I think.\n")
    assert "old" not in text
    assert "| made on 2 rendered rooms | 76.7 | 50.0 (" in text
    page.fill(written, {"overall": page.overall([result])})
    assert written.read_text() == text


def test_a_page_without_the_marker_is_named(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text("nothing")
    with pytest.raises(AtrousError, match="no place for 'overall'"):
        page.fill(written, {"overall": ""})


def test_every_table_and_picture_is_made(result: runs.Result, tmp_path: Path) -> None:
    assert page.slices(result, ObjectAxis.VISIBLE_FRACTION).count("\n") == 2 + 2 * 5
    assert "| chair and sofa swapped | 100.0 % (+50.0) | 100.0 % (+20.0) |" in page.losses([result])
    assert "| as trained | 76.7 | 50.0 | 80.0 |" in page.conditions([result])
    plots.draw_slices([result], ObjectAxis.VISIBLE_FRACTION, tmp_path / "slices.svg")
    plots.draw_bands([result], tmp_path / "bands.svg")
    pictures.draw_confusions(result, tmp_path / "confusions.png")
    assert "<style>" in (tmp_path / "slices.svg").read_text()
    with Image.open(tmp_path / "confusions.png") as sheet:
        assert sheet.width > 400


def test_photographs_that_are_not_there_are_no_set(tmp_path: Path) -> None:
    assert sets.gather_photographs(tmp_path, tmp_path / "set") is None


def test_only_photographs_with_voc_truth_are_taken(tmp_path: Path) -> None:
    real = tmp_path / "real"
    for group in ("voc", "nyu"):
        (real / group).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(real / group / "a.jpg")
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(real / group / "a.png")
    rows = [{"image": f"{group}/a.jpg", "label": f"{group}/a.png"} for group in ("voc", "nyu")] + [{"image": "voc/b.jpg"}]
    (real / "manifest.json").write_text(json.dumps(rows))
    data = sets.gather_photographs(real, tmp_path / "set")
    assert data is not None
    assert data.images == 1
    assert [path.name for path in (data.folder / "images").iterdir()] == ["voc_a.jpg"]


def test_a_network_is_run_where_its_strides_allow(rooms: Path, tmp_path: Path) -> None:
    from deeplab_core.nn import create_model
    from deeplab_core.records import ModelCard
    from deeplab_core.weights import save_model

    small = {"separable": True, "aspp_channels": 8, "decoder_channels": 8}
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=21, **small).eval()
    save_model(tmp_path / "net.safetensors", model, ModelCard(id="net", name="net", architecture={}, catalog=VOC))
    subject = runs.Subject("net", "net", tmp_path / "net.safetensors")
    data = sets.gather_rooms([rooms], tmp_path / "set")
    assert all(runs.possible(subject, condition) for condition in runs.CONDITIONS)
    found = runs.run(subject, data, runs.CONDITIONS[1], tmp_path / "out")
    assert len(list(found.masks.glob("*.png"))) == 2
    assert found.milliseconds > 0
    assert found.evaluation.failures == ()

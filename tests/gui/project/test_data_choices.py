"""Ground truth, classes and orientation in the window: each question, its answers, reopening, changing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QMessageBox

from app.ui.project.classes_dialog import ClassesDialog
from app.ui.project.data_presenter import TruthDialog
from app.ui.project.frame_dialog import FrameDialog
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks import Untouched, mark_output
from tests.gui.studio import HEIGHT, WIDTH, Studio, make_folder


def dialog(studio: Studio) -> QDialog | None:
    assert studio.application.presenter is not None
    return studio.application.presenter.truth.dialog


def mean(studio: Studio) -> str:
    return studio.window.classes.mean.text()


def line(studio: Studio) -> str:
    return studio.window.classes.choice.line.toolTip()


def write_masks(folder: Path, values: list[int], count: int = 4) -> Path:
    folder.mkdir(parents=True)
    labels = np.resize(np.array(values, np.uint8), HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    for number in range(count):
        Image.fromarray(labels).save(folder / f"photo_{number}.png")
    return folder


def run(studio: Studio) -> None:
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    studio.settle()


def test_own_export_is_never_found_as_ground_truth(studio: Studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    write_masks(tmp_path / "set" / "images_masks", [0, 15])
    mark_output(
        tmp_path / "set" / "images_masks", "export", {f"photo_{n}.png": Untouched(0, True) for n in range(4)},
        catalog=get_catalog("voc21"),
    )  # fmt: skip
    studio.start_model()
    studio.open(folder)
    assert dialog(studio) is None
    assert mean(studio) == ""
    assert "No ground truth found" in studio.window.classes.choice.line.accessibleName()


def test_a_doubt_is_asked_once_and_the_answer_is_kept(studio: Studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    mine = write_masks(tmp_path / "set" / "images_masks", [0, 15, 255])
    studio.open(folder)
    asked = dialog(studio)
    assert isinstance(asked, TruthDialog)
    assert mean(studio) == ""
    assert [answer.value for answer in asked.answers] == [mine, None]
    asked.choose(0)
    asked.go.click()
    studio.settle()
    if isinstance(dialog(studio), ClassesDialog):
        dialog(studio).select("voc21")
        dialog(studio).go.click()
        studio.settle()
    studio.wait(lambda: "not measured, nothing is labelled yet" in studio.window.classes.note.text())
    assert str(mine) in line(studio)
    studio.program.projects.close()
    studio.open(folder)
    assert dialog(studio) is None
    assert len(studio.program.truth.index) == 4


def test_escape_means_no_ground_truth_for_now(studio: Studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    mine = write_masks(tmp_path / "set" / "images_masks", [0, 15, 255])
    studio.open(folder)
    studio.qtbot.keyClick(dialog(studio), Qt.Key.Key_Escape)
    studio.settle()
    studio.program.projects.close()
    studio.open(folder)
    assert dialog(studio) is None
    assert len(studio.program.truth.index) == 0
    studio.window.classes.choice.button.click()
    studio.settle()
    again = dialog(studio)
    assert isinstance(again, TruthDialog)
    assert mine in [answer.value for answer in again.answers]


@pytest.mark.parametrize("answer", [True, False])
def test_predictions_are_asked_about_before_they_are_used(studio: Studio, tmp_path, answer):
    folder = make_folder(tmp_path / "set", truth=False)
    out = write_masks(tmp_path / "out", [0, 15, 255])
    mark_output(out, "prediction", {f"photo_{n}.png": None for n in range(4)}, catalog=get_catalog("voc21"), model="rooms")
    studio.open(folder)
    studio.program.truth.choose(out)
    studio.settle()
    box = dialog(studio)
    assert isinstance(box, QMessageBox)
    assert "predictions of rooms" in box.text()
    wanted = "Use them" if answer else "Do not use them"
    next(button for button in box.buttons() if button.text() == wanted).click()
    studio.settle()
    assert len(studio.program.truth.index) == (4 if answer else 0)


def test_an_export_is_accepted_when_named_and_says_how_much_no_user_touched(studio: Studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    out = write_masks(tmp_path / "out", [0, 15, 255])
    outputs = {f"photo_{n}.png": Untouched(0, whole=n < 3) for n in range(4)}
    mark_output(out, "export", outputs, catalog=get_catalog("voc21"))
    studio.open(folder)
    studio.program.truth.choose(out)
    studio.settle()
    assert dialog(studio) is None
    assert len(studio.program.truth.index) == 4
    assert "no user touched 3 of its 4 images" in line(studio)


def test_camvid_opens_with_its_own_classes(studio: Studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    folder = folder.rename(folder.parent / "train")
    write_masks(tmp_path / "set" / "trainannot", list(range(12)))
    studio.open(folder)
    assert dialog(studio) is None
    assert studio.program.session.project.catalog.name == "camvid11"
    assert studio.image.document.catalog.name == "camvid11"
    assert studio.window.classes.choice.catalog.currentText() == "CamVid"


def test_a_doubt_about_the_classes_is_asked_and_the_answer_changes_everything(studio: Studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    write_masks(tmp_path / "set" / "labels" / "all", [0, 3, 7]).rename(tmp_path / "set" / "truth")
    studio.open(folder)
    asked = dialog(studio)
    assert isinstance(asked, ClassesDialog)
    asked.select("camvid11")
    asked.go.click()
    studio.settle()
    assert studio.program.session.project.catalog.name == "camvid11"
    assert {row.class_id for row in studio.window.classes.model.rows} >= {0, 3, 7}
    studio.program.projects.close()
    studio.open(folder)
    assert dialog(studio) is None
    assert studio.program.session.project.catalog.name == "camvid11"


def test_the_box_shows_the_effect_before_it_changes_classes(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    run(studio)
    box = studio.window.classes.choice.catalog
    place = box.findData("ade20k150")
    box.setCurrentIndex(place)
    box.activated.emit(place)
    studio.settle()
    shown = dialog(studio)
    assert isinstance(shown, ClassesDialog)
    assert box.currentData() == "voc21"
    assert "1 mask of a model" in shown.note.text()
    shown.reject()
    assert studio.program.session.project.catalog.name == "voc21"
    assert studio.program.session.project.labelled()


def test_changed_ground_truth_changes_every_figure(studio: Studio, tmp_path):
    folder = make_folder(tmp_path / "set")
    other = tmp_path / "other"
    other.mkdir()
    from deeplab_core.masks.png import write_indexed_png

    for number in range(4):
        labels = np.full((HEIGHT, WIDTH), 7, np.uint8)
        write_indexed_png(other / f"photo_{number}.png", labels, get_catalog("voc21"))
    studio.start_model()
    studio.open(folder)
    run(studio)
    studio.press(Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    studio.settle()
    evaluation, figures = studio.program.evaluation, studio.program.figures
    before, scores = figures.pooled.counts.copy(), figures.ious()
    studio.program.inspect.inspect_folder()
    studio.settle()
    inspected = studio.program.inspect.counts().copy()
    studio.program.truth.choose(other)
    studio.settle()
    assert not np.array_equal(figures.pooled.counts, before)
    assert figures.pooled.counts[[0, 15]].sum() == 0
    assert all(figures.score(i).iou != iou for i, iou in scores.items())
    assert not np.array_equal(studio.program.inspect.counts(), inspected)
    assert set(np.unique(evaluation.live.truth)) == {7}
    studio.program.truth.choose_none()
    studio.settle()
    assert mean(studio) == ""
    assert not figures.ious()


def turned_folder(root: Path, orientation: int = 2) -> Path:
    """Photographs that are mirrored by their EXIF tag, with masks that are marked in the stored top left corner."""
    images = root / "images"
    images.mkdir(parents=True)
    (root / "truth").mkdir()
    exif = Image.Exif()
    exif[0x0112] = orientation
    random = np.random.default_rng(3)
    for number in range(3):
        pixels = random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"photo_{number}.jpg", exif=exif)
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        labels[:10, :10], labels[-5:] = 15, 255
        from deeplab_core.masks.png import write_indexed_png

        write_indexed_png(root / "truth" / f"photo_{number}.png", labels, get_catalog("voc21"))
    return images


@pytest.mark.parametrize(("frame", "column"), [("stored", WIDTH - 1), ("oriented", 0)])
def test_the_orientation_of_masks_is_asked_once_and_used(studio: Studio, tmp_path, frame, column):
    folder = turned_folder(tmp_path / "set")
    studio.open(folder)
    asked = dialog(studio)
    assert isinstance(asked, FrameDialog)
    assert studio.program.evaluation.live is None
    (asked.stored if frame == "stored" else asked.oriented).click()
    asked.go.click()
    studio.settle()
    assert studio.program.evaluation.live.truth[0, column] == 15
    studio.program.projects.close()
    studio.open(folder)
    assert dialog(studio) is None
    assert studio.program.evaluation.live.truth[0, column] == 15


def test_an_unanswered_orientation_leaves_the_images_out_and_can_be_answered_later(studio: Studio, tmp_path):
    folder = turned_folder(tmp_path / "set", 3)
    studio.open(folder)
    dialog(studio).reject()
    studio.settle()
    assert studio.program.evaluation.live is None
    assert studio.program.truth.problems
    studio.program.projects.close()
    studio.open(folder)
    assert dialog(studio) is None
    studio.program.truth.review_frame()
    studio.settle()
    asked = dialog(studio)
    assert isinstance(asked, FrameDialog)
    asked.stored.click()
    asked.go.click()
    studio.settle()
    assert studio.program.evaluation.live.truth[-1, -1] == 15


def test_a_smoke_run_asks_nothing(studio: Studio, tmp_path):
    studio.program.truth.asks = False
    studio.open(turned_folder(tmp_path / "set"))
    assert dialog(studio) is None


def test_an_image_that_is_left_right_after_a_stroke_keeps_its_iou(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    run(studio)
    image = studio.image.id
    before = studio.program.figures.score(image).iou
    assert before is not None
    studio.program.tools.set_diameter(30)
    studio.paint((20, 20), (30, 30))
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.id != image)
    studio.settle()
    after = studio.program.figures.score(image).iou
    assert after is not None
    assert after != before


def test_an_image_that_came_with_a_rescan_has_its_ground_truth(studio: Studio, folder):
    studio.open(folder)
    assert len(studio.program.truth.index) == 4
    for place, kind in (("images", "jpg"), ("labels", "png")):
        source = folder.parent / place / f"photo_0.{kind}"
        (folder.parent / place / f"photo_9.{kind}").write_bytes(source.read_bytes())
    studio.program.projects.rescan()
    studio.wait(lambda: len(studio.program.truth.index) == 5)

"""What was scaled, left out or read by colour is shown where the user sees it: status line, messages, summaries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")


def save_ramp(path: Path, top: int, shape: tuple[int, int] = (60, 84)) -> None:
    ramp = np.mgrid[0 : shape[0], 0 : shape[1]][1] * top // (shape[1] - 1)
    Image.fromarray(ramp.astype(np.uint16)).save(path)


def save_rebuilt(path: Path, labels: np.ndarray) -> None:
    """A mask of two classes, saved by a tool that numbers colours by their frequency."""
    used = np.unique(labels)[::-1]
    table = np.zeros((256, 3), np.uint8)
    table[: len(used)] = VOC.palette()[used]
    places = np.zeros(256, np.uint8)
    places[used] = np.arange(len(used))
    picture = Image.fromarray(places[labels])
    picture.putpalette(table.reshape(-1).tolist())
    picture.save(path)


def details(studio, title: str) -> str:
    return next(message.detail for message in reversed(studio.program.notifier.messages) if title in message.title)


def test_a_scaled_image_is_noted_in_the_status_line_and_once_in_the_messages(studio, tmp_path):
    folder = tmp_path / "camera"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        save_ramp(folder / name, 4095)
    Image.new("RGB", (84, 60), (9, 9, 9)).save(folder / "c.png")
    tifffile.imwrite(folder / "d.tif", np.zeros((3, 60, 84), np.uint8), photometric="minisblack")
    studio.open(folder)
    note = studio.window.status.note
    assert "16-bit values of 0..4095 scaled" in note.toolTip()
    assert note.text()
    titles = [title for title in studio.titles() if "was scaled from 12 bit" in title]
    assert titles == ["a.png: this image was scaled from 12 bit"]
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path.name == "b.png")
    assert "4095" in note.toolTip()
    assert len([title for title in studio.titles() if "was scaled from 12 bit" in title]) == 1
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path.name == "c.png")
    assert note.text() == ""
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path.name == "d.tif")
    assert "first of 3 pages is read" in note.toolTip()
    assert "d.tif: this image has further pages" in studio.titles()


def test_ground_truth_that_contradicts_itself_is_said(studio, folder):
    labels = np.zeros((60, 84), np.uint8)
    labels[:, :40] = 15
    for number in range(4):
        save_rebuilt(folder.parent / "labels" / f"photo_{number}.png", labels)
    studio.open(folder)
    studio.wait(lambda: any("ground truth was read by colour" in title for title in studio.titles()))
    studio.settle()
    assert sum("ground truth was read by colour" in title for title in studio.titles()) == 1


def test_judging_the_folder_says_that_the_ground_truth_is_binary(studio, folder):
    mask = np.zeros((60, 84), np.uint8)
    mask[:, :40] = 255
    for number in range(4):
        Image.fromarray(mask).save(folder.parent / "labels" / f"photo_{number}.png")
    studio.open(folder)
    studio.start_model()
    studio.program.folder_run.run()
    studio.settle()
    studio.program.folder_evaluation.start()
    studio.wait(lambda: any("Check the ground truth" in title for title in studio.titles()))
    assert "only 0 (background) and 255" in details(studio, "Check the ground truth")


def test_a_folder_run_counts_scaled_images(studio, tmp_path):
    folder = tmp_path / "camera"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        save_ramp(folder / name, 4095 - number)
    studio.open(folder)
    studio.start_model()
    studio.program.folder_run.run()
    studio.wait(lambda: any("Folder run finished" in title for title in studio.titles()))
    # The image in view was predicted before, and that prediction was kept.
    assert "2 images were scaled from 12 bit" in details(studio, "Folder run finished")

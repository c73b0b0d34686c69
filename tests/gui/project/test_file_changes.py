"""Files that change on disk while the project is open are noticed without F5, and no stroke is lost to it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from app.controllers.evaluate import ground_truth as truth_controller
from app.controllers.project import file_changes
from app.services.autosave import SaveState
from app.state.data_choices import ground_truth_of
from app.state.folder_scan import ScanReport
from app.state.project import Project
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_indexed_png
from tests.gui.studio import HEIGHT, WIDTH, make_folder


@pytest.fixture
def desk(studio, folder, monkeypatch):
    monkeypatch.setattr(file_changes, "_PAUSE", 0.05)
    monkeypatch.setattr(file_changes, "_SHARE", 0.0)
    studio.open(folder)
    return studio


def noise(seed: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))


def replaced(path, picture: Image.Image) -> None:
    """As most programs save: a new file takes the name."""
    part = path.with_name(f"{path.stem}.part")
    picture.save(part, "JPEG")
    part.replace(path)


def names(studio) -> list[str]:
    return [record.name for record in studio.program.session.project.images]


def said(studio, text: str) -> bool:
    return any(text in f"{message.title} {message.detail}" for message in studio.program.notifier.messages)


def test_images_that_come_and_go_are_noticed(desk, folder):
    noise(1).save(folder / "photo_9.jpg")
    desk.wait(lambda: "photo_9.jpg" in names(desk))
    desk.wait(lambda: said(desk, "1 image was added."))
    assert desk.window.images.view.model().rowCount() == 5
    (folder / "photo_9.jpg").unlink()
    (folder / "photo_2.jpg").unlink()
    desk.wait(lambda: names(desk) == ["photo_0.jpg", "photo_1.jpg", "photo_3.jpg"])
    desk.wait(lambda: said(desk, "removed."))


def test_subfolders_with_images_are_watched_too(desk, folder):
    (folder / "more").mkdir()
    noise(2).save(folder / "more" / "first.jpg")
    desk.wait(lambda: "first.jpg" in names(desk))
    noise(3).save(folder / "more" / "second.jpg")
    desk.wait(lambda: "second.jpg" in names(desk))


def test_the_image_in_view_is_read_again_and_the_strokes_stay(desk, folder):
    desk.program.classes.choose(9)
    desk.paint((10, 10), (40, 30))
    image, labels, steps = desk.image.id, desk.image.document.labels.copy(), desk.steps()
    before = desk.image.rgb.copy()
    replaced(desk.image.path, noise(77))
    desk.wait(lambda: not np.array_equal(desk.image.rgb, before))
    desk.settle()
    assert desk.image.id == image
    np.testing.assert_array_equal(desk.image.document.labels, labels)
    assert desk.steps() == steps
    assert said(desk, "photo_0.jpg has changed on disk")
    desk.wait(lambda: desk.program.session.project.record(image).changed)


def test_strokes_and_mask_are_named_only_if_present(desk, folder):
    before = desk.image.rgb.copy()
    replaced(desk.image.path, noise(77))
    desk.wait(lambda: not np.array_equal(desk.image.rgb, before))
    (text,) = (m.detail for m in desk.program.notifier.messages if m.title == "photo_0.jpg has changed on disk")
    assert text == "It was reloaded."
    desk.settle()
    desk.program.classes.choose(9)
    desk.paint((10, 10), (40, 30))
    before = desk.image.rgb.copy()
    replaced(desk.image.path, noise(78))
    desk.wait(lambda: not np.array_equal(desk.image.rgb, before))
    *_, text = (m.detail for m in desk.program.notifier.messages if m.title == "photo_0.jpg has changed on disk")
    assert text == "It was reloaded. Your strokes are kept; check whether the mask still fits."


def test_the_prediction_of_the_former_content_is_not_called_lost(desk, folder):
    desk.start_model()
    image, before = desk.image.id, desk.image.rgb.copy()
    desk.wait(lambda: desk.image.prediction is not None)
    replaced(desk.image.path, noise(77))
    desk.wait(lambda: not np.array_equal(desk.image.rgb, before))
    desk.wait(lambda: desk.program.session.project.record(image).changed)
    desk.settle()
    assert not said(desk, "prediction lost")


def test_written_in_place_it_is_noticed_as_well(desk):
    before = desk.image.rgb.copy()
    noise(78).save(desk.image.path)
    desk.wait(lambda: not np.array_equal(desk.image.rgb, before))


def test_a_new_size_is_no_reason_to_lose_the_mask(desk):
    desk.program.classes.choose(9)
    desk.paint((10, 10), (40, 30))
    image, path, labels = desk.image.id, desk.image.path, desk.image.document.labels.copy()
    replaced(path, noise(79, (WIDTH + 20, HEIGHT)))
    desk.wait(lambda: desk.program.session.unreadable is not None)
    shown = desk.program.session.unreadable
    assert shown.id == image
    replaced(path, noise(80))
    desk.wait(lambda: desk.program.session.image is not None)
    np.testing.assert_array_equal(desk.image.document.labels, labels)


@pytest.mark.parametrize("painted", [True, False])
def test_the_image_in_view_stays_when_its_file_goes(desk, folder, painted):
    if painted:
        desk.paint((10, 10), (40, 30))
    image, path = desk.image.id, desk.image.path
    kept = path.read_bytes()
    path.unlink()
    desk.wait(lambda: said(desk, "photo_0.jpg is missing"))
    desk.wait(lambda: desk.program.session.project.record(image).missing)
    assert desk.image.id == image
    desk.paint((5, 50), (60, 50))
    labels = desk.image.document.labels.copy()
    desk.program.projects.save_now()
    desk.wait(lambda: desk.program.session.autosaver.state is SaveState.SAVED)
    path.write_bytes(kept)
    desk.wait(lambda: not desk.program.session.project.record(image).missing)
    desk.settle()
    np.testing.assert_array_equal(desk.image.document.labels, labels)


def test_a_mask_that_another_program_writes_is_said_and_never_taken_unasked(desk, folder):
    desk.program.classes.choose(9)
    desk.paint((10, 10), (40, 30))
    desk.program.projects.save_now()
    project, image = desk.program.session.project, desk.image.id
    desk.wait(lambda: project.record(image).mask and desk.program.session.autosaver.state is SaveState.SAVED)
    desk.settle()
    assert not said(desk, "Another program"), "the window's own writing is none"
    labels = desk.image.document.labels.copy()
    mask = project.directory / project.record(image).mask
    shutil.copy(folder.parent / "labels" / "photo_0.png", mask.with_name("other.part"))
    mask.with_name("other.part").replace(mask)
    desk.wait(lambda: said(desk, "Another program changed the mask file of photo_0.jpg"))
    np.testing.assert_array_equal(desk.image.document.labels, labels)
    (message,) = [m for m in desk.program.notifier.messages if m.title.startswith("Another program")]
    message.choices[1].run()
    desk.wait(lambda: desk.program.session.autosaver.state is SaveState.SAVED)
    desk.settle()
    np.testing.assert_array_equal(desk.image.document.labels, labels)


def test_an_unreadable_image_opens_by_itself_when_it_is_repaired(desk, folder):
    good = (folder / "photo_1.jpg").read_bytes()
    (folder / "photo_1.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    project = desk.program.session.project
    desk.program.projects.open_image(project.images[1].id)
    desk.wait(lambda: desk.program.session.unreadable is not None)
    (folder / "photo_1.jpg").write_bytes(good)
    desk.wait(lambda: desk.program.session.image is not None)
    assert desk.image.path.name == "photo_1.jpg"


def test_a_stroke_that_is_being_painted_is_not_disturbed(desk, folder):
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(10, 10))
    desk.qtbot.mouseMove(desk.view, pos=desk.point(30, 20))
    assert desk.program.edit.busy
    before = desk.image.rgb.copy()
    replaced(desk.image.path, noise(81))
    desk.program.file_changes.check()
    desk.qtbot.wait(1200)
    assert desk.program.edit.busy, "the pen is still down"
    np.testing.assert_array_equal(desk.image.rgb, before)
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(30, 20))
    desk.wait(lambda: not np.array_equal(desk.image.rgb, before))
    assert any(title.startswith("Brush") for title in desk.steps())


def test_a_window_that_becomes_active_looks_again(desk, folder, monkeypatch):
    """Folders beyond the bound are not watched: what changed there shows when the user comes back."""
    desk.program.file_changes.watch.watch_folders([])
    noise(1).save(folder / "photo_9.jpg")
    application = QGuiApplication.instance()
    application.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
    desk.wait(lambda: "photo_9.jpg" in names(desk))


def test_a_folder_that_is_as_it_was_is_not_listed_again(desk, folder, monkeypatch):
    changes = desk.program.file_changes
    changes.check()
    desk.wait(lambda: changes._seen is not None)
    desk.settle()
    seen = changes._seen
    monkeypatch.setattr(file_changes, "survey", lambda _folder: pytest.fail("it was listed"))
    monkeypatch.setattr(Project, "rescan", lambda *_: pytest.fail("it was compared"))
    looked = []
    monkeypatch.setattr(changes, "_take", looked.append)
    changes._not_before = 0.0
    changes.check()
    desk.wait(lambda: not changes._looking)
    assert changes._seen == seen
    assert looked == []


def test_few_folders_are_watched_however_many_there_are(desk, tmp_path):
    folders = [tmp_path / str(number) for number in range(300)]
    for made in folders:
        made.mkdir()
    watch = desk.program.file_changes.watch
    watch.watch_folders(folders)
    assert len(watch._watcher.directories()) == file_changes.MOST_FOLDERS
    watch.watch_folders([])
    assert watch._watcher.directories() == []


def test_an_empty_folder_opens_its_first_image_when_one_comes(studio, tmp_path, monkeypatch):
    monkeypatch.setattr(file_changes, "_PAUSE", 0.05)
    (tmp_path / "empty").mkdir()
    studio.program.projects.open(tmp_path / "empty")
    studio.wait(lambda: studio.program.session.project is not None)
    noise(4).save(tmp_path / "empty" / "a.jpg")
    studio.wait(lambda: studio.program.session.image is not None)


def test_what_is_said_of_a_look() -> None:
    assert file_changes.changes_text(ScanReport()) == ""
    text = file_changes.changes_text(ScanReport(added=2, removed=1, changed=("a.jpg",)))
    assert text.startswith("2 images were added. 1 image was removed. 1 image changed")


def shown_wrong(studio) -> int:
    """Wrong pixels of the image in view against its ground truth as it was read; -1 without figures."""
    live = studio.program.figures.live
    return -1 if live is None else int(live.matrix.counts.sum() - np.trace(live.matrix.counts[:, :-1]))


@pytest.mark.parametrize("in_place", [True, False])
def test_ground_truth_that_is_written_again_is_read_again(desk, in_place):
    desk.wait(lambda: shown_wrong(desk) >= 0 and desk.program.file_changes._truth_state is not None)
    before = shown_wrong(desk)
    path = desk.program.truth.index.files[desk.image.path.name]
    other = np.where(np.asarray(Image.open(path)) == 0, 1, 0).astype(np.uint8)
    target = path if in_place else path.with_suffix(".part")
    write_indexed_png(target, other, desk.image.document.catalog)
    if not in_place:
        target.replace(path)
    desk.wait(lambda: shown_wrong(desk) not in (-1, before))
    desk.wait(lambda: said(desk, "The ground truth has changed on disk"))


def test_ground_truth_that_comes_is_found(desk, folder):
    desk.wait(lambda: desk.program.file_changes._truth_state is not None)
    files = desk.program.truth.index.files
    name, path = sorted(files.items())[-1]
    content = path.read_bytes()
    path.unlink()
    desk.wait(lambda: name not in desk.program.truth.index.files)
    desk.wait(lambda: desk.program.file_changes._truth_state is not None)
    path.write_bytes(content)
    desk.wait(lambda: name in desk.program.truth.index.files)


def test_a_project_for_reading_only_says_what_came_and_went(studio, folder, monkeypatch):
    monkeypatch.setattr(file_changes, "_PAUSE", 0.05)
    studio.open(folder)
    assert studio.program.projects.close()
    studio.program.projects.open(folder, read_only=True)
    studio.wait(lambda: studio.program.session.project is not None and studio.program.session.project.read_only)
    studio.settle()
    noise(1).save(folder / "photo_9.jpg")
    (folder / "photo_3.jpg").unlink()
    studio.program.file_changes.check()
    studio.wait(lambda: said(studio, "1 image was added. 1 image was removed. The project is open for reading only"))
    assert len(names(studio)) == 4


def test_ground_truth_that_comes_while_it_is_read_is_found_too(desk, monkeypatch):
    changes = desk.program.file_changes
    desk.wait(lambda: changes._truth_state is not None)
    (first, path), (second, late) = sorted(desk.program.truth.index.files.items())[-2:]
    contents = path.read_bytes(), late.read_bytes()
    path.unlink()
    late.unlink()
    desk.wait(lambda: second not in desk.program.truth.index.files)
    desk.wait(lambda: changes._truth_state is not None)

    def reading(project, choice):
        found = ground_truth_of(project, choice)
        late.write_bytes(contents[1])
        return found

    monkeypatch.setattr(truth_controller, "ground_truth_of", reading)
    path.write_bytes(contents[0])
    desk.wait(lambda: {first, second} <= desk.program.truth.index.files.keys())


def test_other_files_beside_the_ground_truth_change_nothing(desk):
    desk.wait(lambda: desk.program.file_changes._truth_state is not None)
    truth = desk.program.session.project.ground_truth
    looks = []
    desk.program.session.truthStale.connect(looks.append)
    (next(iter(truth.files.values())).parent / "notes.txt").write_text("x", encoding="utf-8")
    desk.wait(lambda: looks == [False])
    desk.settle()
    assert desk.program.session.project.ground_truth is truth
    assert not said(desk, "The ground truth has changed on disk")


def test_ground_truth_that_is_gone_is_said(desk):
    desk.wait(lambda: desk.program.file_changes._truth_state is not None)
    shutil.rmtree(next(iter(desk.program.truth.index.files.values())).parent)
    desk.wait(lambda: not desk.program.truth.index.files)
    desk.wait(lambda: said(desk, "The ground truth of this project cannot be read"))
    assert not said(desk, "figures follow it")


def test_a_project_for_reading_only_takes_no_ground_truth_in_other_classes(studio, tmp_path, monkeypatch):
    monkeypatch.setattr(file_changes, "_PAUSE", 0.05)
    folder = make_folder(tmp_path / "set")
    with Project.open(folder, catalog=get_catalog("camvid11")):
        pass
    studio.program.projects.open(folder, read_only=True)
    studio.wait(lambda: studio.program.session.project is not None and studio.program.session.project.read_only)
    studio.settle()
    project, changes = studio.program.session.project, studio.program.file_changes
    studio.wait(lambda: changes._truth_state is not None)
    assert project.ground_truth.problem
    looks = []
    studio.program.session.truthStale.connect(looks.append)
    (folder.parent / "labels" / "notes.txt").write_text("x", encoding="utf-8")
    changes._truth_later.start()
    studio.wait(lambda: looks == [False])
    studio.settle()
    assert project.ground_truth.problem
    assert not project.ground_truth.files

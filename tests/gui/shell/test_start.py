"""How the window starts: its size, what stands in the place of the picture, and when the compute process is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QObject, QRect, QSettings, QSize, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QGraphicsDropShadowEffect, QGraphicsOpacityEffect

from app.main import LateStart
from app.services.jobs import Job
from app.smoke import NO_COMPUTE, SmokeRun
from app.ui.project.early_picture import EarlyPicture, early_picture, remember_picture
from tests.gui.snapshots import pixels_of
from tests.gui.studio import Studio


class Order(QObject):
    """Notes when the picture is painted and when the compute process is started."""

    def __init__(self, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.events: list[str] = []
        self._studio = studio
        studio.view.installEventFilter(self)
        start = studio.compute.start
        monkeypatch.setattr(studio.compute, "start", lambda: (self.events.append("started"), start()))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and self._studio.program.session.image is not None:
            self.events.append("painted")
        return super().eventFilter(watched, event)


def test_the_compute_process_starts_after_the_first_picture(studio: Studio, folder, monkeypatch):
    monkeypatch.setattr(LateStart, "LONGEST", 10**9)
    order = Order(studio, monkeypatch)
    LateStart(studio.application)
    studio.open(folder)
    studio.wait(lambda: "started" in order.events)
    assert order.events[0] == "painted"
    assert order.events.count("started") == 1
    studio.wait(lambda: studio.program.models.card is not None)


def test_without_a_picture_it_starts_once_nothing_runs(studio: Studio, monkeypatch):
    monkeypatch.setattr(LateStart, "LONGEST", 10**9)
    order = Order(studio, monkeypatch)
    job = studio.program.jobs.add(Job("Opening a large folder"))
    looks = []
    look = LateStart._look
    monkeypatch.setattr(LateStart, "_look", lambda self: (looks.append(1), look(self)))
    LateStart(studio.application)
    studio.wait(lambda: len(looks) >= 2)
    assert order.events == []
    job.finish()
    studio.wait(lambda: order.events == ["started"])


def test_a_job_that_lasts_does_not_keep_the_model_away(studio: Studio, monkeypatch):
    monkeypatch.setattr(LateStart, "LONGEST", 2 * LateStart.IDLE)
    order = Order(studio, monkeypatch)
    job = studio.program.jobs.add(Job("Opening a large folder"))
    LateStart(studio.application)
    studio.wait(lambda: order.events == ["started"])
    job.finish()


def test_while_a_folder_opens_the_start_page_is_never_seen(studio: Studio, folder):
    """Every painted state between the command and the picture says which folder is opened, and shows places of thumbnails."""
    page, images, seen = studio.window.start_page, studio.window.images, []

    class Watch(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint and page.isVisible():
                seen.append((page.title.text(), page.open_button.isVisible()))
            return super().eventFilter(watched, event)

    watch = Watch()
    studio.program.projects.open(folder)
    assert images.skeleton.isVisible()
    assert not images.view.isVisible()
    page.installEventFilter(watch)
    page.title.installEventFilter(watch)
    studio.wait(lambda: studio.program.session.image is not None)
    studio.settle()
    assert all(title.startswith("Opening") and not offered for title, offered in seen)
    assert not images.skeleton.isVisible()
    assert images.view.isVisible()
    assert studio.window.stack.currentWidget() is not page


def test_a_folder_without_images_leaves_no_places_of_thumbnails(studio: Studio, tmp_path):
    (tmp_path / "empty").mkdir()
    studio.program.projects.open(tmp_path / "empty")
    studio.wait(lambda: studio.program.session.project is not None)
    studio.settle()
    assert not studio.window.images.skeleton.isVisible()
    assert studio.window.start_page.title.text() == "No images here"


@pytest.mark.parametrize(("screen", "whole"), [((1920, 1200), False), ((1600, 1000), True), ((1280, 720), True)])
def test_a_window_that_needs_nearly_all_of_the_screen_takes_all_of_it(studio: Studio, monkeypatch, screen, whole):
    window = studio.window
    place = type("Screen", (), {"availableGeometry": lambda _self: QRect(0, 0, *screen)})()
    monkeypatch.setattr(window, "screen", lambda: place)
    monkeypatch.setattr(window, "width", lambda: min(1600, screen[0] - 16))
    monkeypatch.setattr(window, "height", lambda: min(1000, screen[1] - 40))
    states = []
    monkeypatch.setattr(window, "setWindowState", states.append)
    window.fill_small_screen()
    assert bool(states) is whole
    assert all(state & Qt.WindowState.WindowMaximized for state in states)


def test_messages_fade_in_unless_motion_is_reduced(studio: Studio):
    notifier, toasts = studio.program.notifier, studio.window.toasts
    notifier.info("One")
    toast = toasts.toasts[-1]
    assert isinstance(toast.graphicsEffect(), QGraphicsOpacityEffect)
    studio.wait(lambda: isinstance(toast.graphicsEffect(), QGraphicsDropShadowEffect))
    studio.program.settings.set("appearance.reduce_motion", True)
    notifier.info("Two")
    assert isinstance(toasts.toasts[-1].graphicsEffect(), QGraphicsDropShadowEffect)


# -- the image of last time ------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "layout.ini"), QSettings.Format.IniFormat)


def kept(store: QSettings, path: Path, folder: Path | None = None) -> QImage | None:
    """What is shown of an image that was in view last."""
    remember_picture(store, path.parent, path)
    return early_picture(store, folder or path.parent, QSize(1600, 1000))


def test_the_image_of_last_time_stands_where_its_view_will_be(studio: Studio, folder):
    studio.program.settings.set("canvas.contours", False)
    studio.open(folder)
    studio.program.view.set_overlay(replace(studio.program.view.overlay, visible=False))
    studio.settle()
    before = pixels_of(studio.view)
    assert studio.program.projects.close()
    studio.application.show_opening(folder)
    page = studio.window.stack.currentWidget()
    assert isinstance(page, EarlyPicture)
    studio.settle()
    early = pixels_of(page)
    assert early.shape == before.shape
    inner = np.s_[early.shape[0] // 3 : -early.shape[0] // 3, 60:-60]  # without the title of the view, and its corners
    assert np.abs(early[inner].astype(int) - before[inner]).mean() < 24  # noise is scaled in two ways
    assert np.corrcoef(early[inner].ravel(), before[inner].ravel())[0, 1] > 0.75  # one image pixel aside it is below 0.2
    studio.open(folder)
    assert studio.window.stack.currentWidget() is studio.window.canvas


def test_an_opening_that_fails_leads_back_to_the_start_page(studio: Studio, folder, tmp_path):
    studio.open(folder)
    assert studio.program.projects.close()
    studio.application.show_opening(folder)
    studio.program.projects.open(tmp_path / "gone")
    studio.wait(lambda: studio.window.stack.currentWidget() is studio.window.start_page)
    assert studio.window.start_page.open_button.isVisible()


def test_with_several_views_the_image_waits_for_them(studio: Studio, folder):
    studio.open(folder)
    studio.program.settings.set("canvas.layout", "quad")
    assert studio.program.projects.close()
    studio.application.show_opening(folder)
    assert studio.window.start_page.title.text().startswith("Opening")
    assert not isinstance(studio.window.stack.currentWidget(), EarlyPicture)


def test_only_what_qt_shows_as_atrous_does_is_shown_early(store, tmp_path, qapp):
    noise = np.random.default_rng(3).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    plain, turned = Image.fromarray(noise), Image.Exif()
    turned[0x0112] = 6
    plain.save(tmp_path / "a.png")
    plain.save(tmp_path / "turned.jpg", exif=turned)
    Image.fromarray(noise[..., 0]).save(tmp_path / "gray.png")
    Image.fromarray(noise[..., 0].astype(np.uint16) * 200).save(tmp_path / "deep.png")
    plain.convert("CMYK").save(tmp_path / "ink.jpg")
    plain.convert("RGBA").save(tmp_path / "clear.png")
    plain.save(tmp_path / "a.tif")
    (tmp_path / "broken.jpg").write_bytes(b"no")
    sizes = {path.name: kept(store, path) for path in sorted(tmp_path.glob("*.*")) if path.suffix != ".ini"}
    shown = {name: (image.width(), image.height()) for name, image in sizes.items() if image is not None}
    assert shown == {"a.png": (60, 40), "turned.jpg": (40, 60), "gray.png": (60, 40)}
    assert kept(store, tmp_path / "gone.png") is None
    (tmp_path / "other").mkdir()
    assert kept(store, tmp_path / "a.png", tmp_path / "other") is None
    (tmp_path / ".atrous").mkdir()
    for nonsense in ("nonsense", ["one"], [str(tmp_path), "gone.png"]):
        store.setValue("picture", nonsense)
        assert early_picture(store, tmp_path, QSize(9, 9)) is None


def test_a_large_image_is_made_smaller_or_waits(store, tmp_path, qapp):
    Image.new("RGB", (6000, 4000), (9, 9, 9)).save(tmp_path / "large.png")
    Image.new("RGB", (8000, 4000), (9, 9, 9)).save(tmp_path / "huge.png")
    large = kept(store, tmp_path / "large.png")
    assert large is not None
    assert large.width() <= 3200
    assert kept(store, tmp_path / "huge.png") is None


def test_images_of_several_folders_are_remembered(store, tmp_path, qapp):
    for number in range(14):
        folder = tmp_path / f"{number}"
        (folder / ".atrous").mkdir(parents=True)
        Image.new("RGB", (20 + number, 10), (9, 9, 9)).save(folder / "last.png")
        remember_picture(store, folder, folder / "first.png")
        remember_picture(store, folder, folder / "last.png")
    found = [early_picture(store, tmp_path / f"{number}", QSize(1600, 1000)) for number in range(14)]
    assert [None if image is None else image.width() for image in found] == [None, None, *range(22, 34)]


def test_the_first_image_of_a_folder_without_a_project_is_shown_early(store, tmp_path, qapp):
    """As the program will list them: numbers count as numbers, and masks beside photographs are not images."""
    folder, room = tmp_path / "images", QSize(1600, 1000)
    folder.mkdir()
    assert early_picture(store, folder, room) is None
    for number in (10, 9, 2):
        Image.new("RGB", (20 + number, 10), (9, 9, 9)).save(folder / f"img{number}.jpg")
    Image.fromarray(np.zeros((10, 22), np.uint8)).save(folder / "img2.png")
    first = early_picture(store, folder, room)
    assert first is not None
    assert first.width() == 22
    assert early_picture(store, folder, room, tmp_path / "elsewhere") is not None
    (tmp_path / "elsewhere").mkdir()
    assert early_picture(store, folder, room, tmp_path / "elsewhere") is None
    (folder / ".atrous").mkdir()
    assert early_picture(store, folder, room) is None
    assert early_picture(store, tmp_path / "gone", room) is None


def test_a_folder_of_many_files_is_listed_later(store, tmp_path, qapp, monkeypatch):
    Image.new("RGB", (20, 10), (9, 9, 9)).save(tmp_path / "a.png")
    assert early_picture(store, tmp_path, QSize(1600, 1000)) is not None
    (tmp_path / "below").mkdir()
    for number in range(5):
        (tmp_path / "below" / f"{number}.txt").touch()
    monkeypatch.setattr("app.ui.project.early_picture._MOST_FILES", 5)
    assert early_picture(store, tmp_path, QSize(1600, 1000)) is None


@pytest.mark.parametrize("asked", [False, True])
def test_a_new_folder_shows_its_first_image_until_its_view_or_the_questions_are_there(studio: Studio, folder, asked):
    window, program = studio.window, studio.program
    studio.application.show_opening(folder)
    assert isinstance(window.stack.currentWidget(), EarlyPicture)
    program.new_project.asks = asked
    shown = []
    window.stack.currentChanged.connect(lambda _index: shown.append(type(window.stack.currentWidget()).__name__))
    program.new_project.open(folder)
    studio.wait(lambda: bool(shown))
    studio.wait(lambda: program.session.image is not None or asked)
    studio.settle()
    assert len(set(shown)) == 1, shown  # nothing flickers in between
    assert isinstance(window.stack.currentWidget(), EarlyPicture) is False


@pytest.mark.parametrize("ending", ["refused", "hangs"])
def test_a_smoke_run_without_a_compute_process_ends(ending: str, studio: Studio, tmp_path, monkeypatch, caplog):
    """The process is refused, or is started again and again without ever being there."""
    ended: list[int] = []
    monkeypatch.setattr("app.smoke.QApplication.exit", ended.append)
    monkeypatch.setattr("app.smoke._START_PATIENCE", 3600.0 if ending == "refused" else -1.0)
    run = SmokeRun(studio.window, studio.program, tmp_path / "shot.png", expects_image=False)
    studio.compute.crashed.emit("it sent something unreadable.")
    if ending == "refused":
        studio.compute.gave_up.emit("it sent something unreadable.")
    studio.wait(lambda: ended)
    run.deleteLater()
    assert ended == [NO_COMPUTE]
    (said,) = [record.getMessage() for record in caplog.records if record.name == "app.smoke"]
    assert said.startswith("smoke run: the compute process")
    assert said.endswith("it sent something unreadable.")
    assert (tmp_path / "shot.png").is_file()

"""A whole window over a small folder, with a compute process that answers at once. Its methods are user actions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.main import Application
from app.services.folders import settings_file
from app.services.session import OpenImage
from app.ui.canvas.canvas_view import CanvasView
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_indexed_png
from tests.conftest import PatientBot
from tests.fakes.compute import FakeComputeClient

WIDTH, HEIGHT = 84, 60

#: A timer with at most this interval belongs to what was just done: figures, the readout and lists follow within it.
_SOON_MS = 60
#: An event may post another one, which may start a job or a timer: what is done is over when so many turns found nothing to do.
_CALM_TURNS = 3


class Studio:
    """The program as the user sees it."""

    def __init__(self, qtbot: QtBot, application: Application, compute: FakeComputeClient) -> None:
        self.qtbot, self.application, self.compute = qtbot, application, compute
        self.window = application.window
        self.program = application.build()

    # -- looking ---------------------------------------------------------------------------------------------------------

    @property
    def image(self) -> OpenImage:
        image = self.program.session.image
        assert image is not None
        return image

    @property
    def view(self) -> CanvasView:
        assert self.application.presenter is not None
        return self.application.presenter.canvas.views[0]

    def titles(self) -> list[str]:
        """What has been said."""
        return [message.title for message in self.program.notifier.messages]

    def steps(self) -> list[str]:
        history = self.program.session.history
        assert history is not None
        return [step.title for step in history.steps[: history.index]]

    # -- doing -----------------------------------------------------------------------------------------------------------

    def wait(self, condition: object) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()))  # type: ignore[operator]

    def open(self, folder: Path, project_dir: Path | None = None) -> None:
        """Open a folder and wait until its first image can be painted."""
        self.program.projects.open(folder, project_dir)
        self.wait(lambda: self.program.session.image is not None)
        self.settle()

    def start_model(self) -> None:
        self.program.models.start()
        self.wait(lambda: self.program.models.card is not None)
        self.settle()

    def settle(self) -> None:
        """Wait until nothing runs in the background, no answer is outstanding and no timer is due soon."""

        def quiet() -> bool:
            return not (self.program.jobs.running or self.compute.waiting or self._due()) and self.program.jobs.wait(0)

        calm = 0
        while calm < _CALM_TURNS:
            self.wait(quiet)
            QTest.qWait(0)  # handles events, and deletes what is to be deleted later
            calm = calm + 1 if quiet() else 0

    def _due(self) -> bool:
        """Whether a timer that fires soon, once or until it stops itself, is active."""
        timers = self.application.findChildren(QTimer) + self.window.findChildren(QTimer)
        return any(timer.isActive() and timer.interval() <= _SOON_MS for timer in timers)

    def press(
        self, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier, on: QWidget | None = None
    ) -> None:
        """Press a key where the keyboard is."""
        self.qtbot.keyClick(on or self.window.focusWidget() or self.window, key, modifiers)

    def point(self, x: float, y: float) -> QPoint:
        """Widget position of an image pixel's centre."""
        mapping = self.view.mapping
        assert mapping is not None
        return mapping.to_view(x + 0.5, y + 0.5).toPoint()

    def paint(self, *places: tuple[float, float], button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
        """Drag the current tool over image pixels."""
        points = [self.point(*place) for place in places]
        self.qtbot.mousePress(self.view, button, pos=points[0])
        for point in points[1:]:
            self.qtbot.mouseMove(self.view, pos=point)
        self.qtbot.mouseRelease(self.view, button, pos=points[-1])


def make_folder(root: Path, count: int = 4, *, truth: bool = True) -> Path:
    """Photographs of noise in ``root/images`` and, with truth, class person in the left half of each."""
    catalog = get_catalog("voc21")
    random = np.random.default_rng(5)
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for number in range(count):
        pixels = random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"photo_{number}.jpg")
        if truth:
            labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
            labels[:, : WIDTH // 2] = 15
            labels[:, WIDTH // 2 - 1 : WIDTH // 2 + 1] = 255
            write_indexed_png(root / "labels" / f"photo_{number}.png", labels, catalog)
    return root / "images"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "set")


@contextmanager
def running(qtbot: QtBot, models: Path) -> Iterator[Studio]:
    """A window with its program, which find one model in the new folder ``models``."""
    models.mkdir()
    (models / "stripes.safetensors").write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATROUS_MODEL_DIR", str(models))
        patch.setattr("app.paths.BUNDLED_MODELS", models / "none bundled")
        settings_file().unlink(missing_ok=True)
        compute = FakeComputeClient(get_catalog("voc21"))
        application = Application(compute)
        made = Studio(qtbot, application, compute)
        made.program.folder_jobs.asks = False  # tests of the question switch it on
        application.window.resize(1200, 800)
        with qtbot.waitExposed(application.window):
            application.window.show()
        application.window.activateWindow()
        yield made
        discard(application)


def discard(application: Application) -> None:
    """End a program and delete its window.

    It is not closed, which asks about work that a failed test leaves unsaved. And it is deleted at once: the next window would be
    made beside it, and a style sheet of the application dresses every widget that exists.
    """
    if application.program is not None:
        application.program.jobs.cancel_all()
        application.program.projects.close()
    application.shut_down()
    parts = [part for part in (application.presenter, application.program, application.window, application) if part is not None]
    if application.presenter is not None:
        application.presenter.canvas.deleteLater()  # without images it is in no window
    application.window.deleteLater()
    application.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    for part in parts:  # signals keep their listeners alive, and those all of the program: 6 MB a window
        vars(part).clear()


@pytest.fixture
def studio(qtbot: QtBot, qapp: object, tmp_path: Path) -> Iterator[Studio]:
    with running(qtbot, tmp_path / "models") as made:
        yield made


@pytest.fixture(scope="module")
def shared_studio(request: pytest.FixtureRequest, qapp: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One window for the tests of a module that only show something in front of it."""
    with running(PatientBot(request), tmp_path_factory.mktemp("shared") / "models") as made:
        yield made


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled models for rooms, photographs and streets, with cards beside them; no model of the user."""
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    for name, classes in (("rooms-voc", "voc21"), ("photos-voc", "voc21"), ("camvid", "camvid11")):
        (bundled / f"{name}.safetensors").write_bytes(b"")
        card = {"name": name, "catalog": get_catalog(classes).to_dict()}
        (bundled / f"{name}.safetensors.card.json").write_text(json.dumps(card))
    (tmp_path / "models" / "stripes.safetensors").unlink()
    for place in ("app.paths", "app.controllers.predict.models"):
        monkeypatch.setattr(f"{place}.BUNDLED_MODELS", bundled)
    monkeypatch.setattr("app.controllers.predict.models.FIRST_MODEL", bundled / "rooms-voc.safetensors")
    return bundled

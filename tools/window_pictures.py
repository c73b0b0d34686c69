"""Pictures of the window for README and documentation: the real program on the sample project, with its bundled network.

    python -m tools.window_pictures -o docs/images [--only NAME ...] [--second FILE] [--wall FILE]

Writes ``window.png`` (a stroke in three linked views), ``crf_dock.png`` (a preview of the CRF) and, with ``--second``,
``compare.png`` (the bundled network beside another one of the same classes), 1600 x 1000 px each; ``classes.png`` (the class
editor); with ``--wall``, a photograph with joints between stones, ``walk_new.png`` and ``walk_crack.png`` of the first walk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tools.pictures import hide_times

if TYPE_CHECKING:
    from app.main import Application

#: The place of the sample, as it stands in the pictures; a folder of the moment would be another one each time.
_FOLDER = Path(tempfile.gettempdir()) / "rooms"
_SCREEN = Path(__file__).parent.parent / "resources" / "offscreen.json"
_NAMES = ("window", "crf_dock", "compare", "classes", "walk")
#: Parts of the photograph of a wall (left, top, right, bottom as shares of its sides), and lines along its joints in the first
#: of them, in px of it at twice its size.
_WALLS = ((0.66, 0.012, 0.98, 0.332), (0.44, 0.0, 0.63, 0.19), (0.62, 0.13, 0.94, 0.45))
_JOINTS = (
    ((2, 158), (180, 166), (420, 154), (560, 168), (818, 176)),
    ((300, 2), (306, 80), (300, 158)),
    ((556, 170), (566, 300), (560, 420), (574, 544)),
)
_STONES = ((150, 80), (560, 80), (250, 380), (700, 380))


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--only", type=click.Choice(_NAMES), multiple=True)
@click.option("--second", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="model for compare.png")
@click.option("--wall", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="photograph for walk_*.png")
@click.option("--language", default="en", show_default=True, help="language of the window; other pictures are NAME.LANGUAGE.png")
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark", show_default=True)
def main(output: Path, only: tuple[str, ...], second: Path | None, wall: Path | None, language: str, theme: str) -> None:
    """Take the pictures."""
    os.environ.setdefault("QT_QPA_PLATFORM", f"offscreen:configfile={_SCREEN}")  # of 1600 x 1000 px
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = tempfile.mkdtemp()  # the user's own settings are neither used nor changed
    from PySide6.QtCore import QPointF, Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication

    from app.main import Application
    from app.paths import FIRST_MODEL, SAMPLE_PROJECT
    from app.ui.shell.language import show_language
    from app.ui.shell.theme import load_fonts

    shutil.rmtree(_FOLDER, ignore_errors=True)
    for part in ("images", "truth"):
        shutil.copytree(SAMPLE_PROJECT / part, _FOLDER / part)
    qt = QApplication([])
    load_fonts()
    show_language(language)
    application = Application()
    program, window = application.build(), application.window
    program.settings.set("appearance.theme", theme)
    program.folder_jobs.asks = False
    window.resize(1600, 1000)
    window.show()
    window.activateWindow()
    window.trimap.build_plot()
    output.mkdir(parents=True, exist_ok=True)

    def wait(condition: Callable[[], object], rest: float = 1.0) -> None:
        end = None
        while end is None or time.monotonic() < end:
            qt.processEvents()
            time.sleep(0.005)
            if end is None and condition():
                end = time.monotonic() + rest

    def show(name: str) -> None:
        """Bring an image with its prediction into view."""
        project = program.session.project
        assert project is not None
        program.session.open_image(next(record.id for record in project.images if record.name == name))
        wait(lambda: (image := program.session.image) is not None and image.path.name == name and image.prediction is not None)

    def take(name: str) -> None:
        for toast in list(window.toasts.toasts):
            toast.close_button.click()
        wait(lambda: not program.jobs.running)
        hide_times(window)
        path = output / (f"{name}.png" if language == "en" else f"{name}.{language}.png")
        window.grab().save(str(path))
        print(path)

    wanted = only or _NAMES
    program.models.start()
    program.projects.open(_FOLDER / "images")
    wait(lambda: program.session.image is not None and program.models.card is not None)
    program.models.load(FIRST_MODEL)  # of a copy of the sample the window does not know that it shows rooms
    wait(lambda: program.models.card is not None and program.models.path == FIRST_MODEL)
    _predict_for(wanted, application, wait)
    presenter = application.presenter
    assert presenter is not None
    if "window" in wanted:
        show("room_00009.jpg")
        program.view.set_layout("triple")
        program.classes.choose(program.classes.catalog.by_name("sofa").id)  # type: ignore[union-attr]
        wait(lambda: True)
        view = presenter.canvas.views[0]
        mapping = view.mapping
        assert mapping is not None
        points = [mapping.to_view(*place).toPoint() for place in ((160, 300), (260, 315), (340, 345))]
        QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=points[0])
        for point in points[1:]:
            QTest.mouseMove(view, point)
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=points[-1])
        QTest.mouseMove(view, mapping.to_view(QPointF(340, 345).x(), 345).toPoint())
        take("window")
        program.view.set_layout("single")
    if "crf_dock" in wanted:
        show("room_00004.jpg")
        window.crf.raise_()
        window.commands["refine.preview"].trigger()
        wait(lambda: program.refine.status.phase == "exact", 2.0)
        take("crf_dock")
        window.commands["refine.discard"].trigger()
        window.model.raise_()
    if "compare" in wanted and second is not None:
        show("room_00001.jpg")
        _compare_with(application, second, wait)
        take("compare")
    if "classes" in wanted:
        _take_classes(application, output, wait)
    if "walk" in wanted and wall is not None:
        _take_walk(application, wall, output, wait, take)
    program.projects.close()
    window.close()
    application.shut_down()
    shutil.rmtree(_FOLDER, ignore_errors=True)


def _predict_for(wanted: Sequence[str], application: Application, wait: Callable[..., None]) -> None:
    """Predict all images, if a picture shows predictions."""
    program = application.program
    assert program is not None
    if {"window", "crf_dock", "compare"} & set(wanted):
        program.folder_run.run()
        wait(lambda: program.session.project is not None and not program.jobs.running, 2.0)


def _compare_with(application: Application, second: Path, wait: Callable[..., None]) -> None:
    """Show the bundled network beside another one."""
    program = application.program
    assert program is not None
    application.window.commands["model.compare"].trigger()
    wait(lambda: program.context["comparing"])
    program.compare.add_file(second)
    wait(lambda: len(program.compare.results) == 2 and all(answer.figures for answer in program.compare.results), 2.0)


def _take_classes(application: Application, output: Path, wait: Callable[..., None]) -> None:
    """The class editor."""
    presenter = application.presenter
    assert presenter is not None
    application.window.commands["class.edit"].trigger()
    wait(lambda: presenter.truth.dialog is not None)
    editor = presenter.truth.dialog
    assert editor is not None
    editor.grab().save(str(output / "classes.png"))
    editor.reject()


def _take_walk(
    application: Application,
    wall: Path,
    output: Path,
    wait: Callable[..., None],
    take: Callable[[str], None],
) -> None:
    """The first walk: typed classes, cracks by brush and the rest by fill."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from app.ui.project.new_project_dialog import NewProjectDialog

    program, window, presenter = application.program, application.window, application.presenter
    assert program is not None
    assert presenter is not None
    folder = _walls(wall)
    window.resize(1280, 720)
    program.new_project.open(folder)
    wait(lambda: presenter.labels.dialog is not None and presenter.labels.dialog.isVisible(), 2.0)
    page = presenter.labels.dialog
    assert isinstance(page, NewProjectDialog)
    page.classes.setCurrentIndex(page.classes.findData("typed"))
    page.classes.activated.emit(page.classes.currentIndex())
    QTest.keyClicks(page.typed, "crack, no crack")
    wait(lambda: True, 2.0)
    page.grab().save(str(output / "walk_new.png"))
    page.go.click()
    wait(lambda: (image := program.session.image) is not None and image.path.name == "wall_0.jpg", 2.0)
    view = presenter.canvas.views[0]
    program.tools.set_diameter(10)

    def draw(*places: tuple[float, float]) -> None:
        mapping = view.mapping
        assert mapping is not None
        points = [mapping.to_view(*place).toPoint() for place in places]
        QTest.mouseMove(view, points[0])
        QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=points[0])
        for point in points[1:]:
            QTest.mouseMove(view, point)
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=points[-1])
        wait(lambda: True, 0.3)

    classes = program.classes.catalog
    assert classes is not None
    program.classes.choose(classes.classes[0].id)
    for joint in _JOINTS:
        draw(*joint)
    program.classes.choose(classes.classes[1].id)
    program.edit.choose_tool("fill")
    for stone in _STONES:
        draw(stone)
    take("walk_crack")
    program.projects.close()
    shutil.rmtree(folder)


def _walls(photograph: Path) -> Path:
    """A folder of photographs of a wall: parts of one, at twice its size."""
    import cv2

    folder = Path(tempfile.gettempdir()) / "walls"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pixels = cv2.imread(str(photograph))
    height, width = pixels.shape[:2]
    for number, (left, top, right, bottom) in enumerate(_WALLS):
        part = pixels[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        cv2.imwrite(str(folder / f"wall_{number}.jpg"), cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    return folder


if __name__ == "__main__":
    main()

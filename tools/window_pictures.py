"""Pictures of the window for README and documentation: the real program on the sample project, with its bundled networks.

    python -m tools.window_pictures -o docs/images [--only NAME ...] [--language ko]

Writes ``start.png`` (the start page), ``window.png`` (a stroke in three linked views), ``crf_dock.png`` (a preview of the CRF),
``compare.png`` (two bundled networks), ``tour.png`` (the tour at the matrix), 1600 x 1000 px each, and ``classes.png`` (the class
editor). With a language they are called ``window.ko.png``, and so on.
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
_NAMES = ("start", "window", "crf_dock", "compare", "tour", "classes")


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--only", type=click.Choice(_NAMES), multiple=True)
@click.option("--language", default="en", show_default=True, help="language of the window; other pictures are NAME.LANGUAGE.png")
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark", show_default=True)
def main(output: Path, only: tuple[str, ...], language: str, theme: str) -> None:
    """Take the pictures."""
    os.environ.setdefault("QT_QPA_PLATFORM", f"offscreen:configfile={_SCREEN}")  # of 1600 x 1000 px
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = tempfile.mkdtemp()  # the user's own settings are neither used nor changed
    from PySide6.QtCore import QPointF, Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication

    from app.main import Application
    from app.paths import FIRST_MODEL, copy_sample_project
    from app.ui.shell.language import show_language
    from app.ui.shell.theme import load_fonts

    shutil.rmtree(_FOLDER, ignore_errors=True)
    copy_sample_project(_FOLDER)
    qt = QApplication([])
    qt.setCursorFlashTime(0)  # a picture shows no moment of a blink
    load_fonts()
    show_language(language)
    application = Application()
    program, window = application.build(), application.window
    window.setAnimated(False)
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
    wait(lambda: program.models.card is not None and program.models.path == FIRST_MODEL)
    if "start" in wanted:
        take("start")
    program.projects.open(_FOLDER)
    wait(lambda: program.session.image is not None)
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
    if "compare" in wanted:
        show("room_00001.jpg")
        _compare(application, wait)
        take("compare")
        window.commands["model.compare"].trigger()
        wait(lambda: not program.context["comparing"])
    if "tour" in wanted:
        _show_tour(application, wait)
        take("tour")
    if "classes" in wanted:
        _take_classes(application, output, wait)
    program.projects.close()
    window.close()
    application.shut_down()
    shutil.rmtree(_FOLDER, ignore_errors=True)


def _predict_for(wanted: Sequence[str], application: Application, wait: Callable[..., None]) -> None:
    """Predict all images, if a picture shows predictions."""
    program = application.program
    assert program is not None
    if {"window", "crf_dock", "compare", "tour"} & set(wanted):
        program.folder_run.run()
        wait(lambda: program.session.project is not None and not program.jobs.running, 2.0)


def _compare(application: Application, wait: Callable[..., None]) -> None:
    """Show the network of the rooms beside the one of photographs."""
    from app.paths import BUNDLED_MODELS, FIRST_MODEL
    from app.state.comparison import ModelSetting

    program = application.program
    assert program is not None
    application.window.commands["model.compare"].trigger()
    wait(lambda: program.context["comparing"] and program.compared.known)
    program.compared.choose([ModelSetting(path) for path in (FIRST_MODEL, BUNDLED_MODELS / "photos-voc.safetensors")])
    wait(lambda: len(program.compare.results) == 2 and all(answer.figures for answer in program.compare.results), 2.0)


def _show_tour(application: Application, wait: Callable[..., None]) -> None:
    """The tour where it asks for the cell of chair and sofa."""
    from app.controllers.project.tour import STEPS
    from app.ui.project.tour_bar import TourBar

    program, window = application.program, application.window
    assert program is not None
    window.commands["help.tour"].trigger()
    bar = window.findChild(TourBar)
    assert bar is not None
    while STEPS[bar.tour.place or 0].command != "inspect.view":
        bar.next.click()
    bar.show_me.click()
    inspect, count = program.inspect, len(program.truth.index)
    wait(lambda: inspect.index is not None and len(inspect.index) == count and not inspect.inspecting, 1.5)


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


if __name__ == "__main__":
    main()

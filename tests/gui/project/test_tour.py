"""The guided tour by a user who does what it says, leaves it and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from app.controllers.project.export import ExportRequest, ExportScope
from app.controllers.project.tour import KEYS, STEPS
from app.ui.project.tour_bar import TourBar
from tests.gui.evaluate.test_evaluation_view import click_tile, click_worst_cell
from tests.gui.studio import Studio

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def sample(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small folder that counts as the sample project."""
    for module in ("tour", "new_project"):
        monkeypatch.setattr(f"app.controllers.project.{module}.is_sample_project", lambda path: path == folder)
    monkeypatch.setattr("app.ui.shell.window_commands.copy_sample_project", lambda _home: folder)
    return folder


def bar(studio: Studio) -> TourBar:
    found = studio.window.findChild(TourBar)
    assert found is not None
    return found


def titled(studio: Studio, place: int) -> bool:
    """Whether the bar shows this step."""
    return bar(studio).isVisible() and bar(studio).title.text() == STEPS[place].title


def test_the_tour_follows_what_the_user_does(studio: Studio, sample: Path, tmp_path: Path) -> None:
    program = studio.program
    studio.start_model()
    studio.window.start_page.tour_button.click()
    studio.wait(lambda: program.session.image is not None)
    studio.settle()
    assert program.session.project.folder == sample
    assert titled(studio, 0)
    assert "A and D move through the images" in bar(studio).text.text()
    assert not bar(studio).show_me.isVisible()
    bar(studio).next.click()
    assert titled(studio, 1)
    bar(studio).show_me.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    bar(studio).next.click()
    assert titled(studio, 2)
    bar(studio).show_me.click()
    assert program.context["evaluation_open"]
    assert titled(studio, 3)
    assert bar(studio).isVisible()
    shown = studio.application.presenter.inspect
    studio.wait(lambda: len(program.inspect.index) == 4 and not program.inspect.inspecting)
    studio.wait(lambda: shown.matrix.matrix.table is not None and len(shown.matrix.matrix.table.counts) > 1)
    studio.settle()
    click_worst_cell(studio, shown)
    studio.settle()
    click_tile(studio, shown, 0)
    studio.wait(lambda: titled(studio, 4) and program.context["at_error"])
    studio.wait(lambda: program.evaluation.live is not None)
    studio.settle()
    studio.press(Qt.Key.Key_Return, SHIFT)
    studio.wait(lambda: titled(studio, 5))
    studio.settle()
    figures = bar(studio).text.text()
    before, now = (
        float(part.split(" %")[0]) for part in figures.removeprefix("The mean IoU of this image was ").split(" and is ")
    )
    assert now > before
    bar(studio).next.click()
    assert titled(studio, 6)
    everything = ExportRequest(format="indexed", scope=ExportScope.ALL, frame="stored", target=tmp_path / "out")
    program.export.start(everything, "error")
    studio.wait(lambda: titled(studio, 7))
    assert len(list((tmp_path / "out").glob("*.png"))) == 4
    assert bar(studio).next.text() == "Done"
    bar(studio).next.click()
    assert not bar(studio).isVisible()


def test_a_tour_that_was_left_goes_on_there_and_a_finished_one_begins_again(studio: Studio, sample: Path) -> None:
    studio.open(sample)
    begin = studio.window.commands["help.tour"]
    begin.trigger()
    assert titled(studio, 0)
    assert not bar(studio).back.isEnabled()
    bar(studio).next.click()
    bar(studio).next.click()
    assert titled(studio, 2)
    bar(studio).leave.click()
    assert not bar(studio).isVisible()
    studio.press(Qt.Key.Key_O)  # means nothing to the tour now
    studio.press(Qt.Key.Key_Escape, on=studio.application.presenter.inspect.view)
    assert not bar(studio).isVisible()
    begin.trigger()
    assert titled(studio, 2)
    bar(studio).back.click()
    assert titled(studio, 1)
    for _ in range(len(STEPS) - 1):
        bar(studio).next.click()
    assert not bar(studio).isVisible()
    begin.trigger()
    assert titled(studio, 0)


def test_a_step_whose_errors_are_closed_goes_back_to_the_one_that_opens_them(studio: Studio, sample: Path) -> None:
    studio.open(sample)
    begin = studio.window.commands["help.tour"]
    begin.trigger()
    for _ in range(4):
        bar(studio).next.click()
    assert titled(studio, 4)
    bar(studio).leave.click()
    begin.trigger()
    assert titled(studio, 2)
    bar(studio).show_me.click()
    assert titled(studio, 3)
    bar(studio).leave.click()
    begin.trigger()
    assert titled(studio, 3)


def test_only_a_step_of_the_users_own_corrects_the_error(studio: Studio, sample: Path) -> None:
    studio.start_model()
    studio.open(sample)
    studio.wait(lambda: studio.image.document.reference is not None)
    studio.window.commands["help.tour"].trigger()
    for _ in range(4):
        bar(studio).next.click()
    studio.settle()
    for command, step in (("start.blank", "Clear mask"), ("start.model", "Replace by prediction")):
        studio.window.commands[command].trigger()
        studio.settle()
        assert studio.steps()[-1].startswith(step)
        assert titled(studio, 4)
    studio.paint((20, 20), (40, 20))
    studio.wait(lambda: titled(studio, 5))


def test_errors_that_are_open_already_need_no_second_opening(studio: Studio, sample: Path) -> None:
    studio.open(sample)
    studio.press(Qt.Key.Key_O)
    studio.window.commands["help.tour"].trigger()
    bar(studio).next.click()
    bar(studio).next.click()
    assert titled(studio, 3)


def test_every_step_names_keys_that_exist(studio: Studio, sample: Path) -> None:
    studio.open(sample)
    studio.window.commands["help.tour"].trigger()
    for step in STEPS:
        assert bar(studio).title.text() == step.title
        assert "{" not in bar(studio).text.text()
        assert not step.command or step.command in studio.window.commands.actions
        bar(studio).next.click()
    assert all(studio.window.commands.shown_key(command) for command in KEYS.values())


def test_every_step_can_be_read_in_a_narrow_window(studio: Studio, sample: Path) -> None:
    studio.window.resize(800, 500)  # 1600 x 1000 at 200 %
    studio.window.start_page.tour_button.click()
    studio.wait(lambda: studio.program.session.image is not None)
    studio.settle()
    shown = bar(studio)
    for place in range(len(STEPS)):
        assert titled(studio, place)
        studio.settle()
        for label in (shown.title, shown.text):
            assert label.height() >= label.heightForWidth(label.width()), place
        for part in (shown.place, shown.leave, shown.back, shown.next, shown.show_me):
            assert not part.isVisible() or part.width() >= part.sizeHint().width(), (place, part)
        shown.next.click()

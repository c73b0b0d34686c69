"""The Click tool by mouse and keys, with an imagined click network; how to get one when there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt

from app.paths import CLICK_FOLDER
from app.state.provenance import Provenance
from app.state.tools import Tool
from app.ui.hub.fetch_dialog import FetchDialog
from app.worker.messages import AskClicks, PrepareClicks
from deeplab_core.errors import WeightsError
from deeplab_core.hub import click_networks
from tests.gui.canvas_fixture import turn_wheel
from tests.gui.studio import HEIGHT, WIDTH, Studio

CHAIR, SOFA = 9, 18


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    """The window on an image that is background but for a sofa at the right that the user painted."""
    for path in folder.iterdir():
        studio.compute.known[str(path)] = np.zeros((HEIGHT, WIDTH), np.uint8)
    studio.start_model()
    studio.open(folder)
    studio.program.classes.choose(SOFA)
    studio.program.tools.set_diameter(8)
    studio.paint((78, 10), (78, 50))
    studio.program.classes.choose(CHAIR)
    return studio


@pytest.fixture
def network(desk: Studio, tmp_path: Path) -> Path:
    """A click network of one file, chosen in the window."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"")
    desk.program.clicks.choose((path,))
    desk.settle()
    assert desk.program.tools.tool is Tool.CLICKS
    return path


def click(desk: Studio, x: int, y: int, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
    desk.qtbot.mouseClick(desk.view, button, pos=desk.point(x, y))
    desk.settle()


def newest(desk: Studio) -> AskClicks:
    return [request for request in desk.compute.asked if isinstance(request, AskClicks)][-1]


def disk(x: float, y: float, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


@pytest.mark.parametrize("mode", ["only over", "locked"])
def test_a_candidate_shows_only_what_may_change(desk: Studio, network: Path, mode: str) -> None:
    desk.program.edit.choose_tool(Tool.BRUSH)
    desk.program.classes.choose(SOFA)
    desk.paint((40, 20), (40, 40))
    desk.program.classes.choose(CHAIR)
    desk.program.edit.choose_tool(Tool.CLICKS)
    if mode == "locked":
        desk.program.classes.set_locked(SOFA, True)
    else:
        desk.program.modes.set_over(0, True)
    before = desk.image.document.labels.copy()
    click(desk, 36, 30)
    target = desk.program.clicks.target
    assert target is not None
    shown = np.zeros(before.shape, np.bool_)
    shown[target.box.slices] = target.mask if target.changes is None else target.mask & target.changes
    assert shown.any()
    assert (before[shown] != SOFA).all()
    desk.press(Qt.Key.Key_Return)
    desk.settle()
    assert np.array_equal(desk.image.document.labels != before, shown)


def test_a_click_shows_candidates_and_enter_applies_the_chosen_one(desk: Studio, network: Path) -> None:
    labels, before = desk.image.document.labels, desk.image.document.labels.copy()
    assert any(type(request) is PrepareClicks for request in desk.compute.asked)
    click(desk, 40, 30)
    tool = desk.program.clicks
    assert tool.target is not None
    assert tool.target.lines[0] == "Candidate 1 of 2"
    assert np.array_equal(labels, before)
    turn_wheel(desk.view, QPointF(desk.point(40, 30)), 1, Qt.KeyboardModifier.AltModifier)
    assert tool.target.lines[0] == "Candidate 2 of 2"
    turn_wheel(desk.view, QPointF(desk.point(40, 30)), -1, Qt.KeyboardModifier.AltModifier)
    desk.press(Qt.Key.Key_Return)
    desk.settle()
    chair = labels == CHAIR
    assert chair.sum() == pytest.approx(disk(40.5, 30.5, 20).sum(), rel=0.05)
    assert np.array_equal(labels[~chair], before[~chair])
    assert (desk.image.document.provenance[chair] == Provenance.RECLASSIFIED).all()
    assert desk.steps()[-1].startswith("Clicks: chair, ")
    assert not tool.open


def test_right_clicks_are_negative_backspace_takes_one_back_and_escape_drops(desk: Studio, network: Path) -> None:
    before = desk.image.document.labels.copy()
    click(desk, 40, 30)
    click(desk, 20, 30, Qt.MouseButton.RightButton)
    asked = newest(desk)
    assert asked.positive == (True, False)
    assert np.array_equal(desk.image.document.labels, before)  # the right button restores nothing here
    desk.press(Qt.Key.Key_Backspace)
    desk.settle()
    assert [positive for _, positive in desk.program.clicks.clicks] == [True]
    desk.press(Qt.Key.Key_Escape)
    desk.settle()
    assert not desk.program.clicks.open
    assert desk.program.clicks.target is None
    assert np.array_equal(desk.image.document.labels, before)


def test_a_box_is_the_first_action_and_painted_pixels_stay(desk: Studio, network: Path) -> None:
    painted = desk.image.document.labels == SOFA
    desk.paint((50, 20), (70, 30), (83, 40))
    desk.settle()
    asked = newest(desk)
    assert asked.points == ()
    assert asked.box == pytest.approx((50.5, 20.5, 83.5, 40.5), abs=0.2)
    desk.press(Qt.Key.Key_Return)
    labels = desk.image.document.labels
    assert (labels[22:39, 52:72] == CHAIR).all()
    assert (labels[painted] == SOFA).all()


def test_another_tool_or_image_drops_the_clicks(desk: Studio, network: Path) -> None:
    click(desk, 40, 30)
    desk.press(Qt.Key.Key_B)
    assert not desk.program.clicks.open
    desk.press(Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    click(desk, 40, 30)
    desk.program.projects.next_image()
    desk.settle()
    assert not desk.program.clicks.open


def test_a_network_that_cannot_be_read_is_reported_with_a_way_on(desk: Studio, network: Path) -> None:
    desk.compute.errors[str(network)] = WeightsError("this is not a click network", path=network)
    click(desk, 40, 30)
    assert "net.onnx: this is not a click network" in desk.titles()
    said = desk.program.notifier.messages[-1]
    assert [choice.text for choice in said.choices] == ["Open a file…"]
    assert not desk.program.clicks.open


def test_without_a_network_the_message_leads_to_the_published_ones(desk: Studio, tmp_path: Path) -> None:
    desk.press(Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    said = desk.program.notifier.messages[-1]
    assert said.title == "No click network is installed"
    said.choices[0].run()
    sheet = next(child for child in desk.window.findChildren(FetchDialog))
    shown = {sheet.shown.index(row, 0).data() for row in range(sheet.shown.rowCount())}
    assert shown == {model.name for model in click_networks()}
    assert sheet.card_lines[0].text().startswith("Click network.")
    model = click_networks()[0]
    target = desk.program.fetch.folder / CLICK_FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for name in (model.file, *([] if model.decoder is None else [model.decoder.file])):
        (target / name).write_bytes(b"")
    desk.program.fetch.refresh()
    sheet.choose(model.id)
    desk.qtbot.mouseClick(sheet.use, Qt.MouseButton.LeftButton)
    desk.settle()
    assert desk.program.clicks.files[0] == target / model.file
    sheet.close()

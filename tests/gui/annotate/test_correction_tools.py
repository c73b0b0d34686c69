"""The Components tool and its dialog by mouse and keys: how few actions a job takes, and what stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt

from app.state.image_record import ImageStatus
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.tools import Tool
from app.text import spaced
from app.ui.annotate.component_dialog import ComponentDialog
from app.viewmodels.annotate.component_jobs import JobChoice, JobScope
from app.worker.correction_messages import PrepareRegions
from app.worker.messages import Failed, Predict
from deeplab_core.catalogs import get_catalog
from deeplab_core.correction import ComponentJob
from deeplab_core.correction.jobs import Operation
from deeplab_core.errors import AtrousError, message
from tests.gui.canvas_fixture import turn_wheel
from tests.gui.studio import HEIGHT, WIDTH, Studio

CHAIR, SOFA, CAT = 9, 18, 8
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def furniture(*, islands: int = 0) -> np.ndarray:
    """A chair of 20 x 20 px on background, and single pixels of cat in rows."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10:30, 10:30] = CHAIR
    for number in range(islands):
        labels[34 + 3 * (number // 20), 4 + 4 * (number % 20)] = CAT
    return labels


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    """The window on an image; its prediction is the furniture with 40 islands."""
    for path in folder.iterdir():
        studio.compute.known[str(path)] = furniture(islands=40)
    studio.start_model()
    studio.open(folder)
    assert np.array_equal(studio.image.document.labels, furniture(islands=40))
    return studio


def dialog(studio: Studio) -> ComponentDialog:
    assert studio.application.window_actions is not None
    found = studio.application.window_actions.component_dialog
    assert found is not None
    return found


def point_at(studio: Studio, x: int, y: int) -> None:
    studio.qtbot.mouseMove(studio.view, studio.point(x, y))
    studio.settle()


def test_a_chair_becomes_a_sofa_in_two_actions(desk: Studio) -> None:
    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_Z)
    assert desk.program.tools.tool is Tool.COMPONENTS
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(20, 20))
    document = desk.image.document
    assert (document.labels[10:30, 10:30] == SOFA).all()
    assert (document.provenance[10:30, 10:30] == Provenance.RECLASSIFIED).all()
    assert desk.steps()[-1].startswith("Component: sofa, 400")
    desk.program.edit.undo()
    desk.settle()
    assert np.array_equal(document.labels, furniture(islands=40))


def test_what_the_pointer_is_on_is_outlined_and_a_class_key_gives_it_a_class(desk: Studio) -> None:
    desk.press(Qt.Key.Key_Z)
    desk.settle()
    point_at(desk, 20, 20)
    target = desk.program.components.target
    assert target is not None
    assert target.pixels == 400
    assert target.lines[0].startswith("chair, 400")
    assert any(line.startswith("Shift+click: cow") for line in target.lines)  # the fake's second guess
    key = next(key for key, class_id in desk.program.classes.keys.items() if class_id == CAT)
    desk.press(Qt.Key(ord(key)))
    assert (desk.image.document.labels[10:30, 10:30] == CAT).all()


def test_shift_click_takes_the_second_guess_and_delete_the_surroundings(desk: Studio) -> None:
    desk.press(Qt.Key.Key_Z)
    desk.settle()
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, SHIFT, pos=desk.point(20, 20))
    assert desk.image.document.labels[20, 20] == CHAIR + 1
    point_at(desk, 20, 20)
    desk.press(Qt.Key.Key_Delete)
    assert not desk.image.document.labels[10:30, 10:30].any()
    assert desk.steps()[-1].startswith("Give to the surroundings, 400")


@pytest.mark.parametrize(("key", "modifiers"), [(Qt.Key.Key_Z, PLAIN), (Qt.Key.Key_G, SHIFT)], ids=["components", "regions"])
def test_a_class_that_was_rejected_is_not_the_second_guess_again(
    desk: Studio, key: Qt.Key, modifiers: Qt.KeyboardModifier
) -> None:
    desk.press(key, modifiers)
    desk.settle()
    seen = [CHAIR]
    for _ in range(3):
        desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, SHIFT, pos=desk.point(20, 20))
        seen.append(int(desk.image.document.labels[20, 20]))
    assert len(set(seen)) == len(seen)


def test_a_drag_over_several_regions_offers_no_rejected_class_again(desk: Studio) -> None:
    desk.press(Qt.Key.Key_G, SHIFT)
    desk.settle()
    seen = []
    for _ in range(3):
        desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, SHIFT, desk.point(12, 20))
        for x in (30, 50, 70):
            desk.qtbot.mouseMove(desk.view, desk.point(x, 22))
        desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, SHIFT, desk.point(70, 22))
        desk.settle()
        seen.append(int(desk.image.document.labels[20, 12]))
    assert desk.steps()[-1].startswith("Regions:")
    assert len(set(seen)) == len(seen)


def test_forty_islands_are_dropped_in_two_actions(desk: Studio) -> None:
    desk.press(Qt.Key.Key_I, SHIFT)
    desk.settle()
    shown = dialog(desk)
    assert shown.effect.text().startswith("This image: 40 islands, 40")
    shown.number.setValue(1)
    desk.settle()
    assert shown.effect.text() == "This image: nothing changes."
    shown.number.setValue(50)
    desk.press(Qt.Key.Key_Return, on=shown.number)
    desk.settle()
    assert np.array_equal(desk.image.document.labels, furniture())
    assert desk.program.component_jobs.target is None


def test_a_drag_cuts_a_component_and_ctrl_drag_joins_two(desk: Studio) -> None:
    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_Z)
    desk.paint((5, 15), (20, 15), (35, 15))
    labels = desk.image.document.labels
    assert (labels[10:15, 10:30] == SOFA).all()
    assert (labels[16:30, 10:30] == CHAIR).all()
    assert desk.steps()[-1].startswith("Split: sofa")
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, desk.point(20, 25))
    desk.qtbot.mouseMove(desk.view, desk.point(20, 11))
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, desk.point(20, 11))
    assert (labels[10:30, 10:30] == CHAIR).all()
    assert desk.steps()[-1].startswith("Join: chair")


@pytest.mark.parametrize("keys", [PLAIN, Qt.KeyboardModifier.ControlModifier], ids=["cut", "join"])
def test_a_line_does_not_tint_the_component_where_it_begins(desk: Studio, keys: Qt.KeyboardModifier) -> None:
    def color() -> tuple[int, int, int, int]:
        return desk.view.grab().toImage().pixelColor(desk.point(20, 26)).getRgb()

    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_Z)
    point_at(desk, 60, 50)
    plain = color()
    point_at(desk, 20, 15)
    assert color() != plain  # a click would change it
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, keys, desk.point(20, 15))
    desk.qtbot.mouseMove(desk.view, desk.point(28, 15))
    assert color() == plain
    desk.press(Qt.Key.Key_Escape)
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, keys, desk.point(28, 15))


def test_locked_classes_keep_their_pixels(desk: Studio) -> None:
    project = desk.program.session.project
    assert project is not None
    project.lock_classes([CAT])
    before = desk.image.document.labels.copy()
    desk.press(Qt.Key.Key_I, SHIFT)
    desk.settle()
    desk.press(Qt.Key.Key_Return, on=dialog(desk).number)
    desk.settle()
    assert np.array_equal(desk.image.document.labels, before)
    assert desk.titles()[-1] == "Drop islands: nothing changed"
    desk.press(Qt.Key.Key_Z)
    desk.program.classes.choose(SOFA)
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(4, 34))
    assert np.array_equal(desk.image.document.labels, before)
    assert any("cat is locked" in title for title in desk.titles())


def test_islands_of_a_folder_are_counted_and_dropped_as_one_job(desk: Studio) -> None:
    desk.program.folder_run.run()
    desk.settle()
    project = desk.program.session.project
    assert project is not None
    last = project.images[-1].id
    project.set_status(last, ImageStatus.REVIEWED)
    desk.press(Qt.Key.Key_I, SHIFT)
    shown = dialog(desk)
    shown.scope.setCurrentIndex(shown.scope.findData(JobScope.FOLDER))
    desk.settle()
    assert shown.effect.text().startswith("40 islands in 1 image")  # the others have no mask before they are opened
    desk.press(Qt.Key.Key_Return, on=shown.number)
    desk.settle()
    assert np.array_equal(desk.image.document.labels, furniture())
    desk.program.folder_jobs.undo()
    desk.settle()
    assert np.array_equal(desk.image.document.labels, furniture(islands=40))


def test_a_region_gets_a_class_by_a_click_and_several_by_a_drag(desk: Studio) -> None:
    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_G, SHIFT)
    assert desk.program.tools.tool is Tool.REGIONS
    desk.settle()
    labels = desk.image.document.labels
    point_at(desk, 30, 6)
    target = desk.program.regions.target
    assert target is not None
    assert target.pixels == 144  # a block of the fake's regions
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(30, 6))
    assert (labels[:12, 24:36] == SOFA).all()
    assert (labels == SOFA).sum() == 144
    assert desk.steps()[-1].startswith("Region: sofa, 1")
    desk.paint((40, 30), (55, 30), (64, 30))
    assert (labels[24:36, 36:72] == SOFA).all()
    assert desk.steps()[-1].startswith("Regions: sofa, ")


def test_regions_of_a_drag_stay_outlined_when_something_else_changes(desk: Studio) -> None:
    program, view, button = desk.program, desk.view, Qt.MouseButton.LeftButton
    desk.press(Qt.Key.Key_G, SHIFT)
    desk.wait(lambda: program.corrections.regions_ready)
    desk.qtbot.mousePress(view, button, pos=desk.point(5, 5))
    for x in (20, 40, 60):
        desk.qtbot.mouseMove(view, desk.point(x, 20))
    crossed = program.regions.target
    assert crossed is not None
    program.corrections.changed.emit()
    desk.wait(lambda: program.regions.target is not crossed)
    assert program.regions.target.pixels == crossed.pixels
    desk.press(Qt.Key.Key_Escape, on=view)  # the drag ends without a change: the region under the pointer is outlined
    assert program.regions.target.pixels < crossed.pixels
    desk.qtbot.mouseRelease(view, button, pos=desk.point(60, 20))


def test_a_pointer_inside_a_region_looks_nothing_up_again(desk: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of a region costs a look at its labels, and its outline a picture of its own."""
    desk.press(Qt.Key.Key_G, SHIFT)
    desk.settle()
    corrector = desk.program.corrections.corrector
    assert corrector is not None
    asked, guess = [], corrector.region_guess
    monkeypatch.setattr(corrector, "region_guess", lambda *question: (asked.append(1), guess(*question))[1])
    point_at(desk, 29, 5)
    target = desk.program.regions.target
    assert target is not None
    assert len(asked) == 1
    point_at(desk, 31, 7)
    point_at(desk, 33, 9)
    assert desk.program.regions.target is target
    assert len(asked) == 1
    point_at(desk, 50, 30)
    assert desk.program.regions.target is not target
    assert len(asked) == 2
    desk.program.classes.choose(SOFA)
    assert desk.program.regions.target is not None
    assert desk.program.regions.target.class_id == SOFA
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(50, 30))
    desk.wait(lambda: len(asked) > 2)


def test_regions_come_where_a_run_fails_or_is_cancelled(studio: Studio, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = sorted(folder.iterdir())[:3]
    studio.compute.errors[str(first)] = AtrousError(message("it cannot be decoded"))
    studio.start_model()
    studio.program.edit.choose_tool(Tool.REGIONS)
    studio.open(folder)
    corrections = studio.program.corrections
    assert studio.image.path == first
    assert corrections.regions_ready
    studio.compute.paused = True
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path == second and any(isinstance(ask, Predict) for ask in studio.compute.asked[-2:]))
    assert corrections.computing_regions  # after the run
    studio.program.predict.cancel()
    studio.wait(lambda: isinstance(studio.compute.asked[-1], PrepareRegions))
    assert corrections.computing_regions
    studio.compute.paused = False
    studio.settle()
    assert corrections.regions_ready
    assert not corrections.computing_regions

    def fail(request: PrepareRegions) -> None:
        studio.compute._answer(Failed(request_id=request.request_id, error=AtrousError(message("no room")).to_dict()))

    monkeypatch.setattr(studio.compute, "_answer_regions", fail)
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path == third)
    studio.settle()
    assert not corrections.regions_ready
    assert not corrections.computing_regions  # nothing says that they are on their way
    monkeypatch.undo()
    studio.qtbot.mouseClick(studio.view, Qt.MouseButton.LeftButton, pos=studio.point(30, 6))  # asks again
    studio.settle()
    assert corrections.regions_ready


@pytest.mark.parametrize("why", ["the classes are not agreed on", "the project is read-only"])
def test_regions_come_where_the_model_does_not_run(studio: Studio, folder: Path, tmp_path: Path, why: str) -> None:
    if why == "the classes are not agreed on":
        studio.compute.catalogs[str(tmp_path / "models" / "stripes.safetensors")] = get_catalog("camvid11")
    Project.open(folder).close()
    studio.start_model()
    studio.program.edit.choose_tool(Tool.REGIONS)
    studio.program.projects.open(folder, read_only=why == "the project is read-only")
    studio.wait(lambda: studio.program.session.image is not None)
    studio.settle()
    assert studio.image.prediction is None
    assert studio.program.corrections.regions_ready


def test_alt_wheel_moves_through_the_regions_and_the_plain_wheel_zooms(desk: Studio) -> None:
    desk.press(Qt.Key.Key_G, SHIFT)
    desk.settle()
    point_at(desk, 30, 6)
    opacity, scale = desk.program.view.overlay.opacity, desk.program.view.scale
    turn_wheel(desk.view, QPointF(desk.point(30, 6)), 1, Qt.KeyboardModifier.AltModifier)
    target = desk.program.regions.target
    assert target is not None
    assert target.pixels == WIDTH * HEIGHT
    assert (desk.program.view.overlay.opacity, desk.program.view.scale) == (opacity, scale)
    turn_wheel(desk.view, QPointF(desk.point(30, 6)), -1, Qt.KeyboardModifier.AltModifier)
    assert desk.program.regions.target is not None
    assert desk.program.regions.target.pixels == 144
    turn_wheel(desk.view, QPointF(desk.point(30, 6)), 1)
    assert desk.program.view.scale > scale


def test_regions_paint_only_over_the_class_where_they_begin_if_that_is_on(desk: Studio) -> None:
    desk.program.classes.choose(SOFA)
    desk.program.edit.toggle_within()
    desk.press(Qt.Key.Key_G, SHIFT)
    desk.settle()
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(20, 20))  # on the chair
    labels = desk.image.document.labels
    assert (labels == SOFA).sum() == 144
    desk.paint((6, 6), (6, 20))  # from the background on
    assert (labels[10:30, 10:30] != 0).all()


def test_a_scribble_is_shown_while_it_is_drawn_and_the_wheel_sets_its_reach(desk: Studio) -> None:
    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_J, SHIFT)
    assert desk.program.tools.tool is Tool.SCRIBBLE
    labels = desk.image.document.labels
    start = desk.point(20, 20)
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, pos=start)
    desk.qtbot.mouseMove(desk.view, desk.point(22, 22))
    desk.settle()
    lines = desk.program.scribble_lines
    assert lines.target is not None
    assert lines.target.pixels == 400  # the whole chair is within 30 px
    scale = desk.program.view.scale
    turn_wheel(desk.view, QPointF(start), -1)
    desk.settle()
    assert (lines.reach, desk.program.view.scale) == (12, scale)
    assert not (labels == SOFA).any()
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(22, 22))
    desk.settle()
    assert (labels[10:30, 10:30] == SOFA).all()
    assert desk.steps()[-1].startswith("Scribble: sofa, 400")
    assert lines.target is None
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(60, 8))
    desk.qtbot.mouseMove(desk.view, desk.point(64, 8))
    desk.press(Qt.Key.Key_Escape)
    desk.qtbot.mouseMove(desk.view, desk.point(68, 8))
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(68, 8))
    desk.settle()
    assert lines.target is None
    assert (labels == SOFA).sum() == 400


def test_border_snap_changes_nothing_before_it_is_accepted(desk: Studio) -> None:
    pixels = desk.image.rgb
    pixels.setflags(write=True)
    pixels[:] = 40
    pixels[12:32, 12:32] = 220  # the object lies two pixels further than its mask
    desk.press(Qt.Key.Key_S, SHIFT)
    labels = desk.image.document.labels
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(20, 20))
    desk.settle()
    snap = desk.program.border_snap
    assert snap.target is not None
    assert snap.target.lines[0] == "To edges within 8 px"
    for _ in range(2):
        turn_wheel(desk.view, QPointF(desk.point(20, 20)), 1, Qt.KeyboardModifier.AltModifier)
        desk.settle()
    assert snap.target.lines[0] == "By colours within 5 px"
    assert np.array_equal(labels, furniture(islands=40))
    desk.press(Qt.Key.Key_Escape)
    assert snap.target is None
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(20, 20))
    desk.settle()
    desk.press(Qt.Key.Key_Return)
    assert (labels[12:32, 12:32] == CHAIR).all()
    assert not (labels[10:12, 10:12] == CHAIR).any()
    assert desk.steps()[-1].startswith("Border snap: chair")


def test_border_snap_moves_an_outline_that_is_drawn_to_the_edges(desk: Studio) -> None:
    pixels = desk.image.rgb
    pixels.setflags(write=True)
    pixels[:] = 40
    pixels[12:32, 12:32] = 220
    before = desk.image.document.labels.copy()
    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_S, SHIFT)
    desk.paint((9, 9), (34, 9), (34, 34), (9, 34), (9, 10))
    desk.settle()
    snap, labels = desk.program.border_snap, desk.image.document.labels
    assert snap.target is not None
    assert snap.target.class_id == SOFA
    assert np.array_equal(labels, before)
    desk.program.classes.choose(CAT)  # the object is of another class
    desk.settle()
    assert snap.target.class_id == CAT
    turn_wheel(desk.view, QPointF(desk.point(20, 20)), 1, Qt.KeyboardModifier.AltModifier)
    desk.settle()
    assert snap.target.lines[0] == "To edges within 16 px"
    desk.press(Qt.Key.Key_Return)
    assert (labels[12:32, 12:32] == CAT).mean() > 0.98  # its corners are rounded
    assert (labels[8:11, 8:36] != CAT).all()
    assert desk.steps()[-1].startswith("Border snap: cat")
    desk.program.edit.undo()
    desk.settle()
    assert np.array_equal(labels, before)


def test_border_snap_smooths_too(desk: Studio) -> None:
    labels = desk.image.document.labels
    labels[9, 15:17] = CHAIR  # a tooth
    desk.program.corrections.corrector.forget()
    desk.press(Qt.Key.Key_S, SHIFT)
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(20, 20))
    for _ in range(20):
        turn_wheel(desk.view, QPointF(desk.point(20, 20)), -1, Qt.KeyboardModifier.AltModifier)
    for _ in range(2):
        turn_wheel(desk.view, QPointF(desk.point(20, 20)), 1, Qt.KeyboardModifier.AltModifier)
    desk.settle()
    target = desk.program.border_snap.target
    assert target is not None
    assert target.lines[0] == "Smooth: 4 px"
    desk.press(Qt.Key.Key_Return)
    assert not (labels[9] == CHAIR).any()
    assert (labels[12:28, 12:28] == CHAIR).all()


def test_all_outlines_can_be_smoothed_at_once(desk: Studio) -> None:
    labels = desk.image.document.labels
    labels[9, 15:17] = CHAIR
    job = ComponentJob("smooth", 4, None)
    desk.program.component_jobs.apply(JobChoice(job), None)
    desk.settle()
    assert not (labels[9] == CHAIR).any()


def test_the_lasso_snaps_where_that_is_on(desk: Studio) -> None:
    pixels = desk.image.rgb
    pixels.setflags(write=True)
    pixels[:] = 40
    pixels[12:50, 42:74] = 220
    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_L, Qt.KeyboardModifier.AltModifier)
    assert desk.program.context["snapping_on"]
    assert [lamp.text() for lamp in desk.window.top_bar.lamps if lamp.isVisible()] == ["Lasso snaps"]
    desk.press(Qt.Key.Key_L)
    around = [(39, 9), (58, 8), (76, 9), (77, 30), (76, 52), (58, 53), (39, 52), (38, 30), (39, 10)]
    desk.paint(*around)
    labels = desk.image.document.labels
    inside = np.zeros(labels.shape, bool)
    inside[12:50, 42:74] = True
    assert np.count_nonzero((labels == SOFA) != inside) < 0.06 * inside.sum()


def test_a_brush_repaints_nothing_for_tools_that_show_nothing(desk: Studio) -> None:
    desk.press(Qt.Key.Key_Z)
    desk.settle()
    desk.press(Qt.Key.Key_B)
    told: list[str] = []
    desk.program.component_jobs.changed.connect(lambda: told.append("jobs"))
    desk.program.components.targetChanged.connect(lambda: told.append("component"))
    desk.program.regions.targetChanged.connect(lambda: told.append("region"))
    desk.program.next_errors.targetChanged.connect(lambda: told.append("error"))
    desk.program.corrections.prepared.connect(lambda: told.append("prepared"))
    desk.paint((40, 20), (50, 25), (60, 30))
    desk.settle()
    assert not told


def where(shown: ComponentDialog, text: str) -> None:
    shown.where.setCurrentIndex(shown.where.findText(text))


@pytest.mark.parametrize(
    ("operation", "px"), [("drop islands", 50), ("keep largest", 1), ("grow", 3), ("shrink", 3), ("smooth", 4)]
)
def test_every_operation_keeps_to_an_outline(desk: Studio, operation: Operation, px: int) -> None:
    desk.program.classes.choose(CHAIR)
    assert desk.application.window_actions is not None
    desk.application.window_actions.change_components(operation)
    shown = dialog(desk)
    if shown.number.isEnabled():
        shown.number.setValue(px)
    desk.settle()
    whole = desk.program.component_jobs.target
    assert whole is not None
    where(shown, "Inside an outline")
    assert desk.program.component_jobs.target is None
    assert desk.program.tools.tool is Tool.LASSO
    before = desk.image.document.labels.copy()
    desk.paint((1, 1), (20, 1), (20, 58), (1, 58), (1, 2))
    desk.settle()
    assert np.array_equal(desk.image.document.labels, before)  # the outline fills nothing
    target = desk.program.component_jobs.target
    assert target is not None
    assert 0 < target.pixels < whole.pixels
    shown.apply.click()
    desk.settle()
    changed = desk.image.document.labels != before
    assert changed.sum() == target.pixels
    assert not changed[:, 23:].any()
    assert desk.program.tools.tool is Tool.BRUSH  # as before the dialog
    desk.press(Qt.Key.Key_L)
    desk.paint((50, 10), (60, 10), (60, 20), (50, 20), (50, 11))  # the lasso fills again
    assert (desk.image.document.labels[12:18, 52:58] == CHAIR).all()


def with_holes() -> np.ndarray:
    """The furniture, a second chair, and a hole in each of them."""
    labels = furniture(islands=40)
    labels[40:56, 50:66] = CHAIR
    labels[15:17, 15:17], labels[45, 55] = 0, 0
    return labels


@pytest.fixture
def holed(studio: Studio, folder: Path) -> Studio:
    """The window on the last of four images with holes."""
    for path in folder.iterdir():
        studio.compute.known[str(path)] = with_holes()
    studio.start_model()
    studio.open(folder)
    for _ in range(3):  # an image has a mask when it was opened
        studio.press(Qt.Key.Key_D)
        studio.settle()
    studio.program.classes.choose(CHAIR)
    return studio


def show_dialog(studio: Studio, operation: Operation) -> ComponentDialog:
    assert studio.application.window_actions is not None
    studio.application.window_actions.change_components(operation)
    studio.settle()
    return dialog(studio)


def test_holes_of_the_component_under_the_pointer_alone_are_filled(holed: Studio) -> None:
    labels = holed.image.document.labels
    holed.press(Qt.Key.Key_Z)
    point_at(holed, 52, 42)
    shown = show_dialog(holed, "fill holes")
    assert shown.effect.text() == "This image: 2 holes, 5 px change."
    where(shown, "Component under the pointer")
    holed.settle()
    assert shown.effect.text() == "This image: 1 hole, 1 px changes."
    shown.apply.click()
    holed.settle()
    assert labels[45, 55] == CHAIR
    assert labels[15, 15] == 0


@pytest.mark.parametrize(
    ("operation", "numbers", "texts"),
    [
        ("drop islands", (50, 1), ("168 islands in 4 images.", "0 islands in 0 images.")),
        ("keep largest", (), ("164 islands in 4 images.",)),
        ("fill holes", (500, 3, 1), ("8 holes in 4 images.", "4 holes in 4 images.", "4 holes in 4 images.")),
    ],
)
def test_islands_and_holes_are_counted_over_the_folder_while_the_number_changes(
    holed: Studio, operation: Operation, numbers: tuple[int, ...], texts: tuple[str, ...]
) -> None:
    shown = show_dialog(holed, operation)
    shown.scope.setCurrentIndex(2)
    holed.settle()
    seen = []
    for number in numbers or (1,):
        shown.number.setValue(number)
        holed.settle()
        holed.wait(lambda: "so far" not in shown.effect.text())
        seen.append(shown.effect.text())
    assert tuple(seen) == texts


@pytest.mark.parametrize(("operation", "numbers"), [("grow", (1, 2)), ("shrink", (1, 2)), ("smooth", (3, 8))])
def test_what_is_counted_over_the_folder_is_what_happens(holed: Studio, operation: Operation, numbers: tuple[int, ...]) -> None:
    project = holed.program.session.project
    assert project is not None
    shown = show_dialog(holed, operation)
    shown.scope.setCurrentIndex(2)
    seen = []
    for number in numbers:
        shown.number.setValue(number)
        holed.wait(lambda: shown.effect.text().endswith(" px in 4 images.") and shown.effect.text() not in seen)
        seen.append(shown.effect.text())
    before = {record.id: project.load(record.id).document.labels.copy() for record in project.images}
    shown.apply.click()
    holed.settle()
    flush = holed.program.session.autosaver
    assert flush is not None
    flush.flush()
    changed = sum(int((before[record.id] != project.load(record.id).document.labels).sum()) for record in project.images)
    assert seen[-1] == f"{spaced(changed)} px in 4 images."

"""By mouse: what a tool outlines and tints is what a click then changes, whatever is locked or must not be painted over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.controllers.annotate.corrections import Target
from app.state.project import Project
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.geometry import Box
from tests.gui.studio import HEIGHT, WIDTH, Studio, make_folder

CHAIR, SOFA, CAT = 9, 18, 8
PLAIN, SHIFT, ALT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier


def furniture() -> np.ndarray:
    """A chair with a cat on its right half, on background."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[6:40, 10:40] = CHAIR
    labels[6:40, 30:50] = CAT
    return labels


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    for path in folder.iterdir():
        studio.compute.known[str(path)] = furniture()
    studio.start_model()
    studio.open(folder)
    studio.program.classes.choose(SOFA)
    return studio


def everything_free(_desk: Studio) -> None:
    pass


def only_over_chairs(desk: Studio) -> None:
    desk.program.modes.set_over(CHAIR, True)


def cat_locked(desk: Studio) -> None:
    desk.program.classes.set_locked(CAT, True)


def sofa_locked(desk: Studio) -> None:
    desk.program.classes.set_locked(SOFA, True)


def chair_locked(desk: Studio) -> None:
    desk.program.classes.set_locked(CHAIR, True)


def inside_the_band(desk: Studio) -> None:
    desk.press(Qt.Key.Key_T, SHIFT)


def outside_the_band(desk: Studio) -> None:
    desk.press(Qt.Key.Key_T, ALT)


def where_it_begins(desk: Studio) -> None:
    desk.press(Qt.Key.Key_B, SHIFT)


MODES = (
    everything_free, only_over_chairs, cat_locked, sofa_locked, chair_locked, inside_the_band, outside_the_band, where_it_begins,
)  # fmt: skip


def tinted(target: Target | None) -> np.ndarray:
    """(H, W) bool: the pixels that are promised to change."""
    found = np.zeros((HEIGHT, WIDTH), np.bool_)
    if target is not None:
        found[target.box.slices] = target.mask if target.changes is None else target.changes & target.mask
    return found


def point_at(desk: Studio, x: int, y: int) -> None:
    """In two moves: a window that has just come up takes the first one for the pointer coming in."""
    for place in ((x + 2, y), (x, y)):
        desk.qtbot.mouseMove(desk.view, desk.point(*place))
        desk.settle()


def check_click(desk: Studio, target: Callable[[], Target | None], x: int, y: int) -> np.ndarray:
    """Point at a pixel, click, and compare; the pixels that changed."""
    before = desk.image.document.labels.copy()
    point_at(desk, x, y)
    shown = target()
    promised = tinted(shown)
    if shown is not None and not promised.any():
        assert not any(line.startswith("Click: ") for line in shown.lines)
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(x, y))
    desk.settle()
    found: np.ndarray = desk.image.document.labels != before
    assert np.array_equal(found, promised), (x, y, int(found.sum()), int(promised.sum()), shown and shown.lines)
    if not found.any():
        assert desk.titles(), "a click that changes nothing says why"
    return found


@pytest.mark.parametrize("mode", MODES)
def test_components(desk: Studio, mode: Callable[[Studio], None]) -> None:
    mode(desk)
    desk.press(Qt.Key.Key_Z)
    found = [check_click(desk, lambda: desk.program.components.target, x, y) for x, y in ((15, 20), (45, 20), (60, 50))]
    assert mode is not everything_free or all(part.any() for part in found)


@pytest.mark.parametrize("mode", MODES)
def test_regions(desk: Studio, mode: Callable[[Studio], None]) -> None:
    mode(desk)
    desk.press(Qt.Key.Key_G, SHIFT)
    desk.settle()
    for x, y in ((30, 30), (40, 10), (60, 50), (30, 30)):
        check_click(desk, lambda: desk.program.regions.target, x, y)
    before = desk.image.document.labels.copy()
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(14, 44))
    for x, y in ((14, 38), (20, 30), (44, 30), (60, 30)):
        desk.qtbot.mouseMove(desk.view, desk.point(x, y))
    desk.settle()
    promised = tinted(desk.program.regions.target)
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(60, 30))
    desk.settle()
    assert np.array_equal(desk.image.document.labels != before, promised)


@pytest.mark.parametrize("mode", MODES)
def test_copies(desk: Studio, mode: Callable[[Studio], None]) -> None:
    document = desk.image.document
    desk.paint((2, 20), (80, 20))  # spoils chair and cat
    mode(desk)
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.settle()
    for x, y in ((15, 20), (45, 20), (60, 50)):
        check_click(desk, lambda: desk.program.part_copies.target, x, y)
    desk.program.edit.replace_all(np.full_like(document.labels, SOFA), desk.image.document.provenance[0, 0], "All sofa")
    desk.settle()
    before = document.labels.copy()
    corners = [(4, 4), (60, 4), (60, 50), (4, 50), (4, 6)]
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(*corners[0]))
    for x, y in corners[1:]:
        desk.qtbot.mouseMove(desk.view, desk.point(x, y))
    desk.settle()
    promised = tinted(desk.program.part_copies.target)
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(*corners[-1]))
    desk.settle()
    assert np.array_equal(document.labels != before, promised)


@pytest.mark.parametrize("mode", MODES)
def test_scribbles(desk: Studio, mode: Callable[[Studio], None]) -> None:
    mode(desk)
    desk.press(Qt.Key.Key_J, SHIFT)
    before = desk.image.document.labels.copy()
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(15, 20))
    desk.qtbot.mouseMove(desk.view, desk.point(20, 20))
    desk.settle()
    promised = tinted(desk.program.scribble_lines.target)
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(20, 20))
    desk.settle()
    assert np.array_equal(desk.image.document.labels != before, promised)


@pytest.mark.parametrize("mode", MODES)
def test_the_outline_of_border_snap_is_the_one_that_comes(desk: Studio, mode: Callable[[Studio], None]) -> None:
    pixels = desk.image.rgb
    pixels.setflags(write=True)
    pixels[:] = 40
    pixels[10:44, 14:44] = 220
    mode(desk)
    desk.press(Qt.Key.Key_S, SHIFT)
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(15, 20))
    desk.settle()
    target = desk.program.border_snap.target
    if mode is chair_locked:
        assert target is None
        return
    assert target is not None
    desk.press(Qt.Key.Key_Return)
    desk.settle()
    assert np.array_equal(desk.image.document.labels[target.box.slices] == CHAIR, target.mask)


def test_a_refusal_is_said_beside_the_pointer_and_nothing_is_outlined(desk: Studio) -> None:
    only_over_chairs(desk)
    desk.press(Qt.Key.Key_Z)
    desk.settle()
    point_at(desk, 45, 20)
    target = desk.program.components.target
    assert target is not None
    assert not target.mask.any()
    assert target.lines[1:] == ("cat is not among the classes that may be painted over",)
    cat_locked(desk)
    desk.settle()
    target = desk.program.components.target  # the pointer has not moved
    assert target is not None
    assert target.lines[1:] == ("cat is locked",)
    desk.program.modes.over_all()
    desk.program.classes.set_locked(CAT, False)
    desk.settle()
    target = desk.program.components.target
    assert target is not None
    assert target.mask.any()


def test_of_two_classes_the_other_one_is_the_second_guess(studio: Studio, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "wall", truth=False)
    cracks = ClassCatalog(
        "cracks", "Cracks", (ClassInfo(0, "sound", (0, 0, 0)), ClassInfo(1, "crack", (128, 0, 0))), background=0
    )
    Project.open(folder, catalog=cracks).close()
    studio.open(folder)
    studio.program.classes.choose(1)
    studio.paint((20, 20), (60, 20))
    box = Box(15, 15, 50, 10)
    crack = studio.image.document.labels[box.slices] == 1
    assert crack.any()
    guess = studio.program.corrections.second_guess
    assert guess(Target(box, crack, int(crack.sum())), lambda _but: None) == 0
    assert guess(Target(box, ~crack, int((~crack).sum())), lambda _but: None) is None  # unlabelled: both are possible

"""Everyone can use the window: names for screen readers, contrast as it is painted, all controls by keyboard, focus in sight."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAccessible, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QDockWidget,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QMainWindow,
    QPlainTextEdit,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QScrollBar,
    QTabBar,
    QTableView,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot
from shiboken6 import getCppPointer, isValid

from app.ui.canvas.canvas_view import CanvasView
from app.ui.evaluate.evaluation_view import EvaluationView
from app.ui.project.tour_bar import TourBar
from app.ui.shell.command_palette import CommandPalette
from tests.gui.screens import main_screens
from tests.gui.shell.test_dialog_sizes import MAKERS
from tests.gui.studio import Studio

Pixels = NDArray[np.uint8]

_FIELDS = (QLineEdit, QAbstractSpinBox, QPlainTextEdit, QTextEdit)
_CONTROLS = (QAbstractButton, QAbstractSlider, QComboBox, QAbstractItemView, QTabBar, *_FIELDS)
#: Texts are painted so much larger before their pixels are read: at their own size edges are smoothed away.
_LARGER = 3
#: A colour with fewer pixels, at that size, is the edge of a stroke.
_LEAST_PIXELS = 6
#: Contrasts of WCAG 2.2: of texts (1.4.3), and of what shows the focus (2.4.13 asks for that change).
_TEXT, _FOCUS = 4.5, 3.0
#: Pixels of a control that have to change with the focus.
_LEAST_RING = 12


def same(widget: QWidget) -> int:
    """Python makes new objects for Qt's own widgets at will; this stays."""
    return int(getCppPointer(widget)[0])


def controls(root: QWidget) -> Iterator[QWidget]:
    """What can be worked below a widget, as far as it is in sight; parts of other controls are left out."""
    for widget in (root, *root.findChildren(QWidget)):
        parent, window = widget.parent(), widget.window()
        if not widget.isVisible() or (window is not root.window() and not isinstance(window, QDockWidget)):
            continue
        if isinstance(widget, QScrollBar | QHeaderView | QScrollArea | QMainWindow | QDialog):
            continue
        if isinstance(parent, QLineEdit | QTabBar | QAbstractSpinBox | QComboBox | QKeySequenceEdit):
            continue
        if isinstance(widget, QTabBar) and widget.visibleRegion().isEmpty():
            continue  # rows of tabs that the layout has left behind
        if isinstance(widget, QLabel) and not widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            continue  # its text can be selected with the mouse, and that is all
        if isinstance(parent, QTableView) and isinstance(widget, QAbstractButton):
            continue  # the corner of a table
        if isinstance(widget, _CONTROLS) or widget.focusPolicy() != Qt.FocusPolicy.NoFocus:
            yield widget


def told(widget: QWidget) -> str:
    """A widget in words, for a failure."""
    text = widget.text() if isinstance(widget, QAbstractButton | QLabel | QLineEdit) else ""
    return (
        f"{type(widget).__name__} {widget.objectName()} in {type(widget.parent()).__name__}: {text!r} {widget.toolTip()[:40]!r}"
    )


# -- screen readers --------------------------------------------------------------------------------------------------------


def nameless(root: QWidget) -> list[str]:
    """Controls that a screen reader has no name for."""
    found = []
    for widget in controls(root):
        interface = QAccessible.queryAccessibleInterface(widget)
        if interface is None or not interface.text(QAccessible.Text.Name).strip():
            found.append(told(widget))
    return found


def test_a_control_without_a_name_is_seen(qtbot: QtBot) -> None:
    dialog = QDialog()
    qtbot.addWidget(dialog)
    field, named = QLineEdit(dialog), QLineEdit(dialog)
    named.setAccessibleName("Name")
    dialog.show()
    assert nameless(dialog) == [told(field)]


# -- contrast --------------------------------------------------------------------------------------------------------------


def luminance(colors: NDArray[np.generic]) -> NDArray[np.float64]:
    """(...) relative luminance (WCAG 2.2) of (..., 3) sRGB 0..255."""
    share = np.asarray(colors, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    shown: NDArray[np.float64] = linear @ np.array([0.2126, 0.7152, 0.0722])
    return shown


def ratio(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.float64]:
    """(...) contrast of (..., 3) colours, 1 to 21."""
    first, second = luminance(one), luminance(other)
    shown: NDArray[np.float64] = (np.maximum(first, second) + 0.05) / (np.minimum(first, second) + 0.05)
    return shown


def pixels_of(image: QImage) -> Pixels:
    """(H, W, 3) uint8 of an RGB32 image."""
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return np.ascontiguousarray(data[:, : image.width(), 2::-1])


def enlarged(window: QWidget) -> Pixels:
    """A window as it paints itself :data:`_LARGER` times as large."""
    image = QImage(window.size() * _LARGER, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(_LARGER)
    image.fill(0)
    window.render(image)
    return pixels_of(image)


def contrast_within(pixels: Pixels) -> float:
    """Contrast between the colour that most pixels have and the farthest from it that is more than an edge."""
    wide = pixels.astype(np.uint32)
    packed, counts = np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], return_counts=True)
    colors = np.stack([(packed >> shift) & 255 for shift in (16, 8, 0)], axis=-1)
    ground = colors[counts.argmax()]
    return float(ratio(colors[counts >= _LEAST_PIXELS], ground).max(initial=1.0))


def faint(window: QWidget, known: set[tuple[int, str]] | None = None) -> list[str]:
    """Labels, buttons and fields whose text or icon has too little contrast; disabled ones are excepted.

    Args:
        known: widgets and texts that were looked at before, which are left out; those of this time are added.
    """
    picture, found, known = enlarged(window), [], set() if known is None else known
    for widget in window.findChildren(QWidget):
        if not isinstance(widget, QLabel | QAbstractButton | QLineEdit | QComboBox) or widget.window() is not window:
            continue
        text = widget.currentText() if isinstance(widget, QComboBox) else widget.text()
        icon = isinstance(widget, QAbstractButton) and not widget.icon().isNull()
        if not widget.isVisible() or not widget.isEnabled() or not (text or icon) or isinstance(widget.parent(), QLineEdit):
            continue
        seen = widget.visibleRegion().boundingRect().translated(widget.mapTo(window, QPoint()))
        box = QRect(widget.mapTo(window, QPoint()), widget.size()).intersected(seen).adjusted(3, 3, -3, -3)
        if box.width() < 6 or box.height() < 6 or (same(widget), text) in known:
            continue
        known.add((same(widget), text))
        shown = contrast_within(
            picture[box.top() * _LARGER : (box.bottom() + 1) * _LARGER, box.left() * _LARGER : (box.right() + 1) * _LARGER]
        )
        if shown < (_TEXT if text else 3.0):
            found.append(f"{shown:.2f} {told(widget)}")
    return found


def test_a_faint_text_is_seen(qtbot: QtBot) -> None:
    dialog = QDialog()
    qtbot.addWidget(dialog)
    dialog.setStyleSheet("QDialog { background: #1c1f26; }")
    labels = [QLabel("Help of a setting", dialog) for _ in range(2)]
    for place, (label, color) in enumerate(zip(labels, ("#6b7280", "#9aa2b0"), strict=True)):
        label.setStyleSheet(f"color: {color}; background: transparent")
        label.move(0, 40 * place)
    dialog.resize(300, 100)
    dialog.show()
    assert [text.partition(" ")[2] for text in faint(dialog)] == [told(labels[0])]


# -- keyboard --------------------------------------------------------------------------------------------------------------


def unreached(root: QWidget, start: QWidget) -> list[str]:
    """Controls below ``root`` that neither Tab from ``start`` nor an arrow key within a group of buttons reaches."""
    start.setFocus(Qt.FocusReason.TabFocusReason)
    reached: set[int] = set()
    while (focused := QApplication.focusWidget()) is not None and same(focused) not in reached:
        reached.add(same(focused))
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    return [
        told(widget)
        for widget in controls(root)
        if widget.isEnabled() and not reached & {same(_proxy(widget)), *(same(one) for one in _group(widget))}
    ]


def _proxy(widget: QWidget) -> QWidget:
    proxy = widget.focusProxy()
    return widget if proxy is None else _proxy(proxy)


def _group(widget: QWidget) -> list[QAbstractButton]:
    """Buttons of which one is chosen: Tab reaches one of them, arrows the others."""
    if not isinstance(widget, QAbstractButton):
        return []
    group = widget.group()
    if group is not None and group.exclusive():
        return group.buttons()
    parent = widget.parentWidget()
    return list(parent.findChildren(QRadioButton)) if isinstance(widget, QRadioButton) and parent is not None else []


def test_a_control_out_of_reach_is_seen(qtbot: QtBot) -> None:
    dialog = QDialog()
    qtbot.addWidget(dialog)
    first, second = QLineEdit(dialog), QPushButton("Go", dialog)
    second.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    dialog.show()
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow)
    assert unreached(dialog, first) == [told(second)]


def without_ring(root: QWidget, known: set[int] | None = None) -> list[str]:
    """Controls that look the same, or nearly, with the keyboard and without; ``known`` ones were looked at before."""
    found, known = [], set() if known is None else known
    for widget in list(controls(root)):
        if not isValid(widget) or not widget.isEnabled() or not widget.isVisible() or widget.focusProxy() is not None:
            continue
        if not widget.focusPolicy() & Qt.FocusPolicy.TabFocus or isinstance(widget, CanvasView) or _is_empty(widget):
            continue
        if same(widget) in known:
            continue
        known.add(same(widget))
        focused = QApplication.focusWidget()
        if focused is not None:
            focused.clearFocus()
        before = _shot(widget)
        widget.setFocus(Qt.FocusReason.TabFocusReason)
        if not widget.hasFocus() or before.shape != (after := _shot(widget)).shape:
            continue
        changed = int((ratio(before, after) >= _FOCUS).sum())
        if changed < _LEAST_RING:
            found.append(f"{changed} px {told(widget)}")
    return found


def _is_empty(widget: QWidget) -> bool:
    """A list without rows, a page that only scrolls: there is nothing that the keyboard could work."""
    if isinstance(widget, QAbstractItemView):
        return widget.model() is None or widget.model().rowCount() == 0
    return False


def _shot(widget: QWidget) -> Pixels:
    return pixels_of(widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))


# -- screens ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_main_screens(studio: Studio, folder: Path, theme: str) -> None:
    studio.program.settings.set("appearance.theme", theme)
    studio.window.resize(1600, 1000)
    found: dict[str, list[str]] = {}
    texts: set[tuple[int, str]] = set()
    rings: set[int] = set()
    for screen in main_screens(studio, folder):
        found[f"{screen}: names"] = nameless(studio.window)
        found[f"{screen}: contrast"] = faint(studio.window, texts)
        found[f"{screen}: focus"] = without_ring(studio.window, rings)
        page = studio.window.stack.currentWidget()
        if isinstance(page, EvaluationView):
            found[f"{screen}: keyboard"] = unreached(page, page.tabs)
            page.setFocus()
        elif studio.program.session.image is not None:
            studio.view.setFocus()
    assert len(found) > 40
    assert "\n".join(f"{place}: {fault}" for place, faults in found.items() for fault in faults) == ""


@pytest.mark.parametrize("kind", MAKERS, ids=lambda kind: kind.__name__)
def test_dialogs(shared_studio: Studio, qtbot: QtBot, tmp_path: Path, kind: type[QDialog]) -> None:
    dialog = MAKERS[kind](shared_studio, tmp_path)
    qtbot.addWidget(dialog)
    dialog.show()
    shared_studio.settle()
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow)
    start = dialog.focusWidget() or next(widget for widget in controls(dialog) if widget.focusPolicy() & Qt.FocusPolicy.TabFocus)
    found = {
        "names": nameless(dialog),
        "contrast": faint(dialog),
        "keyboard": unreached(dialog, start),
        "focus": without_ring(dialog),
    }
    if isinstance(dialog, CommandPalette):
        del found["keyboard"]  # arrow keys in its field go through the list
    assert {what: faults for what, faults in found.items() if faults} == {}
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_the_buttons_of_the_tour_are_reached_with_the_keyboard(studio: Studio, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("app.controllers.project.tour.is_sample_project", lambda path: path == folder)
    studio.open(folder)
    studio.window.commands["help.tour"].trigger()
    (bar,) = studio.window.findChildren(TourBar)
    studio.settle()
    studio.view.setFocus()
    for _ in range(12):
        studio.press(Qt.Key.Key_F6)
        focused = QApplication.focusWidget()
        if focused is not None and bar.isAncestorOf(focused):
            break
    reached = set()
    while bar.isAncestorOf(QApplication.focusWidget()):
        focused = QApplication.focusWidget()
        assert isinstance(focused, QPushButton)
        reached.add(focused.text())
        studio.press(Qt.Key.Key_Tab)
    assert {"Next", "Leave"} <= reached


def test_a_ring_shows_that_the_image_has_the_keyboard_until_the_pointer_moves(studio: Studio, folder: Path) -> None:
    studio.open(folder)

    def rings() -> list[QWidget]:
        return [part for part in studio.view.findChildren(QWidget) if type(part).__name__ == "_PictureRing" and part.isVisible()]

    assert rings() == []
    studio.press(Qt.Key.Key_F6)
    assert rings() == []
    studio.press(Qt.Key.Key_Escape)
    assert studio.view.hasFocus()
    (ring,) = rings()
    assert ring.rect() == studio.view.rect()
    for place in ((10, 10), (40, 30)):
        QTest.mouseMove(studio.view, studio.point(*place))
    studio.wait(lambda: rings() == [])

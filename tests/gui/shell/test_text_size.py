"""Texts in the size of the desktop, on small and scaled screens, in both languages: nothing is cut."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QFont, QFontMetrics
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QDialog,
    QLabel,
    QPushButton,
    QRadioButton,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.ui.common.elided_label import ElidedLabel
from app.ui.shell.theme import text_scale
from tests.gui.screens import main_screens
from tests.gui.shell.test_dialog_sizes import MAKERS
from tests.gui.shell.test_korean import korean, office
from tests.gui.studio import Studio

__all__ = ["korean", "office"]

#: Logical sizes: 1600 x 1000 at 200 %, 1280 x 720 as it is and at 145 %, which a font of 16 pt gives.
SIZES = [(800, 500), (1280, 720), (882, 496)]
#: Room between a text and the edges of its button, on both sides together, px.
_EDGES = 4


def cut(root: QWidget) -> list[str]:
    """Buttons, boxes and labels below a widget whose text is wider than they are."""
    found = []
    for widget in root.findChildren(QWidget):
        if not widget.isVisible() or isinstance(widget, ElidedLabel) or not isinstance(widget, QAbstractButton | QLabel):
            continue
        text = widget.text().replace("&", "")
        if not text or (isinstance(widget, QLabel) and (widget.wordWrap() or "<" in text)):
            continue
        if not isinstance(widget, QLabel | QPushButton | QCheckBox | QRadioButton) and not _has_words(widget):
            continue
        needed = max(QFontMetrics(widget.font()).horizontalAdvance(line) for line in text.split("\n"))
        if isinstance(widget, QPushButton | QToolButton):
            needed += _EDGES
        if isinstance(widget, QCheckBox | QRadioButton):
            needed = widget.minimumSizeHint().width()
        if needed > widget.width():
            found.append(f"{text!r} needs {needed} px, {type(widget).__name__} has {widget.width()}")
    return found


def _has_words(widget: QWidget) -> bool:
    from PySide6.QtCore import Qt

    return isinstance(widget, QToolButton) and (
        widget.icon().isNull() or widget.toolButtonStyle() != Qt.ToolButtonStyle.ToolButtonIconOnly
    )


def test_a_cut_text_is_seen(qtbot: QtBot) -> None:
    dialog = QDialog()
    qtbot.addWidget(dialog)
    QPushButton("A whole text", dialog).resize(200, 30)
    QPushButton("Another text", dialog).resize(40, 30)
    dialog.show()
    assert [text.partition(" needs")[0] for text in cut(dialog)] == ["'Another text'"]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_no_text_is_cut_on_the_main_screens(studio: Studio, folder: Path, size: tuple[int, int]) -> None:
    studio.window.resize(*size)
    found = {screen: cut(studio.window) for screen in main_screens(studio, folder)}
    assert (studio.window.width(), studio.window.height()) == size
    assert "\n".join(f"{screen}: {text}" for screen, texts in found.items() for text in texts) == ""


@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_no_korean_text_is_cut_on_the_main_screens(office: Studio, folder: Path, size: tuple[int, int]) -> None:
    test_no_text_is_cut_on_the_main_screens(office, folder, size)


@pytest.mark.parametrize("kind", MAKERS, ids=lambda kind: kind.__name__)
def test_no_korean_text_of_a_dialog_is_cut(office: Studio, tmp_path: Path, kind: type[QDialog]) -> None:
    dialog = MAKERS[kind](office, tmp_path)
    office.qtbot.addWidget(dialog)
    dialog.show()
    office.settle()
    assert cut(dialog) == []


@pytest.mark.parametrize(
    ("platform", "points", "scale"),
    [("linux", 9, 1.0), ("linux", 11, 1.0), ("linux", 12, 1.1), ("linux", 16, 1.45), ("linux", 40, 2.0), ("win32", 9, 1.0),
     ("win32", 13.5, 1.5)],
)  # fmt: skip
def test_the_window_grows_with_the_font_of_the_desktop(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch, platform: str, points: float, scale: float
) -> None:
    monkeypatch.setattr("app.ui.shell.theme.sys.platform", platform)
    font = QFont()
    font.setPointSizeF(points)
    assert text_scale(font) == pytest.approx(scale)
    assert text_scale(font, "130") == 1.3
    assert text_scale(font, "100") == 1.0


def test_an_application_begins_at_the_chosen_size() -> None:
    code = """
import os
from PySide6.QtWidgets import QWidget
from app.ui.shell.theme import make_application
application = make_application(["atrous"], "150")
window = QWidget()
window.show()
print(window.devicePixelRatioF(), os.environ.get("QT_SCALE_FACTOR"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["1.5", "None"]

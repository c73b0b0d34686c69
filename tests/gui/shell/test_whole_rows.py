"""Panels show whole rows at their lower edge, whatever their height."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.ui.common.panel import WholeRows
from tests.gui.studio import Studio

ROW, ROWS = 20, 12


def column() -> QWidget:
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    for number in range(ROWS):
        row = QLabel(str(number))
        row.setFixedHeight(ROW)
        layout.addWidget(row)
    layout.addStretch(1)
    return page


def test_no_row_is_cut_at_any_height_and_place(qtbot: QtBot) -> None:
    area = WholeRows(column())
    qtbot.addWidget(area)
    area.resize(100, 95)
    area.show()
    for height in (95, 100, 119, 61, 240, 300):
        area.resize(100, height)
        whole = height if height >= ROWS * ROW else height // ROW * ROW
        qtbot.waitUntil(lambda whole=whole: area.viewport().height() == whole)
        for top in (0, ROW, 3 * ROW):
            area.verticalScrollBar().setValue(top)
            shown = area.viewport().height()
            assert shown == height or (area.verticalScrollBar().value() + shown) % ROW == 0


def test_rows_that_are_shown_later_are_whole_too(qtbot: QtBot) -> None:
    page = column()
    area = WholeRows(page)
    qtbot.addWidget(area)
    rows = page.findChildren(QLabel)
    for row in rows[3:]:
        row.hide()
    area.resize(100, 95)
    area.show()
    qtbot.waitUntil(lambda: area.viewport().height() == 95 and page.height() == 95)
    for row in rows[3:]:
        row.show()
    qtbot.waitUntil(lambda: area.viewport().height() == 4 * ROW)


def test_a_filter_without_matches_shows_a_text(studio: Studio, folder: object) -> None:
    studio.open(folder)  # type: ignore[arg-type]
    images = studio.window.images
    images.filter.setText("no such image")
    assert images.nothing.isVisible()
    assert not images.view.isVisible()
    images.clear_filter.click()
    assert images.filter.text() == ""
    assert images.view.isVisible()
    assert not images.nothing.isVisible()

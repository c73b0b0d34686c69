"""Typing numbers into the field of a parameter, in languages with a dot and with a comma."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QLocale, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.ui.docks.param_slider import ParamSlider


@pytest.fixture(params=["C", "de_DE", "fr_FR", "ko_KR"])
def desktop(request: pytest.FixtureRequest) -> Iterator[str]:
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


@pytest.mark.parametrize(("typed", "value"), [("7.5", 7.5), ("7,5", 7.5), ("12", 12.0), ("0,1", 0.1), ("1,2.5", 1.2)])
def test_a_dot_and_a_comma_are_the_decimal_sign(qtbot: QtBot, desktop: str, typed: str, value: float) -> None:
    """Under a German desktop 7.5 was once read as 75: the dot was taken for a separator of thousands."""
    slider = ParamSlider("Appearance weight", 0, 200)
    qtbot.addWidget(slider)
    slider.show()
    slider.field.selectAll()
    QTest.keyClicks(slider.field, typed)
    QTest.keyClick(slider.field, Qt.Key.Key_Return)
    assert slider.value == pytest.approx(value)
    slider.show_value(2000)
    assert slider.field.text() == "2000.0"

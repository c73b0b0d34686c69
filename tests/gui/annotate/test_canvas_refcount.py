"""The Qt binding must not lose references: a build that does kills the program in the middle of a stroke (PySide6 6.12.0 did)."""

from __future__ import annotations

import sys

import pytest
from PySide6.QtCore import QRect
from PySide6.QtGui import QColor, QImage, QPainter


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal from Python 3.12 on")
def test_calls_that_return_nothing_keep_none_alive():
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    color, rect = QColor(1, 2, 3), QRect(0, 0, 2, 2)
    before = sys.getrefcount(None)
    for _ in range(500):
        painter.fillRect(rect, color)
    lost = before - sys.getrefcount(None)
    painter.end()
    assert lost < 100, "this build of PySide6 loses a reference to None per call; see the pin in pyproject.toml"

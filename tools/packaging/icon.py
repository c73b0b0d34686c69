"""Draws the icon of the program as a picture: for icon themes, and for the programs of Windows and macOS."""

from __future__ import annotations

import os
from pathlib import Path

DRAWING = Path(__file__).resolve().parents[2] / "resources" / "icons" / "atrous.svg"


def draw(target: Path, side: int) -> Path:
    """Write the icon as a PNG file with ``side`` x ``side`` px, and return its path.

    Raises:
        SystemExit: the file cannot be written.
    """
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import QSize
    from PySide6.QtGui import QGuiApplication, QIcon

    kept = QGuiApplication.instance() or QGuiApplication([])
    target.parent.mkdir(parents=True, exist_ok=True)
    if not QIcon(str(DRAWING)).pixmap(QSize(side, side), 1.0).save(str(target)):
        raise SystemExit(f"{target} cannot be written")
    del kept
    return target

"""Our own line icons: SVGs on a 24-px grid whose ``currentColor`` is filled in when they are loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app.places import RESOURCES
from app.ui.theme import Theme

ICONS = RESOURCES / "icons"

#: Logical sizes that toolbars, menus and buttons ask for, and the device pixel ratios of common screens.
_SIZES, _RATIOS = (16, 20), (1, 2)


def icon_path(name: str) -> Path:
    """File of an icon; the file need not exist."""
    return ICONS / f"{name}.svg"


@lru_cache(maxsize=256)
def _source(name: str) -> str:
    return icon_path(name).read_text(encoding="utf-8")


@lru_cache(maxsize=512)
def _pixmap(name: str, color: str, size: int, ratio: float) -> QPixmap:
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", color).encode()))
    side = round(size * ratio)
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, side, side))
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


def icon_pixmap(name: str, color: QColor, size: int, ratio: float = 1.0) -> QPixmap:
    """One icon as a pixmap of ``size`` logical px at a device pixel ratio. Raises FileNotFoundError for an unknown name."""
    return _pixmap(name, color.name(), size, ratio)


def make_icon(name: str, theme: Theme, *, color: str = "text", checked: str = "accent") -> QIcon:
    """An icon in the theme's colours: normal, disabled and checked. ``color`` and ``checked`` name tokens."""
    icon = QIcon()
    tones = (
        (QIcon.Mode.Normal, QIcon.State.Off, color),
        (QIcon.Mode.Disabled, QIcon.State.Off, "faint"),
        (QIcon.Mode.Normal, QIcon.State.On, checked),
        (QIcon.Mode.Disabled, QIcon.State.On, "faint"),
    )
    for mode, state, token in tones:
        for size in _SIZES:
            for ratio in _RATIOS:
                icon.addPixmap(icon_pixmap(name, theme.color(token), size, ratio), mode, state)
    return icon


def application_icon() -> QIcon:
    """The program's own mark."""
    icon = QIcon()
    for size in (16, 32, 64, 128):
        icon.addPixmap(_pixmap("atrous", "#000000", size, 1))
    return icon

"""Our own line icons: SVGs on a 24-px grid with ``currentColor`` filled in when they are loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app.paths import RESOURCES
from app.ui.shell.theme import Theme

ICONS = RESOURCES / "icons"

#: Logical size that toolbars and buttons show; menus show it a little smaller.
_SIZE = 20


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
    )
    ratio = max((screen.devicePixelRatio() for screen in QGuiApplication.screens()), default=1.0)
    for mode, state, token in tones:
        icon.addPixmap(icon_pixmap(name, theme.color(token), _SIZE, ratio), mode, state)
    return icon


def application_icon() -> QIcon:
    """The program's own mark."""
    icon = QIcon()
    for size in (32, 128):
        icon.addPixmap(_pixmap("atrous", "#000000", size, 1))
    return icon


#: Side of a swatch, px.
_SWATCH = 12


def swatch(color: QColor) -> QIcon:
    """A rounded square of one colour."""
    pixmap = QPixmap(2 * _SWATCH, 2 * _SWATCH)
    pixmap.setDevicePixelRatio(2.0)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawRoundedRect(QRectF(0.5, 0.5, _SWATCH - 1, _SWATCH - 1), 2.5, 2.5)
    painter.end()
    return QIcon(pixmap)

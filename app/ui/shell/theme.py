"""Dark and light, from one file of design tokens: colours, the 8-px grid, type sizes and radii.

``resources/themes/tokens.json`` is the only place where a colour of the window is written down; the style sheet is a template
over it (``window.qss``), the palette and the painted widgets read the same tokens.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontInfo, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from app.paths import RESOURCES

THEMES = RESOURCES / "themes"
FONTS = RESOURCES / "fonts"

#: Qt's environment variable for the size of everything in windows, a factor; it is read when the application is made.
SCALE_VARIABLE = "QT_SCALE_FACTOR"
#: Size of a desktop's font beside which the window has its own size, px at 96 dpi: of Windows and macOS, and 11 pt elsewhere.
_USUAL, _USUAL_ELSEWHERE = {"win32": 12.0, "darwin": 13.0}, 44 / 3
#: The window is never smaller than its own size; larger than twice that, its parts would not fit on screens.
_MOST, _STEP = 2.0, 0.05


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of resolved tokens.

    Attributes:
        name: ``"dark"`` or ``"light"``.
        colors: token name -> ``#rrggbb``.
        grid: the layout unit in px; paddings and gaps are halves and multiples of it.
        radius, type: token name -> px.
        families, mono: font families, best first.
    """

    name: str
    colors: dict[str, str]
    grid: int
    radius: dict[str, int]
    type: dict[str, int]
    families: tuple[str, ...]
    mono: tuple[str, ...]

    def color(self, token: str, alpha: float = 1.0) -> QColor:
        """A token as a QColor. Raises KeyError for a token that does not exist."""
        color = QColor(self.colors[token])
        color.setAlphaF(alpha)
        return color

    def font(self, size: str = "body", *, bold: bool = False) -> QFont:
        """The interface's font in one of the type sizes."""
        font = QFont(list(self.families))
        font.setPixelSize(self.type[size])
        font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
        return font


def load_theme(name: str) -> Theme:
    """Read the tokens of ``"dark"`` or ``"light"``."""
    tokens = json.loads((THEMES / "tokens.json").read_text(encoding="utf-8"))
    return Theme(
        name=name,
        colors=tokens["themes"][name],
        grid=tokens["grid"],
        radius=tokens["radius"],
        type=tokens["type"],
        families=tuple(tokens["families"]),
        mono=tuple(tokens["mono"]),
    )


def resolve_theme_name(setting: str) -> str:
    """``"dark"`` or ``"light"`` for the setting ``"dark"``, ``"light"`` or ``"system"``."""
    if setting in ("dark", "light"):
        return setting
    scheme = QGuiApplication.styleHints().colorScheme()
    return "light" if scheme == Qt.ColorScheme.Light else "dark"


def style_sheet(theme: Theme) -> str:
    """The window's style sheet with every ``$token`` filled in."""
    values: dict[str, str] = dict(theme.colors)
    values |= {f"radius_{key}": f"{value}px" for key, value in theme.radius.items()}
    values |= {f"type_{key}": f"{value}px" for key, value in theme.type.items()}
    values |= {"themes": THEMES.as_posix(), "theme": theme.name}
    return Template((THEMES / "window.qss").read_text(encoding="utf-8")).substitute(values)


def qt_palette(theme: Theme) -> QPalette:
    """The QPalette that belongs to the tokens, for everything that a style sheet does not reach."""
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: "window",
        QPalette.ColorRole.WindowText: "text",
        QPalette.ColorRole.Base: "well",
        QPalette.ColorRole.AlternateBase: "surface",
        QPalette.ColorRole.Text: "text",
        QPalette.ColorRole.PlaceholderText: "faint",
        QPalette.ColorRole.Button: "raised",
        QPalette.ColorRole.ButtonText: "text",
        QPalette.ColorRole.BrightText: "bad",
        QPalette.ColorRole.Highlight: "accent",
        QPalette.ColorRole.HighlightedText: "on_accent",
        QPalette.ColorRole.Accent: "accent",
        QPalette.ColorRole.Link: "accent",
        QPalette.ColorRole.ToolTipBase: "raised",
        QPalette.ColorRole.ToolTipText: "text",
        QPalette.ColorRole.Mid: "border",
        QPalette.ColorRole.Dark: "border_strong",
        QPalette.ColorRole.Light: "raised_hover",
    }
    for role, token in roles.items():
        palette.setColor(role, theme.color(token))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, theme.color("faint"))
    return palette


def text_scale(font: QFont, choice: str = "system") -> float:
    """How many times its own size the window has, so that its texts fit the desktop's.

    All of it grows: rows, icons and buttons too, so nothing is cut. Images are painted with the screen's pixels as before.

    Args:
        font: of the desktop.
        choice: ``"system"``, or the setting in per cent.
    """
    if choice.isdecimal():
        return min(max(int(choice) / 100, 1.0), _MOST)
    found = QFontInfo(font).pixelSize() / _USUAL.get(sys.platform, _USUAL_ELSEWHERE)
    return min(max(round(found / _STEP) * _STEP, 1.0), _MOST)


def make_application(arguments: Sequence[str], choice: str = "system") -> QApplication:
    """Qt's application, at the size of :func:`text_scale`.

    The desktop's font is known only to an application, and its size can be given only before there is one: where the size is
    another one than usual, the first is ended at once and a second one made.
    """
    application = QApplication(list(arguments))
    scale = text_scale(application.font(), choice)
    if scale == 1.0:
        return application
    application.shutdown()
    del application
    before = os.environ.get(SCALE_VARIABLE)
    os.environ[SCALE_VARIABLE] = f"{scale * _factor(before):g}"
    try:
        return QApplication(list(arguments))
    finally:  # programs that this one starts choose their own
        if before is None:
            del os.environ[SCALE_VARIABLE]
        else:
            os.environ[SCALE_VARIABLE] = before


def _factor(text: str | None) -> float:
    try:
        return float(text or 1)
    except ValueError:  # Qt ignores it, too
        return 1.0


def load_fonts() -> None:
    """Register the bundled fonts; a machine that refuses them falls back to the families named in the tokens."""
    for path in sorted(FONTS.glob("*.otf")):
        QFontDatabase.addApplicationFontFromData(QByteArray(path.read_bytes()))


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Dress the whole application. Widgets that paint themselves are given the theme by the window."""
    app.setPalette(qt_palette(theme))
    app.setFont(theme.font())
    sheet = style_sheet(theme)
    if app.styleSheet() != sheet:  # Qt reads it again and dresses every widget, even if nothing changes
        app.setStyleSheet(sheet)

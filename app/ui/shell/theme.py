"""Dark and light, from one file of design tokens: colours, the 8-px grid, type sizes and radii.

``resources/themes/tokens.json`` is the only place where a colour of the window is written down; the style sheet is a template
over it (``window.qss``), the palette and the painted widgets read the same tokens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from string import Template

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from app.paths import RESOURCES

THEMES = RESOURCES / "themes"
FONTS = RESOURCES / "fonts"


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

"""How the canvas itself looks: the few tokens of the theme that it paints with."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QFont

from app.ui.shell.theme import Theme, load_theme


@dataclass(frozen=True)
class CanvasStyle:
    """Colours and measures of panes and chips.

    Attributes:
        backdrop: around the picture.
        corner: behind a pane's rounded corners: the window's colour.
        accent: border of the chip that has the keyboard.
        note: text on the backdrop ("No ground truth for this image").
        radius, chip_radius: view px.
        font, strong: of chips and notes.
    """

    backdrop: QColor
    corner: QColor
    accent: QColor
    note: QColor
    radius: int
    chip_radius: int
    font: QFont
    strong: QFont

    @staticmethod
    def of(theme: Theme) -> CanvasStyle:
        """The canvas's part of a theme."""
        return CanvasStyle(
            backdrop=theme.color("canvas"),
            corner=theme.color("window"),
            accent=theme.color("accent"),
            note=theme.color("muted"),
            radius=theme.radius["pane"],
            chip_radius=theme.radius["chip"],
            font=theme.font("body"),
            strong=theme.font("body", bold=True),
        )

    @staticmethod
    def default() -> CanvasStyle:
        """The dark theme's."""
        return CanvasStyle.of(load_theme("dark"))

"""How the canvas itself looks: the few tokens of the theme that it paints with."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QFont

from app.ui.shell.theme import Theme, load_theme

#: Text of chips, which are dark in both themes: they lie on images.
CHIP_TEXT = QColor(245, 247, 250)


def chip_ground(*, hot: bool) -> QColor:
    """What chips are painted on; ``hot`` under the pointer."""
    return QColor(16, 18, 22, 230 if hot else 217)


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
        small: of names on the image.
    """

    backdrop: QColor
    corner: QColor
    accent: QColor
    note: QColor
    radius: int
    chip_radius: int
    font: QFont
    strong: QFont
    small: QFont

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
            small=theme.font("small"),
        )

    @staticmethod
    def default() -> CanvasStyle:
        """The dark theme's."""
        return CanvasStyle.of(load_theme("dark"))

"""The bar above the picture: name, image, tools, brush size, undo, 'Reviewed, next'."""

from __future__ import annotations

from math import log

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QSlider, QToolButton, QWidget

from app.actions.table import TOOLBAR
from app.ui.action_builder import ActionBuilder
from app.ui.docks.elided_label import ElidedLabel
from app.ui.docks.panel import toned

#: The slider is logarithmic: half of it for brushes up to 32 px.
_STEPS, _LARGEST = 100, 1000


class TopBar(QWidget):
    """One row of tools.

    Signals:
        diameterChosen(int): from the slider, in px.
    """

    diameterChosen = Signal(int)

    def __init__(self, actions: ActionBuilder) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 2)
        row.setSpacing(4)
        self.menu_button = QToolButton()
        self.menu_button.setObjectName("menuButton")
        self.menu_button.setText("Atrous")
        self.menu_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.menu_button.setToolTip("All menus (F10)")
        row.addWidget(self.menu_button)
        self.title = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        row.addWidget(self.title, 3)
        self.tools: list[QToolButton] = [actions.tool_button(action_id) for action_id in TOOLBAR]
        for button in self.tools:
            button.setFixedSize(36, 34)
            row.addWidget(button)
        row.addSpacing(10)
        self.size_text = toned("Size 24", size="body")
        self.size_text.setMinimumWidth(QFontMetrics(self.size_text.font()).horizontalAdvance("Size 1000"))
        row.addWidget(self.size_text)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setFixedWidth(110)
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.slider.setAccessibleName("Brush size")
        self.slider.setToolTip("Brush size in px of the image   [ and ], Shift+wheel")
        self.slider.valueChanged.connect(lambda place: self.diameterChosen.emit(_diameter(place)))
        row.addWidget(self.slider)
        row.addSpacing(10)
        for action_id in ("edit.undo", "edit.redo"):
            button = actions.tool_button(action_id)
            button.setFixedSize(34, 34)
            row.addWidget(button)
        row.addSpacing(6)
        self.extra = QWidget()
        extras = QHBoxLayout(self.extra)
        extras.setContentsMargins(0, 0, 0, 0)
        extras.setSpacing(2)
        for action_id in ("view.linked", "window.fold"):
            button = actions.tool_button(action_id)
            button.setFixedSize(34, 34)
            extras.addWidget(button)
        row.addWidget(self.extra)
        row.addStretch(2)
        self.export_button = _push(actions, "project.export", "Export")
        row.addWidget(self.export_button)
        row.addSpacing(4)
        self.done_button = _push(actions, "go.reviewed_next", "Reviewed, next")
        self.done_button.setProperty("primary", True)
        row.addWidget(self.done_button)
        for button in (self.export_button, self.done_button):
            button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.menu_button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        #: What gives way first when the window is narrow; all of it is in the menus too.
        self._gives_way = ((1240, self.export_button), (1120, self.size_text), (1120, self.slider), (980, self.extra))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for width, part in self._gives_way:
            part.setVisible(self.width() >= width)

    def show_title(self, name: str, detail: str) -> None:
        """Name of the image, and its size and place in the list."""
        self.title.set_text(f"{name} · {detail}" if detail else name)

    def show_diameter(self, diameter: int) -> None:
        self.size_text.setText(f"Size {diameter}")
        with QSignalBlocker(self.slider):
            if _diameter(self.slider.value()) != diameter:
                self.slider.setValue(_place(diameter))


def _push(actions: ActionBuilder, action_id: str, text: str) -> QPushButton:
    """A button with its own words for a command; enabled and explained by it."""
    button, action = QPushButton(text), actions[action_id]
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    button.clicked.connect(action.trigger)

    def follow() -> None:
        button.setEnabled(action.isEnabled())
        button.setToolTip(action.toolTip())

    action.changed.connect(follow)
    follow()
    return button


def _diameter(place: int) -> int:
    return round(_LARGEST ** (place / _STEPS))


def _place(diameter: int) -> int:
    return round(_STEPS * log(max(diameter, 1)) / log(_LARGEST))

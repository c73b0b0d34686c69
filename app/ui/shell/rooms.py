"""The three rooms of the window, Annotate, Compare and Errors: the switch in the top bar, and what each room has no use for."""

from __future__ import annotations

from enum import StrEnum
from functools import partial

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from app.actions.context import ContextKeys
from app.services.timers import single_shot
from app.text import mark, tr
from app.ui.common.tips import rich_tip
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.dock_layout import DockFolding
from app.ui.shell.icons import make_icon
from app.ui.shell.theme import Theme

#: Height of a segment, and its width with and without its word, in px.
_HEIGHT, _WIDTH, _NARROW = 32, 74, 34
#: Panels that say nothing about the pages of the Evaluation panel.
_NOT_WITH_ERRORS = ("crf", "trimap", "history")
#: In a window narrower than this (px) Compare and the pages of the Evaluation panel need the room of the list of images; keys
#: and pages lead to images, too.
_NARROW_WINDOW = 900


class Room(StrEnum):
    """What the middle of the window is for; the value is its English word."""

    ANNOTATE = mark("Annotate")
    COMPARE = mark("Compare")
    ERRORS = mark("Errors")


_TIPS = {
    Room.ANNOTATE: mark("The image, to correct its mask"),
    Room.COMPARE: mark("Two to four models side by side on the image"),
    Room.ERRORS: mark("The Evaluation panel: where the wrong pixels of the folder are"),
}
_ICONS = {Room.ANNOTATE: "annotate", Room.COMPARE: "compare", Room.ERRORS: "matrix"}
#: The command that enters a room and leaves it again.
_COMMANDS = {Room.COMPARE: "model.compare", Room.ERRORS: "inspect.view"}


class RoomSwitch(QWidget):
    """Three segments, of which the one of the current room is checked.

    Signals:
        chosen(Room): the user wants this room.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("roomSwitch")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(tr("Rooms of the window"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self.segments: dict[Room, QToolButton] = {}
        for room in Room:
            segment = self.segments[room] = QToolButton()
            segment.setText(tr(room.value))
            segment.setCheckable(True)
            segment.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            segment.setAccessibleName(tr(room.value))
            segment.setToolTip(rich_tip(f"<b>{tr(room.value)}</b><br>{tr(_TIPS[room])}"))
            segment.setIconSize(QSize(18, 18))
            segment.clicked.connect(partial(self._choose, room))
            row.addWidget(segment)
        self.set_words(True)
        self.show_room(Room.ANNOTATE)

    def show_room(self, room: Room) -> None:
        """Check the segment of the current room."""
        for one, segment in self.segments.items():
            segment.setChecked(one is room)

    @property
    def narrow(self) -> int:
        """Width without words, in px."""
        return len(self.segments) * _NARROW

    def set_words(self, on: bool) -> None:
        """Words, or icons in a narrow window."""
        style = Qt.ToolButtonStyle.ToolButtonTextOnly if on else Qt.ToolButtonStyle.ToolButtonIconOnly
        for segment in self.segments.values():
            segment.setToolButtonStyle(style)
            segment.setFixedSize(_WIDTH if on else _NARROW, _HEIGHT)
        self.setFixedSize(len(self.segments) * _WIDTH if on else self.narrow, _HEIGHT)

    def set_theme(self, theme: Theme) -> None:
        """Draw the icons in the theme's colours."""
        for room, segment in self.segments.items():
            segment.setIcon(make_icon(_ICONS[room], theme))

    def _choose(self, room: Room) -> None:
        self.segments[room].toggle()  # Qt has switched it; what the click leads to decides
        self.chosen.emit(room)


class Rooms(QObject):
    """Moves between the rooms by the commands that exist for it, and follows them, whoever runs them.

    Signals:
        entered(Room): another room is in front.
    """

    entered = Signal(object)

    def __init__(
        self, parent: QObject, switch: RoomSwitch, commands: ActionBuilder, context: ContextKeys, folding: DockFolding
    ) -> None:
        super().__init__(parent)
        self._switch, self._commands, self._context, self._folding = switch, commands, context, folding
        self._shown = Room.ANNOTATE
        self._widths_back = single_shot(self, 0, folding.restore_widths)  # the layout still shows what the other room needed
        switch.chosen.connect(self.show)
        context.changed.connect(self._follow)
        for room, command in _COMMANDS.items():
            commands[command].changed.connect(partial(self._follow_command, room, command))
            self._follow_command(room, command)
        self._follow(frozenset({"has_images"}))

    @property
    def room(self) -> Room:
        """The room in front."""
        if self._context["evaluation_open"]:
            return Room.ERRORS
        return Room.COMPARE if self._context["comparing"] else Room.ANNOTATE

    def show(self, room: Room) -> None:
        """Go to a room; nothing happens if it is in front."""
        if room is not Room.ERRORS and self._context["evaluation_open"]:
            self._commands[_COMMANDS[Room.ERRORS]].trigger()
        if room is Room.ERRORS and not self._context["evaluation_open"]:
            self._commands[_COMMANDS[Room.ERRORS]].trigger()
        if room is Room.ANNOTATE and self._context["comparing"]:
            self._commands[_COMMANDS[Room.COMPARE]].trigger()
        if room is Room.COMPARE and not self._context["comparing"]:
            self._commands[_COMMANDS[Room.COMPARE]].trigger()
        self._switch.show_room(self.room)

    def _follow(self, changed: frozenset[str]) -> None:
        if "has_images" in changed:
            self._switch.segments[Room.ANNOTATE].setEnabled(self._context["has_images"])
        if "comparing" in changed and self._context.hold("comparing", "evaluation_open"):
            self._commands[_COMMANDS[Room.ERRORS]].trigger()  # who compares looks at the image
            return
        if self.room is self._shown:
            return
        self._widths_back.stop()
        if self._shown is Room.ANNOTATE:
            self._folding.keep_widths()
        self._shown = self.room
        self._switch.show_room(self._shown)
        self._folding.bring_back()
        if self._shown is Room.ANNOTATE:
            self._widths_back.start()
        narrow = self._shown is not Room.ANNOTATE and self._switch.window().width() < _NARROW_WINDOW
        self._folding.put_away((*(_NOT_WITH_ERRORS if self._shown is Room.ERRORS else ()), *(("images",) if narrow else ())))
        self.entered.emit(self._shown)

    def _follow_command(self, room: Room, command: str) -> None:
        action, segment = self._commands[command], self._switch.segments[room]
        segment.setEnabled(action.isEnabled())
        key = self._commands.shown_key(command)
        segment.setToolTip(rich_tip(f"<b>{tr(room.value)}</b>" + (f" &nbsp; {key}" if key else "") + f"<br>{tr(_TIPS[room])}"))

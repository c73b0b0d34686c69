"""THE list of commands. Menus, top bar, context menu, command palette and the lists of keyboard shortcuts derive from it."""

from __future__ import annotations

from app.actions.edit_table import CLASS_KEYS, EDIT_COMMANDS
from app.actions.spec import ActionSpec, Gesture
from app.actions.view_table import VIEW_COMMANDS
from app.state.tools import TOOLS
from app.text import mark as _

__all__ = ["ACTIONS", "CLASS_KEYS", "GESTURES", "TOOLBAR", "by_id"]

ACTIONS: tuple[ActionSpec, ...] = (*EDIT_COMMANDS, *VIEW_COMMANDS)

#: Tool buttons of the top bar, left to right.
TOOLBAR = tuple(tool.action for tool in TOOLS if tool.in_bar)

#: What the hands do on the picture that no command stands for.
GESTURES: tuple[Gesture, ...] = (
    Gesture(_("Left drag"), _("Use the current tool")),
    Gesture(_("Right drag"), _("Restore to the prediction")),
    Gesture(_("Right click"), _("Components: a menu; Clicks: a point beside the object")),
    Gesture(_("Shift+click"), _("Straight line from the last point")),
    Gesture(_("Wheel, Ctrl+wheel"), _("Zoom at the pointer")),
    Gesture(_("Shift+wheel"), _("Brush size")),
    Gesture(_("Alt+wheel"), _("Overlay opacity; larger or smaller regions")),
    Gesture(_("Space+drag, middle drag"), _("Pan the image")),
    Gesture(_("Enter / Backspace"), _("Close the polygon / remove its last corner")),
    Gesture(_("Esc"), _("Cancel the current stroke or polygon")),
    Gesture(_("Enter, Esc in a panel"), _("Return keyboard focus to the image")),
)


def by_id(action_id: str) -> ActionSpec:
    """The command of this id. Raises KeyError if unknown."""
    return _BY_ID[action_id]


_BY_ID = {spec.id: spec for spec in ACTIONS}

"""What a command is, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.text import mark, tr


class Group(StrEnum):
    """Where a command is in menus and in the lists of keyboard shortcuts; the value is its English title."""

    FILE = mark("File")
    EDIT = mark("Edit")
    NAVIGATE = mark("Go")
    TOOLS = mark("Tools")
    CLASSES = mark("Classes")
    VIEW = mark("View")
    MODEL = mark("Model")
    REFINE = mark("Refine")
    TRUTH = mark("Ground truth")
    WINDOW = mark("Window")
    HELP = mark("Help")

    @property
    def heading(self) -> str:
        """In the language of the window."""
        return tr(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """One command.

    Attributes:
        id: stable name, ``"group.verb"``; overrides of shortcuts are stored under it.
        text: menu entry in plain English; an ellipsis means that it asks something first.
        group: see :class:`Group`.
        handler: ``"feature.method"``; ``window`` stands for the window itself.
        argument: passed to the handler where it is not None.
        icon: name of a file in ``resources/icons``, or empty.
        shortcuts: default keys in Qt's portable spelling, the first one is shown.
        enabled_when: context keys that must all be true; ``"!name"`` asks for the opposite.
        checked_from: the context key that the check mark shows; empty for a plain command.
        tip: one sentence for the tooltip and the palette.
        held: the command works while its key is held (blink); it has no menu click of its own.
        repeats: runs again and again while its key is held.
        separated: starts a new section in its menu.
    """

    id: str
    text: str
    group: Group
    handler: str
    argument: object = None
    icon: str = ""
    shortcuts: tuple[str, ...] = ()
    enabled_when: tuple[str, ...] = ()
    checked_from: str = ""
    tip: str = ""
    held: bool = False
    repeats: bool = False
    separated: bool = False

    @property
    def title(self) -> str:
        """The text in the language of the window."""
        return tr(self.text)

    @property
    def explanation(self) -> str:
        """The tip in the language of the window; empty without one."""
        return tr(self.tip) if self.tip else ""

    @property
    def feature(self) -> str:
        """Name of the feature that handles it."""
        return self.handler.partition(".")[0]

    @property
    def method(self) -> str:
        """Name of the method of that feature."""
        return self.handler.partition(".")[2]

    @property
    def context_keys(self) -> frozenset[str]:
        """Every context key that the command depends on."""
        names = {name.removeprefix("!") for name in self.enabled_when}
        return frozenset(names | ({self.checked_from} if self.checked_from else set()))


#: What runs again and again while its key is held; everything else runs once, however long a key is down.
_REPEATING = frozenset(
    {"go.next", "go.previous", "go.next_unreviewed", "go.previous_unreviewed", "go.next_worst", "go.next_error", "edit.undo",
     "edit.redo",
     "brush.larger", "brush.smaller", "class.previous", "class.next", "view.more_opaque", "view.less_opaque", "view.zoom_in",
     "view.zoom_out", "view.brighter", "view.darker", "view.more_contrast", "view.less_contrast", "view.more_gamma",
     "view.less_gamma", "inspect.next", "inspect.previous"}
)  # fmt: skip


def command(group: Group, id: str, text: str, handler: str, **rest: Any) -> ActionSpec:  # noqa: A002 - the field's own name
    """A command; ``keys`` are its shortcuts, one or several."""
    shortcuts = rest.pop("keys", ())
    rest["repeats"] = id in _REPEATING
    return ActionSpec(
        id=id,
        text=text,
        group=group,
        handler=handler,
        shortcuts=(shortcuts,) if isinstance(shortcuts, str) else shortcuts,
        **rest,
    )


@dataclass(frozen=True, slots=True)
class Gesture:
    """Something the hands do on the picture that is not a command: shown in the list of keyboard shortcuts."""

    keys: str
    text: str

"""Builds QActions, menus and tool buttons from the table of commands, and keeps them in step with context keys and shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from app.actions.context import ContextKeys
from app.actions.keymap import Keymap
from app.actions.spec import ActionSpec, Group
from app.actions.table import ACTIONS, TOOLBAR, by_id
from app.text import tr
from app.ui.common.tips import rich_tip
from app.ui.shell.icons import make_icon
from app.ui.shell.keys import key_text
from app.ui.shell.theme import Theme
from deeplab_core.flavour import missing_torch

#: Commands with icons in the first frame; those of the menus are painted after it.
_FIRST_SEEN = (*TOOLBAR, "edit.undo", "edit.redo", "view.linked", "window.fold")


class ActionBuilder:
    """One QAction per command.

    Args:
        owner: the window.
        context, keymap: which commands are enabled, and their shortcuts.

    Until :meth:`bind` every command is disabled: the window is painted before its controllers exist.
    """

    def __init__(self, owner: QWidget, context: ContextKeys, keymap: Keymap, theme: Theme) -> None:
        self._context, self.keymap = context, keymap
        self._bound = False
        self.actions: dict[str, QAction] = {}
        for spec in ACTIONS:
            action = QAction(spec.title, owner)
            action.setObjectName(spec.id)
            action.setCheckable(bool(spec.checked_from))
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)  # to be shown in menus; keys come by ui/input/router
            self.actions[spec.id] = action
            owner.addAction(action)
        self._theme = theme
        self._paint_icons(_FIRST_SEEN)
        self.apply_keys()
        self._refresh_all()
        context.changed.connect(self._refresh)

    def bind(self, feature: Callable[[str], object]) -> None:
        """Connect every command to its handler; ``feature`` finds the object by name when the command is first used."""
        for spec in ACTIONS:
            run = partial(run_handler, spec, feature)
            if not spec.held:
                self.actions[spec.id].triggered.connect(lambda _checked=False, run=run, spec=spec: self._run(spec, run))
        self._bound = True
        self.set_theme(self._theme)
        self._refresh_all()

    def _run(self, spec: ActionSpec, run: Callable[[], object]) -> None:
        """Qt has flipped the check mark already; what the command came to decides, also where it changed nothing."""
        run()
        self._show_state(spec)

    def __getitem__(self, action_id: str) -> QAction:
        return self.actions[action_id]

    def apply_keys(self) -> None:
        """Give every action the keys that the keymap says. Held commands keep theirs out of Qt's shortcuts."""
        for spec in ACTIONS:
            action, keys = self.actions[spec.id], self.keymap.keys(spec.id)
            action.setShortcuts([] if spec.held else [QKeySequence(key) for key in keys])
            shown = self.shown_key(spec.id)
            tip = self.refusal(spec.id) or spec.explanation
            action.setToolTip(
                rich_tip(
                    f"<b>{spec.title.rstrip('…')}</b>"
                    + (f" &nbsp; {shown}" if shown else "")
                    + (f"<br>{escape(tip, quote=False)}" if tip else "")
                )
            )

    def refusal(self, action_id: str) -> str:
        """Why a command cannot be used in this installation, and what to do about it; empty where it can."""
        spec = by_id(action_id)
        if "!light" not in spec.enabled_when or not self._context["light"]:
            return ""
        error = missing_torch(spec.title.rstrip("…"))
        return f"{tr(error.what)}. {tr(error.remedy)}"

    def shown_key(self, action_id: str) -> str:
        """The first key of a command as the user's keyboard reads; empty without one."""
        keys = self.keymap.keys(action_id)
        return key_text(keys[0], self.keymap.printed) if keys else ""

    def set_theme(self, theme: Theme) -> None:
        """Colour the icons again."""
        self._theme = theme
        self._paint_icons(spec.id for spec in ACTIONS)

    def _paint_icons(self, ids: Iterable[str]) -> None:
        for action_id in ids:
            icon = by_id(action_id).icon
            if icon:
                self.actions[action_id].setIcon(make_icon(icon, self._theme))

    def group_menu(self, group: Group, parent: QWidget) -> QMenu:
        """The menu of one group."""
        menu = QMenu(group.heading, parent)
        menu.setToolTipsVisible(any(self.refusal(spec.id) for spec in ACTIONS if spec.group is group))
        for spec in ACTIONS:
            if spec.group is group and not spec.held:
                if spec.separated:
                    menu.addSeparator()
                menu.addAction(self.actions[spec.id])
        return menu

    def tool_button(self, action_id: str, parent: QWidget | None = None) -> QToolButton:
        """A button of the top bar. It never takes the keyboard from the picture."""
        button = QToolButton(parent)
        button.setDefaultAction(self.actions[action_id])
        button.setAccessibleName(self.actions[action_id].text())
        return button

    def _refresh_all(self) -> None:
        for spec in ACTIONS:
            self._show_state(spec)

    def _refresh(self, changed: frozenset[str]) -> None:
        if "light" in changed:
            self.apply_keys()  # tooltips name the reason
        for spec in ACTIONS:
            if spec.context_keys & changed:
                self._show_state(spec)

    def _show_state(self, spec: ActionSpec) -> None:
        action = self.actions[spec.id]
        action.setEnabled(self._bound and self._context.hold(*spec.enabled_when))
        if spec.checked_from:
            action.setChecked(self._context[spec.checked_from])


def handler(spec: ActionSpec, feature: Callable[[str], object]) -> Callable[..., object]:
    """The method that a command calls. Raises LookupError if the table names something that does not exist."""
    method: Callable[..., object] | None = getattr(feature(spec.feature), spec.method, None)
    if method is None:
        raise LookupError(f"'{spec.id}' is handled by '{spec.handler}', which does not exist")
    return method


def run_handler(spec: ActionSpec, feature: Callable[[str], object]) -> object:
    """Call the method of a command, with its argument if it has one."""
    method = handler(spec, feature)
    return method() if spec.argument is None else method(spec.argument)

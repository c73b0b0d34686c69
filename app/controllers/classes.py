"""The project's classes as the hands know them: keys, colours, what is shown, which one is in hand."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.actions.table import CLASS_KEYS
from app.controllers.edit import EditController
from app.controllers.view import ViewState
from app.services.notifications import Notifier
from app.state.class_rows import default_keys
from app.state.project import Project
from deeplab_core.catalog import ClassCatalog, Color
from deeplab_core.errors import AtrousError


class ClassesController(QObject):
    """Verbs of the classes dock and of the class keys.

    Signals:
        changed(): catalog, colours, keys or order have changed.
    """

    changed = Signal()

    def __init__(self, edit: EditController, view: ViewState, notifier: Notifier, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._edit, self._view, self._notifier = edit, view, notifier
        self._project: Project | None = None
        self.keys: dict[str, int] = {}
        #: Ids in the order of the dock: what 'next class' walks.
        self.order: list[int] = []

    @property
    def catalog(self) -> ClassCatalog | None:
        return None if self._project is None else self._project.catalog

    def set_project(self, project: Project | None) -> None:
        """Follow another project: its catalog, its keys, the classes it hides."""
        self._project = project
        if project is not None:
            stored = project.setting("class_keys")
            self.keys = default_keys(project.catalog, CLASS_KEYS, stored if isinstance(stored, dict) else None)
            hidden = project.setting("hidden_classes", [])
            self._set_hidden(frozenset(hidden) & frozenset(project.catalog.ids.tolist()))
            if self._edit.tools.class_id not in project.catalog.ids:
                foreground = [info.id for info in project.catalog.classes if info.id != project.catalog.background]
                self._edit.tools.choose_class((foreground or [project.catalog.classes[0].id])[0])
        self.changed.emit()

    def choose(self, class_id: int) -> None:
        """Take a class in hand."""
        self._edit.choose_class(class_id)

    def choose_key(self, key: str) -> None:
        """Take the class with this key in hand; nothing where no class has it."""
        if key in self.keys:
            self._edit.choose_class(self.keys[key])

    def choose_void(self) -> None:
        if self.catalog is not None:
            self._edit.choose_class(self.catalog.ignore)

    def next_class(self) -> None:
        self._step(1)

    def previous_class(self) -> None:
        self._step(-1)

    def swap_classes(self) -> None:
        if not self._edit.busy:
            self._edit.tools.swap_classes()

    def assign_key(self, class_id: int, key: str) -> None:
        """Give a class a key; the class that had it loses it."""
        self.keys = {known: owner for known, owner in self.keys.items() if known != key and owner != class_id} | {key: class_id}
        self._keep("class_keys", self.keys)
        self.changed.emit()

    def recolor(self, class_id: int, color: Color) -> None:
        """Give a class another colour; no pixel of any mask changes."""
        if self._project is None or self.catalog is None or class_id == self.catalog.ignore:
            return
        try:
            self._project.set_catalog(self.catalog.recolored(class_id, color))
        except AtrousError as error:
            self._notifier.report(error)
            return
        self.changed.emit()

    def set_visible(self, class_id: int, visible: bool) -> None:
        """Show or hide a class in every pane."""
        hidden = self._view.overlay.hidden - {class_id} if visible else self._view.overlay.hidden | {class_id}
        self._set_hidden(hidden)
        self._keep("hidden_classes", sorted(hidden))

    def show_only(self, class_id: int) -> None:
        """Hide every class but one."""
        if self.catalog is not None:
            hidden = frozenset(self.catalog.ids.tolist()) - {class_id}
            self._set_hidden(hidden)
            self._keep("hidden_classes", sorted(hidden))

    def show_all(self) -> None:
        self._set_hidden(frozenset())
        self._keep("hidden_classes", [])

    def _step(self, direction: int) -> None:
        if self.order:
            current = self._edit.tools.class_id
            place = self.order.index(current) if current in self.order else 0
            self._edit.choose_class(self.order[(place + direction) % len(self.order)])

    def _set_hidden(self, hidden: frozenset[int]) -> None:
        self._view.set_overlay(replace(self._view.overlay, hidden=hidden))
        self.changed.emit()

    def _keep(self, key: str, value: object) -> None:
        if self._project is not None and not self._project.read_only:
            try:
                self._project.set_setting(key, value)
            except AtrousError as error:
                self._notifier.report(error)

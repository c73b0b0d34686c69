"""The project's classes with keys, colours, visibility and the selected class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.actions.table import CLASS_KEYS
from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.services.services import Services
from app.state.class_choice import HIDDEN
from app.state.class_keys import assign_keys, assigned_keys, with_key
from app.state.project import Project
from app.viewmodels.annotate.class_rows import arranged, effective_keys
from deeplab_core.catalogs.catalog import ClassCatalog, Color
from deeplab_core.errors import AtrousError


class ClassesController(QObject):
    """Verbs of the classes dock and of the class keys.

    Signals:
        changed(): catalog, colours, keys or order have changed.
        keyChosen(class id): the key of a class was pressed; it is the selected one.
    """

    changed = Signal()
    keyChosen = Signal(int)

    def __init__(self, services: Services, edit: EditController, view: ViewState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._edit, self._view, self._notifier, self._settings = edit, view, services.notifier, services.settings
        self._project: Project | None = None
        #: Keys that never move, and all keys as they work on the image in view.
        self.assigned: dict[str, int] = {}
        self.keys: dict[str, int] = {}
        #: Classes of the image in view, which get the free keys.
        self.present: frozenset[int] = frozenset()
        self._kept_name: object = None
        services.settings.changed.connect(self._follow_setting)
        #: Ids in the order of the dock: what 'next class' steps through.
        self.order: list[int] = []

    @property
    def catalog(self) -> ClassCatalog | None:
        return None if self._project is None else self._project.catalog

    @property
    def shown(self) -> ClassCatalog | None:
        """The catalog in the colours in which the window shows it."""
        return None if self.catalog is None else self._view.overlay.shown(self.catalog)

    @property
    def locked(self) -> frozenset[int]:
        """Classes with pixels that keep them (ADR 125)."""
        return frozenset() if self._project is None else self._project.locked_classes

    def set_project(self, project: Project | None) -> None:
        """Follow another project: its catalog, its keys, the classes it hides."""
        self._keep_selected()  # in the project that is left
        self._project = project
        self.present = frozenset()
        if project is not None:
            self.assigned = assigned_keys(project)
            self._share_keys()
            hidden = project.setting(HIDDEN, [])
            self._set_hidden(frozenset(hidden) & frozenset(project.catalog.ids.tolist()))
            self._kept_name = project.setting("selected_class")
            kept = project.catalog.by_name(self._kept_name) if isinstance(self._kept_name, str) else None
            if kept is not None:  # by its name, or as what a class of that name has become
                self._edit.tools.choose_class(kept.id)
            elif self._edit.tools.class_id not in project.catalog.ids:
                foreground = [info.id for info in project.catalog.classes if info.id != project.catalog.background]
                self._edit.tools.choose_class((foreground or [project.catalog.classes[0].id])[0])
            self._edit.tools.forget_others((*project.catalog.ids.tolist(), project.catalog.ignore))
        self.changed.emit()

    def _follow_setting(self, key: str) -> None:
        if key == "canvas.class_colors":
            self._view.set_overlay(replace(self._view.overlay, class_colors=self._settings[key]))
            self.changed.emit()

    def arrange(self, present: frozenset[int]) -> None:
        """Order the classes for an image, and give the free keys to those that are in it. Nothing is emitted."""
        self.present = present
        self._share_keys()
        if self.catalog is not None:
            self.order = arranged(self.catalog, present)
        self._keep_selected()

    def choose(self, class_id: int) -> None:
        """Select a class."""
        self._edit.choose_class(class_id)

    def choose_key(self, key: str) -> None:
        """Select the class with this key; nothing if no class has it."""
        if key in self.keys:
            self._press(self.keys[key])

    def choose_void(self) -> None:
        if self.catalog is not None:
            self._press(self.catalog.ignore)

    def _press(self, class_id: int) -> None:
        if not self._edit.busy:
            self._edit.choose_class(class_id)
            self.keyChosen.emit(class_id)

    def next_class(self) -> None:
        self._step(1)

    def previous_class(self) -> None:
        self._step(-1)

    def swap_classes(self) -> None:
        if not self._edit.busy:
            self._edit.tools.swap_classes()

    def assign_key(self, class_id: int, key: str) -> None:
        """Give a class a key that never moves; the class that had it gets a free one."""
        self._assign(with_key(self.assigned, class_id, key))

    def release_key(self, class_id: int) -> None:
        """Take an assigned key from a class; it is one of the free ones then."""
        self._assign(with_key(self.assigned, class_id, ""))

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
        self._hide(self._view.overlay.hidden - {class_id} if visible else self._view.overlay.hidden | {class_id})

    def set_locked(self, class_id: int, locked: bool) -> None:
        """Lock a class, so that no tool, job or import gives or takes its pixels, or let them change again."""
        self._lock(self.locked | {class_id} if locked else self.locked - {class_id})

    def set_states(self, locked: frozenset[int], hidden: frozenset[int], keys: Mapping[str, int]) -> None:
        """Lock and hide these classes and no others, and assign these keys; ids that the project does not have are left out."""
        if self.catalog is not None:
            known = frozenset(self.catalog.ids.tolist())
            self._lock(locked & known)
            self._hide(hidden & known)
            assigned = {key: class_id for key, class_id in keys.items() if class_id in known}
            if assigned != self.assigned:
                self._assign(assigned)

    def show_only(self, class_id: int) -> None:
        """Hide every class but one."""
        if self.catalog is not None:
            self._hide(frozenset(self.catalog.ids.tolist()) - {class_id})

    def show_all(self) -> None:
        self._hide(frozenset())

    def _step(self, direction: int) -> None:
        if self.order:
            current = self._edit.tools.class_id
            place = self.order.index(current) if current in self.order else 0
            self._edit.choose_class(self.order[(place + direction) % len(self.order)])

    def _assign(self, assigned: dict[str, int]) -> None:
        self.assigned = assigned
        self._share_keys()
        if self._project is not None and not self._project.read_only:
            try:
                assign_keys(self._project, assigned)
            except AtrousError as error:
                self._notifier.report(error)
        self.changed.emit()

    def _share_keys(self) -> None:
        if self.catalog is not None:
            self.keys = effective_keys(self.catalog, CLASS_KEYS, self.assigned, self.present)

    def _keep_selected(self) -> None:
        """Remember the selected class by its name: ids change with the classes of a project."""
        if self.catalog is None or self._edit.tools.class_id not in self.catalog.ids:
            return
        name = self.catalog.by_id(self._edit.tools.class_id).name
        if name != self._kept_name:
            self._kept_name = name
            self._keep("selected_class", name)

    def _lock(self, locked: frozenset[int]) -> None:
        if self._project is None or locked == self.locked:
            return
        try:
            self._project.lock_classes(locked)
        except AtrousError as error:
            self._notifier.report(error)
            return
        self._edit.limitsChanged.emit()
        self.changed.emit()

    def _hide(self, hidden: frozenset[int]) -> None:
        if hidden != self._view.overlay.hidden:
            self._set_hidden(hidden)
            self._keep(HIDDEN, sorted(hidden))

    def _set_hidden(self, hidden: frozenset[int]) -> None:
        self._view.set_overlay(replace(self._view.overlay, hidden=hidden))
        self.changed.emit()

    def _keep(self, key: str, value: object) -> None:
        if self._project is not None and not self._project.read_only:
            try:
                self._project.set_setting(key, value)
            except AtrousError as error:
                self._notifier.report(error)

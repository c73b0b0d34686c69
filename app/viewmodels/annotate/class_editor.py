"""A draft of edits of the classes: what the class editor shows and what its buttons do. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from app.state.class_keys import check_key, keyed, with_key
from app.text import mark, plural, tr
from app.viewmodels.annotate.class_rows import effective_keys
from deeplab_core.catalogs import DEFAULT_KEYS
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo, Color
from deeplab_core.catalogs.editing import (
    CatalogEdit,
    add_class,
    delete_class,
    joined,
    merge_classes,
    recolor_all,
    recolor_class,
    rename_class,
    reorder_classes,
)
from deeplab_core.catalogs.lists import LIST_FORMATS
from deeplab_core.errors import CatalogError

#: Files that class lists are read from, for a file dialog.
LIST_FILES = mark("Class lists (*.txt *.json *.yaml *.yml *.csv *.xml);;All files (*)")


@dataclass(frozen=True, slots=True)
class ClassLoss:
    """A class of the project that the draft takes away, and what its pixels become: a class's name, or None for void."""

    class_id: int
    name: str
    target: str | None


@dataclass(frozen=True, slots=True)
class _Step:
    """An edit of the classes, None for a step that leaves them, and what is locked, hidden and assigned after it."""

    edit: CatalogEdit | None
    locked: frozenset[int]
    hidden: frozenset[int]
    keys: Mapping[str, int]


class ClassDraft:
    """The project's classes with edits that are not applied yet, which of them are locked and hidden, and their keys.

    Attributes:
        before: the project's classes.
    """

    def __init__(
        self,
        catalog: ClassCatalog,
        reserved: Mapping[int, ClassInfo] | None = None,
        *,
        locked: frozenset[int] = frozenset(),
        hidden: frozenset[int] = frozenset(),
        keys: Mapping[str, int] | None = None,
        present: frozenset[int] = frozenset(),
    ) -> None:
        """Begin with no edit.

        Args:
            reserved: classes that are gone, by their ids, which a new class must not get.
            locked, hidden: ids as the project has them.
            keys: assigned key -> class id, as the project has them.
            present: ids of the classes in the image in view, which get the free keys.
        """
        self.before = catalog
        self._reserved = dict(reserved or {})
        self._present = present
        self._steps = [_Step(None, locked, hidden, dict(keys or {}))]
        self._added: _Step | None = None  # of the class that was added last, until it has its name

    @property
    def edits(self) -> list[CatalogEdit]:
        """What was done to the classes, oldest first."""
        return [step.edit for step in self._steps if step.edit is not None]

    @property
    def changed(self) -> bool:
        """Whether there is anything to apply or to undo."""
        return len(self._steps) > 1

    @property
    def catalog(self) -> ClassCatalog:
        """The classes with every edit of the draft."""
        edits = self.edits
        return edits[-1].catalog if edits else self.before

    @property
    def locked(self) -> frozenset[int]:
        """Ids of the classes of the draft that keep their pixels."""
        return self._steps[-1].locked.intersection(self.catalog.ids.tolist())

    @property
    def hidden(self) -> frozenset[int]:
        """Ids of the classes of the draft that are not drawn."""
        return self._steps[-1].hidden.intersection(self.catalog.ids.tolist())

    @property
    def keys(self) -> dict[str, int]:
        """Assigned key -> class id, of the classes of the draft."""
        known = set(self.catalog.ids.tolist())
        return {key: class_id for key, class_id in self._steps[-1].keys.items() if class_id in known}

    @property
    def all_keys(self) -> dict[str, int]:
        """Key -> class id as the keys would work on the image in view: the assigned ones and the free ones."""
        return effective_keys(self.catalog, DEFAULT_KEYS, self.keys, self._present)

    @property
    def listed(self) -> ClassCatalog:
        """The classes with their assigned keys, to be written to a file."""
        return keyed(self.catalog, self.keys)

    @property
    def reserved(self) -> dict[int, ClassInfo]:
        """Classes by their ids, which a new class must not get: those that are gone, in the project and in the draft."""
        used = {info.id: info for edit in self.edits for info in edit.catalog.classes}
        return self._reserved | {info.id: info for info in self.before.classes} | used

    @property
    def whole(self) -> CatalogEdit | None:
        """All edits as one; None without any."""
        edits = self.edits
        return joined(self.before, edits) if edits else None

    @property
    def losses(self) -> list[ClassLoss]:
        """Classes of the project that are gone, in their order."""
        whole = self.whole
        moved = {} if whole is None else whole.moved
        targets = {old: None if new is None else self.catalog.by_id(new).name for old, new in moved.items()}
        return [ClassLoss(info.id, info.name, targets[info.id]) for info in self.before.classes if info.id in targets]

    def add(self, name: str) -> ClassInfo:
        """Add a class with a colour that differs from the others. Raises CatalogError."""
        self.do(add_class(self.catalog, name, reserved=self.reserved))
        self._added = self._steps[-1]
        return self.catalog.classes[-1]

    def set_name(self, class_id: int, name: str) -> None:
        """Raises CatalogError for a name that is not free; the same name changes nothing."""
        if " ".join(name.split()) == self.catalog.by_id(class_id).name:
            return
        info = self.catalog.classes[-1]
        if self._steps[-1] is self._added and info.id == class_id:  # it gets its name: one edit, and the first name is no alias
            unnamed = self._steps.pop()
            try:
                self.do(add_class(self.catalog, name, color=info.color, reserved=self.reserved))
            except CatalogError:
                self._steps.append(unnamed)
                raise
            return
        self.do(rename_class(self.catalog, class_id, name))

    def recolor(self, class_id: int, color: Color) -> None:
        """Give a class another colour."""
        if color != self.catalog.by_id(class_id).color:
            self.do(recolor_class(self.catalog, class_id, color))

    def recolor_all(self, *, color_blind: bool) -> None:
        """Give every class but the background a colour far from the others, for colour-blind eyes too on request."""
        self.do(recolor_all(self.catalog, color_blind=color_blind))

    def move(self, class_id: int, by: int) -> None:
        """Move a class up (negative) or down in the list; it stops at the ends."""
        order = self.catalog.ids.tolist()
        old = order.index(class_id)
        new = min(max(old + by, 0), len(order) - 1)
        if new != old:
            order.insert(new, order.pop(old))
            self.do(reorder_classes(self.catalog, order))

    def merge(self, class_id: int, into: int) -> None:
        """Give the pixels of a class to another one. Raises CatalogError."""
        self.do(merge_classes(self.catalog, [class_id], into))

    def delete(self, class_id: int) -> None:
        """Make the pixels of a class void. Raises CatalogError for the last class."""
        self.do(delete_class(self.catalog, class_id))

    def undo(self) -> None:
        """Take the last edit of the draft back."""
        if self.changed:
            self._steps.pop()

    def do(self, edit: CatalogEdit) -> None:
        """Take an edit of :attr:`catalog` in."""
        self._steps.append(replace(self._steps[-1], edit=edit))

    def set_locked(self, class_id: int, on: bool) -> None:
        """Lock a class, so that no tool, job or import gives or takes its pixels, or let them change again."""
        locked = self.locked | {class_id} if on else self.locked - {class_id}
        self._steps.append(replace(self._steps[-1], edit=None, locked=locked))

    def set_hidden(self, class_id: int, on: bool) -> None:
        """Leave a class out of the picture, or draw it again."""
        hidden = self.hidden | {class_id} if on else self.hidden - {class_id}
        self._steps.append(replace(self._steps[-1], edit=None, hidden=hidden))

    def set_key(self, class_id: int, key: str, *, take: bool = False) -> None:
        """Assign a digit to a class; an empty key frees the class's own.

        Args:
            take: the user was shown which class has the digit, so that this class loses it.

        Raises:
            CatalogError: it is not a digit, or another class has it.
        """
        keys = with_key(self.keys, class_id, key.strip())
        if not take:
            check_key(self.catalog, self.keys, class_id, key.strip())
        if keys != self.keys:
            self._steps.append(replace(self._steps[-1], edit=None, keys=keys))


def list_filters() -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """Filters of a file dialog that saves a class list -> key of the form (None: our own) and its endings, the usual first."""
    forms: list[tuple[str, str | None, tuple[str, ...]]] = [(tr("Atrous class list"), None, (".json", ".yaml", ".yml"))]
    forms += [(form.title, form.key, form.suffixes) for form in LIST_FORMATS.values()]
    return {f"{title} ({' '.join('*' + ending for ending in endings)})": (key, endings) for title, key, endings in forms}


def effect_text(losses: Collection[ClassLoss], counts: Mapping[int, tuple[int, int]] | None, unread: int = 0) -> str:
    """What a draft does to the masks, as sentences.

    Args:
        losses: classes that are gone.
        counts: id -> (images, pixels), as far as they have pixels; None while they are being counted.
        unread: images with unreadable masks.
    """
    if not losses:
        return tr("No pixel of a mask changes.")
    if counts is None:
        return tr("Counting the pixels that change…")
    lines = []
    for loss in losses:
        images, pixels = counts.get(loss.class_id, (0, 0))
        if not images:
            lines.append(tr("{name}: no mask has a pixel of it.", name=loss.name))
            continue
        target = tr("void") if loss.target is None else loss.target
        many = plural("{n} px", "{n} px", pixels)
        where = plural("{n} image", "{n} images", images)
        lines.append(
            tr("{name}: {pixels} in {images} become {target}.", name=loss.name, pixels=many, images=where, target=target)
        )
    if unread:
        lines.append(plural("{n} image could not be read.", "{n} images could not be read.", unread))
    return "\n".join(lines)

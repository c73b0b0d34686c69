"""A draft of edits of the classes: what the class editor shows and what its buttons do. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app.text import plural, tr
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


@dataclass(frozen=True, slots=True)
class ClassLoss:
    """A class of the project that the draft takes away, and what its pixels become: a class's name, or None for void."""

    class_id: int
    name: str
    target: str | None


class ClassDraft:
    """The project's classes with edits that are not applied yet.

    Attributes:
        before: the project's classes.
        catalog: the classes with the edits.
        edits: what was done, oldest first.
    """

    def __init__(self, catalog: ClassCatalog, reserved: Mapping[int, ClassInfo] | None = None) -> None:
        """Begin with no edit.

        Args:
            reserved: classes that are gone, by their ids, which a new class must not get.
        """
        self.before = catalog
        self._reserved = dict(reserved or {})
        self.edits: list[CatalogEdit] = []

    @property
    def catalog(self) -> ClassCatalog:
        """The classes with every edit of the draft."""
        return self.edits[-1].catalog if self.edits else self.before

    @property
    def whole(self) -> CatalogEdit | None:
        """All edits as one; None without any."""
        return joined(self.before, self.edits) if self.edits else None

    @property
    def losses(self) -> list[ClassLoss]:
        """Classes of the project that are gone, in their order."""
        whole = self.whole
        moved = {} if whole is None else whole.moved
        targets = {old: None if new is None else self.catalog.by_id(new).name for old, new in moved.items()}
        return [ClassLoss(info.id, info.name, targets[info.id]) for info in self.before.classes if info.id in targets]

    def add(self, name: str) -> ClassInfo:
        """Add a class with a colour that differs from the others. Raises CatalogError."""
        used = {info.id: info for edit in self.edits for info in edit.catalog.classes}
        before = {info.id: info for info in self.before.classes}
        self._do(add_class(self.catalog, name, reserved=self._reserved | before | used))
        return self.catalog.classes[-1]

    def set_name(self, class_id: int, name: str) -> None:
        """Raises CatalogError for a name that is not free; the same name changes nothing."""
        if " ".join(name.split()) != self.catalog.by_id(class_id).name:
            self._do(rename_class(self.catalog, class_id, name))

    def recolor(self, class_id: int, color: Color) -> None:
        """Give a class another colour."""
        if color != self.catalog.by_id(class_id).color:
            self._do(recolor_class(self.catalog, class_id, color))

    def recolor_all(self, *, color_blind: bool) -> None:
        """Give every class but the background a colour far from the others, for colour-blind eyes too on request."""
        self._do(recolor_all(self.catalog, color_blind=color_blind))

    def move(self, class_id: int, by: int) -> None:
        """Move a class up (negative) or down in the list; it stops at the ends."""
        order = self.catalog.ids.tolist()
        old = order.index(class_id)
        new = min(max(old + by, 0), len(order) - 1)
        if new != old:
            order.insert(new, order.pop(old))
            self._do(reorder_classes(self.catalog, order))

    def merge(self, class_id: int, into: int) -> None:
        """Give the pixels of a class to another one. Raises CatalogError."""
        self._do(merge_classes(self.catalog, [class_id], into))

    def delete(self, class_id: int) -> None:
        """Make the pixels of a class void. Raises CatalogError for the last class."""
        self._do(delete_class(self.catalog, class_id))

    def undo(self) -> None:
        """Take the last edit of the draft back."""
        if self.edits:
            self.edits.pop()

    def _do(self, edit: CatalogEdit) -> None:
        self.edits.append(edit)


def effect_text(losses: Collection[ClassLoss], counts: Mapping[int, tuple[int, int]] | None, unread: int = 0) -> str:
    """What a draft does to the masks, as sentences.

    Args:
        losses: classes that are gone.
        counts: id -> (images, pixels), as far as they have pixels; None while they are being counted.
        unread: images whose masks could not be read.
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

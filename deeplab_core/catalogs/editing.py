"""Edits of a catalog: a new catalog, and what becomes of ids that it no longer has.

Ids are names: renaming, recolouring and reordering change no pixel, and a new class takes an id that was never used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deeplab_core.catalogs.builtin import BUILTIN_NAMES
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo, Color, is_void
from deeplab_core.catalogs.colors import class_colors
from deeplab_core.errors import CatalogError, MessageText, join_messages, message
from deeplab_core.reading import shorten

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class CatalogEdit:
    """One edit of a catalog.

    Attributes:
        title: what it does, for the undo menu: ``"Merge couch into sofa"``; a window translates it.
        catalog: the classes afterwards.
        moved: ids that the catalog lost -> the id that their pixels get, or None for void.
    """

    title: MessageText
    catalog: ClassCatalog
    moved: Mapping[int, int | None] = field(default_factory=dict)


def add_class(
    catalog: ClassCatalog,
    name: str,
    *,
    color: Color | None = None,
    key: str = "",
    reserved: Mapping[int, ClassInfo] | None = None,
) -> CatalogEdit:
    """Add a class behind the others.

    Args:
        color: None takes one that is far from all others.
        key: one character, or empty.
        reserved: classes by their ids, which must not be used again, because masks may still hold them; nor are their colours.

    Raises:
        CatalogError: the name or key is not free, or the masks' number of bits leaves no id.
    """
    name = _new_name(catalog, name)
    gone = reserved or {}
    number = next(_free_ids(catalog, gone, len(catalog)))
    if color is None:
        *_, color = class_colors([*((info.name, info.color) for info in (*catalog.classes, *gone.values())), (name, None)])
    added = replace(catalog, classes=(*catalog.classes, ClassInfo(number, name, color)))
    return CatalogEdit(message("Add {name}", name=name), _own(assign_key(added, number, key).catalog if key else added))


def take_list(
    catalog: ClassCatalog, listed: ClassCatalog, *, only: bool = False, reserved: Mapping[int, ClassInfo] | None = None
) -> CatalogEdit:
    """Add the classes of a class list that a catalog lacks; those that it has keep id and name, whatever ids the list has.

    A class of the list is one of the catalog if each is the other's match by :meth:`ClassCatalog.by_name`.

    Args:
        only: also take away the classes that the list lacks (their pixels become void), and take the list's colours and order.
        reserved: see :func:`add_class`.

    Raises:
        CatalogError: the list changes nothing, a name of it cannot be used, or the masks' number of bits leaves no id.
    """
    mine: dict[int, ClassInfo] = {}
    for row in listed.classes:
        match = catalog.by_name(row.name)
        if match is not None and listed.by_name(match.name) is row:
            mine[row.id] = match
    kept = {info.id for info in mine.values()}
    gone = [info.id for info in catalog.classes if only and info.id not in kept]
    new = [row for row in listed.classes if row.id not in mine]
    used = {info.color for info in catalog.classes}
    known: list[tuple[str, Color | None]] = [(info.name, info.color) for info in catalog.classes]
    colors = class_colors([*known, *((row.name, None if row.color in used else row.color) for row in new)])
    free = _free_ids(catalog, reserved or {}, len(catalog) - len(gone))
    for row, color in zip(new, colors[len(catalog) :], strict=True):
        mine[row.id] = ClassInfo(next(free), _new_name(catalog, row.name), color, aliases=row.aliases)
    if only:
        rows = tuple(replace(mine[row.id], color=row.color) for row in listed.classes)
    else:
        rows = (*catalog.classes, *(mine[row.id] for row in new))
    if rows == catalog.classes:
        raise CatalogError(
            message("'{name}' has no other classes than the project", name=listed.title),
            remedy=message("Choose another class list"),
        )
    ground = None if catalog.background in gone else catalog.background
    if ground is None and listed.background is not None:
        ground = mine[listed.background].id
    title = message("Only the classes of {list}", list=listed.title) if only else message("Classes of {list}", list=listed.title)
    return CatalogEdit(title, _own(replace(catalog, classes=rows, background=ground)), dict.fromkeys(gone))


def rename_class(catalog: ClassCatalog, class_id: int, name: str) -> CatalogEdit:
    """Rename a class; models and files that know the old name still find it. Raises CatalogError for a name that is not free."""
    info = catalog.by_id(class_id)
    name = _new_name(catalog, name, of=class_id)
    aliases = tuple(alias for alias in (*info.aliases, info.name) if alias != name)
    title = message("Rename {old} to {new}", old=info.name, new=name)
    return CatalogEdit(title, _own(_with(catalog, replace(info, name=name, aliases=aliases))))


def recolor_class(catalog: ClassCatalog, class_id: int, color: Color) -> CatalogEdit:
    """Give a class another sRGB colour."""
    title = message("Colour of {name}", name=catalog.by_id(class_id).name)
    return CatalogEdit(title, catalog.recolored(class_id, color))


def recolor_all(catalog: ClassCatalog, *, color_blind: bool = False) -> CatalogEdit:
    """Give every class a colour that is far from the others; the background keeps its own.

    Args:
        color_blind: far also for eyes without red or green cones, see :func:`distinct_colors`.
    """
    ground = next((info.color for info in catalog.classes if info.id == catalog.background), None)
    given = [(info.name, ground if info.id == catalog.background else None) for info in catalog.classes]
    colors = class_colors(given, color_blind=color_blind)
    rows = tuple(replace(info, color=color) for info, color in zip(catalog.classes, colors, strict=True))
    title = message("Colours for colour-blind eyes") if color_blind else message("Distinct colours")
    return CatalogEdit(title, replace(catalog, classes=rows))


def assign_key(catalog: ClassCatalog, class_id: int, key: str) -> CatalogEdit:
    """Give a class a key; the class that had it loses it. An empty key takes the class's key away.

    Raises:
        CatalogError: the key is longer than one character, or cannot be typed.
    """
    info = catalog.by_id(class_id)
    if len(key) > 1 or (key and not key.isprintable()) or key.isspace():
        raise CatalogError(message("{key} is not a key", key=shorten(key)), remedy=message("Give one letter, digit or sign"))
    rows = tuple(replace(other, key="") if key and other.key == key else other for other in catalog.classes)
    title = message("Key {key} for {name}", key=key, name=info.name) if key else message("No key for {name}", name=info.name)
    return CatalogEdit(title, _with(replace(catalog, classes=rows), replace(info, key=key)))


def reorder_classes(catalog: ClassCatalog, order: Sequence[int]) -> CatalogEdit:
    """List the classes in another order.

    Args:
        order: ids; classes that it leaves out follow in their old order.

    Raises:
        CatalogError: an id is unknown or named twice.
    """
    first = [catalog.by_id(class_id) for class_id in order]
    if len(set(order)) != len(order):
        twice = next(class_id for place, class_id in enumerate(order) if class_id in order[:place])
        raise CatalogError(
            message("'{class_name}' is named twice", class_name=catalog.by_id(twice).name),
            remedy=message("Name every class once"),
        )
    rest = tuple(info for info in catalog.classes if info.id not in set(order))
    return CatalogEdit(message("Order of the classes"), _own(replace(catalog, classes=(*first, *rest))))


def merge_classes(catalog: ClassCatalog, class_ids: Collection[int], into: int) -> CatalogEdit:
    """Make the pixels of some classes those of another, which takes over their names for models and files that know them.

    Raises:
        CatalogError: an id is unknown, or the only class is merged into itself.
    """
    gone = [catalog.by_id(class_id) for class_id in sorted(set(class_ids))]
    target = catalog.by_id(into)
    if not gone or target in gone:
        raise CatalogError(
            message("a class cannot be merged into itself"), remedy=message("Choose another class to merge it into")
        )
    names = [name for info in gone for name in (info.name, *info.aliases)]
    aliases = tuple(dict.fromkeys((*target.aliases, *names)))
    kept = _without(_with(catalog, replace(target, aliases=aliases)), {info.id for info in gone})
    title = message("Merge {names} into {name}", names=", ".join(info.name for info in gone), name=target.name)
    return CatalogEdit(title, kept, {info.id: into for info in gone})


def delete_class(catalog: ClassCatalog, class_id: int) -> CatalogEdit:
    """Remove a class; its pixels become void. Raises CatalogError if it is the last one."""
    info = catalog.by_id(class_id)
    if len(catalog) == 1:
        raise CatalogError(
            message("'{class_name}' is the only class", class_name=info.name),
            remedy=message("Rename it, or add another class first"),
        )
    return CatalogEdit(message("Delete {name}", name=info.name), _without(catalog, {class_id}), {class_id: None})


def joined(before: ClassCatalog, edits: Sequence[CatalogEdit]) -> CatalogEdit:
    """Several edits, each of the catalog of the one before it, as one edit of ``before``. At least one.

    Classes that one of them added and a later one took away move no pixel of ``before``.
    """
    known = set(before.ids.tolist())
    moved = {old: new for old, new in moved_by([edit.moved for edit in edits]).items() if old in known}
    return CatalogEdit(join_messages([edit.title for edit in edits], ", "), edits[-1].catalog, moved)


def moved_by(steps: Iterable[Mapping[int, int | None]]) -> dict[int, int | None]:
    """What becomes of ids that are moved one step after the other: id -> the last id, or None for void."""
    moved: dict[int, int | None] = {}
    for step in steps:
        moved = {old: None if new is None else step.get(new, new) for old, new in moved.items()}
        moved.update({old: new for old, new in step.items() if old not in moved})
    return moved


def _free_ids(catalog: ClassCatalog, reserved: Collection[int], count: int) -> Iterator[int]:
    """Ids that a catalog with ``count`` classes may give to further ones; raises CatalogError after the last."""
    used = {*catalog.ids.tolist(), *reserved, catalog.file_ignore}
    for number in range(catalog.ignore):
        if number not in used and (catalog.wide or count < catalog.ignore - 1):
            count += 1
            yield number
    raise CatalogError(
        message("'{catalog}' has no free id for another class", catalog=catalog.name),
        why=message("Its masks have 8 bits and {count} classes", count=count)
        if not catalog.wide
        else message("All 65,534 ids are used"),
        remedy=message("Begin a new project with a class list of more than 254 classes: its masks have 16 bits"),
    )


def _with(catalog: ClassCatalog, changed: ClassInfo) -> ClassCatalog:
    return replace(catalog, classes=tuple(changed if info.id == changed.id else info for info in catalog.classes))


def _without(catalog: ClassCatalog, gone: Collection[int]) -> ClassCatalog:
    background = None if catalog.background in gone else catalog.background
    rest = tuple(info for info in catalog.classes if info.id not in gone)
    return _own(replace(catalog, classes=rest, background=background))


def _own(catalog: ClassCatalog) -> ClassCatalog:
    """The same classes under another name, if the name is that of a built-in catalog, which has other classes."""
    if catalog.name not in BUILTIN_NAMES:
        return catalog
    return replace(catalog, name=f"{catalog.name}-edited", title=f"{catalog.title}, edited")


def _new_name(catalog: ClassCatalog, name: str, of: int | None = None) -> str:
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        why = (
            message("It is empty")
            if not name
            else message("It is longer than {longest} characters or has characters that cannot be shown", longest=_LONGEST_NAME)
        )
        raise CatalogError(
            message("{name} is not a class name", name=shorten(name)),
            why=why,
            remedy=message("Give a short name of letters and digits"),
        )
    if is_void(name):
        raise CatalogError(
            message("{name} is not a class name", name=shorten(name)),
            why=message("Void means that a pixel has no class"),
            remedy=message("Choose another name, for example 'unclear'"),
        )
    other = next((info for info in catalog.classes if info.name.casefold() == name.casefold() and info.id != of), None)
    if other is not None:
        raise CatalogError(
            message("there is already a class '{class_name}'", class_name=other.name),
            remedy=message("Choose another name, or merge the two classes"),
        )
    return name

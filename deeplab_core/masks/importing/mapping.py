"""Which class of the project a class of a source becomes: by name, by a declared synonym, or as the user says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo, is_background, is_void
from deeplab_core.errors import LabelSourceError, UnmappedClasses, message
from deeplab_core.masks.importing.records import SourceClass
from deeplab_core.wording import name_some

#: What the user calls void.
VOID_NAME = "void"

How = Literal["name", "synonym", "id", "chosen", "format", "edit", "absent", "open"]


@dataclass(frozen=True, slots=True)
class MappedClass:
    """One class of a source and what becomes of it.

    Attributes:
        source: the source's class.
        target: id in the project's catalog; None is void.
        how: ``"name"`` equal names, ``"synonym"`` a declared synonym, ``"id"`` equal ids where the source has no names,
            ``"chosen"`` by the user, ``"format"`` void or background because the format defines it, ``"edit"`` as an edit of the
            project's classes decided, ``"absent"`` without a partner and without a pixel, ``"open"`` not decided.
    """

    source: SourceClass
    target: int | None
    how: How


@dataclass(frozen=True, slots=True)
class ClassMapping:
    """What becomes of every class of a source.

    Attributes:
        catalog: the project's classes.
        pairs: one per class of the source, in its order.
    """

    catalog: ClassCatalog
    pairs: tuple[MappedClass, ...]

    @property
    def unmapped(self) -> tuple[str, ...]:
        """Names of the classes that the user has to be asked about."""
        return tuple(pair.source.name for pair in self.pairs if pair.how == "open")

    @property
    def spellings(self) -> dict[str, tuple[str, ...]]:
        """Class of the catalog -> the names in the source that differ in case, spaces and punctuation alone and became it."""
        found: dict[int, list[str]] = {}
        for pair in self.pairs:
            if pair.target is not None and pair.how == "name" and pair.source.id is None and pair.source.regions != 0:
                found.setdefault(pair.target, []).append(pair.source.name)
        several = {number: names for number, names in found.items() if len(names) > 1}
        alike = {number: names for number, names in several.items() if len({_letters(name) for name in names}) == 1}
        return {self.catalog.by_id(number).name: tuple(names) for number, names in alike.items()}

    def check(self) -> None:
        """Raise UnmappedClasses, which lists the names, unless every class has a partner or was decided about."""
        if self.unmapped:
            raise self.open_error(self.unmapped)

    def open_error(self, names: Sequence[str]) -> UnmappedClasses:
        """The error that asks for classes."""
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        more = len(self.catalog) - 6
        some = ", ".join(self.catalog.names[:6]) + (f" and {more} more" if more > 0 else "")
        nameless = [pair.source.name for pair in self.pairs if pair.source.undeclared and pair.source.name in names]
        why = message("Its classes are {names}", names=some)
        if nameless:
            why = message(
                "The source's list of classes has no {numbers}. Its classes are {names}", numbers=", ".join(nameless), names=some
            )
        return UnmappedClasses(
            message("'{catalog}' has no class for: {names}", catalog=self.catalog.name, names=shown),
            why=why,
            remedy=message("Choose what each becomes"),
            option=f"--map '{names[0]}={self.catalog.names[0]}', or --map '{names[0]}=void' to leave its pixels void",
        )  # fmt: skip


def map_classes(
    classes: Sequence[SourceClass],
    catalog: ClassCatalog,
    choices: Mapping[str, str] | None = None,
    edited: Mapping[str, int | None] | None = None,
) -> ClassMapping:
    """Map the classes of a source to a catalog.

    The user's choices come first, then equal names, then names that differ in case, spaces and punctuation alone, then former
    names of the catalog's classes, then :data:`deeplab_core.catalogs.catalog.SYNONYMS`. A class that the format itself leaves out
    of evaluation becomes void where it has no partner. A class without a region is not asked about.

    Numbers without names are ids of the catalog, as in every mask file; its own void value is void.

    Args:
        choices: name in the source -> name in ``catalog``, or ``"void"``.
        edited: name in the source of a class that the project once had -> what an edit of its classes made of it: id in
            ``catalog``, or None for void.

    Raises:
        LabelSourceError: a choice names a class that the source or the catalog does not have.
    """
    chosen = dict(choices or {})
    names = {one.name for one in classes}
    strangers = sorted(set(chosen) - names)
    if strangers:
        known = ", ".join(sorted(names)[:20])
        raise LabelSourceError(
            message("the source has no class '{class_name}'", class_name=strangers[0]),
            why=message("Its classes are {known}", known=known),
            remedy=message("Correct the name before '='"),
        )
    decided = edited or {}
    return ClassMapping(catalog, tuple(_map_one(one, catalog, chosen.get(one.name), decided) for one in classes))


def one_of_each(classes: Sequence[SourceClass]) -> list[SourceClass]:
    """The classes without those whose names differ from an earlier one in case, spaces and punctuation alone.

    The first spelling stays, without spaces at its ends; it takes over a colour and the part of the background.
    """
    found: dict[str, SourceClass] = {}
    for one in classes:
        name = one.name.strip() or one.name
        key = _letters(name) or name
        first = found.get(key)
        if first is None:
            found[key] = replace(one, name=name)
        else:
            color = first.color if first.color is not None else one.color
            found[key] = replace(first, color=color, background=first.background or one.background)
    return list(found.values())


def _map_one(one: SourceClass, catalog: ClassCatalog, choice: str | None, edited: Mapping[str, int | None]) -> MappedClass:
    if choice is not None:
        exact = next((info for info in catalog.classes if info.name == choice), None)
        if exact is None and choice == VOID_NAME:
            return MappedClass(one, None, "chosen")
        if exact is None:
            raise LabelSourceError(
                message("'{catalog}' has no class '{class_name}'", catalog=catalog.name, class_name=choice),
                why=message("Its classes are {classes}", classes=name_some(catalog.names, 20)),
                remedy=message("Correct the name after '=', or write '{void}'", void=VOID_NAME),
            )
        return MappedClass(one, exact.id, "chosen")
    if one.name in edited:
        return MappedClass(one, edited[one.name], "edit")
    if one.id is not None:
        return _numbered(one, catalog)
    found = None if one.undeclared else _named(one, catalog)
    if found is not None:
        return MappedClass(one, found[0].id, found[1])
    if is_void(one.name):
        return MappedClass(one, None, "name")
    if one.ignored:
        return MappedClass(one, None, "format")
    if (one.background or is_background(one.name)) and catalog.background is not None:
        return MappedClass(one, catalog.background, "format" if one.background else "synonym")
    return MappedClass(one, None, "absent" if one.regions == 0 else "open")


def _numbered(one: SourceClass, catalog: ClassCatalog) -> MappedClass:
    if any(info.id == one.id for info in catalog.classes):
        return MappedClass(one, one.id, "id")
    return MappedClass(one, None, "format" if one.id == catalog.file_ignore else "open")


def _named(one: SourceClass, catalog: ClassCatalog) -> tuple[ClassInfo, How] | None:
    names = (one.name, *one.aliases)
    for spelled in (str, str.strip, _letters):
        for name in names:
            wanted = spelled(name)
            same = [info for info in catalog.classes if wanted and spelled(info.name) == wanted]
            if len(same) == 1:
                return same[0], "name"
    for name in names:
        wanted = _letters(name)
        same = [info for info in catalog.classes if wanted and any(_letters(alias) == wanted for alias in info.aliases)]
        if len(same) == 1:
            return same[0], "name"
    alike = next((info for info in map(catalog.by_synonym, names) if info is not None), None)
    return None if alike is None else (alike, "synonym")


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())

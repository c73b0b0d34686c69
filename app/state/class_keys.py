"""Digits that are assigned to classes, kept with the project by class id. No Qt, no torch.

An assigned key never moves. The other digits are free: the window gives them to the classes of the image in view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from deeplab_core.catalogs import DEFAULT_KEYS
from deeplab_core.errors import CatalogError, message
from deeplab_core.reading import shorten

if TYPE_CHECKING:
    from app.state.project import Project
    from deeplab_core.catalogs.catalog import ClassCatalog

#: Settings of a project: the assigned keys, and what an earlier version kept (every key of the first ten classes).
_SETTING, _OLDER = "assigned_class_keys", "class_keys"


def assigned_keys(project: Project) -> dict[str, int]:
    """Key -> class id of the keys that never move: the user's choice, else the catalog's own.

    The keys that a catalog gets when it names none (first key, first class) were not chosen: they stay free.
    """
    catalog, stored = project.catalog, _pairs(project.setting(_SETTING))
    if stored is None:
        older = _pairs(project.setting(_OLDER))
        stored = {(info.key, info.id) for info in catalog.classes} if older is None else older
        entries = project.class_edits.entries
        # An edit moves classes to other places, and leaves their keys.
        for known in (catalog, entries[0].before if entries else catalog):
            stored -= {(key, info.id) for key, info in zip(DEFAULT_KEYS, known.classes, strict=False)}
    known_ids = set(catalog.ids.tolist())
    return {key: class_id for key, class_id in sorted(stored) if key and key in DEFAULT_KEYS and class_id in known_ids}


def assign_keys(project: Project, keys: Mapping[str, int]) -> None:
    """Keep these keys, by class id, and no others. Raises StorageError, ProjectLocked."""
    project.set_setting(_SETTING, dict(keys))


def forget_keys(project: Project) -> None:
    """Return to the keys of the catalog: the ids are other classes now. Raises StorageError, ProjectLocked."""
    for setting in (_SETTING, _OLDER):
        if project.setting(setting) is not None:
            project.set_setting(setting, None)


def with_key(keys: Mapping[str, int], class_id: int, key: str) -> dict[str, int]:
    """The keys after a class has got another one, or none for an empty ``key``; the class that had the key loses it.

    Raises:
        CatalogError: it is not a digit.
    """
    if len(key) > 1 or key not in DEFAULT_KEYS:
        raise CatalogError(message("{key} is not a key of a class", key=shorten(key)), remedy=message("Give one digit"))
    others = {known: owner for known, owner in keys.items() if known != key and owner != class_id}
    return {**others, key: class_id} if key else others


def check_key(catalog: ClassCatalog, keys: Mapping[str, int], class_id: int, key: str) -> None:
    """Refuse a key of another class. The menus of the window, which name the other class, move it.

    Args:
        keys: the assigned digits. Other signs are those of ``catalog``, whose own digits are free.

    Raises:
        CatalogError: another class has the key; names it.
    """
    owner = keys.get(key)
    if key and key not in DEFAULT_KEYS:
        owner = next((info.id for info in catalog.classes if info.key == key and info.id != class_id), None)
    if owner is not None and owner != class_id:
        name = catalog.by_id(owner).name
        raise CatalogError(
            message("{key} is the key of '{class_name}'", key=key, class_name=name),
            remedy=message("Give that class another key or none first"),
            option="--key",
        )


def keyed(catalog: ClassCatalog, keys: Mapping[str, int]) -> ClassCatalog:
    """The catalog with the assigned keys in place of its own digits; other signs stay."""
    key_of = {class_id: key for key, class_id in keys.items()}
    rows = (replace(info, key=key_of.get(info.id, "" if info.key in DEFAULT_KEYS else info.key)) for info in catalog.classes)
    return replace(catalog, classes=tuple(rows))


def exported_catalog(project: Project) -> ClassCatalog:
    """The classes that go with exported masks: with the assigned keys, if the user has assigned any."""
    chosen = any(project.setting(setting) is not None for setting in (_SETTING, _OLDER))
    return keyed(project.catalog, assigned_keys(project)) if chosen else project.catalog


def _pairs(value: object) -> set[tuple[str, int]] | None:
    """(key, class id) of a stored value; None if nothing is stored."""
    if not isinstance(value, dict):
        return None
    return {(key, class_id) for key, class_id in value.items() if isinstance(class_id, int) and not isinstance(class_id, bool)}

"""The catalogs that ship with the program, and catalogs from files: our own JSON and YAML, class lists of other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from deeplab_core.catalogs.catalog import ClassCatalog, Color, parse_color, without_void
from deeplab_core.catalogs.lists import (
    LIST_FORMATS,
    list_text,
    read_csv_list,
    read_markup_list,
    read_text_list,
    read_values,
)
from deeplab_core.errors import CatalogError, StorageError, message
from deeplab_core.reading import read_json, read_yaml, shorten

#: Names of the built-in catalogs, in the order in which choices are shown.
BUILTIN_NAMES = ("voc21", "cityscapes19", "cityscapes34", "camvid11", "ade20k150")

#: Their titles, which are in their files: texts that windows translate.
BUILTIN_TITLES = (
    message("PASCAL VOC 2012 (21 classes)"),
    message("Cityscapes (19 train ids)"),
    message("Cityscapes label ids (34 classes)"),
    message("CamVid (11 classes, SegNet split)"),
    message("ADE20K scene parsing (150 classes)"),
)

#: Keys of the first ten classes where a catalog assigns none itself.
DEFAULT_KEYS = "1234567890"

_SUFFIXES = (".json", ".yaml", ".yml")
#: Endings of class lists that are plain text or a table.
_LISTS = {".txt": read_text_list, ".csv": read_csv_list, ".xml": read_markup_list}
_KEY = message("Give one character, or leave it out")
_FORM = message(
    "A catalog has 'name' and 'classes'; each class has 'name', and may have 'id', 'color' ([r, g, b] or \"#rrggbb\") and 'key'"
)


@cache
def builtin_catalogs() -> Mapping[str, ClassCatalog]:
    """All built-in catalogs by name, in :data:`BUILTIN_NAMES` order."""
    folder = resources.files("deeplab_core.catalogs") / "data"
    return {name: _build(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")), None) for name in BUILTIN_NAMES}


def get_catalog(name_or_path: str | Path) -> ClassCatalog:
    """A built-in catalog by name, or the catalog of a file.

    Our own files end in ``.json``, ``.yaml`` or ``.yml`` and may leave out ``id`` (position in the list), ``color`` (VOC's bit
    rule, :func:`voc_color`) and ``key`` (1..9, 0 for the first ten classes), and may list plain class names. Class lists of other
    programs are read too: see :mod:`deeplab_core.catalogs.lists`.

    Raises:
        CatalogError: unknown name, unreadable or malformed file; it names the entry and what is expected.
    """
    known = builtin_catalogs()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path)
    ending = path.suffix.lower()
    if ending in _LISTS:
        return _with_keys(_LISTS[ending](path))
    if ending not in _SUFFIXES:
        raise CatalogError(
            message("there is no catalog named '{name}'", name=name_or_path),
            remedy=message(
                "Choose {names}, or give a file that ends in {endings}",
                names=", ".join(BUILTIN_NAMES),
                endings=", ".join((*_SUFFIXES, *_LISTS)),
            ),
        )
    read = read_json if ending == ".json" else read_yaml
    values = read(path, what="the catalog file", remedy="Correct the line", error=CatalogError)
    listed = read_values(values, path)
    return _build(values, path) if listed is None else _with_keys(listed)


def save_catalog(catalog: ClassCatalog, path: str | Path, form: str | None = None) -> None:
    """Write a catalog; :func:`get_catalog` reads it back.

    Args:
        form: a class list of another program, by its key in :data:`~deeplab_core.catalogs.lists.LIST_FORMATS`, which may not hold
            everything (:attr:`~deeplab_core.catalogs.lists.ListFormat.keeps`). None writes our own JSON or YAML, by the ending of
            ``path``, and reads back equal.

    Raises:
        CatalogError: the ending does not fit the form, or the form cannot hold the catalog.
        StorageError: the file cannot be written; an older file is left as it was.
    """
    from deeplab_core.atomic import atomic_write

    path = Path(path)
    data = catalog.to_dict()
    if form is not None:
        endings = LIST_FORMATS[form].suffixes
        if path.suffix.lower() not in endings:
            remedy = message("Give the file the ending {endings}", endings=" or ".join(endings))
            raise CatalogError(
                message("this is not a name for {format}", format=LIST_FORMATS[form].title), remedy=remedy, path=path
            )
        text = list_text(catalog, form)
    elif path.suffix.lower() == ".json":
        text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    elif path.suffix.lower() in _SUFFIXES:
        import yaml

        text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, default_flow_style=None, width=130)
    else:
        raise CatalogError(
            message("a catalog is saved as .json or .yaml"), remedy=message("Give the file one of these endings"), path=path
        )
    if not path.parent.is_dir():
        raise StorageError(
            message("the folder of the catalog file does not exist"),
            remedy=message("Create it or choose another"),
            path=path.parent,
        )
    atomic_write(path, text.encode("utf-8"))


def voc_color(index: int) -> Color:
    """Colour of a class index by the bit rule of the PASCAL VOC development kit (``VOClabelcolormap``).

    The bits of the index, three at a time, become the high bits of red, green and blue.
    """
    red = green = blue = 0
    for bit in range(8):
        red |= (index >> (3 * bit) & 1) << (7 - bit)
        green |= (index >> (3 * bit + 1) & 1) << (7 - bit)
        blue |= (index >> (3 * bit + 2) & 1) << (7 - bit)
    return red, green, blue


def _build(data: object, path: Path | None) -> ClassCatalog:
    try:
        if not isinstance(data, dict) or not isinstance(data.get("classes"), list):
            raise CatalogError(message("not a class catalog"), why=message("It has no list 'classes'"), remedy=_FORM)
        rows = [_row(row, position) for position, row in enumerate(data["classes"])]
        name = data.get("name", path.stem if path is not None else None)
        catalog = ClassCatalog.from_dict({**data, "name": name, "classes": rows})
        catalog = without_void(catalog, given="file_ignore" in data)
        _check(catalog)
    except CatalogError as error:
        if path is None:
            raise
        raise CatalogError(error.what, why=error.why, remedy=error.remedy or _FORM, path=path) from error
    return _with_keys(catalog)


def _with_keys(catalog: ClassCatalog) -> ClassCatalog:
    return catalog if any(info.key for info in catalog.classes) else with_default_keys(catalog)


def with_default_keys(catalog: ClassCatalog) -> ClassCatalog:
    """A copy with the first ten classes on the keys 1..9 and 0."""
    keys = DEFAULT_KEYS.ljust(len(catalog))
    return replace(
        catalog, classes=tuple(replace(info, key=key.strip()) for info, key in zip(catalog.classes, keys, strict=False))
    )


def _row(row: object, position: int) -> dict[str, Any]:
    entry = {"name": row} if isinstance(row, str) else row
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        raise CatalogError(
            message("class {position} of the catalog has no name", position=position + 1),
            why=message("It reads {row}", row=shorten(row)),
            remedy=_FORM,
        )
    label = f"class {position + 1} ({shorten(entry['name'])})"
    class_id = entry.get("id", position)
    if not isinstance(class_id, int) or isinstance(class_id, bool):
        raise CatalogError(
            message("{label}: the id {class_id} is not a whole number", label=label, class_id=shorten(class_id)), remedy=_FORM
        )
    try:
        color = parse_color(entry["color"]) if "color" in entry else voc_color(class_id)
    except (TypeError, ValueError):
        raise CatalogError(
            message("{label}: {color} is not a colour", label=label, color=shorten(entry["color"])), remedy=_FORM
        ) from None
    key = entry.get("key", "")
    key = str(key) if isinstance(key, int) and 0 <= key <= 9 else key
    if not isinstance(key, str) or len(key) > 1:
        raise CatalogError(
            message("{label}: the key {key} is longer than one character", label=label, key=shorten(key)), remedy=_KEY
        )
    return {"id": class_id, "name": entry["name"], "color": color, "key": key, "aliases": entry.get("aliases", [])}


def _check(catalog: ClassCatalog) -> None:
    """What a usable catalog must keep beyond what its constructor checks."""
    clash = next((info for info in catalog.classes if info.id == catalog.file_ignore), None)
    if clash is not None:
        raise CatalogError(
            message(
                "catalog '{catalog}': the void value {void} is also the id of '{class_name}'",
                catalog=catalog.name,
                void=catalog.file_ignore,
                class_name=clash.name,
            ),
            remedy=message("Set 'file_ignore' to a value that is not a class id, for example {highest}", highest=catalog.ignore),
        )
    if not 0 <= catalog.file_ignore <= catalog.ignore:
        raise CatalogError(
            message(
                "catalog '{catalog}': the void value {void} does not fit into a mask file",
                catalog=catalog.name,
                void=catalog.file_ignore,
            ),
            remedy=message("Choose 'file_ignore' in 0..{highest}", highest=catalog.ignore),
        )
    seen: dict[str, str] = {}
    for info in catalog.classes:
        if info.key and info.key in seen:
            raise CatalogError(
                message(
                    "catalog '{catalog}': '{other}' and '{class_name}' share the key '{key}'",
                    catalog=catalog.name,
                    other=seen[info.key],
                    class_name=info.name,
                    key=info.key,
                ),
                remedy=message("Give every key to one class only"),
            )
        seen[info.key] = info.name

"""Exports that hold the labels themselves: indexed PNG, raw ids, colours, numpy arrays, one picture per class."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError, message
from deeplab_core.labels import LabelMap, value_counts
from deeplab_core.masks.export.exporter import (
    REMEDY,
    Encoded,
    ExportItem,
    FileExporter,
    LayoutExporter,
    LayoutSession,
    Part,
    check_catalog,
    check_labels_equal,
    safe_names,
)
from deeplab_core.masks.png import encode_ids_png, encode_indexed_png, encode_png, to_file_values
from deeplab_core.masks.stored import read_stored


class IndexedExporter(FileExporter):
    """Indexed PNG: stored value = class id, palette = class colours, void as the catalog's files have it."""

    name = "indexed"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        return encode_indexed_png(labels, item.catalog)

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        check_labels_equal(path, self.output_name(item), item.catalog, labels)


class RawIdsExporter(FileExporter):
    """Grey PNG of ids, 8 bit, or 16 bit where the catalog needs it."""

    name = "raw_ids"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        return encode_ids_png(labels, item.catalog)

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        check_labels_equal(path, self.output_name(item), item.catalog, labels)


class DeepIdsExporter(RawIdsExporter):
    """Grey PNG of ids, always 16 bit: for programs that want one type whatever the number of classes."""

    name = "ids_16bit"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        return encode_png(to_file_values(labels, item.catalog).astype(np.uint16))


class NpyExporter(FileExporter):
    """numpy ``.npy`` of ids, (H, W) uint8 or uint16, void as the catalog's files have it."""

    name = "npy"
    suffix = ".npy"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        buffer = io.BytesIO()
        np.save(buffer, to_file_values(labels, item.catalog), allow_pickle=False)
        return [buffer.getvalue()]

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        check_labels_equal(path, self.output_name(item), item.catalog, labels)


class NpzExporter(FileExporter):
    """numpy ``.npz``: ``labels`` (H, W) of ids, ``ids`` (C,) and ``names`` (C,) of the classes, ``void`` the value of void."""

    name = "npz"
    suffix = ".npz"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **self._arrays(item, labels))
        return [buffer.getvalue()]

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        expected = self._arrays(item, labels)
        with np.load(path, allow_pickle=False) as found:
            if set(found.files) != set(expected) or any(not np.array_equal(found[name], expected[name]) for name in expected):
                raise ExportError(message("the exported arrays do not read back equal"), remedy=REMEDY, path=item.name)

    @staticmethod
    def _arrays(item: ExportItem, labels: LabelMap) -> dict[str, NDArray[Any]]:
        catalog = item.catalog
        return {
            "labels": to_file_values(labels, catalog),
            "ids": catalog.ids,
            "names": np.array(catalog.names),
            "void": np.array(catalog.file_ignore),
        }


class BinaryExporter(LayoutExporter):
    """One PNG per class and image, ``CLASS/NAME.png``: 255 where the class is, 0 elsewhere. Void is in none of them."""

    name = "binary"

    def files(self, item: ExportItem) -> tuple[str, ...]:
        return tuple(f"{folder}/{item.stem}.png" for folder in safe_names(item.catalog).values())

    def session(self, catalog: ClassCatalog) -> LayoutSession:
        return _BinarySession(catalog)


class _BinarySession(LayoutSession):
    def __init__(self, catalog: ClassCatalog) -> None:
        self._catalog = catalog
        self._folders = safe_names(catalog)

    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        check_catalog(item, self._catalog)
        to_file_values(labels, item.catalog)
        return Encoded(tuple(self._part(item, labels, number, folder) for number, folder in self._folders.items()))

    @staticmethod
    def _part(item: ExportItem, labels: LabelMap, number: int, folder: str) -> Part:
        def mask() -> NDArray[np.uint8]:
            return np.where(labels == number, np.uint8(255), np.uint8(0))

        def check(path: Path) -> None:
            found = read_stored(path).values
            if found is None or not np.array_equal(found, mask()):
                raise ExportError(
                    message("the mask of '{folder}' does not read back equal", folder=folder), remedy=REMEDY, path=item.name
                )

        return Part(f"{folder}/{item.stem}.png", encode_png(mask()), check)


class ColorExporter(FileExporter):
    """RGB PNG in the class colours; refused where two occurring classes share a colour, for it could not be read back."""

    name = "color"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        to_file_values(labels, item.catalog)
        refuse_shared_colors(labels, item)
        return encode_png(color_table(item.catalog)[labels])

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        check_labels_equal(path, self.output_name(item), item.catalog, labels)


def color_table(catalog: ClassCatalog) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """(256 or 65536, 3) uint8 colour of every in-memory value; void has the catalog's void colour."""
    table = np.zeros((int(catalog.ignore) + 1, 3), dtype=np.uint8)
    for info in catalog.classes:
        table[info.id] = info.color
    table[catalog.ignore] = catalog.ignore_color
    return table


def refuse_shared_colors(labels: LabelMap, item: ExportItem) -> None:
    """Raise ExportError where a class that occurs has the colour of another: a coloured file could not be read back."""
    catalog = item.catalog
    counts = value_counts(labels)
    names = {info.id: info.name for info in catalog.classes} | {int(catalog.ignore): "void"}
    colors = color_table(catalog)
    owners: dict[tuple[int, ...], list[str]] = {}
    for value, name in names.items():
        owners.setdefault(tuple(colors[value].tolist()), []).append(name)
    occurring = {names[int(value)] for value in np.flatnonzero(counts)}
    for color, sharing in owners.items():
        present = [name for name in sharing if name in occurring]
        if len(sharing) > 1 and present:
            raise ExportError(
                message(
                    "'{class_name}' has the same colour {color} as '{other}'",
                    class_name=present[0],
                    color=color,
                    other=next(name for name in sharing if name != present[0]),
                ),
                why=message("The classes could not be told apart in the file"),
                remedy=message("Give the classes different colours, or export ids"),
                path=item.name,
            )

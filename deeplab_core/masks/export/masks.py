"""Exports that hold the labels themselves: indexed PNG, raw ids, colours, numpy arrays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError
from deeplab_core.labels import LabelMap, value_counts
from deeplab_core.masks.export.exporter import ExportItem, FileExporter, check_labels_equal
from deeplab_core.masks.png import encode_ids_png, encode_indexed_png, encode_png, to_file_values


class IndexedExporter(FileExporter):
    """Indexed PNG: stored value = class id, palette = class colours, void as the catalog's files have it."""

    name = "indexed"
    title = "Indexed PNG with palette (VOC style)"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        return encode_indexed_png(labels, item.catalog)

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        check_labels_equal(path, self.output_name(item), item.catalog, labels)


class RawIdsExporter(FileExporter):
    """Grey PNG of ids, 8 bit, or 16 bit where the catalog needs it."""

    name = "raw_ids"
    title = "Grey PNG of class ids"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        return encode_ids_png(labels, item.catalog)

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        check_labels_equal(path, self.output_name(item), item.catalog, labels)


class NpyExporter(FileExporter):
    """numpy ``.npy`` of ids, (H, W) uint8 or uint16, void as the catalog's files have it."""

    name = "npy"
    title = "NumPy array of class ids"
    suffix = ".npy"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        buffer = io.BytesIO()
        np.save(buffer, to_file_values(labels, item.catalog), allow_pickle=False)
        return [buffer.getvalue()]

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        check_labels_equal(path, self.output_name(item), item.catalog, labels)


class ColorExporter(FileExporter):
    """RGB PNG in the class colours; refused where two occurring classes share a colour, for it could not be read back."""

    name = "color"
    title = "Colour PNG"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        to_file_values(labels, item.catalog)
        _refuse_shared_colors(labels, item)
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


def _refuse_shared_colors(labels: LabelMap, item: ExportItem) -> None:
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
                f"'{present[0]}' has the same colour {color} as '{next(name for name in sharing if name != present[0])}'",
                why="The classes could not be told apart in the file",
                remedy="Give the classes different colours, or export ids",
                path=item.name,
            )

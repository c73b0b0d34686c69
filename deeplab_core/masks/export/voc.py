"""Layouts with indexed pictures in folders as labels: Pascal VOC's, and ADE20K's of the scene parsing benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from deeplab_core.catalogs import lists
from deeplab_core.catalogs.catalog import IGNORE, ClassCatalog, ClassInfo
from deeplab_core.errors import ExportError, message
from deeplab_core.labels import LabelMap, apply_lut
from deeplab_core.masks.export.exporter import (
    Encoded,
    ExportItem,
    LayoutExporter,
    LayoutSession,
    Part,
    Pictures,
    check_catalog,
    check_labels_equal,
    lines_part,
    picture_suffix,
    text_part,
)
from deeplab_core.masks.png import encode_ids_png, encode_indexed_png, to_file_values


class VocExporter(LayoutExporter):
    """The complete layout of Pascal VOC: ``SegmentationClass``, ``JPEGImages``, lists of the splits, ``labelmap.txt``.

    Labels are indexed PNG with the palette of the catalog; void is 255 in every catalog, as VOC has it. ``trainval.txt`` names
    the images of all splits but ``test``.

    Args:
        images: what happens to the photographs. They keep their endings, although VOC's own have ``.jpg``.
    """

    name = "voc"
    lists: ClassVar[str] = "ImageSets/Segmentation"

    def __init__(self, *, images: Pictures = "copy") -> None:
        self.images = images

    def written_catalog(self, catalog: ClassCatalog) -> ClassCatalog:
        return voc_catalog(catalog)

    def files(self, item: ExportItem) -> tuple[str, ...]:
        return (f"SegmentationClass/{item.stem}.png",)

    def picture_name(self, item: ExportItem) -> str:
        return f"JPEGImages/{item.stem}{picture_suffix(item)}"

    def shared(self, items: Sequence[ExportItem]) -> tuple[str, ...]:
        splits = dict.fromkeys(("train", "val", "trainval", *(item.part for item in items)))
        return (*(f"{self.lists}/{split}.txt" for split in splits), "labelmap.txt")

    def session(self, catalog: ClassCatalog) -> LayoutSession:
        return _VocSession(self, catalog)


def voc_catalog(catalog: ClassCatalog) -> ClassCatalog:
    """The same classes with 255 as the value of void in files."""
    return catalog if catalog.file_ignore == catalog.ignore else replace(catalog, file_ignore=catalog.ignore)


class _VocSession(LayoutSession):
    def __init__(self, exporter: VocExporter, catalog: ClassCatalog) -> None:
        self._exporter, self._catalog = exporter, catalog
        self._labelmap = labelmap_text(catalog, void=True)  # names that it cannot hold are refused before the first file

    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        check_catalog(item, self._catalog)
        catalog = voc_catalog(self._catalog)
        (name,) = self._exporter.files(item)
        data = encode_indexed_png(labels, catalog)
        return Encoded((Part(name, data, lambda path: check_labels_equal(path, name, catalog, labels)),))

    def finish(self, items: Sequence[ExportItem]) -> tuple[Part, ...]:
        named: dict[str, list[str]] = {"train": [], "val": [], "trainval": []}
        for item in items:
            named.setdefault(item.part, []).append(item.stem)
            if item.part != "test":
                named["trainval"].append(item.stem)
        lists = [lines_part(f"{self._exporter.lists}/{split}.txt", stems) for split, stems in named.items()]
        return (*lists, text_part("labelmap.txt", self._labelmap))


def labelmap_text(catalog: ClassCatalog, *, void: bool = False) -> str:
    """``labelmap.txt`` as CVAT and Datumaro read it: name, colour, parts, actions.

    Args:
        catalog: the classes to list.
        void: for files with palettes: name the colour of void too, and the ids where they are not positions. Datumaro refuses
            pictures with a colour that the table lacks.

    Raises:
        ExportError: a class name holds a colon or a line break, begins with ``#``, or means void.
    """
    rows = [(info.name, info.color) for info in catalog.classes]
    for info in catalog.classes:
        if info.name.casefold() == "void":
            raise ExportError(
                message("'{name}' cannot be named in a labelmap.txt", name=info.name),
                why=message("A class '{name}' means void there", name=info.name),
                remedy=message("Rename the class, or choose another format"),
            )
        if ":" in info.name or len(info.name.splitlines()) != 1 or info.name.startswith("#"):
            raise ExportError(
                message("'{class_name}' cannot be named in a labelmap.txt", class_name=info.name),
                why=message("Colons part its columns, '#' begins a remark"),
                remedy=message("Rename the class, or choose another format"),
            )
    ids = catalog.ids.tolist()
    if not void:
        return lists.labelmap_text(rows)
    given = [] if ids == list(range(len(ids))) else [*ids, catalog.ignore]
    return lists.labelmap_text([*rows, ("void", catalog.ignore_color)], given)


class Ade20kExporter(LayoutExporter):
    """The layout of ADE20K's scene parsing benchmark: ``annotations/training``, ``images/training``, ``objectInfo.txt``.

    Value n of a label file is the n-th class of the list, 0 is void. For the built-in ADE20K classes these are the benchmark's
    own values; any other catalog gets its classes in their order.

    Args:
        images: what happens to the photographs.
    """

    name = "ade20k"
    folders: ClassVar[dict[str, str]] = {"train": "training", "val": "validation"}

    def __init__(self, *, images: Pictures = "copy") -> None:
        self.images = images

    def written_catalog(self, catalog: ClassCatalog) -> ClassCatalog:
        return ade_catalog(catalog)

    def files(self, item: ExportItem) -> tuple[str, ...]:
        return (f"annotations/{self._folder(item)}/{item.stem}.png",)

    def picture_name(self, item: ExportItem) -> str:
        return f"images/{self._folder(item)}/{item.stem}{picture_suffix(item)}"

    def shared(self, items: Sequence[ExportItem]) -> tuple[str, ...]:
        del items
        return ("objectInfo.txt",)

    def session(self, catalog: ClassCatalog) -> LayoutSession:
        return _AdeSession(self, catalog)

    def _folder(self, item: ExportItem) -> str:
        return self.folders.get(item.part, item.part)


def ade_catalog(catalog: ClassCatalog) -> ClassCatalog:
    """The classes numbered from 1 in their order, 0 for void in files."""
    if len(catalog) > IGNORE - 1:
        raise ExportError(
            message("'{catalog}' has more than {most} classes", catalog=catalog.name, most=IGNORE - 1),
            remedy=message("Choose ids of 16 bit instead"),
        )
    classes = tuple(ClassInfo(number, info.name, info.color, info.key) for number, info in enumerate(catalog.classes, 1))
    background = None if catalog.background is None else catalog.index_of(catalog.background) + 1
    return replace(catalog, classes=classes, file_ignore=0, background=background)


class _AdeSession(LayoutSession):
    def __init__(self, exporter: Ade20kExporter, catalog: ClassCatalog) -> None:
        self._exporter, self._catalog = exporter, catalog
        self._written = ade_catalog(catalog)
        self._listed = _object_info(self._written)  # names that it cannot hold are refused before the first file
        self._lut = np.full(int(catalog.ignore) + 1, IGNORE, np.uint8)
        self._lut[catalog.ids] = self._written.ids

    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        check_catalog(item, self._catalog)
        to_file_values(labels, self._catalog)
        values = apply_lut(labels, self._lut)
        (name,) = self._exporter.files(item)
        data = encode_ids_png(values, self._written)
        return Encoded((Part(name, data, lambda path: check_labels_equal(path, name, self._written, values)),))

    def finish(self, items: Sequence[ExportItem]) -> tuple[Part, ...]:
        del items
        return (text_part("objectInfo.txt", self._listed),)


def _object_info(catalog: ClassCatalog) -> str:
    """``objectInfo.txt``: number and name. Raises ExportError for a name with a tab or a line break."""
    for info in catalog.classes:
        if "\t" in info.name or len(info.name.splitlines()) != 1:
            raise ExportError(
                message("{name} cannot be named in an objectInfo.txt", name=repr(info.name)),
                why=message("Tabs part its columns, and each class has one line"),
                remedy=message("Rename the class, or choose another format"),
            )
    rows = ["Idx\tName", *(f"{info.id}\t{info.name}" for info in catalog.classes)]
    return "\n".join(rows) + "\n"

"""Cityscapes' own label files, from labels of any catalog with classes that match by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, map_catalogs
from deeplab_core.errors import ExportError, message
from deeplab_core.images.file_names import photo_stem
from deeplab_core.labels import LabelMap, apply_lut, value_counts
from deeplab_core.masks.export.exporter import (
    REMEDY,
    Encoded,
    ExportItem,
    FileExporter,
    LayoutExporter,
    LayoutSession,
    Loss,
    Part,
    Pictures,
    check_labels_equal,
    picture_suffix,
)
from deeplab_core.masks.export.masks import color_table
from deeplab_core.masks.png import encode_ids_png, encode_png, to_file_values
from deeplab_core.masks.stored import read_stored

#: Label id 0, "unlabeled": what Cityscapes' label files hold for unknown pixels; they have no void value.
_UNLABELED = 0


class CityscapesIdsExporter(FileExporter):
    """``*_gtFine_labelIds.png``: grey PNG of Cityscapes label ids; void is written as 0 (unlabeled), as the benchmark does.

    Args:
        unmatched_to_void: write classes without a partner as void. Off by default: their pixels would be lost unseen.
    """

    name = "cityscapes_ids"
    target_catalog: ClassVar[str] = "cityscapes34"
    ending: ClassVar[str] = "_gtFine_labelIds.png"

    def __init__(self, *, unmatched_to_void: bool = False) -> None:
        self.unmatched_to_void = unmatched_to_void

    def written_catalog(self, catalog: ClassCatalog) -> ClassCatalog:
        del catalog
        return get_catalog(self.target_catalog)

    def output_name(self, item: ExportItem) -> str:
        path = PurePosixPath(item.stem)
        return str(path.with_name(photo_stem(path.name) + self.ending))

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        return encode_ids_png(self._translated(item, labels), get_catalog(self.target_catalog))

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        target = get_catalog(self.target_catalog)
        check_labels_equal(path, self.output_name(item), target, self._translated(item, labels))

    def loss(self, item: ExportItem, labels: LabelMap) -> Loss:
        return translation_loss(labels, item.catalog, self.target_catalog)

    def _translated(self, item: ExportItem, labels: LabelMap) -> LabelMap:
        return translated(item, labels, self.target_catalog, unmatched_to_void=self.unmatched_to_void)


def translated(item: ExportItem, labels: LabelMap, catalog: str, *, unmatched_to_void: bool) -> LabelMap:
    """Labels in Cityscapes' values.

    Args:
        item: the image of the labels.
        labels: (H, W) of the item's catalog.
        catalog: ``"cityscapes34"`` for label ids, ``"cityscapes19"`` for train ids.
        unmatched_to_void: write classes without a partner as void instead of raising.

    Raises:
        ExportError: classes that occur have no partner.
    """
    source, target = item.catalog, get_catalog(catalog)
    if source.wide:
        raise ExportError(
            message("'{source}' is too large to be written as Cityscapes ids", source=source.name),
            remedy=message("Export raw ids instead"),
        )
    to_file_values(labels, source)
    mapping = map_catalogs(source, target)
    occurring = {source.by_id(int(value)).name for value in np.flatnonzero(value_counts(labels)) if value != source.ignore}
    lost = sorted(occurring.intersection(mapping.unmatched))
    # From label ids to train ids, dropping the classes that the benchmark ignores is the benchmark's own rule.
    if lost and not unmatched_to_void and source.name != "cityscapes34":
        raise ExportError(
            message("Cityscapes has no class for {lost}", lost=", ".join(lost)),
            remedy=message("Map them to classes of Cityscapes, allow them to become void, or choose another format"),
            path=item.name,
        )
    lut = mapping.lut.copy()
    if target.name == "cityscapes34":
        lut[lut == target.ignore] = _UNLABELED
    return apply_lut(labels, lut)


def translation_loss(labels: LabelMap, source: ClassCatalog, catalog: str) -> Loss:
    """Pixels of classes that become void in Cityscapes' values; see :func:`translated`."""
    pairs = dict(map_catalogs(source, get_catalog(catalog)).pairs)
    counts = value_counts(labels)
    return Loss(unmatched=sum(int(counts[number]) for number, partner in pairs.items() if partner is None))


class CityscapesTrainIdsExporter(CityscapesIdsExporter):
    """``*_gtFine_labelTrainIds.png``: grey PNG of the 19 train ids; everything else is 255."""

    name = "cityscapes_train_ids"
    target_catalog = "cityscapes19"
    ending = "_gtFine_labelTrainIds.png"


#: Names that the benchmark's own scripts can take apart: city, sequence and frame.
_BENCHMARK_NAME = re.compile(r"[^_]+_\d+_\d+")


class CityscapesExporter(LayoutExporter):
    """Folders of the benchmark: ``gtFine/SPLIT/CITY`` with label ids, train ids and colours, ``leftImg8bit/SPLIT/CITY``.

    A name that is not a ``city_sequence_frame`` gets this form, so that the benchmark's scripts can take it apart: ``a_1.jpg`` in
    the folder ``north`` becomes ``north_a-1_000000``. The city is the image's folder, or ``city`` for images in none.

    Args:
        unmatched_to_void: write classes without a partner as void. Off by default: their pixels would be lost unseen.
        images: what happens to the photographs.
    """

    name = "cityscapes"
    renames = True

    def __init__(self, *, unmatched_to_void: bool = False, images: Pictures = "copy") -> None:
        self.unmatched_to_void = unmatched_to_void
        self.images = images

    def written_catalog(self, catalog: ClassCatalog) -> ClassCatalog:
        del catalog
        return get_catalog("cityscapes34")

    def files(self, item: ExportItem) -> tuple[str, ...]:
        place = f"gtFine/{self._place(item)}_gtFine"
        return (f"{place}_color.png", f"{place}_labelTrainIds.png", f"{place}_labelIds.png")

    def picture_name(self, item: ExportItem) -> str:
        return f"leftImg8bit/{self._place(item)}_leftImg8bit{picture_suffix(item)}"

    def session(self, catalog: ClassCatalog) -> LayoutSession:
        del catalog
        return _CityscapesSession(self)

    @staticmethod
    def _place(item: ExportItem) -> str:
        """``SPLIT/CITY/city_sequence_frame``."""
        path = PurePosixPath(item.stem)
        base = photo_stem(path.name)
        if _BENCHMARK_NAME.fullmatch(base):
            return f"{item.part}/{base.partition('_')[0]}/{base}"
        city = "-".join(path.parts[:-1]).replace("_", "-") or "city"
        return f"{item.part}/{city}/{city}_{base.replace('_', '-')}_000000"


class _CityscapesSession(LayoutSession):
    def __init__(self, exporter: CityscapesExporter) -> None:
        self._exporter = exporter

    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        lost = self._exporter.unmatched_to_void
        color, train, ids = self._exporter.files(item)
        label_ids = translated(item, labels, "cityscapes34", unmatched_to_void=lost)
        train_ids = translated(item, labels, "cityscapes19", unmatched_to_void=True)  # the benchmark drops classes itself
        table = color_table(get_catalog("cityscapes34"))

        def check_color(path: Path) -> None:
            found = read_stored(path).colors
            if found is None or not np.array_equal(found, table[label_ids]):
                raise ExportError(message("the colours do not read back equal"), remedy=REMEDY, path=item.name)

        parts = [Part(color, encode_png(table[label_ids]), check_color)]
        for name, values, catalog in (
            (train, train_ids, get_catalog("cityscapes19")),
            (ids, label_ids, get_catalog("cityscapes34")),
        ):
            parts.append(Part(name, encode_ids_png(values, catalog), _check(name, catalog, values)))
        return Encoded(tuple(parts), translation_loss(labels, item.catalog, "cityscapes34"))


def _check(name: str, catalog: ClassCatalog, values: LabelMap) -> Callable[[Path], None]:
    return lambda path: check_labels_equal(path, name, catalog, values)

"""Cityscapes' own label files, from labels of any catalog whose classes have partners by name."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import map_catalogs
from deeplab_core.errors import ExportError
from deeplab_core.images.file_names import photo_stem
from deeplab_core.labels import LabelMap, apply_lut, value_counts
from deeplab_core.masks.export.exporter import ExportItem, FileExporter, check_labels_equal
from deeplab_core.masks.png import encode_ids_png, to_file_values

#: Label id 0, "unlabeled": what Cityscapes' label files hold where nothing is known; they have no void value.
_UNLABELED = 0


class CityscapesIdsExporter(FileExporter):
    """``*_gtFine_labelIds.png``: grey PNG of Cityscapes label ids; void is written as 0 (unlabeled), as the benchmark does.

    Args:
        unmatched_to_void: write classes without a partner as void. Off by default: their pixels would be lost unseen.
    """

    name = "cityscapes_ids"
    title = "Cityscapes label ids"
    target_catalog: ClassVar[str] = "cityscapes34"
    ending: ClassVar[str] = "_gtFine_labelIds.png"

    def __init__(self, *, unmatched_to_void: bool = False) -> None:
        self.unmatched_to_void = unmatched_to_void

    def output_name(self, item: ExportItem) -> str:
        path = PurePosixPath(item.stem)
        return str(path.with_name(photo_stem(path.name) + self.ending))

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        return encode_ids_png(self._translated(item, labels), get_catalog(self.target_catalog))

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        target = get_catalog(self.target_catalog)
        check_labels_equal(path, self.output_name(item), target, self._translated(item, labels))

    def _translated(self, item: ExportItem, labels: LabelMap) -> LabelMap:
        source, target = item.catalog, get_catalog(self.target_catalog)
        if source.wide:
            raise ExportError(f"'{source.name}' is too large to be written as Cityscapes ids", remedy="Export raw ids instead")
        to_file_values(labels, source)
        mapping = map_catalogs(source, target)
        occurring = {source.by_id(int(value)).name for value in np.flatnonzero(value_counts(labels)) if value != source.ignore}
        lost = sorted(occurring.intersection(mapping.unmatched))
        # From label ids to train ids, dropping the classes that the benchmark ignores is the benchmark's own rule.
        if lost and not self.unmatched_to_void and source.name != "cityscapes34":
            raise ExportError(
                f"Cityscapes has no class for {', '.join(lost)}",
                remedy="Allow them to become void, or choose another format",
                path=item.name,
            )
        lut = mapping.lut.copy()
        if target.name == "cityscapes34":
            lut[lut == target.ignore] = _UNLABELED
        return apply_lut(labels, lut)


class CityscapesTrainIdsExporter(CityscapesIdsExporter):
    """``*_gtFine_labelTrainIds.png``: grey PNG of the 19 train ids; everything else is 255."""

    name = "cityscapes_train_ids"
    title = "Cityscapes train ids"
    target_catalog = "cityscapes19"
    ending = "_gtFine_labelTrainIds.png"

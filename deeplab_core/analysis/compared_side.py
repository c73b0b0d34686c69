"""One side of a comparison: what an evaluation counted, image by image, from a folder's analysis or from its report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_core.analysis.evaluation import IMAGE_MEANS, Evaluation
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.record import BOUNDARY, ImageAnalysis
from deeplab_core.analysis.report.reading import damaged, read_figures
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError
from deeplab_core.metrics.boundary_iou import BoundaryIoU
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.truth_hash import ground_truth_hash, image_key
from deeplab_core.reading import VALUE_ERRORS
from deeplab_core.records import TrimapBand


@dataclass(frozen=True, slots=True, eq=False)
class ComparedImage:
    """One image of a side.

    Attributes:
        name: path below its folder.
        counts: its pixels by class.
        means: figures named by :data:`~deeplab_core.analysis.evaluation.IMAGE_MEANS`, nan if not measured.
        truth_hash: of the ground truth as it was scored; None in a report of an older version.
    """

    name: str
    counts: ImageCounts
    means: tuple[float, ...]
    truth_hash: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedSide:
    """What was measured of one side.

    Attributes:
        path: the report, the folder of masks, or the model.
        catalog: its classes.
        band_rule: rule of the bands, and what they lie around.
        widths: of the bands, px.
        ratio: width of the inner boundaries as a share of the diagonal; None if they were not measured.
        images: by :func:`~deeplab_core.metrics.truth_hash.image_key`, without those that share a key.
        alike: names of images that share a key, one entry for each key.
    """

    path: Path
    catalog: ClassCatalog
    band_rule: tuple[str, str]
    widths: tuple[int, ...]
    ratio: float | None
    images: dict[str, ComparedImage]
    alike: tuple[str, ...] = ()

    @classmethod
    def of_folder(
        cls, folder: FolderAnalysis, path: Path, *, band: TrimapBand, widths: tuple[int, ...], ratio: float | None
    ) -> ComparedSide:
        """The images of a folder's analysis that have the band.

        Args:
            folder: its records have the band's counts, and those of boundaries if ``ratio`` is given.
            path: what the analysis is of.
            band: rule and reference.
            widths: in px, each 1..40.
            ratio: of the boundaries that were measured, or None.
        """
        records = ((name, folder.get(name)) for name in folder)
        images = (_of_record(name, record, band, widths, ratio) for name, record in records if record is not None)
        kept, alike = _by_key(image for image in images if image is not None)
        return cls(
            path=path, catalog=folder.catalog, band_rule=(band.rule, band.around), widths=widths, ratio=ratio, images=kept,
            alike=alike,
        )  # fmt: skip

    @classmethod
    def of_evaluation(cls, found: Evaluation, path: Path) -> ComparedSide:
        """The side of an evaluated folder of masks."""
        return cls.of_folder(found.analysis, path, band=found.band, widths=found.widths, ratio=found.boundary_ratio)

    @classmethod
    def of_report(cls, path: Path) -> ComparedSide:
        """Read what ``atrous evaluate --json`` wrote.

        Raises:
            MaskFormatError: no such report, or one of another version, or a damaged one.
        """
        data = read_figures(path)
        try:
            catalog = ClassCatalog.from_dict(data["catalog"])
            widths = tuple(int(row["width_px"]) for row in data["bands"]["widths"])
            images, alike = _by_key(_of_row(row, catalog, widths) for row in data["images"])
            rule = str(data["bands"]["rule"]), str(data["bands"]["around"])
            ratio = None if data["boundary"] is None else float(data["boundary"]["boundary_iou"]["ratio"])
        except AtrousError as error:
            error.path = path
            raise
        except VALUE_ERRORS as error:
            raise damaged(path, error) from error
        return cls(path=path, catalog=catalog, band_rule=rule, widths=widths, ratio=ratio, images=images, alike=alike)

    def truth_hash(self, keys: Iterable[str]) -> str | None:
        """Hash of the ground truth of these images; None if one of them has none."""
        found = [(key, self.images[key].truth_hash) for key in keys]
        known = [(key, digest) for key, digest in found if digest is not None]
        return ground_truth_hash(known) if len(known) == len(found) else None

    def renumbered(self, channels: list[int]) -> ComparedSide:
        """The side as if its catalog had these channels only, in this order."""
        place = np.full(len(self.catalog), -1, dtype=np.int64)
        place[channels] = np.arange(len(channels))
        images = {key: replace(image, counts=image.counts.select(place, len(channels))) for key, image in self.images.items()}
        return replace(self, images=images)


def _by_key(images: Iterable[ComparedImage]) -> tuple[dict[str, ComparedImage], tuple[str, ...]]:
    found: dict[str, list[ComparedImage]] = defaultdict(list)
    for image in images:
        found[image_key(image.name)].append(image)
    alike = tuple(" and ".join(image.name for image in same) for same in found.values() if len(same) > 1)
    return {key: same[0] for key, same in found.items() if len(same) == 1}, alike


def _of_record(
    name: str, record: ImageAnalysis, band: TrimapBand, widths: tuple[int, ...], ratio: float | None
) -> ComparedImage | None:
    histogram = record.band(band.rule, band.around)
    if histogram is None:
        return None
    edges = None if ratio is None else record.whole(BOUNDARY)
    boundary = None if ratio is None or edges is None else BoundaryIoU(record.catalog, ratio, counts=edges)
    means = tuple((record.means or {}).get(mean, math.nan) for mean in IMAGE_MEANS)
    return ComparedImage(name, ImageCounts.of(histogram, widths, boundary), means, record.truth_sha256 or None)


def _of_row(row: dict[str, Any], catalog: ClassCatalog, widths: tuple[int, ...]) -> ComparedImage:
    means = tuple(math.nan if row[name] is None else float(row[name]) for name in IMAGE_MEANS)
    digest = row.get("truth_sha256")
    counts = ImageCounts.from_rows(row["counts"], catalog.ids, widths)
    return ComparedImage(str(row["name"]), counts, means, None if digest is None else str(digest))

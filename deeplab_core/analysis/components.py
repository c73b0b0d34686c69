"""Error components: the connected pixels behind one cell of a confusion matrix, in one image."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.kinds import KINDS, FailureKind
from deeplab_core.analysis.objects import ObjectTable
from deeplab_core.analysis.slices import PIXEL_EDGES, SLICE_COLUMNS, SLICES, PixelAxis, slice_places
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import CatalogError, ProjectError, message
from deeplab_core.geometry import Box, strips
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.counting import channel_table
from deeplab_core.reading import unpack
from deeplab_core.regions import Mask, Regions, find_regions

#: Components listed per cell and image; the others are counted.
PER_CELL = 32
#: Components listed per image.
PER_IMAGE = 256

_MAGIC = b"AEC2"

#: No image has so many components that their list is larger, unpacked.
_MOST_BYTES = 64 << 20

#: One row per component: ids, box, pixels, centroid, one pixel of it, pixels of each kind of failure; number of the object of
#: the truth that misses it, and of the one with the predicted region it belongs to, 0 for none; pixels in each slice of the
#: pixel axes. Sixteen bits hold coordinates up to 65,535.
ROW = np.dtype(
    [
        ("truth", "<u2"),
        ("prediction", "<u2"),
        ("x", "<u2"),
        ("y", "<u2"),
        ("width", "<u2"),
        ("height", "<u2"),
        ("pixels", "<u4"),
        ("center_x", "<f4"),
        ("center_y", "<f4"),
        ("anchor_x", "<u2"),
        ("anchor_y", "<u2"),
        ("kinds", "<u4", (len(KINDS),)),
        ("object", "<u4"),
        ("called_object", "<u4"),
        ("slices", "<u4", (SLICES,)),
    ]
)


@dataclass(frozen=True, slots=True)
class ErrorComponent:
    """One connected patch of pixels of one cell.

    Attributes:
        image: name of the image.
        truth, prediction: class ids; the prediction may be void (``catalog.ignore``).
        box: bounding box.
        pixels: its size.
        centroid: mean x and y of its pixels; outside of it where it is bent.
        anchor: x and y of a pixel that belongs to it.
        kinds: kinds of failure that at least one of its pixels belongs to, where they were judged.
    """

    image: str
    truth: int
    prediction: int
    box: Box
    pixels: int
    centroid: tuple[float, float]
    anchor: tuple[int, int]
    kinds: tuple[FailureKind, ...] = ()


class WrongKinds(Protocol):
    """Wrong pixels by kind of failure, as :class:`~deeplab_core.analysis.failures.KindMasks` gives them."""

    @property
    def bits(self) -> NDArray[np.uint16]:
        """(H, W), bit k for the k-th kind."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageErrors:
    """What one image adds to every cell, small enough to keep for each image of a folder.

    Attributes:
        cells: (K, 2) int32 truth and prediction *ids* of the cells that occur, ordered.
        pixels: (K,) int64 pixels of each cell.
        components: (K,) int64 number of components of each cell, all of them.
        rows: (R,) of :data:`ROW`: the listed components, largest first; at most ``per_cell`` of a cell and ``per_image``
            altogether, so a cell with tiny components only may have none.
        kind_components: (K,) int64 components, all of them, with a pixel of each kind of failure; 0 if no kinds were determined.
    """

    cells: NDArray[np.int32]
    pixels: NDArray[np.int64]
    components: NDArray[np.int64]
    rows: NDArray[Any]
    kind_components: NDArray[np.int64]

    def cell(self, truth: int, prediction: int) -> tuple[int, int]:
        """Pixels and components of one cell; (0, 0) where it does not occur."""
        found = np.flatnonzero((self.cells[:, 0] == truth) & (self.cells[:, 1] == prediction))
        return (int(self.pixels[found[0]]), int(self.components[found[0]])) if found.size else (0, 0)

    def listed(self, image: str, truth: int | None = None, prediction: int | None = None) -> list[ErrorComponent]:
        """The listed components of a cell, a row, a column (the other is None) or all, largest first."""
        rows = self.rows
        if truth is not None:
            rows = rows[rows["truth"] == truth]
        if prediction is not None:
            rows = rows[rows["prediction"] == prediction]
        return [component_of(row, image) for row in rows]

    def to_bytes(self) -> bytes:
        """Compact form for a database; :meth:`from_bytes` is the inverse."""
        head = np.array([len(self.cells), len(self.rows)], dtype="<u4").tobytes()
        parts = (
            self.cells.astype("<i4"),
            self.pixels.astype("<i8"),
            self.components.astype("<i8"),
            self.rows,
            self.kind_components,
        )
        return _MAGIC + zlib.compress(head + b"".join(part.tobytes() for part in parts))

    @classmethod
    def from_bytes(cls, data: bytes) -> ImageErrors:
        """Rebuild from :meth:`to_bytes`. Raises ProjectError where the bytes are damaged."""
        try:
            if data[:4] != _MAGIC:
                raise ValueError("not a list of error components")
            plain = unpack(data[4:], _MOST_BYTES)
            cells, rows = (int(number) for number in np.frombuffer(plain, "<u4", 2))
            if len(plain) != 8 + cells * 24 + rows * ROW.itemsize + 8 * len(KINDS):
                raise ValueError("wrong length")
            ids = np.frombuffer(plain, "<i4", cells * 2, 8).reshape(cells, 2).astype(np.int32)
            pixels = np.frombuffer(plain, "<i8", cells, 8 + cells * 8).astype(np.int64)
            components = np.frombuffer(plain, "<i8", cells, 8 + cells * 16).astype(np.int64)
            listed = np.frombuffer(plain, ROW, rows, 8 + cells * 24).copy()
            return cls(
                ids, pixels, components, listed, np.frombuffer(plain, "<i8", len(KINDS), len(plain) - 8 * len(KINDS)).copy()
            )
        except ValueError as error:
            remedy = message("Evaluate the image again")
            raise ProjectError(message("stored error components are damaged"), why=str(error), remedy=remedy) from error


def component_of(row: np.void, image: str) -> ErrorComponent:
    """A row of :data:`ROW` as plain values."""
    return ErrorComponent(
        image=image,
        truth=int(row["truth"]),
        prediction=int(row["prediction"]),
        box=Box(int(row["x"]), int(row["y"]), int(row["width"]), int(row["height"])),
        pixels=int(row["pixels"]),
        centroid=(float(row["center_x"]), float(row["center_y"])),
        anchor=(int(row["anchor_x"]), int(row["anchor_y"])),
        kinds=tuple(kind for kind, pixels in zip(KINDS, row["kinds"], strict=True) if pixels),
    )


def wrong_pixels(truth: LabelMap, prediction: LabelMap, ignore: int, exclude: Mask | None = None) -> Mask:
    """(H, W) bool: labelled truth that the prediction does not give; a void prediction is wrong.

    Args:
        truth, prediction: (H, W) ids of one shape.
        ignore: id of void.
        exclude: (H, W) bool, pixels that are not scored.
    """
    wrong: Mask = (truth != prediction) & (truth != ignore)
    if exclude is not None:
        wrong &= ~exclude
    return wrong


def find_errors(
    *,
    truth: LabelMap,
    prediction: LabelMap,
    catalog: ClassCatalog,
    exclude: Mask | None = None,
    kinds: WrongKinds | None = None,
    objects: ObjectTable | None = None,
    values: Mapping[PixelAxis, NDArray[Any]] | None = None,
    per_cell: int = PER_CELL,
    per_image: int = PER_IMAGE,
) -> ImageErrors:
    """Connected error components of every cell of one image; some ten milliseconds for 500 x 375 px.

    With the labels of another model (or of the CRF) as ``truth`` these are the components on which the two disagree.

    Args:
        truth, prediction: (H, W) ids of ``catalog``, of one shape.
        catalog: the classes.
        exclude: (H, W) bool, pixels that are not scored (:class:`~deeplab_core.datasets.ambiguous.AmbiguousMarks`).
        kinds: wrong pixels of each kind of failure.
        objects: of the same maps; says to which object each listed component belongs.
        values: (H, W) numbers by axis, as for :func:`~deeplab_core.analysis.slices.slice_pixels`.
        per_cell, per_image: how many components are listed; all are counted.

    Raises:
        CatalogError: an undeclared id.
        ValueError: shapes differ.
    """
    if kinds is None:  # kinds come from maps that were checked
        check_pair(truth, prediction, catalog)
    wrong = wrong_pixels(truth, prediction, catalog.ignore, exclude)
    # Regions are sorted by code, and dense codes sort faster than those of the widest ids.
    present, compact = _compact_cells(truth, prediction, wrong, catalog)
    regions = find_regions(compact, wrong)
    del compact
    cells = np.stack(np.divmod(present, catalog.ignore + 1), axis=1).astype(np.int32).reshape(-1, 2)
    pixels = np.bincount(regions.values, weights=regions.pixels, minlength=len(present)).astype(np.int64)
    components = np.bincount(regions.values, minlength=len(present)).astype(np.int64)
    chosen = _largest(regions.values, regions.pixels, per_cell, per_image)
    rows = np.zeros(len(chosen), dtype=ROW)
    rows["truth"], rows["prediction"] = cells[regions.values[chosen]].T
    for name, column in zip(("x", "y", "width", "height"), regions.boxes[chosen].T, strict=True):
        rows[name] = column
    rows["pixels"] = regions.pixels[chosen]
    rows["center_x"], rows["center_y"] = regions.centroids[chosen].T
    rows["anchor_x"], rows["anchor_y"] = regions.anchors[chosen].T
    shares = np.zeros((len(KINDS), len(regions)), dtype=np.int64)
    if kinds is not None:
        for strip in strips(truth.shape):
            where = kinds.bits[strip] > 0
            bits, number = kinds.bits[strip][where], regions.numbers[strip][where]
            for place in range(len(KINDS)):
                shares[place] += np.bincount(number[(bits & (1 << place)) > 0], minlength=len(regions) + 1)[1:]
    rows["kinds"] = shares[:, chosen].T
    if objects is not None:
        # A component lies within one region of the truth and one of the prediction, so any of its pixels determines which.
        x, y = regions.anchors[chosen].T
        rows["object"] = objects.numbers[y, x]
        rows["called_object"] = np.append(0, objects.called_owner)[objects.called_numbers[y, x]]
    for axis, numbers in ({} if values is None else values).items():
        counts = _by_slice(regions, wrong, axis, numbers)[chosen]
        first = SLICE_COLUMNS[axis]
        rows["slices"][:, first : first + counts.shape[1]] = counts
    return ImageErrors(cells, pixels, components, rows, (shares > 0).sum(axis=1, dtype=np.int64))


def _compact_cells(
    truth: LabelMap, prediction: LabelMap, wrong: Mask, catalog: ClassCatalog
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Codes of the cells that occur, truth id x (ignore + 1) + prediction id, rising; (H, W) the place of each wrong pixel's."""
    table, size = channel_table(catalog), len(catalog) + 1
    seen = np.zeros(size * size, dtype=bool)

    def cells_of(strip: slice) -> NDArray[np.int64]:
        chosen = wrong[strip]
        cells = table.wide_lut.take(truth[strip][chosen]) * size
        cells += table.wide_lut.take(prediction[strip][chosen])
        return cells

    for strip in strips(truth.shape):
        seen[cells_of(strip)] = True
    cells = np.flatnonzero(seen)
    codes = table.columns[cells // size] * (catalog.ignore + 1) + table.columns[cells % size]
    order = np.argsort(codes)
    kind = np.uint16 if len(codes) < 1 << 16 else np.int64
    place = np.zeros(size * size, dtype=kind)
    place[cells[order]] = np.arange(len(codes))
    compact = np.zeros(truth.shape, dtype=kind)
    for strip in strips(truth.shape):
        compact[strip][wrong[strip]] = place[cells_of(strip)]
    return codes[order], compact


def _by_slice(regions: Regions, wrong: Mask, axis: PixelAxis, values: NDArray[Any]) -> NDArray[np.int64]:
    """(R, S) pixels of each region in each slice of an axis."""
    width = len(PIXEL_EDGES[axis]) + 1
    found = np.zeros(len(regions) * width, dtype=np.int64)
    for strip in strips(wrong.shape):
        chosen = wrong[strip]
        code = (regions.numbers[strip][chosen].astype(np.int64) - 1) * width + slice_places(axis, values[strip][chosen])
        found += np.bincount(code, minlength=found.size)
    return found.reshape(-1, width)[:, 1:]


def component_mask(component: ErrorComponent, *, truth: LabelMap, prediction: LabelMap) -> Mask:
    """(height, width) bool: a component's pixels within its box, found again from the maps.

    All false where a correction has since taken its anchor away.
    """
    import cv2

    place = component.box.slices
    same: Mask = (truth[place] == component.truth) & (prediction[place] == component.prediction)
    x, y = component.anchor[0] - component.box.x, component.anchor[1] - component.box.y
    _, numbers = cv2.connectedComponents(same.astype(np.uint8), connectivity=8)
    number = int(numbers[y, x])
    found: Mask = (numbers == number) if number else np.zeros_like(same)
    return found


def check_pair(truth: LabelMap, prediction: LabelMap, catalog: ClassCatalog) -> None:
    """Raise ValueError where shapes differ or are not two-dimensional, CatalogError where a map holds an undeclared id."""
    if truth.ndim != 2 or truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    table = channel_table(catalog)
    for name, labels in (("truth", truth), ("prediction", prediction)):
        if labels.dtype != catalog.dtype:
            raise CatalogError(
                message("{name} of '{catalog}' must be a {dtype} map", name=name, catalog=catalog.name, dtype=catalog.dtype),
                why=message("It holds {dtype}", dtype=labels.dtype),
            )
        if (table.lut[_seen(labels, catalog.ignore)] > table.classes).any():
            table.channels(name, labels)  # raises, naming the ids


def _seen(labels: LabelMap, ignore: int) -> NDArray[np.bool_]:
    """(ignore + 1,) bool: the values that occur."""
    found = np.zeros(ignore + 1, dtype=bool)
    for strip in strips(labels.shape):
        found[labels[strip]] = True
    return found


def _largest(values: NDArray[np.int64], pixels: NDArray[np.int64], per_cell: int, per_image: int) -> NDArray[np.intp]:
    """Rows of the largest regions, limited per value and in total; equal ones in reading order."""
    order = np.argsort(-pixels, kind="stable")
    by_value = order[np.argsort(values[order], kind="stable")]
    sorted_values = values[by_value]
    starts = np.searchsorted(sorted_values, sorted_values, side="left")
    kept = by_value[np.arange(len(by_value)) - starts < per_cell]
    return kept[np.argsort(-pixels[kept], kind="stable")][:per_image]

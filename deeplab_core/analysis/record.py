"""What is kept of one image: its counts, its ranking scores, its error components and objects; some kilobytes, no masks."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import ImageErrors
from deeplab_core.analysis.failures import ImageFailures
from deeplab_core.analysis.kinds import KINDS
from deeplab_core.analysis.label_quality import LabelIssue
from deeplab_core.analysis.objects import OBJECT
from deeplab_core.analysis.slices import OBJECT_EDGES, PIXEL_EDGES, ObjectAxis, PixelAxis
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, ProjectError
from deeplab_core.geometry import Box
from deeplab_core.metrics.calibration import LEVELS
from deeplab_core.metrics.confusion import ConfusionMatrix
from deeplab_core.metrics.trimap import OUTSIDE, BandAround, BandRule
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.reading import expecting, parse_json, unpack

# Names of counts. What stands before a colon is the part that is measured, and replaced, as a whole.
#: (C, C + 1) confusion matrix on the scored ground truth.
CONFUSION = "confusion"
#: (C + 1,) pixels of the labels by class, void last.
CLASSES = "classes"
#: (2, C) pixels in both and in either inner boundary.
BOUNDARY = "boundary"
#: (C, 256, 2) pixels by predicted class, level of confidence, and wrong or right.
CALIBRATION = "calibration"
#: (1,) labelled pixels that marks of ambiguity keep out of all figures.
EXCLUDED = "excluded"
#: (256, 2) pixels by level of confidence, and wrong or right.
CONFIDENCE_LEVELS = "ranking:levels"
#: (256, 2) pixels by level of the object's probability, and other or object: of a two-class network.
OBJECT_LEVELS = "ranking:object levels"
#: (C, C + 1) the confusion matrix that error components and failures were found in, and their number by cell.
ERROR_PIXELS, COMPONENTS = "errors:confusion", "errors:components"
#: (K, C) wrong pixels of each kind of failure by truth class and by predicted class.
MISSED, FALSE = "errors:missed", "errors:false"
#: (K,) pixels, instances and images of each kind of failure.
KIND_PIXELS, KIND_INSTANCES, KIND_IMAGES = "errors:pixels", "errors:instances", "errors:images"
#: (2, 3, C, C + 1) wrong pixels of every cell by part of the partition, first as misses of the truth class, then as false alarms
#: of the predicted one (0 in the column of void). (3, C, C + 1) the same by their object of the ground truth: cut by an occluder,
#: not cut, no object. (S + 1, C, C + 1) the same by the size of that object, pixels of no object last.
CELL_PARTS, CELL_OCCLUSION, CELL_SIZES = "errors:cell parts", "errors:cell occlusion", "errors:cell sizes"

_MAGIC = b"AIA1"
#: Bounds of what a stored record may unpack to: bytes of its header and of everything else.
_MOST_HEAD, _MOST_BYTES = 1 << 20, 64 << 20
#: No image has so many pixels.
_MOST_COUNT = 1 << 53
_UNSIGNED = ("|u1", "<u2", "<u4", "<u8")


def band_name(rule: BandRule, around: BandAround = "truth") -> str:
    """Name of the (41, C, C + 1) counts by distance to a boundary."""
    return f"band {rule} {around}"


def slice_name(axis: PixelAxis) -> str:
    """Name of the (S, C, C + 1) confusion matrices by slice of an axis."""
    return f"errors:slice {axis.value}"


def slice_images_name(axis: PixelAxis) -> str:
    """Name of the (S,) images that have pixels in each slice of an axis."""
    return f"errors:images {axis.value}"


def shape_of(name: str, catalog: ClassCatalog) -> tuple[int, ...]:
    """Shape of the counts of a name. Raises KeyError for a name that does not exist."""
    classes, kinds = len(catalog), len(KINDS)
    matrix = classes, classes + 1
    if name.startswith("band "):
        return OUTSIDE, *matrix
    for axis in PixelAxis:
        if name == slice_name(axis):
            return len(PIXEL_EDGES[axis]), *matrix
        if name == slice_images_name(axis):
            return (len(PIXEL_EDGES[axis]),)
    return {
        CONFUSION: matrix, ERROR_PIXELS: matrix, COMPONENTS: matrix, CLASSES: (classes + 1,), BOUNDARY: (2, classes),
        CALIBRATION: (classes, LEVELS, 2), EXCLUDED: (1,), CONFIDENCE_LEVELS: (LEVELS, 2), OBJECT_LEVELS: (LEVELS, 2),
        MISSED: (kinds, classes), FALSE: (kinds, classes), KIND_PIXELS: (kinds,), KIND_INSTANCES: (kinds,), KIND_IMAGES: (kinds,),
        CELL_PARTS: (2, 3, *matrix), CELL_OCCLUSION: (3, *matrix),
        CELL_SIZES: (len(OBJECT_EDGES[ObjectAxis.SIZE]) + 1, *matrix),
    }[name]  # fmt: skip


def _part(name: str) -> str:
    return name.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageAnalysis:
    """One image of a folder. A part that was not measured is absent, which is not a count of 0.

    Attributes:
        catalog: the classes.
        counts: what is added up over a folder, by name (:data:`CONFUSION`, ...).
        scores: by name (keys of :data:`~deeplab_core.analysis.ranking.RANKINGS`), higher is worse, always finite; scores that
            could not be measured are missing; None if none was looked for.
        issues: possible errors of the given labels, largest weight first; None if none was looked for.
        errors: components of every cell of the confusion matrix, or None.
        objects: (N,) of :data:`~deeplab_core.analysis.objects.OBJECT`, or None.
        means: figures that are averaged over images instead of pooled, by name; None if none was measured.
        truth_sha256: hash of the ground truth as it was scored; empty if unknown.
    """

    catalog: ClassCatalog
    counts: Mapping[str, SparseCounts] = field(default_factory=dict)
    scores: Mapping[str, float] | None = None
    issues: tuple[LabelIssue, ...] | None = None
    errors: ImageErrors | None = None
    objects: NDArray[Any] | None = None
    means: Mapping[str, float] | None = None
    truth_sha256: str = ""

    def with_parts(self, newer: ImageAnalysis) -> ImageAnalysis:
        """The record with every part that a newer one has: each count by itself; errors, objects and their counts together;
        scores, label issues and their counts together. A newer confusion also replaces means and hash.
        """
        parts = {_part(name) for name in newer.counts}
        if newer.scores is not None:
            parts.add("ranking")
        errors, ranked, scored = "errors" in parts, "ranking" in parts, CONFUSION in newer.counts
        return ImageAnalysis(
            catalog=newer.catalog,
            counts={name: counts for name, counts in self.counts.items() if _part(name) not in parts} | dict(newer.counts),
            scores=newer.scores if ranked else self.scores,
            issues=newer.issues if ranked else self.issues,
            errors=newer.errors if errors else self.errors,
            objects=newer.objects if errors else self.objects,
            means=newer.means if scored else self.means,
            truth_sha256=newer.truth_sha256 if scored else self.truth_sha256,
        )

    def whole(self, name: str) -> NDArray[np.int64] | None:
        """One array of counts; None where it was not measured."""
        counts = self.counts.get(name)
        return None if counts is None else counts.whole()

    @property
    def matrix(self) -> ConfusionMatrix | None:
        """Confusion matrix on the scored ground truth; None without."""
        counts = self.whole(CONFUSION)
        return None if counts is None else ConfusionMatrix(self.catalog, counts)

    def band(self, rule: BandRule, around: BandAround = "truth") -> BandHistogram | None:
        """Confusion by band; None where this band was not measured."""
        counts = self.counts.get(band_name(rule, around))
        return None if counts is None else BandHistogram(self.catalog, rule=rule, around=around, counts=counts.by_cell())

    @property
    def labelled_px(self) -> int | None:
        """Pixels of scored ground truth; None without."""
        counts = self.counts.get(CONFUSION)
        return None if counts is None else counts.total()

    @property
    def wrong_px(self) -> int | None:
        """Pixels of scored ground truth that the labels have wrong; None without ground truth."""
        counts = self.counts.get(CONFUSION)
        if counts is None:
            return None
        # Row r, column r of (C, C + 1) counts is place r (C + 2).
        return int(counts.values[counts.places % (len(self.catalog) + 2) != 0].sum(dtype=np.int64))

    @property
    def failures(self) -> ImageFailures | None:
        """Kinds of failure; None if none was looked for."""
        names = (ERROR_PIXELS, MISSED, FALSE, KIND_PIXELS, KIND_INSTANCES)
        found = [counts.whole() for name in names if (counts := self.counts.get(name)) is not None]
        return ImageFailures(*found) if len(found) == len(names) else None

    @property
    def slices(self) -> dict[PixelAxis, NDArray[np.int64]]:
        """(S, C, C + 1) int64 confusion matrices by slice of every axis that was measured."""
        return {axis: counts for axis in PixelAxis if (counts := self.whole(slice_name(axis))) is not None}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the labels; empty where they were not counted."""
        counts = self.counts.get(CLASSES)
        places = () if counts is None else counts.places.tolist()
        return tuple(self.catalog.names[place] for place in places if place < len(self.catalog))

    def to_bytes(self) -> bytes:
        """The form in which a project keeps it; :meth:`from_bytes` is the inverse."""
        body: list[bytes] = []
        counts: dict[str, Any] = {}
        stored: dict[int, int] = {}  # the same counts under two names are stored once
        for name, each in self.counts.items():
            place = stored.setdefault(id(each), len(body) // 2)
            if place == len(body) // 2:
                body += [each.places.tobytes(), each.values.tobytes()]
            counts[name] = [place, len(each.places), each.places.dtype.str, each.values.dtype.str]
        errors = b"" if self.errors is None else self.errors.to_bytes()
        objects = b"" if self.objects is None else self.objects.tobytes()
        head = {
            "classes": _digest(self.catalog),
            "counts": counts,
            "scores": None if self.scores is None else dict(self.scores),
            "issues": None if self.issues is None else [_issue_values(issue) for issue in self.issues],
            "errors": None if self.errors is None else len(errors),
            "objects": None if self.objects is None else len(self.objects),
            **({} if self.means is None else {"means": dict(self.means)}),
            **({"truth": self.truth_sha256} if self.truth_sha256 else {}),
        }
        packed = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
        rest = b"".join([*body, objects, errors])
        return _MAGIC + len(packed).to_bytes(4, "little") + packed + (zlib.compress(rest, 1) if rest else b"")

    @classmethod
    def from_bytes(cls, data: bytes, catalog: ClassCatalog) -> ImageAnalysis:
        """Rebuild a record.

        Raises:
            ProjectError: the bytes are damaged, or belong to other classes.
        """
        remedy = "Evaluate the folder again"
        with expecting("a stored analysis of an image is damaged", remedy=remedy, error=ProjectError):
            try:
                if data[:4] != _MAGIC:
                    raise ValueError("not an analysis")
                end = 8 + min(int.from_bytes(data[4:8], "little"), _MOST_HEAD)
                head = parse_json(data[8:end])
                if head["classes"] != _digest(catalog):
                    raise ValueError("it belongs to other classes")
                return _rebuilt(head, unpack(data[end:], _MOST_BYTES) if data[end:] else b"", catalog)
            except (AtrousError, zlib.error) as error:
                raise ValueError(str(error)) from error


def _rebuilt(head: dict[str, Any], rest: bytes, catalog: ClassCatalog) -> ImageAnalysis:
    counts: dict[str, SparseCounts] = {}
    arrays: list[SparseCounts] = []
    at = 0
    for name, (place, length, place_type, value_type) in head["counts"].items():
        if place == len(arrays):
            if place_type not in _UNSIGNED or value_type not in _UNSIGNED:
                raise ValueError(f"{name} is {place_type}, {value_type}")
            places, at = _array(rest, at, np.dtype(place_type), length)
            values, at = _array(rest, at, np.dtype(value_type), length)
            arrays.append(_checked(name, SparseCounts(shape_of(name, catalog), places, values)))
        if arrays[place].shape != shape_of(name, catalog):
            raise ValueError(f"{name} is of {arrays[place].shape}")
        counts[name] = arrays[place]
    objects = None
    if head["objects"] is not None:
        objects, at = _array(rest, at, OBJECT, head["objects"])
    errors = None
    if head["errors"] is not None:
        errors = ImageErrors.from_bytes(rest[at : at + head["errors"]])
        at += head["errors"]
        known = [*catalog.ids.tolist(), catalog.ignore]
        if not np.isin(errors.cells, known).all() or not np.isin(errors.cells[:, 0], catalog.ids).all():
            raise ValueError("an undeclared class")
    if at != len(rest):
        raise ValueError("wrong length")
    scores, means = _numbers(head["scores"]), _numbers(head.get("means"))
    issues = None if head["issues"] is None else tuple(_issue(*values) for values in head["issues"])
    return ImageAnalysis(
        catalog=catalog, counts=counts, scores=scores, issues=issues, errors=errors, objects=objects, means=means,
        truth_sha256=str(head.get("truth", "")),
    )  # fmt: skip


def _numbers(values: Mapping[str, Any] | None) -> dict[str, float] | None:
    numbers = None if values is None else {str(name): float(number) for name, number in values.items()}
    if numbers is not None and not all(map(math.isfinite, numbers.values())):
        raise ValueError("a score is not finite")
    return numbers


def _checked(name: str, counts: SparseCounts) -> SparseCounts:
    places, values = counts.places, counts.values
    if len(places) and (int(places[-1]) >= math.prod(counts.shape) or (places[1:] <= places[:-1]).any() or not values.all()):
        raise ValueError(f"{name} is out of order")
    if len(values) and int(values.max()) > _MOST_COUNT:
        raise ValueError(f"{name} is too large")
    return counts


def _array(data: bytes, at: int, kind: np.dtype[Any], length: int) -> tuple[NDArray[Any], int]:
    end = at + length * kind.itemsize
    if length < 0 or end > len(data):
        raise ValueError("it ends early")
    return np.frombuffer(data, kind, length, at).copy(), end


def _issue_values(issue: LabelIssue) -> list[Any]:
    return [issue.given, issue.suggested, list(issue.box), list(issue.anchor), issue.pixels, issue.lead, issue.weight]


def _issue(
    given: int, suggested: int, box: Sequence[int], anchor: Sequence[int], pixels: int, lead: float, weight: float
) -> LabelIssue:
    x, y = anchor
    return LabelIssue(
        int(given), int(suggested), Box(*map(int, box)), (int(x), int(y)), int(pixels), float(lead), float(weight)
    )  # fmt: skip


@lru_cache(maxsize=8)
def _digest(catalog: ClassCatalog) -> str:
    text = json.dumps([catalog.ids.tolist(), list(catalog.names), catalog.ignore])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

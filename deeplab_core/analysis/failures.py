"""Failures of an image or a folder: which wrong pixels belong to which kind, and the IoU that repairing them would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.kinds import KINDS, PARTS, FailureKind
from deeplab_core.analysis.objects import ObjectTable
from deeplab_core.analysis.partition import ErrorPart, ErrorPartition
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.geometry import strips
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.counting import count_pairs
from deeplab_core.metrics.scores import hits, mean_over_present, prediction_pixels, truth_pixels
from deeplab_core.regions import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRules:
    """Where the kinds begin.

    Attributes:
        boundary_px: width d of boundary errors; None takes 1 % of the diagonal (Bernhard et al. 2024).
        found_share: an object of which less than this share is right is missed, a predicted one is invented.
        small_px: an object of fewer pixels is small (COCO's 32 x 32).
        long_border: an object that shares more of its outline with other object classes is cut by an occluder.
        low_visible: an object of which less than this can be seen is mostly hidden; where the data says how much.
    """

    boundary_px: int | None = None
    found_share: float = 0.1
    small_px: int = 32 * 32
    long_border: float = 0.25
    low_visible: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class ImageFailures:
    """Counts of one image; K kinds in the order of :data:`~deeplab_core.analysis.kinds.KINDS`, C classes in channel order.

    Attributes:
        counts: (C, C + 1) int64, the confusion matrix.
        missed: (K, C) int64: wrong pixels of each kind by *truth* class, the misses that a repair turns into hits.
        false: (K, C) int64: wrong pixels of each kind by *predicted* class, the false alarms that a repair takes away.
        pixels: (K,) int64: wrong pixels that a kind concerns, each counted once.
        instances: (K,) int64: error components (parts of the partition, class swaps) or objects (all other kinds) with a wrong
            pixel of the kind.
    """

    counts: NDArray[np.int64]
    missed: NDArray[np.int64]
    false: NDArray[np.int64]
    pixels: NDArray[np.int64]
    instances: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class KindMasks:
    """Wrong pixels of every kind in one image.

    Attributes:
        bits: (H, W) uint16, bit k for the k-th kind. A pixel of the partition is listed under its verdict as a miss of its truth
            class and under that as a false alarm of its predicted class, which may be two parts.
        objects: (K,) int64, objects of each kind with a wrong pixel; 0 for kinds that count components.
    """

    bits: NDArray[np.uint16]
    objects: NDArray[np.int64]

    def mask(self, kind: FailureKind) -> Mask:
        """(H, W) bool: the wrong pixels of one kind."""
        return (self.bits & kind_bit(kind)) > 0


def kind_masks(
    *,
    truth: LabelMap,
    prediction: LabelMap,
    wrong: Mask,
    partition: ErrorPartition,
    objects: ObjectTable,
    things: frozenset[int],
    ignore: int,
    rules: FailureRules,
) -> KindMasks:
    """Sort the wrong pixels of one image by kind.

    Args:
        truth, prediction: (H, W) ids; excluded pixels are void of the truth.
        wrong: (H, W) bool, labelled pixels that are wrong.
        partition, objects: of the same maps.
        things: ids of object classes.
        ignore: id of void.
        rules: where the kinds begin.
    """
    bits = np.zeros(truth.shape, dtype=np.uint16)
    numbers = np.zeros(len(KINDS), dtype=np.int64)
    is_thing = np.zeros(ignore + 1, dtype=bool)
    is_thing[list(things)] = True
    # Bits of each object of the truth, and of each predicted region.
    of_object = np.zeros(len(objects.rows) + 1, dtype=np.uint16)
    for kind, chosen in _object_kinds(objects, rules).items():
        of_object[1:] |= chosen * kind_bit(kind)
        numbers[KINDS.index(kind)] = int((chosen & (objects.rows["right"] < objects.rows["pixels"])).sum())
    invented = _invented(objects, rules)
    of_called = np.append(False, invented) * kind_bit(FailureKind.INVENTED_OBJECT)
    numbers[KINDS.index(FailureKind.INVENTED_OBJECT)] = int(invented.sum())
    for strip in strips(truth.shape):
        where = wrong[strip]
        missed, false = partition.missed[strip][where], partition.false[strip][where]
        found = of_object[objects.numbers[strip][where]]
        for part, kind in zip(ErrorPart, PARTS, strict=True):
            found |= ((missed == part) | (false == part)) * kind_bit(kind)
        is_object, called_object = is_thing[truth[strip][where]], is_thing[prediction[strip][where]]
        edges = (found & kind_bit(FailureKind.BOUNDARY)) > 0
        found |= (is_object & called_object & ~edges) * kind_bit(FailureKind.CLASS_SWAP)
        found |= of_called[objects.called_numbers[strip][where]] * ~is_object
        bits[strip][where] = found
    return KindMasks(bits, numbers)


def kind_bit(kind: FailureKind) -> np.uint16:
    """The bit of a kind in :attr:`KindMasks.bits`."""
    return np.uint16(1 << KINDS.index(kind))


def count_failures(
    *,
    truth: LabelMap,
    prediction: LabelMap,
    catalog: ClassCatalog,
    partition: ErrorPartition,
    kinds: KindMasks,
    components: NDArray[np.int64],
) -> ImageFailures:
    """Count the kinds of one image.

    Args:
        truth, prediction: (H, W) ids; excluded pixels are void of the truth.
        catalog: the classes.
        partition, kinds: of the same maps.
        components: (K,) int64, error components with a pixel of each kind.
    """
    lut, classes = catalog.index_lut(), len(catalog)
    missed = np.zeros((len(KINDS), classes), dtype=np.int64)
    false = np.zeros((len(KINDS), classes), dtype=np.int64)
    pixels = np.zeros(len(KINDS), dtype=np.int64)
    for strip in strips(truth.shape):
        where = kinds.bits[strip] > 0
        bits, real, called = kinds.bits[strip][where], lut[truth[strip][where]], lut[prediction[strip][where]]
        for place, kind in enumerate(KINDS):
            mask = (bits & kind_bit(kind)) > 0
            pixels[place] += np.count_nonzero(mask)
            # A class is judged by its own verdict: an edge of the sofa may be the loss of half a chair.
            as_miss = partition.missed[strip][where] == place + 1 if kind in PARTS else mask
            as_alarm = partition.false[strip][where] == place + 1 if kind in PARTS else mask
            missed[place] += np.bincount(real[as_miss], minlength=classes + 1)[:classes]
            false[place] += np.bincount(called[as_alarm], minlength=classes + 1)[:classes]
    return ImageFailures(
        counts=count_pairs(truth=truth, prediction=prediction, catalog=catalog),
        missed=missed,
        false=false,
        pixels=pixels,
        instances=np.where(_COUNTS_COMPONENTS, components, kinds.objects),
    )


#: Kinds with error components as instances.
_COUNTS_COMPONENTS = np.array([kind in (*PARTS, FailureKind.CLASS_SWAP) for kind in KINDS])


def _object_kinds(objects: ObjectTable, rules: FailureRules) -> dict[FailureKind, NDArray[np.bool_]]:
    """(N,) bool by kind: which objects of the truth it concerns."""
    rows = objects.rows
    pixels, right = rows["pixels"].astype(np.int64), rows["right"].astype(np.int64)
    wrong = pixels - right
    lost = right < rules.found_share * pixels
    return {
        # Called another object's class it was seen: that is a swap.
        FailureKind.MISSED_OBJECT: lost & (rows["swapped"] * 2.0 < wrong),
        FailureKind.OCCLUDER_CUT: (rows["parts"] > 1) | (rows["border_share"] > rules.long_border),
        FailureKind.LOW_VISIBLE: rows["visible_fraction"] < rules.low_visible,  # unknown is nan, and no object
        FailureKind.SMALL_OBJECT: pixels < rules.small_px,
        FailureKind.BORDER_TRUNCATED: rows["truncated"],
    }


def _invented(objects: ObjectTable, rules: FailureRules) -> NDArray[np.bool_]:
    """(M,) bool: which predicted regions overlap (almost) nothing of their class, and mostly on no object at all."""
    scored, right = objects.called_scored, objects.called_right
    return (scored > 0) & (right < rules.found_share * scored) & (2 * objects.called_on_stuff > scored - right)


@dataclass(frozen=True, slots=True, eq=False)
class FailureRow:
    """One kind over all images.

    Repair is an oracle: the wrong pixels of the kind are set to their truth, nothing else changes. For the three parts every
    class is repaired by its own verdicts, as in Bernhard et al. (2024), so repairing all three gives every class an IoU of 1.

    Attributes:
        kind: which.
        pixels: wrong pixels that it concerns.
        share: of all wrong pixels, 0..1; nan without any. The parts' shares may add up to more than 1, because a pixel that is
            an edge error for one class may be an extent error for the other.
        instances: error components or objects, see :class:`~deeplab_core.analysis.failures.ImageFailures`.
        images: images with such a pixel.
        missed, false: (C,) int64 pixels by truth class and by predicted class.
        repaired: (C,) float64 IoU after the repair; nan for a class that is then in neither truth nor prediction.
        gain: (C,) float64 IoU gained; nan if undefined before or after.
        mean_gain: gain of the mean IoU over the classes of the ground truth, which a repair does not change; nan without any.
    """

    kind: FailureKind
    pixels: int
    share: float
    instances: int
    images: int
    missed: NDArray[np.int64]
    false: NDArray[np.int64]
    repaired: NDArray[np.float64]
    gain: NDArray[np.float64]
    mean_gain: float


def failure_rows(total: ImageFailures, images: NDArray[np.int64]) -> tuple[FailureRow, ...]:
    """All kinds, in their fixed order.

    Args:
        total: sum over images.
        images: (K,) int64 images with a wrong pixel of each kind.
    """
    wrong = int(total.counts.sum() - hits(total.counts).sum())
    nothing = np.zeros(total.counts.shape[0], dtype=np.int64)
    before, mean_before = repaired_iou(total.counts, nothing, nothing)
    rows = []
    for place, kind in enumerate(KINDS):
        missed, false = total.missed[place].copy(), total.false[place].copy()
        after, mean_after = repaired_iou(total.counts, missed, false)
        rows.append(
            FailureRow(
                kind=kind,
                pixels=int(total.pixels[place]),
                share=int(total.pixels[place]) / wrong if wrong else float("nan"),
                instances=int(total.instances[place]),
                images=int(images[place]),
                missed=missed,
                false=false,
                repaired=after,
                gain=after - before,
                mean_gain=mean_after - mean_before,
            )
        )
    return tuple(rows)


def repaired_iou(
    counts: NDArray[np.int64], missed: NDArray[np.int64], false: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float]:
    """IoU of every class, and the mean over those of the ground truth, after an oracle has repaired some wrong pixels.

    Args:
        counts: (C, C + 1) confusion matrix.
        missed: (C,) misses of each class that become hits.
        false: (C,) false alarms of each class that go away.

    Returns:
        (C,) float64, nan for a class that is then in neither truth nor prediction, and the mean over the classes in the truth.
    """
    hit, truth = hits(counts) + missed, truth_pixels(counts)
    called = prediction_pixels(counts) + missed - false
    union = truth + called - hit
    iou = np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)
    return iou, float(mean_over_present(hit, truth, called, "truth")[0])

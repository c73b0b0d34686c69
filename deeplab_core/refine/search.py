"""Finding CRF parameters on images with truth, and finding out whether the CRF helps at all.

Coarse to fine, as DeepLab v1 did it (section 4.1: smoothness kernel fixed at w2 = 3, sigma 3; w1, sigma_alpha and sigma_beta
searched on a coarse grid, then around the best; 10 steps), with one thing more: what is reported is cross-validated. Parameters
are chosen on all folds but one and judged on that one, in turn, every fold walking its own way from coarse to fine; so the gain
is what new images can expect, not the luck of the best of a hundred tries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, Cancelled, message
from deeplab_core.labels import LabelMap
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.parallel import IsCancelled, ItemCallback
from deeplab_core.records import CRFParams
from deeplab_core.refine.dense_crf import DenseCRF
from deeplab_core.refine.unary import ProbabilitySource

#: First grid: w1 and sigma_beta of v1's and v2's ranges, and two sigma_alpha.
COARSE_WEIGHTS, COARSE_SXY, COARSE_SRGB = (2.0, 4.0, 8.0), (40.0, 80.0), (3.0, 6.0, 10.0)
#: Then, around the best: factors on each, and softer unary terms.
FINE_FACTORS = (0.7, 1.0, 1.4)
FINE_TEMPERATURES = (1.0, 1.5, 2.5)
#: Gain in mean IoU, cross-validated, from which the CRF is said to help: half a point.
LEAST_GAIN = 0.005


@dataclass(frozen=True, eq=False)
class SearchSample:
    """One image with truth.

    Attributes:
        name: as shown to users.
        rgb: (H, W, 3) uint8.
        source: the network's probabilities.
        truth: (H, W) class ids of the catalog, void = its ignore id.
    """

    name: str
    rgb: NDArray[np.uint8]
    source: ProbabilitySource
    truth: LabelMap


@dataclass(frozen=True)
class SearchReport:
    """What a search found.

    Attributes:
        params: best on all images.
        helps: whether the cross-validated gain reaches :data:`LEAST_GAIN`.
        images: how many were used.
        folds: how many groups they were divided into.
        tried: parameter sets that were computed.
        classes: how many classes the means run over: those of the images' ground truth, whatever a CRF makes of them.
        baseline: mean IoU without CRF, pooled over the images.
        fitted: mean IoU of ``params`` on the images they were chosen on: too bright by construction.
        validated: mean IoU of every image refined with parameters that were chosen without it.
        class_gains: (class name, IoU without, IoU cross-validated) of the classes in the ground truth.
        improved: images with a higher pixel accuracy, cross-validated.
        worsened: images with a lower pixel accuracy.
    """

    params: CRFParams
    helps: bool
    images: int
    folds: int
    tried: int
    classes: int
    baseline: float
    fitted: float
    validated: float
    class_gains: tuple[tuple[str, float, float], ...]
    improved: int
    worsened: int

    @property
    def verdict(self) -> str:
        """One sentence for users."""
        gain = 100 * (self.validated - self.baseline)
        if self.helps:
            return f"The CRF helps: {gain:+.1f} points of mean IoU on images it was not tuned on."
        return f"The CRF does not help here: {gain:+.1f} points of mean IoU on images it was not tuned on. Leave it off."

    def to_dict(self) -> dict[str, Any]:
        """JSON values; ``params`` is what ``--crf FILE`` reads."""
        return {**asdict(self), "verdict": self.verdict, "params": asdict(self.params)}


def search_parameters(
    samples: Sequence[SearchSample],
    catalog: ClassCatalog,
    *,
    folds: int = 5,
    start: CRFParams | None = None,
    threads: int = 1,
    progress: ItemCallback | None = None,
    cancel: IsCancelled | None = None,
) -> SearchReport:
    """Search parameters; deterministic.

    Args:
        samples: at least two, in an order in which neighbours belong together: folds take every ``folds``-th image.
        catalog: of probabilities and truth, classes in channel order.
        folds: groups of the cross-validation; no more than images.
        start: smoothness kernel, steps, normalisation and clip; the rest is searched. Default: ``CRFParams()``.
        threads: threads of the engine.
        progress: called with (images computed, images in this stage, what is being done).
        cancel: asked before every computation.

    Raises:
        AtrousError: fewer than two images, or no pixel of truth.
        Cancelled: ``cancel`` returned True.
    """
    if len(samples) < 2:
        raise AtrousError(
            message("a search needs at least two images with truth; there are {count}", count=len(samples)),
            remedy=message("Add images"),
        )
    start = start or CRFParams()
    run = _SearchRun(samples, catalog, threads, progress, cancel)
    run.compute([None], "without CRF")
    if not sum(int(matrix.truth_pixels().sum()) for matrix in run.matrices[None]):
        raise AtrousError(
            message("no pixel of the images has truth"), remedy=message("Choose other images, or check the catalog")
        )
    folds = max(2, min(folds, len(samples)))
    everything = np.arange(len(samples))
    # None stands for the final choice, on all images; every fold chooses for itself.
    training: dict[int | None, NDArray[np.int64]] = {None: everything}
    training.update({fold: everything[everything % folds != fold] for fold in range(folds)})
    ways: dict[int | None, list[CRFParams]] = {way: [] for way in training}
    best: dict[int | None, CRFParams] = {}
    for stage, around in (("coarse grid", _coarse), ("fine grid", _fine), ("temperature", _temperatures)):
        for way in ways:
            ways[way] += around(best.get(way, start))
        run.compute(list(dict.fromkeys(params for way in ways.values() for params in way)), stage)
        best = {way: max(ways[way], key=lambda params, way=way: run.score(params, training[way])) for way in ways}  # type: ignore[misc]
    held_out: list[ConfusionMatrix] = [run.matrices[best[int(i % folds)]][i] for i in everything]
    return _report(run, best[None], held_out, folds)


def _report(run: _SearchRun, params: CRFParams, held_out: Sequence[ConfusionMatrix], folds: int) -> SearchReport:
    plain = run.matrices[None]
    before, after = run.pooled(plain), run.pooled(held_out)
    (baseline, classes), validated = before.mean_iou("truth"), after.mean_iou("truth").value
    changes = [new.pixel_accuracy() - old.pixel_accuracy() for old, new in zip(plain, held_out, strict=True)]
    names = [info.name for info in run.catalog.classes]
    gains = tuple(
        (name, float(old), float(new))
        for name, old, new, truth in zip(names, before.iou(), after.iou(), before.truth_pixels(), strict=True)
        if truth
    )
    return SearchReport(
        params=params,
        helps=validated - baseline >= LEAST_GAIN,
        images=len(plain),
        folds=folds,
        tried=len(run.matrices) - 1,
        classes=classes,
        baseline=baseline,
        fitted=run.score(params, np.arange(len(plain))),
        validated=validated,
        class_gains=gains,
        improved=sum(change > 0 for change in changes),
        worsened=sum(change < 0 for change in changes),
    )


class _SearchRun:
    """Confusion matrices of every parameter set on every image; None stands for no CRF."""

    def __init__(
        self,
        samples: Sequence[SearchSample],
        catalog: ClassCatalog,
        threads: int,
        progress: ItemCallback | None,
        cancel: IsCancelled | None,
    ) -> None:
        self.samples, self.catalog, self.threads = samples, catalog, threads
        self.progress, self.cancel = progress, cancel
        self.matrices: dict[CRFParams | None, list[ConfusionMatrix]] = {}
        self._ids = catalog.ids.astype(catalog.dtype)

    def compute(self, wanted: Sequence[CRFParams | None], stage: str) -> None:
        """Fill in what is missing: image by image, so that one lattice serves all weights."""
        missing = [params for params in wanted if params not in self.matrices]
        missing.sort(key=lambda params: () if params is None else (params.bilateral_sxy, params.bilateral_srgb))
        found: dict[CRFParams | None, list[ConfusionMatrix]] = {params: [] for params in missing}
        for number, sample in enumerate(self.samples, 1):
            for params, labels in self._labels(sample, missing):
                found[params].append(ConfusionMatrix(self.catalog).update(truth=sample.truth, prediction=labels))
            if self.progress is not None:
                self.progress(number, len(self.samples), f"{stage}, {len(missing)} sets: {sample.name}")
        self.matrices.update(found)

    def _labels(
        self, sample: SearchSample, wanted: Sequence[CRFParams | None]
    ) -> Iterator[tuple[CRFParams | None, NDArray[Any]]]:
        crf = DenseCRF(sample.rgb, threads=self.threads)
        height, width = sample.source.size
        probabilities = np.empty((sample.source.classes, height, width), np.float32)
        for first, last, strip in sample.source.strips():
            probabilities[:, first:last] = strip
        for params in wanted:
            if self.cancel is not None and self.cancel():
                raise Cancelled
            if params is None:
                yield None, self._ids[probabilities.argmax(axis=0)]
            else:
                yield params, crf.marginals(probabilities, params=params, cancel=self.cancel).labels(self._ids)

    def pooled(self, matrices: Sequence[ConfusionMatrix]) -> ConfusionMatrix:
        total = ConfusionMatrix(self.catalog)
        for matrix in matrices:
            total += matrix
        return total

    def score(self, params: CRFParams, images: NDArray[np.int64]) -> float:
        """Mean IoU pooled over some images, over the classes of their ground truth: the same for every parameter set."""
        chosen = self.matrices[params]
        return float(self.pooled([chosen[i] for i in images]).mean_iou("truth").value)


def _coarse(start: CRFParams) -> list[CRFParams]:
    return [
        replace(start, bilateral_compat=weight, bilateral_sxy=sxy, bilateral_srgb=srgb)
        for weight in COARSE_WEIGHTS
        for sxy in COARSE_SXY
        for srgb in COARSE_SRGB
    ]


def _fine(best: CRFParams) -> list[CRFParams]:
    return [
        replace(
            best,
            bilateral_compat=round(best.bilateral_compat * weight, 2),
            bilateral_sxy=round(best.bilateral_sxy * sxy, 1),
            bilateral_srgb=round(best.bilateral_srgb * srgb, 2),
        )
        for weight in FINE_FACTORS
        for sxy in FINE_FACTORS
        for srgb in FINE_FACTORS
        if weight == 1.0 or sxy == 1.0
    ]


def _temperatures(best: CRFParams) -> list[CRFParams]:
    return [
        replace(best, temperature=temperature, gaussian_compat=weight)
        for temperature in FINE_TEMPERATURES
        for weight in dict.fromkeys((best.gaussian_compat, best.gaussian_compat / 3))
    ]

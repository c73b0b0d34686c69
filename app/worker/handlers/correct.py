"""What the correction tools ask of the compute process: regions, class scores, scribbles."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.worker.correction_messages import AskScribble, PrepareRegions, RegionsReady, Scribbled, catalog_planes
from app.worker.state import WorkerState
from deeplab_core.correction import Corrector
from deeplab_core.inference import Scores
from deeplab_core.learning import PackedLabels
from deeplab_core.parallel import IsCancelled, ProgressCallback

#: The scores of an image are handed over on at most so many cells, and at most at a quarter of its sides.
_CELLS, _QUARTER = 65_536, 4
#: Images whose regions and CRF kernels are kept; of a large one (px) only itself.
_KEPT, _LARGE = 2, 8_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """An image and the scores that its corrector was made with; ``planes`` are these on a coarse grid."""

    corrector: Corrector
    scores: Scores | None
    planes: NDArray[np.float16] | None


class Handler:
    """Answers PrepareRegions and AskScribble."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._kept: OrderedDict[tuple[object, ...], _Prepared] = OrderedDict()

    def answer(
        self, request: PrepareRegions | AskScribble, cancel: IsCancelled | None, _progress: ProgressCallback | None
    ) -> RegionsReady | Scribbled:
        if isinstance(request, AskScribble):
            return self._scribble(request)
        began = time.perf_counter()
        prepared = self._prepared(request)
        hierarchy = prepared.corrector.prepare(cancel)
        spent = 1e3 * (time.perf_counter() - began)
        return RegionsReady(request_id=request.request_id, hierarchy=hierarchy, scores=prepared.planes, milliseconds=spent)

    def _scribble(self, request: AskScribble) -> Scribbled:
        began = time.perf_counter()
        corrector, place = self._prepared(request.base).corrector, request.part.slices
        corrector.labels[place], corrector.provenance[place] = request.labels.unpacked(), request.provenance.unpacked()
        corrector.forget()
        found = corrector.scribble(request.path, request.cls, request.reach, request.diameter)
        spent = 1e3 * (time.perf_counter() - began)
        if found is None or isinstance(found.provenance, int):
            return Scribbled(request_id=request.request_id, box=request.part, milliseconds=spent)
        inside = found.bounds.slices
        return Scribbled(
            request_id=request.request_id, box=found.bounds, mask=PackedLabels.of(found.mask[inside].astype(np.uint8)),
            sources=PackedLabels.of(np.ascontiguousarray(found.provenance[inside])), milliseconds=spent,
        )  # fmt: skip

    def _prepared(self, request: PrepareRegions) -> _Prepared:
        """The corrector of an image with void labels and the class scores that the image has now."""
        scores, catalog = self._state.scores.find(request.source_key), request.catalog
        key = request.source_key, request.image, catalog, request.channel_ids, request.threshold
        known = self._kept.get(key)
        if known is None or known.scores is not scores:
            rgb = self._state.read(request.image, request.source_key, 3)
            planes = None if scores is None else _planes(scores, request, (rgb.shape[0], rgb.shape[1]))
            labels = np.full(rgb.shape[:2], catalog.ignore, catalog.dtype)
            known = _Prepared(Corrector(rgb, labels, catalog=catalog, scores=planes, shared=True), scores, planes)
            self._kept[key] = known
            kept = 1 if labels.size > _LARGE else _KEPT
            while len(self._kept) > kept:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return known


def _planes(scores: Scores, request: PrepareRegions, size: tuple[int, int]) -> NDArray[np.float16] | None:
    """Probabilities of the window's classes on a coarse grid; None where the scores are those of other classes or sizes."""
    if len(scores.catalog) != len(request.channel_ids) or scores.size != size:
        return None
    if len(scores.catalog) == 2:
        scores = scores.weighed(request.threshold)
    return catalog_planes(scores.sampled(*_lattice(*size)), request.channel_ids, request.catalog)


def _lattice(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns in the middle of equal cells of an image."""
    step = max(float(_QUARTER), (height * width / _CELLS) ** 0.5)
    rows, columns = max(round(height / step), 1), max(round(width / step), 1)
    return (
        ((np.arange(rows) + 0.5) * height / rows).astype(np.int64),
        ((np.arange(columns) + 0.5) * width / columns).astype(np.int64),
    )

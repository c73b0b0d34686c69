"""The CRF's half of the compute process: pictures and lattices of the last images, quick and exact results, boxes of strokes."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.worker.messages import PrepareRefine, Refine, RefineBase, RefineBox, Refined
from app.worker.state import WorkerState
from deeplab_core.errors import ComputeError, message
from deeplab_core.images import read_image
from deeplab_core.inference import ScoreGrid, Scores
from deeplab_core.labels import LabelMap
from deeplab_core.parallel import IsCancelled, ProgressCallback, available_cores
from deeplab_core.records import CRFParams
from deeplab_core.refine import DenseCRF, ProbabilitySource, choose_engine, refine_region, warm_up
from deeplab_core.refine.dense_crf import Engine
from deeplab_core.refine.from_labels import mask_as_probabilities
from deeplab_core.refine.pruning import START
from deeplab_core.refine.reduced import scaled_params

#: A quick result has at most so many pixels, and its mean field runs on at most so many.
QUICK_PIXELS, QUICK_FIELD = 400_000, 40_000
#: The mean field around a stroke runs on at most so many pixels: longer strokes are refined at a smaller scale, and the
#: correction is carried up.
BOX_FIELD = 40_000
#: Images with kept picture and lattices; of a large one only itself.
_KEPT, _LARGE = 2, 8_000_000

_UNSTROKED = -1


@dataclass(eq=False)
class _Refiners:
    """An image that is being refined.

    Attributes:
        exact: at its own size.
        quick: at the size of quick results; the same object where the image is small.
        sampled: which scores, and their probabilities (C, h, w) at the size of ``quick``, once asked for.
    """

    exact: DenseCRF
    quick: DenseCRF
    sampled: tuple[tuple[tuple[ScoreGrid, ...], float], NDArray[np.float32]] | None = None

    @property
    def share(self) -> float:
        """Scale of the sides of ``quick``."""
        return self.quick.size[0] / self.exact.size[0]


class Handler:
    """Answers Refine, RefineBox and PrepareRefine, from the class scores that predictions leave behind."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._kept: OrderedDict[tuple[str, str, str], _Refiners] = OrderedDict()
        self._warm = False

    @property
    def _device(self) -> str:
        """``"cuda"`` computes whole images there; anything else on the CPU."""
        predictor = self._state.predictor
        return "cpu" if predictor is None else predictor.device.type

    def answer(
        self, request: Refine | RefineBox | PrepareRefine, cancel: IsCancelled | None, _progress: ProgressCallback | None
    ) -> Refined:
        began = time.perf_counter()
        labels: LabelMap | None = None
        note = ""
        scores = self._state.scores.find(request.base.source_key)
        if scores is not None and len(scores.catalog) == 2:
            scores = scores.weighed(request.base.threshold)
        if request.base.labels is None and request.base.channel_ids and scores is None:
            return Refined(request_id=request.request_id, labels=None, no_scores=True)
        refiners = self._refiners(request.base)
        if request.base.labels is None and scores is not None and scores.size != refiners.exact.size:
            raise ComputeError(message("the image has another size than when it was predicted"), path=request.base.image)
        if isinstance(request, PrepareRefine):
            self._prepare(refiners, request.params)
        elif isinstance(request, RefineBox):
            labels = self._box(refiners, request, scores, cancel)
        elif request.quick:
            labels, note = self._quick(refiners, request, scores, cancel)
        else:
            labels, note = self._exact(refiners, request, scores, cancel)
        spent = 1e3 * (time.perf_counter() - began)
        return Refined(request_id=request.request_id, labels=labels, milliseconds=spent, note=note)

    def _refiners(self, base: RefineBase) -> _Refiners:
        engine = choose_engine(base.engine, self._device)
        key = base.source_key, base.image, engine
        refiners = self._kept.get(key)
        if refiners is None:
            rgb = read_image(base.image).rgb
            refiners = _Refiners(*self._crfs(rgb, engine))
            self._kept[key] = refiners
            kept = 1 if rgb.shape[0] * rgb.shape[1] > _LARGE else _KEPT
            while len(self._kept) > kept:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return refiners

    def _crfs(self, rgb: NDArray[np.uint8], engine: Engine) -> tuple[DenseCRF, DenseCRF]:
        threads = min(2, available_cores())
        exact = DenseCRF(rgb, engine=engine, device="cpu" if self._device == "cpu" else "cuda", threads=threads)
        height, width = exact.size
        share = (QUICK_PIXELS / (height * width)) ** 0.5
        if share >= 1.0 and exact.engine == "native":
            return exact, exact
        small = max(1, round(height * min(share, 1.0))), max(1, round(width * min(share, 1.0)))
        picture = np.asarray(cv2.resize(rgb, small[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        return exact, DenseCRF(picture, threads=threads)

    def _prepare(self, refiners: _Refiners, params: CRFParams) -> None:
        if not self._warm:
            warm_up()
            self._warm = True
        refiners.exact.prepare(params)

    # -- whole images ----------------------------------------------------------------------------------------------------

    def _exact(
        self, refiners: _Refiners, request: Refine, scores: Scores | None, cancel: IsCancelled | None
    ) -> tuple[NDArray[Any], str]:
        if scores is not None and request.base.labels is None:
            source: ProbabilitySource | None = ProbabilitySource.of_scores(scores)
        else:
            source = None
        return self._refined(refiners.exact, request, source, request.base.labels, request.strokes, request.params, None, cancel)

    def _quick(
        self, refiners: _Refiners, request: Refine, scores: Scores | None, cancel: IsCancelled | None
    ) -> tuple[NDArray[Any], str]:
        crf, size = refiners.quick, refiners.quick.size
        source = None
        if scores is not None and request.base.labels is None:
            if refiners.sampled is None or refiners.sampled[0] != (scores.grids, scores.neutral):
                rows, columns = (_centres(large, small) for large, small in zip(refiners.exact.size, size, strict=True))
                planes = np.ascontiguousarray(scores.sampled(rows, columns))
                refiners.sampled = (scores.grids, scores.neutral), planes
            source = ProbabilitySource.of(refiners.sampled[1])
        scale = min(1.0, (QUICK_FIELD / (size[0] * size[1])) ** 0.5)
        params = scaled_params(request.params, refiners.share)
        labels, strokes = _sampled(request.base.labels, size), _sampled(request.strokes, size)
        request = replace(request, base=replace(request.base, renamed=_sampled_pair(request.base.renamed, size)))
        return self._refined(crf, request, source, labels, strokes, params, scale, cancel)

    def _refined(
        self,
        crf: DenseCRF,
        request: Refine,
        source: ProbabilitySource | None,
        labels: LabelMap | None,
        strokes: LabelMap | None,
        params: CRFParams,
        scale: float | None,
        cancel: IsCancelled | None,
    ) -> tuple[NDArray[Any], str]:
        base = request.base
        if source is not None:
            source, ids = _network(source, base, _named(strokes, base.ignore))
        else:
            assert labels is not None
            found = mask_as_probabilities(labels, base.ignore, base.certainty)
            if found is None:
                return labels, message("The mask has only one class: there is nothing to refine.")
            source, ids = found
        clamp = None if strokes is None else _channels(strokes, ids, base.ignore)
        marginals = crf.marginals(source, params=params, clamp=clamp, ignore=_UNSTROKED, scale=scale, cancel=cancel)
        return marginals.labels(ids.astype(_dtype(base.ignore))), "" if scale is not None else marginals.note

    # -- strokes ---------------------------------------------------------------------------------------------------------

    def _box(self, refiners: _Refiners, request: RefineBox, scores: Scores | None, cancel: IsCancelled | None) -> NDArray[Any]:
        base, context, box = request.base, request.context, request.box
        rows, columns = context.slices
        named = _named(request.strokes, base.ignore)
        if base.labels is None and scores is not None:
            part = scores.probabilities(rows, columns)
            source, ids = _network(ProbabilitySource.of(part), base, named)
        else:
            assert base.labels is not None
            found = mask_as_probabilities(base.labels, base.ignore, base.certainty)
            if found is None:
                return base.labels[box.within(context).slices]
            source, ids = found
        probabilities = source.read(0, source.size[0])
        # What nowhere is probable takes no part; leaving it out here saves the strokes' belief for it.
        keep = np.isin(ids, named) | (probabilities.max(axis=(1, 2)) >= START)
        keep[np.argsort(~keep, kind="stable")[:2]] = True
        probabilities, ids = np.ascontiguousarray(probabilities[keep], np.float32), ids[keep]
        marginals = refine_region(
            np.ascontiguousarray(refiners.exact.rgb[rows, columns]),
            probabilities,
            box.within(context),
            request.params,
            clamp=_channels(request.strokes, ids, base.ignore),
            ignore=_UNSTROKED,
            margin=max(source.size),  # the context is the margin
            reach=request.reach,
            threads=refiners.exact.threads,
            origin=(context.y, context.x),
            scale=min(1.0, (BOX_FIELD / request.strokes.size) ** 0.5),
            cancel=cancel,
        )
        return marginals.labels(ids.astype(_dtype(base.ignore)))


def in_window_ids(
    source: ProbabilitySource, channel_ids: tuple[int, ...], extra: NDArray[Any]
) -> tuple[ProbabilitySource, NDArray[np.int64]]:
    """Probabilities of the window's classes from those of a model's.

    Args:
        source: the model's classes.
        channel_ids: the window's id of each; of those with one id the probabilities are added up.
        extra: ids that need a channel even if no class of the model becomes them: the user has painted them.

    Returns:
        The probabilities and the id of each channel.
    """
    ids = list(dict.fromkeys(channel_ids))
    places = np.array([ids.index(class_id) for class_id in channel_ids])
    ids += [int(class_id) for class_id in extra if int(class_id) not in ids]
    if len(ids) == source.classes and len(ids) > 1:
        return source, np.array(ids, np.int64)

    def read(first: int, last: int) -> NDArray[np.float32]:
        strip = source.read(first, last)
        out = np.zeros((max(len(ids), 2), *strip.shape[1:]), np.float32)
        for channel, place in enumerate(places):
            out[place] += strip[channel]
        return out

    # A CRF decides between two classes at least: one alone gets a rival that nowhere is probable.
    known = ids if len(ids) > 1 else [*ids, *ids]
    return ProbabilitySource(source.size, len(known), read), np.array(known, np.int64)


def _network(source: ProbabilitySource, base: RefineBase, extra: NDArray[Any]) -> tuple[ProbabilitySource, NDArray[np.int64]]:
    """:func:`in_window_ids` of a base, read in the user's classes where the user gave another one."""
    if base.renamed is None:
        return in_window_ids(source, base.channel_ids, extra)
    targets = _named(base.renamed[1], base.ignore)
    whole, ids = in_window_ids(source, base.channel_ids, np.union1d(extra, targets))
    return renamed_source(whole, ids, *base.renamed, base.ignore), ids


def renamed_source(
    source: ProbabilitySource, ids: NDArray[np.int64], old: NDArray[Any], new: NDArray[Any], ignore: int
) -> ProbabilitySource:
    """Probabilities in which one class is read as another.

    Args:
        source: of the window's classes.
        ids: the id of each of its channels.
        old, new: (H, W) ids: per pixel, the class that gives its probability and the one that gets it; ``ignore`` for none.
    """
    places = {int(class_id): channel for channel, class_id in reversed(list(enumerate(ids)))}

    def read(first: int, last: int) -> NDArray[np.float32]:
        strip: NDArray[np.float32] = np.array(source.read(first, last), np.float32)
        sources, targets = old[first:last], new[first:last]
        there = sources != ignore
        for before, after in np.unique(np.stack((sources[there], targets[there])), axis=1).T:
            if before != after and int(before) in places and int(after) in places:
                where = (sources == before) & (targets == after)
                strip[places[int(after)]][where] += strip[places[int(before)]][where]
                strip[places[int(before)]][where] = 0.0
        return strip

    return ProbabilitySource(source.size, source.classes, read)


def _channels(strokes: LabelMap, ids: NDArray[np.int64], ignore: int) -> NDArray[np.int16]:
    """Strokes as channel numbers, :data:`_UNSTROKED` elsewhere."""
    lut = np.full(max(int(ids.max()), ignore) + 1, _UNSTROKED, np.int16)
    lut[ids[::-1]] = np.arange(ids.size, dtype=np.int16)[::-1]
    lut[ignore] = _UNSTROKED
    channels: NDArray[np.int16] = lut[strokes]
    return channels


def _named(strokes: LabelMap | None, ignore: int) -> NDArray[Any]:
    found: NDArray[Any] = np.unique(strokes) if strokes is not None else np.zeros(0, np.int64)
    named: NDArray[Any] = found[found != ignore]
    return named


def _dtype(ignore: int) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if ignore <= 255 else np.uint16


def _centres(large: int, small: int) -> NDArray[np.int64]:
    """Pixels of the large axis under the centres of the small one's."""
    return ((np.arange(small) + 0.5) * (large / small)).astype(np.int64)


def _sampled(labels: LabelMap | None, size: tuple[int, int]) -> NDArray[Any] | None:
    """Labels of a smaller size, by the nearest pixel."""
    if labels is None or labels.shape == size:
        return labels
    rows, columns = (_centres(large, small) for large, small in zip(labels.shape, size, strict=True))
    return np.ascontiguousarray(labels[np.ix_(rows, columns)])


def _sampled_pair(
    pair: tuple[NDArray[Any], NDArray[Any]] | None, size: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    first, second = (None, None) if pair is None else (_sampled(pair[0], size), _sampled(pair[1], size))
    return None if first is None or second is None else (first, second)

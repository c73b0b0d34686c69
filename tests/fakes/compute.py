"""A compute service without a process: instant, deterministic answers for tests of the window."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PySide6.QtCore import QObject, QTimer

from app.services.calls import ComputeService
from app.worker.correction_messages import AskScribble, PrepareRegions, RegionsReady, Scribbled
from app.worker.messages import (
    PROTOCOL,
    Answer,
    AskClicks,
    AskReceptive,
    AskScores,
    Clicked,
    Compare,
    Compared,
    EndClicks,
    EndCompare,
    Failed,
    Hello,
    Inspected,
    InspectModel,
    Learn,
    Learned,
    LearnTask,
    Loaded,
    LoadModel,
    Predict,
    Predicted,
    PrepareClicks,
    PrepareRefine,
    Progress,
    Receptive,
    Refine,
    RefineBox,
    Refined,
    Request,
    ScoresAt,
    WasCancelled,
)
from app.worker.similar_messages import Embed, Embedded
from deeplab_core.analysis.similarity import pooled_vectors
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.correction.hierarchy import Hierarchy
from deeplab_core.errors import AtrousError, ComputeError
from deeplab_core.geometry import Extent
from deeplab_core.images import probe_image, read_image
from deeplab_core.learning import ClassGain, GainInterval, LearnPair, LearnReport, PackedLabels
from deeplab_core.receptive import ReceptiveField, TheoreticalField
from deeplab_core.records import ModelCard, Prediction, RunReport

#: Part of the name of a file of a model that has learned; its stripes have another order.
LEARNED = "learned"


class FakeComputeClient(ComputeService):
    """Answers as :class:`app.services.compute.ComputeClient` would, one request per turn of the event loop, in order of priority.

    Labels are stripes of the catalog's classes in an order that follows from the image's content key, so that a test can say what
    it expects: :func:`striped_labels`. Its CRF moves every label ``iterations`` px to the right (:func:`moved`), leaves strokes
    as they are, and floods the box of a stroke with the stroke's class.

    Args:
        catalog: classes of every model that is loaded or inspected unless ``catalogs`` says otherwise.

    Attributes:
        errors: path of an image or model -> error that predicting or inspecting it gives.
        catalogs: path of a model -> classes that inspecting or loading it finds; its predictions stay those of ``catalog``.
        threshold: makes the models ones of two classes (sigmoid): the probability of the second of ``catalog`` rises from left to
            right; None for stripes of all classes.
        known: path of an image -> (H, W) labels that predicting it gives instead of stripes; another model that is compared says
            the same, 24 px to the right.
        guessed: what a loaded model's card guesses, until options are set.
        paused: answers wait while this is set; setting it to False lets them go.
        asked: every request, in order of asking.
    """

    def __init__(self, catalog: ClassCatalog, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.catalog = catalog
        self.errors: dict[str, AtrousError] = {}
        self.catalogs: dict[str, ClassCatalog] = {}
        self.threshold: float | None = None
        self.known: dict[str, NDArray[np.uint8]] = {}
        self.guessed: tuple[str, ...] = ()
        self.asked: list[Request[Answer]] = []
        self._queue: deque[Request[Answer]] = deque()
        self._cancelled: set[int] = set()
        self._kept: dict[str, NDArray[np.uint8]] = {}
        self._card: ModelCard | None = None
        self._paused = False
        self._running = False
        self._turn = QTimer(self, interval=0)
        self._turn.timeout.connect(self._serve_next)

    @property
    def card(self) -> ModelCard | None:
        return self._card

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def paused(self) -> bool:
        """Whether answers wait."""
        return self._paused

    @paused.setter
    def paused(self, value: bool) -> None:
        self._paused = value
        self._wake()

    def start(self) -> None:
        self._running = True
        greeting = Hello(protocol=PROTOCOL, pid=0, qt_modules=(), versions={"torch": "none"}, devices={"cpu": "imagined"})
        QTimer.singleShot(0, self, lambda: self.hello.emit(greeting))
        self._wake()

    def stop(self) -> None:
        self._running = False
        self._queue.clear()
        self._calls.clear()
        self._turn.stop()

    def restart(self) -> None:
        self.crash("it did not answer and was ended at your request")

    def cancel(self, request_id: int) -> None:
        self._cancelled.add(request_id)
        self._wake(even_paused=True)

    def cancel_all(self) -> None:
        self._cancelled.update(request.request_id for request in self._queue)
        self._wake(even_paused=True)

    def crash(self, reason: str = "it was ended by SIGKILL") -> None:
        """Behave as if the process had died and come back: waiting requests stay, scores are lost."""
        self._kept.clear()
        self.crashed.emit(reason)
        QTimer.singleShot(0, self, self.restarted.emit)

    def _send(self, request: Request[Answer]) -> None:
        self.asked.append(request)
        self._queue.append(request)
        self._wake()

    def _wake(self, *, even_paused: bool = False) -> None:
        if self._running and self._queue and (even_paused or not self._paused):
            self._turn.start()

    def _serve_next(self) -> None:
        dropped = [request for request in self._queue if request.request_id in self._cancelled]
        for request in dropped:
            self._queue.remove(request)
            self._answer(WasCancelled(request_id=request.request_id))
        if self._paused or not self._queue:
            self._turn.stop()
            return
        request = min(self._queue, key=lambda waiting: waiting.priority)
        self._queue.remove(request)
        answers: dict[type[Request[Answer]], Callable[[Any], None]] = {
            LoadModel: self._answer_load, Predict: self._answer_predict, AskScores: self._answer_scores,
            InspectModel: self._answer_inspect, Learn: self._answer_learn, Compare: self._answer_compare,
            EndCompare: self._answer_compare, AskReceptive: self._answer_receptive, Embed: self._answer_embed,
            Refine: self._answer_refine, RefineBox: self._answer_refine, PrepareRefine: self._answer_refine,
            AskClicks: self._answer_clicks, PrepareClicks: self._answer_clicks, EndClicks: self._answer_clicks,
            PrepareRegions: self._answer_regions, AskScribble: self._answer_scribble,
        }  # fmt: skip
        answers[type(request)](request)

    def _answer_load(self, request: Request[Answer]) -> None:
        assert isinstance(request, LoadModel)
        if request.path in self.errors:
            self._answer(Failed(request_id=request.request_id, error=self.errors[request.path].to_dict()))
            return
        name = "Stripes" if LEARNED not in Path(request.path).name else "Stripes · learned"
        self._card = ModelCard(
            id=f"fake-{request.path}",
            name=name,
            architecture={"name": "stripes"},
            catalog=self.catalogs.get(request.path, self.catalog),
            threshold=self.threshold,
            guessed=() if request.options else self.guessed,
        )
        self._answer(Loaded(request_id=request.request_id, card=self._card, device="cpu"))

    def _answer_inspect(self, request: Request[Answer]) -> None:
        assert isinstance(request, InspectModel)
        if request.path in self.errors:
            self._answer(Failed(request_id=request.request_id, error=self.errors[request.path].to_dict()))
            return
        catalog = self.catalogs.get(request.path, self.catalog)
        card = ModelCard(id=f"fake-{request.path}", name="Stripes", architecture={"name": "stripes"}, catalog=catalog)
        self._answer(Inspected(request_id=request.request_id, card=card))

    def _answer_learn(self, request: Request[Answer]) -> None:
        assert isinstance(request, Learn)
        task = request.task
        if task.model in self.errors:
            self._answer(Failed(request_id=request.request_id, error=self.errors[task.model].to_dict()))
            return
        Path(task.target).parent.mkdir(parents=True, exist_ok=True)
        Path(task.target).write_bytes(b"")
        card = ModelCard(
            id=f"fake-{task.target}", name="Stripes · learned", architecture={"name": "stripes"}, catalog=self.catalog
        )
        report, pairs = imagined_report(task)
        self._answer(Learned(request_id=request.request_id, path=task.target, card=card, report=report, pairs=pairs))

    def _answer_predict(self, request: Request[Answer]) -> None:
        assert isinstance(request, Predict)
        self._report(Progress(request_id=request.request_id, fraction=0.0, text="reading"))
        try:
            if request.image in self.errors:
                raise self.errors[request.image]
            if self._card is None:
                raise ComputeError("no model is loaded", remedy="Choose a model in the model dock, then predict again")
            info = probe_image(request.image)
            # Eight-bit files have nothing to tell and are not decoded.
            notes = read_image(request.image).notes if "16" in info.mode else ()
        except AtrousError as error:
            self._answer(Failed(request_id=request.request_id, error=error.to_dict()))
            return
        taught = LEARNED if self._card.name != "Stripes" else ""
        labels = striped_labels(self.catalog, info.height, info.width, request.source_key + taught)
        labels = self.known.get(request.image, labels)
        if self._card.threshold is not None:
            bar = request.options.threshold or self._card.threshold
            first, second = self.catalog.ids.astype(labels.dtype)
            row = np.where((np.arange(info.width) + 0.5) / info.width > bar, second, first)
            labels = np.ascontiguousarray(np.broadcast_to(row, labels.shape))
        self._kept[request.source_key] = labels
        if request.options.crf is not None:
            labels = moved(labels, request.options.crf.iterations)
        prediction = Prediction(
            labels=labels, confidence=np.full(labels.shape, 204, np.uint8), card_id=self._card.id, options=request.options,
            source_key=request.source_key, report=RunReport(device="cpu", milliseconds=1.0),
            uncertainty={"margin": 0.25, "entropy": 0.5},
        )  # fmt: skip
        self._report(Progress(request_id=request.request_id, fraction=1.0))
        self._answer(Predicted(request_id=request.request_id, prediction=prediction, image_notes=notes))

    def _answer_clicks(self, request: Request[Answer]) -> None:
        """A disk around the positive clicks (without any: the box), and a larger one."""
        if isinstance(request, EndClicks):
            self._answer(Clicked(request_id=request.request_id))
            return
        assert isinstance(request, PrepareClicks)
        failed = next((self.errors[path] for path in (*request.model, request.image) if path in self.errors), None)
        if failed is not None:
            self._answer(Failed(request_id=request.request_id, error=failed.to_dict()))
            return
        found = clicked_masks(request) if isinstance(request, AskClicks) else []
        masks = tuple(PackedLabels.of(mask.astype(np.uint8)) for mask in found)
        self._answer(Clicked(request_id=request.request_id, masks=masks, title="imagined click network", milliseconds=1.0))

    def _answer_scribble(self, request: Request[Answer]) -> None:
        """Pixels of the first pixel's class within the reach of the path's beginning, as a square."""
        assert isinstance(request, AskScribble)
        labels, part = request.labels.unpacked(), request.part
        x, y = int(request.path[0][0]) - part.x, int(request.path[0][1]) - part.y
        mask = labels == labels[y, x]
        rows, columns = np.ogrid[: part.height, : part.width]
        mask &= (abs(rows - y) <= request.reach) & (abs(columns - x) <= request.reach)
        self._answer(
            Scribbled(
                request_id=request.request_id, box=part, mask=PackedLabels.of(mask.astype(np.uint8)),
                sources=PackedLabels.of(np.full(mask.shape, 2, np.uint8)), milliseconds=1.0,
            )
        )  # fmt: skip

    def _answer_regions(self, request: Request[Answer]) -> None:
        """Blocks of 12 px, and from level 6 on all of them as one; of the scores the next class of the catalog comes second."""
        assert isinstance(request, PrepareRegions)
        info = probe_image(request.image)
        labels = self._kept.get(request.source_key)
        scores = None
        if labels is not None and request.channel_ids:
            scores = np.full((len(request.catalog), *labels.shape), 0.0, np.float16)
            for channel, class_id in enumerate(request.catalog.ids.tolist()):
                scores[channel][labels == class_id] = 0.75
                scores[(channel + 1) % len(request.catalog)][labels == class_id] = 0.25
        hierarchy = imagined_regions(info.height, info.width, len(request.catalog) if scores is not None else 0)
        self._answer(RegionsReady(request_id=request.request_id, hierarchy=hierarchy, scores=scores, milliseconds=1.0))

    def _answer_compare(self, request: Request[Answer]) -> None:
        if isinstance(request, EndCompare):
            self._answer(Compared(request_id=request.request_id, prediction=None))
            return
        assert isinstance(request, Compare)
        try:
            for path in (request.model, request.image):
                if path in self.errors:
                    raise self.errors[path]
            info = probe_image(request.image)
        except AtrousError as error:
            self._answer(Failed(request_id=request.request_id, error=error.to_dict()))
            return
        labels = compared_labels(self.catalog, info.height, info.width, request.source_key, request.model)
        if request.image in self.known:
            labels = moved(self.known[request.image], 0 if Path(request.model).stem == "stripes" else 24)
        prediction = Prediction(
            labels=labels, confidence=np.full(labels.shape, 204, np.uint8), card_id=f"fake-{request.model}",
            options=request.options, source_key=request.source_key, report=RunReport(device="cpu", milliseconds=12.0),
        )  # fmt: skip
        self._report(Progress(request_id=request.request_id, fraction=1.0))
        self._answer(Compared(request_id=request.request_id, prediction=prediction))

    def _answer_embed(self, request: Request[Answer]) -> None:
        """Features that depend on the mean colour of the file's pixels, or of its region."""
        assert isinstance(request, Embed)
        pixels = np.asarray(Image.open(request.image).convert("RGB"), np.float32).transpose(2, 0, 1) + 1
        region = None
        if request.region is not None:
            box, (height, width) = request.region, pixels.shape[1:]
            region = (box.x / width, box.y / height, (box.x + box.width) / width, (box.y + box.height) / height)
        card_id = "" if self._card is None else self._card.id
        self._answer(Embedded(request_id=request.request_id, card_id=card_id, vectors=pooled_vectors(pixels, region)))

    def _answer_receptive(self, request: Request[Answer]) -> None:
        assert isinstance(request, AskReceptive)
        if self._card is not None and self._card.id in self.errors:
            self._answer(Failed(request_id=request.request_id, error=self.errors[self._card.id].to_dict()))
            return
        self._answer(Receptive(request_id=request.request_id, found=imagined_field(request)))

    def _answer_scores(self, request: Request[Answer]) -> None:
        assert isinstance(request, AskScores)
        labels = self._kept.get(request.source_key)
        ids: tuple[int, ...] = ()
        if labels is not None and 0 <= request.y < labels.shape[0] and 0 <= request.x < labels.shape[1]:
            first = int(labels[request.y, request.x])
            others = [int(i) for i in self.catalog.ids if i != first]
            ids = (first, *others[: max(0, request.top - 1)])
        probabilities = tuple(0.8 if n == 0 else 0.2 / max(1, len(ids) - 1) for n in range(len(ids)))
        self._answer(ScoresAt(request_id=request.request_id, class_ids=ids, probabilities=probabilities))

    def _answer_refine(self, request: Request[Answer]) -> None:
        assert isinstance(request, (Refine, RefineBox, PrepareRefine))
        base = request.base
        kept = self._kept.get(base.source_key) if base.labels is None else base.labels
        if kept is None or isinstance(request, PrepareRefine):
            self._answer(Refined(request_id=request.request_id, labels=None, no_scores=kept is None))
            return
        if isinstance(request, RefineBox):
            drawn = request.strokes[request.strokes != base.ignore]
            value = int(np.bincount(drawn).argmax()) if drawn.size else base.ignore
            labels = np.full(request.box.size, value, kept.dtype)
        else:
            labels = moved(kept, request.params.iterations)
            if request.strokes is not None:
                labels = np.where(request.strokes == base.ignore, labels, request.strokes)
        self._answer(Refined(request_id=request.request_id, labels=labels, milliseconds=1.0))


def imagined_regions(height: int, width: int, classes: int) -> Hierarchy:
    """Regions without looking at an image: blocks of 12 px up to level 5, then one region."""
    rows, columns = -(-height // 12), -(-width // 12)
    leaves = (np.arange(height)[:, None] // 12 * columns + np.arange(width) // 12).astype(np.uint16)
    count = rows * columns
    y, x = np.divmod(np.arange(count), columns)
    boxes = np.stack([x * 12, y * 12, np.minimum(x * 12 + 11, width - 1), np.minimum(y * 12 + 11, height - 1)], axis=1)
    root = [[0, 0, width - 1, height - 1]]
    cuts = np.tile(np.arange(count), (12, 1))
    cuts[6:] = count
    pixels = np.append(np.bincount(leaves.ravel(), minlength=count), height * width)
    return Hierarchy(
        (height, width), leaves, np.full(count + 1, count, np.int32), pixels.astype(np.int64),
        np.concatenate([boxes, root]).astype(np.int32), np.zeros((count + 1, classes)), cuts.astype(np.int32),
    )  # fmt: skip


def compared_labels(catalog: ClassCatalog, height: int, width: int, source_key: str, model: str) -> NDArray[np.uint8]:
    """What the model of a file returns in a comparison: the one called "stripes" returns its predictions."""
    stem = Path(model).stem
    return striped_labels(catalog, height, width, source_key + ("" if stem == "stripes" else stem))


def imagined_field(request: AskReceptive) -> ReceptiveField:
    """A field that falls off around the pixel: theoretical radius 20 px, one branch of 12 px."""
    away = np.maximum(np.abs(np.arange(-16, 17))[:, None], np.abs(np.arange(-16, 17))[None, :])
    gradient = np.exp(-away / 4).astype(np.float32)

    def box(radius: int) -> Extent:
        return Extent(request.x - radius, request.y - radius, request.x + radius + 1, request.y + radius + 1)

    return ReceptiveField(
        x=request.x, y=request.y, class_id=15,
        theoretical=(TheoreticalField("network", box(20), 20), TheoreticalField("rate 6", box(12), 12)),
        gradient=gradient / gradient.sum(), extent=box(16), radii=((0.5, 6), (0.95, 14)), milliseconds=30.0,
    )  # fmt: skip


def imagined_report(task: LearnTask) -> tuple[LearnReport, tuple[LearnPair, ...]]:
    """What a model without a network claims to have learned: held-out images gained a tenth of IoU."""
    masks = [(image.name, image.known.unpacked(), image.mask.unpacked()) for image in task.corrected]
    gains = []
    for info in task.labels.classes:
        counts = [int(np.count_nonzero(known == info.id)) for _, known, _ in masks]
        if any(counts):
            gains.append(
                ClassGain(
                    id=info.id, name=info.name, color=info.color, pixels=sum(counts), images=len([c for c in counts if c]),
                    corrected=(0.5, 0.8), held_out=(0.5, 0.6), new=info.id in task.options.new_classes,
                    change=GainInterval(gain=0.1, low=0.05, high=0.15, images=len(masks)) if len(masks) > 1 else None,
                )
            )  # fmt: skip
    report = LearnReport(
        verdict="better" if len(masks) > 1 else "not sure", summary="It is worth accepting.", images=len(masks),
        background=len(task.untouched), pixels=sum(gain.pixels for gain in gains), corrected=(0.5, 0.8),
        held_out=(0.5, 0.6) if len(masks) > 1 else None, kept=0.99, step=16, steps=16, blend=1.0,
        layers="everything behind the encoder", seconds=1.0, classes=tuple(gains),
        change=GainInterval(gain=0.1, low=0.05, high=0.15, images=len(masks)) if len(masks) > 1 else None,
    )  # fmt: skip
    return report, tuple(
        LearnPair(name=name, before=moved(mask, 9), after=moved(mask, 3), held_out=len(masks) > 1) for name, _, mask in masks[:3]
    )


def moved(labels: NDArray[Any], pixels: int) -> NDArray[Any]:
    """(H, W) labels moved to the right; the first column fills what becomes free."""
    columns = np.maximum(np.arange(labels.shape[1]) - pixels, 0)
    return labels[:, columns]


def striped_labels(catalog: ClassCatalog, height: int, width: int, source_key: str) -> NDArray[np.uint8]:
    """(H, W) vertical stripes, as many as the catalog has classes; the first class follows from ``source_key``."""
    classes = len(catalog)
    shift = zlib.crc32(source_key.encode()) % classes
    stripe = (np.arange(width) * classes // max(1, width) + shift) % classes
    row = catalog.ids[stripe].astype(catalog.dtype)
    labels: NDArray[np.uint8] = np.ascontiguousarray(np.broadcast_to(row, (height, width)))
    return labels


def clicked_masks(request: AskClicks) -> list[NDArray[np.bool_]]:
    """What the imagined click network answers: disks of 20 and 40 px around the positive clicks, or the box."""
    height, width = request.previous.shape
    y, x = np.mgrid[:height, :width]
    shown = [point for point, sign in zip(request.points, request.positive, strict=True) if sign]
    if not shown and request.box is not None:
        left, top, right, bottom = request.box
        return [(x >= left) & (x < right) & (y >= top) & (y < bottom)]
    away = np.min([np.full((height, width), 1e9), *((x - px) ** 2 + (y - py) ** 2 for px, py in shown)], axis=0)
    return [away < radius**2 for radius in (20, 40)]

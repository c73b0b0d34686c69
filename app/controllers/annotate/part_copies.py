"""The Copy tool: a component, a region or an outline of another label map of the image, shown before it is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.copies import CopyController
from app.controllers.annotate.corrections import CorrectionsController, Target, TargetSource
from app.controllers.annotate.regions import RegionsController
from app.controllers.compare.image import CompareController
from app.controllers.evaluate.live import EvaluationController
from app.controllers.predict.models import ModelsController
from app.services.jobs import LatestWork
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.copies import other_predictions, part_proposal
from app.state.document import Document
from app.state.tools import CopyFrom, Tool
from app.text import plural, tr
from app.viewmodels.annotate.class_rows import class_name
from deeplab_core.correction.proposal import Proposal
from deeplab_core.errors import MessageText, message
from deeplab_core.geometry import Box, polygon_mask
from deeplab_core.labels import LabelMap
from deeplab_core.regions import Mask

Point = tuple[float, float]

#: On images of more pixels a component is found in the background.
_BACKGROUND_PIXELS = 4_000_000
#: After a change of the labels what is under the pointer is looked at again, ms.
_SOON_MS = 30


@dataclass(frozen=True, slots=True, eq=False)
class CopySource:
    """Labels that may be copied from.

    Attributes:
        kind: what they are.
        title: for the user; of a model its name.
        labels: (H, W) in the project's ids, void where there is nothing to copy; None if they cannot be had.
        reason: why not, for the user.
        coming: whether they are being read.
    """

    kind: CopyFrom
    title: str
    labels: LabelMap | None = None
    reason: str = ""
    coming: bool = False


@dataclass(slots=True, eq=False)
class _Read:
    """What was read for the image in view: the mask of the image before it, and predictions of other models."""

    image: OpenImage
    previous: CopySource
    kept: tuple[CopySource, ...] = ()


class PartCopies(TargetSource):
    """Copies parts of the image's prediction, of other models' predictions, of the ground truth or of the previous image.

    Attributes:
        target: what a click copies, or what the outline that is drawn holds; None if there is nothing.
        by_region: whether a click copies what is inside the region of the image under the pointer; else the component of the
            source.

    Signals:
        changed(): another source or way, or other sources.
    """

    changed = Signal()

    def __init__(
        self,
        services: Services,
        corrections: CorrectionsController,
        regions: RegionsController,
        models: ModelsController,
        comparison: tuple[CompareController, EvaluationController],
        copies: CopyController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._notifier = services.session, services.jobs, services.notifier
        self._context = services.context
        self._corrections, self._edit, self._regions, self._copies = corrections, corrections.edit, regions, copies
        self._models, (self._compare, self._evaluation) = models, comparison
        self._work = LatestWork(services.jobs, services.notifier.report_or_raise)
        self.by_region = False
        self._kind, self._number = CopyFrom.PREDICTION, 0
        self._read: _Read | None = None
        self._place: Point | None = None
        self._outline: list[Point] = []
        self._soon = single_shot(self, _SOON_MS, self._look)
        self._edit.tools.changed.connect(self._follow_tool)
        self._edit.documentChanged.connect(lambda _document: self._forget())
        services.session.imageChanged.connect(lambda _image: self._follow_tool())
        for signal in (corrections.changed, self._compare.resultsChanged, self._evaluation.layersChanged):
            signal.connect(self._look_again)
        services.session.predictionChanged.connect(lambda _image: self._look_again())

    # -- where to copy from ------------------------------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether the Copy tool is selected."""
        return self._edit.tools.tool is Tool.COPY

    def sources(self) -> list[CopySource]:
        """All of them, also those that cannot be reached now."""
        image = self._session.image
        if image is None:
            return []
        prediction, live = image.document.reference, self._evaluation.live
        truth = live.truth if live is not None and live.document is image.document else None
        read = self._read if self._read is not None and self._read.image is image else None
        previous = CopySource(CopyFrom.PREVIOUS, tr(CopyFrom.PREVIOUS.value), coming=True) if read is None else read.previous
        return [
            CopySource(
                CopyFrom.PREDICTION, tr(CopyFrom.PREDICTION.value), prediction,
                "" if prediction is not None else tr("No prediction yet: run the model"),
            ),
            *self._other_models(image, () if read is None else read.kept),
            CopySource(
                CopyFrom.TRUTH, tr(CopyFrom.TRUTH.value), truth, "" if truth is not None else tr("No ground truth for this image")
            ),
            previous,
        ]  # fmt: skip

    def _other_models(self, image: OpenImage, kept: tuple[CopySource, ...]) -> list[CopySource]:
        """Models that are compared on the image, but for the one in use, then kept predictions of other models."""
        found = [
            CopySource(CopyFrom.MODEL, title, labels)
            for title, labels in self._compare.answers(image)
            if labels is not image.document.reference
        ]
        known = {source.title for source in found}
        found += [source for source in kept if source.title not in known]
        return found or [CopySource(CopyFrom.MODEL, tr(CopyFrom.MODEL.value), None, tr("Compare models first (Shift+C)"))]

    @property
    def source(self) -> CopySource | None:
        """The chosen one; None without an image."""
        found = [source for source in self.sources() if source.kind is self._kind]
        return found[self._number % len(found)] if found else None

    def choose(self, kind: CopyFrom | str) -> None:
        """Copy from this source; chosen again, from the next model. One that cannot be reached is not chosen, which is said."""
        kind = CopyFrom(kind)
        self._prepare()
        found = [source for source in self.sources() if source.kind is kind]
        if not found:
            return
        if found[0].reason:
            self._say(found[0].reason)
            return
        self._number = self._number + 1 if kind is self._kind else 0
        self._kind = kind
        self._changed()

    def choose_source(self, place: int) -> None:
        """Copy from the source at this place of :meth:`sources`."""
        sources = self.sources()
        kind = sources[place].kind
        same = [source for source in sources if source.kind is kind]
        self._kind, self._number = kind, same.index(sources[place])
        self._changed()

    def toggle_region(self) -> None:
        """Copy what is inside the region of the image under the pointer, or the component of the source there."""
        self.by_region = not self.by_region
        self._corrections.ask()
        self._changed()

    def turn(self, steps: int) -> None:
        """Coarser (positive) or finer regions, while they are copied; else the next or the previous source."""
        if self.by_region:
            self._regions.turn_at(self._corrections.inside(self._place), steps)
            self._look()
            return
        there = [place for place, source in enumerate(self.sources()) if source.labels is not None]
        current = self.source
        sources = self.sources()
        now = next((n for n, place in enumerate(there) if current is not None and sources[place].title == current.title), -1)
        if there:
            self.choose_source(there[(now + steps) % len(there)])

    # -- what is under the pointer -----------------------------------------------------------------------------------------

    def point_at(self, x: int | None, y: int | None) -> None:
        """The pointer is over this pixel with any tool, or over none."""
        if not self.on:
            self._place = None if x is None or y is None else (x, y)

    def hover(self, x: float | None, y: float | None) -> None:
        """The pointer is over this point in image px, or over none."""
        self._place = None if x is None or y is None else (x, y)
        self._outline = []
        if self.on:
            self._look()

    def words(self) -> tuple[str, ...]:
        """What is said beside the pointer while there is nothing to outline."""
        source = self.source
        if source is None or self._corrections.inside(self._place) is None or self.target is not None:
            return ()
        if source.labels is None:
            return source.title, source.reason or tr("It is being read…")
        if self.by_region and not self._corrections.regions_ready:
            return source.title, tr("The regions of this image are being computed…")
        return source.title, tr("Nothing to copy here")

    def draw(self, path: Sequence[Point]) -> None:
        """An outline has come so far: show what it holds, until the pointer is over a point again or the outline is copied."""
        self._outline = list(path)
        source, document = self.source, self._edit.document
        if source is None or source.labels is None or document is None or len(path) < 3:
            return
        labels, points = source.labels, self._outline

        def work() -> Target | None:
            box, mask = polygon_mask(points, document.shape)
            return None if box.empty else self._target(document, labels, box, mask, source.title, points[0])

        self._work.ask(work, self._show)

    def _look(self) -> None:
        self._soon.stop()
        if len(self._outline) >= 3:
            self.draw(self._outline)
            return
        place, source, document = self._corrections.inside(self._place), self.source, self._edit.document
        if place is None or source is None or source.labels is None or document is None or not self.on:
            self._work.stop()
            self._show(None)
            return
        labels = source.labels

        def work() -> Target | None:
            part = self._part(labels, place)
            return None if part is None else self._target(document, labels, *part, source.title, place)

        if document.labels.size <= _BACKGROUND_PIXELS:
            self._show(work())
        else:
            self._work.ask(work, self._show)

    def _part(self, labels: LabelMap, place: Point) -> tuple[Box, Mask] | None:
        """The component of a label map at a place, or the region of the image; None where there is nothing to copy."""
        document, corrector = self._edit.document, self._corrections.corrector
        if document is None or corrector is None:
            return None
        if self.by_region:
            return corrector.region_mask(*place, self._regions.level) if self._corrections.regions_ready else None
        from deeplab_core.correction.components import component_of

        x, y = int(place[0]), int(place[1])
        return None if int(labels[y, x]) == document.catalog.ignore else component_of(labels, x, y)

    def _target(self, document: Document, labels: LabelMap, box: Box, mask: Mask, title: str, start: Point) -> Target | None:
        """What would be copied: all of the part that may change is outlined; what changes is tinted, and said."""
        ids = labels[box.slices]
        mask = mask & (ids != document.catalog.ignore)
        if not mask.any():
            return None
        values = np.unique(ids[mask]).tolist()
        size = plural("{n} px", "{n} px", int(np.count_nonzero(mask)))
        first = tr("{name}, {size}", name=class_name(document.catalog, values[0]), size=size) if len(values) == 1 else size
        shown = self._corrections.limited(Target(box, mask, 0, (first,), ids=ids), start)
        if shown.changes is None:
            return shown
        changes = int(np.count_nonzero(shown.changes))
        then = plural("Click: {n} px changes", "Click: {n} px change", changes) if changes else tr("The labels are the same")
        return replace(shown, pixels=changes, lines=(first, tr("From: {source}", source=title), then))

    # -- copying -----------------------------------------------------------------------------------------------------------

    def copy_here(self) -> None:
        """Copy what is under the pointer, with any tool."""
        self._prepare()
        place = self._corrections.inside(self._place)
        if place is None:
            self._say(tr("Point at the image first"))
        else:
            self.copy_at(*place)

    def copy_at(self, x: float, y: float) -> None:
        """Copy the component or region at a point."""
        labels = self._ready()
        place = self._corrections.inside((x, y))
        if labels is None or place is None:
            return
        if self.by_region and not self._corrections.regions_ready:
            self._corrections.ask()
            self._say(tr("The regions of this image are being computed"))
            return
        part = self._part(labels, place)
        if part is None:
            self._say(tr("Nothing to copy here"))
        else:
            self._copy(labels, *part, start=place)

    def copy_inside(self, path: Sequence[Point]) -> None:
        """Copy everything inside a closed outline."""
        self._outline = []
        labels, document = self._ready(), self._edit.document
        if labels is not None and document is not None:
            self._work.stop()
            box, mask = polygon_mask(path, document.shape)
            if not box.empty:
                self._copy(labels, box, mask, start=path[0])

    def _ready(self) -> LabelMap | None:
        """The labels of the source, if the image may be changed; says why not."""
        document, source = self._edit.ready(), self.source
        if document is None or source is None:
            return None
        if source.labels is None:
            self._say(source.reason or tr("{source} is being read", source=source.title))
            return None
        self._edit.commit_stroke()
        return source.labels

    def _copy(self, labels: LabelMap, box: Box, mask: Mask, start: Point) -> None:
        document, source = self._edit.document, self.source
        assert document is not None
        assert source is not None
        proposal: Proposal | None = part_proposal(document, labels, box, mask)
        name: MessageText = message("Copy from {source}", source=source.title)
        if proposal is None or not self._corrections.apply(name, proposal, start=start):
            self._say(tr("Nothing changed: the labels are there already"))

    # -- reading -----------------------------------------------------------------------------------------------------------

    def _follow_tool(self) -> None:
        if self.on:
            self._prepare()
            self._look()
        else:
            self._outline = []
            if self.target is not None:
                self._show(None)

    def _prepare(self) -> None:
        """Read what is not in memory: the mask of the previous image and kept predictions of other models, once for an image."""
        image, project = self._session.image, self._session.project
        if image is None or project is None or (self._read is not None and self._read.image is image):
            return
        title = tr(CopyFrom.PREVIOUS.value)
        read = self._read = _Read(image, CopySource(CopyFrom.PREVIOUS, title, coming=True))

        def take_previous(other: Document | None, reason: str, _name: str) -> None:
            if self._read is not read:
                return
            why = reason or _misfit(image.document, other)
            read.previous = CopySource(CopyFrom.PREVIOUS, title, None if other is None or why else other.labels, why)
            self._look_again()
            self.changed.emit()

        def take_kept(found: list[tuple[str, LabelMap]]) -> None:
            if self._read is read and found:
                read.kept = tuple(CopySource(CopyFrom.MODEL, name, labels) for name, labels in found)
                self._look_again()
                self.changed.emit()

        self._copies.read_previous(take_previous)
        shape = image.document.shape
        self._jobs.run(
            lambda: [
                (prediction.card_id, labels)
                for prediction in other_predictions(project, image.id)
                if (labels := self._models.in_project_ids(prediction)) is not None and labels.shape == shape
            ],
            take_kept,
            self._notifier.report_or_raise,
        )

    def _forget(self) -> None:
        self._read, self._outline = None, []
        self._work.stop()
        self._show(None)

    def _changed(self) -> None:
        self._context.update(copy_region_on=self.by_region)
        self._look()
        self.changed.emit()

    def _look_again(self) -> None:
        if self.on and not self._soon.isActive():
            self._soon.start()

    def _say(self, text: str) -> None:
        self._notifier.info(text, "", replace_key="correction")


def _misfit(document: Document, other: Document | None) -> str:
    """Why labels of another image cannot be copied at the same position; empty if they can."""
    if other is None:
        return tr("The previous image cannot be read")
    if other.shape != document.shape:
        return tr("The previous image has another size")
    return "" if (other.labels != document.catalog.ignore).any() else tr("The previous image has no labels")

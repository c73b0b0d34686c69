"""Comparing models on the image in view: what each predicts, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.view import ViewState
from app.controllers.compare.models import ComparedModels
from app.controllers.compare.requests import ModelRequest, ModelRequests
from app.controllers.evaluate.live import EvaluationController
from app.controllers.predict.models import ModelsController
from app.services.jobs import Job, JobState
from app.services.services import Services
from app.services.session import OpenImage
from app.state.comparison import (
    LETTERS,
    ModelFigures,
    ModelPrediction,
    ModelResult,
    PairCount,
    count_pair,
    figures_of_image,
    pairs_of,
)
from app.text import error_sentences, percent, share_text, tr
from app.viewmodels.annotate.panes import MODEL_PANES, PaneKind, PaneLayout
from app.viewmodels.compare.rows import model_curves
from app.viewmodels.evaluate.curves import Curve
from app.viewmodels.predict.model_view import time_text
from app.worker.messages import URGENT, EndCompare
from deeplab_core.analysis.image import count_labels
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap

#: Letters of a model's name that are shown in its pane.
_NAME = 22


@dataclass(slots=True)
class _Comparison:
    """The comparison of one image."""

    image: OpenImage
    results: list[ModelResult]
    pairs: dict[tuple[int, int], PairCount] = field(default_factory=dict)


#: Settings that change every prediction.
_HOW_IT_RUNS = tuple(f"model.{name}" for name in ("output_stride", "scales", "flip", "device", "precision", "engine"))


class CompareController(QObject):
    """Up to four models side by side; each is asked in turn, the panes and figures follow as the results come.

    Attributes:
        pair: places of the two with a shown difference.
        on: whether the comparison is shown.

    Signals:
        modelsChanged(): who takes part, or what is known of them.
        resultsChanged(): an answer, a figure or the pair.
        fileWanted(): ask for a model file and call :meth:`add_file`.
        folderWanted(): the models that take part are to be compared on the folder.
    """

    modelsChanged = Signal()
    resultsChanged = Signal()
    fileWanted = Signal()
    folderWanted = Signal()

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        compared: ComparedModels,
        evaluation: EvaluationController,
        view: ViewState,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._compared = services.session, models, compared
        self._evaluation, self._view = evaluation, view
        self._compute = services.compute
        self._jobs, self._notifier = services.jobs, services.notifier
        self._settings, self._context = services.settings, services.context
        self._report = partial(services.notifier.report_or_raise, replace_key="compare")
        self._requests = ModelRequests(services.compute, services.jobs, self)
        self._job: Job | None = None
        self._seen: _Comparison | None = None
        self._counted: tuple[object, ...] = ()
        self._before: dict[str, Any] = {}
        self.pair = (0, 1)
        self.on = self._folder_wanted = False
        compared.chosen.connect(self._follow_chosen)
        compared.learned.connect(self._follow_learned)
        models.cardChanged.connect(lambda _card: self._follow_models())
        models.mappingChanged.connect(self.again)
        services.session.imageChanged.connect(lambda _image: self.again())
        evaluation.layersChanged.connect(self._follow_truth)
        evaluation.bandChanged.connect(lambda _band: self._follow_truth())
        services.settings.changed.connect(self._follow_setting)

    # -- who takes part --------------------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Show the comparison, with the models of last time, or end it and free their memory."""
        if self.on:
            self.end()
        else:
            self.begin()

    def begin(self) -> None:
        """Show the comparison in the panes and ask the models."""
        if self.on or self._session.project is None:
            return
        self._enter()
        self._compared.choose(self._compared.usual())
        if len(self._compared.models) < 2:
            self._compared.seek()

    def all_on_folder(self) -> None:
        """Compare every installed model that can be compared, four at most, on the image and then on the folder."""
        if self._session.project is None:
            return
        if not self.on:
            self._enter()
        self._folder_wanted = True
        self._compared.choose(self._compared.installed())
        self._want_folder()

    def _want_folder(self) -> None:
        """Ask for the comparison of the folder as soon as the cards of all models were read."""
        if self._folder_wanted and self._compared.known:
            self._folder_wanted = False
            self.folderWanted.emit()

    def _enter(self) -> None:
        self.on = True
        self._before = {name: value for name, value in self._view.to_dict().items() if name != "overlay"}
        self._context.update(comparing=True)

    def end(self) -> None:
        """Give the panes back what they showed."""
        if not self.on:
            return
        self.on = self._folder_wanted = False
        self._compared.stop_search()
        self._drop()
        self._seen = None
        self._context.update(comparing=False)
        self._compute.submit(EndCompare())
        self._view.restore(self._before)
        self.modelsChanged.emit()
        self.resultsChanged.emit()

    def add_file(self, path: Path) -> None:
        """Let a model file take part, listed or not, and show the comparison; where four take part, the last one makes room."""
        if self._session.project is None:
            return
        beside = self._compared.taking if self.on else self._compared.usual()
        if not self.on:
            self._enter()
        self._compared.add(path, beside)

    def ask_file(self) -> None:
        """Compare with a file that is not listed."""
        self.fileWanted.emit()

    def choose_pair(self, pair: tuple[int, int]) -> None:
        """Show where these two differ."""
        if pair != self.pair and max(pair) < len(self._compared.models):
            self.pair = pair
            self.resultsChanged.emit()

    def _follow_chosen(self) -> None:
        """Others take part; the answers of the earlier ones are gone before the panes move, which asks for them."""
        self._seen = None
        if max(self.pair) >= len(self._compared.models):
            self.pair = (0, 1)
        self._arrange()
        self.modelsChanged.emit()
        self.again()

    def _follow_learned(self) -> None:
        """More is known of those that take part."""
        if self.on:
            self.modelsChanged.emit()
            self._next()
            self.resultsChanged.emit()
            self._want_folder()

    def _follow_models(self) -> None:
        if self.on:
            self._compared.read_cards()
            self.modelsChanged.emit()
            self._next()

    def _follow_setting(self, key: str) -> None:
        if self.on and key in _HOW_IT_RUNS:
            self.again()

    # -- the image in view -----------------------------------------------------------------------------------------------

    @property
    def image(self) -> OpenImage | None:
        """The image that is compared; None while nothing is."""
        return None if self._seen is None else self._seen.image

    @property
    def results(self) -> list[ModelResult]:
        """What each model says about the image in view, by place."""
        return [] if self._seen is None else self._seen.results

    @property
    def labels(self) -> tuple[NDArray[Any] | None, ...]:
        """(H, W) of each model in the project's ids, for the panes; None where it is still computed."""
        if self.image is not self._session.image:  # another one was opened just now
            return ()
        return tuple(None if answer.prediction is None else answer.prediction.labels for answer in self.results)

    @property
    def difference(self) -> PairCount | None:
        """Where the chosen two differ on the image in view; None until both have answered."""
        return None if self._seen is None else self._seen.pairs.get(self.pair)

    @property
    def catalog(self) -> ClassCatalog | None:
        """Classes of the project, in which everything is compared."""
        return None if self._session.project is None else self._session.project.catalog

    def again(self) -> None:
        """Ask every model about the image in view; what is on disk comes at once."""
        if not self.on:
            return
        self._drop()
        image = self._session.image
        self._seen = None if image is None else _Comparison(image, [ModelResult() for _ in self._compared.models])
        self._counted = self._standard()
        self.resultsChanged.emit()
        self._next()

    def answers(self, image: OpenImage) -> list[tuple[str, LabelMap]]:
        """(name, (H, W) labels in the project's ids) of the models that have answered for an image, but for the one in use."""
        seen = self._seen
        if not self.on or seen is None or seen.image is not image:
            return []
        return [
            (model.title, answer.prediction.labels)
            for model, answer in zip(self._compared.models, seen.results, strict=True)
            if answer.prediction is not None and model.path != self._models.path
        ]

    def captions(self) -> dict[PaneKind, str]:
        """Name, time and figure beside the titles of the panes."""
        found = {}
        for pane, model, answer in zip(MODEL_PANES, self._compared.models, self.results, strict=False):
            parts = []
            if answer.figures is not None and not np.isnan(answer.figures.mean):
                parts.append(tr("mIoU {mean}", mean=percent(answer.figures.mean)))
            if answer.prediction is not None:
                parts.append(time_text(answer.prediction.milliseconds))
            found[pane] = " · ".join([*parts, _short(model.title)])
        count = self.difference
        if count is not None:
            shown = tr("{first} and {second}", first=LETTERS[self.pair[0]], second=LETTERS[self.pair[1]])
            found[PaneKind.DIFFERENCE] = f"{shown} · {share_text(count.share)}"
        return found

    def curves(self) -> list[Curve]:
        """Trimap curve of each model on the image in view."""
        return model_curves(self._compared.models, [result.figures for result in self.results])

    def _next(self) -> None:
        """Ask the first model that has not answered and can."""
        seen, project = self._seen, self._session.project
        if not self.on or seen is None or project is None or not self._requests.idle:
            return
        for place, (model, answer) in enumerate(zip(self._compared.models, seen.results, strict=True)):
            if model.card is None or answer.prediction is not None or answer.problem:
                continue
            options = model.options(self._models.run_settings.options())
            request = ModelRequest(project, seen.image.id, model, options, URGENT)
            self._job = self._jobs.add(Job(tr("Comparing: {title}", title=model.title), self._stop))
            taken, refused = partial(self._take, seen, place), partial(self._miss, seen, place)
            self._requests.ask(request, taken, refused, partial(self._job.progress, 0, 1, ""))
            return

    def _stop(self) -> None:
        """The user does not want to wait: the models that have not answered stay silent on this image."""
        for answer in self.results:
            if answer.prediction is None and not answer.problem:
                answer.problem = tr("Cancelled")
        self._drop(JobState.CANCELLED)
        self.resultsChanged.emit()

    def _drop(self, state: JobState = JobState.CANCELLED) -> None:
        """The model that was asked is not needed any more, or it has answered."""
        job, self._job = self._job, None
        self._requests.cancel()
        if job is not None:
            job.finish(state)

    def _take(self, seen: _Comparison, place: int, prediction: ModelPrediction) -> None:
        if seen is not self._seen:
            return
        self._drop(JobState.DONE)
        if prediction.labels.shape != seen.image.document.shape:
            seen.results[place].problem = tr("The image has another size now: rescan the folder (F5).")
        else:
            seen.results[place].prediction = prediction
            self._count(seen, [place])
        self.resultsChanged.emit()
        self._next()

    def _miss(self, seen: _Comparison, place: int, error: Exception) -> None:
        if seen is self._seen:
            self._drop(JobState.FAILED)
            seen.results[place].problem = error_sentences(error)
            self.resultsChanged.emit()
            self._next()

    # -- figures ---------------------------------------------------------------------------------------------------------

    def _standard(self) -> tuple[object, ...]:
        """What the figures are measured against."""
        band, live = self._evaluation.band, self._evaluation.live
        return (None if live is None else id(live.scored), band.rule, band.around)

    def _follow_truth(self) -> None:
        """Truth comes after the image, and may be another one later."""
        seen = self._seen
        if seen is not None and self._standard() != self._counted:
            self._counted = self._standard()
            seen.pairs.clear()
            self._count(seen, [place for place, answer in enumerate(seen.results) if answer.prediction is not None])

    def _count(self, seen: _Comparison, places: list[int]) -> None:
        """Count some results, and every pair that they belong to, in the background."""
        live, band, catalog = self._evaluation.live, self._evaluation.band, seen.image.document.catalog
        fits = live is not None and live.document is seen.image.document
        truth = live.scored if fits and live is not None else None
        index = None
        if truth is not None and live is not None and band.around == "truth" and live.has_band(band.rule, band.around):
            index = live.band(band.rule, band.around)
        labels = {place: answer.prediction.labels for place, answer in enumerate(seen.results) if answer.prediction is not None}
        pairs = [pair for pair in pairs_of(len(seen.results)) if set(pair) <= set(labels) and set(pair) & set(places)]
        standard = self._standard()

        def work() -> tuple[dict[int, ModelFigures], dict[tuple[int, int], PairCount]]:
            figures = {
                place: figures_of_image(count_labels(labels[place], catalog, truth=truth, band=band, index=index), band)
                for place in places
            }
            return figures, {pair: count_pair(labels[pair[0]], labels[pair[1]], catalog.ignore, truth) for pair in pairs}

        def done(found: tuple[dict[int, ModelFigures], dict[tuple[int, int], PairCount]]) -> None:
            if seen is not self._seen or standard != self._standard():
                return
            for place, figures in found[0].items():
                seen.results[place].figures = figures
            seen.pairs.update(found[1])
            self.resultsChanged.emit()

        self._jobs.run(work, done, self._report)

    def _arrange(self) -> None:
        """Give every model a pane; two leave room for their difference and the truth."""
        if not self.on or len(self._compared.models) < 2:
            return
        kinds: list[PaneKind] = list(MODEL_PANES[: len(self._compared.models)])
        if len(self._compared.models) < len(LETTERS):
            kinds.append(PaneKind.DIFFERENCE)
        if len(kinds) < len(MODEL_PANES):
            kinds.append(PaneKind.TRUTH if self._evaluation.live is not None else PaneKind.IMAGE)
        for place, kind in enumerate(kinds):
            self._view.set_kind(place, kind)
        self._view.set_layout(PaneLayout.QUAD)


def _short(title: str) -> str:
    """A name that leaves room for figures in a narrow pane."""
    return title if len(title) <= _NAME else f"{title[: _NAME - 1].rstrip()}…"

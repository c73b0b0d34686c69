"""Which models are compared, and what is known of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.controllers.predict.models import ModelsController
from app.services.calls import ComputeService
from app.services.jobs import Job, JobRegistry, JobState
from app.services.model_notes import note_of
from app.services.services import Services
from app.state.comparison import ENGINE_PACKAGES, LETTERS, VARIANTS, ComparedModel, ModelSetting, kind_of
from app.text import error_sentences, tr
from app.worker.messages import Inspected, InspectModel
from deeplab_core.catalogs.catalog import ClassCatalog, map_catalogs
from deeplab_core.flavour import has_torch
from deeplab_core.kernels.compiled import multiplies_tiles
from deeplab_core.records import ModelCard


class ComparedModels(QObject):
    """Up to four models, in the order of the panes.

    Attributes:
        models: those that take part.

    Signals:
        chosen(): others take part.
        learned(): more is known of those that take part: a card, or why a file cannot be used.
    """

    chosen = Signal()
    learned = Signal()

    def __init__(self, services: Services, models: ModelsController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._in_use, self._settings, self._notifier = models, services.settings, services.notifier
        self._cards = ModelCards(services.compute, self)
        self._search = CompatibleModelSearch(self._cards, services.jobs, self)
        self.models: list[ComparedModel] = []
        self._cards.read.connect(self._learn_card)
        self._cards.refused.connect(lambda path, why: self._learn(path, problem=why))
        self._search.found.connect(lambda path: self.choose([*self.taking, ModelSetting(path)]))
        self._search.missed.connect(self._say_alone)

    @property
    def taking(self) -> list[ModelSetting]:
        """Those that take part, with their settings, in the order of the panes."""
        return [model.setting for model in self.models]

    def choices(self) -> list[tuple[ModelSetting, str]]:
        """(setting, title) of every model that may take part, and below each the settings with which it takes part."""
        found = []
        for path, title in self._files():
            found.append((ModelSetting(path), title))
            found += [(model.setting, model.title) for model in self.models if model.path == path and model.variant]
        return found

    def _files(self) -> list[tuple[Path, str]]:
        """(file, title) of every model that may take part: the listed ones, and files that were opened for comparing."""
        found = {choice.path: choice.title for choice in self._in_use.choices()}
        for text in self._settings["compare.files"]:
            if Path(text).is_file():
                found.setdefault(Path(text), Path(text).stem)
        return list(found.items())

    def choose(self, settings: Sequence[ModelSetting]) -> None:
        """Compare these models with these settings, four at most, in this order."""
        self._search.stop()
        titles = dict(self._files())
        kept = {model.setting: model for model in self.models}
        self.models = [
            kept.get(one) or ComparedModel(one.path, one.titled(titles.get(one.path, one.path.stem)), variant=one.variant)
            for one in list(dict.fromkeys(settings))[: len(LETTERS)]
        ]
        self._settings.set("compare.models", [model.setting.text for model in self.models])
        self.read_cards()
        self.chosen.emit()

    def add(self, path: Path, beside: Sequence[ModelSetting]) -> None:
        """Let a file take part, listed or not, with these; where four take part, the last one makes room."""
        if path not in dict(self._files()):
            self._settings.set("compare.files", [*self._settings["compare.files"], str(path)])
        self._add(ModelSetting(path), beside)

    def add_setting(self, setting: ModelSetting) -> None:
        """Let a model take part with a setting too; where four take part, the last one makes room."""
        self._add(setting, self.taking)

    def _add(self, setting: ModelSetting, beside: Sequence[ModelSetting]) -> None:
        others = [other for other in beside if other != setting]
        self.choose([*others[: len(LETTERS) - 1], setting])

    def offers(self, of: ModelSetting | None = None) -> list[ModelSetting]:
        """Settings that a model can be tried with: the chosen one on top of its own, or else the first that takes part.

        Left out are output strides that the network lacks, or that are its own, thresholds of networks of several channels,
        engines that are not installed or not possible here, and what takes part already.
        """
        model = next((model for model in self.models if model.setting == of), self.models[0] if self.models else None)
        if model is None or model.card is None:
            return []
        card = model.card
        strides = {f"os{stride}" for stride in card.output_strides if stride != card.output_stride}

        def possible(part: str) -> bool:
            if part in ENGINE_PACKAGES:
                here = {"engine:onnx": True, "engine:amx": has_torch() and multiplies_tiles()}.get(part, has_torch())
                return here and find_spec(ENGINE_PACKAGES[part]) is not None
            kind = kind_of(part)
            if kind == "threshold":
                return card.threshold is not None and part != f"threshold:{card.threshold:g}"
            return kind != "os" or part in strides

        base = model.setting if of is not None else ModelSetting(model.path)
        found = [base.with_part(part) for part in VARIANTS if possible(part)]
        return [setting for setting in dict.fromkeys(found) if setting not in self.taking]

    def stop_search(self) -> None:
        """End the search for a second model."""
        self._search.stop()

    @property
    def ready(self) -> bool:
        """Whether at least two models can be asked."""
        return len([model for model in self.models if model.card is not None]) > 1

    def usual(self) -> list[ModelSetting]:
        """The models of last time; else the one in use, or the first available, for which another one has to be found."""
        at_hand = [path for path, _ in self._files()]
        last = [setting for text in self._settings["compare.models"] if (setting := ModelSetting.of(text)).path in at_hand]
        if len(last) > 1:
            return last
        return [ModelSetting(path) for path in ([self._in_use.path] if self._in_use.path is not None else at_hand[:1])]

    def installed(self) -> list[ModelSetting]:
        """Every model that can be compared with the one in use, that one first: files with its classes, or with more or fewer
        of them, then files that name no classes.
        """
        first = self._in_use.path or next((path for path, _ in self._files()), None)
        if first is None:
            return []
        mine = set(note_of(first).classes)
        told, silent = [], []
        for path, _ in self._files():
            theirs = set(note_of(path).classes)
            if not mine or not theirs:
                silent.append(path)
            elif theirs <= mine or theirs >= mine:
                told.append(path)
        return [ModelSetting(path) for path in dict.fromkeys([first, *told, *silent])]

    @property
    def known(self) -> bool:
        """Whether the card of everyone that takes part was read, or cannot be."""
        return all(model.card is not None or model.problem for model in self.models)

    def seek(self) -> None:
        """Look for a second model that knows the classes of the first."""
        taking = {model.path: model.card for model in self.models}
        others = [path for path, _ in self._files() if path not in taking]
        if others:
            self._search.start(self.models[0].path, self.models[0].card, others)
        else:
            self._notifier.info(
                tr("Comparing requires two models"), tr("Add a model file to compare with."), replace_key="compare"
            )

    def _say_alone(self) -> None:
        self._notifier.info(
            tr("No other model has the same classes"),
            tr("Check another model in the list to compare anyway: classes that the project lacks count as void."),
            replace_key="compare",
        )

    def read_cards(self) -> None:
        """Have the cards read that are not known yet."""
        for place, model in enumerate(self.models):
            if model.card is not None or model.problem:
                continue
            card = self._in_use.card if model.path == self._in_use.path else self._cards.known(model.path)
            if card is not None:
                self.models[place] = replace(model, card=card, title=model.setting.titled(card.name))
            else:
                self._cards.ask(model.path)

    def _learn_card(self, path: Path, card: ModelCard) -> None:
        self._learn(path, card=card)

    def _learn(self, path: Path, card: ModelCard | None = None, problem: str = "") -> None:
        if any(model.path == path for model in self.models):
            self.models = [_with_news(model, card, problem) if model.path == path else model for model in self.models]
            self.learned.emit()


def _with_news(model: ComparedModel, card: ModelCard | None, problem: str) -> ComparedModel:
    return replace(model, problem=problem) if card is None else replace(model, card=card, title=model.setting.titled(card.name))


def _same_classes(one: ClassCatalog, other: ClassCatalog) -> bool:
    """Whether two models can be compared class by class: both have the same ones, or one has those of the other and more."""
    return not map_catalogs(one, other).unmatched or not map_catalogs(other, one).unmatched


class CompatibleModelSearch(QObject):
    """Finds the second model of a comparison: reads card after card, in the background, until one has the same classes.

    Signals:
        found(Path): a model of the same classes; the search is over.
        missed(): there is none; the search is over.
    """

    found = Signal(object)
    missed = Signal()

    def __init__(self, cards: ModelCards, jobs: JobRegistry, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cards, self._jobs = cards, jobs
        self._first: Path | None = None
        self._catalog: ClassCatalog | None = None
        self._left: deque[Path] = deque()
        self._job: Job | None = None
        cards.read.connect(self._follow_card)
        cards.refused.connect(self._follow_refusal)

    def start(self, first: Path, card: ModelCard | None, others: Sequence[Path]) -> None:
        """Look for a model that can be compared with another.

        Args:
            card: of the first model; None has it read.
            others: models to choose from, the preferred ones first.
        """
        self.stop()
        self._first, self._left = first, deque(others)
        self._catalog = None if card is None else card.catalog
        self._job = self._jobs.add(Job(tr("Searching for a model with the same classes"), self.stop))
        self._go_on()

    def stop(self) -> None:
        """End the search silently: the user chose, or does not want to wait."""
        self._end(JobState.CANCELLED)

    def _go_on(self) -> None:
        first = self._first
        if first is None:
            return
        if self._catalog is None:
            card = self._cards.known(first)
            if card is None:
                self._cards.ask(first)
                return
            self._catalog = card.catalog
        while self._left:
            card = self._cards.known(self._left[0])
            if card is None:
                self._cards.ask(self._left[0])
                return
            path = self._left.popleft()
            if _same_classes(self._catalog, card.catalog):
                self._end(JobState.DONE)
                self.found.emit(path)
                return
        self._end(JobState.DONE)
        self.missed.emit()

    def _end(self, state: JobState) -> None:
        job, self._job = self._job, None
        self._first, self._catalog = None, None
        self._left.clear()
        if job is not None:
            job.finish(state)

    def _follow_card(self, path: Path, _card: ModelCard) -> None:
        if path == self._first or path in self._left:
            self._go_on()

    def _follow_refusal(self, path: Path, _why: str) -> None:
        if path == self._first:
            self.stop()  # the list shows what is wrong with it
        elif path in self._left:
            self._left.remove(path)
            self._go_on()


class ModelCards(QObject):
    """Asks for cards; one request per file is under way at a time.

    Signals:
        read(Path, ModelCard): a card that was asked for.
        refused(Path, str): the file is not a model that can be used, and why.
    """

    read = Signal(object, object)
    refused = Signal(object, str)

    def __init__(self, compute: ComputeService, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._compute = compute
        self._cards: dict[tuple[Path, int], ModelCard] = {}
        self._asked: set[Path] = set()

    def known(self, path: Path) -> ModelCard | None:
        """The card of the file as it is now; None where it was not read yet."""
        return self._cards.get(_version(path))

    def ask(self, path: Path) -> None:
        """Have the card read; :attr:`read` or :attr:`refused` follows."""
        if path in self._asked:
            return
        self._asked.add(path)
        call = self._compute.submit(InspectModel(path=str(path)))
        call.on(finished=lambda: self._asked.discard(path))
        call.on(
            done=lambda answer: self._take(path, answer), failed=lambda error: self.refused.emit(path, error_sentences(error))
        )

    def _take(self, path: Path, answer: Inspected) -> None:
        self._cards[_version(path)] = answer.card
        self.read.emit(path, answer.card)


def _version(path: Path) -> tuple[Path, int]:
    """A file as it is now: one that was written again is another."""
    try:
        return path, path.stat().st_mtime_ns
    except OSError:
        return path, 0

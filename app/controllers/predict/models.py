"""Which model is in use: finding, loading, its device, and how its classes become the project's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.paths import BUNDLED_MODELS, FIRST_MODEL, is_sample_project, model_folders
from app.services.calls import Call
from app.services.folders import engine_trials_file
from app.services.model_notes import note_of
from app.services.notifications import Choice
from app.services.services import Services
from app.services.session import OpenImage, unset
from app.state.class_mapping import card_key, choose_classes, in_project_ids, project_mapping
from app.state.new_project import BEGINS_EMPTY, CHOSEN_MODEL
from app.state.project import Project
from app.text import error_sentences, sentence, tr
from app.viewmodels.predict.model_view import DeviceView, ModelChoice, RunSettings
from app.worker.messages import URGENT, Hello, Loaded, LoadModel
from deeplab_core.catalogs.catalog import CatalogMapping, ClassCatalog
from deeplab_core.errors import AtrousError
from deeplab_core.labels import LabelMap
from deeplab_core.model_files import ENGINE_SUFFIXES, find_models
from deeplab_core.records import ModelCard, Prediction, RunReport

_SILENT = "compute silent"
#: Setting of a project: the user saw the notice that the model in use was made for other images.
_TOLD = "model.unsuited_told"
#: Bundled models for folders of the user, in the order in which they are tried.
_FOR_FOLDERS = ("photos-voc.safetensors", "camvid.safetensors")

#: Settings of :class:`RunSettings`, each under ``model.``.
_RUN_SETTINGS = ("output_stride", "scales", "flip", "device", "precision", "engine")


class ModelsController(QObject):
    """The model in use.

    Signals:
        choicesChanged(): another list, or another one in use.
        cardChanged(ModelCard | None): a model was loaded.
        deviceChanged(DeviceView): for the model dock.
        mappingNeeded(): classes of the model have no partner in the project, and no mapping was chosen.
        mappingChanged(): the user has said it.
        thresholdChanged(float): another threshold of the two-class model in use.
        unsuited(): the user's own images were opened, and only the model of the sample's rooms is there for their classes.
    """

    choicesChanged = Signal()
    cardChanged = Signal(object)
    deviceChanged = Signal(object)
    mappingNeeded = Signal()
    mappingChanged = Signal()
    thresholdChanged = Signal(float)
    unsuited = Signal()

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._compute, self._notifier = services.compute, services.notifier
        self._settings, self._context = services.settings, services.context
        self._project: Project | None = None
        self._loading: list[Call[Loaded]] = []
        self._asked_for: Path | None = None
        self._untried: list[Path] = []
        self._chosen = False
        self._refused: Path | None = None
        self._tried_on: Path | None = None
        self.card: ModelCard | None = None
        self.path: Path | None = None
        self.hello: Hello | None = None
        self.device = DeviceView(state=tr("starting…"))
        self._before_crash = DeviceView()
        self._before_silence: DeviceView | None = None
        self._note = ""
        self._stopped = False
        services.compute.hello.connect(self._greet)
        services.compute.model_lost.connect(self._lose)
        services.compute.crashed.connect(self._say_crashed)
        services.compute.restarted.connect(self._say_restarted)
        services.compute.gave_up.connect(self._say_gave_up)
        services.compute.unresponsive.connect(self._say_unresponsive)
        services.compute.responsive.connect(self._say_responsive)
        services.settings.changed.connect(self._follow_setting)

    # -- which model -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the compute process and load the model used last, or the first available one."""
        self._stopped = False
        self._compute.start()
        last = self._used_last()
        if last is not None and not last.exists():
            cause = tr("It was last used from {folder}. Put it back, or choose another in the Model panel.", folder=last.parent)
            self._notifier.warning(tr("The model {name} was not found", name=last.name), cause, replace_key="model")
        self._untried = self._first_ones()
        if self._untried:
            self.load(self._untried.pop(0), chosen=False)
        else:
            self._show(DeviceView(state=tr("no model")))
        self.choicesChanged.emit()

    def _first_ones(self) -> list[Path]:
        """What is loaded first: the model used last; without one, the available ones, of which the next is tried if one fails."""
        last = self._used_last()
        known = [last] if last is not None and last.exists() else []
        return known or sorted((choice.path for choice in self.choices()), key=_first_choice)

    def _used_last(self) -> Path | None:
        """The model of the last time; a bundled one is where this installation has it."""
        last = Path(self._settings["model.path"]) if self._settings["model.path"] else None
        if last is not None and last.parts[-3:-1] == BUNDLED_MODELS.parts[-2:] and not last.exists():
            return BUNDLED_MODELS / last.name
        return last

    def restart(self) -> None:
        """End the compute process, whatever it does, and start it again; what waits for it is computed by the new one."""
        if self._stopped:
            self.start()
        else:
            self._compute.restart()

    def choices(self) -> list[ModelChoice]:
        """Model files in the known folders, and the one in use."""
        folders = model_folders(self._settings["model.folder"])
        if self._project is not None and (self._project.directory / "models").is_dir():
            folders.append(self._project.directory / "models")  # learned here from corrections
        found = find_models(folders)
        for path in (self.path, self._asked_for if self._loading else None):
            if path is not None and path not in found:
                found.insert(0, path)
        return [ModelChoice(path, self._title(path), _tip(path), note_of(path).figures) for path in found]

    def load(self, path: Path, *, chosen: bool = True) -> None:
        """Load a model file; the one before stays in use where that fails.

        Args:
            chosen: the user chose this one, which the project remembers; otherwise the next available one is tried if it fails,
                and a project may take the model that was made for such images.
        """
        if chosen:
            self._untried, self._chosen = [], True
            self._remember_choice(path)
        self._ask_for(path, {})

    def try_on(self, path: Path) -> None:
        """Load a model for the page of a new project; a project that is open behind it neither remembers nor replaces it."""
        self._untried, self._tried_on = [], path
        self._ask_for(path, {})

    def suit(self, folder: Path, catalog: ClassCatalog) -> Path | None:
        """For the page of a new project: the model of its images, the bundled one for them instead of another bundled one.

        It is tried on, unless a model is on its way: then ask again once that one is there.
        """
        coming = self.coming
        own = _model_for(folder, catalog) if coming is not None and coming.parent == BUNDLED_MODELS else None
        if own is None or own == self._refused:
            return coming
        if own != coming and self.path is not None and not self._loading:
            self.try_on(own)
        return own

    @property
    def _uses_bundled(self) -> bool:
        return self.path is not None and self.path.parent == BUNDLED_MODELS

    def _remember_choice(self, path: Path) -> None:
        if self._project is None or self._project.read_only:
            return
        try:
            self._project.set_setting(CHOSEN_MODEL, str(path))
        except AtrousError as error:
            self._notifier.report(error)

    def set_options(self, options: Mapping[str, str]) -> None:
        """Load the model in use again with options that its weights do not tell; they are kept in the card beside its file."""
        if self.path is not None and options:
            self._ask_for(self.path, options)

    def _ask_for(self, path: Path, options: Mapping[str, str]) -> None:
        stride = self._settings["model.output_stride"] or None
        device = self._settings["model.device"]
        call = self._compute.submit(
            LoadModel(
                priority=URGENT,
                path=str(path),
                device=device,
                output_stride=stride,
                options=dict(options),
                trials=str(engine_trials_file()),
            )
        )
        self._loading.append(call)
        self._asked_for = path
        call.on(
            done=lambda answer: self._take(call, path, answer),
            failed=lambda error: self._fail(call, path, error),
            cancelled=lambda: self._drop(call),
        )
        self._show(DeviceView(state=tr("loading…")))

    def _follow_setting(self, key: str) -> None:
        if key == "model.folder":
            self.choicesChanged.emit()

    def _title(self, path: Path) -> str:
        return self.card.name if self.card is not None and path == self.path else note_of(path).name or path.stem

    # -- how it is run ---------------------------------------------------------------------------------------------------

    @property
    def run_settings(self) -> RunSettings:
        """The user's inference options, as far as this model can: many have a single output stride."""
        wanted = RunSettings(**{name: self._settings[f"model.{name}"] for name in _RUN_SETTINGS})
        possible = self.card is None or wanted.output_stride in (0, *self.card.output_strides)
        threshold = 0.0
        if self.card is not None and self.card.threshold is not None:
            threshold = self._settings["model.threshold"] or self.card.threshold
        return replace(wanted, output_stride=wanted.output_stride if possible else 0, threshold=threshold)

    def set_threshold(self, value: float) -> None:
        """Change the threshold of the two-class model in use, 0..1; it lasts until another model is loaded."""
        if self.card is not None and self.card.threshold is not None and value != self.run_settings.threshold:
            self._settings.set("model.threshold", 0.0 if value == self.card.threshold else value)
            self.thresholdChanged.emit(value)

    def set_run_settings(self, chosen: RunSettings) -> None:
        """Change how it is run; another device loads the model again."""
        before = self.run_settings
        for name in _RUN_SETTINGS:
            self._settings.set(f"model.{name}", getattr(chosen, name))
        if chosen.device != before.device and self.path is not None:
            self.load(self.path)

    def strides(self) -> tuple[int, ...]:
        """Output strides that can be chosen."""
        return () if self.card is None else self.card.output_strides

    def devices(self) -> list[tuple[str, str]]:
        """(value, text) of the devices that can be chosen."""
        found = [("auto", "auto")]
        if self.hello is not None:
            found += [(name, f"{name} ({text})" if text else name) for name, text in self.hello.devices.items()]
        return found

    def report_run(self, report: RunReport) -> None:
        """Show how the last prediction really ran."""
        reason = " ".join(part.rstrip(".") + "." for part in map(tr, dict.fromkeys((self._note, *report.notes))) if part)
        self._show(DeviceView(report.device, "", report.milliseconds, reason, self._tooltip(), bool(reason)))

    # -- classes ---------------------------------------------------------------------------------------------------------

    def set_project(self, project: Project | None) -> None:
        """Follow another project: its catalog decides what the model's classes become."""
        self._project, self._chosen, self._tried_on = project, False, None
        if not self.begins_empty:
            self._settle()

    @property
    def begins_empty(self) -> bool:
        """Whether the project's images begin without a prediction, because the user said so and has chosen no model since."""
        return self._project is not None and not self._chosen and self._project.setting(BEGINS_EMPTY) is True

    def runs_unasked(self, image: OpenImage) -> bool:
        """Whether the model is to run on an image that has neither a prediction nor labels, once its classes are agreed on."""
        wanted = self.card is not None and self._settings["work.auto_predict"] and self._context["can_edit"]
        return bool(wanted) and not self.begins_empty and image.prediction is None and unset(image.document)

    @property
    def loading(self) -> bool:
        """Whether another model is on its way; until it is there, none runs unasked."""
        return bool(self._loading)

    @property
    def coming(self) -> Path | None:
        """The model that will be in use: the newest one on its way, else the one in use, else the one that the start loads."""
        return (self._asked_for if self._loading else self.path) or next(iter(self._first_ones()), None)

    def mapping(self, catalog: ClassCatalog | None = None) -> CatalogMapping | None:
        """How classes of the model (or of another catalog) become the project's."""
        project = self._project
        source = catalog or (self.card.catalog if self.card is not None else None)
        if project is None or source is None:
            return None
        return project_mapping(project, source, self.card.id if catalog is None and self.card is not None else None)

    def agreed(self) -> bool:
        """Whether every class of the model has a partner, or the user said that the others become void."""
        mapping = self.mapping()
        return mapping is None or not mapping.unmatched

    def ask_unless_agreed(self) -> bool:
        """Whether the model can run here; otherwise ask what becomes of its classes without a partner.

        The sample project asks nothing and takes its own model. While another model is being loaded nothing is asked: the
        question is about the model that comes, once it is there.
        """
        if self.agreed():
            return True
        if not self._loading and not self._take_own(always=self._project is not None and is_sample_project(self._project.folder)):
            self.mappingNeeded.emit()
        return False

    def _settle(self) -> None:
        """Take the model of the project instead of a bundled one for other images; ask if a question is left."""
        if not self._take_own(always=False) and self.ask_unless_agreed():
            self._tell_unsuited()

    def _tell_unsuited(self) -> None:
        """Say once per project that the model of the sample's rooms is weak on other images."""
        project = self._project
        if project is None or project.read_only or self._chosen or self.path != FIRST_MODEL or is_sample_project(project.folder):
            return
        if project.setting(CHOSEN_MODEL) is None and project.setting(_TOLD) is None:
            project.set_setting(_TOLD, True)
            self.unsuited.emit()

    def _take_own(self, *, always: bool) -> bool:
        """Load the model that the user chose for the project, or the bundled one for such images; True if it is on the way.

        Args:
            always: a bundled one also replaces a model of the user, which otherwise stays.
        """
        if self._project is None or self._chosen or self._loading:
            return False
        kept = self._project.setting(CHOSEN_MODEL)
        own = Path(kept) if isinstance(kept, str) and Path(kept).exists() else None
        if own is None and (always or self._uses_bundled):
            own = _model_for(self._project.folder, self._project.catalog)
        if own is None or own in (self.path, self._refused):
            return False
        self.load(own, chosen=False)
        return True

    def agree(self, overrides: dict[int, int | None]) -> None:
        """The user's choice for the model in use: its class id -> the project's, or None for void."""
        if self._project is None or self.card is None:
            return
        try:
            choose_classes(self._project, self.card.catalog, self.card.id, overrides)
        except AtrousError as error:
            self._notifier.report(error)
            return
        self.mappingChanged.emit()

    def remember_card(self) -> None:
        """Keep the model's classes with the project, so that its predictions can be read when another model is in use."""
        if self._project is None or self.card is None or self._project.read_only:
            return
        key = card_key(self.card.id)
        if self._project.setting(key) is None:
            self._project.set_setting(key, self.card.catalog.to_dict())

    def in_project_ids(self, prediction: Prediction) -> LabelMap | None:
        """(H, W) labels of a prediction in the project's ids; None where its classes are unknown or not agreed on."""
        if self._project is None:
            return None
        known = self.card.catalog if self.card is not None and self.card.id == prediction.card_id else None
        return in_project_ids(self._project, prediction, known)

    # -- what the compute process says -----------------------------------------------------------------------------------

    def _greet(self, hello: Hello) -> None:
        self.hello = hello
        if self.card is None and not self._loading:
            self._show(DeviceView(state=tr("no model"), tooltip=self._tooltip()))
        self.choicesChanged.emit()

    def _take(self, call: Call[Loaded], path: Path, answer: Loaded) -> None:
        self._loading.remove(call)
        self._untried = []
        if str(path) != self._settings["model.path"]:
            self._settings.set("model.threshold", 0.0)  # a threshold belongs to the model that it was chosen for
        self.card, self.path, self._note = answer.card, path, tr(answer.note)
        self._settings.set("model.path", str(path))
        self._show(DeviceView(answer.device, "", None, self._note, self._tooltip(), bool(answer.note)))
        self._context.update(model_ready=True)
        settles = not self.begins_empty and path != self._tried_on
        replaced = settles and self._take_own(always=False)  # before anything runs unasked with a model for other images
        self.cardChanged.emit(answer.card)
        self.choicesChanged.emit()
        if settles and not replaced and self.ask_unless_agreed():
            self._tell_unsuited()

    def _fail(self, call: Call[Loaded], path: Path, error: AtrousError) -> None:
        self._loading.remove(call)
        if self._untried:
            self.load(self._untried.pop(0), chosen=False)
            return
        self._show_unchanged()
        self._notifier.report(error, replace_key="model")
        self.choicesChanged.emit()
        self._refused = path  # it cannot be read: the model before stays, also in the sample
        self._go_on()

    def _drop(self, call: Call[Loaded]) -> None:
        self._loading.remove(call)
        self._show_unchanged()
        self._go_on()

    def _go_on(self) -> None:
        """The model before stays: ask or do with it what waited for the one that did not come."""
        if self.ask_unless_agreed() and self.card is not None and not self.loading:
            self.mappingChanged.emit()

    def _show_unchanged(self) -> None:
        """The model before stays, if there is one."""
        if self.card is None:
            self._show(DeviceView(state=tr("no model"), tooltip=self._tooltip()))
        else:
            self._show(DeviceView("", "", None, self._note, self._tooltip()))

    def _lose(self, error: AtrousError) -> None:
        """The compute process is back, but cannot load the model again that was in use."""
        self._context.update(model_ready=False)
        self._before_crash = DeviceView(state=tr("no model"), trouble=True, tooltip=error_sentences(error))
        self._show(self._before_crash)
        self._notifier.report(error, replace_key="model")

    def _say_crashed(self, reason: str) -> None:
        if not self.device.state:
            self._before_crash = self.device
        self._show(DeviceView(state=tr("restarting…"), reason="", tooltip=tr(reason), trouble=True))
        self._notifier.warning(
            tr("The model process ended"),
            tr("{reason} Your masks are safe; it is restarting.", reason=sentence(reason)),
            replace_key="compute",
        )

    def _say_restarted(self) -> None:
        waiting = DeviceView(state=tr("loading…") if self._loading else tr("no model"), tooltip=self._tooltip())
        self._show(self._before_crash if self.card is not None else waiting)
        self._notifier.info(tr("The model process is running again"), tr("It continues where it stopped."), replace_key="compute")

    def _say_unresponsive(self, what: str) -> None:
        if self._before_silence is None:
            self._before_silence = self.device
        self._show(DeviceView(state=tr("not responding"), trouble=True, tooltip=tr(what)))
        self._notifier.error(
            tr("The model process is not responding"),
            tr("{what} Your masks are safe. After a restart, the running computation starts over.", what=what),
            replace_key=_SILENT,
            choices=(Choice(tr("Wait"), lambda: None), Choice(tr("Restart"), self.restart)),
        )

    def _say_responsive(self) -> None:
        self._notifier.withdraw(_SILENT)
        before, self._before_silence = self._before_silence, None
        if before is not None:
            self._show(before)

    def _say_gave_up(self, reason: str) -> None:
        self._stopped = True
        self._show(DeviceView(state=tr("stopped"), reason=tr(reason), trouble=True, tooltip=tr(reason)))
        self._context.update(model_ready=False)
        self._notifier.error(
            tr("The model process keeps crashing"),
            tr("{reason} You can still correct and export.", reason=sentence(reason)),
            replace_key="compute",
            choices=(Choice(tr("Restart"), self.start),),
        )

    def _tooltip(self) -> str:
        if self.hello is None:
            return tr("The model process is starting.")
        versions = ", ".join(f"{name} {version}" for name, version in self.hello.versions.items())
        return "\n".join([versions, *(f"{name}: {text}" for name, text in self.hello.devices.items()), *self.hello.notes])

    def _show(self, view: DeviceView) -> None:
        self.device = view
        self.deviceChanged.emit(view)


def _tip(path: Path) -> str:
    """What the model knows, in one line, and where it lies."""
    note = note_of(path)
    return "\n".join(part for part in (note.summary, note.figures, str(path)) if part)


def _model_for(folder: Path, catalog: ClassCatalog) -> Path | None:
    """The bundled model for images: the sample's own, the one for photographs, or the one for streets, whichever has no class
    that the catalog lacks. None if there is no such file.
    """
    if is_sample_project(folder):
        return FIRST_MODEL if FIRST_MODEL.is_file() else None
    for name in _FOR_FOLDERS:
        path = BUNDLED_MODELS / name
        classes = note_of(path).classes if path.is_file() else ()
        if classes and all(catalog.by_name(info) is not None for info in classes):
            return path
    return None


def _first_choice(path: Path) -> tuple[bool, bool, bool]:
    """Sorts models for the first choice: the user's own before the bundled ones, weights before graphs of other engines."""
    return path.parent == BUNDLED_MODELS, path.suffix.lower() in ENGINE_SUFFIXES, path != FIRST_MODEL

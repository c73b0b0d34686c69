"""Getting published models: in the background, with progress, stop and resume; what came is tried and then offered."""

from __future__ import annotations

import threading
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.controllers.predict.models import ModelsController
from app.paths import CLICK_FOLDER, download_folder, model_folders
from app.services.jobs import Job, JobState
from app.services.notifications import Choice
from app.services.services import Services
from app.text import error_sentences, tr
from app.viewmodels.hub.published_models import FetchState, FetchView
from app.worker.messages import Inspected, InspectModel
from deeplab_core.errors import AtrousError, Cancelled, ComputeError
from deeplab_core.hub import (
    DownloadProgress,
    Installed,
    PublishedModel,
    click_networks,
    find_installed,
    find_on_hub,
    hub_address,
    install,
    published_models,
    write_published_card,
)

#: How often progress is shown.
_PROGRESS_HZ = 10


class FetchController(QObject):
    """Knows how every published model stands, and fetches them one at a time.

    Signals:
        changed(model id): it stands otherwise now; an empty id means all of them.
        clicksChosen(files): use the click network of these files.
        lookedUp(model id, why): a repository of the Hugging Face Hub is in the list now, or why it is not.
    """

    changed = Signal(str)
    clicksChosen = Signal(object)
    lookedUp = Signal(str, str)

    def __init__(self, services: Services, models: ModelsController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._models = models
        self._compute, self._jobs = services.compute, services.jobs
        self._notifier, self._settings = services.notifier, services.settings
        self._published = {model.id: model for model in (*published_models(), *click_networks())}
        self._looking = False
        self._views: dict[str, FetchView] = {}
        self._running: dict[str, Job] = {}
        self._progress: dict[str, DownloadProgress] = {}  # written by the download's thread
        self._clock = QTimer(self, interval=1000 // _PROGRESS_HZ)
        self._clock.timeout.connect(self._show_progress)
        services.settings.changed.connect(self._follow_setting)

    @property
    def folder(self) -> Path:
        """Where models are put."""
        return download_folder(self._settings["model.folder"])

    def folder_of(self, model: PublishedModel) -> Path:
        """Where the files of a model are put: click networks have a folder of their own."""
        return self.folder / CLICK_FOLDER if model.for_clicks else self.folder

    def published(self) -> tuple[PublishedModel, ...]:
        """What there is to get."""
        return tuple(self._published.values())

    def view(self, model_id: str) -> FetchView:
        """How a model stands."""
        return self._views.get(model_id) or self._view_of(self._published[model_id])

    def get(self, model_id: str) -> None:
        """Fetch a model, or go on with what an earlier try left."""
        model, view = self._published[model_id], self.view(model_id)
        if view.busy or view.state in (FetchState.CHECKING, FetchState.HERE) or not model.direct:
            return
        stop = threading.Event()
        job = Job(tr("Downloading {name}", name=model.name), lambda: self._let_go(model_id, stop), guards_close=True)
        self._running[model_id] = self._jobs.add(job)
        self._set(model_id, FetchView(FetchState.WAITING, view.done, view.total))
        folder = self.folder_of(model)
        self._clock.start()

        def report(progress: DownloadProgress) -> None:
            self._progress[model_id] = progress

        def work() -> Installed:
            if stop.is_set():
                raise Cancelled()
            report(DownloadProgress(view.done, view.total, "connecting"))
            return install(model, folder, cancel=stop.is_set, progress=report)

        self._jobs.run(
            work,
            lambda found: self._fetched(model, job, found),
            lambda error: self._failed(model, job, error),
            long=True,
        )

    def look_up(self, text: str) -> None:
        """Ask the Hugging Face Hub what ``hf://owner/name`` holds and under which licence; :attr:`lookedUp` follows."""
        if self._looking:
            return

        def find() -> PublishedModel:
            address = hub_address(text)
            assert address is not None, "the dialog asks for addresses only"
            return find_on_hub(address)

        def found(model: PublishedModel) -> None:
            self._looking = False
            self._published.setdefault(model.id, model)
            self.lookedUp.emit(model.id, "")

        def failed(error: Exception) -> None:
            self._looking = False
            if not isinstance(error, AtrousError):
                raise error
            self.lookedUp.emit("", error_sentences(error))

        self._looking = True
        self._jobs.run(find, found, failed)

    def stop(self, model_id: str) -> None:
        """Stop fetching; what came so far is kept."""
        if model_id in self._running:
            self._running[model_id].cancel()

    def use(self, model_id: str) -> None:
        """Load a model that is here."""
        path, model = self.view(model_id).path, self._published[model_id]
        if path is not None and model.for_clicks:
            self.clicksChosen.emit((path,) if model.decoder is None else (path, path.parent / model.decoder.file))
        elif path is not None:
            self._models.load(path)

    def refresh(self) -> None:
        """Look again at what is on the disk: the user may have copied a file there."""
        for model_id in [known for known, view in self._views.items() if known not in self._running]:
            if self._views[model_id].state not in (FetchState.CHECKING, FetchState.UNUSABLE):
                del self._views[model_id]
        self.changed.emit("")
        self._models.choicesChanged.emit()

    # -- what becomes of it ----------------------------------------------------------------------------------------------

    def _show_progress(self) -> None:
        """Show how far the download is; looked up by a timer, so that its last word is never lost."""
        if not self._running:
            self._clock.stop()
        for model_id, progress in tuple(self._progress.items()):
            job = self._running.get(model_id)
            if job is None:
                del self._progress[model_id]
                continue
            view = FetchView(FetchState.FETCHING, progress.done, progress.total, tr(progress.text))
            if view != self._views[model_id]:
                self._set(model_id, view)
                if progress.total:
                    job.progress(0, 1, tr(progress.text), progress.done / progress.total)

    def _let_go(self, model_id: str, stop: threading.Event) -> None:
        """The user stopped it; one that is still queued has nothing to clean up."""
        stop.set()
        if self._views[model_id].state is FetchState.WAITING:
            self._end_job(model_id, JobState.CANCELLED)
            self._set(model_id, self._view_of(self._published[model_id]))

    def _fetched(self, model: PublishedModel, job: Job, found: Installed) -> None:
        if self._running.get(model.id) is not job:
            return
        self._end_job(model.id, JobState.DONE)
        if model.for_clicks:
            self._offer(model, found.path)  # the first click tries it
            return
        self._set(model.id, FetchView(FetchState.CHECKING, text=tr("Testing it…"), path=found.path))
        self._compute.submit(InspectModel(path=str(found.path))).on(
            done=lambda answer: self._take_card(model.id, answer), failed=lambda error: self._take_failure(model.id, error)
        )
        self._models.choicesChanged.emit()

    def _failed(self, model: PublishedModel, job: Job, error: Exception) -> None:
        if self._running.get(model.id) is not job:
            return
        left = self._view_of(model)
        if isinstance(error, Cancelled):
            self._end_job(model.id, JobState.CANCELLED)
            self._set(model.id, left)
            return
        self._end_job(model.id, JobState.FAILED)
        if not isinstance(error, AtrousError):
            self._set(model.id, left)
            raise error
        self._set(model.id, FetchView(FetchState.FAILED, left.done, left.total, error_sentences(error)))
        self._notifier.report(error, replace_key="fetch", choices=(Choice(tr("Try again"), lambda: self.get(model.id)),))

    def _take_card(self, model_id: str, answer: Inspected) -> None:
        path = self._views[model_id].path if model_id in self._views else None
        if path is None:
            return
        model = self._published[model_id]
        try:
            write_published_card(path, answer.card, model)
        except AtrousError as error:
            self._notifier.report(error)
        self._offer(model, path)
        self._models.choicesChanged.emit()

    def _offer(self, model: PublishedModel, path: Path) -> None:
        """A model is here: say so, with a button to use it."""
        self._set(model.id, FetchView(FetchState.HERE, path=path))
        use = Choice(tr("Use model"), lambda: self.use(model.id))
        where = tr("The Clicks tool can use it.") if model.for_clicks else tr("It is in the model list.")
        self._notifier.info(tr("{title} downloaded", title=model.title), where, replace_key="fetch", choices=(use,))

    def _take_failure(self, model_id: str, error: AtrousError) -> None:
        if model_id not in self._views:
            return
        path = self._views[model_id].path
        if isinstance(error, ComputeError):  # it was not tried; that says nothing about the file
            self._set(model_id, FetchView(FetchState.HERE, path=path))
            return
        self._set(
            model_id,
            FetchView(FetchState.UNUSABLE, text=tr("The file is kept, but cannot be used: {error}", error=error), path=path),
        )
        self._notifier.report(error, replace_key="fetch")

    def _view_of(self, model: PublishedModel) -> FetchView:
        """State of a model on the disk."""
        folders = [self.folder, *model_folders(self._settings["model.folder"])]
        found = find_installed(model, [folder / CLICK_FOLDER for folder in folders] if model.for_clicks else folders)
        if found is not None:
            return FetchView(FetchState.HERE, path=found)
        part = self.folder_of(model) / model.folder / f"{model.file}.part"
        return FetchView(done=part.stat().st_size if part.is_file() else 0, total=model.download_bytes)

    def _follow_setting(self, key: str) -> None:
        if key == "model.folder":
            self.refresh()

    def _end_job(self, model_id: str, state: JobState) -> None:
        job = self._running.pop(model_id, None)
        self._progress.pop(model_id, None)
        if job is not None:
            job.finish(state)

    def _set(self, model_id: str, view: FetchView) -> None:
        self._views[model_id] = view
        self.changed.emit(model_id)

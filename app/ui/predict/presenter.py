"""The model dock, and the receptive field over the image."""

from __future__ import annotations

from PySide6.QtCore import QObject

from app.controllers.workspace import Program
from app.services.model_notes import card_text
from app.services.notifications import Choice
from app.state.image_record import ImageStatus
from app.text import tr
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.receptive_mark import ReceptiveMark
from app.ui.common.panel import set_primary
from app.ui.shell.main_window import MainWindow
from app.viewmodels.annotate.class_rows import class_name
from app.viewmodels.predict.model_options import guesses_text
from app.viewmodels.predict.model_view import card_texts, field_text
from deeplab_core.receptive import ReceptiveField

#: Commands that the buttons of the dock stand for.
_RUNS = ("model.run_image", "model.run_folder", "model.learn")


class ModelPresenter(QObject):
    """Shows the models and passes on what the user chooses."""

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._dock, self._commands, self._models = window.model, window.commands, program.models
        self._notifier, self._session, self._context = program.notifier, program.session, program.context
        self._done = window.top_bar.done_button
        models, dock = program.models, window.model
        models.choicesChanged.connect(self.show)
        models.cardChanged.connect(lambda _card: self.show())
        models.deviceChanged.connect(dock.show_device)
        models.unsuited.connect(self._offer_models)
        dock.modelChosen.connect(models.load)
        dock.settingsChosen.connect(models.set_run_settings)
        dock.thresholdChosen.connect(program.threshold.set)
        dock.runImageAsked.connect(program.predict.run_image)
        dock.runFolderAsked.connect(program.folder_run.run)
        program.context.changed.connect(self._enable_runs)
        program.session.recordChanged.connect(lambda _record: self._show_next_step())
        program.session.imageChanged.connect(lambda _image: self._show_next_step())
        self._enable_runs(frozenset())
        dock.show_device(models.device)
        self.show()

    def show(self) -> None:
        """Show the models as they are now."""
        models, dock = self._models, self._dock
        dock.show_models(models.choices(), models.path)
        dock.show_run_settings(models.run_settings, models.strides(), models.devices())
        dock.show_threshold(models.run_settings.threshold)
        card = models.card
        if card is not None:
            dock.show_card(*card_texts(card, models.path, card_text(card.summary)), guesses_text(card))

    def _offer_models(self) -> None:
        """The model in use was made for other images: say so, and where better ones are."""
        self._notifier.info(
            tr("{model} was made for rendered rooms", model=self._models.card.name if self._models.card else ""),
            tr("On photographs it is weak. Download a published model, or let it learn from your corrections."),
            replace_key="unsuited",
            choices=(Choice(tr("Get a model…"), self._commands["model.get"].trigger),),
        )

    def _enable_runs(self, _changed: frozenset[str]) -> None:
        image, folder, learn = (self._commands[name].isEnabled() for name in _RUNS)
        self._dock.set_runnable(image, folder, learn, self._commands.refusal("model.learn"))
        self._show_next_step()

    def _show_next_step(self) -> None:
        """One button is the primary one: to run the model, to apply a preview of the CRF (its panel says so), or to go on."""
        image, project = self._session.image, self._session.project
        new = image is not None and project is not None and project.record(image.id).status is ImageStatus.NEW
        run = new and not self._context["has_prediction"] and self._commands["model.run_image"].isEnabled()
        set_primary(self._dock.run_image, run)
        set_primary(self._done, not run and not self._context["crf_preview"])


class ReceptiveFieldPresenter(QObject):
    """Shows the receptive field under the pointer over the image."""

    def __init__(self, canvas: CanvasArea, program: Program) -> None:
        super().__init__(canvas)
        self._canvas, self._program = canvas, program
        self._shown: tuple[ReceptiveField | None, str] = None, ""
        program.receptive.changed.connect(self._show)
        canvas.hovered.connect(program.receptive.hover)

    def _show(self) -> None:
        receptive, card = self._program.receptive, self._program.models.card
        field = receptive.field
        if field is not None:
            text = field_text(field, "" if card is None else class_name(card.catalog, field.class_id))
        elif receptive.waiting:
            text = tr("Receptive field: computing…")
        elif receptive.on and not receptive.problem:
            text = tr("Receptive field: rest the pointer on a pixel of the image")
        else:
            text = ""
        if field is not self._shown[0] or text != self._shown[1]:
            self._shown = field, text
            self._canvas.set_mark(ReceptiveMark(field, text) if text else None)
        if receptive.problem:
            self._program.notifier.warning(tr("No receptive field"), receptive.problem, replace_key="receptive")

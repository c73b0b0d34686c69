"""The model dock: models, how they run, and the device."""

from __future__ import annotations

from PySide6.QtCore import QObject

from app.controllers.workspace import Program
from app.text import tr
from app.ui.shell.main_window import MainWindow
from app.viewmodels.predict.model_options import guesses_text

#: Commands that the buttons of the dock stand for.
_RUNS = ("model.run_image", "model.run_folder", "model.learn")


class ModelPresenter(QObject):
    """Shows the models and passes on what the user chooses."""

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._dock, self._commands, self._models = window.model, window.commands, program.models
        models, dock = program.models, window.model
        models.choicesChanged.connect(self.show)
        models.cardChanged.connect(lambda _card: self.show())
        models.deviceChanged.connect(dock.show_device)
        dock.modelChosen.connect(models.load)
        dock.settingsChosen.connect(models.set_run_settings)
        dock.thresholdChosen.connect(program.threshold.set)
        dock.runImageAsked.connect(program.predict.run_image)
        dock.runFolderAsked.connect(program.predict.run_folder)
        program.context.changed.connect(self._enable_runs)
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
            summary = card.summary or tr(
                "{title}, stride {output_stride}", title=card.catalog.title, output_stride=card.output_stride
            )
            parts = (
                card.catalog.title,
                card.source,
                tr("Licence: {licence}", licence=card.licence) if card.licence else "",
                str(models.path or ""),
            )
            dock.show_card(summary, "\n".join(part for part in parts if part), guesses_text(card))

    def _enable_runs(self, _changed: frozenset[str]) -> None:
        self._dock.set_runnable(*(self._commands[name].isEnabled() for name in _RUNS))

"""Carries what the controllers say into the widgets, and the user's actions in the docks back to the controllers."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QMenu

from app.controllers.evaluate.live import ImageFigures
from app.controllers.predict.image import Suggestion
from app.controllers.refine.preview import Phase
from app.controllers.workspace import Program
from app.services.session import OpenImage
from app.state.tools import BandMode
from app.text import mark, sentence, spaced, tr
from app.ui.adapt.presenter import LearnPresenter
from app.ui.annotate.presenter import ClassesPresenter, CopyPresenter
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.layers import LayerSet, PictureSource
from app.ui.common.fitted_dialog import bring_into_screen
from app.ui.compare.presenter import ComparePresenter
from app.ui.evaluate.presenter import EvaluationPresenter
from app.ui.predict.presenter import ModelPresenter, ReceptiveFieldPresenter
from app.ui.project.data_presenter import DataPresenter
from app.ui.project.early_picture import EarlyPicture
from app.ui.project.image_list_model import ImageListModel
from app.ui.project.labels_presenter import LabelsPresenter
from app.ui.project.presenter import ImagesPresenter
from app.ui.project.review_presenter import ReviewPresenter
from app.ui.refine.presenter import CRFPresenter
from app.ui.shell.main_window import MainWindow
from app.viewmodels.annotate.panes import PaneKind, pane_captions, preview_captions
from deeplab_core.metrics.confusion import same_classes

if TYPE_CHECKING:
    from app.ui.annotate.adjust_dialog import AdjustDialog


class WindowPresenter(QObject):
    """The wires between a window and a program."""

    def __init__(self, window: MainWindow, program: Program, images: ImageListModel) -> None:
        super().__init__(window)
        self.window, self.program = window, program
        self.canvas = CanvasArea(program.view, program.edit, program=program)
        self.canvas.set_theme(window.theme)
        self._picture: PictureSource | None = None
        self._pictured: OpenImage | None = None
        self._still: EarlyPicture | None = None
        self._figures: ImageFigures | None = None
        self._in_band: float | None = None
        self.adjust_dialog: AdjustDialog | None = None
        self.images = ImagesPresenter(window, program, images)
        self.classes = ClassesPresenter(window, program)
        self.model = ModelPresenter(window, program)
        self._wire_picture()
        self._wire_banner()
        self._wire_bars()
        self.compare = ComparePresenter(self.window, self.program)
        self.receptive_field = ReceptiveFieldPresenter(self.canvas, self.program)
        self.crf = CRFPresenter(self.window, self.program)
        self.learn = LearnPresenter(self.window, self.program)
        self.inspect = EvaluationPresenter(self.window, self.program, self.canvas)
        self.truth = DataPresenter(self.window, self.program)
        self.labels = LabelsPresenter(self.window, self.program)
        self.reviews = ReviewPresenter(self.window, self.program, self.canvas)

    # -- the picture -----------------------------------------------------------------------------------------------------

    def _wire_picture(self) -> None:
        program, evaluation, dock = self.program, self.program.evaluation, self.window.trimap
        program.session.imageChanged.connect(self._show_image)
        program.session.predictionChanged.connect(lambda _image: self._show_layers())
        program.classes.changed.connect(self._follow_catalog)
        program.counts.changed.connect(self._show_captions)
        dock.show_band(evaluation.band)
        dock.bandChosen.connect(evaluation.set_band)
        dock.folderAsked.connect(program.folder_evaluation.start_if_needed)
        evaluation.bandChanged.connect(dock.show_band)
        evaluation.layersChanged.connect(self._show_layers)
        evaluation.figuresChanged.connect(self._show_figures)
        evaluation.bandFigures.connect(self._show_band_figures)
        program.view.panesChanged.connect(self._show_layers)
        program.view.adjustmentAsked.connect(self._ask_adjustment)
        program.refine.previewChanged.connect(self._show_layers)
        program.refine.statusChanged.connect(lambda _status: self._show_captions())
        program.compare.resultsChanged.connect(self._show_layers)
        program.changes.visitChanged.connect(self._show_layers)

    def _ask_adjustment(self) -> None:
        """Beside the picture, which shows the effect; asked again, the same dialog."""
        from app.ui.annotate.adjust_dialog import AdjustDialog

        if self.adjust_dialog is None:
            dialog = self.adjust_dialog = AdjustDialog(self.program.view, self.window)
            dialog.finished.connect(self._end_adjustment)
            dialog.fit()
            corner = self.window.classes.mapToGlobal(self.window.classes.rect().topRight())
            dialog.move(corner.x() - dialog.width(), corner.y())
            dialog.show()
            bring_into_screen(dialog)
        self.adjust_dialog.activateWindow()

    def _end_adjustment(self) -> None:
        self.adjust_dialog = None

    def _show_image(self, image: OpenImage | None) -> None:
        self._figures, self._in_band = None, None
        if image is None:
            if self.program.session.between_images and self.window.stack.currentWidget() is self.canvas:
                self._show_still()
            self._picture, self._pictured = None, None
            self.canvas.set_layers(None)
            return
        self._picture, self._pictured = PictureSource(image.rgb, image.levels), image
        height, width = image.document.shape
        self.program.view.set_image_size(width, height)
        self._show_layers()
        listed = self.inspect.in_front and self.program.inspect.fixing  # an error is fixed from the list, which stays
        self.window.show_canvas(self.canvas, front=not listed)
        if not listed and not self.window.focus.typing:
            self.window.focus.give_back()

    def _show_still(self) -> None:
        """A large image makes room for the next one: what it looked like stays until that comes."""
        still = self.canvas.grab().toImage()
        if self._still is None:
            self._still = EarlyPicture(still, self.window.theme)
        self._still.show_picture(still, self.window.theme)
        self.window.show_instead(self._still)

    def _follow_catalog(self) -> None:
        image, catalog = self.program.session.image, self.program.classes.catalog
        if image is not None and catalog is not None and same_classes(catalog, image.document.catalog):
            self._show_layers()

    def _show_layers(self) -> None:
        image, project = self.program.session.image, self.program.session.project
        if image is None or project is None or self._picture is None or self._pictured is not image:
            return  # a kept prediction is signalled before the image itself: all is shown when that comes
        evaluation = self.program.evaluation
        prediction = image.prediction
        fits = prediction is not None and prediction.confidence.shape == image.document.shape
        limited = self.program.tools.band is not BandMode.OFF
        band = evaluation.band_map() if limited or self.program.view.shows(PaneKind.BAND) else None
        self.canvas.set_layers(
            LayerSet(
                picture=self._picture,
                catalog=project.catalog,
                labels=image.document.labels,
                prediction=image.document.reference,
                truth=None if evaluation.live is None else evaluation.live.scored,
                confidence=prediction.confidence if fits and prediction is not None else None,
                band=band,
                band_width=evaluation.band.width_px,
                band_limits=limited,
                refined=self.program.refine.shown,
                models=self.program.changes.labels or self.program.compare.labels,
                pair=(0, 1) if self.program.changes.labels else self.program.compare.pair,
            )
        )
        self._show_captions()

    def _show_captions(self) -> None:
        image, evaluation = self.program.session.image, self.program.evaluation
        if image is None:
            return
        share, figures, refine = self.program.counts.by_hand, self._figures, self.program.refine
        captions = pane_captions(
            band_width=evaluation.band.width_px,
            around_mask=evaluation.live is None or evaluation.band.around != "truth",
            in_band=self._in_band,
            by_hand=share,
            accuracy=None if figures is None or isnan(figures.mean) else figures.accuracy,
            predicted=image.prediction is not None,
        )
        if refine.on and refine.status.phase in _CRF_TEXTS:
            captions[PaneKind.MASK] = tr(_CRF_TEXTS[refine.status.phase])
        captions |= preview_captions(refine.status.changed, exact=refine.status.phase is Phase.EXACT)
        self.canvas.set_captions(captions | self.program.compare.captions() | self.program.changes.captions())
        self.window.history.set_changed_share(share)

    # -- banner ----------------------------------------------------------------------------------------------------------

    def _wire_banner(self) -> None:
        self.program.session.projectChanged.connect(lambda _project: self._show_banner())
        self.program.predict.suggestionChanged.connect(lambda _suggestion: self._show_banner())
        self.program.context.changed.connect(lambda changed: self._show_banner() if "to_check" in changed else None)

    def _show_banner(self) -> None:
        project, suggestion = self.program.session.project, self.program.predict.suggestion
        if project is not None and project.read_only_reason:
            self.window.banner.say(tr("Read-only. {reason}", reason=sentence(project.read_only_reason)))
        elif self.program.context["to_check"]:
            self.window.banner.say(tr(_CHECK_TEXT), (tr("Confirm mask"), self.program.projects.accept_change))
        elif suggestion is not None:
            predict = self.program.predict
            keep = tr("Keep current mask"), predict.dismiss_suggestion
            self.window.banner.say(_suggestion_text(suggestion), (tr("Apply"), predict.accept_suggestion), keep)
        else:
            self.window.banner.say("")

    def _show_figures(self, figures: ImageFigures | None) -> None:
        self._figures = figures
        self._show_captions()

    def _show_band_figures(self, inside: float | None, outside: float | None) -> None:
        self._in_band = inside
        self.window.trimap.show_figure(inside, outside)
        self._show_captions()

    # -- bars ------------------------------------------------------------------------------------------------------------

    def _wire_bars(self) -> None:
        program, window = self.program, self.window
        window.top_bar.diameterChosen.connect(program.tools.set_diameter)
        program.tools.changed.connect(self._show_diameter)
        self._show_diameter()
        program.tools.changed.connect(self._show_modes)
        program.evaluation.bandChanged.connect(lambda _band: self._show_modes())
        self._show_modes()
        self.copy = CopyPresenter(window, program)
        self.canvas.hovered.connect(program.part_copies.point_at)
        program.settings.changed.connect(self._follow_setting)
        for key in (_PEN_PRESSURE, _REDUCE_MOTION):
            self._follow_setting(key)
        self.canvas.hovered.connect(program.readout.hover)
        self.canvas.hovered.connect(program.ambiguous.hover)
        self.canvas.hovered.connect(program.copies.hover)
        self.canvas.hovered.connect(program.modes.hover)
        program.readout.changed.connect(window.status.show_readout)
        program.jobs.changed.connect(self._show_jobs)
        window.status.cancelAsked.connect(lambda job: job.cancel())
        window.themed.connect(self.canvas.set_theme)
        self.canvas.pressed.connect(window.toasts.make_room)
        self.canvas.menuAsked.connect(self._show_menu)
        window.status.messagesAsked.connect(window.commands["help.messages"].trigger)
        program.notifier.changed.connect(lambda: window.status.show_messages(len(program.notifier.messages)))
        window.heldKey.connect(lambda _action, down: program.view.hold_blink(down))

    def _show_menu(self, commands: Sequence[str]) -> None:
        """The menu of a tool, at the pointer."""
        menu = QMenu(self.canvas)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions([self.window.commands[command] for command in commands])
        menu.popup(QCursor.pos())

    def _show_diameter(self) -> None:
        self.window.top_bar.show_diameter(self.program.tools.diameter)

    def _show_modes(self) -> None:
        layers = self.canvas.layers
        if layers is not None and layers.band_limits is (self.program.tools.band is BandMode.OFF):
            self._show_layers()
        self.window.top_bar.show_modes(self.program.modes.over_text(), self.program.evaluation.band.width_px)

    def _follow_setting(self, key: str) -> None:
        if key == _PEN_PRESSURE:
            self.canvas.set_pen_pressure(self.program.settings[key])
        elif key == _REDUCE_MOTION:
            self.window.toasts.reduce_motion = self.program.settings[key]
            self.canvas.set_motion(not self.program.settings[key])

    def _show_jobs(self) -> None:
        running = self.program.jobs.running
        shown = next((job for job in running if job.guards_close), running[0] if running else None)
        self.window.status.show_job(shown, max(len(running) - 1, 0))


#: Said in the picture, because the CRF panel may lie behind another one.
_CRF_TEXTS = {Phase.WAITING: mark("CRF preview is computing…"), Phase.NO_SCORES: mark("no CRF preview: run the model first")}
_PEN_PRESSURE, _REDUCE_MOTION = "canvas.pen_pressure", "appearance.reduce_motion"
_CHECK_TEXT = mark("The image file or its mask file has changed. Check whether the mask still fits.")


def _suggestion_text(suggestion: Suggestion) -> str:
    changes = spaced(suggestion.merge.patch.changed_pixels)
    what = tr("A CRF result is available.") if suggestion.refined else tr("A newer prediction is available.")
    if not suggestion.conflicts:
        return tr("{what} Applying it changes {changes} px; your own pixels are kept.", what=what, changes=changes)
    return tr(
        "{what} Applying it changes {changes} px; your own pixels are kept ({conflicts} px differ).",
        what=what,
        changes=changes,
        conflicts=spaced(suggestion.conflicts),
    )

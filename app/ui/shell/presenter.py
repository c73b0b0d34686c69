"""Carries what the controllers say into the widgets, and what a person does in the docks back to the controllers."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
from PySide6.QtCore import QObject
from PySide6.QtGui import QColor, QImage

from app.controllers.evaluate.live import Figures
from app.controllers.predict.image import Suggestion
from app.controllers.project.open_image import OpenImage
from app.controllers.project.unreadable import Unreadable
from app.controllers.refine.preview import Phase
from app.controllers.workspace import Program
from app.state.image_record import ImageRecord, twins
from app.state.image_scores import ImageScore
from app.state.judgement import folder_mean_text
from app.state.project import Project
from app.text import counted, displayed, spaced
from app.ui.adapt.presenter import LearnBinding
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.layers import LayerSet
from app.ui.canvas.picture import PictureSource
from app.ui.compare.presenter import CompareBinding
from app.ui.evaluate.presenter import InspectBinding
from app.ui.project.data_presenter import TruthBinding
from app.ui.project.image_list_model import ImageListModel, SortBy
from app.ui.project.unreadable_page import UnreadablePage
from app.ui.refine.presenter import CRFBinding
from app.ui.shell.main_window import MainWindow
from app.viewmodels.annotate.class_rows import ClassRow, arranged
from app.viewmodels.annotate.panes import PaneKind
from app.viewmodels.predict.model_options import guesses_text
from app.viewmodels.project.image_list import ImageRow
from deeplab_core.metrics.confusion import same_classes


class Binding(QObject):
    """The wires between a window and a program."""

    def __init__(self, window: MainWindow, program: Program, images: ImageListModel) -> None:
        super().__init__(window)
        self.window, self.program, self.model = window, program, images
        self.canvas = CanvasArea(program.view, program.edit)
        self.canvas.set_theme(window.theme)
        self._picture: PictureSource | None = None
        self._pictured: OpenImage | None = None
        self._figures: Figures | None = None
        self._unreadable: UnreadablePage | None = None
        self._order: list[int] = []
        self._arranged: frozenset[int] = frozenset()
        self._position: dict[int, int] = {}
        self._twins: frozenset[int] = frozenset()
        self._in_band: float | None = None
        images.modelReset.connect(lambda: program.projects.set_order(images.shown_ids()))
        self._wire_projects()
        self._wire_classes()
        self._wire_model()
        self._wire_judge()
        self._wire_bars()

    def thumbnail(self, row: ImageRow) -> QImage | None:
        """Thumbnail for a row of the list, or None while it is made."""
        project, record = self.program.projects.project, row.record
        if project is None or record.missing:
            return None
        return self.program.thumbnails.get(record.id, project.path_of(record), record.size, record.mtime_ns)

    # -- project and images ----------------------------------------------------------------------------------------------

    def _wire_projects(self) -> None:
        projects, window = self.program.projects, self.window
        projects.projectChanged.connect(self._show_project)
        projects.listChanged.connect(self._show_rows)
        projects.imageChanged.connect(self._show_image)
        projects.unreadableShown.connect(self._show_unreadable)
        projects.recordChanged.connect(self._show_record)
        projects.saveStateChanged.connect(window.status.show_save_state)
        self.program.file_notes.changed.connect(window.status.show_note)
        projects.opening.connect(window.start_page.show_busy)
        self.program.thumbnails.ready.connect(self.model.refresh)
        self.program.thumbnails.failed.connect(projects.unreadable.note)
        self.program.judge.folder.scored.connect(self._show_score)
        self.program.judge.truthFound.connect(lambda _index: self._show_rows())
        self.program.judge.folder.rescored.connect(self._show_rows)
        window.images.chosen.connect(projects.open_image)
        window.images.sortChosen.connect(lambda order: self.program.settings.set("images.sort", str(order)))
        window.images.arranged.connect(self._show_title)
        window.images.set_sort(SortBy(self.program.settings["images.sort"]))

    def _show_project(self, project: Project | None) -> None:
        self.program.thumbnails.clear()
        self._show_rows()
        window = self.window
        window.setWindowTitle("Atrous" if project is None else f"{displayed(project.folder.name)} — Atrous")
        window.start_page.show_recent(self.program.projects.recent.folders())
        if project is None:
            window.status.show_save_state(None)
            self.program.notifier.retire()
            window.start_page.show_busy("")
            window.show_start()
        elif not project.images:
            window.start_page.show_empty_folder(project.folder)
            window.show_start()
        elif self.program.projects.history is not None:
            history = self.program.projects.history
            window.history.set_group(history.group)
            if self.program.projects.image is None:
                window.start_page.show_busy(str(project.folder))  # its first image is still being read
            history.changed.connect(lambda: window.history.set_start(history.start.title if history.start else ""))
        self._show_banner()

    def _show_rows(self) -> None:
        project = self.program.projects.project
        self._twins = frozenset() if project is None else twins(project.images)
        rows = [] if project is None else [self._row(record, place) for place, record in enumerate(project.images)]
        self._position = {row.id: row.position for row in rows}
        self.model.set_rows(rows)
        image = self.program.projects.image
        self.window.images.show_current(None if image is None else image.id)
        self._show_title()

    def _row(self, record: ImageRecord, position: int) -> ImageRow:
        score = self.program.judge.folder.scores.get(record.id, _NO_SCORE)
        return ImageRow(
            record=record,
            position=position,
            iou=score.iou,
            uncertainty=score.uncertainty,
            classes=frozenset(name.lower() for name in score.classes),
            has_truth=self.program.judge.index.get(record.relative_path) is not None,
            has_twin=record.id in self._twins,
        )

    def _show_score(self, image: int) -> None:
        project = self.program.projects.project
        if project is not None:
            self._show_record(project.record(image))

    def _show_record(self, record: ImageRecord) -> None:
        if record.failed and self.program.projects.image is None:
            self.window.start_page.show_busy("")
        if record.id in self._position:
            self.model.update_row(self._row(record, self._position[record.id]))

    def _show_image(self, image: OpenImage | None) -> None:
        self.window.images.show_current(None if image is None else image.id)
        self._show_title()
        self._figures, self._in_band = None, None
        if image is None:
            self._picture, self._pictured = None, None
            self.canvas.set_layers(None)
            self._show_classes()
            return
        self._picture, self._pictured = PictureSource(image.rgb, image.levels), image
        height, width = image.document.shape
        self.program.view.set_image_size(width, height)
        self._show_layers()
        self.window.show_canvas(self.canvas)
        if not self.window.focus.typing:
            self.window.focus.give_back()
        self._arrange_classes(image)
        self._show_classes()

    def _show_unreadable(self, found: Unreadable) -> None:
        """Say in place of the picture why there is none."""
        if self._unreadable is None:
            self._unreadable = UnreadablePage(self.window.commands, self.window.theme)
            self._unreadable.retried.connect(self.program.projects.open_image)
        self._unreadable.show_image(found)
        self.window.show_instead(self._unreadable)
        self.window.images.show_current(found.id)
        place = self.model.row_of(found.id)
        where = f"{place + 1} of {self.model.rowCount()}" if place is not None else f"not among {self.model.rowCount()} shown"
        self.window.top_bar.show_title(found.name, where, "cannot be shown")

    def _show_title(self) -> None:
        image, project = self.program.projects.image, self.program.projects.project
        if image is None or project is None:
            self.window.top_bar.show_title("" if project is None else displayed(project.folder.name))
            return
        place = self.model.row_of(image.id)
        where = f"{place + 1} of {self.model.rowCount()}" if place is not None else f"not among {self.model.rowCount()} shown"
        name = project.record(image.id).shown
        self.window.top_bar.show_title(name, f"{image.info.width}×{image.info.height}", where)

    def _show_layers(self) -> None:
        image, project = self.program.projects.image, self.program.projects.project
        if image is None or project is None or self._picture is None or self._pictured is not image:
            return  # a kept prediction is told of before the image itself: all is shown when that comes
        judge = self.program.judge
        prediction = image.prediction
        fits = prediction is not None and prediction.confidence.shape == image.document.shape
        band = judge.band_index() if self.program.view.shows(PaneKind.BAND) else None
        self.canvas.set_layers(
            LayerSet(
                picture=self._picture,
                catalog=project.catalog,
                labels=image.document.labels,
                prediction=image.document.reference,
                truth=None if judge.judgement is None else judge.judgement.scored,
                confidence=prediction.confidence if fits and prediction is not None else None,
                band=band,
                band_width=judge.band.width_px,
                refined=self.program.refine.shown,
                models=self.program.compare.labels,
                pair=self.program.compare.pair,
            )
        )
        self._show_captions()

    def _show_captions(self) -> None:
        image, judge = self.program.projects.image, self.program.judge
        if image is None:
            return
        around = "" if judge.judgement is not None and judge.band.around == "truth" else " · around the mask"
        inside = "" if self._in_band is None else f" · mIoU {self._in_band:.2f}"
        captions = {PaneKind.BAND: f"{judge.band.width_px} px{around}{inside}"}
        share = self.program.counts.by_hand
        captions[PaneKind.MASK] = f"edited by hand {share:.1%}".replace("%", " %") if share else ""
        if self._figures is not None and not isnan(self._figures.mean):
            captions[PaneKind.ERRORS] = f"pixel accuracy {self._figures.accuracy:.1%}".replace("%", " %")
        if image.prediction is not None:
            captions[PaneKind.UNCERTAINTY] = "1 − confidence"
        status = self.program.refine.status
        if self.program.refine.on and status.phase in _CRF_TEXTS:
            captions[PaneKind.MASK] = _CRF_TEXTS[status.phase]
        if status.changed is not None:
            captions[PaneKind.CHANGES] = f"{spaced(status.changed)} px"
            captions[PaneKind.REFINED] = "not applied" if status.phase == "exact" else "not applied, quick look"
        self.canvas.set_captions(captions | self.program.compare.captions())
        self.window.history.set_changed_share(share)

    # -- classes ---------------------------------------------------------------------------------------------------------

    def _wire_classes(self) -> None:
        classes, dock, window_focus = self.program.classes, self.window.classes, self.window.focus
        classes.changed.connect(self._follow_catalog)
        dock.chosen.connect(classes.choose)
        dock.visibilityChosen.connect(classes.set_visible)
        dock.soloChosen.connect(classes.show_only)
        dock.keyChosen.connect(classes.assign_key)
        dock.keyReleased.connect(classes.release_key)
        dock.colorChosen.connect(lambda class_id, color: classes.recolor(class_id, _rgb(color)))
        dock.leftFinder.connect(window_focus.give_back)
        self.program.counts.changed.connect(self._show_counts)
        self.program.counts.counted.connect(self._follow_present)
        self.program.tools.changed.connect(self._follow_tools)
        self._follow_tools()

    def _follow_catalog(self) -> None:
        image, catalog = self.program.projects.image, self.program.classes.catalog
        if image is not None and catalog is not None and same_classes(catalog, image.document.catalog):
            self._arrange_classes(image)
            self._show_layers()
        self._show_classes()

    def _follow_tools(self) -> None:
        self.window.classes.show_current(self.program.tools.class_id)
        self._show_selected()
        self.window.top_bar.show_diameter(self.program.tools.diameter)

    def _show_selected(self) -> None:
        """The selected class in the top bar; nothing before there are classes."""
        catalog, selected = self.program.classes.catalog, self.program.tools.class_id
        chip = self.window.top_bar.class_chip
        if catalog is None or (selected != catalog.ignore and selected not in catalog.ids.tolist()):
            chip.show_class("", "", None)
        elif selected == catalog.ignore:
            chip.show_class(_VOID, "`", catalog.ignore_color)
        else:
            info = catalog.by_id(selected)
            key = next((key for key, class_id in self.program.classes.keys.items() if class_id == selected), "")
            chip.show_class(info.name, key, info.color)

    def _arrange_classes(self, image: OpenImage) -> None:
        """Classes of this image and its truth first; the order then stays while it is painted."""
        found = set(self.program.counts.present()) | self._truth_classes()
        self._arranged = frozenset(found)
        self._order = arranged(image.document.catalog, self._arranged)
        self.program.classes.arrange(self._arranged)

    def _follow_present(self) -> None:
        """Let classes that were found after the image came into view move up, once."""
        image = self.program.projects.image
        if image is not None and not {*self.program.counts.present(), *self._truth_classes()} <= self._arranged:
            self._arrange_classes(image)
            self._show_classes()

    def _truth_classes(self) -> set[int]:
        judgement = self.program.judge.judgement
        if judgement is None:
            return set()
        return set(judgement.document.catalog.ids[np.flatnonzero(judgement.matrix.truth_pixels())].tolist())

    def _show_counts(self) -> None:
        self._show_classes()
        self._show_captions()

    def _show_classes(self) -> None:
        catalog = self.program.classes.catalog
        image = self.program.projects.image
        if catalog is None:
            self.window.classes.set_rows([])
            self._show_selected()
            self.window.classes.set_mean(None, None, self._folder_text())
            return
        shares = self.program.counts.shares()
        keys = {class_id: key for key, class_id in self.program.classes.keys.items()}
        hidden = self.program.view.overlay.hidden
        known = {*catalog.ids.tolist(), catalog.ignore}
        order = [class_id for class_id in self._order if class_id in known] if image is not None else []
        rows = []
        in_truth = self._truth_classes()
        for class_id in order or arranged(catalog, frozenset()):
            row = ClassRow(catalog.ignore, _VOID, catalog.ignore_color, "`")
            if class_id != catalog.ignore:
                info = catalog.by_id(class_id)
                row = ClassRow(class_id, info.name, info.color, keys.get(class_id, ""), visible=class_id not in hidden)
                row = replace(row, fixed_key=row.key in self.program.classes.assigned)
            share = shares.get(class_id, 0.0)
            iou, before = self._iou(class_id)
            delta = iou - before if iou is not None and before is not None else None
            present = share > 0 or class_id in in_truth or iou is not None
            rows.append(replace(row, share=share, iou=iou, delta=delta, present=present))
        self.window.classes.set_rows(rows)
        self._show_selected()
        figures = self._figures
        if figures is None or isnan(figures.mean):
            # Classes in the ground truth and no figure: nothing is labelled yet.
            blank = "Image: not measured, nothing is labelled yet." if figures is not None and figures.classes else ""
            self.window.classes.set_mean(None, None, f"{blank} {self._folder_text()}".strip())
        else:
            delta = None if isnan(figures.mean_before) else figures.mean - figures.mean_before
            over = counted(figures.classes, "class", "classes")
            rule = f"Image: mIoU over the {over} of its ground truth, pixel accuracy {figures.accuracy:.3f}."
            self.window.classes.set_mean(figures.mean, delta, f"{rule} {self._folder_text()}".rstrip())

    def _folder_text(self) -> str:
        """The folder's pooled figures with their rule; empty before it was judged."""
        folder = self.program.judge.folder
        pooled = folder.pooled
        if pooled is None:
            return ""
        pixels = f"pixel accuracy {pooled.pixel_accuracy():.3f}"
        return f"Folder: mIoU {folder_mean_text(pooled)}, {pixels}, {counted(folder.images, 'image')}."

    def _iou(self, class_id: int) -> tuple[float | None, float | None]:
        if self._figures is None:
            return None, None
        now, before = self._figures.iou.get(class_id, np.nan), self._figures.before.get(class_id, np.nan)
        return (None if isnan(now) else now), (None if isnan(before) else before)

    # -- model -----------------------------------------------------------------------------------------------------------

    def _wire_model(self) -> None:
        models, dock, predict = self.program.models, self.window.model, self.program.predict
        models.choicesChanged.connect(self._show_models)
        models.cardChanged.connect(lambda _card: self._show_models())
        models.deviceChanged.connect(dock.show_device)
        dock.modelChosen.connect(models.load)
        dock.settingsChosen.connect(models.set_run_settings)
        dock.thresholdChosen.connect(self.program.threshold.set)
        dock.runImageAsked.connect(predict.run_image)
        dock.runFolderAsked.connect(predict.run_folder)
        self.program.projects.predictionChanged.connect(self._follow_prediction)
        predict.suggestionChanged.connect(lambda _suggestion: self._show_banner())
        self._enable_runs(frozenset())
        self.program.facts.changed.connect(self._enable_runs)
        self.program.facts.changed.connect(lambda changed: self._show_banner() if "to_check" in changed else None)
        dock.show_device(models.device)
        self._show_models()

    def _show_models(self) -> None:
        models, dock = self.program.models, self.window.model
        dock.show_models(models.choices(), models.path)
        dock.show_run_settings(models.run_settings, models.strides(), models.devices())
        dock.show_threshold(models.run_settings.threshold)
        card = models.card
        if card is not None:
            summary = card.summary or f"{card.catalog.title}, stride {card.output_stride}"
            facts = (card.catalog.title, card.source, f"Licence: {card.licence}" if card.licence else "", str(models.path or ""))
            dock.show_card(summary, "\n".join(part for part in facts if part), guesses_text(card))

    def _enable_runs(self, _changed: frozenset[str]) -> None:
        actions = self.window.commands
        self.window.model.set_runnable(
            *(actions[name].isEnabled() for name in ("model.run_image", "model.run_folder", "model.learn"))
        )

    def _follow_prediction(self, image: OpenImage) -> None:
        self._arrange_classes(image)
        self._show_layers()
        self._show_classes()

    def _show_banner(self) -> None:
        project, suggestion = self.program.projects.project, self.program.predict.suggestion
        if project is not None and project.read_only_reason:
            self.window.banner.say(f"Read-only. {project.read_only_reason.rstrip('.')}.")
        elif self.program.facts["to_check"]:
            self.window.banner.say(_CHECK_TEXT, ("The mask fits", self.program.projects.accept_change))
        elif suggestion is not None:
            predict = self.program.predict
            keep = "Keep current mask", predict.dismiss_suggestion
            self.window.banner.say(_suggestion_text(suggestion), ("Apply", predict.accept_suggestion), keep)
        else:
            self.window.banner.say("")

    # -- judging ---------------------------------------------------------------------------------------------------------

    def _wire_judge(self) -> None:
        judge, dock = self.program.judge, self.window.trimap
        dock.show_band(judge.band)
        dock.bandChosen.connect(judge.set_band)
        judge.bandChanged.connect(dock.show_band)
        judge.layersChanged.connect(self._show_layers)
        judge.figuresChanged.connect(self._show_figures)
        judge.folder.changed.connect(self._show_classes)
        judge.bandFigures.connect(self._show_band_figures)
        self.program.view.panesChanged.connect(self._show_layers)
        self.program.refine.previewChanged.connect(self._show_layers)
        self.program.refine.statusChanged.connect(lambda _status: self._show_captions())
        self.program.compare.resultsChanged.connect(self._show_layers)
        self.compare = CompareBinding(self.window, self.program, self.canvas)
        self.crf = CRFBinding(self.window, self.program)
        self.learn = LearnBinding(self.window, self.program)
        self.inspect = InspectBinding(self.window, self.program, self.canvas)
        self.truth = TruthBinding(self.window, self.program)

    def _show_figures(self, figures: Figures | None) -> None:
        self._figures = figures
        # The truth is read after the image is shown, and may be read again: its classes move up once.
        if not self._truth_classes() <= self._arranged:
            self._follow_present()
        self._show_classes()
        self._show_captions()

    def _show_band_figures(self, inside: float | None, outside: float | None) -> None:
        self._in_band = inside
        self.window.trimap.show_figure(inside, outside)
        self._show_captions()

    # -- bars ------------------------------------------------------------------------------------------------------------

    def _wire_bars(self) -> None:
        program, window = self.program, self.window
        window.top_bar.diameterChosen.connect(program.tools.set_diameter)
        program.settings.changed.connect(self._follow_setting)
        self._follow_setting(_PEN_PRESSURE)
        self.canvas.hovered.connect(program.readout.hover)
        self.canvas.hovered.connect(program.ambiguous.hover)
        program.readout.changed.connect(window.status.show_readout)
        program.jobs.changed.connect(self._show_jobs)
        window.status.cancelAsked.connect(lambda job: job.cancel())
        window.themed.connect(self.canvas.set_theme)
        self.canvas.pressed.connect(window.toasts.make_room)
        window.status.messagesAsked.connect(window.commands["help.messages"].trigger)
        program.notifier.changed.connect(lambda: window.status.show_messages(len(program.notifier.messages)))
        window.heldKey.connect(lambda _action, down: program.look.blink(down))

    def _follow_setting(self, key: str) -> None:
        if key == _PEN_PRESSURE:
            self.canvas.set_pen_pressure(self.program.settings[key])

    def _show_jobs(self) -> None:
        running = self.program.jobs.running
        shown = next((job for job in running if job.guards_close), running[0] if running else None)
        self.window.status.show_job(shown, max(len(running) - 1, 0))


_NO_SCORE = ImageScore()
#: Said in the picture, because the CRF panel may lie behind another one.
_CRF_TEXTS = {Phase.WAITING: "CRF preview is computing…", Phase.NO_SCORES: "no CRF preview: run the model first"}
_VOID = "void (unlabelled)"
_PEN_PRESSURE = "canvas.pen_pressure"
_CHECK_TEXT = "The file of this image, or of its mask, is not what it was. Look whether the mask still fits."


def _suggestion_text(suggestion: Suggestion) -> str:
    changes = spaced(suggestion.merge.patch.changed_pixels)
    what = "A result of the CRF waits." if suggestion.refined else "A newer prediction waits."
    text = f"{what} Applying it changes {changes} px and none that you set"
    if suggestion.conflicts:
        text += f"; it disagrees with {spaced(suggestion.conflicts)} px of yours"
    return text + "."


def _rgb(color: QColor) -> tuple[int, int, int]:
    return color.red(), color.green(), color.blue()

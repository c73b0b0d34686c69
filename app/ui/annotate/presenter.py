"""The classes: their dock and the selected one in the top bar, from what is counted and measured."""

from __future__ import annotations

from math import isnan

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog

from app.controllers.evaluate.live import ImageFigures
from app.controllers.workspace import Program
from app.services.session import OpenImage
from app.state.live_evaluation import folder_mean_text
from app.state.tools import CopyFrom
from app.text import mark, plural, share_text, tr
from app.ui.shell.main_window import MainWindow
from app.viewmodels.annotate.class_rows import VOID_NAME, ClassFigures, arranged, class_rows, mean_text
from deeplab_core.metrics.confusion import same_classes


class ClassesPresenter(QObject):
    """Shows the classes of the image in view, and passes on what the user does with them."""

    _asked = Signal()

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._dock, self._chip, self._program = window.classes, window.top_bar.class_chip, program
        self._figures: ImageFigures | None = None
        self._waiting = False
        self._asked.connect(self.show, Qt.ConnectionType.QueuedConnection)
        self._order: list[int] = []
        self._arranged: frozenset[int] = frozenset()
        self._over: frozenset[int] = frozenset()
        classes, dock = program.classes, window.classes
        dock.chosen.connect(classes.choose)
        dock.visibilityChosen.connect(classes.set_visible)
        dock.soloChosen.connect(classes.show_only)
        dock.lockChosen.connect(classes.set_locked)
        dock.overChosen.connect(program.modes.set_over)
        dock.keyChosen.connect(classes.assign_key)
        dock.keyReleased.connect(classes.release_key)
        dock.colorAsked.connect(self.ask_color)
        dock.leftFinder.connect(window.focus.give_back)
        classes.changed.connect(self._follow_catalog)
        program.session.imageChanged.connect(self._follow_image)
        program.session.predictionChanged.connect(self._follow_prediction)
        program.evaluation.figuresChanged.connect(self._follow_figures)
        program.figures.changed.connect(self._show_soon)
        program.counts.changed.connect(self._show_soon)
        program.counts.counted.connect(self._follow_present)
        program.session.labelsCame.connect(self._follow_present)
        program.tools.changed.connect(self._follow_tools)
        self._follow_tools()

    def _show_soon(self) -> None:
        """Show the classes once this event is over, before the next paint: image, counts and figures come together."""
        if not self._waiting:
            self._waiting = True
            self._asked.emit()

    def show(self) -> None:
        """Show the classes as they are now."""
        self._waiting = False
        program, catalog = self._program, self._program.classes.shown
        if catalog is None:
            self._dock.set_rows([])
            self._show_selected()
            self._dock.set_mean(None, None, self._folder_text())
            return
        figures = self._figures
        measured = ClassFigures(
            shares=program.counts.shares(),
            in_truth=frozenset(self._truth_classes()),
            iou={} if figures is None else figures.iou,
            before={} if figures is None else figures.before,
        )
        rows = class_rows(
            catalog,
            self._order if program.session.image is not None else (),
            measured,
            keys=program.classes.keys,
            assigned=program.classes.assigned,
            hidden=program.view.overlay.hidden,
            locked=program.classes.locked,
            over=program.tools.over,
        )
        self._dock.set_rows(rows)
        self._show_selected()
        if figures is None:
            self._dock.set_mean(None, None, self._folder_text())
        else:
            text = f"{mean_text(figures.mean, figures.classes, figures.accuracy)} {self._folder_text()}".strip()
            delta = figures.mean - figures.mean_before
            self._dock.set_mean(None if isnan(figures.mean) else figures.mean, None if isnan(delta) else delta, text)

    def _folder_text(self) -> str:
        """The folder's pooled figures with their rule; empty before it is evaluated."""
        folder = self._program.figures
        pooled = folder.pooled
        if pooled is None:
            return ""
        return tr(
            "Folder: mIoU {mean}, pixel accuracy {accuracy}, {images}.",
            mean=folder_mean_text(pooled),
            accuracy=share_text(pooled.pixel_accuracy()).replace(" ", "\u00a0"),
            images=plural("{n} image", "{n} images", folder.images),
        )

    def _show_selected(self) -> None:
        """The selected class in the top bar; nothing before there are classes."""
        catalog, selected, chip = self._program.classes.shown, self._program.tools.class_id, self._chip
        if catalog is None or (selected != catalog.ignore and selected not in catalog.ids.tolist()):
            chip.show_class("", "", None)
        elif selected == catalog.ignore:
            chip.show_class(tr(VOID_NAME), "`", catalog.ignore_color)
        else:
            info = catalog.by_id(selected)
            key = next((key for key, class_id in self._program.classes.keys.items() if class_id == selected), "")
            chip.show_class(info.name, key, info.color, locked=selected in self._program.classes.locked)

    def ask_color(self, class_id: int) -> None:
        """Ask for another colour of a class, beginning with the catalog's own: the shown one may be clearer."""
        catalog = self._program.classes.catalog
        if catalog is None or class_id == catalog.ignore:
            return
        info = catalog.by_id(class_id)
        color = QColorDialog.getColor(QColor(*info.color), self._dock, tr("Colour of {name}", name=info.name))
        if color.isValid():
            self._program.classes.recolor(class_id, _rgb(color))

    # -- order -----------------------------------------------------------------------------------------------------------

    def _arrange(self, image: OpenImage) -> None:
        """Classes of this image and its truth first; the order then stays while it is painted."""
        self._arranged = frozenset({*self._program.counts.present(), *self._truth_classes()})
        self._order = arranged(image.document.catalog, self._arranged)
        self._program.classes.arrange(self._arranged)

    def _truth_classes(self) -> set[int]:
        live = self._program.figures.live
        if live is None:
            return set()
        return set(live.document.catalog.ids[np.flatnonzero(live.matrix.truth_pixels())].tolist())

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_image(self, image: OpenImage | None) -> None:
        self._figures = None
        if image is not None:
            self._arrange(image)
        else:  # an image that cannot be read is chosen: no class is in it, and the last one's are not its own
            self._arranged = frozenset()
            self._program.classes.arrange(self._arranged)
        self._show_soon()

    def _follow_prediction(self, image: OpenImage) -> None:
        self._arrange(image)
        self._show_soon()

    def _follow_catalog(self) -> None:
        image, catalog = self._program.session.image, self._program.classes.catalog
        if image is not None and catalog is not None and same_classes(catalog, image.document.catalog):
            self._arrange(image)
        self.show()

    def _follow_present(self) -> None:
        """Let classes that were found after the image came into view move up, once."""
        image = self._program.session.image
        if image is not None and not {*self._program.counts.present(), *self._truth_classes()} <= self._arranged:
            self._arrange(image)
            self.show()

    def _follow_figures(self, figures: ImageFigures | None) -> None:
        self._figures = figures
        # The truth is read after the image is shown, and may be read again: its classes move up once.
        if not self._truth_classes() <= self._arranged:
            self._follow_present()
        self._show_soon()

    def _follow_tools(self) -> None:
        if self._program.tools.over != self._over:
            self._over = self._program.tools.over
            self.show()
        self._dock.show_current(self._program.tools.class_id)
        self._show_selected()


#: Sources of copies in a narrow window.
_SHORT = {
    CopyFrom.PREDICTION: mark("Pred."), CopyFrom.MODEL: mark("Model"), CopyFrom.TRUTH: mark("Truth"),
    CopyFrom.PREVIOUS: mark("Prev."),
}  # fmt: skip


class CopyPresenter(QObject):
    """The source of the tool 'Copy from' in the top bar, and its menu."""

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._bar, self._copies = window.top_bar, program.part_copies
        self._region = window.commands["copy.region"]
        self._bar.copy_source.menu().setToolTipsVisible(True)
        self._bar.copy_source.menu().aboutToShow.connect(self.fill)
        program.tools.changed.connect(self._show)
        program.part_copies.changed.connect(self._show)
        program.session.imageChanged.connect(lambda _image: self._show())
        self._show()

    def fill(self) -> None:
        """List the sources as they are now; those that cannot be reached say why."""
        menu, chosen = self._bar.copy_source.menu(), self._copies.source
        menu.clear()
        for place, source in enumerate(self._copies.sources()):
            why = tr("it is being read") if source.coming else source.reason
            entry = menu.addAction(tr("{source} ({why})", source=source.title, why=why) if why else source.title)
            entry.setEnabled(source.labels is not None)
            entry.setCheckable(True)
            entry.setChecked(chosen is not None and (source.kind, source.title) == (chosen.kind, chosen.title))
            entry.triggered.connect(lambda _on=False, place=place: self._copies.choose_source(place))
        menu.addSeparator()
        menu.addAction(self._region)

    def _show(self) -> None:
        source = self._copies.source
        if self._copies.on and source is not None:
            self._bar.show_copy_source(source.title, tr(_SHORT[source.kind]))
        else:
            self._bar.show_copy_source()


def _rgb(color: QColor) -> tuple[int, int, int]:
    return color.red(), color.green(), color.blue()

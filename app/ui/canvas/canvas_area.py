"""The middle of the window: one to four linked panes over one image."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QStyle, QVBoxLayout, QWidget

from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.controllers.workspace import Program
from app.state.document import Change, Document
from app.state.opencv import opencv
from app.text import tr
from app.ui.canvas.canvas_view import CanvasView
from app.ui.canvas.colors import OverlayTables, overlay_tables
from app.ui.canvas.compose import Scene
from app.ui.canvas.error_outline import ErrorOutline
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.layers import LayerSet
from app.ui.canvas.note_marks import NoteMarks
from app.ui.canvas.presence import Presence
from app.ui.canvas.receptive_mark import ReceptiveMark
from app.ui.canvas.style import CanvasStyle
from app.ui.canvas.toolbox import ToolBox
from app.ui.shell.theme import Theme
from app.viewmodels.annotate.panes import PANE_TITLES, PaneKind, PaneLayout
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap

_GAP = 8
_PANES = 4
#: Share of the height that the large pane has over its two small ones.
_LARGE, _SMALL = 60, 40

#: From this many device px on a change is repainted in bands.
_BANDS_PAY = 60_000


class CanvasArea(QWidget):
    """Panes over the open image, linked in place and scale.

    The area draws what :meth:`set_layers` gave it and forwards every gesture to ``edit`` and ``view``; it measures nothing.

    Signals:
        hovered: (x, y) integer image px under the pointer, or (None, None).
        menuAsked: (command ids) a right click asks for a menu at the pointer.
    """

    pressed = Signal()
    menuAsked = Signal(object)
    hovered = Signal(object, object)

    def __init__(
        self,
        view: ViewState,
        edit: EditController,
        parent: QWidget | None = None,
        *,
        program: Program | None = None,
    ) -> None:
        super().__init__(parent)
        self._view = view
        self._edit = edit
        self._layers: LayerSet | None = None
        self._tables: OverlayTables | None = None
        self._captions: dict[PaneKind, str] = {}
        self._style = CanvasStyle.default()
        self._toolbox = ToolBox(edit, view, program, self)
        self._views = [CanvasView(index, view, edit.tools, self._toolbox, self._style, self) for index in range(_PANES)]
        self._holder: QWidget | None = None
        self._fitting = False
        self._presence = Presence()
        self._shown_layout: PaneLayout | None = None
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        for index, pane in enumerate(self._views):
            pane.hovered.connect(self.hovered)
            pane.pressed.connect(self.pressed)
            pane.pointed.connect(lambda x, y, source=index: self._link_cursor(source, x, y))
            pane.resized.connect(self._show_all)
            pane.kindChosen.connect(lambda kind, index=index: view.set_kind(index, kind))
            pane.chip.errorColorsChosen.connect(view.color_errors)
        self._document: Document | None = None
        edit.documentChanged.connect(self._follow)
        self._follow(edit.document)
        view.viewpointChanged.connect(self._show_all)
        view.panesChanged.connect(self._arrange)
        view.overlayChanged.connect(self._recolor)
        view.blinkChanged.connect(self._show_all)
        view.adjustmentChanged.connect(self._show_all)
        self._toolbox.marksChanged.connect(self._update_marks)
        self._toolbox.cursorChanged.connect(self._update_cursors)
        self._toolbox.menuAsked.connect(self.menuAsked)
        self._arrange()

    # -- what the window tells -------------------------------------------------------------------------------------------

    def set_motion(self, on: bool) -> None:
        """Let pictures fade into each other when a view blinks or shows a preview, as far as the system allows that."""
        moves = self.style().styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration) > 0
        for pane in self._views:
            pane.fade.on = on and moves

    def set_theme(self, theme: Theme) -> None:
        """Paint with another theme's colours."""
        self._style = CanvasStyle.of(theme)
        for pane in self._views:
            pane.set_style(self._style)
        self._show_all()

    def set_layers(self, layers: LayerSet | None) -> None:
        """Show another image, or other layers of the same one (a truth that was found, another band width); None shows none."""
        before, self._layers = self._layers, layers
        self._presence.keep(layers)
        if layers is None:
            self._tables = None
        elif before is None or before.catalog is not layers.catalog or self._tables is None:
            self._tables = overlay_tables(layers.catalog, self._view.overlay)
        if layers is not None and (before is None or before.picture is not layers.picture):
            self._view.set_image_size(*layers.picture.size)
        self._show_all()

    @property
    def layers(self) -> LayerSet | None:
        return self._layers

    def set_captions(self, captions: MappingOf[PaneKind, str]) -> None:
        """Figures beside the panes' titles, by kind, e.g. ``{PaneKind.BAND: "14 px \N{MIDDLE DOT} mIoU 0.58"}``."""
        self._captions = dict(captions)
        self._show_chips()

    def set_mark(self, mark: ReceptiveMark | None) -> None:
        """Lay a receptive field over the picture in every pane; None takes it away."""
        for pane in self._views:
            pane.set_mark(mark)

    def set_outline(self, outline: ErrorOutline | None) -> None:
        """Draw the outline of an error in every pane; None takes it away."""
        for pane in self._views:
            pane.set_outline(outline)

    def set_notes(self, notes: NoteMarks) -> None:
        """Mark the places of notes in every pane."""
        for pane in self._views:
            pane.set_notes(notes)

    def set_blink(self, kind: PaneKind | None) -> None:
        """Show a kind instead of the mask while a key is held; None ends it."""
        self._view.set_blink(kind)

    def set_pen_pressure(self, on: bool) -> None:
        """Whether a pen's pressure scales the brush."""
        for pane in self._views:
            pane.pen_pressure = on

    def abort(self) -> bool:
        """Esc: revert the current stroke or outline; whether there was one."""
        return self._toolbox.abort()

    @property
    def views(self) -> tuple[CanvasView, ...]:
        """The panes that are shown, first (large) one first."""
        return tuple(self._views[: self._view.layout.panes])

    # -- layout ----------------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        if self._shown_layout is not self._view.layout:
            self._shown_layout = self._view.layout
            old, self._holder = self._holder, None
            for pane in self._views:
                pane.setParent(self)
                pane.hide()
            if old is not None:
                self._box.removeWidget(old)
                old.deleteLater()
            self._holder = self._make_holder(self._view.layout)
            self._box.addWidget(self._holder)
            for pane in self.views:
                pane.show()
        self._show_all()

    def _make_holder(self, layout: PaneLayout) -> QWidget:
        first, second, third, fourth = self._views
        if layout is PaneLayout.DOUBLE:
            return self._splitter(Qt.Orientation.Horizontal, [first, second])
        if layout is PaneLayout.TRIPLE:
            below = self._splitter(Qt.Orientation.Horizontal, [second, third])
            return self._splitter(Qt.Orientation.Vertical, [first, below], (_LARGE, _SMALL))
        if layout is PaneLayout.QUAD:
            above = self._splitter(Qt.Orientation.Horizontal, [first, second])
            below = self._splitter(Qt.Orientation.Horizontal, [third, fourth])
            return self._splitter(Qt.Orientation.Vertical, [above, below])
        return self._splitter(Qt.Orientation.Horizontal, [first])

    def _splitter(self, orientation: Qt.Orientation, parts: list[QWidget], shares: tuple[int, ...] = (50, 50)) -> QSplitter:
        splitter = QSplitter(orientation)
        splitter.setHandleWidth(_GAP)
        splitter.setChildrenCollapsible(False)
        for part in parts:
            splitter.addWidget(part)
        # Sizes are shares of any total that is larger than the window.
        splitter.setSizes([share * 100 for share in shares[: len(parts)]])
        for index, share in enumerate(shares[: len(parts)]):
            splitter.setStretchFactor(index, share)
        return splitter

    # -- showing ---------------------------------------------------------------------------------------------------------

    def _show_all(self) -> None:
        if self._fitting:
            return
        layers, tables = self._layers, self._tables
        shown = self._view.panes
        if layers is None or tables is None:
            for pane, what in zip(self.views, shown, strict=True):
                pane.show_scene(None, what, None)
                pane.chip.hide()
            return
        image = layers.picture.size
        first_fit = self._views[0].fitting_scale(image)
        if first_fit != self._view.fit_scale:
            self._fitting = True  # telling it comes back here
            self._view.set_fit_scale(first_fit)
            self._fitting = False
        for index, (pane, what) in enumerate(zip(self.views, shown, strict=True)):
            scale = self._view.scale * pane.fitting_scale(image) / first_fit
            mapping = Mapping.centered(self._view.center, scale, pane.device_size(), image, pane.devicePixelRatioF())
            scene = Scene(mapping, layers, tables, self._view.overlay, self._presence, self._view.adjustment)
            pane.show_scene(scene, what, self._view.stand_in(index))
        self._show_chips()

    def _show_chips(self) -> None:
        for index, (pane, what) in enumerate(zip(self.views, self._view.panes, strict=True)):
            kind = self._view.stand_in(index) or what.kind
            title = None if what.other is None else f"{tr(PANE_TITLES[kind])} | {tr(PANE_TITLES[what.other])}"
            pane.chip.show_error_colors(self._view.overlay.error_colors)
            pane.chip.show_kind(kind, self._captions.get(kind, ""), title)
            pane.chip.setVisible(self._layers is not None)

    def _recolor(self) -> None:
        if self._layers is not None:
            self._tables = overlay_tables(self._layers.catalog, self._view.overlay)
        self._show_all()

    def _follow(self, document: Document | None) -> None:
        if self._document is not None:
            self._document.changed.disconnect(self._mark_changed)
        self._document = document
        if document is not None:
            document.changed.connect(self._mark_changed)

    def _mark_changed(self, change: Change) -> None:
        document = self._edit.document
        if document is not None:
            rects: list[Box] = []
            for rect, before in change.parts:
                shown = rect.area * self._view.scale**2
                rects += damaged_rects(rect, before, document.labels[rect.slices], banded=shown > _BANDS_PAY)
            self._presence.mark_changed(document.labels, rects)
            if len(rects) > 1 and change.rect.area * self._view.scale**2 < _BANDS_PAY:
                rects = [Box.around_all(rects)]
            for pane in self.views:
                pane.mark_changed(rects)

    def _link_cursor(self, source: int, x: float | None, y: float | None) -> None:
        for index, pane in enumerate(self.views):
            if index != source:
                pane.show_linked_cursor(x, y)

    def _update_marks(self) -> None:
        for pane in self.views:
            pane.update_marks()

    def _update_cursors(self) -> None:
        for pane in self.views:
            pane.update_cursor()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_all()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.update()


#: Rows that share one tight box. Lower bands fit a crescent closer, more of them cost more than they save.
_BAND = 40
#: Comparing more pixels than this takes longer than repainting a pane.
_WORTHWHILE = 1 << 20


def damaged_rects(rect: Box, before: LabelMap, after: LabelMap, *, banded: bool = True) -> list[Box]:
    """Boxes around the pixels of ``rect`` that differ; none if nothing does.

    Args:
        rect: in image px.
        before, after: (h, w) labels of the rectangle.
        banded: one box for every few rows; one box for all is found faster and repainted slower.
    """
    if rect.width * rect.height > _WORTHWHILE:
        return [rect]
    differs = (before != after).view(np.uint8)
    band = _BAND if banded else rect.height
    boxes = (_box(rect.x, rect.y + start, differs[start : start + band]) for start in range(0, rect.height, band))
    return [box for box in boxes if not box.empty]


def _box(x: int, y: int, mask: NDArray[np.uint8]) -> Box:
    """Smallest box around the set pixels of a mask with its corner at (x, y); empty if none is set."""
    left, top, width, height = opencv().boundingRect(mask)
    return Box(x + left, y + top, width, height)

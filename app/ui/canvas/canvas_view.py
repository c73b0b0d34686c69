"""One pane: paints its frame and the marks above it, turns mouse, pen and keys into verbs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPointingDevice,
    QResizeEvent,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from app.controllers.annotate.view import WHEEL_STEP, ViewState
from app.state.tools import ToolState
from app.text import tr
from app.ui.canvas.chip import PaneChip, draw_legend
from app.ui.canvas.compose import Scene
from app.ui.canvas.error_outline import ErrorOutline
from app.ui.canvas.frame import PaneFade, PanePixels, Section
from app.ui.canvas.geometry import Mapping, fit_scale
from app.ui.canvas.marks import TINY_RING, cross_rect, draw_cross, draw_divider, draw_ring, ring_rect
from app.ui.canvas.names import NameChips
from app.ui.canvas.note_marks import NoteMarks
from app.ui.canvas.receptive_mark import ReceptiveMark
from app.ui.canvas.style import CanvasStyle
from app.ui.canvas.toolbox import ToolBox
from app.ui.canvas.tools import Pointer
from app.viewmodels.annotate.panes import Pane, PaneKind
from deeplab_core.geometry import Box

_Mark = TypeVar("_Mark", QPointF, QRectF)

#: Qt's unit: a notch of a mouse wheel is 120 eighths of a degree; touchpads send fractions of it.
_NOTCH = 120.0
#: Opacity per notch.
_OPACITY_STEP = 0.05


class WheelActions:
    """Turns wheel events into verbs; fractions of a notch add up."""

    def __init__(self, view: ViewState, tools: ToolState, toolbox: ToolBox) -> None:
        self._view = view
        self._tools = tools
        self._toolbox = toolbox
        self._rest = 0.0

    def turn(self, event: QWheelEvent, pointer: Pointer) -> None:
        """Act on one event at the pointer's place."""
        # Alt turns the wheel sideways on some systems, Shift on others: the direction that moved counts.
        delta = event.angleDelta().y() or event.angleDelta().x()
        modifiers = event.modifiers()
        if self._toolbox.holds_wheel or (modifiers & Qt.KeyboardModifier.AltModifier and self._toolbox.turns):
            self._rest += delta / _NOTCH
            steps = int(self._rest)
            self._rest -= steps
            if steps:
                self._toolbox.turn(steps, pointer)
        elif modifiers & Qt.KeyboardModifier.ShiftModifier:
            self._rest += delta / _NOTCH
            steps = int(self._rest)
            self._rest -= steps
            if steps:
                self._tools.scale_diameter(steps)
        elif modifiers & Qt.KeyboardModifier.AltModifier:
            self._view.set_opacity(self._view.overlay.opacity + delta / _NOTCH * _OPACITY_STEP)
        elif delta:
            self._view.zoom_at(pointer.x, pointer.y, WHEEL_STEP ** (delta / _NOTCH))


#: A press this close (view px) to the split line grabs the line.
_GRAB = 8.0
_CHIP_AT = 8
#: Events after which no release of the button may come.
_INTERRUPTIONS = (QEvent.Type.UngrabMouse, QEvent.Type.WindowDeactivate)


class CanvasView(QWidget):
    """A pane of the canvas. The area hands it scenes; it owns no data and changes none.

    Signals:
        hovered: (x, y) integer image px under the pointer, or (None, None) outside the image.
        pointed: (x, y) float image px of the pointer, or (None, None) when it left: the other panes' linked cursor.
        resized: the pane has another size or another device pixel ratio.
        kindChosen: (PaneKind) chosen from the chip's menu.
        pressed: a button of mouse or pen went down on the picture.
    """

    pressed = Signal()
    hovered = Signal(object, object)
    pointed = Signal(object, object)
    resized = Signal()
    kindChosen = Signal(object)

    def __init__(
        self, index: int, view: ViewState, tools: ToolState, toolbox: ToolBox, style: CanvasStyle, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._index = index
        self._view = view
        self._tools = tools
        self._toolbox = toolbox
        self._style = style
        self._wheel = WheelActions(view, tools, toolbox)
        self._frame = PanePixels()
        self._scene: Scene | None = None
        self._pane = Pane(PaneKind.IMAGE)
        self._kind = PaneKind.IMAGE
        self._note: str | None = None
        self._mark: ReceptiveMark | None = None
        self._outline: ErrorOutline | None = None
        self._notes = NoteMarks(())
        self._on_note: int | None = None
        self._pointer: QPointF | None = None
        self._linked: QPointF | None = None
        self._split_held = False
        self._pen_down = False
        self.pen_pressure = False
        self.names = NameChips(self)
        self.names.changed.connect(self.update)
        self.fade = PaneFade(self)
        self.fade.stepped.connect(self.update)
        self._name_at: QRectF | None = None
        self.chip = PaneChip(style, self)
        self.chip.move(_CHIP_AT, _CHIP_AT)
        self.chip.kindChosen.connect(self.kindChosen)
        self.setMouseTracking(True)
        self.setTabletTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(80, 60)
        self.setAccessibleName(tr("Picture, view {index}", index=index + 1))

    # -- what the area tells ---------------------------------------------------------------------------------------------

    def set_style(self, style: CanvasStyle) -> None:
        self._style = style
        self.chip.set_style(style)
        self.update()

    def fitting_scale(self, image: tuple[int, int]) -> float:
        """Device px per image px at which an image of (width, height) fits this pane, on whole device px of it."""
        ratio = self.devicePixelRatioF()
        return fit_scale((max(int(self.width() * ratio), 1), max(int(self.height() * ratio), 1)), image)

    def device_size(self) -> tuple[int, int]:
        """(width, height) in device px that cover the pane. At a fractional ratio it may begin and end within one of them."""
        ratio = self.devicePixelRatioF()
        return max(math.ceil(self.width() * ratio), 1), max(math.ceil(self.height() * ratio), 1)

    def show_scene(self, scene: Scene | None, pane: Pane, blink: PaneKind | None) -> None:
        """Show a scene as a kind of pane; ``blink`` replaces the pane's own kind while it is not None."""
        kind, before = blink or pane.kind, self._scene
        if kind is not self._kind and scene is not None and before is not None and before.mapping == scene.mapping:
            self.fade.start(self._frame.view(self.devicePixelRatioF()))
        self._scene, self._pane, self._kind = scene, pane, kind
        self._note = scene.layers.missing(self._kind) if scene is not None else None
        width, height = self.device_size()
        sections = [Section(self._kind, 0, width)]
        if pane.other is not None:
            line = round(pane.split * width)
            sections = [Section(self._kind, 0, line), Section(pane.other, line, width)]
        self._frame.set_scene(scene, sections, QSize(width, height), self._style.backdrop)
        self.names.show_scene(scene, sections, self.chip.geometry())
        self._update_cursor()
        self.update()

    @property
    def mapping(self) -> Mapping | None:
        """Where the image lies; None without one."""
        return None if self._scene is None else self._scene.mapping

    def mark_changed(self, rects: Sequence[Box]) -> None:
        """Labels changed in rectangles of the image: repaint what shows them, once, at the next frame."""
        scene = self._scene
        if scene is None or all(kind in (PaneKind.IMAGE, None) for kind in (self._kind, self._pane.other)):
            return
        self.names.mark_changed()
        self.fade.stop()
        for rect in rects:
            device = scene.mapping.device_rect(rect, scene.reach)
            if not device.isEmpty():
                self._frame.invalidate(device)
                self.update(scene.mapping.view_rect(device))

    def show_linked_cursor(self, x: float | None, y: float | None) -> None:
        """Show where the pointer is in another pane; None hides it."""
        self._update_mark(self._linked, cross_rect)
        mapping = self.mapping
        self._linked = mapping.to_view(x, y) if mapping is not None and x is not None and y is not None else None
        self._update_mark(self._linked, cross_rect)

    def set_mark(self, mark: ReceptiveMark | None) -> None:
        """Lay a receptive field over the picture, or take it away."""
        if mark is not self._mark:
            self._mark = mark
            self.update()

    @property
    def outline(self) -> ErrorOutline | None:
        """The outline of an error that is drawn over the picture."""
        return self._outline

    def set_outline(self, outline: ErrorOutline | None) -> None:
        """Draw the outline of an error over the picture, or take it away."""
        if outline is not self._outline:
            self._outline = outline
            self.update()

    def set_notes(self, notes: NoteMarks) -> None:
        """Mark the places of notes over the picture."""
        self._notes, self._on_note = notes, None
        self.update()

    @property
    def hovered_note(self) -> int | None:
        """Place of the note with the mark under the pointer; its text is shown."""
        return self._on_note

    def update_marks(self) -> None:
        """The tools' current action changed."""
        self.update()

    def update_cursor(self) -> None:
        """Another tool, size or colour is selected."""
        self._update_cursor()
        self.update()

    # -- painting --------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        self._frame.refresh()
        painter = QPainter(self)
        painter.drawImage(QPointF(0, 0), self._frame.view(self.devicePixelRatioF()))
        self.fade.paint(painter)
        if self._pane.other is not None:
            draw_divider(painter, self._pane.split * self.width(), self.height())
        mapping = self.mapping
        if mapping is not None:
            if self._mark is not None:
                self._mark.paint(painter, mapping, self._style, with_text=self._index == 0)
            if self._outline is not None:
                self._outline.paint(painter, mapping)
            if not self._toolbox.painting:
                self.names.paint(painter, self._style, event.rect())
            self._toolbox.paint(painter, mapping)
            if self._notes.notes:
                self._notes.paint(painter, mapping, self._on_note)
            self._paint_pointer(painter)
            if self._kind is PaneKind.ERRORS and self._view.overlay.error_colors == "kind" and self._note is None:
                draw_legend(painter, self.width(), self.chip.geometry(), self._style, event.rect())
        if self._note is not None:
            self._paint_note(painter)
        self._paint_corners(painter, event.rect())
        painter.end()

    def _paint_pointer(self, painter: QPainter) -> None:
        if self._linked is not None:
            draw_cross(painter, self._linked)
        tool = self._toolbox.current
        if self._pointer is not None and tool.has_ring and self._ring_radius() * 2 >= TINY_RING:
            draw_ring(painter, self._pointer, self._ring_radius(), tool.class_color(), erases=tool.erases)
        named = self._pointed_name()
        if named is not None:
            self.names.paint_at(painter, self._style, *named)

    def _pointed_name(self) -> tuple[QRectF, int] | None:
        """The chip of the region under the pointer."""
        tool = self._toolbox.current
        if self._pointer is None or tool.names_class or self._toolbox.pressed or not self._view.overlay.names:
            return None
        return self.names.chip_at(self._pointer, self._ring_radius() if tool.has_ring else 0.0, self._style)

    def _update_name(self) -> None:
        """Repaint the chip of the region under the pointer where it was and where it is."""
        named = self._pointed_name()
        before, self._name_at = self._name_at, None if named is None else named[0]
        for box in (before, self._name_at) if before != self._name_at else ():
            self._update_mark(box, lambda box: box.adjusted(-1, -1, 1, 1))

    def _paint_note(self, painter: QPainter) -> None:
        painter.setFont(self._style.font)
        room = painter.fontMetrics().boundingRect(self._note or "").adjusted(-14, -8, 14, 8)
        room.moveCenter(self.rect().center())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._style.backdrop)  # opaque: over a dark image the text had too little contrast
        painter.drawRoundedRect(room, self._style.radius, self._style.radius)
        painter.setPen(self._style.note)
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter, self._note or "")

    def _paint_corners(self, painter: QPainter, dirty: QRect) -> None:
        """Round the pane off with the window's colour, but only the corners that are being repainted."""
        side = math.ceil(self._style.radius)
        far_x, far_y = self.width() - side, self.height() - side
        squares = [QRect(x, y, side, side) for x in (0, far_x) for y in (0, far_y)]
        touched = [square for square in squares if square.intersects(dirty)]
        if not touched:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rounded = QPainterPath()
        rounded.addRoundedRect(QRectF(self.rect()), self._style.radius, self._style.radius)
        for square in touched:
            corner = QPainterPath()
            corner.addRect(QRectF(square))
            painter.fillPath(corner.subtracted(rounded), self._style.corner)

    def _ring_radius(self) -> float:
        mapping = self.mapping
        return mapping.length_in_view(self._tools.diameter / 2) if mapping is not None else 0.0

    def _update_mark(self, at: _Mark | None, extent: Callable[[_Mark], QRectF]) -> None:
        if at is not None:
            self.update(extent(at).toAlignedRect())

    def _update_ring(self) -> None:
        if self._pointer is not None and self._toolbox.current.has_ring:
            self.update(ring_rect(self._pointer, self._ring_radius()).toAlignedRect())

    def _update_cursor(self) -> None:
        tool = self._toolbox.current
        if self.mapping is None:
            shape = Qt.CursorShape.ArrowCursor
        elif tool.has_ring:
            shape = Qt.CursorShape.BlankCursor if self._ring_radius() * 2 >= TINY_RING else Qt.CursorShape.CrossCursor
        elif self._toolbox.pressed and tool.cursor == Qt.CursorShape.OpenHandCursor:
            shape = Qt.CursorShape.ClosedHandCursor
        else:
            shape = tool.cursor
        if self.cursor().shape() != shape:
            self.setCursor(shape)

    # -- mouse and pen ---------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._from_pen(event) or self.mapping is None:
            return
        self.pressed.emit()
        if event.button() == Qt.MouseButton.LeftButton and self._near_split(event.position()):
            self._split_held = True
            return
        self._toolbox.press(event.button(), self._pointer_at(event.position(), event.modifiers()))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if not self._from_pen(event) and self.mapping is not None:
            self._toolbox.double_click(event.button(), self._pointer_at(event.position(), event.modifiers()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._from_pen(event):
            if self._split_held:
                self._view.set_split(event.position().x() / max(self.width(), 1))
                return
            self._moved(event.position(), event.modifiers(), 1.0, eraser=False)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._split_held and event.button() == Qt.MouseButton.LeftButton:
            self._split_held = False
        elif not self._from_pen(event) and self.mapping is not None:
            self._toolbox.release(event.button(), self._pointer_at(event.position(), event.modifiers()))

    def tabletEvent(self, event: QTabletEvent) -> None:
        """A pen paints by itself; accepting its events keeps Qt from making mouse events of them."""
        event.accept()
        if self.mapping is None:
            return
        eraser = event.pointerType() == QPointingDevice.PointerType.Eraser
        pressure = event.pressure() if self.pen_pressure else 1.0
        if event.type() == QEvent.Type.TabletPress:
            self._pen_down = True
            self.pressed.emit()
            self._toolbox.press(event.button(), self._pointer_at(event.position(), event.modifiers(), pressure, eraser=eraser))
        elif event.type() == QEvent.Type.TabletRelease:
            self._pen_down = False
            self._toolbox.release(event.button(), self._pointer_at(event.position(), event.modifiers(), 0.0, eraser=eraser))
        else:
            self._moved(event.position(), event.modifiers(), pressure, eraser=eraser)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.mapping is None:
            event.ignore()
            return
        self._wheel.turn(event, self._pointer_at(event.position(), event.modifiers()))
        event.accept()

    def enterEvent(self, event: QEnterEvent) -> None:
        self._view.activate(self._index)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._update_ring()
        self._pointer = None
        self._hover_note(None)
        self._update_name()
        self._toolbox.leave()
        self.hovered.emit(None, None)
        self.pointed.emit(None, None)
        super().leaveEvent(event)

    def _moved(self, at: QPointF, modifiers: Qt.KeyboardModifier, pressure: float, *, eraser: bool) -> None:
        mapping = self.mapping
        if mapping is None:
            return
        self._update_ring()
        self._pointer = QPointF(at)
        self._update_ring()
        self._update_name()
        pointer = self._pointer_at(at, modifiers, pressure, eraser=eraser)
        self._toolbox.move(pointer)
        column, row = int(pointer.x // 1), int(pointer.y // 1)
        inside = 0 <= column < mapping.image_width and 0 <= row < mapping.image_height
        self.hovered.emit(column if inside else None, row if inside else None)
        self._hover_note(self._notes.at(at, mapping) if self._notes.notes and not self._toolbox.pressed else None)
        self.pointed.emit(pointer.x, pointer.y)
        if self._pane.other is not None and not self._toolbox.pressed:
            self.setCursor(Qt.CursorShape.SplitHCursor) if self._near_split(at) else self._update_cursor()

    def _hover_note(self, note: int | None) -> None:
        if note != self._on_note:
            self._on_note = note
            self.update()

    def _pointer_at(self, at: QPointF, modifiers: Qt.KeyboardModifier, pressure: float = 1.0, *, eraser: bool = False) -> Pointer:
        assert self._scene is not None
        x, y = self._scene.mapping.to_image(at)
        return Pointer(x, y, QPointF(at), self._scene.mapping, modifiers, pressure, eraser)

    def _from_pen(self, event: QMouseEvent) -> bool:
        """Whether a mouse event was made from a pen's; the order in which they come is not reliable."""
        device = event.pointingDevice()
        stylus = device is not None and device.type() in (QPointingDevice.DeviceType.Stylus, QPointingDevice.DeviceType.Airbrush)
        return self._pen_down or stylus

    def _near_split(self, at: QPointF) -> bool:
        return self._pane.other is not None and abs(at.x() - self._pane.split * self.width()) <= _GRAB

    # -- keys ------------------------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        kind = event.type()
        if kind == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self.wants_key(event):
            event.accept()
            return True
        if kind == QEvent.Type.DevicePixelRatioChange:
            self.resized.emit()
        elif kind in _INTERRUPTIONS and self._toolbox.pressed:
            self._toolbox.interrupt()
        return super().event(event)

    def wants_key(self, event: QKeyEvent) -> bool:
        """Whether a key is the picture's own now, whatever command it belongs to otherwise."""
        if event.key() == Qt.Key.Key_Space:
            return True
        keys = (Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Backspace)
        return event.key() in keys and self._toolbox.busy

    def keyPressEvent(self, event: QKeyEvent) -> None:
        verbs = {
            Qt.Key.Key_Escape: self._toolbox.abort,
            Qt.Key.Key_Return: self._toolbox.finish,
            Qt.Key.Key_Enter: self._toolbox.finish,
            Qt.Key.Key_Backspace: self._toolbox.shorten,
        }
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._toolbox.hold_space(True)
        elif event.key() not in verbs or not verbs[Qt.Key(event.key())]():
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._toolbox.hold_space(False)
        else:
            super().keyReleaseEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.chip.fit_into(self.width() - 2 * _CHIP_AT)
        self.resized.emit()

    def hideEvent(self, event: QHideEvent) -> None:
        if self._toolbox.pressed:
            self._toolbox.interrupt()
        super().hideEvent(event)

"""The confusion matrix itself: frozen headers, zoom, crosshair, every cell a way to its pixels."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app.text import tr
from app.ui.annotate.class_delegate import paint_swatch
from app.ui.evaluate.matrix_scale import cell_colors
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.matrix_table import MatrixTable

#: Sides of a cell, px; from the text's size on a cell says its figure.
SMALLEST, LARGEST, _TEXT_FROM, _GRID_FROM = 5, 72, 30, 12
_SWATCH, _GAP = 10, 6
#: A matrix that is fitted into its view has cells of at least this side, so that every name can be read; the rest is scrolled to.
_READABLE = 14
_ROTATED_FROM = 9  # px of a cell from which names fit beside each other


class MatrixView(QAbstractScrollArea):
    """Paints a :class:`~app.viewmodels.evaluate.matrix_table.MatrixTable`.

    Signals:
        cellPointed(row, column): the pointer or the keyboard is on another cell; (-1, -1) on none.
        cellChosen(row, column): a cell was clicked, or Enter was pressed on it.
        rowChosen(row), columnChosen(column): a name was clicked.
        sideChanged(int): cells have another size.
    """

    cellPointed = Signal(int, int)
    cellChosen = Signal(int, int)
    rowChosen = Signal(int)
    columnChosen = Signal(int)
    sideChanged = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._table: MatrixTable | None = None
        self._side = 40
        self._fitted = True
        self._cell = (-1, -1)
        self._ground: QImage | None = None  # one pixel per cell
        self._header = (120, 90)  # width of the row names, height of the column names
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setMouseTracking(True)
        self.viewport().setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tr("Confusion matrix"))

    # -- what is shown ---------------------------------------------------------------------------------------------------

    @property
    def table(self) -> MatrixTable | None:
        return self._table

    @property
    def side(self) -> int:
        """Side of a cell in px."""
        return self._side

    @property
    def cell(self) -> tuple[int, int]:
        """Row and column that the pointer or keyboard is on; (-1, -1) on none."""
        return self._cell

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._ground = None
        self.viewport().update()

    def show_table(self, table: MatrixTable | None) -> None:
        """Show another matrix; the selected cell stays where its classes still are."""
        kept = None if self._table is None or self._cell[0] < 0 else self._table.cell(*self._cell)
        self._table, self._ground = table, None
        self._measure_headers()
        self._cell = (-1, -1) if table is None or kept is None else _place_of(table, kept)
        self._arrange()

    def set_side(self, side: int) -> None:
        """Show cells of another size; from now on they keep it when the view is resized."""
        self._fitted = False
        self._set_side(side)

    def fit(self) -> None:
        """Show as much of the matrix as can be read, with cells as large as the view allows, also when it is resized."""
        self._fitted = True
        self._arrange()

    def rect_of(self, row: int, column: int) -> QRect:
        """Where a cell is on the viewport."""
        left, top = self._header
        x = left + column * self._side - self.horizontalScrollBar().value()
        y = top + row * self._side - self.verticalScrollBar().value()
        return QRect(x, y, self._side, self._side)

    # -- layout ----------------------------------------------------------------------------------------------------------

    def _measure_headers(self) -> None:
        if self._table is None:
            return
        metrics = QFontMetrics(self._theme.font("small"))
        widest = max((metrics.horizontalAdvance(self._table.name(int(c))) for c in self._table.columns), default=40)
        self._header = (min(widest, 150) + _SWATCH + 3 * _GAP, min(widest, 110) + _SWATCH + 3 * _GAP)

    def _arrange(self) -> None:
        if self._fitted and self._table is not None and len(self._table.rows):
            width = (self.viewport().width() - self._header[0]) // max(len(self._table.columns), 1)
            height = (self.viewport().height() - self._header[1]) // len(self._table.rows)
            self._set_side(max(min(width, height, 56), _READABLE))
        else:
            self._set_side(self._side)

    def _set_side(self, side: int) -> None:
        side = max(min(side, LARGEST), SMALLEST)
        changed, self._side = side != self._side, side
        rows, columns = (0, 0) if self._table is None else (len(self._table.rows), len(self._table.columns))
        for bar, content, view in (
            (self.horizontalScrollBar(), columns * side + self._header[0], self.viewport().width()),
            (self.verticalScrollBar(), rows * side + self._header[1], self.viewport().height()),
        ):
            bar.setRange(0, max(content - view, 0))
            bar.setPageStep(view)
            bar.setSingleStep(side)
        self.viewport().update()
        if changed:
            self.sideChanged.emit(side)

    # -- painting --------------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        table = self._table
        if table is None or not len(table.rows):
            return
        left, top = self._header
        content = QRect(left, top, self.viewport().width() - left, self.viewport().height() - top)
        painter.setClipRect(content)
        first = self._at(content.topLeft(), inside=False)
        last = self._at(content.bottomRight(), inside=False)
        rows = range(max(first[0], 0), min(last[0] + 1, len(table.rows)))
        columns = range(max(first[1], 0), min(last[1] + 1, len(table.columns)))
        self._paint_cells(painter, table, rows, columns)
        self._paint_cross(painter)
        painter.setClipRect(QRect(0, top, left, content.height()))
        for row in rows:
            self._paint_row_name(painter, table, row)
        painter.setClipRect(QRect(left, 0, content.width(), top))
        for column in columns:
            self._paint_column_name(painter, table, column)
        painter.setClipping(False)
        self._paint_corner(painter)

    def _paint_cells(self, painter: QPainter, table: MatrixTable, rows: range, columns: range) -> None:
        if not rows or not columns:
            return
        ground = self._colored(table)
        whole = self.rect_of(rows[0], columns[0]).united(self.rect_of(rows[-1], columns[-1]))
        painter.drawImage(whole, ground, QRect(columns[0], rows[0], len(columns), len(rows)))
        if self._side < _GRID_FROM:
            return
        painter.setPen(self._theme.color("well"))
        for row in rows:
            bottom = self.rect_of(row, 0).bottom()
            painter.drawLine(whole.left(), bottom, whole.right(), bottom)
        for column in columns:
            right = self.rect_of(0, column).right()
            painter.drawLine(right, whole.top(), right, whole.bottom())
        if self._side < _TEXT_FROM:
            return
        painter.setFont(self._theme.font("small" if self._side >= 40 else "caption"))
        for row in rows:
            for column in columns:
                text = table.text(row, column)
                if text:
                    faint = table.strength[row, column] < 0.04
                    color = ground.pixelColor(column, row)
                    painter.setPen(self._theme.color("muted") if faint else _contrasting(color))
                    painter.drawText(self.rect_of(row, column), Qt.AlignmentFlag.AlignCenter, text)

    def _colored(self, table: MatrixTable) -> QImage:
        """The cells' colours, one pixel each: right ones in one hue, wrong ones in another."""
        if self._ground is None:
            right = table.rows[:, None] == table.columns[None, :]
            pixels = np.full((*right.shape, 4), 255, np.uint8)
            pixels[..., :3] = cell_colors(self._theme, table.strength, right)
            height, width = right.shape
            self._ground = QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
        return self._ground

    def _paint_cross(self, painter: QPainter) -> None:
        row, column = self._cell
        if row < 0 or self._table is None:
            return
        theme = self._theme
        for line in (
            self.rect_of(row, 0).united(self.rect_of(row, len(self._table.columns) - 1)),
            self.rect_of(0, column).united(self.rect_of(len(self._table.rows) - 1, column)),
        ):
            painter.fillRect(line, theme.color("accent", 0.12))
        painter.setPen(QPen(theme.color("accent"), 4 if self.hasFocus() else 2))
        painter.drawRect(self.rect_of(row, column).adjusted(0, 0, -1, -1))

    def _paint_row_name(self, painter: QPainter, table: MatrixTable, row: int) -> None:
        rect = self.rect_of(row, 0)
        box = QRect(0, rect.y(), self._header[0], self._side)
        self._paint_name(painter, table, box, int(table.rows[row]), row == self._cell[0])

    def _paint_column_name(self, painter: QPainter, table: MatrixTable, column: int) -> None:
        rect = self.rect_of(0, column)
        painter.save()
        painter.translate(rect.x(), self._header[1])
        painter.rotate(-90)
        box = QRect(0, 0, self._header[1], self._side)
        self._paint_name(painter, table, box, int(table.columns[column]), column == self._cell[1], upwards=True)
        painter.restore()

    def _paint_name(
        self, painter: QPainter, table: MatrixTable, box: QRect, channel: int, marked: bool, *, upwards: bool = False
    ) -> None:
        theme, catalog = self._theme, table.catalog
        if marked:
            painter.fillRect(box, theme.color("accent_soft"))
        side = min(_SWATCH, max(self._side - 1, 2))
        at = box.left() + _GAP if upwards else box.right() - _GAP - side
        color = catalog.ignore_color if channel == len(catalog) else catalog.classes[channel].color
        square = QRectF(at, box.center().y() - side // 2, side, side)
        if side < 5:  # an edge would leave nothing inside
            painter.fillRect(square, QColor(*color))
        else:
            paint_swatch(painter, square, QColor(*color), theme, radius=1.0)
        if self._side < _ROTATED_FROM and not marked:
            return
        font = theme.font("small" if self._side >= 14 or marked else "caption", bold=marked)
        if self._side < 12 and not marked:
            font.setPixelSize(max(self._side, 9))
        painter.setFont(font)
        painter.setPen(theme.color("text" if marked else "muted"))
        if upwards:
            text_box, flag = box.adjusted(_SWATCH + 2 * _GAP, -8, -2, 8), Qt.AlignmentFlag.AlignLeft
        else:
            text_box, flag = box.adjusted(2, -8, -_SWATCH - 2 * _GAP, 8), Qt.AlignmentFlag.AlignRight
        name = QFontMetrics(font).elidedText(table.name(channel), Qt.TextElideMode.ElideRight, text_box.width())
        painter.drawText(text_box, Qt.AlignmentFlag.AlignVCenter | flag, name)

    def _paint_corner(self, painter: QPainter) -> None:
        left, top = self._header
        painter.setPen(self._theme.color("faint"))
        painter.setFont(self._theme.font("caption"))
        box = QRectF(0, top - 34, left - _GAP, 30)
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, tr("predicted →\nground truth ↓"))

    # -- hands -----------------------------------------------------------------------------------------------------------

    def _at(self, point: QPoint, *, inside: bool = True) -> tuple[int, int]:
        """(row, column) under a point of the viewport; -1 where it is on a name, with ``inside`` (-1, -1) beyond the cells."""
        left, top = self._header
        column = (point.x() - left + self.horizontalScrollBar().value()) // self._side if point.x() >= left else -1
        row = (point.y() - top + self.verticalScrollBar().value()) // self._side if point.y() >= top else -1
        table = self._table
        if inside and (table is None or row >= len(table.rows) or column >= len(table.columns)):
            return -1, -1
        return row, column

    def point_at(self, row: int, column: int) -> None:
        """Select a cell, as the pointer does; (-1, -1) takes none."""
        cell = (row, column) if row >= 0 and column >= 0 else (-1, -1)
        if cell != self._cell:
            self._cell = cell
            self.viewport().update()
            self.cellPointed.emit(*cell)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        row, column = self._at(event.position().toPoint())
        self.point_at(row, column)
        on_something = row >= 0 or column >= 0
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if on_something else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        row, column = self._at(event.position().toPoint())
        if row >= 0 and column >= 0:
            self.point_at(row, column)
            self.cellChosen.emit(row, column)
        elif row >= 0:
            self.rowChosen.emit(row)
        elif column >= 0:
            self.columnChosen.emit(column)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave and not self.hasFocus():
            self.point_at(-1, -1)
        return super().viewportEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            steps = event.angleDelta().y()
            if steps:
                self.set_side(round(self._side * (1.15 if steps > 0 else 1 / 1.15)) + (1 if steps > 0 else -1))
            event.accept()
        else:
            super().wheelEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """With Tab, the cell that the keyboard works is seen."""
        by_tab = event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        if by_tab and self._cell[0] < 0 and self._table is not None and len(self._table.rows):
            self.point_at(0, 0)
        self.viewport().update()
        super().focusInEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        table = self._table
        step = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }.get(Qt.Key(event.key()))
        if table is None or not len(table.rows):
            super().keyPressEvent(event)
        elif step is not None:
            row = min(max(self._cell[0] + step[0], 0), len(table.rows) - 1)
            column = min(max(self._cell[1] + step[1], 0), len(table.columns) - 1)
            self.point_at(row, column)
            self._reveal(row, column)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._cell[0] >= 0:
            self.cellChosen.emit(*self._cell)
        else:
            super().keyPressEvent(event)

    def _reveal(self, row: int, column: int) -> None:
        for bar, place, header, size in (
            (self.horizontalScrollBar(), column, self._header[0], self.viewport().width()),
            (self.verticalScrollBar(), row, self._header[1], self.viewport().height()),
        ):
            start = place * self._side
            bar.setValue(max(min(bar.value(), start), start + self._side - (size - header)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def scrollContentsBy(self, _dx: int, _dy: int) -> None:
        self.viewport().update()  # the headers stay


def _place_of(table: MatrixTable, ids: tuple[int, int]) -> tuple[int, int]:
    rows = [table.class_id(int(channel)) for channel in table.rows]
    columns = [table.class_id(int(channel)) for channel in table.columns]
    return (rows.index(ids[0]), columns.index(ids[1])) if ids[0] in rows and ids[1] in columns else (-1, -1)


def _contrasting(ground: QColor) -> QColor:
    """Black or white, which can be read better on a coloured cell: one of them always has a contrast of 4.5 (WCAG 2)."""
    return QColor("white" if (_luminance(ground) + 0.05) ** 2 < 1.05 * 0.05 else "black")


def _luminance(color: QColor) -> float:
    """Relative luminance, 0..1 (WCAG 2)."""
    parts = (color.redF(), color.greenF(), color.blueF())
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

"""The classes of a catalog in a few lines: a swatch and a name each."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.text import plural, tr
from deeplab_core.catalogs.catalog import ClassCatalog

#: Sizes in px: of a swatch, between swatch and name, between classes, between lines.
_SWATCH, _NEAR, _APART, _LINE = 11, 5, 12, 4
#: Longest name in px before it is cut.
_WIDEST = 140


class ClassStrip(QWidget):
    """Paints as many classes as fit into its lines, and how many are left.

    Args:
        lines: how many lines it has at most.
    """

    def __init__(self, lines: int = 2) -> None:
        super().__init__()
        self._lines = lines
        self._catalog: ClassCatalog | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setAccessibleName(tr("Classes"))

    def show_catalog(self, catalog: ClassCatalog | None) -> None:
        """Show the classes of a catalog, or nothing."""
        self._catalog = catalog
        names = () if catalog is None else catalog.names
        self.setToolTip(", ".join(names[:60]))
        self.setAccessibleDescription(", ".join(names[:60]))
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        lines = 1 + max((line for line, _, _, _ in self._placed(width)), default=0)
        return lines * (self.fontMetrics().height() + _LINE)

    def sizeHint(self) -> QSize:
        return QSize(240, self.heightForWidth(240))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self.fontMetrics().height() + _LINE)

    def paintEvent(self, event: QPaintEvent) -> None:
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        height, text = metrics.height() + _LINE, self.palette().color(self.foregroundRole())
        faint = QColor(text)
        faint.setAlphaF(0.35)
        for line, x, color, name in self._placed(self.width()):
            top = line * height
            at = x
            if color is not None:
                painter.setPen(QPen(faint, 1))
                painter.setBrush(color)
                painter.drawRoundedRect(QRectF(x + 0.5, top + (height - _SWATCH) / 2, _SWATCH, _SWATCH), 2, 2)
                at = x + _SWATCH + _NEAR
            painter.setPen(text)
            painter.drawText(QPointF(at, top + (height + metrics.ascent() - metrics.descent()) / 2), name)
        painter.end()

    def _placed(self, width: int) -> list[tuple[int, int, QColor | None, str]]:
        """(line, x, colour, name) of what is painted; the last may say how many classes are left, without a colour."""
        if self._catalog is None:
            return []
        metrics = QFontMetrics(self.font())
        placed: list[tuple[int, int, QColor | None, str]] = []
        line, x = 0, 0
        classes = self._catalog.classes
        for number, info in enumerate(classes):
            name = metrics.elidedText(info.name, Qt.TextElideMode.ElideRight, _WIDEST)
            wide = _SWATCH + _NEAR + metrics.horizontalAdvance(name)
            rest = metrics.horizontalAdvance(_more(len(classes) - number)) if number + 1 < len(classes) else 0
            last = line + 1 == self._lines
            if x and x + wide + (_APART + rest if last else 0) > width:
                if last:
                    placed.append((line, x, None, _more(len(classes) - number)))
                    return placed
                line, x = line + 1, 0
            placed.append((line, x, QColor(*info.color), name))
            x += wide + _APART
        return placed


def _more(count: int) -> str:
    return plural("and {n} more", "and {n} more", count)

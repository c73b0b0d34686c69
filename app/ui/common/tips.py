"""Tooltips: texts as they are, whatever the names in them look like; HTML only where the program wrote it itself.

Qt shows a tooltip as HTML if it looks like HTML. A file or class called ``<img src=x>`` would then vanish from its own tooltip,
or draw another file.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtGui import Qt as GuiQt  # Qt's functions on rich text
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTabBar, QToolTip, QWidget

#: How HTML of the program's own begins.
_OWN = '<qt class="atrous">'


def rich_tip(html: str) -> str:
    """HTML as a tooltip that is shown as such. Names in it have to be escaped.

    Bold is drawn in the heaviest weight that the font has: Qt would smear a heavier one.
    """
    if html.startswith(_OWN):
        return html
    return _OWN + html.replace("<b>", '<span style="font-weight: 600">').replace("</b>", "</span>")


def shown_tip(text: str) -> str:
    """A tooltip as :class:`~PySide6.QtWidgets.QToolTip` has to be given it: what only looks like HTML is escaped."""
    if text.startswith(_OWN) or not GuiQt.mightBeRichText(text):
        return text
    return GuiQt.convertFromPlainText(text)


def show_tip(watched: QObject, event: QEvent) -> bool:
    """Show the tooltip that an event asks for, if Qt would take its text for HTML; False leaves it to Qt."""
    if not isinstance(event, QHelpEvent) or not isinstance(watched, QWidget):
        return False
    text = _tip(watched, event)
    shown = shown_tip(text)
    if shown == text:
        return False
    QToolTip.showText(event.globalPos(), shown, watched)
    return True


def _tip(widget: QWidget, event: QHelpEvent) -> str:
    view = widget.parentWidget()
    if isinstance(view, QHeaderView) and view.viewport() is widget:
        along = event.pos().x() if view.orientation() == Qt.Orientation.Horizontal else event.pos().y()
        place = view.logicalIndexAt(along)
        data = view.model().headerData(place, view.orientation(), Qt.ItemDataRole.ToolTipRole) if place >= 0 else None
    elif isinstance(view, QAbstractItemView) and view.viewport() is widget:
        data = view.indexAt(event.pos()).data(Qt.ItemDataRole.ToolTipRole)
    elif isinstance(widget, QMenu):
        action = widget.actionAt(event.pos())
        data = action.toolTip() if action is not None and widget.toolTipsVisible() else None
    elif isinstance(widget, QTabBar) and (place := widget.tabAt(event.pos())) >= 0:
        data = widget.tabToolTip(place)
    else:
        data = widget.toolTip()
    return data if isinstance(data, str) else ""

"""Every command by name: type a few letters, Enter runs it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QIcon, QKeyEvent, QPainter, QPalette, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QFrame,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.actions.palette import BEGINS, match, named, ranked
from app.actions.spec import ActionSpec
from app.actions.table import ACTIONS
from app.text import tr
from app.ui.common.fitted_dialog import screen_room
from app.ui.shell.action_builder import ActionBuilder

_ID = int(Qt.ItemDataRole.UserRole)
_KEY = _ID + 1
_GROUP = _ID + 2
_ICON, _ROW = 16, 32
#: Height of a keycap, room beside its text, and between keycaps, in px.
_CAP, _CAP_PAD, _CAP_GAP = 20, 6, 3


class _EntryDelegate(QStyledItemDelegate):
    """Icon, name, group and the keys as keycaps at the right, whether an entry has an icon or not."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: ARG002 - Qt's signature
        return QSize(200, _ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        style = option.widget.style()
        style.drawPrimitive(QStyle.PrimitiveElement.PE_PanelItemViewItem, option, painter, option.widget)
        enabled = bool(option.state & QStyle.StateFlag.State_Enabled)
        group = QPalette.ColorGroup.Active if enabled else QPalette.ColorGroup.Disabled
        box = option.rect.adjusted(10, 0, -12, 0)
        icon = index.data(Qt.ItemDataRole.DecorationRole)
        if isinstance(icon, QIcon) and not icon.isNull():
            mode = QIcon.Mode.Normal if enabled else QIcon.Mode.Disabled
            icon.paint(painter, QRect(box.left(), box.center().y() - _ICON // 2, _ICON, _ICON), mode=mode)
        right = self._paint_keys(painter, box, index.data(_KEY), option.palette, group)
        metrics = QFontMetrics(painter.font())
        room = box.adjusted(_ICON + 10, 0, 0, 0)
        room.setRight(right - 12)
        name = index.data(Qt.ItemDataRole.DisplayRole)
        menu, wide = index.data(_GROUP), metrics.horizontalAdvance(name)
        if wide + metrics.horizontalAdvance(menu) + 24 <= room.width():
            painter.setPen(option.palette.color(group, QPalette.ColorRole.PlaceholderText))
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, menu)
        painter.setPen(option.palette.color(group, QPalette.ColorRole.Text))
        name = metrics.elidedText(name, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, name)

    def _paint_keys(self, painter: QPainter, box: QRect, keys: str, palette: QPalette, group: QPalette.ColorGroup) -> int:
        """Paint a shortcut from the right, one keycap for each key; returns where the rest has to end."""
        right, metrics = box.right(), QFontMetrics(painter.font())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for key in reversed(caps(keys)):
            cap = QRect(0, 0, max(metrics.horizontalAdvance(key) + 2 * _CAP_PAD, _CAP), _CAP)
            cap.moveCenter(box.center())
            cap.moveRight(right)
            painter.setPen(palette.color(group, QPalette.ColorRole.Dark))
            painter.setBrush(palette.color(group, QPalette.ColorRole.Button))
            painter.drawRoundedRect(QRectF(cap).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
            painter.setPen(palette.color(group, QPalette.ColorRole.PlaceholderText))
            painter.drawText(cap, Qt.AlignmentFlag.AlignCenter, key)
            right = cap.left() - _CAP_GAP
        return right


def caps(keys: str) -> list[str]:
    """The keys of a shortcut, ``Ctrl+Shift++`` as Ctrl, Shift and +; none for an empty text."""
    head, plus, last = keys.rpartition("+") if not keys.endswith("+") else (keys[:-2], "+" * (len(keys) > 1), "+")
    return ([*head.split("+"), last] if plus else [last]) if keys else []


class CommandPalette(QDialog):
    """A list that closes with Esc, with a click beside it, or with the command that it runs.

    It is a window of its own, which gets the keyboard from the window system some time after it is shown. What is typed until
    then comes to the window behind it, where letters are commands; it goes to the field instead.
    """

    def __init__(self, actions: ActionBuilder, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Dialog | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._actions, self._behind = actions, parent.window()
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        frame = QFrame()
        frame.setObjectName("paletteFrame")
        outer.addWidget(frame)
        column = QVBoxLayout(frame)
        column.setContentsMargins(10, 10, 10, 8)
        column.setSpacing(6)
        self.finder = QLineEdit()
        self.finder.setPlaceholderText(tr("What do you want to do?"))
        self.finder.textChanged.connect(self._filter)
        self.finder.setAccessibleName(tr("Find a command"))
        column.addWidget(self.finder)
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Commands"))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # arrow keys in the field go through it
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setItemDelegate(_EntryDelegate(self.list))
        self.list.itemClicked.connect(lambda _item: self._run())
        column.addWidget(self.list, 1)
        room = screen_room(parent)
        self.resize(QSize(620, 440).boundedTo(room))
        top = min(90, max(parent.height() - self.height(), 0) // 2)  # in a low window it would reach below the screen
        self.move(
            parent.mapToGlobal(parent.rect().center()).x() - self.width() // 2,
            parent.mapToGlobal(parent.rect().topLeft()).y() + top,
        )
        self._filter("")
        self.finder.setFocus()

    def _filter(self, text: str) -> None:
        self.list.clear()
        for spec in self._ranked(text):
            action = self._actions[spec.id]
            item = QListWidgetItem(action.icon(), named(spec))
            item.setToolTip(self._actions.refusal(spec.id) or spec.explanation)
            item.setData(_ID, spec.id)
            item.setData(_KEY, self._actions.shown_key(spec.id))
            item.setData(_GROUP, spec.group.heading)
            if not action.isEnabled():
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def _ranked(self, text: str) -> list[ActionSpec]:
        """Best match first. What cannot be done now comes last, but for a match so good that another command would surprise."""
        found = ranked(text, ACTIONS)
        if not text.strip() or not found:
            return found
        best = match(text, found[0])
        meant = best is not None and best[0] <= BEGINS
        first = found[:1] if meant else []
        rest = sorted(found[len(first) :], key=lambda spec: not self._actions[spec.id].isEnabled())
        return first + rest

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isVisible() and not self.isActiveWindow():
            self.close()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        application = QApplication.instance()
        assert application is not None
        application.installEventFilter(self)
        self.activateWindow()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(watched, QWidget) and isinstance(event, QKeyEvent):
            if watched is self.finder and event.type() == QEvent.Type.KeyPress:
                return self._take_key(event)
            if watched.window() is self._behind and self.isVisible():
                return self._hand_on(event)
        return super().eventFilter(watched, event)

    def _hand_on(self, event: QKeyEvent) -> bool:
        """Pass a key of the window behind on to the field."""
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
        elif event.type() == QEvent.Type.KeyPress:
            key = QKeyEvent(event.type(), event.key(), event.modifiers(), event.text(), event.isAutoRepeat())
            QApplication.sendEvent(self.finder, key)
        return event.type() != QEvent.Type.KeyRelease

    def _take_key(self, event: QKeyEvent) -> bool:
        moves = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}
        if event.key() in moves:
            step = moves[Qt.Key(event.key())]
            self.list.setCurrentRow((self.list.currentRow() + step) % max(self.list.count(), 1))
            return True
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._run()
            return True
        return False

    def _run(self) -> None:
        item = self.list.currentItem()
        if item is not None and item.flags() & Qt.ItemFlag.ItemIsEnabled:
            action = self._actions[item.data(_ID)]
            self.close()
            action.trigger()

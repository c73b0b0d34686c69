"""Every command by name: type a few letters, Enter runs it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QIcon, QKeyEvent, QKeySequence, QPixmap
from PySide6.QtWidgets import QDialog, QFrame, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from app.actions.table import ACTIONS
from app.ui.action_builder import ActionBuilder

_ID = int(Qt.ItemDataRole.UserRole)


class CommandPalette(QDialog):
    """A list that closes with Esc, with a click beside it, or with the command that it runs."""

    def __init__(self, actions: ActionBuilder, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Dialog | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._actions = actions
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
        self.finder.setPlaceholderText("What do you want to do?")
        self.finder.textChanged.connect(self._filter)
        self.finder.installEventFilter(self)
        self.finder.setAccessibleName("Find a command")
        column.addWidget(self.finder)
        self.list = QListWidget()
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(lambda _item: self._run())
        column.addWidget(self.list, 1)
        self.resize(520, 420)
        self.move(
            parent.mapToGlobal(parent.rect().center()).x() - self.width() // 2,
            parent.mapToGlobal(parent.rect().topLeft()).y() + 90,
        )
        self._filter("")
        self.finder.setFocus()

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        self.list.clear()
        blank = QPixmap(16, 16)
        blank.fill(Qt.GlobalColor.transparent)
        for spec in ACTIONS:
            action = self._actions[spec.id]
            if spec.held or not all(word in f"{spec.group.value} {spec.text} {spec.tip}".lower() for word in words):
                continue
            keys = self._actions.keymap.keys(spec.id)
            shown = QKeySequence(keys[0]).toString(QKeySequence.SequenceFormat.NativeText) if keys else ""
            icon = QIcon(blank) if action.icon().isNull() else action.icon()
            item = QListWidgetItem(icon, f"{spec.text.rstrip('…')}" + (f"     {shown}" if shown else ""))
            item.setToolTip(spec.tip)
            item.setData(_ID, spec.id)
            if not action.isEnabled():
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.list.addItem(item)
        if text:  # what can be done now comes first among the matches
            row = next((i for i in range(self.list.count()) if self.list.item(i).flags() & Qt.ItemFlag.ItemIsEnabled), -1)
        else:
            row = 0
        self.list.setCurrentRow(row)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isVisible() and not self.isActiveWindow():
            self.close()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            moves = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}
            if event.key() in moves:
                step = moves[Qt.Key(event.key())]
                self.list.setCurrentRow((self.list.currentRow() + step) % max(self.list.count(), 1))
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._run()
                return True
        return super().eventFilter(watched, event)

    def _run(self) -> None:
        item = self.list.currentItem()
        if item is not None and item.flags() & Qt.ItemFlag.ItemIsEnabled:
            action = self._actions[item.data(_ID)]
            self.close()
            action.trigger()

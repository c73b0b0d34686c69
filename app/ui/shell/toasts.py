"""Messages over the picture: they stack at the bottom, leave by themselves, and errors stay until they are closed.

The list of messages keeps all of them, with their buttons. The banner above the picture shows what stays true.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPropertyAnimation, Qt, QTimer
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsDropShadowEffect,
    QGraphicsOpacityEffect,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStyle,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.services.notifications import Message, Notifier, Severity
from app.text import tr
from app.ui.common.panel import toned
from app.ui.shell.icons import icon_pixmap, make_icon
from app.ui.shell.theme import Theme

_SHOWN_MS = {Severity.INFO: 5000, Severity.WARNING: 10_000}
_WIDTH, _GAP, _MARGIN, _MOST = 380, 8, 16, 4
#: How long a message takes to appear, in ms.
_FADE_MS = 120
#: What the icon, the close button and the margins leave of the width to text and buttons; buttons that need more are stacked.
_BESIDE_TEXT, _BUTTON_GAP = 88, 6
_LOOKS = {Severity.INFO: ("info", "accent"), Severity.WARNING: ("warning", "warn"), Severity.ERROR: ("error", "bad")}


class ToastStack(QObject):
    """Shows a notifier's messages over ``host``, above its bottom right corner.

    Attributes:
        reduce_motion: messages appear at once; they also do if the system switches animations off.
    """

    def __init__(self, host: QWidget, notifier: Notifier, theme: Theme) -> None:
        super().__init__(host)
        self._host = host
        self.theme = theme
        self.reduce_motion = False
        self.toasts: list[Toast] = []
        host.installEventFilter(self)
        notifier.said.connect(self.show)
        notifier.withdrawn.connect(self.withdraw)

    def show(self, message: Message) -> None:
        """Show a message; one with the same key gives way to it."""
        if message.replace_key:
            self.withdraw(message.replace_key)
        toast = Toast(message, self.theme, self._host)
        toast.close_button.clicked.connect(lambda: self._remove(toast))
        for button in toast.buttons:
            button.clicked.connect(lambda: self._remove(toast))
        self.toasts.append(toast)
        while len(self.toasts) > _MOST:
            self._remove(next((old for old in self.toasts if old.message.severity is Severity.INFO), self.toasts[0]))
        if message.severity in _SHOWN_MS:
            toast.fade_after(_SHOWN_MS[message.severity], lambda: self._remove(toast))
        toast.show()
        if not self.reduce_motion and self._host.style().styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration) > 0:
            toast.fade_in()
        self._place()

    def withdraw(self, replace_key: str) -> None:
        """Take messages with this key away."""
        for toast in [toast for toast in self.toasts if toast.message.replace_key == replace_key]:
            self._remove(toast)

    def make_room(self) -> None:
        """The user works on the picture again: what needs no answer leaves it; the list has it."""
        for toast in [toast for toast in self.toasts if toast.message.severity is Severity.INFO and not toast.buttons]:
            self._remove(toast)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return super().eventFilter(watched, event)

    def _remove(self, toast: Toast) -> None:
        if toast in self.toasts:
            self.toasts.remove(toast)
            toast.hide()
            toast.deleteLater()
            self._place()

    def _place(self) -> None:
        bottom = self._host.height() - _MARGIN
        width = min(_WIDTH, self._host.width() - 2 * _MARGIN)
        for toast in reversed(self.toasts):
            toast.setFixedWidth(max(width, 120))
            layout = toast.layout()
            height = 0 if layout is None else layout.heightForWidth(toast.width())
            toast.setFixedHeight(max(height, toast.minimumSizeHint().height()))
            bottom -= toast.height()
            toast.move(self._host.width() - toast.width() - _MARGIN, bottom)
            bottom -= _GAP
            toast.raise_()


class Toast(QFrame):
    """One message."""

    def __init__(self, message: Message, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.message = message
        self.setObjectName("toast")
        self.setProperty("severity", message.severity.name.lower())
        self._shadow = theme.color("shadow", 0.5)
        self._throw_shadow()
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 8, 10)
        row.setSpacing(10)
        name, token = _LOOKS[message.severity]
        mark = QLabel()
        mark.setPixmap(icon_pixmap(name, theme.color(token), 20, self.devicePixelRatioF()))
        column = QVBoxLayout()
        column.setSpacing(4)
        self.title = toned(message.title, strong=True)
        self.title.setWordWrap(True)
        column.addWidget(self.title)
        if message.detail:
            detail = toned(message.detail, tone="muted", size="small")
            detail.setWordWrap(True)
            column.addWidget(detail)
        self.buttons = [QPushButton(choice.text) for choice in message.choices]
        if self.buttons:
            for button, choice in zip(self.buttons, message.choices, strict=True):
                button.clicked.connect(lambda _checked=False, run=choice.run: run())
                button.ensurePolished()  # the style sheet's font is wider than the one that the layout would measure
                button.setMinimumWidth(button.sizeHint().width())
            width = sum(button.minimumWidth() + _BUTTON_GAP for button in self.buttons)
            line = QHBoxLayout() if width <= _WIDTH - _BESIDE_TEXT else QVBoxLayout()
            line.setSpacing(_BUTTON_GAP)
            for button in self.buttons:
                line.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
            if isinstance(line, QHBoxLayout):
                line.addStretch(1)
            column.addLayout(line)
        self.close_button = QToolButton()
        self.close_button.setIcon(make_icon("close", theme, color="muted"))
        self.close_button.setToolTip(tr("Close"))
        self.close_button.setAccessibleName(tr("Close the message"))
        for widget, stretch in ((mark, 0), (self.close_button, 0)):
            widget.setFixedSize(widget.sizeHint().expandedTo(mark.sizeHint()))
            row.addWidget(widget, stretch)
        row.insertLayout(1, column, 1)
        row.setAlignment(mark, Qt.AlignmentFlag.AlignTop)
        row.setAlignment(self.close_button, Qt.AlignmentFlag.AlignTop)
        self._timer: QTimer | None = None

    def _throw_shadow(self) -> None:
        shadow = QGraphicsDropShadowEffect(self)
        shadow.setBlurRadius(24)
        shadow.setOffset(0, 4)
        shadow.setColor(self._shadow)
        self.setGraphicsEffect(shadow)

    def fade_in(self) -> None:
        """Appear within a moment. A widget has one effect at a time: the shadow comes after it."""
        effect = QGraphicsOpacityEffect(self)
        self.setGraphicsEffect(effect)
        fade = QPropertyAnimation(effect, b"opacity", self)
        fade.setDuration(_FADE_MS)
        fade.setStartValue(0.0)
        fade.setEndValue(1.0)
        fade.finished.connect(self._throw_shadow)
        fade.start(QPropertyAnimation.DeletionPolicy.DeleteWhenStopped)

    def fade_after(self, milliseconds: int, gone: Callable[[], None]) -> None:
        """Call ``gone`` after a time that the pointer does not rest on the message."""
        self._timer = QTimer(self, singleShot=True, interval=milliseconds)
        self._timer.timeout.connect(gone)
        self._timer.start()

    def enterEvent(self, event: QEnterEvent) -> None:
        """The user reads it, or moves to its button."""
        if self._timer is not None:
            self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        if self._timer is not None:
            self._timer.start()
        super().leaveEvent(event)


class Banner(QFrame):
    """One sentence and its buttons; hidden while there is nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(12, 5, 6, 5)
        self._row.setSpacing(8)
        self.text = toned("")
        self.text.setWordWrap(True)
        self._row.addWidget(self.text, 1)
        self._buttons: list[QPushButton] = []
        self.hide()

    def say(self, text: str, *choices: tuple[str, Callable[[], object]]) -> None:
        """Show a sentence; an empty one hides the strip."""
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        self._buttons = []
        for label, run in choices:
            button = QPushButton(label)
            button.clicked.connect(lambda _checked=False, run=run: run())
            self._row.addWidget(button)
            self._buttons.append(button)
        self.text.setText(text)
        self.setVisible(bool(text))

"""The line below the picture: what is under the pointer, what runs, whether everything is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QToolButton, QWidget

from app.text import mark, plural, tr
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import set_tone, toned
from app.ui.shell.icons import make_icon
from app.ui.shell.theme import Theme

if TYPE_CHECKING:  # the journal and its database come after the first frame
    from app.services.autosave import SaveState
    from app.services.jobs import Job

#: Of the line, and of the bar around it, in px.
HEIGHT, BAR_HEIGHT = 28, 32
#: Width of the progress bar, half of it in a line below the second width, px.
_BAR, _NARROW = 200, 1000
#: By the values of SaveState.
_SAVE_TEXTS = {
    "saved": (mark("saved"), "good", mark("All steps and mask files are saved.")),
    "dirty": (mark("saved"), "good", mark("All steps are saved; the mask file is written after a short delay.")),
    "saving": (mark("saving…"), "accent", mark("A mask file is being written.")),
    "failed": (mark("not saved"), "bad", mark("The disk cannot be written. Your work is in memory and writing is retried.")),
}


class StatusLine(QWidget):
    """One row.

    Signals:
        cancelAsked(Job), messagesAsked(): the list of messages is wanted.
    """

    cancelAsked = Signal(object)
    messagesAsked = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._job: Job | None = None
        self._values = ""
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(10, 0, 12, 2)
        self.setFixedHeight(HEIGHT)  # the picture must not jump when a job starts or ends
        self.setMinimumWidth(1)  # it has the window's width: what does not fit is left out by _fit
        row.setSpacing(8)
        self.place = _Readout("muted")
        self.values = _Readout()
        self.values.setTextFormat(Qt.TextFormat.RichText)
        row.addWidget(self.place)
        row.addWidget(self.values)
        self.note = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.note.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.note.setAccessibleName(tr("About this image file"))
        row.addWidget(self.note, 1)
        self.job_text = toned("")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setFixedWidth(_BAR)
        self.cancel = QToolButton()
        self.cancel.setToolTip(tr("Stop"))
        self.cancel.setAccessibleName(tr("Cancel running job"))
        self.cancel.clicked.connect(lambda: self.cancelAsked.emit(self._job) if self._job is not None else None)
        for widget in (self.job_text, self.bar, self.cancel):
            row.addWidget(widget)
        self.cancel.setFixedSize(22, 22)
        row.addSpacing(12)
        self.messages = QToolButton()
        self.messages.setProperty("quiet", True)
        self.messages.setToolTip(tr("All messages since the start, with their buttons"))
        self.messages.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.messages.setFixedHeight(22)
        self.messages.clicked.connect(self.messagesAsked)
        self.messages.hide()
        row.addWidget(self.messages)
        self.dot = _Dot(theme)
        self.save_text = toned("")
        row.addWidget(self.dot)
        row.addWidget(self.save_text)
        self.set_theme(theme)
        self.show_job(None, 0)
        self.show_save_state(None)

    def set_theme(self, theme: Theme) -> None:
        self.cancel.setIcon(make_icon("close", theme))
        self.dot.theme = theme
        self.dot.update()

    def show_messages(self, number: int) -> None:
        """How many messages the list has."""
        self.messages.setText(plural("{n} message", "{n} messages", number))
        self.messages.setVisible(number > 0)
        self._fit()

    def show_readout(self, x: int | None, y: int | None, values: str) -> None:
        """Where the pointer is and what is there; ``values`` may hold markup."""
        self.place.show_text("" if x is None or y is None else f"x {x} y {y}")
        self._values = "" if x is None else values
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.bar.setFixedWidth(_BAR if self.width() >= _NARROW else _BAR // 2)
        self._fit()

    def _fit(self) -> None:
        """Show of the values what the other parts leave room for: job, messages and what is saved never leave the window."""
        margins, used = self._row.contentsMargins(), 0
        for place in range(self._row.count()):
            item = self._row.itemAt(place)
            assert item is not None
            part = item.widget()
            if part is None:
                used += item.minimumSize().width()
            elif part is not self.values and not part.isHidden():
                used += item.minimumSize().width() + self._row.spacing()
        self.values.show_text(self._values, max(self.width() - margins.left() - margins.right() - used, 0))

    def show_note(self, text: str, warning: bool) -> None:
        """What was scaled or left out of the image in view; empty for most."""
        set_tone(self.note, "warn" if warning else "muted")
        self.note.set_text(text)

    def show_job(self, job: Job | None, others: int) -> None:
        """The job that runs longest, and how many run beside it."""
        self._job = job
        for widget in (self.job_text, self.bar, self.cancel):
            widget.setVisible(job is not None)
        if job is None:
            self._fit()
            return
        parts = [
            tr("{title} {done} of {steps}", title=job.title, done=job.done_steps, steps=job.steps) if job.steps > 1 else job.title
        ]
        left = job.seconds_left()
        if job.cancel_asked:
            parts.append(tr("stopping…"))
        elif left is not None and round(left) > 0:  # a last step that is not counted may take much longer than 0:00
            parts.append(tr("{clock} left", clock=clock(left)))
        if others:
            parts.append(f"+{others}")
        self.job_text.setText(" · ".join(parts))
        self.job_text.setToolTip(job.text)
        if job.steps:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(job.fraction * 1000))
        else:
            self.bar.setRange(0, 0)
        self.cancel.setEnabled(job.can_cancel)
        self._fit()

    def show_save_state(self, state: SaveState | None) -> None:
        """Whether the work is on disk; None without a project."""
        for widget in (self.dot, self.save_text):
            widget.setVisible(state is not None)
        if state is not None:
            text, token, tip = _SAVE_TEXTS[str(state)]
            self.dot.token = token
            self.dot.update()
            self.save_text.setText(tr(text))
            self.save_text.setToolTip(tr(tip))
        self._fit()


#: Room that a readout gets beside what it needs, and that of one without neighbours, in px.
_SPARE, _UNLIMITED = 24, 1 << 20
#: What stands between the parts of a readout.
_BETWEEN = (" &nbsp;·&nbsp; ", " · ")


class _Readout(QLabel):
    """A text that changes with every move of the pointer.

    Its size is fixed and only grows, until there is no text: a label of free size has Qt lay out the whole window for each text.
    """

    def __init__(self, tone: str = "") -> None:
        super().__init__()
        if tone:
            self.setProperty("tone", tone)
        self._shown = ("", _UNLIMITED)
        self.setFixedSize(0, HEIGHT - 4)

    def show_text(self, text: str, room: int = _UNLIMITED) -> None:
        """Show a text, or as many of its parts, from the first on, as have room (px)."""
        if (text, room) == self._shown:
            return
        self._shown = (text, room)
        self.setText(text)
        needed = self.sizeHint().width() if text else 0
        while needed > room and (end := max(text.rfind(sign) for sign in _BETWEEN)) > 0:
            text = text[:end]
            self.setText(text)
            needed = self.sizeHint().width()
        if needed > self.width() or self.width() > room or not text:
            self.setFixedWidth(min(needed and needed + _SPARE, room))


class _Dot(QWidget):
    """A small filled circle."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme, self.token = theme, "good"
        self.setFixedSize(10, 10)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.theme.color(self.token))
        painter.drawEllipse(1, 1, 8, 8)


def clock(seconds: float) -> str:
    """``0:09``, ``12:30``, ``1:02:00``."""
    whole = max(round(seconds), 0)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"

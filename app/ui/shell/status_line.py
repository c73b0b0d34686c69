"""The line below the picture: what is under the pointer, what runs, whether everything is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
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
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 0, 12, 2)
        self.setFixedHeight(HEIGHT)  # the picture must not jump when a job starts or ends
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
        self.bar.setFixedWidth(200)
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

    def show_readout(self, x: int | None, y: int | None, values: str) -> None:
        """Where the pointer is and what is there; ``values`` may hold markup."""
        self.place.show_text("" if x is None or y is None else f"x {x} y {y}")
        self.values.show_text("" if x is None else values)

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
            return
        parts = [
            tr("{title} {done} of {steps}", title=job.title, done=job.done_steps, steps=job.steps) if job.steps > 1 else job.title
        ]
        left = job.seconds_left()
        if job.cancel_asked:
            parts.append(tr("stopping…"))
        elif left is not None:
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


#: Room that a readout gets beside what it needs, in px.
_SPARE = 24


class _Readout(QLabel):
    """A text that changes with every move of the pointer.

    Its size is fixed and only grows, until there is no text: a label of free size has Qt lay out the whole window for each text.
    """

    def __init__(self, tone: str = "") -> None:
        super().__init__()
        if tone:
            self.setProperty("tone", tone)
        self.setFixedSize(0, HEIGHT - 4)

    def show_text(self, text: str) -> None:
        if text == self.text():
            return
        self.setText(text)
        needed = self.sizeHint().width() if text else 0
        if needed > self.width() or not text:
            self.setFixedWidth(needed and needed + _SPARE)


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

"""What the program has to say: one door for information, warnings and handled errors. Widgets only show it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from itertools import count

from PySide6.QtCore import QObject, Signal

from app.text import displayed_lines, english, error_detail, error_title
from deeplab_core.errors import AtrousError

_LOG = logging.getLogger(__name__)
_numbers = count(1)
#: Messages that the list keeps; the log has them all. The dialog makes some ten objects of Qt for each.
KEPT = 100


class Severity(IntEnum):
    """How loud a message is; errors stay until they are closed."""

    INFO = logging.INFO
    WARNING = logging.WARNING
    ERROR = logging.ERROR


@dataclass(frozen=True, slots=True)
class Choice:
    """A button on a message."""

    text: str
    run: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said.

    Attributes:
        severity: see :class:`Severity`.
        title: one clause.
        detail: cause and remedy, one or two sentences.
        replace_key: a newer message with the same key takes this one's place, so that repetitions do not pile up.
        choices: buttons.
        number: unique in this session.
        at: local time at which it was said.
    """

    severity: Severity
    title: str
    detail: str = ""
    replace_key: str = ""
    choices: tuple[Choice, ...] = ()
    number: int = 0
    at: datetime = field(default_factory=datetime.now)


class Notifier(QObject):
    """The one door. Everything said is also logged and kept in :attr:`messages`.

    Signals:
        said(Message), withdrawn(replace_key), changed(): of the list of messages.
    """

    said = Signal(object)
    withdrawn = Signal(str)
    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.messages: list[Message] = []
        self._remedies: dict[type[AtrousError], tuple[str, tuple[Choice, ...]]] = {}

    def offer(self, kind: type[AtrousError], *choices: Choice, replace_key: str) -> None:
        """Put buttons on every error of a kind from now on, from any source."""
        self._remedies[kind] = replace_key, choices

    def info(self, title: str, detail: str = "", *, replace_key: str = "", choices: tuple[Choice, ...] = ()) -> None:
        self._say(Severity.INFO, title, detail, replace_key, choices)

    def warning(self, title: str, detail: str = "", *, replace_key: str = "", choices: tuple[Choice, ...] = ()) -> None:
        self._say(Severity.WARNING, title, detail, replace_key, choices)

    def error(self, title: str, detail: str = "", *, replace_key: str = "", choices: tuple[Choice, ...] = ()) -> None:
        self._say(Severity.ERROR, title, detail, replace_key, choices)

    def report(self, error: AtrousError, *, replace_key: str = "", choices: tuple[Choice, ...] = ()) -> None:
        """Say a handled error: what happened as the title, cause and remedy below it."""
        for kind, (key, offered) in self._remedies.items():
            if isinstance(error, kind):
                replace_key, choices = key, (*offered, *choices)
        self._say(Severity.ERROR, error_title(error), error_detail(error), replace_key or error.what, choices, str(error))

    def report_or_raise(self, error: Exception, *, replace_key: str = "", choices: tuple[Choice, ...] = ()) -> None:
        """Say what background work came to where the error is a handled one; raise any other, which is a bug."""
        if not isinstance(error, AtrousError):
            raise error
        self.report(error, replace_key=replace_key, choices=choices)

    def withdraw(self, replace_key: str) -> None:
        """Withdraw a message without a cause (the disk has room again); the list keeps it without its buttons."""
        self._retire(replace_key)
        self.withdrawn.emit(replace_key)
        self.changed.emit()

    def retire(self) -> None:
        """What the buttons of all messages so far are about is gone: another project is open."""
        self.messages = [replace(message, choices=()) for message in self.messages]
        self.changed.emit()

    def _retire(self, replace_key: str) -> None:
        if replace_key:
            self.messages = [
                replace(message, choices=()) if message.replace_key == replace_key else message for message in self.messages
            ]

    def _say(
        self, severity: Severity, title: str, detail: str, replace_key: str, choices: tuple[Choice, ...], logged: str = ""
    ) -> None:
        logged = logged or english(title) + (f" | {english(detail)}" if detail else "")
        _LOG.log(int(severity), "%s", displayed_lines(logged))  # logs are English
        message = Message(severity, displayed_lines(title), displayed_lines(detail), replace_key, choices, next(_numbers))
        self._retire(replace_key)
        self.messages.append(message)
        del self.messages[:-KEPT]
        self.said.emit(message)
        self.changed.emit()

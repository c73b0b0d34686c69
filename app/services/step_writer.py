"""Writes steps into a document without holding up the window: small ones at once, large ones between other events."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, QTimer, Slot

from app.state.document import Document
from app.state.patch import TilePatch

#: Steps of at most so many tiles (0.6 megapixels) are written at once, with all that follows them in some 10 ms.
AT_ONCE = 150

#: So long a turn of the event loop may be used for writing.
_TURN_SECONDS = 0.010


class StepWriter(QObject):
    """Writes one step after the other, in the order in which they come."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self._turn = QTimer(self)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._go_on)

    def write(self, document: Document, patch: TilePatch) -> None:
        """Write the 'after' side of a patch. The next change of the document, or its settling, finishes what is left."""
        self.settle()
        if len(patch.tiles) <= AT_ONCE:
            document.apply(patch)
            return
        self._document = document
        document.start(patch)
        self._turn.start()

    def settle(self) -> None:
        """Finish what is being written."""
        document, self._document = self._document, None
        self._turn.stop()
        if document is not None:
            document.settle()

    @Slot()
    def _go_on(self) -> None:
        document, end = self._document, time.perf_counter() + _TURN_SECONDS
        while document is not None and document.advance():
            if time.perf_counter() > end:
                return
        self.settle()

"""From a number to the pixels behind it: the verbs of the Judge view."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal


class InspectController(QObject):
    """Owns what is known of the folder's errors.

    Signals:
        viewAsked(): show the Judge view, or go back from it.
    """

    viewAsked = Signal()

    def toggle_view(self) -> None:
        """Show the Judge view, or go back to the picture."""
        self.viewAsked.emit()

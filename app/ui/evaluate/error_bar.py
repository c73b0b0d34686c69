"""The bar above the picture while the user goes through a list of errors: which one, how many, on and back."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from app.text import spaced, tr
from app.ui.common.elided_label import ElidedLabel
from app.ui.shell.action_builder import ActionBuilder
from app.viewmodels.evaluate.error_list import ErrorNavigation
from deeplab_core.catalogs.catalog import ClassCatalog


class ErrorBar(QFrame):
    """Shown only while a list of errors is open.

    Signals:
        closeAsked(): close the list.
    """

    closeAsked = Signal()

    def __init__(self, actions: ActionBuilder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("errorBar")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, 6, 4)
        row.setSpacing(4)
        self.text = ElidedLabel(Qt.TextElideMode.ElideRight)
        row.addWidget(self.text, 1)
        for action_id in ("inspect.previous", "inspect.next"):
            row.addWidget(actions.tool_button(action_id))
        self.to_list = QPushButton(tr("Back to the list"))
        self.to_list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.to_list.clicked.connect(actions["inspect.view"].trigger)
        actions["inspect.view"].changed.connect(lambda: self.to_list.setToolTip(actions["inspect.view"].toolTip()))
        row.addWidget(self.to_list)
        self.end = QPushButton(tr("Done"))
        self.end.setProperty("link", True)
        self.end.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.end.clicked.connect(self.closeAsked)
        row.addWidget(self.end)
        self.hide()

    def show_navigation(self, navigation: ErrorNavigation | None, catalog: ClassCatalog | None) -> None:
        """Show the place in the list; None hides the bar."""
        self.setVisible(navigation is not None and catalog is not None)
        if navigation is not None and catalog is not None:
            pixels = spaced(navigation.current.pixels)
            place = tr("{place} of {components}", place=navigation.place + 1, components=len(navigation.components))
            self.text.set_text(
                tr("{title} · {place} · {pixels} px", title=navigation.query.title(catalog), place=place, pixels=pixels)
            )

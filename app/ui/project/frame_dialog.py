"""How the masks of a folder are turned: one photograph with the edges of its mask both ways."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QRadioButton, QVBoxLayout, QWidget

from app.state.ground_truth import FrameQuestion
from app.text import plural, tr
from app.ui.adapt.learn_picture import LearnPicture
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned
from app.viewmodels.project.frame_preview import FramePreview


class FrameDialog(FittedDialog):
    """Asks in which frame the masks are stored; it does not block the window.

    Signals:
        decided(str): ``"stored"`` or ``"oriented"``.
        later(): the question is put off.
    """

    decided = Signal(str)
    later = Signal()

    def __init__(self, question: FrameQuestion, preview: FramePreview, parent: QWidget | None = None) -> None:
        heading = tr("Which outline fits the image?")
        super().__init__(tr("Mask orientation"), parent, heading=heading, size=QSize(760, 620))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        column = self.column
        sentences = [
            tr(
                "{image} has EXIF orientation {orientation}, and its mask fits both the stored and the displayed orientation.",
                image=question.image,
                orientation=question.orientation,
            )
        ]
        if question.images > 1:
            others = question.images - 1
            sentences.append(plural("The same holds for at least {n} other.", "The same holds for at least {n} others.", others))
        sentences.append(tr("The answer applies to the folder and is stored in the project."))
        intro = toned(" ".join(sentences), tone="muted")
        intro.setWordWrap(True)
        column.addWidget(intro)
        folder = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        folder.setProperty("textSize", "small")
        folder.set_text(str(question.folder))
        column.addWidget(folder)
        row = QHBoxLayout()
        row.setSpacing(16)
        self.stored = QRadioButton(tr("As stored"))
        self.oriented = QRadioButton(tr("As displayed"))
        for button, pixels in ((self.stored, preview.stored), (self.oriented, preview.oriented)):
            part = QVBoxLayout()
            part.setSpacing(8)
            picture = _Picture(button.text(), pixels)
            picture.clicked.connect(button.click)
            part.addWidget(picture, 1)
            part.addWidget(button)
            button.toggled.connect(self._check)
            row.addLayout(part, 1)
        column.addLayout(row, 1)
        buttons = self.buttons
        note = toned(tr("Until then these images are not evaluated."), tone="muted", size="small")
        buttons.addWidget(note)
        buttons.addStretch(1)
        cancel = QPushButton(tr("Decide later"))
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        self.go = QPushButton(tr("Use for this folder"))
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        self.go.setEnabled(False)
        self.go.clicked.connect(self._decide)
        buttons.addWidget(cancel)
        buttons.addWidget(self.go)

    def reject(self) -> None:
        super().reject()
        self.later.emit()

    def _check(self) -> None:
        self.go.setEnabled(self.stored.isChecked() or self.oriented.isChecked())

    def _decide(self) -> None:
        self.accept()
        self.decided.emit("stored" if self.stored.isChecked() else "oriented")


class _Picture(LearnPicture):
    """A picture that can be clicked.

    Signals:
        clicked().
    """

    clicked = Signal()

    def __init__(self, name: str, pixels: NDArray[np.uint8]) -> None:
        super().__init__(name)
        self.show_picture(pixels)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.accept()
        self.clicked.emit()

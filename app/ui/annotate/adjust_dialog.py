"""Brightness, contrast and gamma of the image as it is shown; the dialog stays open beside the picture."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, QSize, Qt
from PySide6.QtWidgets import QGridLayout, QPushButton, QSlider, QWidget

from app.controllers.annotate.view import ViewState
from app.text import tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned
from app.viewmodels.annotate.adjustment import MOST, MOST_GAMMA, ImageAdjustment

#: Steps of the gamma slider from 1 to the largest.
_GAMMA_STEPS = 100


class AdjustDialog(FittedDialog):
    """Three sliders; what they change is seen at once."""

    def __init__(self, view: ViewState, parent: QWidget | None = None) -> None:
        super().__init__(tr("Brightness and contrast of the view"), parent, size=QSize(420, 0))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._view = view
        self.brightness, self.contrast, self.gamma = (QSlider(Qt.Orientation.Horizontal) for _ in range(3))
        self.brightness.setRange(-MOST, MOST)
        self.contrast.setRange(-MOST, MOST)
        self.gamma.setRange(-_GAMMA_STEPS, _GAMMA_STEPS)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(1, 1)
        self.values = [toned("", strong=True) for _ in range(3)]
        rows = ((tr("Brightness"), self.brightness), (tr("Contrast"), self.contrast), (tr("Gamma"), self.gamma))
        for place, ((title, slider), value) in enumerate(zip(rows, self.values, strict=True)):
            slider.setAccessibleName(title)
            slider.setPageStep(10)
            slider.valueChanged.connect(self._choose)
            value.setMinimumWidth(44)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            label = toned(title, tone="muted")
            label.setBuddy(slider)
            grid.addWidget(label, place, 0)
            grid.addWidget(slider, place, 1)
            grid.addWidget(value, place, 2)
        self.column.addLayout(grid)
        note = toned(
            tr("Only the view changes: labels, predictions and exports do not. It ends with the session."),
            tone="muted", size="caption",
        )  # fmt: skip
        note.setWordWrap(True)
        self.column.addWidget(note)
        self.reset = QPushButton(tr("Reset"))
        self.reset.setAutoDefault(False)
        self.reset.clicked.connect(view.reset_adjustment)
        close = QPushButton(tr("Close"))
        close.setDefault(True)
        close.clicked.connect(self.accept)
        self.buttons.addWidget(self.reset)
        self.buttons.addStretch(1)
        self.buttons.addWidget(close)
        view.adjustmentChanged.connect(self._show)
        self._show()

    def _choose(self) -> None:
        gamma = MOST_GAMMA ** (self.gamma.value() / _GAMMA_STEPS)
        self._view.set_adjustment(ImageAdjustment(self.brightness.value(), self.contrast.value(), round(gamma, 3)))

    def _show(self) -> None:
        shown = self._view.adjustment
        self.reset.setEnabled(not shown.neutral)
        places = (shown.brightness, shown.contrast, round(_GAMMA_STEPS * math.log(shown.gamma) / math.log(MOST_GAMMA)))
        texts = (_signed(shown.brightness), _signed(shown.contrast), f"{shown.gamma:.2f}")
        sliders = (self.brightness, self.contrast, self.gamma)
        for slider, place, value, text in zip(sliders, places, self.values, texts, strict=True):
            with QSignalBlocker(slider):
                slider.setValue(place)
            value.setText(text)


def _signed(number: int) -> str:
    return f"{number:+d}" if number else "0"

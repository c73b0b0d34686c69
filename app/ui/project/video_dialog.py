"""Which frames of a video become images, and what they need; the answer follows every choice."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QButtonGroup, QComboBox, QGridLayout, QPushButton, QRadioButton, QWidget

from app.controllers.project.videos import VideoController
from app.text import error_detail, plural, sentence, spaced, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.number_field import DecimalField, WholeField
from app.ui.common.panel import toned
from deeplab_core.datasets.video import FrameChoice, FramePlan
from deeplab_core.errors import AtrousError

_WIDTH, _HEIGHT, _FIELD = 540, 340, 120
#: Lines that the two texts may take, kept free from the start so that no answer makes the dialog scroll.
_LINES = 3


class VideoDialog(FittedDialog):
    """Every n-th frame, or one every so many seconds.

    Args:
        videos: answers what the frames need.
        video: the file.

    Attributes:
        every, seconds: the numbers, each behind its radio button.
        kind: PNG or JPEG.
        need: what the frames need, or why there are none.
        go: takes the frames.
        plan: the answer to the choice as it is; None until there is one.
    """

    def __init__(self, videos: VideoController, video: Path, parent: QWidget | None = None) -> None:
        super().__init__(tr("Open a video"), parent, heading=tr("Frames of {name}", name=video.name), size=QSize(_WIDTH, _HEIGHT))
        self._videos, self._video = videos, video
        self.plan: FramePlan | None = None
        self.by_number, self.by_time = (
            QRadioButton(tr("Every n-th frame; n is")),
            QRadioButton(tr("One frame every so many seconds:")),
        )
        self.by_number.setChecked(True)
        self._ways = QButtonGroup(self)
        self.every, self.seconds = WholeField(), DecimalField()
        self.every.setRange(1, 1_000_000)
        self.every.setValue(10)
        self.seconds.setRange(0.001, 86_400)
        self.seconds.setDecimals(3)
        self.seconds.setValue(0.5)
        self.seconds.lineEdit().setTextMargins(8, 0, 8, 0)
        rows = QGridLayout()
        rows.setColumnStretch(2, 1)
        self.column.addLayout(rows)
        ways: list[tuple[QRadioButton, WholeField | DecimalField]] = [(self.by_number, self.every), (self.by_time, self.seconds)]
        for place, (button, field) in enumerate(ways):
            self._ways.addButton(button)
            rows.addWidget(button, place, 0)
            rows.addWidget(field, place, 1)
            field.setFixedWidth(_FIELD)
            field.setAccessibleName(button.text())
            field.valueChanged.connect(lambda _value, chosen=button: chosen.setChecked(True))
            field.valueChanged.connect(self._ask)
            button.toggled.connect(lambda on: self._ask() if on else None)
        self.kind = QComboBox()
        self.kind.addItem(tr("PNG: the decoded pixels"), "png")
        self.kind.addItem(tr("JPEG: about a tenth of the disk"), "jpg")
        self.kind.setAccessibleName(tr("Format of the frames"))
        self.kind.currentIndexChanged.connect(self._ask)
        self.column.addWidget(self.kind)
        self.facts, self.need = toned(tone="muted"), toned()
        for label in (self.facts, self.need):
            label.setWordWrap(True)
            self.column.addWidget(label)
        self.facts.setMinimumHeight(self.facts.fontMetrics().lineSpacing())
        self.need.setMinimumHeight(_LINES * self.need.fontMetrics().lineSpacing())
        self.need.setAlignment(Qt.AlignmentFlag.AlignTop)
        leave, self.go = QPushButton(tr("Cancel")), QPushButton(tr("Read frames and open"))
        leave.setAutoDefault(False)
        leave.clicked.connect(self.reject)
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        self.go.clicked.connect(self.accept)
        self.buttons.addStretch(1)
        self.buttons.addWidget(leave)
        self.buttons.addWidget(self.go)
        videos.planned.connect(self._show)
        videos.refused.connect(self._refuse)
        self._ask()

    def choice(self) -> FrameChoice:
        """What is chosen."""
        numbered = self.by_number.isChecked()
        return FrameChoice(
            every=self.every.value() if numbered else None,
            seconds=None if numbered else self.seconds.value(),
            kind="jpg" if self.kind.currentData() == "jpg" else "png",
        )

    def _ask(self) -> None:
        self.plan = None
        self.go.setEnabled(False)
        self.need.setText(tr("Looking at the video…"))
        self._videos.plan(self._video, self.choice())

    def _show(self, plan: FramePlan) -> None:
        if plan.info.path != self._video:
            return
        self.plan = plan
        info = plan.info
        self.facts.setText(
            tr(
                "{width} x {height} px, {frames}, {seconds} s", width=info.width, height=info.height,
                frames=plural("{n} frame", "{n} frames", info.declared) if info.declared else tr("an unknown number of frames"),
                seconds=spaced(round(info.seconds)) if info.seconds else "?",
            )
        )  # fmt: skip
        need = tr(
            "{frames}, about {need} of {free} that are free, in the folder {folder} beside the video.",
            frames=plural("About {n} frame", "About {n} frames", plan.frames) if plan.frames else tr("Some frames"),
            need=_size(plan.nbytes), free=_size(plan.free), folder=plan.folder.name,
        )  # fmt: skip
        if plan.there:
            need += " " + tr("{there} are there already.", there=plural("{n} frame", "{n} frames", plan.there))
        if not plan.fits:
            need = tr("The disk has too little room.") + " " + need
        self.need.setText(need)
        self.go.setEnabled(plan.fits)

    def _refuse(self, error: AtrousError) -> None:
        self.need.setText(f"{sentence(error.what)} {error_detail(error)}")


def _size(nbytes: int) -> str:
    if nbytes >= 1e9:
        return tr("{gigabytes} GB", gigabytes=f"{nbytes / 1e9:.1f}")
    return tr("{megabytes} MB", megabytes=max(round(nbytes / 1e6), 1))

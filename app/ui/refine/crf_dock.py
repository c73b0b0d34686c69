"""The dense CRF: parameters, what they would do with the mask, and taking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.text import mark, percent, points, spaced, tr
from app.ui.common.panel import Panel, WholeRows, set_primary, set_tone, toned
from app.ui.common.param_slider import ParamSlider
from app.ui.common.tips import rich_tip
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.icons import make_icon
from app.ui.shell.theme import Theme

if TYPE_CHECKING:
    from app.controllers.refine.preview import RefineStatus
    from app.controllers.refine.settings import CRFChoice
    from app.state.refinement import RefineFigures
    from deeplab_core.records import CRFParams

_ROW, _SWATCH, _NUMBER, _GAP = 20, 9, 44, 10
#: Height of the buttons that change what the picture shows, in px.
_SEGMENT = 28
#: A difference that two decimals would show as none.
_NOTHING = 0.0005


class CRFFigures(QWidget):
    """A painted table: class, IoU before, after, and the difference in points."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._figures: RefineFigures | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("IoU before and after the CRF"))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_figures(self, figures: RefineFigures | None) -> None:
        """Show the figures of a preview, or nothing."""
        self._figures = figures
        self.setAccessibleDescription("" if figures is None else "; ".join(self._spoken(figures)))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        rows = 0 if self._figures is None else len(self._figures.classes) + 2
        return QSize(200, rows * _ROW)

    def paintEvent(self, _event: QPaintEvent) -> None:
        figures = self._figures
        if figures is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_row(painter, 0, tr("mIoU"), None, figures.before, figures.after, strong=True)
        for place, row in enumerate(figures.classes, start=1):
            self._paint_row(painter, place, row.name, QColor(*row.color), row.before, row.after)
        painter.setFont(self._theme.font("small"))
        painter.setPen(self._theme.color("muted"))
        room = QRectF(0, (len(figures.classes) + 1) * _ROW, self.width(), _ROW)
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, balance(figures))
        painter.end()

    def _paint_row(
        self, painter: QPainter, place: int, name: str, color: QColor | None, before: float, after: float, *, strong: bool = False
    ) -> None:
        theme = self._theme
        top, width = place * _ROW, self.width()
        left = 0.0
        if color is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawRoundedRect(QRectF(0, top + (_ROW - _SWATCH) / 2, _SWATCH, _SWATCH), 2, 2)
            left = _SWATCH + 8
        font = theme.font("small")
        font.setWeight(QFont.Weight.DemiBold if strong else QFont.Weight.Normal)
        painter.setFont(font)
        numbers = width - 3 * _NUMBER - _GAP
        painter.setPen(theme.color("text"))
        elided = QFontMetrics(font).elidedText(name, Qt.TextElideMode.ElideRight, round(numbers - left))
        painter.drawText(QRectF(left, top, numbers - left, _ROW), Qt.AlignmentFlag.AlignVCenter, elided)
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.setPen(theme.color("muted"))
        painter.drawText(QRectF(numbers, top, _NUMBER, _ROW), right, _iou(before))
        painter.setPen(theme.color("text"))
        painter.drawText(QRectF(numbers + _NUMBER, top, _NUMBER, _ROW), right, _iou(after))
        text, tone = difference(before, after)
        painter.setPen(theme.color(tone))
        painter.drawText(QRectF(numbers + 2 * _NUMBER, top, _NUMBER + _GAP, _ROW), right, text)

    def _spoken(self, figures: RefineFigures) -> list[str]:
        rows = [
            tr("{name} {before} to {after}", name=row.name, before=_iou(row.before), after=_iou(row.after))
            for row in figures.classes
        ]
        return [tr("mean {before} to {after}", before=_iou(figures.before), after=_iou(figures.after)), *rows, balance(figures)]


def difference(before: float, after: float) -> tuple[str, str]:
    """Text in points (hundredths of IoU) and tone of a difference."""
    change = (0.0 if isnan(after) else after) - (0.0 if isnan(before) else before)
    if abs(change) < _NOTHING:
        return "0.0", "faint"
    return points(change), "good" if change > 0 else "bad"


def balance(figures: RefineFigures) -> str:
    """How many pixels are put right and how many are spoiled."""
    won, lost = (spaced(pixels) for pixels in (figures.won, figures.lost))
    return tr("fixes {won} px, breaks {lost}", won=won, lost=lost)


def _iou(value: float) -> str:
    return percent(value)


#: Field of CRFParams, text, ends, decimals, logarithmic, tip.
_SLIDERS = (
    ("bilateral_compat", mark("Appearance weight"), 0, 20, 1, False,
     mark("How strongly pixels of similar colour attract each other (w1)")),
    ("bilateral_sxy", mark("Appearance range"), 5, 160, 0, True, mark("Range of the appearance kernel, in px (sigma alpha)")),
    ("bilateral_srgb", mark("Colour tolerance"), 1, 40, 1, True,
     mark("Colour difference that still counts as similar, of 255 (sigma beta)")),
    ("gaussian_compat", mark("Smoothness weight"), 0, 20, 1, False,
     mark("How strongly neighbours attract each other, whatever their colour (w2)")),
    ("gaussian_sxy", mark("Smoothness range"), 0.5, 20, 1, True, mark("Range of the smoothness kernel, in px (sigma gamma)")),
    ("iterations", mark("Iterations"), 0, 20, 0, False, mark("Mean field iterations; 10 is usual")),
    ("temperature", mark("Temperature"), 0.2, 5, 2, True, mark("Above 1 softens an overconfident network")),
)  # fmt: skip
#: The sliders that matter most; the others are below 'More'.
_FIRST = ("bilateral_compat", "bilateral_sxy", "bilateral_srgb")
_NORMALIZATIONS = (
    ("symmetric", mark("Symmetric normalisation (pydensecrf)")),
    ("after", mark("Normalised after (authors' library)")),
    ("none", mark("Not normalised")),
)
_PHASES = {
    "off": mark("off"),
    "waiting": mark("refining…"),
    "quick": mark("draft"),
    "exact": mark("exact"),
    "no scores": mark("no scores"),
}
_NO_SCORES = mark(
    "No class scores for this image. Scores are kept only for recent images and are lost on restart. Run "
    "the model again, or refine the mask itself."
)


class CRFDock(Panel):
    """Presets, sliders, figures and the ways to take the result. The labels of its buttons are those of the commands.

    Signals:
        paramsChosen(CRFParams, dragging): from a slider, a field or the normalisation.
        presetChosen(name), openAsked(): a preset or a file of the list; another file is wanted.
        baseChosen("scores" | "mask"), scopeChosen("image" | "band"), certaintyChosen(0..1, dragging).
        beforeHeld(bool): the mask as it is, while a button is down.
        runAsked(), maskAsked(): what to do without scores.
    """

    paramsChosen = Signal(object, bool)
    presetChosen = Signal(str)
    openAsked = Signal()
    baseChosen = Signal(str)
    scopeChosen = Signal(str)
    certaintyChosen = Signal(float, bool)
    beforeHeld = Signal(bool)
    runAsked = Signal()
    maskAsked = Signal()

    def __init__(self, theme: Theme, actions: ActionBuilder) -> None:
        super().__init__("crf", tr("CRF"))
        self._theme, self._actions = theme, actions
        self._params: CRFParams | None = None
        self._choices: list[CRFChoice] = []
        self.figure = toned("", tone="muted", size="small")
        self.header.addWidget(self.figure)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(5)
        column.addLayout(self._build_top())
        self.missing = self._build_missing()
        column.addWidget(self.missing)
        column.addLayout(self._build_display())
        self.sliders: dict[str, ParamSlider] = {}
        rows, self._rest = QVBoxLayout(), QWidget()
        rows.setSpacing(1)
        rest = QVBoxLayout(self._rest)
        rest.setContentsMargins(0, 0, 0, 0)
        rest.setSpacing(1)
        for name, text, low, high, decimals, logarithmic, tip in _SLIDERS:
            slider = ParamSlider(tr(text), low, high, decimals=decimals, logarithmic=logarithmic, tip=tr(tip))
            slider.changed.connect(lambda value, dragging, name=name: self._emit_value(name, value, dragging))
            self.sliders[name] = slider
            (rows if name in _FIRST else rest).addWidget(slider)
        self.certainty = ParamSlider(
            tr("Certainty"), 0.34, 0.99, decimals=2, tip=tr("How certain the labels of the mask are taken to be")
        )
        self.certainty.changed.connect(self.certaintyChosen)
        rows.addWidget(self.certainty)
        column.addLayout(rows)
        rest.addLayout(self._build_places())
        column.addWidget(self._build_more())
        column.addWidget(self._rest)
        self.figures = CRFFigures(theme)
        column.addWidget(self.figures)
        column.addStretch(1)
        scroll = WholeRows(page)
        scroll.setMinimumHeight(32)
        self.body.addWidget(scroll, 1)
        self.status = toned("", tone="muted", size="small")
        self.status.setWordWrap(True)
        self.body.addWidget(self.status)
        self.body.addLayout(self._build_buttons())
        self.body.setContentsMargins(12, 2, 4, 10)
        self.body.setSpacing(6)
        self.missing.hide()
        self.certainty.hide()
        self._rest.hide()

    # -- what the controllers say ----------------------------------------------------------------------------------------

    def show_choices(self, choices: Sequence[CRFChoice], params: CRFParams) -> None:
        """List presets and files, and show the current parameters."""
        self._params, self._choices = params, list(choices)
        with QSignalBlocker(self.presets):
            self.presets.clear()
            for place, choice in enumerate(choices):
                self.presets.addItem(tr(choice.title), choice.name)
                self.presets.setItemData(place, choice.tip, Qt.ItemDataRole.ToolTipRole)
            self.presets.insertSeparator(self.presets.count())
            self.presets.addItem(tr("Open a search report…"))
            places = [place for place, choice in enumerate(choices) if choice.params == params]
            self.presets.setCurrentIndex(places[0] if places else -1)
        self.presets.setToolTip(choices[places[0]].tip if places else "")
        for name, slider in self.sliders.items():
            slider.show_value(float(getattr(params, name)))
        with QSignalBlocker(self.normalization):
            self.normalization.setCurrentIndex(self.normalization.findData(params.normalization))

    def show_options(self, base: str, scope: str, certainty: float) -> None:
        """Show what is refined, and where."""
        for box, value in ((self.base, base), (self.scope, scope)):
            with QSignalBlocker(box):
                box.setCurrentIndex(box.findData(value))
        self.certainty.show_value(certainty)
        self.certainty.setVisible(base == "mask")
        if base != "scores" or scope != "image":
            self.more.setChecked(True)  # what is unusual is seen

    def show_status(self, status: RefineStatus) -> None:
        """Say how far the preview is, and how much it would change."""
        self.missing.setVisible(status.phase == "no scores")
        set_primary(self.apply, status.phase in ("quick", "exact"))  # there is something to apply
        parts = [tr(_PHASES[status.phase])]
        if status.phase in ("quick", "exact"):
            parts.append(tr("{milliseconds} ms", milliseconds=spaced(round(status.milliseconds))))
        self.figure.setText(" · ".join(parts))
        set_tone(self.figure, "warn" if status.phase == "no scores" else "muted")
        text = ""
        if status.changed is not None and status.phase in ("quick", "exact"):
            text = tr("Would change {changed} px ({value:.1f} %).", changed=spaced(status.changed), value=100 * status.share)
        self.status.setText(f"{text} {status.note}".strip())
        self.status.setVisible(bool(self.status.text()))

    def show_figures(self, figures: RefineFigures | None) -> None:
        """Show IoU before and after, where truth is there."""
        self.figures.show_figures(figures)
        if figures is not None:
            text, tone = difference(figures.before, figures.after)
            self.figure.setText(tr("mIoU {text}", text=text))
            set_tone(self.figure, "muted" if tone == "faint" else tone)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.figures.set_theme(theme)
        self._show_more()

    # -- building --------------------------------------------------------------------------------------------------------

    def _build_top(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.presets = _combo(tr("CRF parameters"))
        self.presets.activated.connect(self._choose)
        self.preview = QPushButton(tr("Preview"))
        self.preview.setCheckable(True)
        self._follow(self.preview, "refine.preview")
        row.addWidget(self.presets, 1)
        row.addWidget(self.preview)
        return row

    def _build_missing(self) -> QWidget:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        text = toned(tr(_NO_SCORES), tone="warn", size="small")
        text.setWordWrap(True)
        column.addWidget(text)
        row = QHBoxLayout()
        self.run_button, self.mask_button = QPushButton(tr("Run the model")), QPushButton(tr("Refine the mask"))
        self.run_button.clicked.connect(self.runAsked)
        self.mask_button.clicked.connect(self.maskAsked)
        row.addWidget(self.run_button)
        row.addWidget(self.mask_button)
        row.addStretch(1)
        column.addLayout(row)
        return box

    def _build_display(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        self.before = QToolButton()
        self.before.setText(tr("Before"))
        self.before.setToolTip(rich_tip(tr("<b>Before</b><br>Hold to see the current mask; the blink key does the same")))
        self.before.pressed.connect(lambda: self.beforeHeld.emit(True))
        self.before.released.connect(lambda: self.beforeHeld.emit(False))
        segments = [self.before]
        for action_id, text in (
            ("refine.split", tr("Split")),
            ("refine.changes", tr("Changes")),
            ("refine.scribble", tr("Scribble")),
        ):
            button = self._actions.tool_button(action_id)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
            button.setText(text)
            segments.append(button)
            # A default action would put its own, longer text back with every change of its state.
            self._actions[action_id].changed.connect(lambda button=button, text=text: button.setText(text))
        for button in segments:
            button.setObjectName("segment")
            button.setFixedHeight(_SEGMENT)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            row.addWidget(button, 1)
        return row

    def _build_more(self) -> QToolButton:
        """What unfolds the parameters that are changed less often."""
        self.more = QToolButton()
        self.more.setProperty("quiet", True)
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setText(tr("More"))
        self.more.setToolTip(tr("Smoothness, iterations, temperature, input, region and normalisation"))
        self.more.toggled.connect(self._rest.setVisible)
        self.more.toggled.connect(lambda _on: self._show_more())
        return self.more

    def _show_more(self) -> None:
        self.more.setIcon(make_icon("chevron-down" if self.more.isChecked() else "chevron-right", self._theme, checked="text"))

    def _build_places(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(5)
        self.normalization = _combo(tr("Normalisation"))
        for value, text in _NORMALIZATIONS:
            self.normalization.addItem(tr(text), value)
        self.normalization.setToolTip(tr("How the kernels are normalised; published weights belong to one or the other"))
        self.normalization.activated.connect(
            lambda _place: self._emit_value("normalization", self.normalization.currentData(), False)
        )  # fmt: skip
        self.base = _combo(tr("Input"))
        self.base.addItem(tr("Network scores"), "scores")
        self.base.addItem(tr("Mask itself"), "mask")
        self.base.setToolTip(tr("Input: the class scores of the network, or the labels of the current mask"))
        self.base.activated.connect(lambda _place: self.baseChosen.emit(self.base.currentData()))
        self.scope = _combo(tr("Region"))
        self.scope.addItem(tr("Whole image"), "image")
        self.scope.addItem(tr("Trimap band"), "band")
        self.scope.setToolTip(tr("Region that may change: the whole image, or the trimap band of the chosen width"))
        self.scope.activated.connect(lambda _place: self.scopeChosen.emit(self.scope.currentData()))
        pair = QHBoxLayout()
        pair.setSpacing(6)
        pair.addWidget(self.base, 5)  # the longer words
        pair.addWidget(self.scope, 4)
        column.addLayout(pair)
        column.addWidget(self.normalization)
        return column

    def _build_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        row.setContentsMargins(0, 0, 8, 0)
        self.apply = QPushButton(tr("Apply"))
        self.outline, self.folder, self.discard = (
            QPushButton(tr("In outline…")),
            QPushButton(tr("To folder…")),
            QPushButton(tr("Discard")),
        )
        self.outline.setCheckable(True)
        for button, action_id in (
            (self.apply, "refine.apply"), (self.outline, "refine.region"), (self.folder, "refine.folder"),
            (self.discard, "refine.discard"),
        ):  # fmt: skip
            self._follow(button, action_id)
            button.setProperty("tight", True)
            row.addWidget(button)
        return row

    def _follow(self, button: QPushButton, action_id: str) -> None:
        """Let a button do what a command does, and be what it is."""
        action = self._actions[action_id]

        def show() -> None:
            button.setEnabled(action.isEnabled())
            button.setToolTip(action.toolTip())
            if button.isCheckable():
                button.setChecked(action.isChecked())

        def run() -> None:
            action.trigger()
            show()

        action.changed.connect(show)
        button.clicked.connect(run)
        show()

    # -- user actions ---------------------------------------------------------------------------------------------------

    def _choose(self, place: int) -> None:
        if place == self.presets.count() - 1:
            self.openAsked.emit()
        elif place < len(self._choices):
            self.presetChosen.emit(self._choices[place].name)

    def _emit_value(self, name: str, value: float | str, dragging: bool) -> None:
        if self._params is None:
            return
        changed: dict[str, Any] = {name: round(float(value)) if name == "iterations" else value}
        self._params = replace(self._params, **changed)
        self.paramsChosen.emit(self._params, dragging)


def _combo(name: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    return box

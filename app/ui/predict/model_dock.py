"""The model: which one, what it knows, where it really runs, how it is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPalette, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QWidget,
)

from app.text import mark, plural, spaced, tr
from app.ui.common.elided_box import ElidedBox
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import Panel, WholeRows, set_tone, toned
from app.ui.common.param_slider import ParamSlider
from app.ui.shell.icons import make_icon
from app.ui.shell.theme import Theme
from app.viewmodels.predict.model_view import DeviceView, ModelChoice, RunSettings
from deeplab_core.flavour import has_torch
from deeplab_core.kernels.compiled import multiplies_tiles

_SCALES = (("1", "1"), ("0.75 1 1.25", mark("3 scales")), ("0.5 0.75 1 1.25 1.5 1.75", mark("6 scales")))
_NO_MODEL = mark(
    "No model yet. Choose 'Get a model…' in the list above, open a model file, drop one on the window, "
    "or set a model folder in the settings."
)
_OPEN, _GET = mark("Open a model file…"), mark("Get a model…")
_LEARN = mark("Adapt the model to your corrections; compare before and after, then decide")
_PRECISIONS = (("auto", "auto"), ("fp32", "fp32"), ("bf16", "bf16"), ("fp16", "fp16"))
_ENGINES = (
    ("torch", "torch"),
    ("auto", mark("fastest")),
    ("onnx", mark("ONNX Runtime")),
    ("openvino", mark("OpenVINO")),
    ("amx", mark("AMX")),
)

#: Role of the line about a model in the opened list; the closed box shows the title only.
_LINE = Qt.ItemDataRole.UserRole + 1
#: Height of a separator, and the widest list, in px.
_GAP, _WIDEST = 9, 840
#: Height that a window keeps for what is around the inference options, and the least height of these, in px.
_OTHERS, _LEAST_OPTIONS = 470, 34


class _ModelLine(QStyledItemDelegate):
    """Shows title and line of a model in the opened list, and separators as a line."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        line = index.data(_LINE)
        if line:
            option.text = tr("{title}: {line}", title=index.data(), line=line)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        if not _is_separator(index):
            super().paint(painter, option, index)
            return
        rect, palette = option.rect, option.palette
        painter.setPen(palette.color(QPalette.ColorRole.Mid))
        painter.drawLine(rect.left(), rect.center().y(), rect.right(), rect.center().y())

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(0, _GAP) if _is_separator(index) else super().sizeHint(option, index)


def _is_separator(index: QModelIndex | QPersistentModelIndex) -> bool:
    return bool(index.data(Qt.ItemDataRole.AccessibleDescriptionRole) == "separator")  # as QComboBox marks them


def _engines(chosen: str) -> list[tuple[str, str]]:
    """Setting and name of each engine. Without PyTorch, ONNX Runtime computes, whatever was chosen with it.

    AMX cannot be installed: it is shown where the processor has it.
    """
    if not has_torch():
        return [(chosen, tr("ONNX Runtime"))]
    return [(key, tr(text)) for key, text in _ENGINES if key != "amx" or key == chosen or multiplies_tiles()]


class ModelDock(Panel):
    """Choice of the model and of the way it is run.

    Signals:
        modelChosen(Path), openAsked(): a file is wanted, getAsked(): a published one is wanted.
        thresholdChosen(value, dragging): of a two-class model.
        optionsAsked(): what the weights do not tell is to be shown.
        settingsChosen(RunSettings), runImageAsked(), runFolderAsked(), learnAsked().
    """

    modelChosen = Signal(object)
    openAsked = Signal()
    getAsked = Signal()
    optionsAsked = Signal()
    settingsChosen = Signal(object)
    thresholdChosen = Signal(float, bool)
    runImageAsked = Signal()
    runFolderAsked = Signal()
    learnAsked = Signal()

    def __init__(self) -> None:
        super().__init__("model", tr("Model"))
        self.device = toned("", tone="muted", size="small")
        self.header.addWidget(self.device)
        self._choices: list[ModelChoice] = []
        self._current = -1
        self.models = ElidedBox()
        self.models.currentTextChanged.connect(self.models.setToolTip)
        self.models.setAccessibleName(tr("Model"))
        self.models.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.models.setMinimumContentsLength(12)
        self.models.setItemDelegate(_ModelLine(self.models))
        self.models.activated.connect(self._choose)
        self.body.addWidget(self.models)
        self.summary = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.summary.setProperty("textSize", "small")
        self.body.addWidget(self.summary)
        self.guesses = QToolButton()
        self.guesses.setProperty("quiet", True)
        self.guesses.clicked.connect(self.optionsAsked)
        self.guesses.hide()
        self.body.addWidget(self.guesses)
        self.reason = toned("", tone="warn", size="small")
        self.reason.setWordWrap(True)
        self.reason.hide()
        self.body.addWidget(self.reason)
        self.threshold = ParamSlider(
            tr("Threshold"), 0.01, 0.99, decimals=2,
            tip=tr("Pixels with a probability above this become the object; your own pixels stay"),
        )  # fmt: skip
        self.threshold.field.setRange(0.01, 0.99)
        self.threshold.changed.connect(self.thresholdChosen)
        self.threshold.hide()
        self.body.addWidget(self.threshold)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        self.run_image = QPushButton(tr("Run image"))
        self.run_image.clicked.connect(self.runImageAsked)
        self.run_folder = QPushButton(tr("Run folder"))
        self.run_folder.clicked.connect(self.runFolderAsked)
        self.learn = QPushButton(tr("Learn…"))
        self.learn.setToolTip(tr(_LEARN))
        self.learn.clicked.connect(self.learnAsked)
        self.more = QToolButton()
        self.more.setProperty("quiet", True)
        self.more.setAccessibleName(tr("Inference options"))
        self.more.setToolTip(tr("Inference options: output stride, scales, device, precision"))
        self.more.setCheckable(True)
        self.more.toggled.connect(self._show_settings)
        for widget in (self.run_image, self.run_folder, self.learn):
            widget.setProperty("tight", True)
            buttons.addWidget(widget, 1)
        buttons.addWidget(self.more)
        self.body.addLayout(buttons)
        self._options = self._build_settings()
        self.settings = WholeRows(self._options)
        self.settings.hide()
        self.body.addWidget(self.settings)
        self.hint = toned(tr(_NO_MODEL), tone="muted", size="small")
        self.hint.setWordWrap(True)
        self.hint.setMinimumHeight(self.hint.fontMetrics().lineSpacing() * 4)
        self.body.insertWidget(2, self.hint)
        self.body.addStretch(1)
        self.show_models([], None)

    def set_theme(self, theme: Theme) -> None:
        """Draw the icon in the theme's colours."""
        self.more.setIcon(make_icon("settings", theme))

    def show_models(self, choices: Sequence[ModelChoice], current: Path | None) -> None:
        """List what can be loaded; ``current`` is the one in use."""
        self._choices = list(choices)
        with QSignalBlocker(self.models):
            self.models.clear()
            for choice in choices:
                self.models.addItem(choice.title, choice.path)
                self.models.setItemData(self.models.count() - 1, choice.tooltip, Qt.ItemDataRole.ToolTipRole)
                self.models.setItemData(self.models.count() - 1, choice.figures, _LINE)
            if not choices:
                self.models.addItem(tr("No model yet"))
            self.models.insertSeparator(self.models.count())
            self.models.addItem(tr(_OPEN))
            self.models.addItem(tr(_GET))
            places = [place for place, choice in enumerate(choices) if choice.path == current]
            self._current = places[0] if places else (-1 if choices else 0)
            self.models.setCurrentIndex(self._current)
        list_of_models = self.models.view()
        list_of_models.setMinimumWidth(min(_WIDEST, list_of_models.sizeHintForColumn(0) + 2 * _GAP))
        self.hint.setVisible(not choices)
        self.summary.setVisible(bool(choices))

    def show_card(self, summary: str, tooltip: str = "", guesses: str = "") -> None:
        """What the model in use knows and where it comes from, and what is guessed about it."""
        count = guesses.count(",") + 1
        self.guesses.setText(plural("{n} value is guessed…", "{n} values are guessed…", count))
        self.guesses.setAccessibleName(guesses)
        self.guesses.setToolTip(tr("{guesses}.\nClick to view and set the values.", guesses=guesses))
        self.guesses.setVisible(bool(guesses))
        self.summary.set_text(summary)
        self.summary.setToolTip(f"{summary}\n{tooltip}")

    def show_device(self, view: DeviceView) -> None:
        """The device that is really used, how long the last image took, and why it is not the one asked for."""
        parts = [view.device] if view.device else []
        if view.milliseconds is not None:
            parts.append(tr("{milliseconds} ms", milliseconds=spaced(round(view.milliseconds))))
        self.device.setText(" · ".join(parts) or view.state)
        self.device.setToolTip(view.tooltip)
        self.models.setPlaceholderText(view.state[:1].upper() + view.state[1:])  # "Loading…": a tab covers the header
        set_tone(self.device, "warn" if view.trouble else "muted")
        self.reason.setText(view.reason)
        self.reason.setVisible(bool(view.reason))

    def show_run_settings(self, settings: RunSettings, strides: Sequence[int], devices: Sequence[tuple[str, str]]) -> None:
        """Fill the controls; ``strides`` and ``devices`` are what can be chosen."""
        pairs: list[tuple[QComboBox, list[tuple[object, str]], object]] = [
            (self.stride, [(0, tr("as trained")), *((stride, str(stride)) for stride in strides)], settings.output_stride),
            (self.scales, [(key, tr(text)) for key, text in _SCALES], settings.scales),
            (self.device_choice, [*devices], settings.device),
            (self.precision, [*_PRECISIONS], settings.precision),
            (self.engine, [*_engines(settings.engine)], settings.engine),
        ]
        for box, items, value in pairs:
            with QSignalBlocker(box):
                box.clear()
                for data, text in items:
                    box.addItem(text, data)
                if box.findData(value) < 0:
                    box.addItem(str(value), value)
                box.setCurrentIndex(box.findData(value))
        with QSignalBlocker(self.flip):
            self.flip.setChecked(settings.flip)

    def show_threshold(self, value: float) -> None:
        """The threshold of a two-class model, 0..1; 0 hides it: other models have none."""
        self.threshold.setVisible(value > 0)
        if value > 0:
            self.threshold.show_value(value)

    def set_runnable(self, image: bool, folder: bool, learn: bool, refusal: str = "") -> None:
        """Whether the buttons can do their work now; ``refusal`` says why this installation cannot learn."""
        self.run_image.setEnabled(image)
        self.run_folder.setEnabled(folder)
        self.learn.setEnabled(learn)
        self.learn.setToolTip(refusal or tr(_LEARN))

    def _build_settings(self) -> QWidget:
        box = QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 2, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(6)
        self.stride, self.scales, self.device_choice = QComboBox(), QComboBox(), QComboBox()
        self.precision, self.engine = QComboBox(), QComboBox()
        self.flip = QCheckBox(tr("also mirrored"))
        self.flip.setToolTip(tr("Averages the probabilities with those of the mirrored image: better borders, twice the time"))
        rows = (
            (tr("Output stride"), self.stride, tr("8 resolves finer borders than 16 and takes about four times as long")),
            (tr("Scales"), self.scales, tr("Averages the probabilities over the scales: better masks, several times the time")),
            (tr("Device"), self.device_choice, tr("auto uses a GPU if one is available")),
            (tr("Precision"), self.precision, tr("auto uses fp32 on a CPU")),
            (
                tr("Engine"),
                self.engine,
                tr("ONNX Runtime computes in this light installation; other engines need PyTorch")
                if not has_torch()
                else tr(
                    "What computes on a CPU. 'fastest' tries the installed engines once for each model and size; "
                    "other engines than torch may differ at ties"
                ),
            ),
        )
        for place, (text, widget, tip) in enumerate(rows):
            label = toned(text, tone="muted", size="small")
            label.setBuddy(widget)
            widget.setAccessibleName(text)
            widget.setToolTip(tip)
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            widget.activated.connect(self._emit_settings)
            grid.addWidget(label, place, 0)
            grid.addWidget(widget, place, 1)
        grid.addWidget(self.flip, len(rows), 1)
        grid.setColumnStretch(1, 1)
        self.flip.toggled.connect(self._emit_settings)
        return box

    def _show_settings(self, on: bool) -> None:
        self._fit_settings()
        self.settings.setVisible(on)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.window().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and watched is self.window():
            self._fit_settings()
        return super().eventFilter(watched, event)

    def _fit_settings(self) -> None:
        """The options as a whole, or as many as a low window has room for beside the other panels; the others are scrolled to."""
        whole = self._options.sizeHint().height()
        self.settings.setFixedHeight(min(whole, max(self.window().height() - _OTHERS, _LEAST_OPTIONS)))

    def _choose(self, place: int) -> None:
        if self.models.itemText(place) in (tr(_OPEN), tr(_GET)) and place >= self.models.count() - 2:
            self.models.setCurrentIndex(self._current)  # a question, not a model
            (self.openAsked if self.models.itemText(place) == tr(_OPEN) else self.getAsked).emit()
        elif self._choices and place < len(self._choices):
            self.modelChosen.emit(self._choices[place].path)

    def _emit_settings(self) -> None:
        self.settingsChosen.emit(
            RunSettings(
                output_stride=int(self.stride.currentData() or 0),
                scales=str(self.scales.currentData()),
                device=str(self.device_choice.currentData()),
                precision=str(self.precision.currentData()),
                engine=str(self.engine.currentData()),
                flip=self.flip.isChecked(),
            )
        )

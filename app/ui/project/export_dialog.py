"""What to export, how and where; what is already there is asked about, never overwritten silently."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QWidget,
)

from app.controllers.project.export import SCOPE_TITLES, ExportController, ExportRequest, ExportScope
from app.services.settings import SettingsStore
from app.text import displayed, error_detail, error_sentences, error_title, plural, spaced, tr
from app.ui.common.fitted_dialog import FittedDialog, bring_into_screen
from app.ui.common.panel import set_tone, toned
from app.ui.project.export_options import ExportOptions
from deeplab_core.errors import AtrousError, message
from deeplab_core.masks.export import EXPORTERS, FORMATS


class ExportDialog(FittedDialog):
    """Fills an :class:`ExportRequest`; :attr:`on_existing` is what the user decided about files that are there."""

    def __init__(
        self,
        controller: ExportController,
        settings: SettingsStore,
        folder: Path,
        parent: QWidget | None = None,
        target: Path | None = None,
    ) -> None:
        super().__init__(tr("Export masks"), parent, size=QSize(680, 0))
        self._controller, self._settings = controller, settings
        self.on_existing = "error"
        column = self.column
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(10)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        self.format = QComboBox()
        for name, entry in FORMATS.items():
            self.format.addItem(tr(entry.title), name)
        self.format.setCurrentIndex(max(self.format.findData(settings["export.format"]), 0))
        self.scope = QComboBox()
        for scope in ExportScope:
            self.scope.addItem(f"{tr(SCOPE_TITLES[scope])} ({spaced(controller.count(scope).images)})", scope)
        self.scope.setCurrentIndex(max(self.scope.findData(ExportScope(settings["export.scope"])), 0))
        if not controller.count(ExportScope(self.scope.currentData())).images:
            self.scope.setCurrentIndex(self.scope.findData(ExportScope.ALL))
        self.predictions = QCheckBox(tr("Export the prediction of images without a corrected mask"))
        self.predictions.setChecked(True)
        self.keep_rejected = QCheckBox(tr("Export the labels of rejected images too"))
        self.keep_suffix = QCheckBox(tr("Keep the image's extension in the name: a.jpg.png for a.jpg"))
        self.stored = QRadioButton(tr("As stored in the file (for training code that ignores EXIF)"))
        self.oriented = QRadioButton(tr("As displayed (EXIF orientation applied)"))
        (self.stored if settings["export.frame"] == "stored" else self.oriented).setChecked(True)
        self.target = QLineEdit(str(target or folder.parent / f"{folder.name}_export"))
        self.target.setAccessibleName(tr("Folder"))
        choose = QPushButton(tr("Choose…"))
        choose.clicked.connect(self._choose)
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(self.target, 1)
        line.addWidget(choose)
        form.addRow(tr("Format"), self.format)
        self.options = ExportOptions(form, controller.catalogs, self)
        for text, part in (
            (tr("Images"), self.scope),
            ("", self.predictions),
            ("", self.keep_rejected),
            (tr("Orientation"), self.stored),
            ("", self.oriented),
            (tr("Folder"), line),
        ):
            form.addRow(text, part)
        self.options.add_more((tr("Names"), self.keep_suffix))
        form.setRowVisible(self.keep_rejected, bool(controller.count(ExportScope.ALL).rejected))
        column.addLayout(form)
        self.note = toned("", tone="muted", size="small")
        self.note.setWordWrap(True)
        column.addWidget(self.note)
        self.existing = QWidget()
        row = QHBoxLayout(self.existing)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(16)
        self.replace = QRadioButton(tr("Replace them"))
        self.skip = QRadioButton(tr("Keep them, export the rest"))
        for button in (self.replace, self.skip):
            button.toggled.connect(self._check)
            row.addWidget(button)
        row.addStretch(1)
        column.addWidget(self.existing)
        column.addStretch(1)
        self.buttons.addStretch(1)
        cancel = QPushButton(tr("Cancel"))
        cancel.clicked.connect(self.reject)
        self.go = QPushButton(tr("Export"))
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        self.go.clicked.connect(self._accept)
        self.buttons.addWidget(cancel)
        self.buttons.addWidget(self.go)
        self.format.currentIndexChanged.connect(self._set_format)
        self.scope.currentIndexChanged.connect(self._check)
        self.options.changed.connect(self._check)
        self.options.measure.connect(self._measure)
        self.options.resized.connect(self._refit)
        controller.measured.connect(self.options.say_lost)
        controller.counted.connect(self.options.say_counted)
        self.finished.connect(controller.stop_measuring)
        self.target.textChanged.connect(self._check)
        self.predictions.toggled.connect(self._check)
        self.keep_rejected.toggled.connect(self._check)
        self.keep_suffix.toggled.connect(self._check)
        self._set_format()

    def _set_format(self) -> None:
        name = self.format.currentData()
        # Readers of some formats apply the EXIF orientation themselves: their masks are always as shown.
        for button in (self.stored, self.oriented):
            button.setEnabled(EXPORTERS[name].follows_frame)
        self.options.set_format(name)

    def request(self) -> ExportRequest:
        """What the user asked for."""
        return ExportRequest(
            format=self.format.currentData(),
            scope=ExportScope(self.scope.currentData()),
            frame="stored" if self.stored.isChecked() else "oriented",
            target=Path(self.target.text()).expanduser(),
            with_predictions=self.predictions.isChecked(),
            with_rejected=self.keep_rejected.isChecked(),
            keep_suffix=self.keep_suffix.isChecked(),
            setup=self.options.setup(),
            provenance=self.options.provenance.isChecked(),
        )

    def _measure(self, wanted: bool) -> None:
        if not wanted:
            self._controller.stop_measuring()
            return
        try:
            if self._controller.measure(self.request()):
                self.options.say_counting()
        except AtrousError as error:
            self.options.say_lost(tr(error.what), "bad")

    def _refit(self) -> None:
        """Grow and shrink with the rows that are shown, unless the user gave the dialog a size."""
        if self.isVisible() and self.size() == self._fitted_size:
            self.fit()
            bring_into_screen(self)

    def _check(self) -> None:
        """Say what would happen, before anything is written."""
        scope, keep = ExportScope(self.scope.currentData()), self.keep_rejected.isChecked()
        found = self._controller.count(scope, with_rejected=keep)
        self.existing.hide()
        tone, sentences = "muted", []
        try:
            if not self.target.text().strip():
                raise AtrousError(message("choose a folder to export into"))
            plan = self._controller.plan(self.request())
        except AtrousError as error:
            self._say("bad", error_sentences(error))
            self.go.setEnabled(False)
            return
        if not found.images:
            tone, sentences = "warn", [tr("No image matches this scope yet.")]
        else:
            sentences.append(found.text(with_predictions=self.predictions.isChecked()))
        sentences.append(found.rejected_text())
        if plan.groups:
            sentences.append(plural("{n} group stays together.", "{n} groups stay together.", plan.groups))
        if plan.left_out:
            tone = "warn"
            sentences.append(plural("{n} image is in no list.", "{n} images are in no list.", plan.left_out))
        if self.options.warning():
            tone = "warn"
            sentences.append(self.options.warning())
        if plan.refused:
            tone = "warn"
            self.options.more.setChecked(True)  # the remedy is there
            refusal = next(iter(plan.refused.values()))
            first = f"{error_title(refusal)}. {error_detail(refusal)}"
            sentences.append(
                tr("{refused} cannot be exported; the others are. {first}", refused=spaced(len(plan.refused)), first=first)
            )
        if plan.existing:
            self.existing.show()
            tone = "warn"
            sentences.append(
                plural(
                    "{n} of the files is already there; the first is {first}.",
                    "{n} of the files are already there; the first is {first}.",
                    len(plan.existing),
                    first=displayed(plan.existing[0].path.name),
                )
            )
        self._say(
            tone, " ".join(filter(None, sentences)) or tr("Every file is read back and verified before it replaces another.")
        )
        decided = not plan.existing or self.replace.isChecked() or self.skip.isChecked()
        self.go.setEnabled(bool(found.images) and decided)

    def _say(self, tone: str, text: str) -> None:
        set_tone(self.note, tone)
        self.note.setText(text)
        self._refit()

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Export into"), self.target.text())
        if folder:
            self.target.setText(folder)

    def _accept(self) -> None:
        if self.existing.isVisible():
            self.on_existing = "replace" if self.replace.isChecked() else "skip"
        request = self.request()
        for key, value in (("format", request.format), ("scope", str(request.scope)), ("frame", request.frame)):
            self._settings.set(f"export.{key}", value)
        self.accept()

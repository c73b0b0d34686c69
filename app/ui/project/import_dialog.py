"""What an import of labels would do, before it does anything: format, images, classes, options, and one image with its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.controllers.project.label_imports import LabelImports, LabelRequest, PlannedLabels, Preview
from app.text import displayed, error_detail, error_title, plural, tr
from app.ui.adapt.learn_picture import LearnPicture, composed
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import ListDialog
from app.ui.common.panel import set_tone, toned
from app.viewmodels.project.label_plan import NEW, OPEN, VOID, ClassDecisions, decided_text, left_out, matched_line
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, CatalogError
from deeplab_core.masks.importing import FORMATS, ImportPlan

_SIZE = QSize(1000, 0)
_MOST_LISTED = 200


class ImportDialog(FittedDialog):
    """Shows a plan of :class:`LabelImports`; nothing changes before Import.

    Signals:
        decided(LabelRequest, CatalogEdit | None): import, after the edit that adds classes to the project.
    """

    decided = Signal(object, object)

    def __init__(
        self,
        controller: LabelImports,
        planned: PlannedLabels,
        shown: Callable[[ClassCatalog], ClassCatalog],
        parent: QWidget | None = None,
    ) -> None:
        """Show a plan; ``shown`` gives the colours in which classes are shown."""
        name = displayed(planned.source.name)
        heading = tr("Import labels from {name}", name=name)
        if planned.image:
            heading = tr("Replace the mask of {image} by {name}", image=displayed(planned.image), name=name)
        super().__init__(tr("Import labels"), parent, heading=heading, size=_SIZE)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._controller, self._planned, self._colors = controller, planned, shown
        self._decisions = ClassDecisions(planned.plan, planned.catalog, planned.edits, planned.absent)
        self._previewed = 0
        self._filling = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._preview)
        self._build()
        self._take(planned)
        (self.go if self.go.isEnabled() else self.table.cellWidget(0, 2) or self.format).setFocus()

    def _build(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(24)
        left = QVBoxLayout()
        left.setSpacing(8)
        self.picture = LearnPicture(tr("One image with its labels"))
        self.picture.setMinimumSize(240, 200)
        self.item = QComboBox()
        self.item.setAccessibleName(tr("Image of the preview"))
        self.item.currentIndexChanged.connect(self._want_preview)
        self.caption = toned("", tone="muted", size="small")
        self.caption.setWordWrap(True)
        self.caption.setMinimumHeight(2 * self.caption.fontMetrics().height())
        self.caption.setAlignment(Qt.AlignmentFlag.AlignTop)
        left.addWidget(self.picture, 1)
        left.addWidget(self.item)
        left.addWidget(self.caption)
        row.addLayout(left, 2)
        right = QVBoxLayout()
        right.setSpacing(8)
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        path = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        path.set_text(displayed(str(self._planned.source)))
        self.format = QComboBox()
        for entry in FORMATS:
            self.format.addItem(tr(entry.title), entry.key)
        self.format.activated.connect(self._read_again)
        self.mask_classes = QComboBox()
        self.mask_classes.addItem(tr("Recognised, else the project's"), None)
        for catalog in self._planned.known:
            self.mask_classes.addItem(tr(catalog.title), catalog)
        self.mask_classes.activated.connect(self._read_again)
        self.matched = toned("", tone="muted", size="small")
        self.matched.setWordWrap(True)
        self.details = QPushButton(tr("What is left out…"))
        self.details.setAutoDefault(False)
        self.details.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.details.clicked.connect(self._show_left_out)
        self.rest = QComboBox()
        self.rest.currentIndexChanged.connect(self._want_preview)
        self.frame = QComboBox()
        self.frame.currentIndexChanged.connect(self._check)
        self.frame_note = toned("", tone="warn", size="small")
        self.frame_note.setWordWrap(True)
        self.overwrite = QCheckBox(tr("Also replace what you painted or reviewed"))
        self.overwrite.setChecked(bool(self._planned.image))
        self._form = form
        for box in (self.format, self.mask_classes, self.rest, self.frame, self.item):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(16)
        for text, field in (
            (tr("Source"), path),
            (tr("Format"), self.format),
            (tr("Masks are made in"), self.mask_classes),
            ("", self.matched),
            ("", self.details),
        ):
            form.addRow(text, field)
            field.setAccessibleName(text or field.accessibleName())
        right.addLayout(form)
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels([tr("Class in the source"), tr("Regions"), tr("Becomes"), tr("Because")])
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setAccessibleName(tr("Classes"))
        self.table.setMinimumHeight(170)
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        right.addWidget(self.table, 1)
        bulk = QHBoxLayout()
        bulk.setSpacing(8)
        self.add_open = QPushButton(tr("Add all"))
        self.void_open = QPushButton(tr("Void for all"))
        for button, value in ((self.add_open, NEW), (self.void_open, VOID)):
            button.setAutoDefault(False)
            button.clicked.connect(lambda _on=False, value=value: self._decide_open(value))
            bulk.addWidget(button)
        self.note = toned("", tone="muted", size="small")
        self.note.setWordWrap(True)
        bulk.addWidget(self.note, 1)
        right.addLayout(bulk)
        options = QFormLayout()
        options.setHorizontalSpacing(16)
        options.setVerticalSpacing(8)
        options.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        options.addRow(tr("Pixels without a label"), self.rest)
        options.addRow(tr("Orientation"), self.frame)
        options.addRow("", self.frame_note)
        options.addRow("", self.overwrite)
        options.setRowVisible(self.overwrite, not self._planned.image)
        self._options = options
        labels = [form.labelForField(self.mask_classes), options.labelForField(self.rest), options.labelForField(self.frame)]
        for label in labels:
            label.ensurePolished()
        for label in labels:  # the two forms have one edge
            label.setMinimumWidth(max(one.sizeHint().width() for one in labels))
        right.addLayout(options)
        row.addLayout(right, 3)
        self.column.addLayout(row, 1)
        self.rule = toned("", tone="muted", size="small")
        self.rule.setWordWrap(True)
        self.column.addWidget(self.rule)
        self.buttons.addStretch(1)
        self.go = self.add_answers(tr("Cancel"), tr("Import"), self._decide)

    # -- the plan --------------------------------------------------------------------------------------------------------

    def _take(self, planned: PlannedLabels) -> None:
        """Show another plan, or why there is none."""
        self._planned = planned
        plan = planned.plan
        self._decisions = ClassDecisions(plan, planned.catalog, planned.edits, planned.absent)
        if plan is not None:
            self.format.setCurrentIndex(self.format.findData(plan.format.key))
        elif planned.format_key is None:
            self.format.setCurrentIndex(-1)
        self._form.setRowVisible(self.mask_classes, self.format.currentData() == "masks")
        self._set_line(self.matched, matched_line(plan, planned.images, planned.reason, planned.error))
        self.details.setVisible(plan is not None and bool(left_out(plan)))
        rule = "" if plan is None else tr(plan.format.rule)
        lost = "" if plan is None else ", ".join(map(tr, plan.format.lost))
        self.rule.setText(
            tr("How regions become pixels: {rule}. Not kept: {lost}. Each image is one undo step.", rule=rule, lost=lost)
            if plan is not None
            else ""
        )
        self._fill_frame()
        self._fill_table()
        self.item.clear()
        shown = [item.name for item in plan.items[:_MOST_LISTED]] if plan is not None else []
        self.item.addItems([displayed(name) for name in shown])
        self.item.setCurrentIndex(next((place for place, name in enumerate(shown) if name in planned.undecided), 0))
        self.item.setVisible(self.item.count() > 1)
        self._check()

    def _read_again(self) -> None:
        key, catalog = self.format.currentData(), self.mask_classes.currentData()
        self._set_line(self.matched, (tr("The labels are being read…"), "muted"))
        self.go.setEnabled(False)
        image = self._planned.image
        take = self.while_open(self._take)
        self._controller.plan(self._planned.source, take, format_key=key, mask_classes=catalog, image=image)

    def _fill_frame(self) -> None:
        """The orientations to choose from; where only the user knows it, none is chosen."""
        planned, before = self._planned, self.frame.currentData()
        self.frame.blockSignals(True)
        self.frame.clear()
        first = tr("decide…") if planned.undecided else tr("As their size and format say")
        for text, value in (
            (first, "auto"),
            (tr("As stored in the image file"), "stored"),
            (tr("As displayed (EXIF orientation applied)"), "oriented"),
        ):
            self.frame.addItem(text, value)
        self.frame.setCurrentIndex(max(self.frame.findData(before or planned.frame), 0))
        self.frame.blockSignals(False)
        self.frame_note.setText(
            plural(
                "{n} image fits its labels both ways: choose the one that matches in the picture.",
                "At least {n} images fit their labels both ways: choose the one that matches in the picture.",
                len(planned.undecided),
            )
            if planned.undecided
            else ""
        )

    def _fill_table(self) -> None:
        self._filling = True
        rows = self._decisions.rows
        self.table.setRowCount(len(rows))
        for place, row in enumerate(rows):
            self.table.setItem(place, 0, QTableWidgetItem(displayed(row.name)))
            self.table.setItem(place, 1, QTableWidgetItem(row.regions))
            self.table.setItem(place, 3, QTableWidgetItem(decided_text(row.how)))
            box = QComboBox()
            if row.value == OPEN:
                box.addItem(tr("decide…"), OPEN)
            box.addItem(tr("Add as a new class"), NEW)
            box.addItem(tr("void (unlabelled)"), VOID)
            for name in self._decisions.base.names:
                box.addItem(displayed(name), name)
            box.setCurrentIndex(max(box.findData(row.value), 0))
            box.setAccessibleName(tr("What {name} becomes", name=displayed(row.name)))
            box.currentIndexChanged.connect(lambda _place, name=row.name, box=box: self._choose(name, box.currentData()))
            self.table.setCellWidget(place, 2, box)
            self.table.setRowHeight(place, 34)
        self.table.setColumnHidden(1, not any(row.regions for row in rows))  # masks have no regions
        self._filling = False

    def _choose(self, name: str, value: str) -> None:
        if self._filling:
            return
        if not self._take_in((name,), value):
            return
        for place, row in enumerate(self._decisions.rows):
            item = self.table.item(place, 3)
            if item is not None:
                item.setText(decided_text(row.how))
        self._check()

    def _decide_open(self, value: str) -> None:
        if self._take_in(self._decisions.open, value):
            self._fill_table()
            self._check()

    def _take_in(self, names: Sequence[str], value: str) -> bool:
        """Decide what classes become; False where a class cannot be added, which is said."""
        try:
            self._decisions.choose(names, value)
        except CatalogError as error:
            self._fill_table()
            self._check()
            self.note.show()
            self._set_line(self.note, (f"{error_title(error)}. {error_detail(error)}", "bad"))
            return False
        return True

    def _check(self) -> None:
        open_ = self._decisions.open
        plan = self._planned.plan
        self.add_open.setVisible(bool(open_))
        self.void_open.setVisible(bool(open_))
        self.note.setVisible(bool(open_))
        if open_:
            text = plural("{n} class has no partner: decide what it becomes.", "{n} classes have no partner: decide.", len(open_))
            self._set_line(self.note, (text, "warn"))
        self._fill_rest()
        self._options.setRowVisible(self.frame_note, self._undecided)
        self.go.setEnabled(plan is not None and bool(plan.items) and not open_ and not self._undecided)
        self._want_preview()

    @property
    def _undecided(self) -> bool:
        """Whether the user has to choose the orientation."""
        return bool(self._planned.undecided) and self.frame.currentData() == "auto"

    def _fill_rest(self) -> None:
        """What pixels without a label become; masks have none."""
        before = self.rest.currentData()
        self.rest.blockSignals(True)
        self.rest.clear()
        names: Sequence[str] = () if self._decisions.open else self._decisions.catalog.names
        self.rest.setPlaceholderText(tr("Decide the classes first") if self._decisions.open else "–")
        mapped = self._decisions.mapped
        if names and mapped is not None:
            self.rest.addItem(tr("{name} (as the format says)", name=mapped.rest_name()), None)
            for name in (*names, "void"):
                self.rest.addItem(displayed(name), name)
            self.rest.setCurrentIndex(max(self.rest.findData(before), 0) if before else 0)
        self.rest.setEnabled(self.rest.count() > 0)
        self.rest.blockSignals(False)

    # -- one image -------------------------------------------------------------------------------------------------------

    def request(self) -> LabelRequest | None:
        """What the user asks for; None while something is to be decided or there is nothing to import."""
        mapped = self._decisions.mapped
        if mapped is None or self._decisions.open or self._undecided:
            return None
        return self._request(mapped)

    def _request(self, plan: ImportPlan) -> LabelRequest:
        frame = self.frame.currentData()
        return LabelRequest(plan=plan, rest=self.rest.currentData(), frame=frame, overwrite=self.overwrite.isChecked())

    def _want_preview(self) -> None:
        self._later.start(0)

    def _preview(self) -> None:
        plan, place = self._decisions.preview, self.item.currentIndex()
        if plan is None or place < 0:
            self.picture.show_picture(None)
            self.caption.setText("")
            return
        request = self._request(plan)
        if self._undecided:
            request = replace(request, frame="oriented")
        self._previewed += 1
        wanted = self._previewed

        def done(found: Preview | Exception) -> None:
            if wanted != self._previewed:
                return
            if isinstance(found, AtrousError):
                self.picture.show_picture(None)
                self.caption.setText(f"{error_title(found)}. {error_detail(found)}")
            elif isinstance(found, Preview) and found.labels is not None and found.catalog is not None:
                self.picture.show_picture(composed(found.rgb, found.labels, self._colors(found.catalog)))
                notes = [found.note or displayed(found.name)]
                notes += [tr("Open classes are shown as new ones.")] if self._decisions.open else []
                notes += [tr("The labels are shown as displayed.")] if self._undecided else []
                self.caption.setText("\n".join(notes))

        self._controller.preview(request, request.plan.items[place], self.while_open(done))

    def _show_left_out(self) -> None:
        plan = self._planned.plan
        if plan is not None:
            ListDialog(tr("What is left out"), tr("Everything else comes in."), left_out(plan), None, self).exec()

    def _set_line(self, label: QLabel, line: tuple[str, str]) -> None:
        set_tone(label, line[1])
        label.setText(line[0])

    def _decide(self) -> None:
        request = self.request()
        if request is not None:
            self.accept()
            self.decided.emit(request, self._decisions.edit)

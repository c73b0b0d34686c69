"""Operations on components: which one, of which class, how large, where and in which images. The picture shows the effect."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QWidget

from app.controllers.annotate.component_jobs import ComponentJobs
from app.text import tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.number_field import WholeField
from app.ui.common.panel import toned
from app.viewmodels.annotate.component_jobs import OPERATIONS, JobChoice, JobScope, Where
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.correction.jobs import ComponentJob, Operation

_MOST_PX = 1_000_000


class ComponentDialog(FittedDialog):
    """Stays open beside the picture; Enter applies.

    Args:
        jobs: shows and does the operation.
        catalog: the project's classes.
        operation: chosen first.
        cls: class chosen first; the catalog's ignore value stands for the first one.
        at: point of the component under the pointer in image px, or None.

    Signals:
        closed(): it is not shown any more.
    """

    closed = Signal()

    def __init__(
        self,
        jobs: ComponentJobs,
        catalog: ClassCatalog,
        operation: Operation,
        cls: int,
        at: tuple[float, float] | None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(tr("Change components"), parent, size=QSize(440, 0))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._jobs, self._at = jobs, at
        self.operation = QComboBox()
        for name, text in OPERATIONS.items():
            self.operation.addItem(tr(text.title), name)
        self.operation.setCurrentIndex(self.operation.findData(operation))
        self.cls = QComboBox()
        self.cls.addItem(tr("All classes"), None)
        for info in catalog.classes:
            self.cls.addItem(info.name, info.id)
        self._first = max(self.cls.findData(cls), 1)
        self.number = WholeField()
        self.number.setRange(1, _MOST_PX)
        self.number.setSuffix(" px")
        self.number.setKeyboardTracking(True)
        self.number_label = toned("", tone="muted")
        self.where = QComboBox()
        self.scope = QComboBox()
        for scope in JobScope:
            self.scope.addItem(tr(scope.value), scope)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        rows = (
            (toned(tr("Operation"), tone="muted"), self.operation, tr("Operation")),
            (toned(tr("Class"), tone="muted"), self.cls, tr("Class")),
            (self.number_label, self.number, tr("Size")),
            (toned(tr("Where"), tone="muted"), self.where, tr("Where")),
            (toned(tr("Images"), tone="muted"), self.scope, tr("Images")),
        )
        for place, (label, field, title) in enumerate(rows):
            label.setBuddy(field)
            field.setAccessibleName(title)
            grid.addWidget(label, place, 0)
            grid.addWidget(field, place, 1)
        self.column.addLayout(grid)
        self.effect = toned("", tone="muted")
        self.effect.setWordWrap(True)
        self.effect.setMinimumHeight(2 * self.effect.fontMetrics().lineSpacing())
        self.effect.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.column.addWidget(self.effect)
        self.buttons.addStretch(1)
        self.apply = self.add_answers(tr("Close"), tr("Apply"), self._apply)
        self.operation.currentIndexChanged.connect(self._follow_operation)
        for box in (self.cls, self.where, self.scope):
            box.currentIndexChanged.connect(self._show)
        self.number.valueChanged.connect(self._show)
        jobs.changed.connect(self._show_effect)
        self._follow_operation()
        self.number.selectAll()
        self.number.setFocus()

    def choose(self, operation: Operation) -> None:
        """Choose another operation."""
        self.operation.setCurrentIndex(self.operation.findData(operation))

    def choice(self) -> JobChoice:
        """What is chosen now."""
        operation: Operation = self.operation.currentData()
        job = ComponentJob(operation, self.number.value(), self.cls.currentData())
        return JobChoice(job, Where(self.where.currentData()), self._scope())

    def _scope(self) -> JobScope:
        return JobScope(self.scope.currentData())  # Qt keeps the text of it

    def done(self, result: int) -> None:
        self._jobs.end()
        self.closed.emit()
        super().done(result)

    def _follow_operation(self) -> None:
        text = OPERATIONS[self.operation.currentData()]
        for part in (self.cls, self.where, self.scope, self.number):
            part.blockSignals(True)
        model = self.cls.model()
        model.setData(model.index(0, 0), None if text.any_class else 0, Qt.ItemDataRole.UserRole - 1)  # the item's flags
        if text.any_class and not text.outline:
            self.cls.setCurrentIndex(0)
        elif self.cls.currentIndex() < 1:
            self.cls.setCurrentIndex(self._first)
        self.number.setValue(text.px)
        self.number.setEnabled(bool(text.number))
        self.number_label.setText(tr(text.number) if text.number else tr("Size"))
        self.where.clear()
        for where in Where:
            if where is not Where.COMPONENT or self._at is not None:
                self.where.addItem(tr(where.value), where)
        for part in (self.cls, self.where, self.scope, self.number):
            part.blockSignals(False)
        self._show()

    def _show(self) -> None:
        whole = self._scope() is JobScope.IMAGE
        self.where.setEnabled(whole)
        if not whole and self.where.currentIndex() > 0:
            self.where.setCurrentIndex(0)  # comes back here
            return
        self._jobs.show(self.choice(), self._at)

    def _show_effect(self) -> None:
        self.effect.setText(self._jobs.text)

    def _apply(self) -> None:
        self._jobs.apply(self.choice(), self._at)
        self.accept()

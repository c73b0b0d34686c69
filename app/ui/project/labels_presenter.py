"""Shows the page of a new project, the import of labels and its summary, the merge of two projects, the report of the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog

from app.controllers.project.export import ExportController
from app.controllers.project.label_imports import LabelImports, LabelRequest, PlannedLabels
from app.controllers.project.merging import ComparedProjects, MergeController
from app.controllers.project.new_project import NewProjectController
from app.controllers.workspace import Program
from app.services.notifications import Choice
from app.state.new_project import FolderLook
from app.state.two_projects import SidesTaken
from app.text import displayed, plural, tr
from app.ui.project.import_dialog import ImportDialog
from app.ui.project.merge_dialog import MergeDialog
from app.ui.project.new_project_dialog import NewProjectDialog
from app.ui.project.summary_dialog import SummaryDialog
from app.ui.shell.main_window import MainWindow
from app.viewmodels.project.label_summary import ImportSummary
from deeplab_core.catalogs.editing import CatalogEdit
from deeplab_core.datasets.report import DataSetReport


class LabelsPresenter(QObject):
    """Opens the dialogs about labels that come in.

    Attributes:
        dialog: the one that is open; None without one.
    """

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._window, self._program = window, program
        self.dialog: QDialog | None = None
        program.when_built(NewProjectController, self._follow_new_project)
        program.when_built(LabelImports, self._follow_imports)
        program.when_built(MergeController, lambda merging: merging.compared.connect(self._show_merge))
        program.when_built(ExportController, self._follow_export)

    def _follow_new_project(self, new: NewProjectController) -> None:
        new.asked.connect(self._ask_new_project)
        new.asks = True

    def _follow_imports(self, imports: LabelImports) -> None:
        imports.sourceChosen.connect(self._look_at_labels)
        imports.planAsked.connect(self._show_plan)
        imports.summaryAsked.connect(self._show_summary)
        imports.finished.connect(lambda summary: self._show_summary(summary) if summary.troubled else None)

    def _follow_export(self, export: ExportController) -> None:
        export.reportAsked.connect(self._ask_report)
        export.reported.connect(self._show_report)

    def _ask_new_project(self, look: FolderLook) -> None:
        new = self._program.new_project
        dialog = NewProjectDialog(new, look, self._program.view.overlay.shown, self._window)
        dialog.decided.connect(lambda chosen: new.accept(look, chosen))
        self._open(dialog)

    def _look_at_labels(self, source: Path) -> None:
        self._program.label_imports.plan(source, self._show_plan)

    def _show_plan(self, planned: PlannedLabels) -> None:
        dialog = ImportDialog(self._program.label_imports, planned, self._program.view.overlay.shown, self._window)
        dialog.decided.connect(self._import)
        self._open(dialog)

    def _import(self, request: LabelRequest, edit: CatalogEdit | None) -> None:
        """Add the classes that the user wants, then import."""
        imports = self._program.label_imports
        if edit is None:
            imports.start(request)
        else:
            self._program.truth.edit_classes(edit, lambda: imports.start(request))

    def _show_merge(self, compared: ComparedProjects) -> None:
        dialog = MergeDialog(self._program.merging, compared, self._program.view.overlay.shown, self._window)
        dialog.decided.connect(self._merge)
        self._open(dialog)

    def _merge(self, compared: ComparedProjects, taken: Mapping[int, SidesTaken]) -> None:
        """Add the classes that the user wants, then merge."""
        merging = self._program.merging
        if compared.added is None:
            merging.merge(compared, taken)
        else:
            self._program.truth.edit_classes(compared.added, lambda: merging.merge(compared, taken), compared.close)

    def _ask_report(self) -> None:
        project = self._program.session.project
        if project is not None:
            start = str(project.folder.parent / f"{project.folder.name}_report.html")
            path, _ = QFileDialog.getSaveFileName(self._window, tr("Report of the data set"), start, tr("Page (*.html)"))
            if path:
                self._program.export.write_report(Path(path))

    def _show_report(self, found: DataSetReport, path: Path) -> None:
        show = Choice(tr("Open report"), lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))))
        images = plural("{n} image", "{n} images", found.images)
        parts = [tr("{images}, {labelled} with labels.", images=images, labelled=found.labelled)]
        if found.unread:
            parts.append(plural("{n} image cannot be read.", "{n} images cannot be read.", len(found.unread)))
        say = self._program.notifier.warning if found.unread else self._program.notifier.info
        say(tr("{name} is saved", name=displayed(path.name)), " ".join(parts), replace_key="data report", choices=(show,))

    def _show_summary(self, summary: ImportSummary) -> None:
        self._open(SummaryDialog(summary, self._window))

    def _open(self, dialog: QDialog) -> None:
        """Show a dialog; one that is still open makes way."""
        before, self.dialog = self.dialog, dialog
        if before is not None:
            before.reject()

        def closed() -> None:
            if self.dialog is dialog:
                self.dialog = None

        dialog.finished.connect(closed)
        dialog.open()

"""Shows the project's choices about its data in the Classes panel, and asks what the program does not know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDialog, QFileDialog, QMessageBox, QPushButton, QWidget

from app.controllers.evaluate.ground_truth import PredictedQuestion
from app.controllers.workspace import Program
from app.state.class_choice import ClassQuestion, known_catalogs, stored_how, stored_reason
from app.state.class_pixels import PixelCounts
from app.state.ground_truth import FrameQuestion, How
from app.state.project import Project
from app.text import displayed, plural, tr
from app.ui.annotate.class_editor import ClassEditor
from app.ui.common.choice_dialog import ChoiceDialog
from app.ui.project.classes_dialog import ClassesDialog
from app.ui.project.frame_dialog import FrameDialog
from app.ui.shell.main_window import MainWindow
from app.viewmodels.annotate.class_editor import ClassDraft
from app.viewmodels.project.data_choices import OfferedAnswer, classes_source, truth_intro, truth_line, truth_options
from app.viewmodels.project.frame_preview import FramePreview
from deeplab_core.catalogs import get_catalog, save_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.catalogs.editing import CatalogEdit, take_list
from deeplab_core.catalogs.lists import LIST_FORMATS
from deeplab_core.datasets import GroundTruthFiles
from deeplab_core.errors import AtrousError


class TruthDialog(ChoiceDialog):
    """Asks for the ground truth of a folder of images; ``decided`` carries a folder, or None for no ground truth."""

    def __init__(
        self, answers: Sequence[OfferedAnswer], intro: str, start: Path, *, asked: bool, parent: QWidget | None = None
    ) -> None:
        """Show the folders.

        Args:
            start: where the search for another folder begins.
            asked: the program asks, so that leaving the dialog puts the question off.
        """
        leave = tr("Decide later") if asked else tr("Cancel")
        super().__init__(
            tr("Ground truth"),
            tr("Which masks are the ground truth?"),
            intro,
            answers,
            go=tr("Use this"),
            leave=leave,
            parent=parent,
        )
        self._start = start
        self.other = QPushButton(tr("Another folder…"))
        self.other.setAutoDefault(False)
        self.other.clicked.connect(self._choose_other)
        self.buttons.insertWidget(0, self.other)

    def _choose_other(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Ground truth folder"), str(self._start))
        if folder:
            self.accept()
            self.decided.emit(Path(folder))


class DataPresenter(QObject):
    """The wires between the Classes panel, the questions and :class:`GroundTruthController`.

    Attributes:
        dialog: the question that is open; None without one.
    """

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._window, self._program = window, program
        self.dialog: QDialog | None = None
        truth, choice = program.truth, window.classes.choice
        choice.catalogAsked.connect(self._ask_catalog)
        choice.truthAsked.connect(truth.review)
        window.classes.editAsked.connect(self.edit_classes)
        program.session.projectChanged.connect(self._follow_project)
        program.figures.truthFound.connect(lambda _index: self._show())
        program.classes.changed.connect(self._show)
        truth.classesChanged.connect(self._show)
        truth.truthAsked.connect(self._ask_truth)
        truth.classesAsked.connect(self._ask_classes)
        truth.frameAsked.connect(self._ask_frame)
        truth.predictedAsked.connect(self._ask_predicted)
        self._show()

    def _follow_project(self, _project: Project | None) -> None:
        dialog, self.dialog = self.dialog, None
        if dialog is not None:
            dialog.blockSignals(True)
            dialog.close()
        self._show()

    def _show(self) -> None:
        """Show the classes and the ground truth with their sources."""
        choice, project = self._window.classes.choice, self._program.session.project
        self._window.classes.show_choice(project is not None)
        if project is None:
            return
        truth = project.ground_truth
        tip = classes_source(project.catalog, stored_how(project), stored_reason(project), truth=bool(truth.files))
        choice.show_catalogs([(each.name, tr(each.title)) for each in known_catalogs(project)], project.catalog.name, tip)
        choice.catalog.setEnabled(not project.read_only)
        choice.show_truth(*truth_line(truth, len(project.images)))

    # -- questions -------------------------------------------------------------------------------------------------------

    def _ask_truth(self, found: GroundTruthFiles, asked: bool) -> None:
        project, truth = self._program.session.project, self._program.truth
        if project is None:
            return
        options = truth_options(found, project.ground_truth.choice, len(project.images), project.ground_truth)
        intro = truth_intro(found, asked=asked)
        dialog = TruthDialog(options, intro, project.folder.parent, asked=asked, parent=self._window)

        def decide(folder: Path | None) -> None:
            how: How = "asked" if asked else "user"
            if folder is None:
                truth.choose_none(how)
            else:
                truth.choose(folder, how)

        dialog.decided.connect(decide)
        if asked:
            dialog.later.connect(lambda: truth.choose_none("later"))
        self._open(dialog)

    def _ask_catalog(self, name: str) -> None:
        """The user picked other classes in the panel: show what they would change first."""
        self._program.truth.compare_catalogs(lambda question: self._show_classes(question, name, asked=False))

    def _ask_classes(self, question: ClassQuestion) -> None:
        self._show_classes(question, question.effects[0].catalog.name, asked=True)

    def _show_classes(self, question: ClassQuestion, wanted: str, *, asked: bool) -> None:
        project, truth = self._program.session.project, self._program.truth
        if project is None:
            return
        dialog = ClassesDialog(question, project.catalog, wanted, asked=asked, parent=self._window)

        def decide(catalog: ClassCatalog) -> None:
            if catalog.name == project.catalog.name:
                truth.keep_catalog()
            else:
                truth.choose_catalog(catalog, asked=asked)

        dialog.decided.connect(decide)
        dialog.later.connect(lambda: truth.keep_catalog(later=True))
        self._open(dialog)

    def edit_classes(self, class_id: int) -> None:
        """Open the class editor, with a class selected."""
        project, truth = self._program.session.project, self._program.truth
        if project is None or project.read_only:
            return
        classes, hidden = self._program.classes, self._program.view.overlay.hidden
        draft = ClassDraft(
            project.catalog, project.class_edits.retired(project.catalog), locked=classes.locked, hidden=hidden,
            keys=classes.assigned, present=classes.present,
        )  # fmt: skip
        dialog = ClassEditor(draft, project.folder, self._program.view.overlay.shown, self._window)
        dialog.select(class_id)

        def counted(asked: list[int], found: PixelCounts) -> None:
            if self.dialog is dialog and asked == [loss.class_id for loss in draft.losses]:
                dialog.show_counts(found.by_class, len(found.errors))

        dialog.countAsked.connect(lambda ids: truth.count_class_pixels(ids, lambda found: counted(ids, found)))
        dialog.listAsked.connect(partial(self._read_list, dialog))
        dialog.saveAsked.connect(partial(self._save_list, dialog))
        dialog.decided.connect(partial(self._apply_draft, project))
        self._open(dialog)

    def _apply_draft(self, project: Project, draft: ClassDraft) -> None:
        """Edit the classes, then lock and hide what the draft says, and assign its keys."""

        def mark_classes() -> None:
            if self._program.session.project is project:
                self._program.classes.set_states(draft.locked, draft.hidden, draft.keys)

        if draft.whole is None:
            mark_classes()
        else:
            self._program.truth.edit_classes(draft.whole, mark_classes)

    def _read_list(self, dialog: ClassEditor, path: Path, only: bool) -> None:
        """Read a class list in the background; a draft that was edited since is asked again."""
        before, reserved = dialog.draft.catalog, dialog.draft.reserved

        def read() -> CatalogEdit:
            return take_list(before, get_catalog(path), only=only, reserved=reserved)

        def done(edit: CatalogEdit) -> None:
            if self.dialog is dialog:
                if dialog.draft.catalog == before:
                    dialog.take(edit)
                else:
                    self._read_list(dialog, path, only)

        self._program.jobs.run(read, done, partial(self._refuse, dialog))

    def _save_list(self, dialog: ClassEditor, path: Path, form: str | None) -> None:
        catalog = dialog.draft.listed

        def done(_none: object) -> None:
            if self.dialog is dialog:
                lost = form is not None and "colours" not in LIST_FORMATS[form].keeps
                said = plural(
                    "{n} class written to {name}.", "{n} classes written to {name}.", len(catalog), name=displayed(path.name)
                )
                warned = tr("This form keeps no colours.")
                dialog.say(f"{said} {warned}" if lost else said)

        self._program.jobs.run(lambda: save_catalog(catalog, path, form), done, partial(self._refuse, dialog))

    def _refuse(self, dialog: ClassEditor, error: Exception) -> None:
        if isinstance(error, AtrousError) and self.dialog is dialog:
            dialog.refuse(error)
        else:
            self._program.notifier.report_or_raise(error)

    def _ask_frame(self, question: FrameQuestion) -> None:
        self._program.truth.preview_frame(question, lambda preview: self._show_frame(question, preview))

    def _show_frame(self, question: FrameQuestion, preview: FramePreview) -> None:
        truth = self._program.truth
        dialog = FrameDialog(question, preview, self._window)
        dialog.decided.connect(lambda frame: truth.answer_frame(question, "stored" if frame == "stored" else "oriented"))
        dialog.later.connect(lambda: truth.answer_frame(question, "auto"))
        self._open(dialog)

    def _ask_predicted(self, question: PredictedQuestion) -> None:
        """The user named masks that a model made."""
        box = QMessageBox(self._window)
        box.setTextFormat(Qt.TextFormat.PlainText)  # names may look like HTML
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle(tr("Ground truth"))
        box.setText(
            tr("These masks are predictions of {model}. Use them as ground truth?", model=question.model)
            if question.model
            else tr("These masks are predictions. Use them as ground truth?")
        )
        box.setInformativeText(
            tr(
                "{folder}\n\nMetrics against a model's own masks say nothing about its errors. The Classes panel will "
                "show where the ground truth comes from.",
                folder=question.folder,
            )
        )
        box.addButton(tr("Use them"), QMessageBox.ButtonRole.AcceptRole).clicked.connect(
            lambda: self._program.truth.choose(question.folder, "user", predicted=True)
        )
        keep = box.addButton(tr("Do not use them"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._open(box)

    def _open(self, dialog: QDialog) -> None:
        self.dialog = dialog

        def closed() -> None:
            if self.dialog is dialog:
                self.dialog = None

        dialog.finished.connect(closed)
        dialog.open()

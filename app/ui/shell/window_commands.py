"""The commands that ask something first: folders, dialogs, sheets. The target ``window`` of the table of commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from PySide6.QtCore import QObject, QSettings, Qt, QUrl
from PySide6.QtGui import QCloseEvent, QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox

from app.actions.table import ACTIONS
from app.controllers.project.export import ExportController, ExportRequest, summary_lines
from app.controllers.workspace import Program
from app.paths import SAMPLE_PROJECT, copy_sample_project, sample_home
from app.services.folders import layout_file, log_folder
from app.services.logs import report_text
from app.services.notifications import Choice
from app.state.new_project import holds_labels_only
from app.text import displayed, error_sentences, mark, plural, tr
from app.ui.common.choice_dialog import FolderQuestion, ask_to_lose, ask_to_stop
from app.ui.common.fitted_dialog import bring_into_screen
from app.ui.common.list_dialog import ListDialog
from app.ui.predict.mapping_dialog import MappingDialog
from app.ui.shell.command_palette import CommandPalette
from app.ui.shell.main_window import MainWindow
from app.ui.shell.messages_dialog import TroubleDialog
from app.ui.shell.settings_dialog import SettingsDialog
from app.ui.shell.shortcut_sheet import ShortcutSheet
from app.ui.shell.shortcuts_dialog import ShortcutsDialog
from app.ui.shell.theme import apply_theme, load_theme, resolve_theme_name
from app.viewmodels.predict.model_options import option_rows
from app.viewmodels.project.folder_plan import FolderPlan
from deeplab_core import __version__
from deeplab_core.correction.jobs import Operation
from deeplab_core.datasets.video import VIDEO_SUFFIXES, is_video
from deeplab_core.errors import AtrousError
from deeplab_core.masks.export import ExportSummary
from deeplab_core.model_files import file_filter, is_foreign_model, is_model_file, model_in_folder

if TYPE_CHECKING:
    from app.controllers.project.tour import Tour
    from app.ui.annotate.component_dialog import ComponentDialog
    from app.ui.hub.fetch_dialog import FetchDialog

_LABEL_FILTER = mark("Labels (*.json *.xml *.zip *.txt *.parquet *.npz *.npy);;All files (*)")
_MASK_FILTER = mark("Masks and labels (*.png *.tif *.tiff *.bmp *.pgm *.json *.xml *.txt *.npz *.npy);;All files (*)")


class WindowActions(QObject):
    """Verbs of the window; everything that is not a question is left to the controllers."""

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._window, self._program = window, program
        window.dropped.connect(self._take_drop)
        window.closing.connect(self._close)
        window.start_page.openAsked.connect(self.open_folder)
        window.start_page.sampleAsked.connect(self.open_sample)
        window.start_page.tourAsked.connect(self.take_tour)
        window.start_page.modelsAsked.connect(self.get_model)
        window.start_page.folderChosen.connect(lambda folder: program.new_project.open(folder))
        window.model.openAsked.connect(self.open_model)
        window.model.getAsked.connect(self.get_model)
        window.model.optionsAsked.connect(self.edit_model_options)
        self._fetch_dialog: FetchDialog | None = None
        window.recent_menu.aboutToShow.connect(self._fill_recent)
        window.start_page.show_recent(program.projects.recent.folders())
        program.clicks.getAsked.connect(self.get_click_network)
        program.clicks.fileAsked.connect(self.open_click_network)
        program.models.mappingNeeded.connect(self._say_mapping)
        program.folder_jobs.imagesListed.connect(self.show_images)
        program.when_built(ExportController, self._follow_exports)
        program.settings.changed.connect(self._follow_setting)
        program.folder_jobs.asked.connect(self._ask_folder_job)
        program.folder_jobs.asks = True
        self.folder_question: FolderQuestion | None = None
        self.component_dialog: ComponentDialog | None = None
        self._tour: Tour | None = None

    # -- folders and files -----------------------------------------------------------------------------------------------

    def open_folder(self) -> None:
        recent = self._program.projects.recent.folders()
        start = str(recent[0].parent) if recent else str(Path.home())
        folder = QFileDialog.getExistingDirectory(self._window, tr("Open a folder of images"), start)
        if folder:
            self._program.new_project.open(Path(folder))

    def open_video(self) -> None:
        """Ask for a video, and which of its frames become images."""
        endings = " ".join(f"*{ending}" for ending in VIDEO_SUFFIXES)
        kinds = tr("Videos ({endings});;All files (*)", endings=endings)
        recent = self._program.projects.recent.folders()
        start = str(recent[0].parent) if recent else str(Path.home())
        path, _ = QFileDialog.getOpenFileName(self._window, tr("Open a video"), start, kinds)
        if path:
            self.take_video(Path(path))

    def take_video(self, path: Path) -> None:
        """Show which frames of a video become images, and take them."""
        from app.ui.project.video_dialog import VideoDialog

        dialog = VideoDialog(self._program.videos, path, self._window)
        if dialog.exec() and dialog.plan is not None:
            self._program.videos.start(dialog.plan, dialog.choice())

    def open_sample(self) -> None:
        """Copy the sample project where it may be worked in, once, and open it there."""
        if not SAMPLE_PROJECT.is_dir():
            self._program.notifier.warning(tr("The sample project is not installed"))
            return
        try:
            folder = copy_sample_project(sample_home())
        except OSError as error:
            self._program.notifier.error(tr("The sample project cannot be copied"), f"{error.strerror}: {error.filename}")
            return
        self._program.projects.open(folder)

    def take_tour(self) -> None:
        """Begin the guided tour, or go on where it was left."""
        from app.ui.project.tour_bar import TourBar

        if self._tour is None:
            bar = TourBar(self._program, self._window.commands)
            self._tour = bar.tour
            self._tour.sampleAsked.connect(self.open_sample)
            self._window.add_bar(bar)
        self._tour.begin()

    def open_model(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self._window, tr("Open a model"), str(self._program.models.path or Path.home()), file_filter()
        )
        if path:
            self._program.models.load(Path(path))

    def open_click_network(self) -> None:
        """Ask for the file of a click network, or for its encoder and decoder."""
        clicks = self._program.clicks
        start = str(clicks.files[0].parent if clicks.files else Path.home())
        kinds = tr("Click networks (*.onnx);;All files (*)")
        files, _ = QFileDialog.getOpenFileNames(self._window, tr("Open a click network"), start, kinds)
        if files:
            clicks.choose(tuple(Path(file) for file in files))

    def get_click_network(self) -> None:
        """Show the published click networks."""
        self.get_model()
        if self._fetch_dialog is not None:
            self._fetch_dialog.show_clicks()

    def edit_classes(self) -> None:
        """Open the class editor on the selected class."""
        self._window.classes.editAsked.emit(self._program.edit.tools.class_id)

    def change_components(self, operation: Operation) -> None:
        """Show the operations on components; the dialog stays open beside the picture."""
        from app.ui.annotate.component_dialog import ComponentDialog

        program = self._program
        catalog = program.classes.catalog
        if catalog is None:
            return
        if self.component_dialog is not None:
            self.component_dialog.choose(operation)
            self.component_dialog.activateWindow()
            return
        at = program.components.place
        cls = program.components.class_here()
        dialog = ComponentDialog(program.component_jobs, catalog, operation, cls, at, self._window)
        self.component_dialog = dialog
        dialog.closed.connect(self._end_component_dialog)
        dialog.fit()
        corner = self._window.classes.mapToGlobal(self._window.classes.rect().topRight())
        dialog.move(corner.x() - dialog.width(), corner.y())  # beside the picture, which shows the effect
        dialog.show()
        bring_into_screen(dialog)

    def _end_component_dialog(self) -> None:
        self.component_dialog = None

    def undo_class_edit(self) -> None:
        """Take the newest edit of the classes back."""
        self._program.truth.undo_class_edit()

    def edit_model_options(self) -> None:
        """Show what the weights of the model in use do not tell, and set it."""
        from app.ui.predict.model_options_dialog import ModelOptionsDialog

        models = self._program.models
        if models.card is None:
            return
        dialog = ModelOptionsDialog(option_rows(models.card), self._window)
        if dialog.exec():
            models.set_options(dialog.options())

    def get_model(self) -> None:
        """Show the published models; the sheet stays open beside the work."""
        from app.ui.hub.fetch_dialog import FetchDialog

        if self._fetch_dialog is None:
            self._fetch_dialog = FetchDialog(self._program.fetch, self._window.theme, self._window)
            self._window.themed.connect(self._fetch_dialog.set_theme)
        self._program.fetch.refresh()
        self._fetch_dialog.show()
        self._fetch_dialog.activateWindow()

    def open_crf(self) -> None:
        """Ask for the report of a search for CRF parameters."""
        self._window.crf.openAsked.emit()

    def import_masks(self) -> None:
        """Import the labels of a folder; the dialog shows first what that would do."""
        folder = QFileDialog.getExistingDirectory(self._window, tr("Folder of labels to import"), self._folder())
        if folder:
            self._program.label_imports.sourceChosen.emit(Path(folder))

    def import_file(self) -> None:
        """Import the labels of a file or archive."""
        path, _ = QFileDialog.getOpenFileName(self._window, tr("File of labels to import"), self._folder(), tr(_LABEL_FILTER))
        if path:
            self._program.label_imports.sourceChosen.emit(Path(path))

    def merge_project(self) -> None:
        """Compare with another user's project of the same images; the dialog shows first what merging would do."""
        folder = QFileDialog.getExistingDirectory(self._window, tr("Folder of the other user's project"), self._folder())
        if folder:
            self._program.merging.compare(Path(folder))

    def start_from_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._window, tr("Mask to start from"), self._folder(), tr(_MASK_FILTER))
        if path:
            self._program.label_imports.replace_mask(Path(path))

    def _follow_exports(self, export: ExportController) -> None:
        export.finished.connect(self._say_exported)
        export.askedAgain.connect(lambda request: self.export_masks(request.target))

    def export_masks(self, target: Path | None = None) -> None:
        from app.ui.project.export_dialog import ExportDialog

        if (project := self._program.session.project) is None:
            return
        self._program.edit.commit_stroke()
        dialog = ExportDialog(self._program.export, self._program.settings, project.folder, self._window, target)
        if dialog.exec():
            decided = cast(Literal["replace", "skip", "error"], dialog.on_existing)
            self._program.export.start(dialog.request(), decided)

    def start_over(self) -> None:
        """Ask before labels and undo steps of an image are forgotten."""
        health, project = self._program.projects.health, self._program.session.project
        image = health.to_start_over()
        if project is None or image is None:
            return
        self._program.edit.commit_stroke()
        name = project.record(image).shown
        box = QMessageBox(self._window)
        box.setTextFormat(Qt.TextFormat.PlainText)  # names may look like HTML
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(tr("Start this image over"))
        box.setText(tr("Start {name} over?", name=name))
        box.setInformativeText(
            tr(
                "Its labels, undo steps and status are deleted, as if you had never opened it. This cannot be "
                "undone. The mask file is kept in the project's 'masks' folder."
            )
        )
        start = box.addButton(tr("Start over"), QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.exec()
        box.deleteLater()
        if box.clickedButton() is start:
            health.start_over()

    # -- sheets and dialogs ----------------------------------------------------------------------------------------------

    def show_settings(self) -> None:
        SettingsDialog(self._program.settings, self._window).exec()

    def edit_shortcuts(self) -> None:
        keymap = self._window.commands.keymap
        dialog = ShortcutsDialog(ACTIONS, keymap.overrides, self._window, keymap.printed)
        if dialog.exec():
            self._window.commands.keymap = dialog.keymap
            self._window.commands.apply_keys()
            self._program.settings.set("keys", {name: list(keys) for name, keys in dialog.keymap.overrides.items()})

    def show_keys(self) -> None:
        ShortcutSheet(self._window.commands.keymap, self._window).exec()

    def show_palette(self) -> None:
        CommandPalette(self._window.commands, self._window).show()

    def edit_mapping(self) -> None:
        models, project = self._program.models, self._program.session.project
        mapping = models.mapping()
        if mapping is None or project is None or models.card is None:
            return
        fresh = not any(record.status for record in project.images)
        dialog = MappingDialog(models.card.catalog, project.catalog, mapping, fresh and not project.read_only, self._window)
        if dialog.exec():
            if dialog.adopt:
                self._program.truth.choose_catalog(models.card.catalog)
            else:
                models.agree(dialog.overrides())

    def show_images(self, heading: str, intro: str, images: list[tuple[int, str]]) -> None:
        """List images with a reason each, and a way to each of them."""
        project = self._program.session.project
        if project is None:
            return
        rows = [(project.record(image).shown, displayed(why)) for image, why in images]
        ListDialog(heading, intro, rows, lambda row: self._program.projects.open_image(images[row][0]), self._window).exec()

    def show_messages(self) -> None:
        """Everything that was said; it stays open beside the work, once."""
        from app.ui.shell.messages_dialog import MessagesDialog

        shown = next((one for one in self._window.findChildren(MessagesDialog) if one.isVisible()), None)
        dialog = shown or MessagesDialog(self._program.notifier, self._window.theme, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()
        dialog.activateWindow()

    def show_truth_problems(self) -> None:
        problems = self._program.truth.problems
        intro = (
            tr("These files were skipped; all other images are evaluated.")
            if problems
            else tr("All ground truth files could be used.")
        )
        ListDialog(tr("Ground truth files"), intro, problems, None, self._window).exec()

    def find_class(self) -> None:
        self._window.classes.show()
        self._window.classes.open_finder()

    def show_about(self) -> None:
        text = tr(
            "<b>Atrous {version}</b><br>Runs DeepLabv3+ on folders of images, evaluates the masks and lets you "
            "correct them.<br><br>Apache License 2.0. Interface font: Inter, SIL Open Font License. Made with Qt "
            "and PySide6 (LGPL).",
            version=__version__,
        )
        QMessageBox.about(self._window, tr("About Atrous"), text)

    # -- the window itself -----------------------------------------------------------------------------------------------

    def toggle_dock(self, name: str) -> None:
        self._window.toggle_dock(name)

    def next_panel(self) -> None:
        self._window.focus.go_to_panel(1)

    def previous_panel(self) -> None:
        self._window.focus.go_to_panel(-1)

    def toggle_fold(self) -> None:
        self._window.toggle_fold()

    def reset_layout(self) -> None:
        self._window.reset_layout()

    def toggle_theme(self) -> None:
        self._program.settings.set("appearance.theme", "light" if self._window.theme.name == "dark" else "dark")

    def quit(self) -> None:
        self._window.close()

    def copy_report(self) -> None:
        QGuiApplication.clipboard().setText(report_text(log_folder(), self._program.report_details()))
        self._program.notifier.info(
            tr("Report copied to the clipboard"), tr("Paste it into an issue or an email."), replace_key="report"
        )

    def open_logs(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_folder())))

    def show_trouble(self, short: str, details: str) -> None:
        """An unexpected exception: save first, then say it."""
        saved = tr("Your work is saved.")
        if self._program.session.autosaver is not None:
            try:
                self._program.session.autosaver.flush()
            except AtrousError as error:
                saved = tr("Your work is still in memory, but could not be saved: {error}", error=error)
        text = tr("{short}\n\n{saved} You can continue; please report this with the details below.", short=short, saved=saved)
        TroubleDialog(tr("An unexpected error occurred"), text, details, log_folder(), self._window).exec()

    def offer_crash(self, traces: list[str]) -> None:
        """The last run ended in a crash: offer its trace for a report."""
        text = tr("Every finished stroke is saved. The trace below helps to find the cause. Atrous sends nothing by itself.")
        details = "\n\n".join(traces)
        show = Choice(
            tr("Show"), lambda: TroubleDialog(tr("Atrous crashed last time"), text, details, log_folder(), self._window).exec()
        )
        self._program.notifier.warning(tr("Atrous ended unexpectedly last time"), text, choices=(show,), replace_key="crash")

    def _ask_folder_job(self, plan: FolderPlan, begin: Callable[[bool], None]) -> None:
        """Show what a job over the folder will change; a question that is still open makes way."""
        if self.folder_question is not None:
            self.folder_question.reject()
        dialog = FolderQuestion(plan, self._window)
        self.folder_question = dialog
        dialog.agreed.connect(begin)
        dialog.finished.connect(self._end_folder_question)
        dialog.open()

    def _end_folder_question(self) -> None:
        self.folder_question = None

    # -- answers ---------------------------------------------------------------------------------------------------------

    def _folder(self) -> str:
        project = self._program.session.project
        return str(project.folder if project is not None else Path.home())

    def _fill_recent(self) -> None:
        menu = self._window.recent_menu
        menu.clear()
        for folder in self._program.projects.recent.folders():
            menu.addAction(displayed(str(folder)), partial(self._program.new_project.open, folder))
        menu.setEnabled(True)
        if menu.isEmpty():
            menu.addAction(tr("No folder yet")).setEnabled(False)

    def _take_drop(self, path: Path) -> None:
        is_model = model_in_folder(path) is not None if path.is_dir() else is_model_file(path) or is_foreign_model(path)
        if is_model:
            self._program.models.load(path)
        elif is_video(path):
            self.take_video(path)
        elif self._program.session.project is not None and holds_labels_only(path):
            self._program.label_imports.sourceChosen.emit(path)
        else:
            self._program.new_project.open(path if path.is_dir() else path.parent)

    def _say_mapping(self) -> None:
        mapping = self._program.models.mapping()
        if mapping is not None and mapping.unmatched:
            detail = plural(
                "{n} of them has no match here: the model does not run until you choose one.",
                "{n} of them have no match here: the model does not run until you choose one for each.",
                len(mapping.unmatched),
            )
            match = Choice(tr("Match classes…"), self.edit_mapping)
            title = tr("The model's classes differ from the project's")
            self._program.notifier.warning(title, detail, replace_key="mapping", choices=(match,))

    def _say_exported(self, summary: ExportSummary, request: ExportRequest) -> None:
        lines = summary_lines(summary)
        choices = [Choice(tr("Open folder"), lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(request.target))))]
        troubled = [*((name, error_sentences(error)) for name, error in summary.failed), *summary.skipped]
        if troubled:
            intro = " ".join(lines[:1])
            choices.append(
                Choice(tr("Skipped files"), lambda: ListDialog(tr("Export"), intro, troubled, None, self._window).exec())
            )
        say = self._program.notifier.warning if summary.failed else self._program.notifier.info
        export = self._program.export
        rejected = export.count(request.scope, with_rejected=request.with_rejected).rejected_text()
        detail = " ".join(filter(None, (lines[0], rejected, export.splits, ", ".join(lines[1:]))))
        say(
            tr("Export stopped") if summary.cancelled else tr("Export finished"),
            detail,
            replace_key="export",
            choices=tuple(choices),
        )

    def _follow_setting(self, key: str) -> None:
        if key == "appearance.theme":
            theme = load_theme(resolve_theme_name(self._program.settings[key]))
            application = QApplication.instance()
            if isinstance(application, QApplication):
                apply_theme(application, theme)
            self._window.set_theme(theme)
        elif key == "appearance.language":
            again = tr("Close this window and start Atrous again.")
            self._program.notifier.info(tr("The language changes at the next start"), again, replace_key=key)
        elif key == "appearance.text_size":
            again = tr("Close this window and start Atrous again.")
            self._program.notifier.info(tr("The text size changes at the next start"), again, replace_key=key)

    def _close(self, event: QCloseEvent) -> None:
        guards = self._program.jobs.guards_close()
        if guards and not ask_to_stop(self._window, guards[0].title):
            event.ignore()
            return
        self._program.jobs.cancel_all()
        if not self._program.projects.close() and not ask_to_lose(self._window):
            event.ignore()
            return
        self._program.compare.end()  # the next start shows the views and docks of every day
        self._window.save_layout(QSettings(str(layout_file()), QSettings.Format.IniFormat))
        event.accept()

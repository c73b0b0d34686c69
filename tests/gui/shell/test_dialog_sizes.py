"""Every dialog fits small and scaled screens: its buttons stay in sight and the rest can be scrolled to."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QDialog, QLabel, QPushButton, QTableView, QWidget

import app.ui
from app.actions.keymap import Keymap
from app.actions.table import ACTIONS
from app.controllers.project.label_imports import PlannedLabels
from app.controllers.project.merging import ComparedProjects, MergeRow
from app.services.folders import log_folder
from app.services.notifications import Choice
from app.state.activity import DayProgress
from app.state.class_choice import CatalogEffect, ClassQuestion
from app.state.corrections import CorrectedMask, Corrections
from app.state.ground_truth import FrameQuestion
from app.state.label_import import plan_labels
from app.state.new_project import look_at
from app.state.project import Project
from app.state.two_projects import TwoProjects
from app.ui.adapt.learn_dialog import LearnDialog
from app.ui.adapt.learn_result_dialog import LearnResultDialog
from app.ui.annotate.adjust_dialog import AdjustDialog
from app.ui.annotate.class_editor import ClassEditor
from app.ui.annotate.component_dialog import ComponentDialog
from app.ui.common import fitted_dialog
from app.ui.common.choice_dialog import ChoiceDialog, FolderQuestion
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import ListDialog
from app.ui.common.text_dialog import TextDialog
from app.ui.evaluate.similar_dialog import SimilarDialog
from app.ui.hub.fetch_dialog import FetchDialog
from app.ui.predict.mapping_dialog import MappingDialog
from app.ui.predict.model_options_dialog import ModelOptionsDialog
from app.ui.project.classes_dialog import ClassesDialog
from app.ui.project.data_presenter import TruthDialog
from app.ui.project.export_dialog import ExportDialog
from app.ui.project.frame_dialog import FrameDialog
from app.ui.project.import_dialog import ImportDialog
from app.ui.project.merge_dialog import MergeDialog
from app.ui.project.new_project_dialog import NewProjectDialog
from app.ui.project.notes_dialog import NotesDialog
from app.ui.project.progress_dialog import ProgressDialog
from app.ui.project.summary_dialog import SummaryDialog
from app.ui.project.video_dialog import VideoDialog
from app.ui.shell.command_palette import CommandPalette
from app.ui.shell.messages_dialog import MessagesDialog, TroubleDialog
from app.ui.shell.settings_dialog import SettingsDialog
from app.ui.shell.shortcut_sheet import _GAP, ShortcutSheet
from app.ui.shell.shortcuts_dialog import ShortcutsDialog
from app.viewmodels.annotate.class_editor import ClassDraft
from app.viewmodels.predict.model_options import OptionRow
from app.viewmodels.project.data_choices import OfferedAnswer
from app.viewmodels.project.folder_plan import FolderPlan
from app.viewmodels.project.frame_preview import FramePreview
from app.viewmodels.project.label_summary import ImportSummary
from deeplab_core.analysis.agreement import Agreement
from deeplab_core.catalogs import builtin_catalogs, get_catalog
from deeplab_core.catalogs.catalog import map_catalogs
from deeplab_core.catalogs.display import clear_catalog
from deeplab_core.errors import ProjectError
from deeplab_core.learning import ClassGain, GainInterval, LearnReport
from tests.gui.snapshots import pixels_of
from tests.gui.studio import Studio, make_folder

#: Logical sizes: a small screen, 1920 x 1080 at 1.5 and at 2, and 1280 x 720 at 1.5.
SCREENS = [(1280, 720), (1280, 680), (960, 540), (853, 480)]

_LONG = "/data/a folder with a long name/another one below it/and one more, so that no line can hold all of it"
_VOC = get_catalog("voc21")
_ANSWERS = [
    OfferedAnswer(
        place, f"Folder {place}", f"{_LONG}/{place}", "400 of 1 000 images have a mask there; every file can be read. " * 2
    )
    for place in range(8)
]


def _settings(studio: Studio, _tmp: Path) -> QDialog:
    return SettingsDialog(studio.program.settings, studio.window)


def _export(studio: Studio, tmp: Path) -> QDialog:
    from tests.gui.studio import make_folder

    studio.open(make_folder(tmp / "set"))
    dialog = ExportDialog(studio.program.export, studio.program.settings, tmp / "set" / "images", studio.window)
    dialog.format.setCurrentIndex(dialog.format.findData("coco_instances"))
    dialog.options.split.setCurrentIndex(dialog.options.split.findData("shares"))
    dialog.options.more.setChecked(True)
    dialog.options.catalog.setCurrentIndex(1)
    return dialog


def _fetch(studio: Studio, _tmp: Path) -> QDialog:
    return FetchDialog(studio.program.fetch, studio.window.theme, studio.window)


def _keys(studio: Studio, _tmp: Path) -> QDialog:
    return ShortcutSheet(Keymap(ACTIONS, {}), studio.window)


def _shortcuts(studio: Studio, _tmp: Path) -> QDialog:
    return ShortcutsDialog(ACTIONS, {}, studio.window)


def _choice(studio: Studio, _tmp: Path) -> QDialog:
    return ChoiceDialog("Import masks", "How are they read?", _LONG, _ANSWERS, go="Import", leave="Cancel", parent=studio.window)


def _truth(studio: Studio, tmp: Path) -> QDialog:
    intro = "Several folders may hold the ground truth of these images."
    return TruthDialog(_ANSWERS, intro, tmp, asked=True, parent=studio.window)


def _classes(studio: Studio, _tmp: Path) -> QDialog:
    effects = tuple(CatalogEffect(get_catalog(name), 400, 64, 3, 0.25, {77: 12_000}) for name in builtin_catalogs())
    question = ClassQuestion(effects, f"Nothing in {_LONG} defines its classes", "voc21", 12, 40)
    return ClassesDialog(question, _VOC, "voc21", asked=True, parent=studio.window)


def _mapping(studio: Studio, _tmp: Path) -> QDialog:
    source, target = get_catalog("ade20k150"), _VOC
    return MappingDialog(source, target, map_catalogs(source, target), True, studio.window)


def _frame(studio: Studio, _tmp: Path) -> QDialog:
    pictures = FramePreview(*(np.full((340, 255, 3), shade, np.uint8) for shade in (60, 160)))
    return FrameDialog(FrameQuestion(Path(_LONG), "a.jpg", Path(_LONG) / "a.png", 6, 24), pictures, studio.window)


def _learn(studio: Studio, _tmp: Path) -> QDialog:
    pixels = {info.id: 1000 * (info.id + 1) for info in _VOC.classes}
    image = CorrectedMask(1, "a.jpg", "a.jpg", None, None, pixels, True)  # type: ignore[arg-type] # the dialog reads no labels
    corrections = Corrections((image,), 9, 0, (), _VOC, tuple((id_, id_) for id_ in list(pixels)[:9]), (("b.jpg", "cut off"),))
    return LearnDialog(corrections, "DeepLabv3+ MobileNetV2", studio.window)


def _learned(studio: Studio, _tmp: Path) -> QDialog:
    change = GainInterval(gain=0.05, low=0.01, high=0.09, images=9)
    gains = tuple(
        ClassGain(id=info.id, name=info.name, color=info.color, pixels=900, images=9, change=change) for info in _VOC.classes
    )
    report = LearnReport(
        verdict="worse", summary="", images=9, background=3, pixels=9, corrected=(0.5, 0.8), held_out=(0.5, 0.6), kept=0.99,
        step=20, steps=20, blend=0.5, layers="", seconds=1.0, classes=gains, change=change, skipped=(("a.jpg", "it is cut off"),),
    )  # fmt: skip
    return LearnResultDialog(report, _VOC, studio.window)


def _list(studio: Studio, _tmp: Path) -> QDialog:
    return ListDialog("What failed", _LONG, [(f"{n}.jpg", _LONG) for n in range(60)], lambda _row: None, studio.window)


def _trouble(studio: Studio, _tmp: Path) -> QDialog:
    return TroubleDialog("An unexpected error occurred", _LONG, "Traceback\n" * 90, log_folder(), studio.window)


def _messages(studio: Studio, _tmp: Path) -> QDialog:
    for number in range(9):
        choices = (Choice("Show failures", lambda: None), Choice("Try again", lambda: None))
        studio.program.notifier.warning(f"Message {number}", _LONG, choices=choices)
    return MessagesDialog(studio.program.notifier, studio.window.theme, studio.window)


def _job(studio: Studio, _tmp: Path) -> QDialog:
    plan = FolderPlan(f"Run on {_LONG}?", tuple(f"{number} images: {_LONG} {_LONG}" for number in range(9)), "Run", harmless=True)
    return FolderQuestion(plan, studio.window)


def _options(studio: Studio, _tmp: Path) -> QDialog:
    rows = [OptionRow(f"option {n}", f"Option {n}", _LONG, _LONG, guessed=n % 2 == 0, origin=_LONG) for n in range(11)]
    return ModelOptionsDialog(rows, studio.window)


def _palette(studio: Studio, _tmp: Path) -> QDialog:
    return CommandPalette(studio.window.commands, studio.window)


def _new_project(studio: Studio, tmp: Path) -> QDialog:
    from tests.gui.studio import make_folder

    folder = make_folder(tmp / "a folder with a name that is rather long" / "and another one")
    return NewProjectDialog(studio.program.new_project, look_at(folder), clear_catalog, studio.window)


def _import(studio: Studio, tmp: Path) -> QDialog:
    from tests.gui.studio import make_folder

    folder = make_folder(tmp / "set")
    catalog = get_catalog("ade20k150")
    plan, reason = plan_labels(tmp / "set" / "labels", folder, [path.name for path in folder.iterdir()], mask_classes=_VOC)
    with Project.open(folder, tmp / "data", catalog=catalog) as project:
        planned = PlannedLabels(
            source=tmp / "set" / "labels", images=4, catalog=catalog, edits=project.class_edits, plan=plan, reason=reason * 3
        )
    return ImportDialog(studio.program.label_imports, planned, clear_catalog, studio.window)


def _summary(studio: Studio, _tmp: Path) -> QDialog:
    rows = tuple((f"{number}.json", _LONG) for number in range(40))
    facts = tuple((_LONG, "12 px (1.2 %)") for _ in range(9))
    classes = tuple((f"a class with a long name {number}", "12 345 678 px (1.2 %)") for number in range(30))
    return SummaryDialog(ImportSummary("labelme JSON", "", facts, classes, rows, True), studio.window)


def _editor(studio: Studio, _folder: Path) -> QDialog:
    draft = ClassDraft(get_catalog("voc21"))
    draft.merge(9, 18)
    return ClassEditor(draft, Path(), clear_catalog, studio.window)


def _video(studio: Studio, tmp: Path) -> QDialog:
    return VideoDialog(studio.program.videos, tmp / "a video with a long name of a camera.mp4", studio.window)


def _adjust(studio: Studio, _tmp: Path) -> QDialog:
    return AdjustDialog(studio.program.view, studio.window)


def _components(studio: Studio, _tmp: Path) -> QDialog:
    return ComponentDialog(studio.program.component_jobs, _VOC, "smooth", 9, None, studio.window)


def _merge(studio: Studio, tmp: Path) -> QDialog:
    from tests.gui.studio import make_folder

    folder = make_folder(tmp / "a folder with a name that is rather long", truth=False)
    with Project.open(folder, tmp / "one") as one, Project.open(folder, tmp / "two", read_only=False) as other:
        two = TwoProjects(one, other)
    two.met.update(("crack", "rust", "spalling", "moss"))
    found = Agreement(_VOC)
    for number in range(30):
        found.update(
            f"{_LONG}/{number}.jpg", np.full((4, 5), number % 21, np.uint8), np.full((4, 5), (number + 1) % 21, np.uint8)
        )
    conflicts = {(first.name, second.name): 12_345 for first, second in zip(_VOC.classes, _VOC.classes[1:], strict=False)}
    rows = [MergeRow(number, f"{_LONG}/{number}.jpg", 9, 9, conflicts, 20) for number in range(30)]
    failures = [("b.jpg", ProjectError("it is cut off", remedy="Try again"))]
    compared = ComparedProjects(two, found, rows, failures)
    return MergeDialog(_NoPictures(), compared, clear_catalog, studio.window)  # type: ignore[arg-type] # asks for pictures alone


class _NoPictures:
    def picture(self, *_arguments: object) -> None:
        """The images are not files."""


def _text(studio: Studio, _tmp: Path) -> QDialog:
    offered = [f"{number}: the light has changed, and half of the room is not to be seen" for number in range(12)]
    return TextDialog("Reject the image", f"Why is {_LONG}.jpg rejected?", offered=offered, go="Reject", parent=studio.window)


def _similar(studio: Studio, _tmp: Path) -> QDialog:
    dialog = SimilarDialog(lambda _image: None, studio.window)
    dialog.show_images(f"Like {_LONG}.jpg.", [(number, f"{_LONG}_{number}.jpg", 0.9) for number in range(40)], running=True)
    return dialog


def _notes(studio: Studio, tmp: Path) -> QDialog:
    studio.open(make_folder(tmp / "noted", truth=False))
    for number in range(30):
        studio.program.reviewing.add_note(f"{number}: {_LONG}", None)
    return NotesDialog(studio.program.reviewing, studio.program.session, studio.window)


def _progress(studio: Studio, _tmp: Path) -> QDialog:
    return ProgressDialog(
        [DayProgress(date(2026, 1, 1 + day), 1200, 800, 30, 12_345, 30_000) for day in range(30)], studio.window
    )


MAKERS: dict[type[QDialog], Callable[[Studio, Path], QDialog]] = {
    SettingsDialog: _settings, ExportDialog: _export, FetchDialog: _fetch, ShortcutSheet: _keys, ShortcutsDialog: _shortcuts,
    ChoiceDialog: _choice, TruthDialog: _truth, ClassesDialog: _classes, MappingDialog: _mapping, FrameDialog: _frame,
    LearnDialog: _learn, LearnResultDialog: _learned, ListDialog: _list, TroubleDialog: _trouble, CommandPalette: _palette,
    MessagesDialog: _messages, FolderQuestion: _job, ModelOptionsDialog: _options,
    ClassEditor: _editor, VideoDialog: _video, ComponentDialog: _components, AdjustDialog: _adjust,
    NewProjectDialog: _new_project, ImportDialog: _import,
    SummaryDialog: _summary, MergeDialog: _merge, TextDialog: _text, NotesDialog: _notes, ProgressDialog: _progress,
    SimilarDialog: _similar,
}  # fmt: skip


def _all_below(kind: type[QDialog]) -> set[type[QDialog]]:
    return {kind}.union(*(_all_below(child) for child in kind.__subclasses__()))


def test_every_dialog_is_tested_here():
    for module in pkgutil.walk_packages(app.ui.__path__, "app.ui."):
        importlib.import_module(module.name)
    ours = {kind for kind in _all_below(QDialog) if kind.__module__.startswith("app.")} - {FittedDialog}
    assert ours == set(MAKERS)
    assert {kind for kind in ours if not issubclass(kind, FittedDialog)} == {CommandPalette}


def studio_bottom(dialog: QDialog) -> int:
    """Last row of the window behind a dialog, on the screen."""
    window = dialog.parentWidget()
    assert window is not None
    return window.mapToGlobal(window.rect().bottomLeft()).y()


def _place(widget: QWidget, dialog: QDialog) -> QRect:
    return QRect(widget.mapTo(dialog, QPoint(0, 0)), widget.size())


def assert_tidy(dialog: QDialog) -> None:
    """No buttons touch, titles of columns stand above their texts, and no table is scrolled sideways."""
    buttons = [button for button in dialog.findChildren(QPushButton) if button.isVisible()]
    places = {button.text(): _place(button, dialog) for button in buttons}
    for text, one in places.items():
        beside = [other.left() - one.right() - 1 for other in places.values() if other.top() == one.top()]
        assert min((gap for gap in beside if gap >= 0), default=8) >= 4, text
    for table in dialog.findChildren(QTableView):
        if table.isVisible() and table.horizontalHeader().isVisible():
            assert table.horizontalHeader().defaultAlignment() & Qt.AlignmentFlag.AlignLeft
            assert table.horizontalScrollBar().maximum() == 0, table.accessibleName()


@pytest.fixture
def shown(shared_studio: Studio, qtbot, tmp_path, monkeypatch) -> Callable[[type[QDialog], tuple[int, int]], QDialog]:
    def show(kind: type[QDialog], screen: tuple[int, int]) -> QDialog:
        room = QSize(*screen) - fitted_dialog._FRAME
        monkeypatch.setattr(fitted_dialog, "screen_room", lambda _widget: room)
        shared_studio.window.resize(min(screen[0], 1200), min(screen[1], 800))
        dialog = MAKERS[kind](shared_studio, tmp_path)
        qtbot.addWidget(dialog)
        dialog.show()
        shared_studio.settle()  # a dialog may measure something in the background and show it then
        qtbot.wait(20)
        assert dialog.width() <= room.width()
        assert dialog.height() <= room.height()
        if screen[1] > 680 and isinstance(dialog, FittedDialog):
            assert dialog.height() <= 0.8 * screen[1]
        return dialog

    return show


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"{screen[0]}x{screen[1]}")
@pytest.mark.parametrize("kind", MAKERS, ids=lambda kind: kind.__name__)
def test_a_dialog_fits_its_screen(shown, kind, screen):
    dialog = shown(kind, screen)
    if not isinstance(dialog, FittedDialog):
        below = dialog.frameGeometry().bottom() - studio_bottom(dialog)
        assert below <= 0
        return
    assert_tidy(dialog)
    buttons = [dialog.buttons.itemAt(place).widget() for place in range(dialog.buttons.count())]
    buttons = [button for button in buttons if isinstance(button, QAbstractButton) and button.isVisible()]
    assert buttons
    for button in buttons:
        assert dialog.rect().contains(_place(button, dialog)), button.text()
        assert button.width() >= button.sizeHint().width(), button.text()
    page, viewport, bar = dialog.area.widget(), dialog.area.viewport(), dialog.area.verticalScrollBar()
    assert page.width() <= viewport.width()
    assert bar.maximum() + viewport.height() >= page.height()
    for widget in page.findChildren(QWidget):
        if widget.isVisible() and isinstance(widget, (QLabel, QPushButton)) and not isinstance(widget, ElidedLabel):
            wrapped = isinstance(widget, QLabel) and widget.wordWrap()
            assert wrapped or widget.width() >= widget.minimumSizeHint().width(), widget.text()
            assert not wrapped or widget.height() >= widget.heightForWidth(widget.width()), widget.text()
            assert _place(widget, page).right() <= page.width(), widget.text()  # type: ignore[arg-type]


def test_conflicts_leave_room_for_what_differs(shown):
    dialog = shown(MergeDialog, (800, 500))
    widths = [dialog.conflicts.columnWidth(column) for column in range(3)]
    assert widths[1] >= 150
    assert sum(widths) <= dialog.conflicts.viewport().width()


def test_the_forms_of_an_import_have_one_edge(shown):
    dialog = shown(ImportDialog, (1280, 720))
    assert dialog.mask_classes.isVisible()
    edges = {box.mapTo(dialog, QPoint(0, 0)).x() for box in (dialog.format, dialog.mask_classes, dialog.rest, dialog.frame)}
    assert len(edges) == 1


def test_a_selected_image_shows_its_name_and_its_figure(shown, shared_studio):
    """Its border took room, and the second line was left out."""
    dialog = shown(SimilarDialog, (1280, 720))
    dialog.list.setCurrentRow(0)
    dialog.list.setFocus()
    shared_studio.wait(dialog.list.hasFocus)
    shared_studio.settle()
    shown_lines = []
    for row in (0, 1):
        place = dialog.list.visualItemRect(dialog.list.item(row)).adjusted(6, 3, -6, -3)
        pixels = pixels_of(dialog.list.viewport())[place.top() : place.bottom(), place.left() : place.right()]
        inked = (np.abs(pixels.astype(int) - pixels[0, 0]).max(axis=2) > 60).any(axis=1)
        shown_lines.append(int(np.count_nonzero(np.diff(inked.astype(int)) == 1)))
    assert shown_lines[0] == shown_lines[1] > 1


def test_the_highest_column_of_the_sheet_of_keys_is_as_low_as_it_can_be(shown):
    dialog = shown(ShortcutSheet, (1280, 720))
    heights = [section.sizeHint().height() + _GAP for section in dialog.sections]
    columns = dialog._dealt(2)
    dealt = max(sum(section.sizeHint().height() + _GAP for section in column) for column in columns)
    assert [section for column in columns for section in column] == list(dialog.sections)
    assert dealt == min(max(sum(heights[:place]), sum(heights[place:])) for place in range(len(heights)))


def test_everything_of_the_settings_can_be_reached_on_the_smallest_screen(shown):
    dialog = shown(SettingsDialog, (853, 480))
    bar = dialog.area.verticalScrollBar()
    assert bar.maximum() > 0
    for editor in dialog.editors.values():
        # ensureWidgetVisible is content with the text cursor of a field
        bottom = editor.mapTo(dialog.area.widget(), editor.rect().bottomLeft())
        dialog.area.ensureVisible(bottom.x(), bottom.y(), 0, editor.height())
        place = QRect(editor.mapTo(dialog.area.viewport(), QPoint(0, 0)), editor.size())
        assert dialog.area.viewport().rect().contains(place)


def test_a_dialog_takes_no_more_than_it_needs(shown):
    dialog = shown(ChoiceDialog, (1280, 1600))
    assert dialog.area.verticalScrollBar().maximum() == 0
    assert dialog.height() < 900


def test_a_size_that_the_user_gave_is_kept(shown):
    dialog = shown(ListDialog, (1280, 720))
    dialog.resize(500, 300)
    dialog.hide()
    dialog.show()
    assert dialog.size() == QSize(500, 300)


def test_the_sheet_of_keys_uses_fewer_columns_on_a_narrow_screen(shown):
    def columns(dialog: ShortcutSheet) -> int:
        return len({section.mapTo(dialog, QPoint(0, 0)).x() for section in dialog.sections})

    assert columns(shown(ShortcutSheet, (1920, 1080))) == 3
    assert columns(shown(ShortcutSheet, (853, 480))) < 3


def test_a_dialog_grows_with_what_comes_later_and_keeps_the_user_s_size(shown, qtbot):
    dialog = shown(ChoiceDialog, (1280, 1600))
    before = dialog.height()
    dialog.column.addWidget(QLabel("later<br>" * 9))
    qtbot.waitUntil(lambda: dialog.height() > before and dialog.area.verticalScrollBar().maximum() == 0)
    chosen = QSize(dialog.width() + 9, before)
    dialog.resize(chosen)
    dialog.column.addWidget(QLabel("still later<br>" * 9))
    qtbot.waitUntil(lambda: dialog.area.verticalScrollBar().maximum() > 0)
    QApplication.processEvents()
    assert dialog.size() == chosen

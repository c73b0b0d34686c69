"""The window in Korean: no English text on its main screens and in its dialogs, and Hangul wherever users type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QLocale, QModelIndex, Qt, QTranslator
from PySide6.QtGui import QAction, QInputMethodEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QErrorMessage,
    QFileDialog,
    QFileSystemModel,
    QFontDialog,
    QGroupBox,
    QInputDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QMessageBox,
    QPlainTextEdit,
    QProgressDialog,
    QPushButton,
    QTabBar,
    QTableWidget,
    QTextEdit,
    QTreeWidget,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.text import use_translator
from app.ui.annotate.class_editor import ClassEditor
from app.ui.evaluate.band_plot import CurvePlot
from app.ui.predict.mapping_dialog import MappingDialog
from app.ui.shell.language import show_language
from app.ui.shell.theme import load_theme
from tests.gui.shell.test_dialog_sizes import MAKERS
from tests.gui.studio import Studio

ROOT = Path(__file__).resolve().parents[3]
#: Words that are the same in Korean: names of programs, formats, methods, keys and units.
NAMES = set(
    re.findall(
        r"\w+",
        """
        Atrous DeepLab DeepLabv3 CRF IoU mIoU ECE AP GPU CPU ONNX EXIF CSV JSON PNG JPEG SVG HTML COCO CVAT YOLO VOC PASCAL Pascal
        Cityscapes CamVid ADE20K labelme Label Studio Hugging Face Hub zip XML RGB KITTI ISAT Supervisely NumPy Parquet GeoTIFF
        Datumaro void px ID w1 w2 n ms auto cpu fp32 fp16 bf16 Inter Qt PySide6 LGPL Apache License SIL Open Font pydensecrf crf
        onnx torch Language English atrous refine search DIR FOLDER napari nbsp masks inspect ambiguous NAME failed clip
        No such file or directory imagined none new predicted corrected reviewed rejected unreviewed missing truth
        note class chair sofa Stripes sha256 VGG authors evaluation scripts SetupEnv glare reason blurred minutes
        for images segmentation mask gtFine gtCoarse AnyLabeling parquet json
        Ctrl Shift Alt Enter Esc Tab Space Backspace Delete Home End Left Right Up Down PgUp PgDown Ins Del Return
        F1 F2 F5 F6 F10 F11 MB GB OpenVINO AMX Runtime
        """,
    )
)
#: Data that a screen shows as it is: classes, class sets, published models, what the makers of the dialogs write.
DATA = (
    *(ROOT / "deeplab_core" / "catalogs").rglob("*.json"),
    *(ROOT / "deeplab_core" / "hub").rglob("*.json"),
    ROOT / "tests" / "gui" / "shell" / "test_dialog_sizes.py",
    ROOT / "tests" / "gui" / "studio.py",
)
KNOWN = {*NAMES, *(word for path in DATA for word in re.findall(r"[A-Za-z][A-Za-z0-9]+", path.read_text(encoding="utf-8")))}


@pytest.fixture
def korean(qapp: QApplication) -> Iterator[None]:
    """The language, before the window is built."""
    before = QLocale()
    translators = show_language("ko")
    assert len(translators) == 3  # Qt's own, ours of Qt's texts, ours
    yield
    for translator in translators:
        QCoreApplication.removeTranslator(translator)
    QLocale.setDefault(before)
    use_translator(None)


@pytest.fixture
def office(korean: None, request: pytest.FixtureRequest) -> Studio:
    """A window in Korean."""
    found = request.getfixturevalue("studio")
    assert isinstance(found, Studio)
    return found


def texts(root: QWidget) -> Iterator[tuple[str, str]]:
    """Texts that a user sees or is read, below a widget: the kind of widget and the text."""
    for widget in (root, *root.findChildren(QWidget)):
        kind = type(widget).__name__
        yield kind, widget.toolTip()
        yield kind, widget.accessibleName()
        yield kind, widget.windowTitle()
        if isinstance(widget, QLabel | QAbstractButton):
            yield kind, widget.text()
        if isinstance(widget, QGroupBox):
            yield kind, widget.title()
        if isinstance(widget, QLineEdit):
            yield kind, widget.placeholderText()
        if isinstance(widget, QComboBox):
            yield from ((kind, widget.itemText(row)) for row in range(widget.count()))
        if isinstance(widget, QTabBar):
            yield from ((kind, widget.tabText(place)) for place in range(widget.count()))
        if isinstance(widget, QMenu):
            yield kind, widget.title()
        if isinstance(widget, QTableWidget):
            heads = [widget.horizontalHeaderItem(column) for column in range(widget.columnCount())]
            yield from ((kind, head.text()) for head in heads if head is not None)
        if isinstance(widget, QTreeWidget):
            yield from ((kind, widget.headerItem().text(column)) for column in range(widget.columnCount()))
    for action in root.findChildren(QAction):
        yield "QAction", action.text()
        yield "QAction", action.toolTip()


def english(root: QWidget) -> set[tuple[str, str]]:
    """Texts with an English word that is no name and no data; paths, file names and words that are cut are data."""
    found = set()
    for kind, text in texts(root):
        plain = re.sub(r"\S*…\S*|<[^>]+>|&|\S*/\S*|hf://\S+|\S+\.\w{2,11}\b|\b[0-9a-f]{8}\b|iou\S+|\bv\d\b", " ", text)
        if [word for word in re.findall(r"[A-Za-z][A-Za-z0-9]+", plain) if word not in KNOWN]:
            found.add((kind, text))
    return found


def test_english_is_seen(qtbot: QtBot) -> None:
    dialog = QDialog()
    qtbot.addWidget(dialog)
    QLabel("마스크 3개", dialog)
    assert english(dialog) == set()
    QLabel("Something 3", dialog).setToolTip("Whatever")
    assert english(dialog) == {("QLabel", "Something 3"), ("QLabel", "Whatever")}


def test_the_window_shows_no_english(office: Studio, folder: Path) -> None:
    office.start_model()
    office.open(folder)
    office.wait(lambda: office.program.context["has_prediction"])
    assert "이미지" in {text for _kind, text in texts(office.window)}
    assert english(office.window) == set()


def test_the_legend_of_the_curves_is_korean(korean: None, qtbot: QtBot) -> None:
    plot = CurvePlot(load_theme("dark"))
    qtbot.addWidget(plot)
    assert {label.text() for label in plot.findChildren(QLabel)} == {"모델", "현재", "CRF 적용"}


@pytest.mark.parametrize("kind", MAKERS, ids=lambda kind: kind.__name__)
def test_a_dialog_shows_no_english(office: Studio, tmp_path: Path, kind: type[QDialog]) -> None:
    dialog = MAKERS[kind](office, tmp_path)
    office.qtbot.addWidget(dialog)
    dialog.show()
    office.settle()
    assert english(dialog) == set()


class Unanswered(QTranslator):
    """Is asked last, and notes the texts of Qt that no translation has."""

    #: No words: the direction of the layout, a number with its sign, names of keys. Errors of the system have its language.
    LEFT = ("QGuiApplication", "QProgressBar", "QShortcut", "QIODevice")

    def __init__(self) -> None:
        super().__init__()
        self.texts: set[tuple[str, str]] = set()

    def isEmpty(self) -> bool:
        return False

    def translate(self, context: str, text: str, _comment: str | None = None, _n: int = -1) -> str | None:  # type: ignore[override]
        if context and context not in self.LEFT:
            self.texts.add((context, text))
        return None


def file_dialog(
    mode: QFileDialog.FileMode, accept: QFileDialog.AcceptMode, view: QFileDialog.ViewMode, place: Path
) -> QFileDialog:
    dialog = QFileDialog(None, "열기", str(place))
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly, mode is QFileDialog.FileMode.Directory)
    dialog.setFileMode(mode)
    dialog.setAcceptMode(accept)
    dialog.setViewMode(view)
    return dialog


def message_box() -> QMessageBox:
    box = QMessageBox()
    box.setDetailedText("내용")
    box.setStandardButtons(ALL_BUTTONS)
    return box


def input_dialog(mode: QInputDialog.InputMode) -> QInputDialog:
    dialog = QInputDialog()
    dialog.setInputMode(mode)
    return dialog


def error_message() -> QErrorMessage:
    dialog = QErrorMessage()
    dialog.showMessage("내용")
    return dialog


#: Every button that Qt has a text for.
ALL_BUTTONS = QMessageBox.StandardButton(
    sum(button.value for button in QMessageBox.StandardButton if button.value.bit_count() == 1)
)
QT_WINDOWS: dict[str, Callable[[], QWidget]] = {
    "buttons": lambda: QDialogButtonBox(QDialogButtonBox.StandardButton(ALL_BUTTONS.value)),
    "message": message_box,
    "colour": lambda: QColorDialog(options=QColorDialog.ColorDialogOption.ShowAlphaChannel),
    "font": QFontDialog,
    "error": error_message,
    "progress": QProgressDialog,
    **{f"input-{mode.name}": lambda mode=mode: input_dialog(mode) for mode in QInputDialog.InputMode},  # type: ignore[misc]
}


@pytest.fixture
def unanswered(qapp: QApplication, request: pytest.FixtureRequest) -> Iterator[Unanswered]:
    """Installed before the language."""
    translator = Unanswered()
    QCoreApplication.installTranslator(translator)
    request.getfixturevalue("korean")
    yield translator
    QCoreApplication.removeTranslator(translator)


def latin(root: QWidget) -> set[str]:
    """Words that are no names of keys, in what Qt wrote."""
    return {word for _kind, text in texts(root) for word in re.findall(r"[A-Za-z]{2,}", text.partition("\t")[0])}


@pytest.mark.parametrize("name", QT_WINDOWS)
def test_a_dialog_of_qt_shows_no_english(name: str, unanswered: Unanswered, qtbot: QtBot) -> None:
    window = QT_WINDOWS[name]()
    qtbot.addWidget(window)
    window.show()
    QCoreApplication.processEvents()
    assert latin(window) <= {"HTML", *(set(re.findall(r"[A-Za-z]+", " ".join(NAMES))) if name == "font" else ())}
    assert unanswered.texts == set()


@pytest.mark.parametrize("kind", [QLineEdit, QTextEdit, QPlainTextEdit])
def test_the_menu_of_a_text_field_shows_no_english(
    kind: type[QLineEdit] | type[QTextEdit] | type[QPlainTextEdit], unanswered: Unanswered, qtbot: QtBot
) -> None:
    field = kind("가")
    qtbot.addWidget(field)
    menu = field.createStandardContextMenu()
    assert len(menu.actions()) > 5
    assert latin(menu) == set()
    assert unanswered.texts == set()
    menu.deleteLater()


@pytest.mark.parametrize("view", QFileDialog.ViewMode)
@pytest.mark.parametrize("accept", QFileDialog.AcceptMode)
@pytest.mark.parametrize("mode", QFileDialog.FileMode)
def test_the_file_dialogs_of_qt_show_no_english(
    mode: QFileDialog.FileMode,
    accept: QFileDialog.AcceptMode,
    view: QFileDialog.ViewMode,
    unanswered: Unanswered,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    place = tmp_path / "그림"
    (place / "안").mkdir(parents=True)
    kinds = ("png", "jpg", "tif", "csv", "tsv", "txt", "html", "json", "yaml", "toml", "xml", "mp4", "zip", "svg")
    for kind in kinds:
        (place / f"가.{kind}").write_bytes(b"")
    dialog = file_dialog(mode, accept, view, place)
    qtbot.addWidget(dialog)
    dialog.show()
    (model,) = dialog.findChildren(QFileSystemModel)
    folder = model.index(str(place))
    files = 0 if mode is QFileDialog.FileMode.Directory else len(kinds)
    qtbot.waitUntil(lambda: model.rowCount(folder) == 1 + files)
    shown = [model.index(row, column, folder).data() for row in range(1 + files) for column in (1, 2)]
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in range(model.columnCount(QModelIndex()))]
    assert heads == ["이름", "크기", "형식", "수정한 날짜"]
    assert "폴더" in shown
    sides = {str(text) for text in latin(dialog)} - set(re.findall(r"[A-Za-z]{2,}", str(place)))
    assert sides == set()
    assert unanswered.texts == set()


def test_class_sets_have_korean_titles_beside_the_classes_of_the_model(office: Studio, tmp_path: Path) -> None:
    dialog = MAKERS[MappingDialog](office, tmp_path)
    office.qtbot.addWidget(dialog)
    intro = dialog.findChildren(QLabel)[1].text()
    assert "ADE20K 장면 분석" in intro
    assert "classes" not in intro


def test_hangul_is_composed_in_the_filter_of_the_images(office: Studio, folder: Path) -> None:
    office.open(folder)
    field = office.window.images.filter
    typed(field, "ㅅ", "사", "살")
    assert field.text() == ""  # a syllable that is being composed filters nothing
    assert office.application.images.rowCount() > 0
    finish(field, "사")
    typed(field, "ㅈ", "지")
    finish(field, "진")
    assert field.text() == "사진"
    office.wait(office.window.images.nothing.isVisible)


def test_hangul_finds_a_class(office: Studio, folder: Path) -> None:
    office.open(folder)
    office.window.classes.open_finder()
    typed(office.window.classes.finder, "ㅇ", "의")
    finish(office.window.classes.finder, "의자")
    assert office.window.classes.finder.text() == "의자"


def test_hangul_names_a_class(office: Studio, tmp_path: Path) -> None:
    dialog = MAKERS[ClassEditor](office, tmp_path)
    assert isinstance(dialog, ClassEditor)
    office.qtbot.addWidget(dialog)
    dialog.show()
    (add,) = [button for button in dialog.findChildren(QPushButton) if button.text() == "추가"]
    QTest.mouseClick(add, Qt.MouseButton.LeftButton)
    (editor,) = dialog.table.findChildren(QLineEdit)
    assert editor.text() == "새 클래스"
    editor.selectAll()
    typed(editor, "ㄱ", "규", "균")
    finish(editor, "균열")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    office.wait(lambda: "균열" in dialog.draft.catalog.names)


def typed(widget: QWidget, *composed: str) -> None:
    """What an input method sends while a syllable is composed."""
    for text in composed:
        QCoreApplication.sendEvent(widget, QInputMethodEvent(text, []))


def finish(widget: QWidget, text: str) -> None:
    """What an input method sends when a syllable is finished."""
    done = QInputMethodEvent()
    done.setCommitString(text)
    QCoreApplication.sendEvent(widget, done)

"""The window with names that end alike, names in foreign bytes, and files that it cannot read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QHelpEvent, QTextDocument
from PySide6.QtGui import Qt as GuiQt
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QTabBar,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QToolTip,
    QWidget,
)

from app.controllers.project.export import ExportRequest, ExportScope
from app.state.image_record import ImageStatus
from app.text import displayed
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import toned
from app.ui.project.export_dialog import ExportDialog
from app.ui.shell.messages_dialog import TroubleDialog
from tests.gui.studio import Studio

FOREIGN = os.fsdecode(b"\xbb\xe7\xc1\xf8.jpg")
NAMES = ("a.jpg", "a.png", "b.jpg", *([FOREIGN] if sys.platform == "linux" else []))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        pixels = np.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    for name in ("c.cr2", "d.psd"):
        (folder / name).write_bytes(b"x")
    return folder


def titles(studio: Studio) -> set[str]:
    model = studio.application.images
    return {model.index(row).data(model.RowRole).title for row in range(model.rowCount())}


def show(studio: Studio, image: int) -> None:
    projects = studio.program.projects
    projects.open_image(image)
    studio.wait(lambda: studio.program.session.image is not None and studio.program.session.image.id == image)
    studio.settle()


def test_equal_names_are_distinguished_and_what_is_left_out_is_reported(studio: Studio, photos: Path) -> None:
    studio.open(photos)
    assert {"a.jpg", "a.png", "b"} <= titles(studio)
    said = [message.detail for message in studio.program.notifier.messages]
    (notice,) = [text for text in said if "formats that are not read" in text]
    assert "2 are in formats that are not read (.cr2, .psd): c.cr2, d.psd" in notice
    for record in studio.program.session.project.images:
        show(studio, record.id)
    assert not [text for text in studio.titles() if "unexpected" in text.lower()]


def test_what_was_told_is_not_told_again(studio: Studio, photos: Path) -> None:
    studio.open(photos)
    studio.program.notifier.messages.clear()
    studio.program.projects.close()
    studio.open(photos)
    assert not [message for message in studio.program.notifier.messages if "formats that are not read" in message.detail]


def test_the_export_names_the_equal_pair_and_offers_the_remedy(studio: Studio, photos: Path, tmp_path: Path) -> None:
    studio.open(photos)
    project = studio.program.session.project
    for record in project.images:
        show(studio, record.id)
        studio.paint((20, 20), (60, 60))
        studio.settle()
        project.set_status(record.id, ImageStatus.REVIEWED)
    dialog = ExportDialog(studio.program.export, studio.program.settings, photos, studio.window)
    studio.qtbot.addWidget(dialog)
    dialog.target.setText(str(tmp_path / "out"))
    dialog.show()
    assert "2 cannot be exported; the others are." in dialog.note.text()
    dialog.keep_suffix.setChecked(True)
    assert "cannot be exported" not in dialog.note.text()
    request = dialog.request()
    assert request.keep_suffix
    done: list[object] = []
    studio.program.export.finished.connect(lambda summary, _request: done.append(summary))
    studio.program.export.start(request, "error")
    studio.wait(lambda: done)
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {f"{name}.png" for name in NAMES}
    plain = ExportRequest(format="indexed", scope=ExportScope.REVIEWED, frame="stored", target=tmp_path / "plain")
    studio.program.export.start(plain, "error")
    studio.wait(lambda: len(done) == 2)
    assert {path.name for path in (tmp_path / "plain").glob("*.png")} == {
        str(Path(name).with_suffix(".png")) for name in NAMES if not name.startswith("a.")
    }


def test_names_are_shown_as_they_are(studio: Studio) -> None:
    for name in ("<b>bold</b>.jpg", "<img src=x>.png", "a<br>b"):
        label = toned(name)
        studio.qtbot.addWidget(label)
        assert label.textFormat() is Qt.TextFormat.PlainText
        assert label.text() == name
    trouble = TroubleDialog("Trouble", "\x1b]0;a\x07", "one\n\u202etwo \udcff", Path("logs"), studio.window)
    studio.qtbot.addWidget(trouble)
    assert trouble.details.toPlainText() == "one\n\\u202etwo \ufffd"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31m.png", r"a\x1b[31m.png"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud83d", "\ufffd"),
        ("caf\udce9", "caf\ufffd"),
    ],
)
def test_controls_in_names_are_visible(name: str, shown: str) -> None:
    assert displayed(name) == shown


def tip_of(studio: Studio, widget: QWidget, point: QPoint) -> str:
    """What is shown once the pointer rests on a point of a widget."""
    QToolTip.hideText()
    event = QHelpEvent(QEvent.Type.ToolTip, point, widget.mapToGlobal(point))
    QApplication.sendEvent(widget, event)
    studio.wait(lambda: QToolTip.text() != "")
    return QToolTip.text()


def seen(tip: str) -> str:
    """The letters that Qt draws of a tooltip."""
    if not GuiQt.mightBeRichText(tip):
        return tip
    document = QTextDocument()
    document.setHtml(tip)
    return document.toPlainText()


@pytest.mark.qt_log_ignore("does not support raise")
def test_tooltips_show_names_that_look_like_html(studio: Studio, photos: Path) -> None:
    hostile = "a<img src=x>b.png"
    (photos / "a.png").rename(photos / hostile)
    studio.open(photos)
    listed = studio.window.images.view
    rows = [listed.model().index(row, 0) for row in range(listed.model().rowCount())]
    index = next(row for row in rows if hostile in str(row.data(Qt.ItemDataRole.ToolTipRole)))
    listed.scrollTo(index)
    assert hostile in seen(tip_of(studio, listed.viewport(), listed.visualRect(index).center()))
    label = ElidedLabel(Qt.TextElideMode.ElideRight)
    label.set_text("<b>one</b>\ntwo")
    table = QTableWidget(1, 1)
    head = QTableWidgetItem("a")
    head.setToolTip("<i>head</i>")
    table.setHorizontalHeaderItem(0, head)
    tabs = QTabBar()
    tabs.addTab("a")
    tabs.setTabToolTip(0, "<i>tab</i>")
    for widget, target, shown in (
        (label, label, "<b>one</b>\ntwo"),
        (table, table.horizontalHeader().viewport(), "<i>head</i>"),
        (tabs, tabs, "<i>tab</i>"),
    ):
        studio.qtbot.addWidget(widget)
        widget.show()
        assert seen(tip_of(studio, target, QPoint(5, 5))) == shown


@pytest.mark.qt_log_ignore("does not support raise")
def test_tooltips_of_commands_are_formatted(studio: Studio) -> None:
    buttons = studio.window.findChildren(QToolButton)
    button = next(button for button in buttons if button.isVisible() and "Brush" in button.toolTip())
    shown = tip_of(studio, button, button.rect().center())
    assert GuiQt.mightBeRichText(shown)
    assert seen(shown).startswith("Brush")


@pytest.mark.skipif(sys.platform == "win32", reason="names hold no controls there")
def test_a_newline_in_a_name_is_visible(studio: Studio, photos: Path) -> None:
    (photos / "a.png").rename(photos / "a\nb\tc.png")
    studio.open(photos)
    assert [record.shown for record in studio.program.session.project.images if "c.png" in record.shown] == [r"a\nb\tc.png"]
    assert not [title for title in titles(studio) if "\n" in title]


def test_no_label_of_the_window_guesses_whether_a_name_is_html(studio: Studio, photos: Path) -> None:
    (photos / "a.png").rename(photos / "a<img src=x>.png")
    studio.open(photos)
    guessing = [label.text() for label in studio.window.findChildren(QLabel) if label.textFormat() is Qt.TextFormat.AutoText]
    assert [text for text in guessing if text] == []

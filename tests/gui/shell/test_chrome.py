"""What surrounds the picture: the selected class and modes, the docks' heights and tabs, messages, the status line."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, QRectF, QSettings, QSize, Qt
from PySide6.QtGui import QFontMetrics, QImage, QPainter
from PySide6.QtWidgets import QApplication, QPushButton

from app.controllers.predict.image import Suggestion
from app.services.jobs import Job
from app.services.notifications import Choice, Severity
from app.state.image_record import ImageStatus
from app.state.tools import TOOLS
from app.ui.annotate.class_delegate import _IOU, _KEY, _SWATCH
from app.ui.canvas.chip import PaneChip
from app.ui.common import fitted_dialog
from app.ui.project.images_dock import paint_status
from app.ui.project.start_page import StartPage
from app.ui.shell.messages_dialog import MessagesDialog
from app.ui.shell.presenter import _suggestion_text
from app.ui.shell.theme import THEMES, load_theme
from app.viewmodels.annotate.class_rows import ClassRow
from app.viewmodels.annotate.panes import PaneKind
from app.viewmodels.project.image_list import ImageRow
from deeplab_core.catalogs import get_catalog
from deeplab_core.wording import count
from tests.gui.studio import Studio

# -- tools, class and modes ----------------------------------------------------------------------------------------------


def test_the_key_of_the_current_tool_leaves_its_button_highlighted(studio: Studio, folder):
    studio.open(folder)
    brush = next(button for button in studio.window.top_bar.tools if button.defaultAction().objectName() == "tool.brush")
    for _ in range(3):
        studio.press(Qt.Key.Key_B, on=studio.view)
        assert brush.isChecked()
    studio.press(Qt.Key.Key_E, on=studio.view)
    assert not brush.isChecked()


def test_the_name_of_the_file_is_what_stays_of_the_title(studio: Studio):
    """At 1280 px the title was 'images/…2 of 24': neither name nor folder."""
    title = studio.window.top_bar.title
    metrics = QFontMetrics(title.font())

    def shown(width: int) -> str:
        title.resize(width, title.height())
        studio.window.top_bar.show_title("images/room_00001.jpg", "640×480", "2 of 24")
        return title.text()

    texts = ["images/room_00001.jpg · 640×480 · 2 of 24", "room_00001.jpg · 640×480 · 2 of 24", "room_00001.jpg · 2 of 24"]
    for text in (*texts, "room_00001.jpg"):
        assert shown(metrics.horizontalAdvance(text) + 1) == text
        assert title.toolTip() == texts[0]
    cut = shown(metrics.horizontalAdvance("room_00001.jpg") - 10)
    assert cut.startswith("room")
    assert cut.endswith("jpg")


def test_a_check_mark_always_shows_the_state(studio: Studio, folder):
    """Every command with a check mark, also one that changes nothing."""
    studio.open(folder)
    for name in ("view.layout_single", "tool.pan", "view.overlay", "brush.within"):
        action = studio.window.commands[name]
        for _ in range(2):
            action.trigger()
            fact = {"view.layout_single": "layout_single", "tool.pan": "tool_pan"}.get(name)
            on = studio.program.context[fact or {"view.overlay": "overlay_on", "brush.within": "within_on"}[name]]
            assert action.isChecked() is on


@pytest.mark.parametrize("width", [737, 900, 1280, 1600])
def test_the_selected_class_is_in_the_top_bar_at_any_width_and_without_docks(studio: Studio, folder, width):
    studio.open(folder)
    studio.window.resize(width, 700)
    studio.window.toggle_fold()
    studio.program.classes.choose(15)
    chip, bar = studio.window.top_bar.class_chip, studio.window.top_bar
    assert chip.isVisible()
    assert bar.rect().contains(QRect(chip.mapTo(bar, QPoint(0, 0)), chip.size()))
    assert "person" in chip.accessibleName()
    studio.program.classes.choose_void()
    assert "void" in chip.accessibleName()
    studio.program.classes.choose(1)
    key = next(key for key, class_id in studio.program.classes.keys.items() if class_id == 1)
    assert chip.accessibleName() == f"Selected class: aeroplane, key {key}"
    studio.window.toggle_fold()


def test_the_selected_tool_has_a_button_at_any_width(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    bar, layout = studio.window.top_bar, studio.window.top_bar.layout()
    for width in (1600, 1280, 900, 737):
        studio.window.resize(width, 700)
        studio.settle()
        least = bar.minimumSizeHint().width()
        for tool, button in zip((tool for tool in TOOLS if tool.in_bar), bar.tools, strict=True):
            studio.program.edit.choose_tool(tool.tool)
            assert button.isChecked()
            assert button.isVisible(), (tool.tool, width)
            layout.activate()
            assert bar.rect().contains(QRect(button.mapTo(bar, QPoint(0, 0)), button.size()))
            assert bar.rect().contains(QRect(bar.done_button.mapTo(bar, QPoint(0, 0)), bar.done_button.size()))
            assert bar.minimumSizeHint().width() == least
    assert sum(button.isVisible() for button in bar.tools) < len(bar.tools)


@pytest.mark.parametrize("width", [839, 1280])
def test_modes_are_seen_while_they_are_on_and_a_click_ends_them(studio: Studio, folder, width):
    studio.open(folder)
    studio.window.resize(width, 700)
    limits = ("Only over", "Over classes", "Inside band", "Outside band")
    names = ("Scribble", "Lasso snaps", *limits, "Adjusted", "Refine outline", "Mark ambiguous")
    lamps = dict(zip(names, studio.window.top_bar.lamps, strict=True))
    assert not any(lamp.isVisible() for lamp in lamps.values())
    studio.program.scribble.toggle()
    studio.program.edit.toggle_within()
    assert {text for text, lamp in lamps.items() if lamp.isVisible()} == {"Scribble", "Only over"}
    bar = studio.window.top_bar
    studio.qtbot.wait(20)
    for lamp in (lamps["Scribble"], lamps["Only over"], bar.done_button):
        assert bar.rect().contains(QRect(lamp.mapTo(bar, QPoint(0, 0)), lamp.size()))
        assert lamp.width() >= lamp.minimumSizeHint().width()
    lamps["Scribble"].click()
    assert not studio.program.context["scribble_on"]
    assert not lamps["Scribble"].isVisible()
    studio.program.edit.toggle_within()
    assert not lamps["Only over"].isVisible()


# -- the panel of classes ------------------------------------------------------------------------------------------------


def _visible(studio: Studio, class_id: int) -> bool:
    dock = studio.window.classes
    place = dock.model.place_of(class_id)
    return place is not None and dock.view.viewport().rect().contains(dock.view.visualRect(dock.model.index(place)))


@pytest.mark.parametrize("class_id", [0, 15, 18, 20])
def test_the_row_of_the_selected_class_is_in_sight(studio: Studio, folder, class_id):
    studio.open(folder)
    studio.window.resize(1280, 680)
    studio.program.classes.choose(class_id)
    studio.qtbot.wait(20)
    assert _visible(studio, class_id)
    studio.window.resize(1200, 660)
    studio.qtbot.wait(20)
    assert _visible(studio, class_id)
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path.name == "photo_1.jpg")
    studio.settle()
    assert _visible(studio, class_id)


def test_a_panel_that_grows_shows_the_present_classes_again(studio: Studio, folder):
    studio.open(folder)
    studio.program.classes.choose(15)
    dock = studio.window.classes
    studio.window.resize(1280, 600)
    studio.qtbot.wait(20)
    dock.view.verticalScrollBar().setValue(28)
    studio.window.resize(1280, 1000)
    studio.wait(lambda: dock.view.viewport().height() > 6 * 28 and dock.view.verticalScrollBar().value() == 0)
    assert _visible(studio, 15)


@pytest.mark.parametrize("height", [640, 680, 720, 800, 1000])
def test_nothing_of_the_classes_panel_overlaps(studio: Studio, folder, height):
    studio.open(folder)
    studio.program.classes.choose(15)
    studio.paint((20, 20), (60, 20))
    studio.settle()
    studio.window.resize(1280, height)
    dock = studio.window.classes

    def places() -> list[QRect]:
        parts = [part for part in (dock.view, dock.note, dock.choice.catalog, dock.choice.line) if part.isVisible()]
        return [QRect(part.mapTo(dock, QPoint(0, 0)), part.size()) for part in parts]

    studio.wait(lambda: all(not one.intersects(other) for one, other in itertools.combinations(places(), 2)))
    studio.wait(lambda: all(dock.rect().contains(place) for place in places()))
    if height >= 680:
        assert dock.view.height() >= 5 * 28


def test_no_class_name_is_cut_when_changes_appear(studio: Studio):
    names = get_catalog("voc21").names
    rows = [ClassRow(place, name, (9, 9, 9), "1", share=0.2, iou=0.5, delta=0.1) for place, name in enumerate(names)]
    dock = studio.window.classes
    for width in (280, 304, 332, 420):
        dock.set_rows(rows)
        rect = QRect(0, 0, width, 28)
        delegate = dock.delegate
        bar, share = delegate._room(rect)
        right = delegate._figures_end(rect, folded=False) - _IOU - bar - share
        box = right - _SWATCH - 6 - _KEY - 4
        metrics = QFontMetrics(delegate.theme.font("body"))
        assert all(metrics.horizontalAdvance(name) <= box for name in names)
        assert not share or bar  # the share gives way first


def test_the_model_panel_takes_no_more_than_it_needs(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.window.resize(1280, 720)
    studio.wait(lambda: studio.window.model.height() <= 140)
    assert studio.window.classes.height() > studio.window.model.height()


# -- panes and tabs ------------------------------------------------------------------------------------------------------


def test_a_chip_never_reaches_out_of_its_pane(studio: Studio, qtbot):
    from app.ui.canvas.style import CanvasStyle

    chip = PaneChip(CanvasStyle.of(studio.window.theme), studio.window)
    chip.show_kind(PaneKind.DIFFERENCE, "A and B · 12.5 %, and a long name of a model")
    whole = chip.sizeHint().width()
    for width in (40, 120, 200, whole, whole + 50):
        chip.fit_into(width)
        assert chip.width() <= max(width, 40)
    assert chip.width() == whole
    assert "a long name" in chip.toolTip()


def test_folding_and_unfolding_keeps_the_tabs_in_front(studio: Studio, folder):
    studio.open(folder)
    for name in ("crf", "history"):
        studio.window.docks[name].raise_()
    studio.qtbot.wait(20)

    def front() -> set[str]:
        return {name for name, dock in studio.window.docks.items() if not dock.visibleRegion().isEmpty()}

    before = front()
    assert {"crf", "history"} <= before
    for _ in range(2):
        studio.window.toggle_fold()
        studio.wait(lambda: not front())
        studio.window.toggle_fold()
        studio.wait(lambda: front() == before)


@pytest.mark.parametrize("kind", [PaneKind.BAND, PaneKind.UNCERTAINTY])
def test_switching_a_view_off_and_on_keeps_the_panes(studio: Studio, folder, kind):
    studio.open(folder)
    view = studio.program.view
    view.set_layout("triple")
    before = [pane.kind for pane in view.panes]
    view.activate(0)
    for _ in range(2):
        view.toggle_kind(kind)
        assert kind not in [pane.kind for pane in view.panes]
        view.activate(2)
        view.toggle_kind(kind)
        assert [pane.kind for pane in view.panes] == before


def test_a_view_without_its_place_goes_to_the_active_pane(studio: Studio, folder):
    studio.open(folder)
    view = studio.program.view
    view.set_layout("triple")
    view.toggle_kind(PaneKind.BAND)
    view.set_kind(1, PaneKind.ERRORS)
    view.activate(2)
    view.toggle_kind(PaneKind.BAND)
    assert [pane.kind for pane in view.panes][1:] == [PaneKind.ERRORS, PaneKind.BAND]


# -- the line below, and messages ------------------------------------------------------------------------------------------


def _readout(studio: Studio) -> str:
    return studio.window.status.values.text()


def test_the_status_line_follows_stroke_fill_undo_and_change_of_image(studio: Studio, folder):
    studio.open(folder)
    studio.program.readout.hover(30, 20)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    studio.wait(lambda: ">chair</span>" in _readout(studio))
    studio.program.edit.undo()
    studio.wait(lambda: "chair" not in _readout(studio))
    studio.program.edit.redo()
    studio.wait(lambda: ">chair</span>" in _readout(studio))
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path.name == "photo_1.jpg" and "chair" not in _readout(studio))


def test_the_share_by_hand_goes_with_the_work(studio: Studio, folder):
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    chip = studio.view.chip
    studio.wait(lambda: "edited by hand" in chip.accessibleName())
    studio.program.edit.undo()
    studio.wait(lambda: "edited by hand" not in chip.accessibleName())


def test_a_job_moves_nothing(studio: Studio, folder):
    studio.open(folder)
    studio.qtbot.wait(20)
    picture = QRect(studio.view.mapTo(studio.window, QPoint(0, 0)), studio.view.size())
    bar = studio.window.statusBar().geometry()
    job = Job("CRF on the folder")
    job.progress(3, 31)
    studio.window.status.show_job(job, 2)
    studio.qtbot.wait(20)
    assert studio.window.status.bar.isVisible()
    assert studio.window.statusBar().geometry() == bar
    assert QRect(studio.view.mapTo(studio.window, QPoint(0, 0)), studio.view.size()) == picture


def test_a_job_that_is_counted_to_its_end_and_goes_on_names_no_time(studio: Studio):
    """A model with a CRF stood at "0:00 left" for twenty seconds."""
    job = Job("Comparing: rooms · CRF v1")
    job._started -= 60
    for fraction, left in ((0.5, True), (1.0, False)):
        job.progress(0, 1, part=fraction)
        studio.window.status.show_job(job, 0)
        assert studio.window.status.job_text.text().endswith(" left") is left


def test_a_long_readout_pushes_nothing_out_of_a_narrow_window(studio: Studio, folder):
    """At 800 px, half of "2 messages" and all of "saved" were right of the window."""
    studio.open(folder)
    status = studio.window.status
    studio.window.resize(800, 500)
    status.show_messages(2)
    values = " &nbsp;·&nbsp; ".join(("<b>background</b>", "ground truth background", "model background 80.0 % · chair 10.0 %"))
    status.show_readout(40, 29, f"{values} · a class with a long name 10.0 %")
    job = Job("CRF on the folder")
    for running in (None, job):
        job.progress(3, 31)
        status.show_job(running, 0)
        studio.settle()
        studio.wait(lambda: status.save_text.geometry().right() <= status.width() <= studio.window.width())
        assert status.messages.isVisible()
        assert status.values.text().startswith("<b>background</b>")
        assert not status.values.text().endswith("·")
    status.show_job(None, 0)
    studio.window.resize(1280, 720)
    studio.wait(lambda: status.values.text().endswith("long name 10.0 %"))


def test_messages_are_kept_with_buttons_that_work(studio: Studio, qtbot):
    pressed = []
    notifier = studio.program.notifier
    notifier.warning("3 images failed", "They are listed.", choices=(Choice("Show failures", lambda: pressed.append(1)),))
    notifier.info("Painting only over a class", replace_key="within")
    for toast in list(studio.window.toasts.toasts):
        studio.window.toasts._remove(toast)
    assert studio.window.status.messages.isVisible()
    studio.window.status.messages.click()
    dialog = next(child for child in studio.window.findChildren(MessagesDialog))
    assert [button.text() for button in dialog.choices] == ["Show failures"]
    dialog.choices[0].click()
    assert pressed == [1]
    notifier.error("The disk is full", replace_key="disk", choices=(Choice("Try again", lambda: pressed.append(2)),))
    assert [button.text() for button in dialog.choices] == ["Try again", "Show failures"]
    notifier.withdraw("disk")
    assert [button.text() for button in dialog.choices] == ["Show failures"]
    assert [message.title for message in notifier.messages][-1] == "The disk is full"
    dialog.close()


def test_buttons_end_with_the_project_that_they_are_about(studio: Studio, folder, tmp_path):
    studio.open(folder)
    studio.program.notifier.warning("An image failed", choices=(Choice("Next image", lambda: None),))
    studio.program.projects.close()
    assert all(not message.choices for message in studio.program.notifier.messages)


def test_news_leave_the_picture_when_work_goes_on_and_errors_stay(studio: Studio, folder):
    studio.open(folder)
    notifier = studio.program.notifier
    for toast in list(studio.window.toasts.toasts):
        studio.window.toasts._remove(toast)
    notifier.info("Scribble mode is on")
    notifier.info("Export finished", choices=(Choice("Open folder", lambda: None),))
    notifier.error("The disk is full")
    studio.paint((20, 20), (60, 20))
    assert [toast.message.title for toast in studio.window.toasts.toasts] == ["Export finished", "The disk is full"]
    assert "Scribble mode is on" in studio.titles()
    assert {toast.message.severity for toast in studio.window.toasts.toasts} == {Severity.INFO, Severity.ERROR}


# -- opening and fitting ---------------------------------------------------------------------------------------------------


def test_while_a_folder_opens_nothing_else_is_offered(qtbot, tmp_path):
    page = StartPage(load_theme("dark"))
    qtbot.addWidget(page)
    page.show_recent([tmp_path / "one", tmp_path / "two"])
    page.show()
    page.show_busy(str(tmp_path / "photos"))
    assert page.title.text() == "Opening photos…"
    assert not any(button.isVisible() for button in page.findChildren(QPushButton))
    page.show_recent([tmp_path / "one"])
    assert not any(button.isVisible() for button in page.findChildren(QPushButton))
    page.show_busy("")
    assert page.open_button.isVisible()
    assert page.recent_title.isVisible()


def test_the_opening_state_stays_until_the_first_image_is_there(studio: Studio, folder, monkeypatch):
    seen = []
    page = studio.window.start_page
    changed = studio.program.session.projectChanged
    changed.connect(lambda _project: seen.append((page.title.text(), page.open_button.isVisible())))
    studio.open(folder)
    assert seen
    assert all(title.startswith("Opening") and not offered for title, offered in seen)
    assert studio.window.stack.currentWidget() is not page


@pytest.mark.parametrize("screen", [(1920, 1080), (1280, 720)])
def test_a_restored_window_fits_the_screen(studio: Studio, tmp_path, monkeypatch, screen):
    store = QSettings(str(tmp_path / "layout.ini"), QSettings.Format.IniFormat)
    studio.window.resize(1920, 1080)
    studio.window.save_layout(store)
    room = QSize(*screen) - fitted_dialog._FRAME
    monkeypatch.setattr("app.ui.shell.main_window.screen_room", lambda _widget: room)
    studio.window.restore_layout(store)
    assert studio.window.width() <= room.width()
    assert studio.window.height() <= room.height()
    status = studio.window.statusBar()
    assert studio.window.rect().contains(QRect(status.mapTo(studio.window, QPoint(0, 0)), status.size()))


# -- shapes and words ------------------------------------------------------------------------------------------------------


def test_every_status_has_a_shape_of_its_own(studio: Studio, folder):
    studio.open(folder)
    record = studio.program.session.project.images[0]
    pictures = []
    for status in ImageStatus:
        row = ImageRow(record=record, position=0)
        image = QImage(40, 40, QImage.Format.Format_RGB32)
        image.fill(0)
        painter = QPainter(image)
        object.__setattr__(row, "record", _with_status(record, status))
        paint_status(painter, QRectF(10, 10, 20, 20), row, load_theme("dark"))
        painter.end()
        pixels = np.frombuffer(image.constBits(), np.uint32).reshape(40, 40)
        gray = np.stack([(pixels >> shift) & 255 for shift in (0, 8, 16)]).max(axis=0)
        pictures.append(gray > 100)  # the shape alone
    for one, other in itertools.combinations(pictures, 2):
        assert (one != other).mean() > 0.01


def _with_status(record, status):
    from types import SimpleNamespace

    return SimpleNamespace(
        status=status, rejected=False, failed=False, missing=False, suggested=False, touched=False, name="", relative_path=""
    )


def _luminance(color: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_texts_and_edges_have_contrast(theme):
    """WCAG AA: 4.5 for small text on every background, 3 for the edges of fields, boxes and rings."""
    colors = load_theme(theme).colors

    def contrast(one: str, other: str) -> float:
        darker, lighter = sorted((_luminance(colors[one]), _luminance(colors[other])))
        return (lighter + 0.05) / (darker + 0.05)

    grounds = (
        "window",
        "surface",
        "raised",
        "raised_hover",
        "pressed",
        "well",
        "accent_soft",
        "good_soft",
        "warn_soft",
        "bad_soft",
    )
    for ground in grounds:
        for text in ("text", "muted", "faint", "accent", "good", "warn", "bad"):
            assert contrast(text, ground) >= 4.5, (text, ground)
        for edge in ("edge", "accent"):  # of controls, and of the one with the keyboard
            assert contrast(edge, ground) >= 3, (edge, ground)
    for ground in ("accent", "accent_hover", "accent_pressed"):
        assert contrast("on_accent", ground) >= 4.5, ground
    for track in ("track", "edge"):
        assert contrast("knob", track) >= 1.05, track


def test_controls_have_an_edge_that_can_be_seen():
    """Buttons, fields and boxes are told from what they lie on by their edge; their faces alone differ too little in light."""
    rules = (THEMES / "window.qss").read_text(encoding="utf-8")
    for control in ("QPushButton", "QComboBox", "QLineEdit, QSpinBox", "QCheckBox::indicator, QRadioButton::indicator"):
        (rule,) = re.findall(rf"^{re.escape(control)}[^{{]*{{([^}}]*border:[^}}]*)}}", rules, re.MULTILINE)[:1]
        assert "border: 1px solid $edge" in rule, control


@pytest.mark.parametrize(("number", "text"), [(0, "0 masks"), (1, "1 mask"), (2, "2 masks"), (1200, "1,200 masks")])
def test_numbers_agree_with_their_nouns(number, text):
    assert count(number, "mask") == text
    assert count(1, "class", "classes") == "1 class"


def test_a_result_of_the_crf_is_not_called_a_prediction(studio: Studio, folder):
    studio.open(folder)

    class Merge:
        class patch:  # noqa: N801 - stands for an attribute
            changed_pixels = 12

        conflicts = np.zeros(1, bool)

    labels = np.zeros((1, 1), np.uint8)
    assert _suggestion_text(Suggestion(labels, Merge())).startswith("A newer prediction is available.")
    assert _suggestion_text(Suggestion(labels, Merge(), refined=True)).startswith("A CRF result is available.")


def test_a_narrow_start_page_has_no_gap_below_its_buttons(qtbot):
    page = StartPage(load_theme("light"))
    qtbot.addWidget(page)
    page.resize(300, 600)
    with qtbot.waitExposed(page):
        page.show()
    QApplication.processEvents()
    assert page.sample_button.y() > page.open_button.y(), "below each other"
    assert page.tour_button.geometry().top() - page.sample_button.geometry().bottom() < 30

"""The keyboard belongs to the picture: over every widget of every panel and bar, with the events of a mouse and a keyboard."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QCursor, QEnterEvent, QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QListWidget,
    QPushButton,
    QScrollBar,
    QSlider,
    QSpinBox,
    QTabBar,
    QToolButton,
    QWidget,
)
from shiboken6 import getCppPointer

from app.state.tools import Tool
from app.ui.common.panel import Panel
from app.ui.shell.focus import is_view, takes_text
from tests.gui.studio import Studio

_CONTROLS = (QAbstractButton, QAbstractSlider, QComboBox, QAbstractItemView, QTabBar)


@pytest.fixture
def work(studio: Studio, folder) -> Studio:
    """An image with truth is open, every panel is shown, models are compared."""
    studio.start_model()
    studio.open(folder)
    for dock in studio.window.docks.values():
        dock.show()
    studio.window.commands["model.compare"].trigger()
    studio.settle()
    studio.window.model.more.setChecked(True)
    studio.program.notifier.warning("A message", "with a close button")
    studio.view.setFocus()
    return studio


def around(studio: Studio) -> list[QWidget]:
    """Every widget of the window that is not on its page."""
    stack = studio.window.stack
    found = [part for part in studio.window.findChildren(QWidget) if part.window() is studio.window]
    return [part for part in found if part is not stack and not stack.isAncestorOf(part)]


def _same(widget: QWidget) -> int:
    """Python makes new objects for Qt's own widgets at will; this stays."""
    return getCppPointer(widget)[0]


def fronts(studio: Studio):
    """Bring every panel that lies behind a tab to the front, one after the other."""
    for dock in [part for part in studio.window.children() if isinstance(part, Panel)]:
        dock.show()
        dock.raise_()
        studio.qtbot.wait(1)
        yield dock


def controls(studio: Studio) -> list[QWidget]:
    """What can be worked, as far as it is in sight."""
    return [
        part
        for part in around(studio)
        if (isinstance(part, _CONTROLS) or takes_text(part))
        and not isinstance(part, QScrollBar | QHeaderView)
        and part.focusProxy() is None
        and part.isVisible()
        and part.isEnabled()
        and not isinstance(part.parent(), QLineEdit | QTabBar)  # the cross in a field, the arrows of a tab bar
    ]


def send(widget: QWidget, key: Qt.Key, text: str = "", scan: int = 0, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    """Press and release a key as the system does: to the widget that has the focus, with the key's place on the keyboard."""
    for kind in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        event = QKeyEvent(kind, key, modifiers, scan, 0, 0, text)
        if kind is QEvent.Type.ShortcutOverride:
            event.ignore()
        QApplication.sendEvent(widget, event)


def enter_picture(studio: Studio) -> None:
    view = studio.view
    at = QPointF(view.rect().center())
    QApplication.sendEvent(view, QEnterEvent(at, at, QPointF(view.mapToGlobal(at.toPoint()))))


def test_a_mouse_gives_focus_to_text_fields_only(work):
    seen = {"text": 0, "control": 0}
    for _ in fronts(work):
        for part in around(work):
            policy = part.focusPolicy()
            if part.focusProxy() is not None or part.testAttribute(Qt.WidgetAttribute.WA_WState_Created) is False:
                continue
            if takes_text(part):
                assert policy == Qt.FocusPolicy.StrongFocus, part
                seen["text"] += 1
            elif part.isVisible():
                assert not policy & Qt.FocusPolicy.ClickFocus, (part, part.objectName(), part.parent())
                assert policy != Qt.FocusPolicy.WheelFocus, part
                if isinstance(part, _CONTROLS) and not isinstance(part, QScrollBar):
                    seen["control"] += 1
    assert seen["text"] >= 5
    assert seen["control"] >= 40


@pytest.mark.qt_log_ignore("does not support", extend=True)  # popups on the offscreen platform
def test_pressing_anything_beside_the_picture_leaves_the_keyboard_there(work):
    pressed = 0
    for _ in fronts(work):
        for part in controls(work):
            if takes_text(part) or (isinstance(part, QToolButton) and part.menu() is not None):
                continue
            QTest.mousePress(part, Qt.MouseButton.LeftButton, pos=part.rect().center())
            popup = QApplication.activePopupWidget()
            if popup is not None:
                popup.close()
            QTest.mouseRelease(part, Qt.MouseButton.LeftButton, pos=QPoint(-500, -500))  # outside: nothing is clicked
            assert is_view(work.window.focusWidget()), part
            pressed += 1
    assert pressed >= 40


def test_the_policy_holds_for_what_comes_later(work):
    dock = Panel("later", "Later")
    parts = [QPushButton("One"), QSlider(), QComboBox(), QListWidget(), QSpinBox(), QLineEdit()]
    work.window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    for part in parts[:3]:
        dock.body.addWidget(part)
    dock.show()
    for part in parts[3:]:
        dock.body.addWidget(part)
        part.show()
    wanted = [Qt.FocusPolicy.TabFocus] * 4 + [Qt.FocusPolicy.StrongFocus] * 2
    assert [part.focusPolicy() for part in parts] == wanted
    QTest.mouseClick(parts[0], Qt.MouseButton.LeftButton)
    assert is_view(work.window.focusWidget())


def test_every_control_is_reached_without_a_mouse(work):
    """F6 from panel to panel, Tab within: nothing is left out, and the way leads back to the picture."""
    reached, wanted = set(), set()
    for _ in fronts(work):
        wanted |= {_same(part) for part in controls(work)}
        for stops in range(1, 40):
            work.view.setFocus()
            for _ in range(stops):
                work.press(Qt.Key.Key_F6)
            walked, focused = set(), work.window.focusWidget()
            if is_view(focused):
                break
            while not is_view(focused) and _same(focused) not in walked:
                walked.add(_same(focused))
                work.press(Qt.Key.Key_Tab)
                focused = work.window.focusWidget()
            reached |= walked
        assert is_view(work.window.focusWidget())
    left = [part for part in around(work) if _same(part) in wanted - reached]
    assert left == []
    work.press(Qt.Key.Key_F6, Qt.KeyboardModifier.ShiftModifier)
    assert not is_view(work.window.focusWidget())
    work.press(Qt.Key.Key_Escape)
    assert is_view(work.window.focusWidget())


def number_field(work: Studio):
    work.window.crf.raise_()
    field = work.window.crf.sliders["bilateral_compat"].field
    work.qtbot.waitUntil(lambda: not field.visibleRegion().isEmpty())
    QCursor.setPos(field.mapToGlobal(field.rect().center()))
    field.setFocus(Qt.FocusReason.MouseFocusReason)
    field.selectAll()
    return field


@pytest.mark.parametrize("way", ["enter", "click", "pointer", "button"])
def test_a_number_is_taken_and_the_letters_that_follow_are_commands(work, way):
    """Letters typed after a number used to be lost, and the stroke that followed was made with the eraser."""
    work.press(Qt.Key.Key_E)
    field = number_field(work)
    QTest.keyClicks(field, "7b,5")
    assert work.program.tools.tool is Tool.ERASER  # a letter typed into the field is not a command, nor a digit of it
    if way == "enter":
        QTest.keyClick(field, Qt.Key.Key_Return)
    elif way == "click":
        QTest.mouseClick(work.view, Qt.MouseButton.LeftButton, pos=work.point(5, 5))
    elif way == "pointer":
        enter_picture(work)
    else:
        QTest.mousePress(work.window.crf.preview, Qt.MouseButton.LeftButton)
        QTest.mouseRelease(work.window.crf.preview, Qt.MouseButton.LeftButton, pos=QPoint(-99, -99))
    assert is_view(work.window.focusWidget())
    assert field.value() == pytest.approx(7.5)
    work.press(Qt.Key.Key_B)
    assert work.program.tools.tool is Tool.BRUSH


def test_escape_drops_a_number_that_was_not_entered(work):
    field = number_field(work)
    before = field.value()
    QTest.keyClicks(field, "17")
    QTest.keyClick(field, Qt.Key.Key_Escape)
    assert field.value() == before
    assert field.text() == f"{before:.1f}"
    assert is_view(work.window.focusWidget())


def test_the_pointer_that_rests_on_the_picture_takes_nothing_from_who_types(work):
    at = work.view.mapToGlobal(work.point(5, 5))
    QCursor.setPos(at)
    work.press(Qt.Key.Key_Slash)
    finder = work.window.classes.finder
    assert work.window.focusWidget() is finder
    QTest.keyClicks(finder, "so")
    QTest.mouseMove(work.view, work.point(5, 5) + QPoint(40, 40))
    assert work.window.focusWidget() is finder
    assert finder.text() == "so"
    QTest.keyClick(finder, Qt.Key.Key_Return)
    assert is_view(work.window.focusWidget())
    assert work.program.tools.class_id == 18


def test_space_and_tab_are_the_picture_s_once_the_pointer_moves_there(work):
    """After a slider had the focus, Tab walked through the panel and Space started a job over the folder."""
    button = work.window.crf.folder
    work.window.crf.raise_()
    work.qtbot.waitUntil(lambda: not button.visibleRegion().isEmpty())
    QCursor.setPos(button.mapToGlobal(QPoint()))
    button.setFocus(Qt.FocusReason.TabFocusReason)
    enter_picture(work)
    held = []
    work.window.heldKey.connect(lambda command, down: held.append((command, down)))
    work.press(Qt.Key.Key_Tab)
    assert held == [("view.blink", True), ("view.blink", False)]
    work.press(Qt.Key.Key_Space)
    work.settle()
    assert not work.program.context["crf_running"]
    assert "CRF on the folder" not in " ".join(work.titles())
    assert is_view(work.window.focusWidget())


def test_enter_on_a_control_never_reviews(work):
    button = work.window.crf.discard if work.window.crf.discard.isEnabled() else work.window.model.run_image
    work.window.model.raise_()
    button.setFocus(Qt.FocusReason.TabFocusReason)
    first = work.image.id
    work.press(Qt.Key.Key_Return)
    work.settle()
    assert work.image.id == first
    assert not work.program.context["reviewed"]


def test_enter_alone_reviews_and_goes_on_but_closes_an_open_polygon_first(work):
    first = work.image.id
    work.press(Qt.Key.Key_P)
    for place in ((10, 10), (40, 10), (40, 40)):
        work.paint(place)
    work.press(Qt.Key.Key_Return)
    assert work.steps()[-1].startswith("Polygon")
    assert work.image.id == first
    work.press(Qt.Key.Key_Return)
    work.wait(lambda: work.image.id != first)
    work.settle()
    project = work.program.session.project
    assert project.record(first).status.name == "REVIEWED"


def test_a_held_key_does_not_review_image_after_image(work):
    first = work.image.id
    for repeated in (False, True, True):
        event = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, "\r", repeated)
        QApplication.sendEvent(work.view, event)
    work.wait(lambda: work.image.id != first)
    work.settle()
    project = work.program.session.project
    assert sum(record.status.name == "REVIEWED" for record in project.images) == 1


def test_the_window_follows_keys_of_other_layouts_and_shows_them(work):
    send(work.view, Qt.Key.Key_E, "e", 26)
    send(work.view, 0x418, "и", 56)  # B on a Russian keyboard
    assert work.program.tools.tool is Tool.BRUSH
    assert "B (И)" in work.window.commands["tool.brush"].toolTip()
    assert work.program.settings["keyboard.printed"] == {"B": ["И"]}
    key, class_id = next(iter(work.program.classes.keys.items()))
    assert key == "1"
    work.program.classes.choose(5)
    send(work.view, Qt.Key.Key_Ampersand, "&", 10)  # 1 on a French keyboard
    assert work.program.tools.class_id == class_id
    send(work.window.images.filter, Qt.Key.Key_Ampersand, "&", 10)
    assert work.window.images.filter.text() == "&"
    before = work.steps()
    work.paint((10, 10), (20, 10))
    send(work.view, 0x42F, "", 52, Qt.KeyboardModifier.ControlModifier)  # Ctrl+Z on a Russian keyboard
    assert work.steps() == before


def test_classes_of_a_mask_that_no_model_made_come_first_too(studio, folder):
    """After its file changed, an image has no prediction; its classes were in the order of the catalog."""
    studio.open(folder)
    studio.program.classes.choose(17)
    studio.press(Qt.Key.Key_B)
    studio.paint((20, 20), (40, 20))
    assert studio.program.projects.close()
    studio.open(folder)
    studio.wait(lambda: 17 in studio.program.classes.keys.values())
    studio.settle()
    model = studio.window.classes.model
    rows = [model.class_row(model.index(place)) for place in range(3)]
    assert [(row.class_id, row.key) for row in rows] == [(0, "1"), (15, "2"), (17, "3")]  # two of them in the ground truth


def test_keys_follow_the_classes_of_the_image_and_an_assigned_one_stays(work):
    classes = work.program.classes
    present = sorted(set(work.image.document.labels.ravel().tolist()) - {255})
    in_truth = {0, 15}
    shown = [class_id for class_id in range(21) if class_id in {*present, *in_truth}]
    assert [classes.keys[key] for key in "1234567890"[: len(shown)]] == shown[:10]
    rows = [work.window.classes.model.class_row(work.window.classes.model.index(place)) for place in range(len(shown))]
    assert [row.key for row in rows[:10]] == list("1234567890")[: len(rows)]
    classes.assign_key(20, "1")
    work.press(Qt.Key.Key_1)
    assert work.program.tools.class_id == 20
    first = work.image.id
    work.press(Qt.Key.Key_D)
    work.wait(lambda: work.image.id != first)
    work.settle()
    assert classes.keys["1"] == 20
    classes.release_key(20)
    assert classes.assigned == {}


def test_the_selected_class_is_kept_with_the_project(work, folder):
    work.program.classes.choose(18)
    work.program.projects.close()
    work.program.classes.choose(3)
    work.open(folder)
    assert work.program.tools.class_id == 18


def test_enter_in_the_filter_opens_the_first_match_and_gives_the_keyboard_back(work):
    finder = work.window.images.filter
    finder.setFocus(Qt.FocusReason.MouseFocusReason)
    QTest.keyClicks(finder, "photo_2")
    QTest.keyClick(finder, Qt.Key.Key_Return)
    work.wait(lambda: work.program.session.project.record(work.image.id).shown.startswith("photo_2"))
    assert is_view(work.window.focusWidget())


def test_the_page_in_front_gets_the_keyboard_back_where_it_was(work):
    work.press(Qt.Key.Key_O)
    work.settle()
    assert work.program.context["evaluation_open"]
    inner = QApplication.focusWidget()
    assert work.window.stack.isAncestorOf(inner)
    assert not is_view(inner)
    work.press(Qt.Key.Key_F6)
    assert not work.window.stack.isAncestorOf(QApplication.focusWidget())
    work.press(Qt.Key.Key_Escape)
    assert QApplication.focusWidget() is inner
    before = work.image.id
    work.press(Qt.Key.Key_Return)  # works the page, and reviews nothing
    work.settle()
    assert work.image.id == before
    assert not work.program.context["reviewed"]


@pytest.mark.parametrize("end", ["disabled", "hidden", "panel hidden"])
def test_a_control_that_goes_away_under_the_focus_leaves_it_to_the_picture(work, end):
    """After the button for one image, Space would have pressed the one for the folder beside it."""
    button = work.window.model.run_image
    work.window.model.raise_()
    button.setFocus(Qt.FocusReason.TabFocusReason)
    assert QApplication.focusWidget() is button
    if end == "disabled":
        button.setEnabled(False)
    elif end == "hidden":
        button.hide()
    else:
        work.window.commands["window.fold"].trigger()
    assert is_view(work.window.focusWidget())


@pytest.mark.parametrize("way", ["finder", "list"])
def test_enter_that_leads_back_to_the_picture_does_not_work_there_as_well(work, way):
    """Enter on a class selected it and, handed on to the window, marked the image as reviewed."""
    first = work.image.id
    work.press(Qt.Key.Key_Slash)
    finder = work.window.classes.finder
    QTest.keyClicks(finder, "sofa")
    if way == "list":
        QTest.keyClick(finder, Qt.Key.Key_Down)
        assert QApplication.focusWidget() is work.window.classes.view
    work.press(Qt.Key.Key_Return)
    assert work.program.tools.class_id == 18
    assert is_view(work.window.focusWidget())
    work.settle()
    assert work.image.id == first
    assert not work.program.context["reviewed"]
    work.press(Qt.Key.Key_Return)  # the next one does
    work.wait(lambda: work.image.id != first)


def test_enter_in_the_list_of_images_opens_and_does_not_review(work):
    first = work.image.id
    view = work.window.images.view
    view.setFocus(Qt.FocusReason.TabFocusReason)
    view.setCurrentIndex(work.window.images.model.index(2))
    work.press(Qt.Key.Key_Return)
    work.wait(lambda: work.image.id != first)
    work.settle()
    project = work.program.session.project
    assert all(record.status.name != "REVIEWED" for record in project.images)
    assert work.window.images.model.row_of(work.image.id) == 2

"""The rooms Annotate, Compare and Errors, the words of the tools, the room that classes get, and the one primary button."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QRect, QSettings, Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QTabBar, QWidget

from app.ui.annotate.class_delegate import ROW
from app.ui.compare.compare_dock import CompareDock
from app.ui.refine.crf_dock import _FIRST
from app.ui.shell.dock_layout import LOW
from app.ui.shell.main_window import MainWindow
from app.ui.shell.rooms import Room
from tests.gui.studio import Studio


def enter(studio: Studio, room: Room) -> None:
    """Click the segment of a room."""
    studio.qtbot.mouseClick(studio.window.top_bar.rooms.segments[room], Qt.MouseButton.LeftButton)
    studio.settle()


def room(studio: Studio) -> Room:
    """The room whose segment is checked; exactly one is."""
    checked = [one for one, segment in studio.window.top_bar.rooms.segments.items() if segment.isChecked()]
    assert len(checked) == 1
    return checked[0]


def front(studio: Studio) -> set[str]:
    """Docks that are seen."""
    return {name for name, dock in studio.window.docks.items() if not dock.visibleRegion().isEmpty()}


def inside(part: QWidget, whole: QWidget) -> bool:
    return whole.rect().contains(QRect(part.mapTo(whole, QPoint(0, 0)), part.size()))


@pytest.mark.parametrize("tab", ["model", "crf"])
def test_errors_leave_what_belongs_to_the_picture_and_bring_it_back(studio: Studio, folder, tab):
    studio.open(folder)
    studio.window.docks[tab].raise_()
    studio.wait(lambda: tab in front(studio))
    before, bar, height = front(studio), studio.window.top_bar, studio.window.top_bar.height()
    enter(studio, Room.ERRORS)
    assert room(studio) is Room.ERRORS
    assert studio.program.context["evaluation_open"]
    assert studio.window.isActiveWindow()  # no part of the panel was a window of its own for a moment
    assert not any(part.isVisible() for part in (*bar.tools, bar.slider, bar.size_text))
    assert bar.class_chip.isVisible()
    assert bar.height() == height
    studio.wait(lambda: front(studio) == before - {"crf", "trimap"} | {"model"})
    enter(studio, Room.ANNOTATE)
    assert room(studio) is Room.ANNOTATE
    assert not studio.program.context["evaluation_open"]
    assert all(tool.isVisible() for tool in bar.tools[:4])
    studio.wait(lambda: front(studio) == before)
    studio.settle()
    assert front(studio) == before


def test_the_switch_follows_the_keys(studio: Studio, folder):
    studio.open(folder)
    studio.press(Qt.Key.Key_O, on=studio.view)
    assert room(studio) is Room.ERRORS
    studio.press(Qt.Key.Key_Escape)
    assert room(studio) is Room.ANNOTATE


def test_panels_that_are_hidden_in_errors_stay_hidden_until_they_are_shown(studio: Studio, folder):
    studio.open(folder)
    before = front(studio)
    studio.window.toggle_fold()
    enter(studio, Room.ERRORS)
    enter(studio, Room.ANNOTATE)
    assert front(studio) == set()
    studio.window.toggle_fold()
    studio.wait(lambda: front(studio) == before)
    enter(studio, Room.ERRORS)
    studio.window.toggle_fold()
    enter(studio, Room.ANNOTATE)
    assert front(studio) == set()
    studio.window.toggle_fold()
    studio.wait(lambda: front(studio) == before)


def test_compare_is_left_for_errors_and_found_again(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    enter(studio, Room.COMPARE)
    assert room(studio) is Room.COMPARE
    assert studio.application.presenter is not None
    dock = studio.application.presenter.compare.dock
    assert dock is not None
    assert dock.isVisible()
    enter(studio, Room.ERRORS)
    assert room(studio) is Room.ERRORS
    assert not dock.isVisible()
    enter(studio, Room.COMPARE)
    assert room(studio) is Room.COMPARE
    assert dock.isVisible()
    enter(studio, Room.ERRORS)
    enter(studio, Room.ANNOTATE)
    assert room(studio) is Room.ANNOTATE
    assert not studio.program.context["comparing"]
    studio.press(Qt.Key.Key_O, on=studio.view)
    studio.window.commands["model.compare"].trigger()  # who compares looks at the image
    assert room(studio) is Room.COMPARE
    assert not studio.program.context["evaluation_open"]


def test_without_images_there_is_no_room_to_go_to(studio: Studio):
    assert not any(segment.isEnabled() for segment in studio.window.top_bar.rooms.segments.values())
    assert room(studio) is Room.ANNOTATE


@pytest.mark.parametrize(("width", "words"), [(1600, True), (1400, True), (1399, False), (1280, False)])
def test_tools_have_words_where_the_window_is_wide_enough(studio: Studio, folder, width, words):
    studio.open(folder)
    studio.window.resize(width, 800)
    studio.settle()
    bar = studio.window.top_bar
    for tool in bar.tools:
        assert (tool.toolButtonStyle() is Qt.ToolButtonStyle.ToolButtonTextUnderIcon) is words
        assert tool.isVisible()
        assert inside(tool, bar)
        assert not words or QFontMetrics(tool.font()).horizontalAdvance(tool.text()) <= tool.width() - 6
    assert inside(bar.done_button, bar)
    assert bar.export_button.isVisible() or width < 1600


@pytest.mark.parametrize("left_behind", [False, True], ids=["one row for each place", "a row that Qt has left behind"])
def test_a_row_of_tabs_is_the_header_of_its_panels(studio: Studio, folder, left_behind):
    studio.start_model()
    studio.open(folder)
    docks, window = studio.window.docks, studio.window
    stray = QTabBar()
    for name in ("trimap", "model", "history", "crf"):
        stray.addTab(docks[name].windowTitle())
    if left_behind:
        stray.setGeometry(423, 328, 289, 30)
        stray.setParent(window)
        stray.lower()
        stray.show()

    def is_header(name: str) -> bool:
        accessories = docks[name].accessories
        for row in window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            if row is not stray and row.isVisible() and row.tabText(row.currentIndex()) == docks[name].windowTitle():
                right_of_tabs = accessories.geometry().left() > row.geometry().left() + row.tabRect(row.count() - 1).right()
                return accessories.isVisible() and row.geometry().contains(accessories.geometry()) and right_of_tabs
        return False

    for name in ("model", "crf", "trimap", "history"):
        docks[name].raise_()
        studio.wait(lambda name=name: is_header(name) and docks[name].titleBarWidget().height() == 0)
    docks["crf"].raise_()
    studio.window.toggle_dock("crf")
    studio.wait(lambda: docks["model"].titleBarWidget().height() > 20)  # nothing shares its place now
    assert docks["model"].isAncestorOf(docks["model"].accessories)
    assert docks["model"].accessories.isVisible()


@pytest.mark.parametrize(("size", "rows"), [((1600, 1000), 14), ((1280, 720), 8)])
def test_the_list_of_classes_shows_enough_rows_and_the_selected_one(studio: Studio, folder, size, rows):
    studio.start_model()
    studio.open(folder)
    studio.program.classes.choose(20)
    studio.window.resize(*size)
    studio.settle()
    view, model = studio.window.classes.view, studio.window.classes.model
    studio.wait(lambda: view.viewport().height() >= rows * ROW)
    studio.window.resize(1280, 640)
    studio.wait(lambda: view.viewport().height() < rows * ROW)
    studio.settle()
    assert view.viewport().rect().contains(view.visualRect(model.index(model.place_of(20))))


def test_the_crf_panel_shows_three_sliders_on_the_smallest_screen(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    window, crf = studio.window, studio.window.crf
    for size in ((1280, 720), (853, 480)):
        window.resize(*size)
        window._low = size[1] < LOW  # as on a screen of this size
        window.reset_layout()
        studio.settle()
        crf.raise_()
        studio.wait(lambda: all(not crf.sliders[name].visibleRegion().isEmpty() for name in _FIRST))
    hidden = set(crf.sliders) - set(_FIRST)
    assert not any(crf.sliders[name].isVisible() for name in hidden)
    studio.qtbot.mouseClick(crf.more, Qt.MouseButton.LeftButton)
    assert all(crf.sliders[name].isVisible() for name in hidden)


def test_the_trimap_curve_has_room_on_a_low_screen_and_the_layout_is_kept(studio: Studio, folder, tmp_path: Path):
    """At 1280 x 720 it was 45 px high, and a low screen forgot its layout."""
    studio.start_model()
    studio.open(folder)
    window = studio.window
    window.resize(1280, 720)
    window._low = True  # as on a screen of this size
    window.reset_layout()
    window.trimap.build_plot()
    studio.settle()
    studio.wait(lambda: window.classes.view.viewport().height() >= 10 * ROW)  # with the model's panel in front
    window.trimap.raise_()
    plot = window.trimap.plot
    assert plot is not None
    studio.wait(lambda: plot.isVisible() and plot.height() >= 120)
    assert window.classes.view.viewport().height() >= 6 * ROW
    store = QSettings(str(tmp_path / "layout.ini"), QSettings.Format.IniFormat)
    window.docks["history"].hide()
    window.save_layout(store)
    window.reset_layout()
    window.restore_layout(store)
    assert window.docks["history"].isHidden()
    window._low = False  # the same settings on a large screen
    window.restore_layout(store)
    window.reset_layout()
    studio.settle()
    assert front(studio) >= {"classes", "model", "trimap"}


def test_five_classes_are_seen_beside_each_panel_at_twice_the_scale(studio: Studio, folder):
    """1600 x 1000 at 200 %: four were seen beside the CRF and the curve, above a gap of almost a row."""
    studio.start_model()
    studio.open(folder)
    window = studio.window
    window._low = True
    window.resize(800, 500)
    window.reset_layout()
    window.trimap.build_plot()
    studio.settle()
    for name in ("crf", "trimap", "history", "model"):
        window.docks[name].raise_()
        studio.wait(lambda: window.classes.view.viewport().height() >= 5 * ROW)
    studio.wait(window.classes.choice.button.isVisible)


def test_a_room_without_room_for_the_panels_gives_them_their_width_back(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    window = studio.window
    window._low = True
    window.resize(800, 500)
    window.reset_layout()
    studio.settle()
    images, classes = window.images.width(), window.classes.width()
    enter(studio, Room.ERRORS)
    assert window.images.isHidden(), "its room goes to the pages"
    enter(studio, Room.COMPARE)
    enter(studio, Room.ANNOTATE)

    def back() -> None:
        assert (window.images.width(), window.classes.width()) == (images, classes)

    studio.qtbot.waitUntil(back)


def drag(studio: Studio, start: QPoint, end: QPoint) -> None:
    """Drag a line of the window itself."""
    window = studio.window
    studio.qtbot.mousePress(window, Qt.MouseButton.LeftButton, pos=start)
    for place in ((start + end) / 2, end):
        studio.qtbot.mouseMove(window, place)
        studio.settle()
    studio.qtbot.mouseRelease(window, Qt.MouseButton.LeftButton, pos=end)
    studio.settle()


def test_only_a_drag_of_a_column_makes_the_window_forget_its_widths(studio: Studio, folder):
    """A click on a place that has no use for clicks came to the window, which took it for the end of a drag."""
    studio.start_model()
    studio.open(folder)
    window = studio.window
    window.resize(1400, 900)
    window.reset_layout()
    studio.settle()
    enter(studio, Room.ERRORS)
    noted = dict(window.folding._widths)
    assert noted == {"images": window.images.width(), "classes": window.classes.width()}
    studio.qtbot.mouseClick(window.stack.currentWidget(), Qt.MouseButton.LeftButton, pos=QPoint(5, 5))
    assert window.folding._widths == noted
    line = QPoint(window.classes.x() - 2, window.classes.geometry().center().y())
    drag(studio, line, line - QPoint(40, 0))
    assert window.classes.width() > noted["classes"]
    assert window.folding._widths == {}
    enter(studio, Room.ANNOTATE)
    assert window.classes.width() > noted["classes"]


def compare_on_a_low_screen(studio: Studio, folder: Path, width: int, height: int) -> tuple[MainWindow, CompareDock]:
    """The room of the comparison in a window of so many px, laid out for a low screen."""
    studio.start_model()
    studio.open(folder)
    window = studio.window
    window._low = True
    window.resize(width, height)
    window.reset_layout()
    studio.settle()
    enter(studio, Room.COMPARE)
    assert studio.application.presenter is not None
    compare = studio.application.presenter.compare.dock
    assert compare is not None
    return window, compare


def assert_compare_covers_nothing(studio: Studio, compare: CompareDock) -> None:
    neighbours = [studio.window.docks["classes"], studio.window.docks["model"]]
    assert studio.window.docks["images"].isHidden(), "its room goes to the comparison"
    studio.wait(lambda: not any(compare.geometry().intersects(dock.geometry()) for dock in neighbours))


def test_compare_and_errors_fit_the_smallest_screen(studio: Studio, folder):
    """853 x 480 px: 1280 x 720 at 1.5. The table of Compare covered panels, and tabs of the Evaluation panel scrolled."""
    window, compare = compare_on_a_low_screen(studio, folder, 853, 480)
    assert_compare_covers_nothing(studio, compare)

    def all_tabs() -> None:
        titles = [compare.tabs.tabText(place) for place in range(compare.tabs.count())]
        assert (titles[:2], len(titles)) == (["Models", "Metrics"], 5), (compare.size(), window.size())

    studio.qtbot.waitUntil(all_tabs)
    assert compare.tabs.tabBar().sizeHint().width() <= compare.tabs.width(), "titles are whole"
    assert compare.table.isVisible()
    compare.tabs.setCurrentIndex(0)
    assert compare.chooser.isVisible()
    enter(studio, Room.ERRORS)
    view = studio.application.presenter.inspect.view
    assert view is not None
    studio.wait(lambda: view.tabs.rect().contains(view.tabs.tabRect(view.tabs.count() - 1)))
    last = view.tabs.tabRect(view.tabs.count() - 1)
    assert last.width() > 0
    assert inside(view.refresh, view)
    page = studio.application.presenter.inspect.matrix
    for part in (page.scale, page.order, page.background, page.empty):
        assert inside(part, page)
        assert part.width() >= (120 if part in (page.scale, page.order) else part.sizeHint().width())
    window.resize(1280, 800)
    enter(studio, Room.COMPARE)
    studio.wait(lambda: compare.tabs.count() == 3 and compare.table.isVisible() and compare.chooser.isVisible())


def test_compare_covers_no_panel_at_twice_the_scale(studio: Studio, folder):
    """800 x 500 px: what the panel needed side by side was more than it got, and it lay over the model's panel."""
    window, compare = compare_on_a_low_screen(studio, folder, 800, 500)
    compare.difference.setText("A correct 1.0 %   B correct 1.0 %   neither 0.3 %   void 0.8 %")
    studio.settle()
    assert_compare_covers_nothing(studio, compare)
    assert window.rect().contains(compare.geometry())
    assert compare.tabs.count() == 5
    assert inside(compare.close_button, compare)
    assert compare.tabs.tabBar().sizeHint().width() <= compare.tabs.width(), "titles are whole"


def test_what_is_unusual_about_the_crf_is_unfolded(studio: Studio, folder):
    studio.open(folder)
    crf = studio.window.crf
    crf.raise_()
    assert not crf.scope.isVisible()
    studio.program.refine.set_scope("band")
    studio.settle()
    assert crf.scope.isVisible()
    assert crf.scope.currentData() == "band"


def test_one_button_is_primary_at_a_time(studio: Studio, folder):
    window = studio.window

    def primary() -> list[str]:
        buttons = (window.model.run_image, window.crf.apply, window.top_bar.done_button)
        return [button.text() for button in buttons if button.property("primary")]

    studio.open(folder)
    assert primary() == ["Reviewed, next"]  # there is no model yet
    studio.start_model()
    studio.wait(lambda: studio.image.prediction is not None)
    studio.settle()
    assert primary() == ["Reviewed, next"]
    studio.window.commands["refine.preview"].trigger()
    studio.settle()
    studio.wait(lambda: primary() == ["Apply"])
    studio.window.commands["refine.discard"].trigger()
    studio.settle()
    assert primary() == ["Reviewed, next"]


def test_running_the_model_is_the_next_step_of_an_image_without_a_mask(studio: Studio, folder):
    studio.program.settings.set("work.auto_predict", False)
    studio.start_model()
    studio.open(folder)
    assert studio.window.model.run_image.property("primary")
    assert not studio.window.top_bar.done_button.property("primary")
    studio.window.model.run_image.click()
    studio.settle()
    assert not studio.window.model.run_image.property("primary")
    assert studio.window.top_bar.done_button.property("primary")

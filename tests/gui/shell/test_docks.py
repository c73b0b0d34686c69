"""The docks over plain rows: filter and order of 20,000 images, classes, thumbnails, toasts."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QMainWindow, QWidget

from app.services.notifications import Choice, Notifier
from app.services.thumbnails import SIDE, ThumbnailLoader
from app.state.image_record import ImageFlag, ImageRecord, ImageStatus
from app.ui.annotate.classes_dock import ClassesDock
from app.ui.common.panel import PADDING
from app.ui.evaluate.trimap_dock import TrimapDock
from app.ui.project.image_list_model import ImageListModel, SortBy
from app.ui.project.images_dock import ImagesDock
from app.ui.shell.status_line import clock
from app.ui.shell.theme import load_theme
from app.ui.shell.toasts import ToastStack
from app.viewmodels.annotate.class_rows import ClassRow, arranged, effective_keys, matching
from app.viewmodels.project.image_list import ImageRow, ImageRows, Wanted
from deeplab_core.catalogs import get_catalog
from deeplab_core.records import TrimapBand


def row(number: int, status: ImageStatus = ImageStatus.NEW, **values: object) -> ImageRow:
    record = ImageRecord(number, f"folder/image_{number:05d}.jpg", 10, 20, status)
    return ImageRow(record, number, **values)  # type: ignore[arg-type]


def rows_of(found: list[ImageRow]) -> ImageRows:
    """Rows that were made before."""
    return ImageRows([one.id for one in found], found.__getitem__)


def in_window(qtbot, dock):
    """Show a dock where it lives, in a window."""
    dock.window_of_test = QMainWindow()
    qtbot.addWidget(dock.window_of_test)
    dock.window_of_test.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    dock.window_of_test.resize(500, 700)
    dock.window_of_test.show()


@pytest.fixture
def dock(qtbot):
    painted = []
    made = ImagesDock(ImageListModel(lambda found: painted.append(found.id)), load_theme("dark"))
    made.painted = painted
    in_window(qtbot, made)
    return made


def test_only_rows_in_sight_are_made_and_ask_for_a_thumbnail(dock, qtbot):
    made = []
    dock.model.set_rows(ImageRows(range(20_000), lambda place: made.append(place) or row(place)))
    qtbot.waitUntil(lambda: bool(dock.painted))
    qtbot.wait(30)
    assert 0 < len(set(dock.painted)) < 20
    assert 0 < len(made) < 20
    dock.model.update_row(row(15_000, ImageStatus.REVIEWED))
    dock.show_current(15_000)
    qtbot.waitUntil(lambda: 15_000 in dock.painted)
    assert dock.model.image_row(dock.model.index(15_000)).status is ImageStatus.REVIEWED
    assert len(made) == len(set(made)) < 40
    assert dock.count.text() == "20\u202f000 images"


def test_filter_by_name_status_class_and_score(dock):
    dock.model.set_rows(
        rows_of(
            [
                row(0, ImageStatus.REVIEWED, iou=0.9, classes=frozenset({"chair"})),
                row(1, ImageStatus.PREDICTED, iou=0.3, classes=frozenset({"sofa"})),
                row(2, iou=None, has_truth=True),
                replace(row(3), record=row(3).record._replace(flags=ImageFlag.FAILED)),
            ]
        )
    )
    for text, found in {
        "": [0, 1, 2, 3], "00002": [2], "reviewed": [0], "-reviewed": [1, 2, 3], "unreviewed": [1, 2, 3], "class:cha": [0],
        "status:predicted": [1], "iou<0.5": [1], "iou>0.5": [0], "failed": [3], "truth": [2], "new image": [2, 3], "nothing": [],
    }.items():  # fmt: skip
        dock.filter.setText(text)
        assert dock.model.shown_ids() == found, text


def many_rows(count: int, made: list[int] | None = None) -> ImageRows:
    """Rows that are made when they are asked for; each tenth has a note."""
    asked = [] if made is None else made
    records = [row(place).record for place in range(count)]

    def make(place: int) -> ImageRow:
        asked.append(place)
        return row(place, notes=("glare",) if place % 10 == 0 else ())

    return ImageRows(range(count), make, records)


def test_a_filter_of_names_makes_no_rows_but_those_in_sight(dock, qtbot):
    made = []
    dock.model.set_rows(many_rows(20_000, made))
    qtbot.waitUntil(lambda: bool(dock.painted))
    for text, shown in {"image_0": 10_000, "image_01": 1_000, "reviewed": 0, "unreviewed": 20_000, "-image_0": 10_000}.items():
        dock.filter.setText(text)
        qtbot.waitUntil(lambda: not dock.model.arranging)
        assert dock.model.rowCount() == shown, text
    dock.set_sort(SortBy.STATUS)
    qtbot.waitUntil(lambda: not dock.model.arranging)
    assert dock.model.shown_ids() == list(range(10_000, 20_000))
    assert len(set(made)) < 100


def test_a_long_list_is_filtered_in_slices_and_shown_at_once(dock, qtbot, monkeypatch):
    monkeypatch.setattr("app.ui.project.image_list_model._TURN", -1.0)  # one slice a turn
    dock.model.set_rows(many_rows(5_000))
    arranged = []
    dock.arranged.connect(lambda: arranged.append(dock.model.rowCount()))
    dock.filter.setText("note")
    assert dock.model.arranging
    assert dock.model.rowCount() == 5_000  # as before
    dock.filter.setText("note 0001")  # the next letters: the first arrangement is given up
    qtbot.waitUntil(lambda: not dock.model.arranging)
    assert dock.model.shown_ids() == [10]
    assert arranged == [1]


def test_rows_that_a_filter_makes_are_not_looked_through_for_cycles(dock, qtbot, monkeypatch):
    """A collection among the rows of 100,000 images stopped the window for 0.2 s."""
    monkeypatch.setattr("app.services.allocator._MANY", 0)  # else a slow machine leaves the few rows of its last turn
    dock.model.set_rows(many_rows(3_000))
    thresholds = gc.get_threshold()
    gc.set_threshold(10**9)  # none comes by itself
    try:
        dock.filter.setText("note")
        qtbot.waitUntil(lambda: not dock.model.arranging)
        young = [one for generation in (0, 1) for one in gc.get_objects(generation=generation)]
    finally:
        gc.set_threshold(*thresholds)
    assert dock.model.rowCount() == 300
    assert sum(isinstance(one, ImageRow) for one in young) < 500, "those in sight are painted afterwards"
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0, "what is frozen would never be freed"


def test_enter_waits_for_the_filter(dock, qtbot, monkeypatch):
    monkeypatch.setattr("app.ui.project.image_list_model._TURN", -1.0)
    dock.model.set_rows(many_rows(3_000))
    dock.filter.setText("note 020")
    with qtbot.waitSignal(dock.chosen) as heard:
        qtbot.keyClick(dock.filter, Qt.Key.Key_Return)
        assert dock.model.arranging
    assert heard.args == [20]


def test_other_rows_are_shown_once_they_are_filtered(dock, qtbot, monkeypatch):
    monkeypatch.setattr("app.ui.project.image_list_model._TURN", -1.0)
    dock.model.set_rows(many_rows(3_000))
    dock.filter.setText("note 02")
    qtbot.waitUntil(lambda: not dock.model.arranging)
    dock.model.set_rows(many_rows(1_500))
    assert dock.model.image_row(dock.model.index(0)).id == 20  # still of the rows before
    qtbot.waitUntil(lambda: not dock.model.arranging)
    assert dock.model.shown_ids() == [place for place in range(0, 1_500, 10) if "02" in f"{place:05}"]
    dock.filter.clear()
    qtbot.waitUntil(lambda: not dock.model.arranging)
    assert dock.model.rowCount() == 1_500


def test_the_list_cannot_be_edited(dock):
    dock.model.set_rows(many_rows(3))
    assert not dock.model.flags(dock.model.index(0)) & Qt.ItemFlag.ItemIsEditable


def test_sorting_puts_the_unknown_last(dock):
    dock.model.set_rows(
        rows_of([row(0), row(1, iou=0.5, uncertainty=0.1), row(2, ImageStatus.REVIEWED, iou=0.2, uncertainty=0.4)])
    )
    for order, found in {
        SortBy.NAME: [0, 1, 2],
        SortBy.WORST: [2, 1, 0],
        SortBy.UNCERTAIN: [2, 1, 0],
        SortBy.STATUS: [0, 1, 2],
    }.items():
        dock.set_sort(order)
        assert dock.model.shown_ids() == found


def test_a_click_chooses_an_image_and_an_update_keeps_its_place(dock, qtbot):
    dock.model.set_rows(rows_of([row(number) for number in range(5)]))
    with qtbot.waitSignal(dock.chosen) as heard:
        qtbot.mouseClick(dock.view.viewport(), Qt.MouseButton.LeftButton, pos=dock.view.visualRect(dock.model.index(2)).center())
    assert heard.args == [2]
    dock.model.update_row(row(2, ImageStatus.REVIEWED, iou=0.7))
    assert dock.model.image_row(dock.model.index(2)).iou == 0.7


def test_a_filter_that_is_half_typed_matches_as_text():
    assert not Wanted("iou<").matches(row(0))
    assert Wanted("image_").matches(row(0))


@pytest.fixture
def classes(qtbot):
    made = ClassesDock(load_theme("dark"))
    catalog = get_catalog("voc21")
    made.set_rows([ClassRow(info.id, info.name, info.color, iou=0.5, delta=0.1, share=0.1) for info in catalog.classes])
    in_window(qtbot, made)
    return made


def test_a_class_is_taken_and_hidden(classes, qtbot):
    heard = []
    classes.chosen.connect(lambda class_id: heard.append(("chosen", class_id)))
    classes.visibilityChosen.connect(lambda class_id, on: heard.append(("visible", class_id, on)))
    rect = classes.view.visualRect(classes.model.index(3))
    viewport = classes.view.viewport()
    for x in (rect.left() + 90, rect.right() - 12):
        point = QPoint(x, rect.center().y())
        qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=point)
    assert heard == [("chosen", 3), ("visible", 3, False)]


def test_figures_lead_to_what_is_behind_them(classes, qtbot):
    heard = []
    classes.errorsAsked.connect(heard.append)
    classes.chosen.connect(lambda _class: heard.append("chosen"))
    classes.figuresAsked.connect(lambda: heard.append("figures"))
    place = classes.delegate.iou_rect(classes.view.visualRect(classes.model.index(3))).center()
    qtbot.mouseClick(classes.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    classes.set_mean(0.5, None, "")
    qtbot.mouseClick(classes.mean, Qt.MouseButton.LeftButton)
    assert heard == [3, "figures"]
    classes.set_rows([ClassRow(3, "bird", (1, 2, 3), share=0.1)])  # without truth there is no figure to click
    qtbot.mouseClick(classes.view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place.x(), 10))
    assert heard == [3, "figures", "chosen"]


def test_the_mean_ends_at_the_edge_of_its_header_whatever_was_shown_before(classes, qtbot):
    def room(label: QWidget) -> int:
        """Room between a label and the edge of the header, px."""
        header = classes.titleBarWidget()
        return header.width() - label.mapTo(header, label.rect().topRight()).x() - 1

    def at_the_edge(label: QWidget) -> bool:
        return PADDING <= room(label) <= PADDING + 1  # the style sheet, where an earlier test has set it, adds a pixel

    classes.set_mean(0.946, None, "")  # a label that never had a text would ask for the width of a character
    qtbot.waitUntil(lambda: at_the_edge(classes.mean))
    classes.set_mean(0.946, 0.02, "")
    qtbot.waitUntil(lambda: at_the_edge(classes.mean_delta) and room(classes.mean) > PADDING + 1)
    classes.set_mean(0.946, 0.0, "")
    qtbot.waitUntil(lambda: at_the_edge(classes.mean))


def test_painting_a_row_shows_its_colour(classes):
    rect = classes.view.visualRect(classes.model.index(9))
    image = classes.view.viewport().grab().toImage()
    ratio = image.devicePixelRatio()
    place = QPoint(rect.left() + 13, rect.center().y())
    assert image.pixelColor(int(place.x() * ratio), int(place.y() * ratio)) == QColor(*get_catalog("voc21").by_id(9).color)


def test_classes_of_the_image_come_first_and_void_last():
    catalog = get_catalog("voc21")
    order = arranged(catalog, frozenset({18, 9}))
    assert order[:3] == [9, 18, 0]
    assert order[-1] == 255
    rows = [ClassRow(1, "chair", (0, 0, 0)), ClassRow(2, "armchair", (0, 0, 0)), ClassRow(3, "sofa", (0, 0, 0))]
    assert matching(rows, "cha") == [0, 1]


def test_an_assigned_key_never_moves_and_free_ones_go_to_the_classes_of_the_image():
    catalog, keys = get_catalog("voc21"), tuple("1234567890")
    assert list(effective_keys(catalog, keys, {}, frozenset()).values()) == list(range(10))
    shared = effective_keys(catalog, keys, {"2": 18}, frozenset({0, 9, 15, 18, 20}))
    assert shared["2"] == 18
    assert [shared[key] for key in "1345"] == [0, 9, 15, 20]  # of the image, in the catalog's order
    assert [shared[key] for key in "67890"] == [1, 2, 3, 4, 5]  # then the rest
    assert effective_keys(catalog, keys, {"2": 18}, frozenset())["2"] == 18
    assert len(set(shared.values())) == len(keys)


def test_down_and_enter_lead_from_the_filter_to_its_first_match(dock, qtbot):
    dock.model.set_rows(rows_of([row(number) for number in range(5)]))
    dock.filter.setFocus()
    qtbot.keyClicks(dock.filter, "0003")
    with qtbot.waitSignal(dock.chosen) as heard:
        qtbot.keyClick(dock.filter, Qt.Key.Key_Return)
    assert heard.args == [3]
    dock.filter.setText("")
    qtbot.keyClick(dock.filter, Qt.Key.Key_Down)
    assert dock.view.currentIndex().row() == 0
    qtbot.keyClick(dock.view, Qt.Key.Key_Down)
    with qtbot.waitSignal(dock.chosen) as heard:
        qtbot.keyClick(dock.view, Qt.Key.Key_Return)
    assert heard.args == [1]


def test_the_trimap_dock_emits_the_band(qtbot):
    dock = TrimapDock(load_theme("dark"))
    qtbot.addWidget(dock)
    dock.show_band(TrimapBand(width_px=7, rule="void"))
    assert dock.band() == TrimapBand(width_px=7, rule="void")
    with qtbot.waitSignal(dock.bandChosen) as heard:
        dock.width_slider.setValue(14)
    assert heard.args == [TrimapBand(width_px=14, rule="void")]


def test_thumbnails_are_made_once_and_kept_on_disk(qtbot, tmp_path):
    Image.fromarray(np.full((900, 1200, 3), 90, dtype=np.uint8)).save(tmp_path / "a.png")
    for _ in range(2):  # the second loader finds the first one's file
        loader = ThumbnailLoader(tmp_path / "cache")
        with qtbot.waitSignal(loader.ready):
            assert loader.get(1, tmp_path / "a.png", 5, 6) is None
        assert loader.get(1, tmp_path / "a.png", 5, 6).width() == SIDE
        loader.stop()
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 1


def test_a_broken_picture_has_an_empty_thumbnail(qtbot, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no")
    loader = ThumbnailLoader(tmp_path / "cache")
    with qtbot.waitSignal(loader.ready):
        loader.get(1, tmp_path / "a.jpg", 5, 6)
    assert loader.get(1, tmp_path / "a.jpg", 5, 6).isNull()
    loader.stop()


def test_toasts_replace_their_like_and_errors_stay(qtbot):
    host, notifier = QWidget(), Notifier()
    qtbot.addWidget(host)
    host.resize(600, 400)
    host.show()
    stack = ToastStack(host, notifier, load_theme("dark"))
    pressed = []
    notifier.error(
        "The disk is full", "Free some space.", replace_key="save", choices=(Choice("Try again", lambda: pressed.append(1)),)
    )
    notifier.error("The disk is still full", replace_key="save")
    assert [toast.title.text() for toast in stack.toasts] == ["The disk is still full"]
    notifier.withdraw("save")
    assert stack.toasts == []
    notifier.warning("One", choices=(Choice("Go", lambda: pressed.append(2)),))
    stack.toasts[0].buttons[0].click()
    assert pressed == [2]
    for number in range(9):
        notifier.info(str(number))
    assert len(stack.toasts) == 4
    assert all(host.rect().contains(toast.geometry()) for toast in stack.toasts)


def test_clock():
    assert [clock(s) for s in (9, 75, 3725, -1)] == ["0:09", "1:15", "1:02:05", "0:00"]


def test_a_box_of_choices_cuts_a_long_name_in_the_middle(qtbot):
    from app.ui.common.elided_box import ElidedBox

    box = ElidedBox()
    qtbot.addWidget(box)
    name = "photographs of 2025, tuned on rooms, second try"
    box.addItem(name)
    box.resize(160, 30)
    box.show()
    shown = box.shown_text()
    assert shown.startswith("phot")
    assert shown.endswith("try")
    assert "…" in shown
    box.resize(900, 30)
    assert box.shown_text() == name
    box.setPlaceholderText("No model yet")
    box.setCurrentIndex(-1)
    assert box.shown_text() == "No model yet"

"""What lies over the image can be seen: clear colours, two-tone outlines, errors by kind with a legend, names of classes."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.state.tools import Tool
from app.ui.canvas.colors import ERROR_COLORS, overlay_tables
from app.ui.canvas.compose import Scene, compose
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.layers import LayerSet, PictureSource
from app.viewmodels.annotate.panes import OverlayOptions, PaneKind
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.catalogs.colors import color_distance
from deeplab_core.catalogs.display import clear_catalog
from deeplab_core.masks.png import encode_indexed_png
from tests.gui.canvas_fixture import CHAIR, GRAY, SOFA, Bench, close_to, make_bench
from tests.gui.studio import Studio

DARK = ClassCatalog(
    "dark",
    "Dark",
    tuple(ClassInfo(i, name, (20 * i, 0, 0)) for i, name in enumerate(("background", "chair", "sofa"))),
    background=0,
)


def _scene(labels: np.ndarray, options: OverlayOptions, *, ratio: float = 1.0, scale: float = 8.0) -> Scene:
    height, width = labels.shape
    pane = round(width * scale), round(height * scale)
    mapping = Mapping.centered((width / 2, height / 2), scale, pane, (width, height), ratio)
    layers = LayerSet(PictureSource(np.full((height, width, 3), GRAY, np.uint8)), DARK, labels, labels, truth=labels)
    return Scene(mapping, layers, overlay_tables(DARK, options), options)


def _halves() -> np.ndarray:
    labels = np.zeros((20, 20), np.uint8)
    labels[:, 10:] = CHAIR
    return labels


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("outline", [0, 1, 2, 3, 4])
def test_outlines_are_as_wide_as_asked_on_every_screen_with_a_dark_line_outside(outline, ratio):
    options = OverlayOptions(outline=outline)
    scene = _scene(_halves(), options, ratio=ratio)
    whole = scene.mapping.picture_rect()
    lined, bare = (
        compose(scene, PaneKind.MASK, whole),
        compose(replace(scene, options=replace(options, contours=False)), PaneKind.MASK, whole),
    )
    row = whole.height() // 2
    light = (lined[row] == scene.tables.line[CHAIR]).nonzero()[0]
    dark = (lined[row] == scene.tables.twin).nonzero()[0]
    assert light.size == (round(outline * ratio) if outline else 0)
    assert dark.size == (max(round(ratio), 1) if outline else 0)
    if outline:
        assert dark.max() + 1 == light.min() == 80  # the edge of the class
        assert np.array_equal(np.delete(lined[row], [*light, *dark]), np.delete(bare[row], [*light, *dark]))
    else:
        assert np.array_equal(lined, bare)


def test_two_classes_side_by_side_have_one_light_and_one_dark_line():
    labels = _halves()
    labels[:, :10] = SOFA
    scene = _scene(labels, OverlayOptions())
    row = compose(scene, PaneKind.MASK, scene.mapping.picture_rect())[80]
    assert (row == scene.tables.line[SOFA]).sum() == 2
    assert (row == scene.tables.twin).sum() == 1
    assert not (row == scene.tables.line[CHAIR]).any()


def test_hidden_classes_and_void_have_a_dark_outline_only():
    labels = _halves()
    labels[:10, 10:] = 255
    scene = _scene(labels, OverlayOptions(hidden=frozenset({CHAIR})))
    overlay = compose(scene, PaneKind.MASK, scene.mapping.picture_rect())
    assert (overlay[120] == scene.tables.twin).any()
    assert not np.isin(overlay, [scene.tables.line[SOFA], overlay_tables(DARK, OverlayOptions()).fill[CHAIR]]).any()


def test_dark_classes_are_shown_in_clear_colours_unless_the_catalogs_are_chosen(qtbot):
    labels = _halves()
    clear = compose(_scene(labels, OverlayOptions(opacity=1.0)), PaneKind.MASK, QRect(100, 80, 4, 4))
    own = compose(_scene(labels, OverlayOptions(opacity=1.0, class_colors="catalog")), PaneKind.MASK, QRect(100, 80, 4, 4))
    red, green, blue = clear_catalog(DARK).by_id(CHAIR).color
    assert (clear == (255 << 24 | red << 16 | green << 8 | blue)).all()
    assert (own == (255 << 24 | 20 << 16)).all()


def _errors(qtbot) -> Bench:
    truth = np.zeros((90, 120), np.uint8)
    truth[:, 60:] = SOFA
    bench = make_bench(qtbot, truth=truth)
    bench.edit.choose_tool(Tool.PAN)
    bench.document.labels[:45, 30:90] = CHAIR  # false on the left, swapped on the right; below, the sofa is missed
    bench.view.set_kind(0, PaneKind.ERRORS)
    return bench


def _is(color, kind: str) -> bool:
    """Whether a pixel of the grey picture is one of an error of some kind."""
    return close_to(color, tuple(round(GRAY * 0.15 + part * 0.85) for part in ERROR_COLORS[kind]), 6)


def test_errors_are_coloured_by_kind_with_a_legend_and_by_class_from_the_chips_menu(qtbot):
    bench = _errors(qtbot)
    assert _is(bench.color(45, 20), "false")
    assert _is(bench.color(75, 20), "swapped")
    assert _is(bench.color(100, 70), "missed")
    assert bench.color(20, 70).lightness() < GRAY * 0.6  # right
    size = bench.pane.size()
    corner = QRect(size.width() - 240, 0, 240, 80)
    shown = {color.name() for color in _pixels(bench.pane.grab(corner).toImage())}
    assert all("#{:02x}{:02x}{:02x}".format(*color) in shown for color in ERROR_COLORS.values())
    actions = {action.text(): action for action in bench.pane.chip.make_menu().actions()}
    assert actions["Colour errors by kind"].isChecked()
    actions["Colour errors by class"].trigger()
    assert bench.view.overlay.error_colors == "class"
    assert not _is(bench.color(45, 20), "false")
    shown = {color.name() for color in _pixels(bench.pane.grab(corner).toImage())}
    assert "#{:02x}{:02x}{:02x}".format(*ERROR_COLORS["false"]) not in shown


def test_the_legend_of_a_narrow_view_stands_in_lines(qtbot):
    bench = _errors(qtbot)
    bench.area.resize(170, 300)
    QApplication.processEvents()
    shown = {color.name() for color in _pixels(bench.pane.grab(QRect(60, 36, 110, 100)).toImage())}
    assert all("#{:02x}{:02x}{:02x}".format(*color) in shown for color in ERROR_COLORS.values())


def _pixels(image):
    return [image.pixelColor(x, y) for x in range(image.width()) for y in range(0, image.height(), 2)]


def test_other_views_have_no_choice_of_colours_for_errors(qtbot):
    bench = make_bench(qtbot)
    assert not any("errors by" in action.text() for action in bench.pane.chip.make_menu().actions())


def test_kinds_of_errors_differ_for_colour_blind_eyes():
    for one, other in combinations(ERROR_COLORS.values(), 2):
        assert color_distance(one, other, color_blind=True) > 0.12


# -- names -------------------------------------------------------------------------------------------------------------------


def _named(qtbot, **more) -> Bench:
    bench = make_bench(qtbot, **more)
    bench.edit.choose_tool(Tool.BRUSH)
    bench.document.labels[20:80, 60:] = CHAIR
    bench.document.labels[50:54, 20:24] = SOFA
    bench.area.set_layers(bench.layers)
    _rest(qtbot, bench)
    return bench


def _rest(qtbot, bench: Bench) -> None:
    qtbot.waitUntil(lambda: all(pane.names.settled for pane in bench.area.views))
    QApplication.processEvents()


def _with_and_without(bench: Bench, rect: QRect) -> bool:
    """Whether the names change a part of the pane."""
    QApplication.processEvents()
    shown = bench.pane.grab(rect).toImage()
    bench.view.set_overlay(replace(bench.view.overlay, names=False))
    QApplication.processEvents()
    without = bench.pane.grab(rect).toImage()
    bench.view.set_overlay(replace(bench.view.overlay, names=True))
    return shown != without


def test_large_regions_have_the_name_of_their_class_and_small_ones_have_none(qtbot):
    bench = _named(qtbot)
    places = bench.pane.names.places
    assert [place.class_id for place in places] == [CHAIR]
    assert bench.document.labels[int(places[0].y), int(places[0].x)] == CHAIR
    middle = bench.at(places[0].x, places[0].y)
    assert _with_and_without(bench, QRect(middle - QPoint(30, 12), middle + QPoint(30, 12)))


def test_a_name_moves_with_the_image_and_stays_inside_of_what_is_in_view(qtbot):
    bench = _named(qtbot)
    bench.view.set_scale(20)
    bench.view.center_on(110, 70)
    _rest(qtbot, bench)
    (place,) = bench.pane.names.places
    at = bench.at(place.x, place.y)
    assert bench.pane.rect().adjusted(20, 10, -20, -10).contains(at)
    assert bench.document.labels[int(place.y), int(place.x)] == CHAIR
    bench.view.pan_by(-1, 0)
    assert bench.pane.names.places == (place,)  # until the picture has come to rest
    assert bench.at(place.x, place.y) == at + QPoint(20, 0)


def test_the_region_under_the_pointer_has_its_name_beside_the_pointer(qtbot):
    bench = _named(qtbot)
    QTest.mouseMove(bench.pane, bench.at(22, 52))
    small = QRect(bench.at(22, 52), bench.at(22, 52) + QPoint(90, 70))
    assert _with_and_without(bench, small)
    _rest(qtbot, bench)
    QTest.mouseMove(bench.pane, bench.at(30, 80))  # background
    assert not _with_and_without(bench, QRect(bench.at(30, 80), bench.at(30, 80) + QPoint(90, 40)))


def test_names_are_hidden_while_painting_and_come_back(qtbot):
    bench = _named(qtbot)
    (place,) = bench.pane.names.places
    middle = bench.at(place.x, place.y)
    rect = QRect(middle - QPoint(30, 12), middle + QPoint(30, 12))
    bench.drag([(10, 10), (12, 10)], release=False)
    assert not _with_and_without(bench, rect)
    QTest.mouseRelease(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, bench.at(12, 10))
    _rest(qtbot, bench)
    assert _with_and_without(bench, rect)


def test_a_painted_region_is_named(qtbot):
    bench = _named(qtbot)
    bench.tools.choose_class(SOFA)
    bench.tools.set_diameter(30)
    bench.drag([(25, 30), (25, 60)])
    _rest(qtbot, bench)
    assert {place.class_id for place in bench.pane.names.places} == {CHAIR, SOFA}


def test_only_views_of_labels_have_names_each_half_of_a_divided_one_its_own(qtbot):
    bench = _named(qtbot, layout="split")
    bench.view.set_layout("double")
    bench.view.set_kind(1, PaneKind.ERRORS)
    _rest(qtbot, bench)
    assert bench.area.views[0].names.places
    assert not bench.area.views[1].names.places
    bench.view.set_kind(1, PaneKind.PREDICTION)
    _rest(qtbot, bench)
    assert [place.class_id for place in bench.area.views[1].names.places] == [SOFA]
    bench.view.set_overlay(replace(bench.view.overlay, hidden=frozenset({SOFA})))
    _rest(qtbot, bench)
    assert not bench.area.views[1].names.places


def test_alt_n_switches_the_names(studio: Studio, folder):
    studio.open(folder)
    assert studio.program.view.overlay.names
    studio.press(Qt.Key.Key_N, Qt.KeyboardModifier.AltModifier)
    assert not studio.program.view.overlay.names
    assert studio.program.settings["canvas.names"] is False
    studio.press(Qt.Key.Key_N, Qt.KeyboardModifier.AltModifier)
    assert studio.program.view.overlay.names


# -- one colour everywhere ---------------------------------------------------------------------------------------------------


def test_the_window_shows_clear_colours_and_files_have_the_catalogs(studio: Studio, folder):
    studio.open(folder)
    catalog = get_catalog("voc21")
    own, clear = catalog.by_id(15).color, clear_catalog(catalog).by_id(15).color
    assert own != clear

    def listed():
        return next(row.color for row in studio.window.classes.model.rows if row.class_id == 15)

    assert listed() == clear
    assert studio.program.classes.shown.by_id(15).color == clear
    changes = []
    studio.program.classes.changed.connect(lambda: changes.append(None))
    studio.program.settings.set("canvas.class_colors", "catalog")
    studio.settle()
    assert changes
    assert listed() == own
    studio.program.settings.set("canvas.class_colors", "clear")
    studio.settle()
    assert listed() == clear
    project = studio.program.session.project
    assert project.catalog == catalog
    data = b"".join(encode_indexed_png(np.zeros((4, 4), np.uint8), project.catalog))
    assert Image.open(io.BytesIO(data)).getpalette()[45:48] == list(own)

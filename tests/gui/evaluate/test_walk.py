"""The walk from a figure to its pixels: what is in sight where an error is open, and that no command has to come first."""

from __future__ import annotations

import re

import numpy as np

from app.ui.annotate.classes_dock import ClassesDock
from app.ui.evaluate.matrix_page import MOST_CLASSES, MatrixPage
from app.ui.evaluate.presenter import EvaluationPresenter
from app.ui.shell.theme import load_theme
from deeplab_core.catalogs import get_catalog
from tests.gui.evaluate.test_evaluation_view import run_folder
from tests.gui.studio import Studio


def in_sight(dock: ClassesDock, class_id: int) -> bool:
    place = dock.model.place_of(class_id)
    assert place is not None
    return dock.view.viewport().rect().contains(dock.view.visualRect(dock.model.index(place)))


def open_error(studio: Studio, shown: EvaluationPresenter, other: bool) -> None:
    """Open an error of the image in view, or of another one."""
    shown.show_errors_of(15)
    studio.settle()
    errors = shown.components.components
    found = [at for at, one in enumerate(errors) if (one.image != str(studio.image.id)) is other]
    place = min(found, key=lambda at: abs(errors[at].truth - errors[at].prediction))  # both fit into the list
    shown.components.chosen.emit(place)
    studio.wait(lambda: str(studio.image.id) == errors[place].image)
    studio.settle()


def test_the_class_list_shows_the_classes_of_an_open_error(studio: Studio, folder) -> None:
    shown, dock = run_folder(studio, folder), studio.window.classes
    for height, both in ((900, True), (640, False)):
        studio.window.resize(1280, height)
        studio.settle()
        for other in (False, True):
            dock.view.scrollToBottom()
            open_error(studio, shown, other)
            error = studio.program.inspect.navigation.current
            assert in_sight(dock, error.truth), "the class to paint with comes first"
            assert in_sight(dock, error.prediction) or not both
            assert dock.open_error.isVisible() != in_sight(dock, error.prediction)


def test_classes_of_an_open_error_that_do_not_fit_are_named(studio: Studio, folder) -> None:
    studio.open(folder)
    dock = studio.window.classes
    first, last = (dock.model.class_row(dock.model.index(row)) for row in (0, dock.model.rowCount() - 1))
    dock.show_classes((last.class_id, first.class_id))
    assert dock.open_error.isVisible()
    assert re.sub("<[^>]+>", "", dock.open_error.text()) == f"■ {last.name} → ■ {first.name}"
    studio.settle()
    assert in_sight(dock, last.class_id), "the class to paint with stays in sight"
    dock.show_classes((first.class_id, dock.model.class_row(dock.model.index(1)).class_id))
    assert dock.open_error.isHidden(), "both fit"
    dock.show_classes((last.class_id, first.class_id))
    dock.show_classes(())
    assert dock.open_error.isHidden()


def test_the_curve_of_the_folder_needs_no_other_command(studio: Studio, folder) -> None:
    """The panel said '14 of 14 images', and its plot of the folder asked for Ctrl+J first."""
    shown = run_folder(studio, folder)
    shown.view.show_page("Plots")
    studio.settle()
    plots = shown.pages.plots
    assert "Folder: mIoU" not in " ".join(studio.titles())
    plots.list.setCurrentRow(studio.program.plots.names.index("Trimap curve, folder"))
    studio.wait(lambda: plots.view.chart is not None and plots.view.chart.series)
    assert studio.program.figures.images == len(studio.program.inspect.index) == 4


def test_the_curve_of_the_folder_in_the_trimap_dock(studio: Studio, folder) -> None:
    studio.start_model()
    studio.open(folder)
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    dock = studio.window.trimap
    dock.scope.setCurrentIndex(1)
    dock.scope.activated.emit(1)
    studio.wait(lambda: dock._curves.folder)


def counts_of(classes: int) -> np.ndarray:
    """Every class is confused with its neighbour, later ones more."""
    counts = np.zeros((classes, classes + 1), np.int64)
    counts[np.arange(classes), np.arange(classes)] = 1000
    counts[np.arange(classes), (np.arange(classes) + 1) % classes] = np.arange(1, classes + 1)
    return counts


def test_a_matrix_of_150_classes_can_be_read_from_the_start(qtbot) -> None:
    page, catalog = MatrixPage(load_theme("dark")), get_catalog("ade20k150")
    qtbot.addWidget(page)
    page.resize(1000, 560)
    page.show()
    qtbot.waitExposed(page)
    page.show_counts(counts_of(150), catalog, None)
    table = page.matrix.table
    assert table is not None
    assert len(table.rows) == MOST_CLASSES
    assert table.rows.tolist() == sorted(table.rows.tolist()), "the order stays that of the catalog"
    assert set(table.rows.tolist()) >= set(range(115, 149)), "those with most errors"
    assert page.matrix.side >= 14
    assert "40 classes with most errors of 150" in page.readout.toolTip()
    page.empty.setChecked(True)
    assert len(page.matrix.table.rows) == 150
    assert page.matrix.side >= 14
    assert "most errors" not in page.readout.toolTip()


def test_a_small_matrix_shows_all_of_its_classes(qtbot) -> None:
    page = MatrixPage(load_theme("dark"))
    qtbot.addWidget(page)
    page.show_counts(counts_of(21), get_catalog("voc21"), None)
    assert len(page.matrix.table.rows) == 21
    assert "most errors" not in page.readout.toolTip()

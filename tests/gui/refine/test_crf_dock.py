"""The CRF by user actions: look, drag, compare, apply or not; no painted pixel is lost to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSlider

from app.controllers.refine.preview import Phase
from app.state.image_record import ImageStatus
from app.state.provenance import Provenance
from app.state.tools import Tool
from app.viewmodels.annotate.panes import PaneKind, PaneLayout
from app.worker.messages import Refine, RefineBox, Refined
from deeplab_core.errors import ImageReadError
from deeplab_core.refine.parameters import PRESETS
from tests.fakes.compute import moved, striped_labels
from tests.gui.studio import HEIGHT, WIDTH, Studio

SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def stripes(studio: Studio) -> np.ndarray:
    return striped_labels(studio.compute.catalog, HEIGHT, WIDTH, studio.image.key)


def asked(studio: Studio, kind: type = Refine) -> list:
    return [request for request in studio.compute.asked if isinstance(request, kind)]


def exact(studio: Studio) -> None:
    """Wait until the preview is exact and everything that follows from it is counted."""
    studio.wait(lambda: studio.program.refine.status.phase is Phase.EXACT and studio.program.refine.requests.idle)
    studio.settle()


def preview(studio: Studio) -> None:
    studio.press(Qt.Key.Key_Y)
    exact(studio)


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    """An image that the model has seen, the CRF dock in front."""
    studio.start_model()
    studio.open(folder)
    studio.window.toggle_dock("crf")
    return studio


# -- looking ------------------------------------------------------------------------------------------------------------------


def test_a_preview_is_shown_and_changes_nothing(desk):
    before = desk.image.document.labels.copy()
    preview(desk)
    expected = moved(stripes(desk), 10)
    np.testing.assert_array_equal(desk.program.refine.shown, expected)
    np.testing.assert_array_equal(desk.image.document.labels, before)
    assert desk.view.chip.accessibleName().startswith("CRF preview not applied")
    changed = np.count_nonzero(expected != before)
    assert f"{changed:,}".replace(",", "\u202f") in desk.window.crf.status.text()
    assert len(desk.steps()) == 1
    desk.press(Qt.Key.Key_Y)
    assert desk.program.refine.shown is None
    assert desk.view.chip.accessibleName().startswith("Mask")


def test_quick_comes_first_and_exact_follows(desk):
    preview(desk)
    assert [request.quick for request in asked(desk)] == [True, False]


def test_dragging_a_slider_redraws_quickly_and_exactly_when_it_is_let_go(desk):
    preview(desk)
    slider: QSlider = desk.window.crf.sliders["iterations"].slider
    before = len(asked(desk))
    slider.setSliderDown(True)
    for place in (120, 130, 140):
        slider.setValue(place)
        desk.wait(lambda place=place: asked(desk)[-1].params.iterations == place // 10)
    desk.wait(lambda: desk.program.refine.requests.idle)
    dragged = asked(desk)[before:]
    assert len(dragged) >= 2
    assert all(request.quick for request in dragged)
    np.testing.assert_array_equal(desk.program.refine.shown, moved(stripes(desk), 14))
    slider.setSliderDown(False)
    exact(desk)
    assert not asked(desk)[-1].quick
    assert asked(desk)[-1].params.iterations == 14
    assert desk.application.settings["crf.params"]


def test_never_more_than_one_request_and_only_the_newest_wish(desk):
    preview(desk)
    desk.compute.paused = True
    before = len(asked(desk))
    crf = desk.program.crf
    for steps in range(1, 9):
        desk.program.refine.set_params(replace(crf.params, iterations=steps), dragging=True)
    assert len(asked(desk)) == before + 1
    assert desk.compute.waiting == 1
    desk.compute.paused = False
    desk.wait(lambda: desk.program.refine.requests.idle)
    assert [request.params.iterations for request in asked(desk)[before:]] == [1, 8]
    np.testing.assert_array_equal(desk.program.refine.shown, moved(stripes(desk), 8))


def test_an_exact_request_is_cancelled_by_a_newer_wish(desk):
    preview(desk)
    desk.compute.paused = True
    refine = desk.program.refine
    refine.set_params(replace(refine.crf.params, iterations=2), dragging=True)
    refine.set_params(replace(refine.crf.params, iterations=3), dragging=False)
    desk.compute.paused = False
    exact(desk)
    desk.compute.paused = True
    refine.set_params(refine.crf.params, dragging=True)  # nothing under way: sent at once
    first = asked(desk)[-1].request_id
    desk.compute.paused = False
    desk.wait(lambda: refine.requests.idle)
    refine.set_params(refine.crf.params, dragging=False)
    running = asked(desk)[-1]
    assert not running.quick
    desk.compute.paused = True
    refine.set_params(replace(refine.crf.params, iterations=5), dragging=True)
    desk.wait(lambda: asked(desk)[-1].params.iterations == 5)
    assert asked(desk)[-1].quick
    assert running.request_id > first
    desk.compute.paused = False
    exact_or_quick = moved(stripes(desk), 5)
    desk.wait(lambda: np.array_equal(refine.shown, exact_or_quick))


def test_an_answer_for_another_image_is_dropped(desk):
    preview(desk)
    desk.compute.paused = True
    desk.program.refine.set_params(replace(desk.program.crf.params, iterations=3), dragging=True)
    first = desk.image.id
    desk.press(Qt.Key.Key_D)
    desk.wait(lambda: desk.image.id != first)
    desk.compute.paused = False
    desk.settle()
    exact(desk)
    np.testing.assert_array_equal(desk.program.refine.shown, moved(stripes(desk), 3))


def test_blinking_shows_the_mask_as_it_is(desk):
    preview(desk)
    desk.qtbot.keyPress(desk.view, Qt.Key.Key_Tab)
    assert desk.view.chip.accessibleName().startswith("Mask")
    desk.qtbot.keyRelease(desk.view, Qt.Key.Key_Tab)
    assert desk.view.chip.accessibleName().startswith("CRF preview")
    desk.qtbot.mousePress(desk.window.crf.before, Qt.MouseButton.LeftButton)
    assert desk.view.chip.accessibleName().startswith("Mask")
    desk.qtbot.mouseRelease(desk.window.crf.before, Qt.MouseButton.LeftButton)
    assert desk.view.chip.accessibleName().startswith("CRF preview")


def test_the_split_line_divides_before_and_after_and_goes_again(desk):
    desk.window.commands["refine.split"].trigger()
    exact(desk)
    view = desk.program.view
    assert view.layout is PaneLayout.SPLIT
    assert (view.panes[0].kind, view.panes[0].other) == (PaneKind.MASK, PaneKind.REFINED)
    assert view.stand_in(0) is None
    desk.program.refine.discard()
    assert view.layout is PaneLayout.SINGLE
    view.set_layout(PaneLayout.SPLIT)
    assert view.panes[0].other is PaneKind.IMAGE


def test_a_pane_shows_what_changes(desk):
    desk.window.commands["refine.changes"].trigger()
    exact(desk)
    assert desk.program.view.shows(PaneKind.CHANGES)
    assert "Changed by the CRF" in desk.view.chip.accessibleName()
    assert desk.view.grab().toImage().allGray() is False


def test_figures_before_and_after_follow_the_preview(desk):
    desk.wait(lambda: desk.program.evaluation.live is not None)
    preview(desk)
    desk.wait(lambda: desk.program.refine_meter.figures is not None)
    figures = desk.program.refine_meter.figures
    truth = desk.program.evaluation.live.truth
    judged, before, after = truth != 255, stripes(desk) == truth, moved(stripes(desk), 10) == truth
    assert figures.won == np.count_nonzero(judged & ~before & after)
    assert figures.lost == np.count_nonzero(judged & before & ~after)
    assert figures.accuracy_after == pytest.approx(after[judged].mean())
    assert len(figures.curve) == 40
    assert {row.name for row in figures.classes} >= {"background", "person"}
    assert "to" in desk.window.crf.figures.accessibleDescription()
    desk.window.trimap.build_plot()

    def curves():
        return [curve.name for curve in desk.window.trimap._curves.image]

    desk.wait(lambda: curves()[-1:] == ["with CRF"])  # the curves are drawn once the stream of changes rests
    desk.press(Qt.Key.Key_Y)
    desk.wait(lambda: curves() and "with CRF" not in curves())


# -- parameters ----------------------------------------------------------------------------------------------------------------


def test_presets_set_the_sliders_and_differ_from_own_parameters(desk):
    dock = desk.window.crf
    titles = [dock.presets.itemText(place) for place in range(dock.presets.count())]
    assert titles[: len(PRESETS)] == [preset.title for preset in PRESETS.values()]
    dock.presets.setCurrentIndex(titles.index("DeepLab v2"))
    dock.presets.activated.emit(titles.index("DeepLab v2"))
    exact(desk)
    assert desk.program.crf.params == PRESETS["v2"].params
    assert dock.sliders["bilateral_sxy"].value == 67
    assert dock.normalization.currentData() == "symmetric"
    dock.sliders["bilateral_compat"].field.setValue(7.5)
    exact(desk)
    assert dock.presets.currentText() == "Custom"
    assert desk.program.crf.params.bilateral_compat == 7.5


def test_a_search_report_joins_the_list_and_stays_there(desk, tmp_path):
    report = tmp_path / "found.json"
    report.write_text('{"params": {"bilateral_sxy": 33, "bilateral_srgb": 4, "iterations": 6}, "helps": true}')
    desk.program.refine.open_params(report)
    dock = desk.window.crf
    assert dock.presets.currentText() == "found"
    assert dock.sliders["bilateral_sxy"].value == 33
    assert str(report) in desk.application.settings["crf.files"]
    report.unlink()
    desk.program.refine.choose_params("v1")
    assert "found" not in [dock.presets.itemText(place) for place in range(dock.presets.count())]


def test_a_file_that_is_no_report_is_refused_with_words(desk, tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"wormhole": 3}')
    before = desk.program.crf.params
    desk.program.refine.open_params(wrong)
    assert desk.program.crf.params == before
    assert any("CRF" in title for title in desk.titles())


# -- taking it -----------------------------------------------------------------------------------------------------------------


def test_the_history_says_that_the_mask_itself_was_refined(desk):
    desk.program.refine.refine_mask()
    exact(desk)
    desk.program.refine.apply()
    desk.settle()
    assert desk.steps()[-1].startswith("CRF, mask itself")


def test_applying_is_one_step_by_the_crf_and_can_be_undone(desk):
    preview(desk)
    desk.qtbot.mouseClick(desk.window.crf.apply, Qt.MouseButton.LeftButton)
    desk.settle()
    document = desk.image.document
    expected = moved(stripes(desk), 10)
    np.testing.assert_array_equal(document.labels, expected)
    changed = expected != stripes(desk)
    assert (document.provenance[changed] == Provenance.CRF).all()
    assert (document.provenance[~changed] == Provenance.MODEL).all()
    assert desk.steps()[-1].startswith("CRF, DeepLab v1, ")
    assert desk.program.refine.shown is None
    assert desk.program.session.project.record(desk.image.id).status == ImageStatus.PREDICTED
    desk.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(document.labels, stripes(desk))
    assert (document.provenance == Provenance.MODEL).all()


def test_applying_without_a_preview_waits_for_an_exact_one(desk):
    desk.press(Qt.Key.Key_Y, SHIFT)
    desk.wait(lambda: len(desk.steps()) == 2)
    assert [request.quick for request in asked(desk)] == [False]
    np.testing.assert_array_equal(desk.image.document.labels, moved(stripes(desk), 10))


def test_a_persons_pixels_stay_and_steer_the_preview(desk):
    desk.program.classes.choose(9)
    preview(desk)
    desk.paint((20, 20), (40, 20))
    drawn = desk.image.document.provenance == Provenance.USER
    assert (desk.program.refine.shown[drawn] == 9).all()
    before = len(asked(desk))
    desk.wait(lambda: len(asked(desk)) > before)
    strokes = asked(desk)[-1].strokes
    np.testing.assert_array_equal(strokes != 255, drawn)
    exact(desk)
    desk.press(Qt.Key.Key_Y, SHIFT)
    desk.settle()
    document = desk.image.document
    assert (document.labels[drawn] == 9).all()
    assert (document.provenance[drawn] == Provenance.USER).all()
    np.testing.assert_array_equal(document.labels[~drawn], moved(stripes(desk), 10)[~drawn])


def test_band_only_changes_the_band(desk):
    desk.wait(lambda: desk.program.evaluation.live is not None)
    desk.settle()
    desk.window.crf.scope.setCurrentIndex(1)
    desk.window.crf.scope.activated.emit(1)
    preview(desk)
    index, width = desk.program.evaluation.band_map(), desk.program.evaluation.band.width_px
    band = (index >= 1) & (index <= width)
    before, after = stripes(desk), moved(stripes(desk), 10)
    np.testing.assert_array_equal(desk.program.refine.shown, np.where(band, after, before))
    desk.press(Qt.Key.Key_Y, SHIFT)
    desk.settle()
    np.testing.assert_array_equal(desk.image.document.labels, np.where(band, after, before))
    assert desk.steps()[-1].startswith("CRF in band")


def test_an_outline_is_refined_instead_of_filled(desk):
    desk.press(Qt.Key.Key_L, CTRL)
    assert desk.window.commands["refine.region"].isChecked()
    assert desk.window.commands["tool.lasso"].isChecked()
    desk.paint((10, 10), (60, 10), (60, 40), (10, 40))
    desk.wait(lambda: len(desk.steps()) == 2)
    exact(desk)
    before, after, now = stripes(desk), moved(stripes(desk), 10), desk.image.document.labels
    np.testing.assert_array_equal(now[12:38, 12:58], after[12:38, 12:58])
    np.testing.assert_array_equal(now[:, 62:], before[:, 62:])
    assert desk.steps()[-1].startswith("CRF in outline")
    desk.program.refine.discard()
    desk.program.classes.choose(9)
    desk.paint((10, 10), (60, 10), (60, 40), (10, 40))
    assert (desk.image.document.labels[12:38, 12:58] == 9).all()


def test_a_crf_without_changes_is_reported(desk):
    desk.program.refine.set_params(replace(desk.program.crf.params, iterations=0))
    exact(desk)
    desk.press(Qt.Key.Key_Y, SHIFT)
    desk.settle()
    assert "The CRF changes nothing here" in desk.titles()
    assert len(desk.steps()) == 1


def test_undone_and_discarded_leave_no_trace(desk):
    preview(desk)
    desk.qtbot.mouseClick(desk.window.crf.discard, Qt.MouseButton.LeftButton)
    assert desk.program.refine.shown is None
    assert not desk.window.crf.discard.isEnabled()
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))


# -- without scores ------------------------------------------------------------------------------------------------------------


def test_scores_that_are_gone_are_asked_for_in_words_and_come_back_with_a_run(desk):
    desk.compute.crash()
    desk.press(Qt.Key.Key_Y)
    desk.wait(lambda: desk.program.refine.status.phase is Phase.NO_SCORES)
    dock = desk.window.crf
    assert dock.missing.isVisibleTo(dock)
    assert desk.view.chip.accessibleName().startswith("Mask")
    desk.qtbot.mouseClick(dock.run_button, Qt.MouseButton.LeftButton)
    exact(desk)
    assert not dock.missing.isVisibleTo(dock)


def test_a_mask_without_a_network_can_be_refined(studio, folder):
    studio.open(folder)
    studio.wait(lambda: studio.program.evaluation.live is not None)
    studio.program.evaluation.start_from_truth()
    truth = studio.image.document.labels.copy()
    studio.window.toggle_dock("crf")
    studio.compute.start()
    studio.press(Qt.Key.Key_Y)
    studio.wait(lambda: studio.program.refine.status.phase is Phase.NO_SCORES)
    studio.qtbot.mouseClick(studio.window.crf.mask_button, Qt.MouseButton.LeftButton)
    exact(studio)
    assert studio.window.crf.certainty.isVisibleTo(studio.window.crf)
    np.testing.assert_array_equal(asked(studio)[-1].base.labels, truth)
    studio.press(Qt.Key.Key_Y, SHIFT)
    studio.settle()
    document = studio.image.document
    np.testing.assert_array_equal(document.labels, moved(truth, 10))
    assert set(np.unique(document.provenance)) == {Provenance.CRF, Provenance.IMPORT}


# -- the folder ----------------------------------------------------------------------------------------------------------------


def test_the_folder_gets_steps_and_what_a_person_touched_gets_suggestions(desk):
    project = desk.program.session.project
    first, second, third, fourth = (record.id for record in project.images)
    desk.program.classes.choose(9)
    desk.paint((20, 20), (40, 20))
    desk.press(Qt.Key.Key_D)
    desk.wait(lambda: desk.image.id == second)
    desk.settle()
    desk.compute.errors[str(project.path_of(project.record(third)))] = ImageReadError("it is damaged", path="third")
    desk.window.commands["refine.folder"].trigger()
    desk.wait(lambda: "CRF on the folder finished" in desk.titles())
    desk.settle()
    message = next(note for note in desk.program.notifier.messages if note.title == "CRF on the folder finished")
    assert "1 is kept as a suggestion" in message.detail
    assert "1 failed" in message.detail
    assert project.record(first).suggested
    assert desk.steps()[-1].startswith("CRF, DeepLab v1") or len(desk.steps()) == 1  # the fake's CRF in a run changes nothing
    assert project.record(fourth).status == ImageStatus.PREDICTED
    loaded = project.load(fourth).document
    assert (loaded.provenance == Provenance.CRF).all()
    options = [request.options for request in desk.compute.asked if hasattr(request, "options")]
    assert options[-1].crf == PRESETS["v1"].params
    drawn = project.load(first).document
    assert (drawn.labels[20, 21:40] == 9).all()


def test_a_folder_run_can_be_stopped(desk):
    desk.compute.paused = True
    desk.window.commands["refine.folder"].trigger()
    desk.wait(lambda: desk.compute.waiting == 1)
    assert not desk.window.commands["refine.folder"].isEnabled()
    desk.program.jobs.running[0].cancel()
    desk.wait(lambda: "CRF on the folder stopped" in desk.titles())
    desk.compute.paused = False
    assert desk.window.commands["refine.folder"].isEnabled()


# -- scribbling ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "tool"), [(Qt.Key.Key_G, Tool.BRUSH), (Qt.Key.Key_L, Tool.BRUSH), (Qt.Key.Key_E, Tool.ERASER)])
def test_scribble_mode_needs_a_tool_that_draws_strokes(desk, key, tool):
    """After a fill, J and a stroke filled the background with the class."""
    desk.press(key)
    desk.press(Qt.Key.Key_J)
    assert desk.program.tools.tool is tool


def scribbling(studio: Studio) -> None:
    studio.press(Qt.Key.Key_J)
    assert studio.program.context["scribble_on"]
    studio.program.classes.choose(9)
    studio.press(Qt.Key.Key_BracketLeft)
    studio.settle()


def test_a_scribble_and_what_follows_are_one_step(desk):
    scribbling(desk)
    desk.program.tools.set_diameter(4)
    before = desk.image.document.labels.copy()
    desk.paint((30, 30), (40, 30))
    desk.wait(lambda: len(desk.steps()) == 2)
    document = desk.image.document
    drawn = document.provenance == Provenance.USER
    assert 30 < np.count_nonzero(drawn) < 100
    assert (document.labels[drawn] == 9).all()
    followed = document.provenance == Provenance.CRF
    assert (document.labels[followed] == 9).all()
    request = asked(desk, RefineBox)[-1]
    inside = np.zeros(document.shape, bool)
    inside[request.box.slices] = True
    np.testing.assert_array_equal(document.labels, np.where(inside, 9, before))
    assert desk.steps()[-1].startswith("Scribble: chair, ")
    desk.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(document.labels, before)
    assert (document.provenance == Provenance.MODEL).all()
    desk.press(Qt.Key.Key_Y, CTRL)
    np.testing.assert_array_equal(document.labels, np.where(inside, 9, before))


def test_a_scribble_survives_the_image_and_is_still_one_step(desk):
    scribbling(desk)
    desk.paint((30, 30), (40, 30))
    desk.wait(lambda: len(desk.steps()) == 2)
    labels, first = desk.image.document.labels.copy(), desk.image.id
    desk.press(Qt.Key.Key_D)
    desk.wait(lambda: desk.image.id != first)
    desk.settle()
    loaded = desk.program.session.project.load(first)
    np.testing.assert_array_equal(loaded.document.labels, labels)
    assert [step.title.split(":")[0] for step in loaded.steps][-1] == "Scribble"


def test_a_scribble_without_an_answer_is_a_stroke(desk, monkeypatch):
    scribbling(desk)
    desk.compute.paused = True
    desk.paint((30, 30), (40, 30))
    assert desk.program.edit.pending_stroke is not None
    assert len(desk.steps()) == 1
    desk.wait(lambda: len(desk.steps()) == 2)  # patience is over
    assert desk.image.document.labels[30, 35] == 9
    desk.compute.paused = False
    desk.wait(lambda: len(desk.steps()) == 3)  # late, but nothing else has changed: a step of its own
    assert desk.steps()[-1].startswith("Scribble: chair, refined")


def test_going_on_while_a_scribble_waits_loses_nothing(desk):
    scribbling(desk)
    desk.compute.paused = True
    desk.paint((30, 30), (40, 30))
    desk.paint((60, 50), (70, 50))
    assert len(desk.steps()) == 2
    desk.compute.paused = False
    desk.wait(lambda: len(desk.steps()) == 3)
    document = desk.image.document
    assert document.labels[30, 35] == 9
    assert document.labels[50, 65] == 9


def test_undo_while_a_scribble_waits_takes_the_stroke_back(desk):
    scribbling(desk)
    before = desk.image.document.labels.copy()
    desk.compute.paused = True
    desk.paint((30, 30), (40, 30))
    desk.program.edit.undo()
    np.testing.assert_array_equal(desk.image.document.labels, before)
    desk.compute.paused = False
    desk.settle()
    np.testing.assert_array_equal(desk.image.document.labels, before)


def test_scribbling_without_scores_paints_and_says_why_nothing_follows(desk):
    scribbling(desk)
    desk.compute.crash()
    desk.paint((30, 30), (40, 30))
    desk.wait(lambda: len(desk.steps()) == 2)
    assert desk.image.document.labels[30, 35] == 9
    assert "The stroke was painted but not refined" in desk.titles()


def answer_boxes(studio: Studio, monkeypatch, labels_of) -> None:
    """Let the compute process answer the boxes of strokes with what ``labels_of(height, width)`` says."""
    answer = studio.compute._answer_refine

    def other(request):
        if isinstance(request, RefineBox):
            studio.compute._answer(Refined(request_id=request.request_id, labels=labels_of(*request.box.size)))
        else:
            answer(request)

    monkeypatch.setattr(studio.compute, "_answer_refine", other)


def test_a_scribble_only_turns_pixels_into_its_own_class(desk, monkeypatch):
    """Finding B2: a scribble of background grew the sofa below it by 2 407 px."""
    scribbling(desk)
    desk.program.tools.set_diameter(4)
    random = np.random.default_rng(2)
    answer_boxes(desk, monkeypatch, lambda height, width: random.choice(np.array([0, 9, 18], np.uint8), (height, width)))
    before = desk.image.document.labels.copy()
    desk.paint((30, 30), (40, 30))
    desk.wait(lambda: len(desk.steps()) == 2)
    document = desk.image.document
    changed = document.labels != before
    assert np.count_nonzero(changed & (document.provenance == Provenance.CRF)) > 100
    assert (document.labels[changed] == 9).all()


def test_strokes_of_two_classes_each_claim_their_own(desk, monkeypatch):
    scribbling(desk)
    desk.program.tools.set_diameter(4)
    answer_boxes(desk, monkeypatch, lambda height, width: np.resize(np.array([9, 18, 3], np.uint8), (height, width)))
    before = desk.image.document.labels.copy()
    desk.compute.paused = True
    desk.paint((30, 20), (40, 20))
    desk.program.classes.choose(18)
    desk.paint((30, 30), (40, 30))
    desk.compute.paused = False
    desk.wait(lambda: len(desk.steps()) == 3)
    document = desk.image.document
    changed = document.labels != before
    assert {9, 18} == set(np.unique(document.labels[changed]).tolist())
    followed = changed & (document.provenance == Provenance.CRF)
    assert {9, 18} == set(np.unique(document.labels[followed]).tolist())


def test_a_scribble_goes_through_what_was_filled_and_not_through_what_was_painted(desk):
    """Finding B3: after a fill a scribble stayed a plain stroke, without a word."""
    desk.program.classes.choose(18)
    desk.press(Qt.Key.Key_G)
    desk.paint((30, 30))
    desk.paint((34, 30))
    filled = desk.image.document.provenance == Provenance.RECLASSIFIED
    assert filled.sum() > 100
    scribbling(desk)
    desk.press(Qt.Key.Key_B)
    desk.program.tools.set_diameter(4)
    desk.paint((30, 30), (34, 30))
    desk.wait(lambda: desk.steps()[-1].startswith("Scribble: chair, "))
    document = desk.image.document
    request = asked(desk, RefineBox)[-1]
    assert (request.strokes != 255).sum() < 100, "only what was painted is clamped"
    box = np.zeros(document.shape, bool)
    box[request.box.slices] = True
    assert (document.labels[filled & box] == 9).all()

    desk.press(Qt.Key.Key_J)
    desk.program.classes.choose(3)
    desk.program.tools.set_diameter(60)
    desk.paint((30, 30), (60, 30))
    scribbling(desk)
    desk.program.tools.set_diameter(4)
    desk.paint((40, 30), (44, 30))
    desk.wait(lambda: "The stroke stops at your own pixels" in desk.titles())
    assert document.labels[20, 40] == 3


def test_after_a_fill_the_preview_asks_in_the_new_class_and_moves_the_outline(desk):
    document = desk.image.document
    column = 30
    old = int(document.labels[30, column])
    desk.program.classes.choose(18)
    desk.press(Qt.Key.Key_G)
    desk.paint((column, 30))
    filled = document.provenance == Provenance.RECLASSIFIED
    preview(desk)
    renamed = asked(desk)[-1].base.renamed
    assert renamed is not None
    assert (renamed[0][filled] == old).all()
    assert (renamed[1][filled] == 18).all()
    desk.press(Qt.Key.Key_Y, SHIFT)
    desk.wait(lambda: "CRF" in desk.steps()[-1])
    left = document.labels == 18
    assert (left & filled).any()
    assert not (left & filled).all(), "the outline has moved"


def test_a_crf_that_may_change_nothing_says_what_holds(desk):
    desk.program.tools.set_diameter(200)
    desk.program.classes.choose(9)
    desk.paint((0, 30), (80, 30))
    desk.press(Qt.Key.Key_Y, SHIFT)
    desk.wait(lambda: "The CRF changes nothing here" in desk.titles())
    text = next(message.detail for message in desk.program.notifier.messages if message.title == "The CRF changes nothing here")
    assert "You painted 5\u202f040 px there" in text


def test_switched_off_a_stroke_is_a_stroke_again(desk):
    scribbling(desk)
    desk.press(Qt.Key.Key_J)
    desk.paint((30, 30), (40, 30))
    assert len(desk.steps()) == 2
    assert not asked(desk, RefineBox)


# -- the window ----------------------------------------------------------------------------------------------------------------


def test_the_dock_comes_to_the_front_and_heights_follow_the_tab(desk):
    window = desk.window
    window.reset_layout()
    desk.wait(lambda: window.crf.visibleRegion().isEmpty())
    desk.settle()
    with_model = window.classes.height()
    window.toggle_dock("crf")
    desk.wait(lambda: window.crf.height() > window.trimap.height() and window.classes.height() < with_model)
    window.toggle_dock("model")
    desk.wait(lambda: window.classes.height() == with_model > window.model.height())
    window.toggle_dock("crf")
    desk.wait(lambda: window.crf.height() > window.trimap.height() and window.classes.height() < with_model)


@pytest.mark.parametrize("size", [(1600, 1000), (1280, 780)])
def test_the_picture_keeps_its_share_of_the_window(desk, size):
    desk.window.resize(*size)
    desk.window.reset_layout()
    desk.wait(lambda: desk.window.crf.visibleRegion().isEmpty())
    desk.window.toggle_dock("crf")
    desk.wait(lambda: not desk.window.crf.visibleRegion().isEmpty())
    canvas = desk.application.presenter.canvas
    desk.wait(lambda: canvas.width() * canvas.height() >= 0.55 * size[0] * size[1])

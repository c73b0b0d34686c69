"""Steps of a large image: worked out in the background and painted in parts, yet as if they had been done at once."""

from __future__ import annotations

import numpy as np
import pytest

from app.controllers.annotate import edit as edit_module
from app.controllers.annotate.edit import EditController, spaced
from app.services import step_writer
from app.services.undo import UndoHistory
from app.state.document import Document
from app.state.live_evaluation import LiveEvaluation
from app.state.provenance import Provenance
from app.state.tools import ToolState
from deeplab_core.catalogs import get_catalog
from deeplab_core.geometry import Box
from deeplab_core.metrics import ConfusionMatrix

VOC = get_catalog("voc21")
SHAPE = 700, 900
EVERYTHING = [(-1, -1), (901, -1), (901, 701), (-1, 701)]


class Desk:
    """An image that counts as large, its tools and its history."""

    def __init__(self) -> None:
        rng = np.random.default_rng(4)
        self.document = Document(rng.integers(0, 21, SHAPE, dtype=np.uint8), VOC)
        self.truth = rng.integers(0, 21, SHAPE, dtype=np.uint8)
        self.live = LiveEvaluation(self.truth, self.document)
        self.edit = EditController(ToolState(7))
        self.history = UndoHistory()
        self.history.open(1, self.document, ())
        self.edit.undoAsked.connect(self.history.undo)
        self.edit.redoAsked.connect(self.history.redo)
        self.edit.set_document(self.document)
        self.edit.stepDone.connect(lambda title, patch, source: self.history.push(title, patch, source))
        self.before = self.document.labels.copy()

    @property
    def titles(self) -> list[str]:
        return [step.title for step in self.history.steps[: self.history.index]]

    def counted_right(self) -> bool:
        fresh = ConfusionMatrix(VOC).update(truth=self.truth, prediction=self.document.labels)
        return self.live.matrix == fresh


@pytest.fixture
def desk(qapp, monkeypatch):
    monkeypatch.setattr(edit_module, "_BACKGROUND_PIXELS", 1000)
    monkeypatch.setattr(step_writer, "AT_ONCE", 4)
    monkeypatch.setattr(step_writer, "_TURN_SECONDS", 0.0)
    made = Desk()
    yield made
    made.edit.set_document(None)


def test_a_large_outline_is_painted_between_events_and_undone_the_same_way(desk, qtbot):
    turns = []
    desk.document.changed.connect(lambda change: turns.append(change.rect))
    desk.edit.polygon(EVERYTHING)
    assert not turns
    qtbot.waitUntil(lambda: len(turns) > 1)
    assert desk.counted_right()
    qtbot.waitUntil(lambda: desk.document.settled and bool((desk.document.labels == 7).all()))
    assert len(turns) > 2
    changed = np.count_nonzero(desk.before != 7)
    assert desk.titles == [f"Polygon: {VOC.by_id(7).name}, {spaced(changed)} px"]
    assert desk.counted_right()
    desk.edit.undo()
    qtbot.waitUntil(lambda: desk.document.settled)
    assert np.array_equal(desk.document.labels, desk.before)
    assert (desk.document.provenance == Provenance.UNSET).all()
    assert desk.counted_right()


def test_a_stroke_that_follows_at_once_comes_after(desk, qtbot):
    desk.edit.polygon(EVERYTHING)
    desk.edit.choose_class(3)
    desk.edit.begin_stroke(100, 100)
    assert (desk.document.labels != 7).sum() == (desk.document.labels == 3).sum() > 0
    desk.edit.commit_stroke()
    assert [title.split(":")[0] for title in desk.titles] == ["Polygon", "Brush"]
    desk.edit.undo()
    desk.edit.undo()
    desk.edit.commit_stroke()
    assert np.array_equal(desk.document.labels, desk.before)
    assert desk.counted_right()


def test_undo_in_the_middle_of_the_painting_takes_all_of_it_back(desk, qtbot):
    heard = []
    desk.document.changed.connect(heard.append)
    desk.edit.polygon(EVERYTHING)
    qtbot.waitUntil(lambda: len(heard) > 0)
    desk.edit.undo()
    desk.edit.redo()
    desk.edit.undo()
    desk.document.settle()
    assert np.array_equal(desk.document.labels, desk.before)
    assert desk.counted_right()
    assert desk.history.can_redo


def test_another_image_in_view_does_not_cut_a_fill_short(desk):
    desk.edit.polygon(EVERYTHING)
    desk.edit.set_document(Document.blank((10, 10), VOC))
    assert (desk.document.labels == 7).all()
    assert desk.document.settled
    assert len(desk.titles) == 1


def test_a_change_by_another_user_is_kept(desk, qtbot):
    desk.edit.fill(5, 5)
    desk.document.paint(Box(200, 200, 20, 20), np.ones((20, 20), dtype=bool), 9, Provenance.USER)
    qtbot.waitUntil(lambda: len(desk.titles) == 1 and desk.document.settled)
    assert (desk.document.labels[200:220, 200:220] == 9).all()
    assert desk.counted_right()


def test_a_stroke_over_pixels_that_are_right_already_says_how_many_it_confirmed(desk):
    desk.document.labels[:] = 7
    desk.edit.begin_stroke(50.5, 50.5)
    desk.edit.commit_stroke()
    confirmed = np.count_nonzero(desk.document.provenance == Provenance.USER)
    assert desk.titles == [f"Brush: {VOC.by_id(7).name}, confirmed {confirmed} px"]


def test_restoring_what_agrees_with_the_model_says_how_many_were_handed_back(desk):
    desk.document.reference = desk.document.labels.copy()
    desk.document.provenance[:] = Provenance.USER
    desk.edit.begin_stroke(50.5, 50.5, "restore")
    desk.edit.commit_stroke()
    assert desk.titles[0].startswith("Restore to prediction, returned to the model ")

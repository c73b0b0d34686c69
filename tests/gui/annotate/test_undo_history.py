"""Undo and redo per image: names, image switches, bounds, what the journal hears."""

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication

from app.services import undo
from app.services.undo import UndoHistory
from app.state.document import Document
from app.state.edits.whole_mask import whole_patch
from app.state.journal import JournalStep
from app.state.patch import TilePatch
from app.state.provenance import Provenance
from app.ui.annotate import history_dock
from app.ui.annotate.history_dock import HistoryDock
from deeplab_core.catalogs import get_catalog
from tests.unit.app.folders import paint

VOC = get_catalog("voc21")


def blank():
    return Document.blank((100, 140), VOC)


def state(document):
    return document.labels.tobytes(), document.provenance.tobytes()


@pytest.fixture
def new_history(qapp):
    made = []

    def make(**options):
        made.append(UndoHistory(**options))
        return made[-1]

    yield make
    for history in made:
        history.close()


@pytest.fixture
def history(new_history):
    return new_history()


def draw(history, document, seed):
    patch = paint(document, seed)
    history.push(f"Brush {seed}", patch, Provenance.USER)
    return state(document)


def test_steps_are_undone_and_redone_by_name(history):
    document = blank()
    history.open(1, document, [])
    states = [state(document)] + [draw(history, document, seed) for seed in range(3)]
    assert (history.undo_text, history.can_redo) == ("Brush 2", False)
    for number in (2, 1, 0):
        history.undo()
        assert state(document) == states[number]
    assert (history.can_undo, history.redo_text, history.index) == (False, "Brush 0", 0)
    history.undo()
    assert state(document) == states[0]
    for number in (1, 2, 3):
        history.redo()
        assert state(document) == states[number]
    history.redo()
    assert [step.title for step in history.steps] == ["Brush 0", "Brush 1", "Brush 2"]


def test_pushing_paints_nothing_twice(history):
    document = blank()
    history.open(1, document, [])
    patch = paint(document, 1)
    revision = document.revision
    history.push("Brush", patch, Provenance.USER)
    assert document.revision == revision


def test_a_step_that_changed_nothing_does_not_enter(history):
    document = blank()
    history.open(1, document, [])
    draw(history, document, 1)
    repeated = paint(document, 1)
    assert history.push("Brush again", repeated, Provenance.USER) is None
    assert history.undo_text == "Brush 1"


def test_a_new_step_ends_what_could_be_redone(history):
    document = blank()
    history.open(1, document, [])
    for seed in range(3):
        draw(history, document, seed)
    history.undo()
    history.undo()
    after = draw(history, document, 9)
    assert not history.can_redo
    assert [step.title for step in history.steps] == ["Brush 0", "Brush 9"]
    history.undo()
    history.redo()
    assert state(document) == after


def test_each_image_has_its_own_steps_and_keeps_them(history):
    one, other = blank(), blank()
    history.open(1, one, [])
    ones = draw(history, one, 1)
    history.open(2, other, [])
    assert not history.can_undo
    draw(history, other, 2)
    history.undo()
    assert state(one) == ones
    history.open(1, one, [])
    assert history.undo_text == "Brush 1"
    history.undo()
    assert state(one) == state(blank())
    history.close()
    assert not history.can_redo


def journal_steps(count, undone=0):
    document = blank()
    steps = []
    for seed in range(count):
        patch = paint(document, seed)
        again = seed >= count - undone
        steps.append(JournalStep(10 + seed, f"Brush {seed}", Provenance.USER, 0.0, patch.changed_pixels, again, patch))
    for step in reversed(steps[count - undone :]):
        document.apply(step.patch.inverted())
    return document, steps


def test_the_steps_of_a_reopened_image_can_be_undone_and_redone(history):
    document, steps = journal_steps(4, undone=1)
    before = state(document)
    heard = []
    history.stepMoved.connect(lambda image, step, direction: heard.append((image, step.seq, direction)))
    history.open(7, document, steps)
    assert state(document) == before
    assert heard == []
    assert (history.undo_text, history.redo_text, history.index) == ("Brush 2", "Brush 3", 3)
    history.redo()
    for _ in range(4):
        history.undo()
    assert state(document) == state(blank())
    assert heard == [(7, 13, 1), (7, 13, -1), (7, 12, -1), (7, 11, -1), (7, 10, -1)]


def test_another_document_of_the_same_image_gets_a_fresh_stack(history):
    document, steps = journal_steps(2)
    history.open(7, document, steps)
    fresh, steps = journal_steps(3)
    history.open(7, fresh, steps)
    assert history.index == 3
    untouched = state(document)
    history.undo()
    history.undo()
    assert state(document) == untouched != state(fresh)


def test_the_history_list_jumps(history):
    document = blank()
    history.open(1, document, [])
    states = [state(document)] + [draw(history, document, seed) for seed in range(5)]
    for index in (2, 5, 0, 3):
        history.go_to(index)  # what a click does
        assert state(document) == states[index]
        assert history.index == index


def test_memory_is_bounded_by_bytes_images_out_of_view_first(new_history):
    probe = new_history()
    probe.open(1, document := blank(), [])
    for seed in range(6):
        draw(probe, document, seed)
    budget = probe.nbytes() * 3 // 2
    history = new_history(budget=budget)
    documents = [blank() for _ in range(3)]
    for image, document in enumerate(documents):
        history.open(image, document, [])
        for seed in range(6):
            draw(history, document, seed)
        assert history.nbytes() <= budget
    assert len(history.steps) == 6
    last = documents[-1]
    for seed in range(6, 60):
        after = draw(history, last, seed)
        assert history.nbytes() <= budget
    kept = len(history.steps)
    assert 1 <= kept < 60
    for _ in range(kept):
        history.undo()
    assert not history.can_undo
    for _ in range(kept):
        history.redo()
    assert state(last) == after


def test_each_step_is_measured_once(history, monkeypatch):
    """Summing the whole history at every stroke made strokes slower and slower."""
    measured = []
    real = TilePatch.nbytes.fget
    monkeypatch.setattr(TilePatch, "nbytes", property(lambda patch: measured.append(patch) or real(patch)))
    document = blank()
    history.open(1, document, [])
    for seed in range(40):
        draw(history, document, seed)
        if seed % 5 == 4:
            history.undo()
    assert len(measured) == 40


@pytest.mark.parametrize("budget", [4000, 10**6])
def test_the_bytes_are_those_of_the_steps_in_memory(new_history, monkeypatch, budget):
    monkeypatch.setattr(undo, "MOST_STEPS", 7)
    history = new_history(budget=budget)
    documents = [blank(), blank()]
    for seed in range(60):
        if seed % 20 == 0:
            history.open(seed % 40 // 20, documents[seed % 40 // 20], [])
        source = Provenance.MODEL if seed == 0 else Provenance.USER
        history.push(f"step {seed}", paint(documents[seed % 40 // 20], seed), source)
        for _ in range(3 * (seed % 7 == 6)):
            history.undo()
        lists = history._lists.values()
        assert history.nbytes() == sum(step.patch.nbytes for one in lists for step in one.steps) + sum(
            one.start.patch.nbytes for one in lists if one.start
        )


class Counted(deque):
    """Counts each step that is put in, looked at or taken out; whole walks count as many as there are."""

    touched = 0


class CountedRows(Counted):
    """Those of the history list, which follows after the push."""

    touched = 0


def _counted(name):
    real = getattr(deque, name)
    walk = name in {"__iter__", "__reversed__", "copy", "clear", "remove", "index", "insert", "__delitem__"}

    def call(self, *given):
        given = tuple(list(value) if name == "extend" else value for value in given)
        type(self).touched += len(self) if walk else len(given[0]) if name == "extend" else 1
        return real(self, *given)

    return call


for _name in (
    "append",
    "extend",
    "pop",
    "popleft",
    "__getitem__",
    "__iter__",
    "__reversed__",
    "copy",
    "clear",
    "remove",
    "index",
):
    setattr(Counted, _name, _counted(_name))


@pytest.mark.parametrize("kept", [100, 400])
def test_a_push_touches_a_few_steps_however_long_the_history_is(new_history, qtbot, monkeypatch, kept):
    """The stack was made again at its bound: 9 ms at one push in a hundred, 178 at most."""
    monkeypatch.setattr(undo, "deque", Counted)
    monkeypatch.setattr(history_dock, "deque", CountedRows)
    document = blank()
    patches = [paint(document, seed) for seed in range(50)]
    size = sum(patch.nbytes for patch in patches) // len(patches)
    history = new_history(budget=kept * size)
    dock = HistoryDock()
    qtbot.addWidget(dock)
    dock.follow(history)
    for image in (1, 2):  # the first one's steps leave as a whole
        history.open(image, document, [])
        for number in range(kept * 2):
            Counted.touched = 0
            history.push(f"step {number}", patches[number % 50], Provenance.USER)
            assert Counted.touched <= 3 * undo.DROPPED_AT_ONCE + 10
            CountedRows.touched = 0
            QCoreApplication.processEvents()
            assert CountedRows.touched <= 2 * undo.DROPPED_AT_ONCE + 10 or number == 0, "the rows of another image are all new"
    assert kept * 0.9 < len(history.steps) < kept * 1.1
    large = Document.blank((1000, 1400), VOC)
    noise = np.random.default_rng(0).integers(0, 20, large.shape).astype(np.uint8)
    patch = whole_patch(large, noise)
    assert patch.nbytes > 50 * size, "it takes the place of many steps"
    Counted.touched = 0
    history.push("large", patch, Provenance.USER)
    assert Counted.touched <= 3 * undo.DROPPED_AT_ONCE + 10
    qtbot.waitUntil(lambda: history.nbytes() <= max(history.view.steps[-1].nbytes, kept * size) and not history._waste)
    QCoreApplication.processEvents()
    model = dock.view.model()
    assert [model.index(row).data() for row in range(1, model.rowCount())] == [step.title for step in history.steps]


def test_the_history_list_follows_the_steps(new_history, qtbot, monkeypatch):
    monkeypatch.setattr(undo, "MOST_STEPS", 6)
    history = new_history()
    dock = HistoryDock()
    qtbot.addWidget(dock)
    dock.follow(history)
    documents = {image: blank() for image in (1, 2)}
    rng = np.random.default_rng(0)
    history.open(1, documents[1], [])
    for turn in range(150):
        match rng.integers(0, 12):
            case 0:
                image = int(rng.integers(1, 3))
                history.open(image, documents[image], [])
            case 1 | 2 | 3:
                history.undo()
            case 4:
                history.redo()
            case 5:
                history.go_to(int(rng.integers(0, 7)))
            case _:
                draw(history, documents[history.view.image], turn)
        QCoreApplication.processEvents()
        model = dock.view.model()
        rows = [model.index(row).data() for row in range(model.rowCount())]
        assert rows == ["As opened", *(step.title for step in history.steps)]
        assert dock.view.currentIndex().row() == history.index
        assert [index.row() for index in dock.view.selectedIndexes()] == [history.index]
    history.forget(history.view.image)
    QCoreApplication.processEvents()
    assert dock.view.model().rowCount() == 1


def test_memory_is_bounded_by_steps(new_history, monkeypatch):
    monkeypatch.setattr(undo, "MOST_STEPS", 5)
    history = new_history()
    document = blank()
    history.open(1, document, [])
    history.push("a prediction", paint(document, 100), Provenance.MODEL)
    states = [draw(history, document, seed) for seed in range(9)]
    assert [step.title for step in history.steps] == [f"Brush {seed}" for seed in range(4, 9)]
    for expected in reversed(states[3:8]):
        history.undo()
        assert state(document) == expected
    assert not history.can_undo
    assert history.start is None
    for _ in range(5):
        history.redo()
    assert state(document) == states[-1]


def test_a_long_journal_is_opened_from_its_newest_steps(new_history, monkeypatch):
    monkeypatch.setattr(undo, "MOST_STEPS", 4)
    history = new_history()
    document, steps = journal_steps(7)
    undone = [replace(step, undone=number == 6) for number, step in enumerate(steps)]
    document.apply(steps[-1].patch.inverted())
    history.open(7, document, undone)
    assert [step.seq for step in history.steps] == [step.seq for step in steps[3:]]
    assert history.index == 3
    history.redo()
    assert not history.can_redo


def test_one_huge_step_can_still_be_undone(new_history):
    history = new_history(budget=10)
    document = blank()
    history.open(1, document, [])
    draw(history, document, 1)
    draw(history, document, 2)
    history.undo()
    assert history.index == 0


def test_forgetting_an_image_drops_its_steps(history):
    document = blank()
    history.open(1, document, [])
    draw(history, document, 1)
    history.forget(1)
    assert not history.can_undo
    assert history.steps == []
    assert history.push("nowhere", paint(document, 2), Provenance.USER) is None
    assert np.count_nonzero(document.labels != 255)


def test_a_closed_history_holds_no_steps_that_were_still_being_freed(history):
    """The history list keeps it until another project is open."""
    history.open(1, document := blank(), [])
    for seed in range(3 * undo.DROPPED_AT_ONCE):
        draw(history, document, seed)
    for _ in range(3 * undo.DROPPED_AT_ONCE):
        history.undo()
    draw(history, document, 1000)
    assert history._waste
    history.close()
    assert not history._waste

"""The journal against a simple model of what undo, redo, saving, pruning and reopening should do."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.state import journal
from app.state.document import Document
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.schema import MIGRATIONS
from deeplab_core.errors import ProjectError
from tests.unit.app.folders import SHAPE, image_id, make_folder, paint, same, stroke


@pytest.fixture
def project(tmp_path):
    with Project.open(make_folder(tmp_path / "photos", "a.png", "b.png")) as project:
        yield project


def test_every_step_is_there_again_with_its_name_and_source(project):
    image = image_id(project, "a.png")
    document = project.load(image).document
    patch = paint(document, 1)
    project.append_step(image, "Brush: chair, 1 204 px", Provenance.USER, patch)
    loaded = project.load(image)
    assert same(loaded.document, document)
    (step,) = loaded.steps
    assert (step.title, step.source) == ("Brush: chair, 1 204 px", Provenance.USER)
    assert (step.pixels, step.undone) == (patch.changed_pixels, False)
    assert not loaded.saved


def test_a_new_step_supersedes_what_was_undone(project):
    image = image_id(project, "a.png")
    document = project.load(image).document
    first = stroke(project, image, document, 1)
    kept = Document(document.labels.copy(), document.catalog, document.provenance.copy())
    patch = paint(document, 2)
    second = project.append_step(image, "second", Provenance.USER, patch).seq
    document.apply(patch.inverted())
    project.journal.undo(image, second)
    assert [(step.seq, step.undone) for step in project.load(image).steps] == [(first, False), (second, True)]
    assert same(project.load(image).document, kept)
    third = stroke(project, image, document, 3)
    assert [step.seq for step in project.load(image).steps] == [first, third]
    assert same(project.load(image).document, document)


def test_moves_out_of_order_are_refused(project):
    image = image_id(project, "a.png")
    document = project.load(image).document
    first, second = stroke(project, image, document, 1), stroke(project, image, document, 2)
    for wrong in (lambda: project.journal.undo(image, first), lambda: project.journal.redo(image, second)):
        with pytest.raises(ProjectError, match="Open the image again"):
            wrong()
    assert same(project.load(image).document, document)


def test_a_mask_saved_before_an_undo_and_another_stroke_still_leads_to_the_right_labels(project):
    """The mask holds a step that was superseded later: only a journal that keeps it can come back from there."""
    image = image_id(project, "a.png")
    document = project.load(image).document
    stroke(project, image, document, 1)
    patch = paint(document, 2)
    second = project.append_step(image, "second", Provenance.USER, patch).seq
    project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    document.apply(patch.inverted())
    project.journal.undo(image, second)
    stroke(project, image, document, 3)
    loaded = project.load(image)
    assert same(loaded.document, document)
    assert not loaded.saved


@pytest.mark.parametrize("undone", [0, 3])
@pytest.mark.parametrize(
    "query", [journal.NEWEST_DONE, journal.OLDEST_UNDONE, f"UPDATE steps SET state = 2 WHERE {journal.UNDONE}"]
)
def test_what_a_step_asks_does_not_grow_with_the_history(query, undone):
    """The cost of a stroke: instructions of SQLite's virtual machine."""

    def instructions(steps):
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(MIGRATIONS[0])
            connection.execute("INSERT INTO images (path, size, mtime_ns) VALUES ('a', 1, 1)")
            states = [int(number >= steps - undone) for number in range(steps)]
            columns = "image, title, source, time, pixels, bytes, state, patch"
            row = f"INSERT INTO steps ({columns}) VALUES (1, 'x', 3, 0, 1, 9, ?, x'00')"
            connection.executemany(row, [(state,) for state in states])
            counted = []
            connection.set_progress_handler(lambda: counted.append(1) and None, 1)
            connection.execute(query, (1,)).fetchall()
            return len(counted)

    assert instructions(2000) <= instructions(20) + 5


def test_a_large_log_is_folded_in_the_middle_of_work(project, monkeypatch):
    image = image_id(project, "a.png")
    document = project.load(image).document
    log = project.directory / "project.db-wal"
    stroke(project, image, document, 1)
    project.sync()
    assert log.stat().st_size > 0
    monkeypatch.setattr("app.state.project.LOG_BYTES", 1000)
    project.sync()
    assert log.stat().st_size == 0
    stroke(project, image, document, 2)
    assert same(project.load(image).document, document)


def test_images_do_not_mix(project):
    a, b = image_id(project, "a.png"), image_id(project, "b.png")
    one, other = project.load(a).document, project.load(b).document
    for seed in range(6):
        stroke(project, *((a, one) if seed % 2 else (b, other)), seed)
    assert same(project.load(a).document, one)
    assert same(project.load(b).document, other)


def test_a_damaged_tile_changes_nothing():
    document = Document.blank(SHAPE, _catalog())
    patch = paint(document, 3)
    data = bytearray(patch.to_bytes())
    data[-5] ^= 0xFF
    fresh = Document.blank(SHAPE, _catalog())
    with pytest.raises(ProjectError):
        fresh.apply(TilePatch.from_bytes(bytes(data)))
    assert same(fresh, Document.blank(SHAPE, _catalog()))


def _catalog():
    from deeplab_core.catalogs import get_catalog

    return get_catalog("voc21")


class JournalMachine(RuleBasedStateMachine):
    """Any order of strokes, undo, redo, saving, bounding and reopening leaves the labels that the user saw last."""

    @initialize(folder=st.just(None))
    def begin(self, folder):
        import tempfile
        from pathlib import Path

        self.temporary = tempfile.TemporaryDirectory()
        self.folder = make_folder(Path(self.temporary.name), "a.png")
        self.project = Project.open(self.folder)
        self.image = self.project.images[0].id
        self.take(self.project.load(self.image))

    def take(self, loaded):
        self.document = loaded.document
        self.done = [step for step in loaded.steps if not step.undone]
        self.undone = [step for step in loaded.steps if step.undone]

    @rule(seed=st.integers(0, 2**32 - 1))
    def paint(self, seed):
        patch = paint(self.document, seed)
        if not patch.empty:
            self.done.append(self.project.append_step(self.image, str(seed), Provenance.USER, patch))
            self.undone.clear()

    @precondition(lambda self: self.done)
    @rule()
    def undo(self):
        step = self.done.pop()
        self.document.apply(step.patch.inverted())
        self.project.journal.undo(self.image, step.seq)
        self.undone.insert(0, step)

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self):
        step = self.undone.pop(0)
        self.document.apply(step.patch)
        self.project.journal.redo(self.image, step.seq)
        self.done.append(step)

    @rule()
    def save(self):
        head = self.project.journal.head(self.image)
        self.project.save_mask(self.image, self.document.labels, self.document.provenance, head)

    @rule(keep=st.sampled_from([0, 2000, 10000]))
    def bound(self, keep):
        self.project.journal.prune(keep)
        left = {step.seq for step in self.project.journal.steps(self.image)}
        # What is left of the history has no gaps: the newest of what was done, the next of what was undone.
        self.done = [step for step in self.done if step.seq in left]
        self.undone = [step for step in self.undone if step.seq in left]

    @rule()
    def reopen(self):
        self.project.close()
        self.project = Project.open(self.folder)
        before = self.document, [step.seq for step in self.done], [step.seq for step in self.undone]
        self.take(self.project.load(self.image))
        assert same(self.document, before[0])
        assert [step.seq for step in self.done] == before[1]
        assert [step.seq for step in self.undone] == before[2]

    @invariant()
    def loading_gives_what_is_in_view(self):
        loaded = self.project.load(self.image)
        assert same(loaded.document, self.document)
        assert [step.seq for step in loaded.steps] == [step.seq for step in (*self.done, *self.undone)]

    def teardown(self):
        if hasattr(self, "project"):
            self.project.close()
            self.temporary.cleanup()


JournalMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestJournalMachine = JournalMachine.TestCase


def test_bounding_never_drops_what_only_the_journal_holds(project):
    image = image_id(project, "a.png")
    document = project.load(image).document
    for seed in range(5):
        stroke(project, image, document, seed)
    assert project.journal.prune(0) == 0
    project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    last = stroke(project, image, document, 99)
    assert project.journal.prune(0) == 5
    assert [step.seq for step in project.load(image).steps] == [last]
    assert same(project.load(image).document, document)


def test_the_oldest_go_first_and_only_as_many_as_needed(project):
    image = image_id(project, "a.png")
    document = project.load(image).document
    numbers = [stroke(project, image, document, seed) for seed in range(8)]
    project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    budget = project.journal.nbytes() // 2
    dropped = project.journal.prune(budget)
    assert 0 < dropped < 8
    assert project.journal.nbytes() <= budget
    assert [step.seq for step in project.load(image).steps] == numbers[dropped:]


def test_reading_only_sees_the_writers_steps(project):
    image = image_id(project, "a.png")
    document = project.load(image).document
    stroke(project, image, document, 1)
    with Project.open(project.folder) as reader:
        assert reader.read_only
        assert same(reader.load(image).document, document)
        stroke(project, image, document, 2)
        assert same(reader.load(image).document, document)
    assert np.array_equal(project.load(image).document.labels, document.labels)

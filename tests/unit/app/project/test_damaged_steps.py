"""Damaged records of the journal: the image opens with its mask and all sound steps, and names what is lost."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.state.image_record import ImageFlag
from app.state.project import Project
from app.state.provenance import Provenance
from tests.unit.app.folders import image_id, make_folder, make_image, paint, same


class Work:
    """Strokes in small, separate places of one image; the mask holds the first ``saved`` of them."""

    PLACES = ((10, 10), (80, 12), (12, 75), (80, 75), (110, 40))

    def __init__(self, folder, saved):
        self.folder = make_folder(folder, "a.png")
        with Project.open(self.folder) as project:
            self.image = image_id(project, "a.png")
            document = project.load(self.image).document
            self.states = [document.labels.copy()]
            self.seqs = []
            for number, (x, y) in enumerate(self.PLACES):
                where = np.ones((4, 4), dtype=bool)
                from app.state.patch import PatchRecorder
                from deeplab_core.geometry import Box

                rect = Box(x, y, 4, 4)
                recorder = PatchRecorder(document.labels, document.provenance)
                recorder.touch(rect)
                document.paint(rect, where, number + 1, Provenance.USER)
                step = project.append_step(self.image, f"Brush {number}, 16 px", Provenance.USER, recorder.finish())
                self.seqs.append(step.seq)
                self.states.append(document.labels.copy())
                if number + 1 == saved:
                    project.save_mask(self.image, document.labels, document.provenance, project.journal.head(self.image))
        self.document = document

    def harm(self, which, change):
        with Project.open(self.folder) as project:
            (data,) = project._store.row("SELECT patch FROM steps WHERE seq = ?", (self.seqs[which],))
            project._store.write("UPDATE steps SET patch = ? WHERE seq = ?", (change(data), self.seqs[which]))


def flipped(data):
    place = len(data) - 10  # in the checksum of the last tile; eight bytes behind it check the heads
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


HARMS = {
    "a bit": flipped,
    "cut": lambda data: data[: len(data) // 2],
    "head": lambda data: b"XXXX" + data[4:],
    "empty": lambda data: b"",
    "text": lambda data: "some text",
    "size": lambda data: data[:4] + b"\xff\xff\xff\x7f" + data[8:],
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("saved", [0, 3, 5])
@pytest.mark.parametrize("which", [0, 2, 4])
def test_an_image_opens_with_its_mask_and_all_sound_steps(tmp_path, harm, saved, which):
    work = Work(tmp_path / "photos", saved)
    work.harm(which, HARMS[harm])
    with Project.open(work.folder) as project:
        loaded = project.load(work.image)
        labels = loaded.document.labels
        if which < saved:
            assert np.array_equal(labels, work.states[-1]), "the mask holds the step: no pixel depends on its record"
        else:
            x, y = work.PLACES[which]
            differing = np.argwhere(labels != work.states[-1])
            assert all(x <= column < x + 4 and y <= row < y + 4 for row, column in differing)
            assert ImageFlag.DAMAGED in project.record(work.image).flags
            assert "check it" in loaded.notice
        unread = which < saved and harm == "a bit"  # inside a tile: found when the step is undone
        if not unread:
            assert f"Brush {which}" in loaded.notice
            assert [step.title for step in loaded.steps] == [f"Brush {n}, 16 px" for n in range(which + 1, 5)]
        # The work goes on, is saved, and opens again; lost pixels stay marked until the user has looked.
        patch = paint(loaded.document, 7)
        project.append_step(work.image, "more", Provenance.USER, patch)
        assert same(project.load(work.image).document, loaded.document)
        project.save_mask(work.image, loaded.document.labels, loaded.document.provenance, project.journal.head(work.image))
        assert project.record(work.image).to_check == (which >= saved)
        project.accept_change(work.image)
    with Project.open(work.folder) as project:
        again = project.load(work.image)
        assert (again.notice, again.saved) == ("", True)
        assert same(again.document, loaded.document)
        assert not project.record(work.image).to_check


@pytest.mark.parametrize(
    "column", ["source = 7", "source = 'x'", "time = 'x'", "title = x'ff00'", "pixels = 'many'", "state = 9"]
)
def test_a_row_that_makes_no_sense_costs_its_step_only(tmp_path, column):
    work = Work(tmp_path / "photos", 5)
    with Project.open(work.folder) as project:
        project._store.write(f"UPDATE steps SET {column} WHERE seq = ?", (work.seqs[1],))
        loaded = project.load(work.image)
        assert np.array_equal(loaded.document.labels, work.states[-1])
        assert [step.seq for step in loaded.steps][-3:] == work.seqs[2:]


@pytest.mark.parametrize("saved", [0, 5])
def test_a_step_that_is_gone_costs_itself_only(tmp_path, saved):
    work = Work(tmp_path / "photos", saved)
    with Project.open(work.folder) as project:
        project._store.write("DELETE FROM steps WHERE seq = ?", (work.seqs[2],))
        loaded = project.load(work.image)
        x, y = work.PLACES[2]
        differing = np.argwhere(loaded.document.labels != work.states[-1])
        assert all(x <= column < x + 4 and y <= row < y + 4 for row, column in differing)
        assert len(differing) == (0 if saved else 16)
        if not saved:
            assert "a step without a name" in loaded.notice
            assert [step.seq for step in loaded.steps] == work.seqs[3:]


@pytest.mark.parametrize("change", ["direction = 7", "direction = 'x'", "image = 2", "image = 99", "step = 12345", "step = 'x'"])
@pytest.mark.parametrize("which", [1, 4])
def test_a_move_that_makes_no_sense_is_reported_and_reaches_no_other_image(tmp_path, change, which):
    work = Work(tmp_path / "photos", 0)
    make_image(work.folder / "b.png", 7)
    with Project.open(work.folder) as project:
        other = next(record.id for record in project.images if record.id != work.image)
        project._store._connection.execute("PRAGMA foreign_keys = OFF")
        project._store.write(f"UPDATE moves SET {change.replace('2', str(other))} WHERE step = ?", (work.seqs[which],))
        loaded = project.load(work.image)
        x, y = work.PLACES[which]
        differing = np.argwhere(loaded.document.labels != work.states[-1])
        assert all(x <= column < x + 4 and y <= row < y + 4 for row, column in differing)
        assert "damaged" in loaded.notice
        assert project.record(work.image).to_check
        # A move of a step that is not there may belong anywhere: nothing can be undone past it.
        assert [step.seq for step in loaded.steps] == ([] if change == "step = 12345" else work.seqs[which + 1 :])
        assert (project.load(other).document.labels == 255).all()


def test_a_move_to_another_image_is_reported_also_with_a_bounded_journal(tmp_path):
    work = Work(tmp_path / "photos", 3)
    make_image(work.folder / "b.png", 7)
    with Project.open(work.folder) as project:
        assert project.journal.prune(0) == 3
        other = next(record.id for record in project.images if record.id != work.image)
        project._store.write("UPDATE moves SET image = ? WHERE step = ?", (other, work.seqs[4]))
        assert "Brush 4" in project.load(work.image).notice
        assert project.record(work.image).to_check


def test_a_damaged_undone_step_ends_redo_only(tmp_path):
    work = Work(tmp_path / "photos", 5)
    with Project.open(work.folder) as project:
        for seq in reversed(work.seqs[2:]):
            project.journal.undo(work.image, seq)
    work.harm(3, HARMS["head"])
    with Project.open(work.folder) as project:
        loaded = project.load(work.image)
        assert [(step.seq, step.undone) for step in loaded.steps] == [
            (work.seqs[0], False), (work.seqs[1], False), (work.seqs[2], True),
        ]  # fmt: skip
        project.journal.redo(work.image, work.seqs[2])
        assert [step.undone for step in project.load(work.image).steps] == [False, False, False]


def test_a_reader_repairs_nothing_and_says_the_same(tmp_path):
    work = Work(tmp_path / "photos", 2)
    work.harm(3, flipped)
    with Project.open(work.folder, read_only=True) as reader:
        first, second = reader.load(work.image), reader.load(work.image)
        assert first.notice == second.notice != ""
        assert same(first.document, second.document)
        assert [step.seq for step in first.steps] == work.seqs[4:]
        assert not reader.record(work.image).to_check


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), which=st.integers(0, 4), saved=st.integers(0, 5))
def test_any_flipped_bit_in_a_step_costs_at_most_that_step(tmp_path_factory, place, bit, which, saved):
    work = Work(tmp_path_factory.mktemp("project") / "photos", saved)

    def flip(data):
        at = place % len(data)
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]

    work.harm(which, flip)
    with Project.open(work.folder) as project:
        labels = project.load(work.image).document.labels
        x, y = work.PLACES[which]
        differing = np.argwhere(labels != work.states[-1])
        assert all(x // 64 == column // 64 and y // 64 == row // 64 for row, column in differing)
        assert which >= saved or differing.size == 0


def test_an_export_says_which_masks_were_put_together_again(tmp_path, capsys):
    from app.cli import run

    work = Work(tmp_path / "photos", 2)
    work.harm(3, flipped)
    assert run(["export", str(work.folder), "-o", str(tmp_path / "out"), "--scope", "touched", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    (note,) = json.loads(line)["notes"]
    assert note["kind"] == "repaired"
    assert note["warning"]
    assert "Brush 3" in str(note)

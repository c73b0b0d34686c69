"""Rejections and notes: kept, moved with the file, never in the way of older projects, left out of exports and of learning."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state.corrections import survey
from app.state.image_record import ImageFlag, ImageRecord, ImageStatus
from app.state.project import Project
from app.state.reviews import KIND, LONGEST, ImageReview, RegionNote, to_export
from app.viewmodels.project.image_list import ImageRow, Wanted, filter_terms
from app.viewmodels.project.notes import note_row, place_text
from deeplab_core.errors import ProjectLocked
from deeplab_core.geometry import Box
from tests.unit.app.folders import image_id, make_folder, stroke


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", "a.png", "b.png", "deep/c.png")


def test_a_rejection_and_its_reason_are_there_at_the_next_visit(folder):
    with Project.open(folder) as project:
        a, b = image_id(project, "a.png"), image_id(project, "b.png")
        project.set_status(a, ImageStatus.REVIEWED)
        heard = []
        project.reviews.changed.connect(heard.append)
        record = project.reviews.reject(a, "  blurred,\n moved ")
        assert heard == [a]
        assert (record.rejected, record.reviewed, record.status) == (True, False, ImageStatus.TOUCHED)
        project.reviews.reject(b, "glare")
        assert project.reviews.reasons() == ["glare", "blurred, moved"]
    with Project.open(folder) as project:
        assert project.record(a).rejected
        assert project.reviews.why(a) == "blurred, moved"
        assert project.reviews.reasons() == ["glare", "blurred, moved"]
        project.reviews.take_back(a)
        assert project.reviews.why(a) == ""
        assert project.reviews.of(a).why == "blurred, moved"  # offered when it is rejected again
        assert not project.set_status(b, ImageStatus.REVIEWED).rejected


def test_strokes_on_a_rejected_image_leave_it_rejected(folder):
    with Project.open(folder) as project:
        a = image_id(project, "a.png")
        project.reviews.reject(a, "")
        stroke(project, a, project.load(a).document, 1)
        assert project.record(a).rejected
        assert project.record(a).status is ImageStatus.TOUCHED


def test_notes_move_with_the_file_and_keep_an_image_whose_file_is_gone(folder):
    note = RegionNote("is this a sofa?", Box(3, 4, 10, 12), 1_700_000_000.0)
    with Project.open(folder) as project:
        a, b = image_id(project, "a.png"), image_id(project, "b.png")
        project.content_key(a)
        project.reviews.set_notes(a, [note, RegionNote("   "), RegionNote("all of it")])
        project.reviews.set_notes(b, [note])
        assert project.reviews.noted() == [a, b]
    (folder / "a.png").rename(folder / "deep" / "moved.png")
    (folder / "b.png").unlink()
    with Project.open(folder) as project:
        assert project.reviews.of(image_id(project, "deep/moved.png")).notes == (note, RegionNote("all of it"))
        assert project.record(b).missing
        assert project.reviews.of(b).notes == (note,)
        project.reviews.set_notes(b, [])
        assert project.result(b, KIND) is None


def test_a_project_with_reviews_stays_readable_by_older_programs(folder):
    with Project.open(folder) as project:
        project.reviews.set_notes(image_id(project, "a.png"), [RegionNote("x")])
        project.reviews.reject(image_id(project, "b.png"), "y")
    with closing(sqlite3.connect(folder / ".atrous" / "project.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT status, flags FROM images WHERE path = 'b.png'").fetchone() == (0, 32)


def test_a_damaged_record_costs_only_itself(folder):
    with Project.open(folder) as project:
        a, b = image_id(project, "a.png"), image_id(project, "b.png")
        project.put_result(a, KIND, "", b'{"notes": 3}')
        project.reviews.set_notes(b, [RegionNote("kept")])
    with Project.open(folder) as project:
        assert project.reviews.of(a) == ImageReview()
        assert project.reviews.of(b).notes[0].text == "kept"
        assert project.reviews.damaged == {a}
        project.reviews.set_notes(a, [RegionNote("again")])
        assert project.reviews.damaged == frozenset()


def test_nothing_is_written_into_a_read_only_project(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
    with Project.open(folder, read_only=True) as project:
        with pytest.raises(ProjectLocked):
            project.reviews.set_notes(image, [RegionNote("x")])
        with pytest.raises(ProjectLocked):
            project.reviews.reject(image, "x")
        assert project.reviews.of(image) == ImageReview()


def test_exports_and_learning_leave_rejected_images_out(folder):
    with Project.open(folder) as project:
        a, b, c = (image_id(project, name) for name in ("a.png", "b.png", "deep/c.png"))
        for image in (a, b):
            stroke(project, image, project.load(image).document, image)
        project.set_status(b, ImageStatus.REVIEWED)
        project.reviews.reject(a, "blurred")
        project.reviews.reject(c, "not a room")
        for least, kept, all_ in (
            (ImageStatus.REVIEWED, [b], [a, b, c]), (ImageStatus.TOUCHED, [b], [a, b, c]), (ImageStatus.NEW, [b], [a, b, c]),
        ):  # fmt: skip
            records, left_out = to_export(project, least, rejected=False)
            assert ([record.id for record in records], left_out) == (kept, 2)
            records, left_out = to_export(project, least, rejected=True)
            assert ([record.id for record in records], left_out) == (all_, 0)
        found = survey(project, project.catalog, "card", {})
        assert [image.image for image in found.images] == [b]


@given(st.text(), st.booleans())
@settings(max_examples=10)
def test_any_text_survives(tmp_path_factory, text, place):
    """One line of at most LONGEST characters, whatever was pasted; halves of characters included."""
    review = RegionNote(text, Box(1, 2, 3, 4) if place else None)
    folder = make_folder(tmp_path_factory.mktemp("any"), "a.png")
    with Project.open(folder) as project:
        project.reviews.set_notes(project.images[0].id, [review])
        expected = " ".join(text.split())[:LONGEST]
    with Project.open(folder) as project:
        notes = project.reviews.of(project.images[0].id).notes
        assert [note.text for note in notes] == ([expected] if expected else [])


def row(flags=ImageFlag.NONE, status=ImageStatus.TOUCHED, **values):
    return ImageRow(ImageRecord(1, "rooms/kitchen_01.png", 1, 1, status=status, flags=flags), 0, **values)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rejected", True), ("status:rejected", True), ("-rejected", False), ("reviewed", False), ("unreviewed", False),
        ("status:reviewed|rejected", True), ("note", True), ("-note", False), ("note:glare", True), ('note:"soft border"', True),
        ('note:"border soft"', False), ("note:glare|shadow", True), ("note:shadow", False), ("reason:blur", True),
        ("reason:dark", False), ("class:chair", True), ("class:sofa", False), ("class:sofa|chair", True),
        ("class:chair class:person", True), ('class:"dining table"', True), ("iou<0.5", True), ("iou>0.5", False),
        ("iou:0.3..0.6", True), ("iou:0,45..", True), ("iou:..0.4", False), ("iou<=0.45", True), ("iou<0.45", False),
        ("iou<50", True), ("iou<45", False), ("iou:30..60", True), ("iou:..40", False), ("iou:45", True), ("iou<1", True),
        ("uncertainty>0.1", False), ("minutes>1", True), ("actions:3", True), ("actions>3", False), ("kitchen rejected", True),
        ("bath rejected", False), ("iou<", False),
    ],
)  # fmt: skip
def test_the_filter(text, wanted):
    image = row(
        ImageFlag.REJECTED, iou=0.45, classes=frozenset({"chair", "person", "dining table"}), why="Blurred",
        notes=("soft border", "Glare"), seconds=90, actions=3,
    )  # fmt: skip
    assert Wanted(text).matches(image) is wanted


def test_what_the_menu_offers_is_understood():
    terms = [term for group in filter_terms(["chair", "dining table"]) for term in group]
    image = row(iou=0.4, classes=frozenset({"chair", "dining table"}), notes=("x",))
    found = {term.word for term in terms if Wanted(term.word).matches(image)}
    assert found == {"corrected", "unreviewed", "note", "iou<50", "iou<70", "iou<90", "class:chair", 'class:"dining table"'}
    rejected = row(ImageFlag.REJECTED)
    assert {term.word for term in terms if Wanted(term.word).matches(rejected)} == {"rejected"}


def test_the_tooltip_has_reason_notes_and_time():
    image = row(ImageFlag.REJECTED, why="blurred", notes=tuple("abcde"), seconds=125, actions=7)
    lines = image.tooltip.splitlines()
    assert lines[1] == "rejected: blurred"
    assert lines[2:] == ["note: a", "note: b", "note: c", "2 more notes", "2:05 min of active time, 7 actions"]


def test_places_are_written_for_people():
    assert place_text(None) == "whole image"
    assert place_text(Box(3, 4, 1, 1)) == "at 3, 4"
    assert place_text(Box(3, 4, 20, 10)) == "20 × 10 px at 3, 4"
    assert note_row("a.png", RegionNote("text"))[1:] == ("whole image", "text", "")
    for time in (1e300, float("inf"), float("nan")):  # in a project of someone else
        assert note_row("a.png", RegionNote("text", None, time))[3] == ""

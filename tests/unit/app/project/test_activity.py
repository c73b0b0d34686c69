"""Active time and actions: pauses do not count, days are those of the reader's time zone, damaged records cost themselves."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli import run
from app.state.activity import KIND, PAUSE, QUARTER, ActivityClock, ImageActivity, Spell, by_day
from app.state.image_record import ImageStatus
from app.state.project import Project
from app.state.reviews import RegionNote
from app.viewmodels.project.image_list import ImageRow
from app.viewmodels.project.review_table import DAY_COLUMNS, IMAGE_COLUMNS, ReviewedImage, days_csv, images_csv, iso
from deeplab_core.geometry import Box
from tests.unit.app.folders import image_id, make_folder, stroke


def test_pauses_do_not_count():
    clock = ActivityClock()
    assert clock.sign(100) == 0
    assert clock.sign(130) == 30
    assert clock.sign(130 + PAUSE) == PAUSE
    assert clock.sign(300) == 0  # 110 s without a sign
    assert clock.sign(301) == 1
    assert clock.sign(250) == 0  # the clock of the computer was set back
    clock.stop()
    assert clock.sign(260) == 0


@given(st.lists(st.floats(0, 10_000), max_size=30))
def test_active_time_is_at_most_the_time_that_passed(moments):
    clock, moments = ActivityClock(), sorted(moments)
    total = sum(clock.sign(moment) for moment in moments)
    assert 0 <= total <= (moments[-1] - moments[0] if moments else 0) + 1e-6


@given(st.lists(st.builds(Spell, st.integers(0, 5), st.floats(0, 900), st.integers(0, 9), st.integers(0, 1), st.integers(0, 1))))
def test_spells_of_a_quarter_are_one_and_nothing_gets_lost(spells):
    activity = ImageActivity()
    for spell in spells:
        activity = activity.plus(spell)
    quarters = [spell.quarter for spell in activity.spells]
    assert quarters == sorted(set(quarters))
    assert activity.actions == sum(spell.actions for spell in spells)
    assert activity.seconds == pytest.approx(sum(spell.seconds for spell in spells))


@pytest.mark.parametrize(
    ("hours", "days"), [(0, [(15, 2, 5), (16, 1, 1)]), (5.75, [(15, 1, 2), (16, 2, 4)]), (-12, [(15, 2, 6)])]
)
def test_days_are_those_of_the_time_zone(hours, days):
    """Nepal's clock is 5:45 ahead."""

    def at(hour, minute):
        return int(datetime(2026, 11, 15, hour, minute, tzinfo=UTC).timestamp()) // QUARTER

    late = int(datetime(2026, 11, 16, 2, 0, tzinfo=UTC).timestamp()) // QUARTER
    found = {
        1: ImageActivity((Spell(at(18, 0), 30, 2, reviewed=2), Spell(late, 30, 1))),
        2: ImageActivity((Spell(at(18, 15), 30, 3),)),
    }
    zone = timezone(timedelta(hours=hours))
    told = by_day(found, lambda seconds: datetime.fromtimestamp(seconds, zone).date())
    assert [(day.day.day, day.images, day.actions) for day in told] == days
    assert sum(day.reviewed for day in told) == 1
    assert sum(day.seconds for day in told) == 90


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", "a.png", "b.png", "deep/c.png")


def test_what_was_done_is_there_at_the_next_visit(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        project.activity.add(image, Spell(10, 12.345, 2))
        project.activity.add(image, Spell(10, 5.0, 1, 1))
        project.activity.add(image, Spell(12))  # nothing was done
        project.activity.add(image, Spell(11, 1.0, 0, 0, 1))
    with Project.open(folder) as project:
        assert project.activity.of(image).spells == (Spell(10, 17.3, 3, 1), Spell(11, 1.0, 0, 0, 1))
        assert project.activity.of(image_id(project, "b.png")) == ImageActivity()


@pytest.mark.parametrize("data", [b"{", b"[[1, 2]]", b'[["x", 1, 1, 0, 0]]', b"[[5, -1, 0, 0, 0]]", b"7"])
def test_a_damaged_record_counts_as_none(folder, data):
    with Project.open(folder) as project:
        a, b = image_id(project, "a.png"), image_id(project, "b.png")
        project.put_result(a, KIND, "", data)
        project.activity.add(b, Spell(3, 1.0, 1))
        assert project.activity.of(a) == ImageActivity()
        assert project.activity.of(b).actions == 1


def test_a_read_only_project_counts_nothing(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
    with Project.open(folder, read_only=True) as project:
        project.activity.add(image, Spell(3, 1.0, 1))
        assert project.activity.of(image) == ImageActivity()


def reviewed(folder):
    """A project with a rejected, noted image and a reviewed one."""
    with Project.open(folder) as project:
        a, b = image_id(project, "a.png"), image_id(project, "b.png")
        stroke(project, b, project.load(b).document, 1)
        project.set_status(b, ImageStatus.REVIEWED)
        project.reviews.reject(a, "=blurred, moved")
        project.reviews.set_notes(a, [RegionNote("soft", Box(1, 2, 3, 4), 1_700_000_000), RegionNote("dim")])
        quarter = int(datetime(2026, 11, 15, 12, tzinfo=UTC).timestamp()) // QUARTER
        project.activity.add(b, Spell(quarter, 90, 3, reviewed=1))
        project.activity.add(a, Spell(quarter, 30, 1, rejected=1))


def rows_of(data):
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))


def test_tables_of_images_and_days(folder):
    reviewed(folder)
    with Project.open(folder) as project:
        found = [
            ReviewedImage(
                ImageRow(record, 0, why=project.reviews.why(record.id)), project.reviews.of(record.id),
                project.activity.of(record.id),
            )
            for record in project.images
        ]  # fmt: skip
        table = rows_of(images_csv(found))
        days = rows_of(days_csv(by_day(project.activity.all())))
    assert tuple(table[0]) == IMAGE_COLUMNS
    first = dict(zip(table[0], table[1], strict=True))
    assert (first["image"], first["status"], first["reason"]) == ("a.png", "rejected", "'=blurred, moved")  # is no formula
    assert first["notes"] == "soft @ 1,2,3,4 | dim"
    assert (first["active_minutes"], first["actions"], first["reviewed_at"]) == ("0.5", "1", "")
    second = dict(zip(table[0], table[2], strict=True))
    assert second["reviewed_at"] == second["last_active"] == second["first_active"] != ""
    assert datetime.fromisoformat(second["reviewed_at"]) == datetime(2026, 11, 15, 12, tzinfo=UTC)
    assert datetime.fromisoformat(second["reviewed_at"]).utcoffset() is not None
    assert days[0] == list(DAY_COLUMNS)
    assert days[1][1:] == ["2", "1", "1", "4", "2"]
    assert abs(date.fromisoformat(days[1][0]) - date(2026, 11, 15)) <= timedelta(days=1)
    assert iso(0) == ""


def test_the_command_lists_filters_and_writes(folder, tmp_path, capsys):
    reviewed(folder)
    assert run(["project", "images", str(folder), "--csv", str(tmp_path / "out" / "i.csv"), "--days", str(tmp_path / "d.csv"),
                "--json", str(tmp_path / "i.json")]) == 0  # fmt: skip
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["rejected", "reviewed", "new"]
    assert "(=blurred, moved)" in said.out
    assert "2 notes" in said.out
    assert "3 of 3 images" in said.err
    assert len(rows_of((tmp_path / "out" / "i.csv").read_bytes())) == 4
    assert rows_of((tmp_path / "d.csv").read_bytes())[0] == list(DAY_COLUMNS)
    data = json.loads((tmp_path / "i.json").read_text())
    assert data["images"][0]["notes"][0] == {"text": "soft", "box": [1, 2, 3, 4], "time": iso(1_700_000_000)}
    assert data["days"][0]["actions"] == 4
    for words, names in (
        ("rejected", ["a.png"]),
        ("note:soft", ["a.png"]),
        ("-rejected -new", ["b.png"]),
        ("minutes>1", ["b.png"]),
    ):
        assert run(["project", "images", str(folder), "--filter", words, "--no-scores"]) == 0
        assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == (
            ["moved)"] if names == ["a.png"] else names
        ), words  # fmt: skip
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    assert run(["project", "images", str(folder), "--csv", str(other)]) == 2
    assert other.read_text() == "mine"


def test_the_command_knows_classes_of_masks(folder, capsys):
    with Project.open(folder) as project:
        b = image_id(project, "b.png")
        document = project.load(b).document
        stroke(project, b, document, 1)
        names = [info.name for info in project.catalog.classes if (document.labels == info.id).any()]
    assert names
    assert run(["project", "images", str(folder), "--filter", f"class:{names[-1]}"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["b.png"]


def test_an_export_leaves_rejected_images_out_unless_it_is_told(folder, tmp_path, capsys):
    with Project.open(folder) as project:
        for name in ("a.png", "b.png"):
            image = image_id(project, name)
            stroke(project, image, project.load(image).document, image)
        project.reviews.reject(image_id(project, "a.png"), "blurred")
    assert run(["export", str(folder), "-o", str(tmp_path / "one"), "--scope", "touched"]) == 0
    assert "1 rejected image left out" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "one").glob("*.png")] == ["b.png"]
    assert run(["export", str(folder), "-o", str(tmp_path / "two"), "--scope", "touched", "--rejected", "keep", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["rejected"] == {"left_out": 0, "kept": 1}
    assert len(list((tmp_path / "two").glob("*.png"))) == 2
    with Project.open(folder) as project:
        project.reviews.reject(image_id(project, "b.png"), "")
    assert run(["export", str(folder), "-o", str(tmp_path / "three"), "--scope", "touched"]) == 2
    assert "2 rejected images left out" in capsys.readouterr().err

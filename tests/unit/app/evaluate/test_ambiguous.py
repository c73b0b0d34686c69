"""Ambiguous regions in a project: kept, found again, carried along when the file moves, never lost by a damaged neighbour."""

import json

import numpy as np
import pytest

from app.state.ambiguous import KIND, export_marks, fingerprints, list_marks, marks_for, read_marks, write_marks
from app.state.project import Project
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.errors import ProjectError, ProjectLocked
from tests.unit.app.folders import SHAPE, image_id, make_folder


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", "a.png", "b.png", "deep/c.png")


def square(x=10, y=20, side=8, **kwargs):
    return AmbiguousMarks(*SHAPE).marked(np.ones((side, side), dtype=bool), offset=(x, y), **kwargs)


def test_marks_are_there_at_the_next_visit(folder):
    marks = square(classes=(9, 18), reason="chair or sofa?")
    with Project.open(folder) as project:
        write_marks(project, image_id(project, "b.png"), marks)
    with Project.open(folder) as project:
        assert read_marks(project, image_id(project, "b.png")) == marks
        assert read_marks(project, image_id(project, "a.png")) is None
        assert marks_for(project, image_id(project, "b.png"), SHAPE).mask().sum() == 64


def test_an_empty_list_is_forgotten(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        write_marks(project, image, square())
        write_marks(project, image, read_marks(project, image).without(0))
        assert read_marks(project, image) is None
        assert fingerprints(project) == {}


def test_all_marks_are_listed_in_the_order_of_the_images(folder):
    with Project.open(folder) as project:
        last, first = image_id(project, "deep/c.png"), image_id(project, "a.png")
        write_marks(project, last, square())
        write_marks(project, first, square().marked(np.ones((2, 3), dtype=bool)))
        listed = [(row.image, row.position, row.mark.pixels) for row in list_marks(project)]
    assert listed == [(first, 0, 64), (first, 1, 6), (last, 0, 64)]


def test_marks_move_with_the_file(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        write_marks(project, image, square())
    (folder / "a.png").rename(folder / "deep" / "moved.png")
    with Project.open(folder) as project:
        assert read_marks(project, image_id(project, "deep/moved.png")) == square()


def test_an_image_with_marks_is_missed_not_forgotten(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        write_marks(project, image, square())
    aside = (folder / "a.png").rename(folder.parent / "a.png")
    with Project.open(folder) as project:
        assert project.record(image).missing
    aside.rename(folder / "a.png")
    with Project.open(folder) as project:
        assert not project.record(image).missing
        assert read_marks(project, image) == square()


def test_marks_of_another_size_are_refused(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        write_marks(project, image, square())
        with pytest.raises(ProjectError, match="130 x 90 px, the ground truth of 10 x 9 px"):
            marks_for(project, image, (9, 10))


def test_damaged_marks_are_named_and_do_not_hide_the_others(folder):
    with Project.open(folder) as project:
        broken, whole = image_id(project, "a.png"), image_id(project, "b.png")
        project.put_result(broken, KIND, "", b"{not json")
        write_marks(project, whole, square())
        with pytest.raises(ProjectError, match="ambiguous regions of this image is not valid JSON"):
            read_marks(project, broken)
        assert [row.image for row in list_marks(project)] == [whole]


def test_fingerprints_change_with_the_marks(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        write_marks(project, image, square())
        before = fingerprints(project)
        write_marks(project, image, square(reason="glass"))
        assert fingerprints(project).keys() == before.keys()
        assert fingerprints(project) != before


def test_a_read_only_project_takes_no_marks(folder):
    with Project.open(folder):
        pass
    with Project.open(folder, read_only=True) as project, pytest.raises(ProjectLocked):
        write_marks(project, image_id(project, "a.png"), square())


def test_marks_leave_for_the_command_line(folder, tmp_path):
    with Project.open(folder) as project:
        write_marks(project, image_id(project, "deep/c.png"), square(reason="mirror"))
        assert export_marks(project, tmp_path / "marks") == 1
    data = json.loads((tmp_path / "marks" / "deep" / "c.ambiguous.json").read_text())
    assert AmbiguousMarks.from_dict(data) == square(reason="mirror")


def test_a_damaged_record_of_marks_never_keeps_the_others_back(folder, tmp_path):
    with Project.open(folder) as project:
        bad, good = image_id(project, "a.png"), image_id(project, "b.png")
        for image in (bad, good):
            write_marks(project, image, square())
        project.put_result(bad, KIND, "", b'{"marks": [{"box": "everywhere"}]}')
        assert [one.image for one in list_marks(project)] == [good]
        with pytest.raises(ProjectError, match="1 of 2 records of ambiguous regions are damaged") as caught:
            export_marks(project, tmp_path / "marks")
        assert "a.png" in caught.value.why
    assert [path.name for path in (tmp_path / "marks").iterdir()] == ["b.ambiguous.json"]


def test_the_newest_move_of_every_image_in_one_question(folder):
    from tests.unit.app.folders import stroke

    with Project.open(folder) as project:
        image = image_id(project, "b.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        stroke(project, image, document, 2)
        heads = project.journal.heads()
        assert heads == {record.id: project.journal.head(record.id) for record in project.images}
        assert heads[image] > 0

"""Images that cannot be read: passed by, shown as such where they are chosen, never an empty picture or another mask."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from app.actions.table import CLASS_KEYS
from app.viewmodels.annotate.class_rows import effective_keys
from deeplab_core.errors import ImageReadError


def spoil(folder, *numbers: int) -> None:
    for number in numbers:
        (folder / f"photo_{number}.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")


def names(studio) -> str:
    return studio.image.path.name


def page(studio):
    return studio.window.stack.currentWidget()


def ids(studio) -> list[int]:
    return [record.id for record in studio.program.session.project.images]


@pytest.mark.parametrize("broken", [(0,), (0, 1), (0, 1, 2)])
def test_the_first_ones_are_stepped_over(studio, folder, broken):
    spoil(folder, *broken)
    studio.open(folder)
    assert names(studio) == f"photo_{len(broken)}.jpg"
    said = studio.program.notifier.messages[-1]
    assert "skipped" in said.title
    assert all(f"photo_{number}.jpg" in said.title + said.detail for number in broken)
    records = studio.program.session.project.images
    assert [record.failed for record in records] == [number in broken for number in range(4)]
    assert all("photo_" in record.note for record in records if record.failed)


def test_a_folder_of_nothing_but_damaged_files_shows_the_reason(studio, folder):
    spoil(folder, 0, 1, 2, 3)
    studio.program.projects.open(folder)
    studio.wait(lambda: studio.program.session.unreadable is not None)
    assert studio.program.session.image is None
    assert page(studio).title.text() == "photo_3.jpg"
    assert page(studio).what.text()
    assert page(studio).isVisible()
    assert not studio.program.context["can_edit"]


@pytest.mark.parametrize(("start", "key", "end"), [(0, Qt.Key.Key_D, 3), (3, Qt.Key.Key_A, 0)])
def test_next_and_previous_pass_damaged_ones(studio, folder, start, key, end):
    spoil(folder, 1, 2)
    studio.open(folder)
    studio.program.projects.open_image(ids(studio)[start])
    studio.wait(lambda: names(studio) == f"photo_{start}.jpg")
    studio.press(key, on=studio.view)
    studio.wait(lambda: names(studio) == f"photo_{end}.jpg")
    said = studio.program.notifier.messages[-1]
    assert "2 unreadable images were skipped" in said.title
    (show,) = said.choices
    show.run()
    studio.wait(lambda: studio.program.session.unreadable is not None)


def test_the_class_list_has_no_keys_of_the_last_image(studio, folder):
    spoil(folder, 1)
    studio.open(folder)
    catalog = studio.program.classes.catalog
    last = catalog.classes[-1].id
    studio.program.edit.choose_class(last)
    studio.paint((10, 10), (40, 30))
    studio.program.projects.open_image(ids(studio)[2])
    studio.wait(lambda: names(studio) == "photo_2.jpg")
    studio.program.projects.open_image(ids(studio)[0])
    studio.wait(lambda: names(studio) == "photo_0.jpg" and last in studio.program.classes.keys.values())
    studio.window.images.chosen.emit(ids(studio)[1])
    studio.wait(lambda: studio.program.session.unreadable is not None)
    assert studio.program.classes.keys == effective_keys(catalog, CLASS_KEYS, studio.program.classes.assigned, frozenset())
    assert last not in studio.program.classes.keys.values()


def test_chosen_in_the_list_it_says_what_is_wrong_and_keeps_the_strokes(studio, folder):
    spoil(folder, 1)
    studio.open(folder)
    studio.paint((10, 10), (40, 30))
    first, steps = studio.image.id, studio.steps()
    labels = studio.image.document.labels.copy()
    studio.window.images.chosen.emit(ids(studio)[1])
    studio.wait(lambda: studio.program.session.unreadable is not None)
    shown = page(studio)
    assert shown.title.text() == "photo_1.jpg"
    assert studio.program.session.image is None
    assert studio.application.presenter.canvas.views[0].mapping is None or not studio.view.isVisible()
    assert "photo_1.jpg" in studio.window.top_bar.title.text()
    assert studio.window.images.delegate.current_id == ids(studio)[1]
    shown.ways["go.previous"].click()
    studio.wait(lambda: studio.program.session.image is not None)
    assert studio.image.id == first
    assert studio.steps() == steps
    assert (studio.image.document.labels == labels).all()
    assert studio.window.stack.currentWidget() is studio.application.presenter.canvas


def test_keys_go_on_from_it_in_both_directions_and_at_the_ends(studio, folder):
    spoil(folder, 3)
    studio.open(folder)
    last = ids(studio)[3]
    studio.program.projects.open_image(ids(studio)[2])
    studio.wait(lambda: names(studio) == "photo_2.jpg")
    studio.program.projects.next_image()
    studio.wait(lambda: studio.program.session.unreadable is not None)
    assert studio.program.session.unreadable.id == last, "there is nothing behind it to go on to"
    studio.program.projects.next_image()
    assert "This is the last image" in studio.titles()
    studio.program.projects.previous_image()
    studio.wait(lambda: studio.program.session.image is not None)
    assert names(studio) == "photo_2.jpg"
    assert studio.program.session.unreadable is None


def test_next_unreviewed_passes_them_too(studio, folder):
    spoil(folder, 1)
    studio.open(folder)
    studio.program.projects.reviewed_next()
    studio.wait(lambda: names(studio) == "photo_2.jpg")


def test_a_repaired_file_opens_on_try_again_and_is_no_longer_called_damaged(studio, folder):
    good = (folder / "photo_1.jpg").read_bytes()
    spoil(folder, 1)
    studio.open(folder)
    image = ids(studio)[1]
    studio.program.projects.open_image(image)
    studio.wait(lambda: studio.program.session.unreadable is not None)
    (folder / "photo_1.jpg").write_bytes(good)
    page(studio).again.click()
    studio.wait(lambda: studio.program.session.image is not None)
    assert names(studio) == "photo_1.jpg"
    assert not studio.program.session.project.record(image).failed


def test_the_list_says_it_in_place_of_the_thumbnail(studio, folder):
    spoil(folder, 1)
    studio.open(folder)
    row = studio.window.images.view.model().image_row(studio.window.images.view.model().index(1))
    studio.wait(lambda: (found := studio.application.presenter.images.thumbnail(row)) is not None and found.isNull())
    studio.wait(lambda: studio.program.session.project.record(row.id).failed)
    model = studio.window.images.view.model()
    tooltip = model.data(model.index(1), Qt.ItemDataRole.ToolTipRole)
    assert "photo_1.jpg" in tooltip
    assert studio.program.session.project.record(row.id).note in tooltip


def test_a_folder_run_names_it(studio, folder):
    studio.open(folder)
    studio.start_model()
    project = studio.program.session.project
    broken = project.images[2]
    studio.compute.errors[str(project.path_of(broken))] = ImageReadError("the picture is cut off", remedy="Copy it again")
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    said = studio.program.notifier.messages[-1]
    assert "1 failed: photo_2.jpg" in said.detail

"""Copy the mask of the previous image, copy and paste a region: by keys and the pointer, undone as one step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from app.state.provenance import Provenance
from tests.gui.studio import Studio

CHAIR, SOFA = 9, 18


def trigger(studio: Studio, name: str) -> None:
    studio.window.commands.actions[name].trigger()
    studio.settle()


def to_next(studio: Studio) -> None:
    before = studio.image.id
    studio.program.projects.next_image()
    studio.wait(lambda: studio.program.session.image is not None and studio.image.id != before)
    studio.settle()


def painted(studio: Studio) -> np.ndarray:
    studio.program.edit.tools.choose_class(CHAIR)
    studio.program.edit.choose_tool("brush")
    studio.paint((10, 10), (30, 20))
    studio.program.edit.tools.choose_class(SOFA)
    studio.paint((50, 40), (60, 45))
    return studio.image.document.labels.copy()


def test_the_mask_of_the_image_before_becomes_the_user_s_own(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    trigger(studio, "edit.copy_previous")
    assert "This is the first image" in studio.titles()
    source = painted(studio)
    to_next(studio)
    before = studio.image.document.labels.copy()
    steps = len(studio.steps())
    trigger(studio, "edit.copy_previous")
    labels, provenance = studio.image.document.labels, studio.image.document.provenance
    there = source != 255
    assert np.array_equal(labels[there], source[there])
    assert (provenance[there] == Provenance.USER).all()
    assert np.array_equal(labels[~there], before[~there])
    assert len(studio.steps()) == steps + 1
    assert studio.steps()[-1].startswith("Copy of ")
    studio.program.edit.undo()
    studio.settle()
    assert np.array_equal(studio.image.document.labels, before)


def test_a_region_is_pasted_at_its_place(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    trigger(studio, "edit.paste_region")
    assert "No region was copied" in studio.titles()
    source = painted(studio)
    chairs = source == CHAIR
    rows, columns = np.nonzero(chairs)
    studio.program.copies.hover(None, None)
    trigger(studio, "edit.copy_region")
    assert "There is no region under the pointer" in studio.titles()
    studio.program.copies.hover(int(columns[0]), int(rows[0]))
    trigger(studio, "edit.copy_region")
    assert any(title.startswith("Region copied: chair, ") for title in studio.titles())
    to_next(studio)
    before = studio.image.document.labels.copy()
    trigger(studio, "edit.paste_region")
    after = studio.image.document.labels
    assert np.array_equal(after == CHAIR, chairs | (before == CHAIR))
    assert np.array_equal(after[~chairs], before[~chairs])
    trigger(studio, "edit.paste_region")
    assert "Nothing changed: the labels are there already" in studio.titles()
    project = studio.program.session.project
    assert project is not None
    project.lock_classes([CHAIR])
    studio.program.edit.undo()
    trigger(studio, "edit.paste_region")
    assert any("chair is locked" in title for title in (title.lower() for title in studio.titles()))


def test_other_sizes_are_refused_with_a_remedy(studio: Studio, folder: Path) -> None:
    images = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))
    with Image.open(images[1]) as picture:
        other = picture.resize((picture.width - 9, picture.height - 3))
    other.save(images[1])
    studio.open(folder)
    painted(studio)
    studio.program.copies.hover(12, 12)
    trigger(studio, "edit.copy_region")
    to_next(studio)
    before = studio.image.document.labels.copy()
    for name in ("edit.copy_previous", "edit.paste_region"):
        trigger(studio, name)
        message = studio.program.notifier.messages[-1]
        assert "but this image has" in message.title.lower()
        assert "Copy from an image of the same size" in message.detail
    assert np.array_equal(studio.image.document.labels, before)

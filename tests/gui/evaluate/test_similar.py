"""More like this, by user actions: order the folder, open an image of the list, stop, and do not compute twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt

from app.state.tools import Tool
from app.ui.evaluate.similar_dialog import SimilarDialog
from app.worker.similar_messages import Embed
from tests.gui.studio import Studio

COLOURS = {"a": (200, 20, 20), "b": (20, 20, 200), "c": (190, 30, 20), "d": (20, 200, 20)}


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    folder = tmp_path / "colours"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.fromarray(np.full((60, 84, 3), colour, np.uint8)).save(folder / f"{name}.png")
    return folder


def asked(studio: Studio) -> list[Embed]:
    return [request for request in studio.compute.asked if isinstance(request, Embed)]


def ask(studio: Studio) -> SimilarDialog:
    studio.window.commands["model.similar"].trigger()
    studio.wait(lambda: not studio.program.similar.running)
    studio.settle()
    dialog = studio.application.presenter.inspect.similar
    assert dialog is not None
    assert dialog.isVisible()
    return dialog


def test_the_images_most_like_this_one_come_first(studio: Studio, colours: Path) -> None:
    studio.start_model()
    studio.open(colours)
    dialog = ask(studio)
    names = [dialog.list.item(row).text().partition("\n")[0] for row in range(dialog.list.count())]
    assert names[0] == "c.png"
    assert set(names) == {"b.png", "c.png", "d.png"}, "the image itself is left out"
    assert dialog.about.text() == "Like a.png. 3 images, the most similar first."
    assert len(asked(studio)) == 4
    rect = dialog.list.visualItemRect(dialog.list.item(0))
    studio.qtbot.mouseClick(dialog.list.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    studio.settle()
    assert studio.image.path.name == "c.png"
    assert dialog.isVisible()
    ask(studio)
    assert len(asked(studio)) == 4, "features are kept with the project"
    assert dialog.list.item(0).text().startswith("a.png")


def list_in_progress(studio: Studio, colours: Path) -> SimilarDialog:
    """The list of a job that looks at its images."""
    studio.start_model()
    studio.open(colours)
    studio.compute.paused = True
    studio.window.commands["model.similar"].trigger()
    studio.wait(lambda: asked(studio))
    return studio.application.presenter.inspect.similar


def test_stopping_shows_what_is_known(studio: Studio, colours: Path) -> None:
    dialog = list_in_progress(studio, colours)
    assert "looking at the images" in dialog.about.text()
    studio.qtbot.mouseClick(dialog.stop, Qt.MouseButton.LeftButton)
    studio.wait(lambda: not studio.program.similar.running)
    studio.compute.paused = False
    studio.settle()
    assert not dialog.stop.isVisible()
    assert dialog.list.count() == 0


@pytest.mark.parametrize("by_key", [True, False])
def test_closing_the_list_ends_its_job(studio: Studio, colours: Path, by_key: bool) -> None:
    dialog = list_in_progress(studio, colours)
    if by_key:
        studio.press(Qt.Key.Key_Escape, on=dialog)
    else:
        dialog.close()
    assert not dialog.isVisible()
    studio.wait(lambda: not studio.program.jobs.running)
    studio.compute.paused = False
    studio.settle()
    assert not studio.program.similar.running
    assert len(asked(studio)) == 1
    dialog = ask(studio)
    assert dialog.list.count() == 3, "it can be asked again"


def test_another_folder_closes_the_list(studio: Studio, colours: Path) -> None:
    studio.start_model()
    studio.open(colours)
    dialog = ask(studio)
    studio.program.projects.close()
    studio.settle()
    assert not dialog.isVisible()


def kept(studio: Studio) -> list[int]:
    project = studio.program.session.project
    return [record.id for record in project.images if project.result(record.id, "features") is not None]


def test_another_model_ends_the_comparison(studio: Studio, colours: Path) -> None:
    studio.start_model()
    studio.open(colours)
    studio.compute.paused = True
    studio.window.commands["model.similar"].trigger()
    studio.wait(lambda: asked(studio))
    other = studio.program.models.path.with_name("other.safetensors")
    other.write_bytes(b"")
    studio.program.models.load(other)
    studio.compute.paused = False
    studio.wait(lambda: studio.program.models.card.id.endswith("other.safetensors"))
    studio.settle()
    assert not studio.program.similar.running
    assert len(kept(studio)) < len(COLOURS)
    assert "More like this was stopped" in studio.titles()
    before = len(asked(studio))
    ask(studio)
    assert len(asked(studio)) == before + len(COLOURS), "nothing is known of this model yet"


def test_features_of_another_model_are_not_kept(studio: Studio, colours: Path) -> None:
    studio.start_model()
    studio.open(colours)
    studio.compute._card = replace(studio.compute.card, id="another")  # the compute process is ahead of the window
    dialog = ask(studio)
    assert kept(studio) == []
    assert dialog.list.count() == 0
    assert "More like this was stopped" in studio.titles()


def test_images_are_compared_with_the_component_that_the_tool_points_at(studio: Studio, colours: Path) -> None:
    studio.start_model()
    studio.open(colours)
    studio.paint((10, 10), (30, 20))
    studio.settle()
    x, y, width, height = studio.program.corrections.corrector.component_mask(12, 11)[0]
    studio.program.edit.choose_tool(Tool.COMPONENTS)
    studio.program.components.hover(12, 11)
    studio.program.components.hover(None, None)  # the pointer leaves for the menu
    dialog = ask(studio)
    assert studio.program.similar.query.region == (x, y, width, height)
    assert (width, height) < (84, 60)
    assert dialog.about.text().startswith("Like a part of a.png.")
    assert (x, y, width, height) in [one.region for one in asked(studio)]
    studio.program.edit.choose_tool(Tool.BRUSH)
    ask(studio)
    assert studio.program.similar.query.region is None


@pytest.mark.parametrize("tool", [Tool.COMPONENTS, Tool.REGIONS])
def test_where_the_pointer_left_another_image_is_not_meant(studio: Studio, colours: Path, tool: Tool) -> None:
    studio.start_model()
    studio.open(colours)
    studio.paint((10, 10), (30, 20))
    studio.program.edit.choose_tool(tool)
    pointed = studio.program.components if tool is Tool.COMPONENTS else studio.program.regions
    pointed.hover(12, 11)
    pointed.hover(None, None)
    studio.settle()
    assert pointed.box_here() is not None
    studio.program.session.open_image(2)
    studio.settle()
    assert pointed.box_here() is None
    ask(studio)
    assert studio.program.similar.query.region is None

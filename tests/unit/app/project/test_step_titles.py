"""Titles of steps are kept in English with what a translation needs, and shown in the language of the window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.controllers.annotate.edit import step_title
from app.state.edits import fill_patch
from app.state.journal import read_title, stored_title
from app.state.project import Project
from app.state.provenance import Provenance
from app.text import tr, use_translator
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import MessageText, message

GERMAN = {"{name}, {pixels} px": "{pixels} px: {name}", "{name}: {painted}": "{name} mit {painted}", "Brush": "Pinsel"}


@pytest.fixture
def german():
    use_translator(lambda text, _many, _number: GERMAN.get(text, text))
    yield
    use_translator(None)


def test_a_title_is_kept_in_english_and_shown_translated(tmp_path: Path, german: None) -> None:
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(tmp_path / "a.png")
    with Project.open(tmp_path, catalog=get_catalog("voc21")) as project:
        image = project.images[0].id
        patch = fill_patch(project.load(image).document, 3, 3, 9)
        name = message("{name}: {painted}", name=message("Brush"), painted="chair")
        project.append_step(image, step_title(name, patch, Provenance.USER), Provenance.USER, patch)
    with Project.open(tmp_path) as project:
        (step,) = project.load(project.images[0].id).steps
        assert step.title == "Brush: chair, 192 px"
        assert tr(step.title) == "192 px: Pinsel mit chair"


@pytest.mark.parametrize(
    "title", ["Clear mask", "", "Brush {chair}", message("Clear mask"), message("Import {file}", file="{0} \x1f.png")]
)
def test_titles_are_read_as_they_were_stored(title: str) -> None:
    found = read_title(stored_title(title))
    assert found == title
    assert isinstance(found, MessageText) == (isinstance(title, MessageText) and bool(title.values))


@pytest.mark.parametrize(
    "behind",
    [
        "[]", "{", '{"template":"{a}"}', json.dumps({"template": "{a:99999999999}", "values": {"a": 1}}),
        json.dumps({"template": "{a.__class__}", "values": {"a": "x"}}), json.dumps({"template": "{a!r}", "values": {"a": "x"}}),
        json.dumps({"template": "{a}", "values": {"b": "x"}}), json.dumps({"template": "{a}", "values": {"a": [1]}}),
        json.dumps({"template": "other {a}", "values": {"a": "x"}}), "x" * 10_000,
        json.dumps({"template": "{a}", "values": {"a": {"template": "{a:9999999999}", "values": {"a": 1}}}}),
    ],
)  # fmt: skip
def test_what_does_not_give_its_text_is_left_out(behind: str) -> None:
    assert read_title(f"Fill\x1e{behind}") == "Fill"

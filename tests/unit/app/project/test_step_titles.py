"""Texts in a project are kept in English with what a translation needs, and shown in the language of the window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.controllers.annotate.edit import step_title
from app.state.edits import fill_patch
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.stored_text import read_text, stored_text
from app.text import tr, use_translator
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.editing import joined, merge_classes
from deeplab_core.errors import join_messages, message, plural_message

GERMAN = {
    "Merge {names} into {name}": "{names} zu {name}",
    "{name}, {pixels} px": "{pixels} px: {name}",
    "{name}: {painted}": "{name} mit {painted}",
    "Brush": "Pinsel",
}


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
    "title",
    [
        "Clear mask", "", "Brush {chair}", message("Clear mask"), message("Import {file}", file="{0} \x1f.png"),
        plural_message("{n} step of {name}", "{n} steps of {name}", 1200, name="a.png"),
        join_messages([message("Lost: {names}.", names=plural_message("{n} step", "{n} steps", 1)), "", message("Check it.")]),
    ],
)  # fmt: skip
def test_texts_are_read_as_they_were_stored(title: str) -> None:
    found = read_text(stored_text(title))
    assert found == title
    assert tr(found) == tr(title)
    assert getattr(title, "values", {}) == found.values


def test_an_edit_of_the_classes_is_translated_after_the_project_was_closed(tmp_path: Path, german: None) -> None:
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(tmp_path / "a.png")
    with Project.open(tmp_path, catalog=get_catalog("voc21")) as project:
        edits = [merge_classes(project.catalog, [9], 18)]
        project.edit_classes(joined(project.catalog, [*edits, merge_classes(edits[0].catalog, [1], 2)]))
    with Project.open(tmp_path) as project:
        (edit,) = project.class_edits.entries
        assert edit.title == "Merge chair into sofa, Merge aeroplane into bicycle"
        assert tr(edit.title) == "chair zu sofa, aeroplane zu bicycle"


def test_the_note_of_an_image_is_translated(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(tmp_path / "a.png")
    with Project.open(tmp_path, catalog=get_catalog("voc21")) as project:
        project.set_failed(project.images[0].id, message("{bytes} bytes are missing", bytes=3))
    with Project.open(tmp_path) as project:
        note = project.images[0].note
    use_translator(lambda text, _many, _number: {"{bytes} bytes are missing": "{bytes} Bytes fehlen"}.get(text, text))
    try:
        assert (note, tr(note)) == ("3 bytes are missing", "3 Bytes fehlen")
    finally:
        use_translator(None)


@pytest.mark.parametrize(
    "behind",
    [
        "[]", "{", '{"template":"{a}"}', json.dumps({"template": "{a:99999999999}", "values": {"a": 1}}),
        json.dumps({"template": "{a.__class__}", "values": {"a": "x"}}), json.dumps({"template": "{a!r}", "values": {"a": "x"}}),
        json.dumps({"template": "{a}", "values": {"b": "x"}}), json.dumps({"template": "{a}", "values": {"a": [1]}}),
        json.dumps({"template": "other {a}", "values": {"a": "x"}}), "x" * 10_000,
        json.dumps({"template": "{a}", "values": {"a": {"template": "{a:9999999999}", "values": {"a": 1}}}}),
        json.dumps({"template": "{a}{a}", "values": {"a": ""}}),
        json.dumps({"template": "Fill", "many": "{n:99999999999}", "number": 2, "values": {}}),
        json.dumps({"template": "Fill", "many": "Fills", "number": 2, "values": {}}),
        json.dumps({"template": "Fill", "many": "Fill", "number": "2", "values": {}}),
    ],
)  # fmt: skip
def test_what_does_not_give_its_text_is_left_out(behind: str) -> None:
    assert read_text(f"Fill\x1e{behind}") == "Fill"

"""Figures that a project keeps are those of a fresh count, and are counted again when anything they rest on has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.state import measurement
from app.state.ambiguous import write_marks
from app.state.edits import fill_patch
from app.state.ground_truth import GroundTruth
from app.state.measurement import FIGURES_KIND, Figures, KeptModels, Measurement, Part, read_figures, write_figures
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.samples import OpenLabels
from app.text import tr, use_translator
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets import find_truth
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.errors import message, plural_message
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.notes import Note
from deeplab_core.records import TrimapBand

VOC, CITY = get_catalog("voc21"), get_catalog("cityscapes19")


@pytest.fixture
def project(tmp_path: Path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)).save(images / "a.png")
    truth = np.zeros((12, 16), np.uint8)
    truth[:, 8:], truth[0] = 9, 255
    write_indexed_png(labels / "a.png", truth, VOC)
    with Project.open(images, catalog=VOC) as made:
        found = find_truth(images, [record.relative_path for record in made.images], truth_folder=labels, catalog=VOC)
        made.ground_truth = GroundTruth(found)
        stroke(made)
        yield made


def stroke(project: Project, value: int = 9) -> None:
    image = project.images[0].id
    project.append_step(image, "Fill", Provenance.USER, fill_patch(project.load(image).document, 3, 3, value))


def measured(project: Project, **changes: object) -> Measurement:
    plain = Measurement(
        project, project.images[0].id, Part.FIGURES, TrimapBand(rule="edge"), lambda: None, KeptModels(project)
    )  # fmt: skip
    return replace(plain, **changes)


def keep(project: Project) -> Figures:
    figures = measured(project).run().figures
    assert figures is not None
    project.put_result(project.images[0].id, FIGURES_KIND, figures.key, figures.data)
    return figures


def test_kept_figures_are_read_instead_of_counted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = keep(project)
    monkeypatch.setattr(measurement, "load_sample", lambda *_a, **_k: pytest.fail("the image was read"))
    known = measured(project).run().figures
    assert known is not None
    assert known.mask.to_bytes() == fresh.mask.to_bytes()
    assert known.data == b""  # nothing to keep
    for one, other in zip(known.truth[:2], fresh.truth[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def renew_truth(project: Project) -> None:
    path = project.folder.parent / "labels" / "a.png"
    write_indexed_png(path, np.full((12, 16), 9, np.uint8), VOC)
    os.utime(path, ns=(5, 5))


def mark(project: Project) -> None:
    marks = AmbiguousMarks(12, 16).marked(np.ones((3, 3)), offset=(2, 2), classes=(9, 18))
    write_marks(project, project.images[0].id, marks)


@pytest.mark.parametrize("change", [stroke, renew_truth, mark])
def test_they_are_counted_again_after_a_change(project: Project, change: Callable[[Project], None]) -> None:
    kept = keep(project)
    change(project) if change is not stroke else stroke(project, 18)
    again = measured(project).run().figures
    assert again is not None
    assert again.key != kept.key
    assert again.data
    assert again.mask.to_bytes() != kept.mask.to_bytes()


def test_another_band_and_labels_in_memory_are_counted(project: Project) -> None:
    keep(project)
    other = measured(project, band=TrimapBand(rule="void")).run().figures
    assert other is not None
    assert other.data
    labels = np.full((12, 16), 18, np.uint8)
    opened = measured(project, opened=OpenLabels(labels, np.full_like(labels, Provenance.USER))).run().figures
    assert opened is not None
    assert opened.data == b""  # they may be newer than what the key says
    assert opened.mask.whole("classes")[18] == labels.size


def test_notes_that_are_kept_can_be_translated_when_they_are_read_again(project: Project) -> None:
    figures = keep(project)
    note = Note("pages", message("the first of {frames} frames is read", frames="12"), plural_message("a frame", "{n} frames", 1))
    known = read_figures(write_figures(replace(figures, truth=(*figures.truth[:2], (note,)))), VOC)
    assert known is not None
    (read,) = known.truth[2]
    assert read == note
    use_translator(lambda text, _many, _number: text.replace("the first of", "der erste von"))
    try:
        assert tr(read.text) == "der erste von 12 frames is read"
    finally:
        use_translator(None)


def test_damaged_figures_and_those_of_other_classes_are_not_read(project: Project) -> None:
    figures = keep(project)
    figures = replace(figures, truth=(*figures.truth[:2], (Note("void", "a", "is b"),)))
    data = write_figures(figures)
    known = read_figures(data, VOC)
    assert known is not None
    assert known.truth[2] == figures.truth[2]
    assert read_figures(data, CITY) is None
    for broken in (b"", data[:3], data[:20], data[:-1], data + b"x", b"\xff" * 40):
        assert read_figures(broken, VOC) is None

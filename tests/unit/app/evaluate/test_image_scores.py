"""Which images need another score, without a window."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.state.ambiguous import write_marks
from app.state.edits import fill_patch
from app.state.ground_truth import GroundTruth
from app.state.image_record import ImageStatus
from app.state.measurement import due_images, read_score, sample_stamp, score_labels, write_score
from app.state.project import Project
from app.state.project_analysis import ImageScore, ProjectAnalysis, ScoredImages
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets import find_truth
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.masks.png import write_indexed_png

VOC = get_catalog("voc21")


@pytest.fixture
def project(tmp_path: Path):
    """Four photographs with ground truth; the first three have labels."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.png")
        write_indexed_png(labels / f"{number}.png", np.zeros((12, 16), np.uint8), VOC)
    with Project.open(images, catalog=VOC) as made:
        found = find_truth(images, [record.relative_path for record in made.images], truth_folder=labels, catalog=VOC)
        made.ground_truth = GroundTruth(found)
        for record in made.images[:3]:
            paint(made, record.id)
        yield made


def paint(project: Project, image: int, value: int = 9) -> None:
    patch = fill_patch(project.load(image).document, 3, 3, value)
    project.append_step(image, "Fill", Provenance.USER, patch)


def stamps(project: Project) -> dict[int, str]:
    return {record.id: sample_stamp(project, record.id, project.journal.head(record.id)) for record in project.images[:3]}


def renew_truth(project: Project) -> None:
    path = project.folder.parent / "labels" / "1.png"
    write_indexed_png(path, np.full((12, 16), 9, np.uint8), VOC)
    os.utime(path, ns=(5, 5))


def mark(project: Project) -> None:
    image = project.images[1].id
    write_marks(project, image, AmbiguousMarks(12, 16).marked(np.ones((12, 16), bool)))


CHANGES: dict[str, Callable[[Project], object]] = {
    "a step": lambda project: paint(project, project.images[1].id, 15),
    "ground truth": renew_truth,
    "marks": mark,
    "prediction": lambda project: project._update(project.images[1].id, prediction="card options"),
}


def test_images_with_labels_and_no_score_are_due_and_others_are_not(project: Project) -> None:
    assert due_images(project, {}).stale == tuple(record.id for record in project.images[:3])
    assert due_images(project, stamps(project)) == due_images(project, stamps(project), frozenset(stamps(project)))
    assert due_images(project, stamps(project)).stale == ()


@pytest.mark.parametrize("change", list(CHANGES))
def test_whatever_a_score_rests_on_makes_it_due(project: Project, change: str) -> None:
    known = stamps(project)
    changed = project.images[1].id
    CHANGES[change](project)
    assert due_images(project, known).stale == (changed,)
    assert due_images(project, known, frozenset({changed})).stale == (changed,)
    assert due_images(project, known, frozenset({project.images[0].id})).stale == ()


def test_other_classes_make_every_score_due(project: Project) -> None:
    known = stamps(project)
    renamed = project.catalog.to_dict()
    renamed["classes"][3]["name"] = "parrot"
    project.set_catalog(type(VOC).from_dict(renamed))
    assert len(due_images(project, known).stale) == 3


def test_an_image_without_labels_any_more_is_gone(project: Project) -> None:
    known = stamps(project)
    image = project.images[0].id
    project.start_over(image)
    assert project.record(image).status == ImageStatus.NEW
    found = due_images(project, known)
    assert (found.stale, found.gone) == ((), (image,))


def test_a_score_is_read_as_it_was_written_and_a_damaged_one_is_none() -> None:
    truth, labels = np.zeros((6, 7), np.uint8), np.full((6, 7), 9, np.uint8)
    labels[:, :3] = 0
    score = score_labels(labels, VOC, truth=truth, confidence=np.full((6, 7), 51, np.uint8))
    data = write_score(score)
    found = read_score(data, VOC)
    assert found is not None
    assert (
        ImageScore.of(found)
        == ImageScore.of(score)
        == ImageScore(pytest.approx(18 / 42), pytest.approx(0.8), ("background", "chair"))
    )
    values = json.loads(data)
    for name, wrong in (
        ("places", [9, 0]),
        ("places", [0, 99]),
        ("pixels", [18, -1]),
        ("pixels", [18]),
        ("scores", {"iou": "x"}),
    ):
        assert read_score(json.dumps({**values, name: wrong}).encode(), VOC) is None
    assert read_score(b'{"iou": 0.5, "uncertainty": null, "classes": []}', VOC) is None  # of an earlier version
    assert read_score(data[:-3], VOC) is None


def test_scores_that_were_kept_do_not_replace_newer_ones(project: Project) -> None:
    analysis = ProjectAnalysis(project)
    first, second = (record.id for record in project.images[:2])
    old, new = (score_labels(np.full((12, 16), value, np.uint8), VOC, truth=np.zeros((12, 16), np.uint8)) for value in (9, 0))
    assert analysis.score(second) == ImageScore()  # the list asks before anything is known
    analysis.put_score(first, new)
    analysis.adopt(ScoredImages(VOC, {first: old, second: old}))
    assert (analysis.score(first).iou, analysis.score(second).iou) == (1, 0)
    analysis.drop(first)
    assert analysis.score(first).iou == 1, "without figures an image keeps its place in the list"
    assert analysis.drop_score(first)
    assert not analysis.drop_score(first)
    assert str(first) not in analysis.masks

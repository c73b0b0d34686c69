"""What is kept of a folder's errors: exact through bytes, remade only where something changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.state.ground_truth import GroundTruth
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.project_analysis import (
    KIND,
    ProjectAnalysis,
    inspection_key,
    read_kept,
)
from app.state.provenance import Provenance
from deeplab_core.analysis import inspect_image, measure_ranking
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.ground_truth import GroundTruthFiles

VOC = get_catalog("voc21")


def maps(seed: int, shape: tuple[int, int] = (24, 30)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 4, (shape[0] // 6 + 1, shape[1] // 6 + 1), dtype=np.uint8)
    truth = np.kron(coarse, np.ones((6, 6), np.uint8))[: shape[0], : shape[1]].copy()
    prediction = np.roll(truth, (1, 2), axis=(0, 1))
    prediction[random.random(shape) < 0.05] = 9
    truth[random.random(shape) < 0.05] = 255
    return truth, prediction


def inspected(seed: int):
    truth, prediction = maps(seed)
    rgb = np.random.default_rng(seed).integers(0, 255, (*truth.shape, 3), dtype=np.uint8)
    return inspect_image(truth=truth, prediction=prediction, catalog=VOC, rgb=rgb)


def equal(one, other) -> None:
    for name in ("cells", "pixels", "components", "rows", "kind_components"):
        np.testing.assert_array_equal(getattr(one.errors, name), getattr(other.errors, name))
    for name in ("counts", "missed", "false", "pixels", "instances"):
        np.testing.assert_array_equal(getattr(one.failures, name), getattr(other.failures, name))
    assert one.objects.tobytes() == other.objects.tobytes()  # unknown values are nan
    assert one.slices.keys() == other.slices.keys()
    for axis, counts in one.slices.items():
        np.testing.assert_array_equal(counts, other.slices[axis])


@pytest.fixture
def project(tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.zeros((24, 30, 3), np.uint8)).save(folder / f"{name}.png")
    (tmp_path / "truth.png").write_bytes(b"truth")
    with Project.open(folder) as made:
        made.ground_truth = GroundTruth(GroundTruthFiles(files={"a.png": tmp_path / "truth.png"}))
        yield made


def key_of(project: Project) -> str:
    return inspection_key(project, project.images[0], None)


def test_what_is_kept_is_read_again_and_only_under_its_key(project):
    index, image = ProjectAnalysis(project), project.images[0].id
    found = inspected(3)
    index.keep(image, "key", found)
    equal(read_kept(project, image, "key"), found)
    assert read_kept(project, image, "another key") is None
    project.put_result(image, KIND, "key", b"damaged")
    assert read_kept(project, image, "key") is None


def test_the_key_changes_with_a_stroke_the_truth_and_marks(project):
    seen = {key_of(project)}
    image = project.images[0].id
    document = project.load(image, (24, 30)).document
    after = document.labels.copy()
    after[2:5, 2:5] = 7
    mine = np.full_like(document.provenance, Provenance.USER)
    patch = diff_patch(document.labels, document.provenance, after, mine)
    project.append_step(image, "Brush", Provenance.USER, patch)
    seen.add(key_of(project))
    (project.folder.parent / "truth.png").write_bytes(b"another truth")
    seen.add(key_of(project))
    project.put_result(image, "ambiguous", "", b"{}")
    seen.add(key_of(project))
    project.ground_truth = replace(project.ground_truth, frame="stored")
    seen.add(key_of(project))
    assert len(seen) == 5
    assert key_of(project) in seen


def test_the_key_of_an_untouched_image_follows_its_prediction(project):
    record = project.images[0]
    one, other = (record._replace(prediction=name) for name in ("model one", "model two"))
    assert inspection_key(project, one, None) != inspection_key(project, other, None)


def test_replacing_and_dropping_leave_no_trace(project):
    index = ProjectAnalysis(project)
    first, second = (record.id for record in project.images)
    index.put(first, "1", inspected(1))
    index.put(second, "2", inspected(2))
    index.put(first, "3", inspected(4))
    index.drop(second)
    alone = ProjectAnalysis(project)
    alone.put(first, "3", inspected(4))
    np.testing.assert_array_equal(index.masks.matrix.counts, alone.masks.matrix.counts)
    np.testing.assert_array_equal(index.masks.error_cells(), alone.masks.error_cells())
    assert index.masks.objects.tobytes() == alone.masks.objects.tobytes()
    for axis, slices in index.masks.slices.items():
        np.testing.assert_array_equal(slices.counts, alone.masks.slices[axis].counts)
    assert second not in index
    assert len(index) == 1


def test_the_key_does_not_change_when_a_mask_is_merely_saved(project):
    image = project.images[0].id
    document = project.load(image, (24, 30)).document
    after = document.labels.copy()
    after[2:5, 2:5] = 7
    mine = np.full_like(document.provenance, Provenance.USER)
    project.append_step(image, "Brush", Provenance.USER, diff_patch(document.labels, document.provenance, after, mine))
    before = key_of(project)
    project.save_mask(image, after, mine, project.journal.head(image))
    assert project.record(image).mask
    assert key_of(project) == before


def test_other_ground_truth_leaves_the_scores_of_predictions_alone(project):
    known, image = ProjectAnalysis(project), str(project.images[0].id)
    known.put(project.images[0].id, "1", inspected(1))
    truth, prediction = maps(1)
    confidence = np.full(truth.shape, 200, np.uint8)
    known.predictions.update(image, measure_ranking(prediction, confidence, VOC, truth=truth))
    left = known.on_other_truth()
    assert len(left.masks) == len(left) == 0
    scores = known.predictions.get(image).scores
    assert "label_errors" in scores
    assert left.predictions.get(image).scores == {name: scores[name] for name in scores if name != "label_errors"}
    assert left.predictions.ranking("confidence") == [image]
    assert left.predictions.get(image).wrong_px is None

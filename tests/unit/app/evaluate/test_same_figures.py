"""What the window shows of the sample project and what the command line writes about it are the same numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.paths import SAMPLE_PROJECT
from app.state.ground_truth import GroundTruth
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.project_analysis import ProjectAnalysis, inspect_sample
from app.state.provenance import Provenance
from app.state.samples import load_sample
from deeplab_core.analysis import count_labels, measure_ranking
from deeplab_core.analysis.image import iou_score
from deeplab_core.analysis.inspection import CONFIDENCE_SUFFIX
from deeplab_core.analysis.ranking import OF_PREDICTION
from deeplab_core.analysis.record import ERROR_PIXELS
from deeplab_core.analysis.summary import component_to_dict, failure_row_to_dict, rankings_to_dict
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.ground_truth import find_truth
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics.trimap_histogram import none_if_nan
from deeplab_core.records import TrimapBand

VOC = get_catalog("voc21")
NAMES = [f"room_{number:05d}" for number in (0, 5, 9)]
BAND = TrimapBand(rule="edge")


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rooms of the sample project, their ground truth, masks and made-up confidences."""
    root = tmp_path_factory.mktemp("rooms")
    for folder, suffix in (("images", ".jpg"), ("truth", ".png"), ("masks", ".png")):
        (root / folder).mkdir()
        for name in NAMES:
            shutil.copyfile(SAMPLE_PROJECT / folder / f"{name}{suffix}", root / folder / f"{name}{suffix}")
    for seed, name in enumerate(NAMES):
        confidence = np.random.default_rng(seed).integers(100, 256, (480, 640), dtype=np.uint8)
        Image.fromarray(confidence).save(root / "masks" / f"{name}{CONFIDENCE_SUFFIX}")
    return root


@pytest.fixture(scope="module")
def window(rooms: Path) -> ProjectAnalysis:
    """The three masks in a project, measured as the window measures them."""
    with Project.open(rooms / "images", catalog=VOC) as project:
        names = [record.relative_path for record in project.images]
        project.ground_truth = GroundTruth(find_truth(rooms / "images", names, truth_folder=rooms / "truth", catalog=VOC))
        known = ProjectAnalysis(project)
        for record in project.images:
            labels = read_mask(rooms / "masks" / f"{Path(record.relative_path).stem}.png", VOC)
            document = project.load(record.id, labels.shape).document
            made = np.full_like(document.provenance, Provenance.IMPORT)
            patch = diff_patch(document.labels, document.provenance, labels, made)
            project.append_step(record.id, "Import", Provenance.IMPORT, patch)
            sample = load_sample(project, record.id, rgb=True)
            image = Path(record.relative_path).stem + ".png"  # as the command line calls it
            counted = count_labels(sample.labels, VOC, truth=sample.truth, exclude=sample.exclude, band=BAND)
            known.masks.update(image, counted)
            known.masks.update(image, inspect_sample(project, sample, None))
            confidence = np.asarray(Image.open(rooms / "masks" / f"{Path(image).stem}{CONFIDENCE_SUFFIX}"))
            known.predictions.update(image, measure_ranking(sample.labels, confidence, VOC, truth=sample.truth))
        return known


def written(rooms: Path, command: str, *more: str) -> dict:
    file = rooms / f"{command}.json"
    arguments = ["--prediction", str(rooms / "masks"), "--truth", str(rooms / "truth"), "--images", str(rooms / "images")]
    assert run([command, *arguments, "--json", str(file), *more]) == 0
    return json.loads(file.read_text())


def test_evaluate_has_the_folder_figures_of_the_window(rooms: Path, window: ProjectAnalysis) -> None:
    data = written(rooms, "evaluate", "--resamples", "0")
    folder = window.masks
    assert data["confusion"]["counts"] == folder.matrix.counts.tolist()
    assert data["pooled"]["mean_iou"] == folder.matrix.mean_iou("union").value
    curve = folder.band(BAND.rule, BAND.around).curve("union")
    assert [row["mean_iou"] for row in data["bands"]["curve"]] == [none_if_nan(value) for value in curve.mean_iou.tolist()]
    for row in data["images"]:
        record = folder.get(row["name"])
        assert record is not None
        assert row["mean_iou"] == pytest.approx(1 - iou_score(record)["iou"], abs=1e-12)
        assert row["labelled_px"] == record.labelled_px


def test_inspect_has_the_errors_of_the_window(rooms: Path, window: ProjectAnalysis) -> None:
    data = written(rooms, "inspect", "--top", "100")
    folder = window.masks
    assert data["confusion"]["counts"] == folder.total(ERROR_PIXELS).tolist() == folder.matrix.counts.tolist()
    unmeasured = folder.unmeasured
    rows = [failure_row_to_dict(row, VOC, measured=row.kind not in unmeasured) for row in folder.failures()]
    assert data["failures"] == json.loads(json.dumps(rows))
    listed = [component_to_dict(component) for component in folder.errors.components(limit=100)]
    assert data["components"] == json.loads(json.dumps(listed))
    for axis, slices in folder.slices.items():
        assert [row["pixels"] for row in data["pixel_slices"][axis.value]["rows"]] == [row.pixels for row in slices.rows()]


def test_rankings_of_the_command_line_are_those_of_the_window(rooms: Path, window: ProjectAnalysis) -> None:
    data = written(rooms, "inspect")
    assert data["rankings"] == json.loads(json.dumps(rankings_to_dict(window.predictions)))
    assert list(data["rankings"]) == [name for name in OF_PREDICTION if window.predictions.scored()[name]]

"""The sample project that is shipped: 24 rendered rooms, truth, what is known of their objects, masks of the bundled model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from app.paths import SAMPLE_PROJECT, copy_sample_project
from app.state.data_choices import OpenQuestions, settle
from app.state.project import Project
from deeplab_core.analysis import read_known_objects
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.find import find_images
from deeplab_core.datasets.ground_truth import find_truth
from deeplab_core.images import probe_image
from deeplab_core.masks.read import read_mask
from tools.rooms.mask import VOID

VOC = get_catalog("voc21")
NAMES = sorted(path.stem for path in (SAMPLE_PROJECT / "images").glob("*.jpg"))
FURNITURE = {
    info.id for info in VOC.classes if info.name in ("bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor")
}


def test_24_images_are_found_and_no_mask_is_taken_for_one() -> None:
    assert len(NAMES) == 24
    assert sorted(find_images(SAMPLE_PROJECT)) == [f"images/{name}.jpg" for name in NAMES]


def test_the_project_stays_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLE_PROJECT.rglob("*") if path.is_file()) < 8_000_000


def test_truth_is_found_rather_than_the_masks_at_hand() -> None:
    index = find_truth(SAMPLE_PROJECT, find_images(SAMPLE_PROJECT))
    assert {path.parent.name for path in index.files.values()} == {"truth"}
    assert len(index.files) == 24


def test_nothing_about_the_sample_is_asked(tmp_path) -> None:
    with Project.open(copy_sample_project(tmp_path / "sample")) as project:
        assert settle(project) == OpenQuestions()
        assert len(project.ground_truth.files) == 24
        assert project.catalog.name == "voc21"


@pytest.mark.parametrize("name", NAMES)
def test_truth_and_mask_fit_the_image(name: str) -> None:
    info = probe_image(SAMPLE_PROJECT / "images" / f"{name}.jpg")
    truth = read_mask(SAMPLE_PROJECT / "truth" / f"{name}.png", VOC, info)
    mask = read_mask(SAMPLE_PROJECT / "masks" / f"{name}.png", VOC, info)
    assert truth.shape == mask.shape == (info.height, info.width) == (480, 640)
    assert 0.001 < np.mean(truth == VOID) < 0.2
    assert not np.any(mask == VOID)
    assert set(np.unique(truth).tolist()) <= FURNITURE | {0, VOID}


@pytest.mark.parametrize("name", NAMES)
def test_the_objects_are_those_of_the_truth(name: str) -> None:
    truth = read_mask(SAMPLE_PROJECT / "truth" / f"{name}.png", VOC)
    listed = json.loads((SAMPLE_PROJECT / "objects" / f"{name}.json").read_text())["objects"]
    known = read_known_objects(SAMPLE_PROJECT / "objects" / f"{name}.json", VOC)
    visible = [entry for entry in listed if entry["visible_px"]]  # others are hidden whole
    assert len(known) == len(visible)
    # Void rings may swallow a small object whole, never invent one.
    assert set(np.unique(truth).tolist()) - {0, VOID} <= {entry["voc_id"] for entry in visible}
    for entry in visible:
        assert 0 < entry["visible_fraction"] <= 1
        assert entry["visible_px"] <= entry["silhouette_px"]


def test_the_truths_together_show_every_furnished_class() -> None:
    seen = set().union(*(np.unique(read_mask(SAMPLE_PROJECT / "truth" / f"{name}.png", VOC)).tolist() for name in NAMES))
    assert seen == FURNITURE | {0, VOID}


def test_occlusion_spans_from_hardly_visible_to_whole() -> None:
    shares = [
        entry["visible_fraction"]
        for name in NAMES
        for entry in json.loads((SAMPLE_PROJECT / "objects" / f"{name}.json").read_text())["objects"]
    ]
    assert min(shares) < 0.15
    assert max(shares) > 0.95

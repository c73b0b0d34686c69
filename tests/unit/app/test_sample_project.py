"""The sample project that is shipped, and the tool that makes it."""

from __future__ import annotations

import numpy as np
import pytest

from app.places import SAMPLE_PROJECT
from deeplab_core.catalogs import get_catalog
from deeplab_core.formats import find_truth, read_mask
from deeplab_core.images import find_images, probe_image
from tools.sample.make import VOID, mediocre, ringed, voc_palette
from tools.sample.rooms import BOTTLE, CHAIR, PLANT, SOFA, TABLE, TV
from tools.sample.scenes import all_scenes

VOC = get_catalog("voc21")
NAMES = sorted(path.stem for path in (SAMPLE_PROJECT / "images").glob("*.jpg"))


def test_twelve_images_are_found_and_no_mask_is_taken_for_one() -> None:
    assert len(NAMES) == 12
    assert sorted(find_images(SAMPLE_PROJECT)) == [f"images/{name}.jpg" for name in NAMES]


def test_truth_is_found_rather_than_the_masks_at_hand() -> None:
    index = find_truth(SAMPLE_PROJECT, find_images(SAMPLE_PROJECT))
    assert {path.parent.name for path in index.files.values()} == {"truth"}
    assert len(index.files) == 12


@pytest.mark.parametrize("name", NAMES)
def test_truth_and_mask_fit_the_image(name: str) -> None:
    info = probe_image(SAMPLE_PROJECT / "images" / f"{name}.jpg")
    truth = read_mask(SAMPLE_PROJECT / "truth" / f"{name}.png", VOC, info)
    mask = read_mask(SAMPLE_PROJECT / "masks" / f"{name}.png", VOC, info)
    assert truth.shape == mask.shape == (info.height, info.width)
    assert 0.01 < np.mean(truth == VOID) < 0.2
    assert not np.any(mask == VOID)
    assert 0.7 < np.mean((mask == truth)[truth != VOID]) < 1


def test_the_truths_together_show_every_furnished_class() -> None:
    seen = set().union(*(np.unique(read_mask(SAMPLE_PROJECT / "truth" / f"{name}.png", VOC)).tolist() for name in NAMES))
    assert seen == {0, BOTTLE, CHAIR, TABLE, PLANT, SOFA, TV, VOID}


def test_scenes_follow_from_their_seed() -> None:
    once, again, other = all_scenes(7), all_scenes(7), all_scenes(8)
    assert sorted(scene.name for scene in once) == NAMES
    for first, second, third in zip(once, again, other, strict=True):
        assert first.eye == second.eye
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(first.room.rows, second.room.rows, strict=True))
        assert first.eye != third.eye


def test_palette_is_the_catalogs() -> None:
    assert voc_palette()[: 3 * 21] == VOC.palette()[:21].ravel().tolist()


def test_a_ring_of_void_lies_over_class_edges_only() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 10:30] = CHAIR
    truth = ringed(labels)
    assert truth[20, 20] == CHAIR
    assert truth[0, 0] == 0
    assert np.all(truth[10, 12:28] == VOID)
    np.testing.assert_array_equal(truth[truth != VOID], labels[truth != VOID])


def test_a_mediocre_mask_is_wrong_but_not_absurd() -> None:
    labels = np.zeros((120, 160), np.uint8)
    labels[30:100, 20:90] = SOFA
    mask = mediocre(labels, (labels > 0).astype(np.int64), np.random.default_rng(1))
    assert mask.dtype == np.uint8
    assert 0.5 < np.mean(mask == labels) < 1

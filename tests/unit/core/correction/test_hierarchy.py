"""The region hierarchy: a partition at every level, nested, the same each time, carried up to large images."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.correction import LEVELS, Corrector, build_hierarchy
from deeplab_core.correction.hierarchy import CUTS, LARGEST
from deeplab_core.correction.probabilities import ClassProbabilities
from deeplab_core.errors import Cancelled
from deeplab_core.geometry import Box
from tests.unit.core.correction.scenes import CATALOG, disk_corrector, disk_scene, scores_of


@settings(max_examples=20)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1), st.booleans())
def test_levels_are_nested_partitions_of_connected_regions(height: int, width: int, seed: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    rgb = np.full((height, width, 3), 90, np.uint8) if flat else rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    hierarchy = build_hierarchy(rgb, None)
    again = build_hierarchy(rgb.copy(), None)
    assert np.array_equal(hierarchy.leaves, again.leaves)
    assert np.array_equal(hierarchy.parents, again.parents)
    leaves = hierarchy.cuts.shape[1]
    assert hierarchy.pixels[:leaves].sum() == hierarchy.pixels[-1] == height * width
    for level in range(LEVELS):
        regions = np.unique(hierarchy.cuts[level]).size
        assert regions == min(CUTS[level], leaves)
        if level:
            pairs = np.unique(np.stack([hierarchy.cuts[level - 1], hierarchy.cuts[level]]), axis=1)
            assert pairs.shape[1] == np.unique(hierarchy.cuts[level - 1]).size, "a region is inside one region of the next level"
    level = int(rng.integers(LEVELS))
    for node in np.unique(hierarchy.cuts[level])[:20].tolist():
        box, mask = hierarchy.mask(node, level)
        assert mask.sum() == hierarchy.pixels[node]
        assert np.array_equal(mask, (hierarchy.cuts[level][hierarchy.leaves] == node)[box.slices])
        rows, columns = np.nonzero(mask)
        assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (0, 0, box.height, box.width)


def test_the_disk_is_a_region_of_some_level_and_its_second_guess_is_the_networks() -> None:
    corrector, inside = disk_corrector()
    shares = []
    for level in range(LEVELS):
        proposal = corrector.region_at(32, 24, level, 3)
        assert proposal is not None
        shares.append((proposal.mask & inside).sum() / (proposal.mask | inside).sum())
    assert max(shares) > 0.95
    guessed = corrector.region_at(32, 24, int(np.argmax(shares)))
    assert guessed is not None
    assert guessed.labels == 3, "the scores put the disk's class second everywhere"


def test_a_stroke_takes_the_regions_that_it_crosses_and_no_others() -> None:
    corrector, _ = disk_corrector()
    path = [(25.0, 20.0), (40.5, 20.0), (40.5, 30.0)]
    proposal = corrector.regions_along(path, 2, 3)
    assert proposal is not None
    expected = np.zeros(corrector.size, bool)
    points = {(x, 20) for x in range(25, 41)} | {(40, y) for y in range(20, 31)}
    for x, y in points:
        single = corrector.region_at(x, y, 2, 3)
        assert single is not None
        expected |= single.mask
    assert np.array_equal(proposal.mask, expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_labels_of_a_region_are_looked_up_at_the_scale_of_the_copy(seed: int, large: bool) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(60, 120, 2).tolist()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deeplab_core.correction.hierarchy.LARGEST", 2_500 if large else LARGEST)
        patched.setattr("deeplab_core.correction.hierarchy._SAMPLES", 20)
        hierarchy = build_hierarchy(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), None)
        labels = np.broadcast_to(np.arange(width, dtype=np.uint8), (height, width))
        asked = [(node, level) for level in (2, 9) for node in np.unique(hierarchy.cuts[level])[:5].tolist()]
        looked_up = [hierarchy.sampled(labels, *one) for one in asked]
    assert (hierarchy.leaves.size < height * width) is large
    for one, (found, box, mask) in zip(asked, looked_up, strict=True):
        assert mask.shape == box.size
        assert box.grown(1, found.shape) == Box.whole(found.shape)  # nothing but a border around it
        exact_box, exact = hierarchy.mask(*one)
        values, inside = found[box.slices][mask], labels[exact_box.slices][exact]
        assert values.size
        assert np.isin(values, inside).all()
        assert large or np.array_equal(values, inside)


def test_a_region_is_shown_as_the_same_object_as_long_as_it_is_the_same() -> None:
    corrector, _ = disk_corrector()
    first = corrector.region_preview(32, 24, 5)
    assert corrector.region_preview(32.5, 24.5, 5) is first
    assert corrector.region_preview(1, 1, 5) is not first
    assert np.array_equal(corrector.region_preview(32, 24, 5).mask, first.mask)


def test_the_wheel_skips_levels_that_change_nothing() -> None:
    corrector, _ = disk_corrector()
    level, sizes = 0, []
    while True:
        sizes.append(corrector.region_preview(32, 24, level).pixels)
        following = corrector.next_level(32, 24, level, 1)
        if following == level:
            break
        assert following > level
        level = following
    assert all(later >= 1.2 * before for before, later in pairwise(sizes))
    assert len(sizes) > 2
    assert corrector.next_level(32, 24, 0, -1) == 0
    assert corrector.next_level(32, 24, 11, -1) < 11


def test_scores_keep_regions_apart_that_look_alike() -> None:
    rgb = np.full((60, 80, 3), 120, np.uint8)
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 40:] = 3
    corrector = Corrector(rgb, labels, catalog=CATALOG, scores=scores_of(labels, CATALOG, 0.9, 0.05))
    proposal = corrector.region_at(60, 30, 11, 7)
    assert proposal is not None
    assert not proposal.mask[:, :30].any()
    assert proposal.mask[30, 60]


def test_above_a_megapixel_a_copy_is_computed_and_regions_still_partition_the_image() -> None:
    small, _ = disk_scene(120, 160)
    rgb = np.ascontiguousarray(np.kron(small, np.ones((12, 11, 1), np.uint8)))
    hierarchy = build_hierarchy(rgb, None)
    assert hierarchy.leaves.size <= LARGEST * 1.01
    height, width = rgb.shape[:2]
    level = 9
    count = np.zeros((height, width), np.uint8)
    for node in np.unique(hierarchy.cuts[level]).tolist():
        box, mask = hierarchy.mask(node, level)
        count[box.slices] += mask
        preview, coarse = hierarchy.small_mask(node, level)
        assert preview == box
        assert coarse.shape <= mask.shape
        assert abs(hierarchy.image_pixels(node) - mask.sum()) <= 0.02 * mask.sum() + 200
    assert (count == 1).all()
    for x, y in ((0, 0), (width - 1, height - 1), (width // 3, height // 2)):
        box, mask = hierarchy.mask(hierarchy.node_at(x, y, level), level)
        assert Box(0, 0, width, height).holds(box)
        assert mask[y - box.y, x - box.x]


def test_computing_can_be_cancelled_and_begun_again() -> None:
    corrector, _ = disk_corrector()
    with pytest.raises(Cancelled):
        corrector.prepare(lambda: True)
    assert corrector.prepare(lambda: False) is corrector.hierarchy


def test_regions_are_those_of_this_version() -> None:
    """A golden value: a change of regions is meant, or it is a fault."""
    rgb, inside = disk_scene(96, 128, 5)
    scores = scores_of(np.where(inside, 3, 0).astype(np.uint8), CATALOG)
    hierarchy = build_hierarchy(rgb, ClassProbabilities.of(scores, 3, inside.shape))
    found = [np.unique(hierarchy.cuts[level]).size for level in range(LEVELS)]
    assert found == [2596, 1400, 760, 410, 220, 120, 64, 36, 20, 11, 6, 3]
    coarse = hierarchy.cuts[11][hierarchy.leaves]
    sizes = sorted(np.unique(coarse, return_counts=True)[1].tolist())
    assert (sum(sizes), len(sizes)) == (96 * 128, 3)
    assert hashlib.sha256(np.unique(coarse, return_inverse=True)[1].astype(np.uint8).tobytes()).hexdigest()[:12] == "aaf1738743b5"


def test_probabilities_are_read_alike_in_parts_and_as_a_whole() -> None:
    rng = np.random.default_rng(2)
    values = rng.random((3, 7, 9)).astype(np.float32)
    probabilities = ClassProbabilities.of(values / values.sum(axis=0), 3, (50, 61))
    whole = probabilities.plane(1, (50, 61))
    box = Box(13, 20, 30, 17)
    assert np.allclose(probabilities.part(1, box), whole[box.slices], atol=1e-5)
    mask = rng.random((17, 30)) < 0.5
    cells = probabilities.values[:, (2 * np.arange(20, 37) + 1) * 7 // 100][:, :, (2 * np.arange(13, 43) + 1) * 9 // 122]
    assert np.allclose(probabilities.mean(box, mask), [cells[c][mask].mean() for c in range(3)])

"""Tile patches: exact both ways, small, and careful with damaged bytes."""

import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.state.document import Document
from app.state.patch import PatchRecorder, TilePatch, diff_patch, patch_of_region, tiles_under
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import ProjectError
from deeplab_core.geometry import Box

NARROW = ClassCatalog("narrow", "Narrow", tuple(ClassInfo(n, f"class {n}", (0, 0, 0)) for n in range(9)))
WIDE = ClassCatalog("wide", "Wide", tuple(ClassInfo(n, f"class {n}", (0, 0, 0)) for n in range(300)))

sizes = st.tuples(st.integers(1, 150), st.integers(1, 150))
seeds = st.integers(0, 2**32 - 1)
places = st.integers(-20, 170)
catalogs = st.sampled_from([NARROW, WIDE])


def maps(seed, shape, catalog):
    rng = np.random.default_rng(seed)
    return rng.choice(catalog.ids, size=shape).astype(catalog.dtype), rng.integers(0, 5, size=shape).astype(np.uint8)


@given(sizes, seeds, catalogs)
def test_a_difference_applied_and_taken_back_is_exact(shape, seed, catalog):
    labels, provenance = maps(seed, shape, catalog)
    new_labels, new_provenance = maps(seed + 1, shape, catalog)
    patch = TilePatch.from_bytes(diff_patch(labels, provenance, new_labels, new_provenance).to_bytes())
    document = Document(labels.copy(), catalog, provenance.copy())
    document.apply(patch)
    assert np.array_equal(document.labels, new_labels)
    assert np.array_equal(document.provenance, new_provenance)
    document.apply(patch.inverted())
    assert np.array_equal(document.labels, labels)
    assert np.array_equal(document.provenance, provenance)
    assert patch.changed_pixels == np.count_nonzero(labels != new_labels)


@given(sizes, seeds, st.data())
def test_a_region_changes_only_the_region(shape, seed, data):
    labels, provenance = maps(seed, shape, NARROW)
    x, y = data.draw(st.integers(0, shape[1] - 1)), data.draw(st.integers(0, shape[0] - 1))
    rect = Box(x, y, data.draw(st.integers(1, shape[1] - x)), data.draw(st.integers(1, shape[0] - y)))
    new_labels, new_provenance = maps(seed + 1, (rect.height, rect.width), NARROW)
    document = Document(labels.copy(), NARROW, provenance.copy())
    document.apply(patch_of_region(labels, provenance, rect, new_labels, new_provenance))
    expected = labels.copy()
    expected[rect.slices] = new_labels
    assert np.array_equal(document.labels, expected)
    assert np.array_equal(document.provenance[rect.slices], new_provenance)


@given(seeds, st.lists(st.tuples(places, places, st.integers(1, 60), st.integers(1, 60)), max_size=5))
def test_a_recorder_keeps_what_was_there_first(seed, boxes):
    shape = 131, 149
    labels, provenance = maps(seed, shape, NARROW)
    before = labels.copy(), provenance.copy()
    recorder = PatchRecorder(labels, provenance)
    for number, box in enumerate(boxes):
        rect = Box(*box).clipped(shape)
        recorder.touch(rect)
        labels[rect.slices] = number
        assert np.array_equal(recorder.original(rect), before[0][rect.slices])
    patch = recorder.finish()
    assert patch.changed_pixels == np.count_nonzero(labels != before[0])
    document = Document(labels, NARROW, provenance)
    document.apply(patch.inverted())
    assert np.array_equal(document.labels, before[0])


def test_what_ended_as_it_was_is_no_change():
    labels, provenance = maps(1, (100, 100), NARROW)
    recorder = PatchRecorder(labels, provenance)
    recorder.touch(Box(0, 0, 100, 100))
    assert recorder.finish().empty
    assert recorder.finish().bounds.empty
    assert diff_patch(labels, provenance, labels.copy(), provenance.copy()).empty


def test_one_pixel_costs_one_tile():
    labels, provenance = np.zeros((4096, 4096), np.uint8), np.zeros((4096, 4096), np.uint8)
    recorder = PatchRecorder(labels, provenance)
    recorder.touch(Box(1000, 2000, 1, 1))
    labels[2000, 1000] = 3
    patch = recorder.finish()
    assert patch.bounds == Box(960, 1984, 64, 64)
    assert patch.changed_pixels == 1
    assert patch.nbytes == len(patch.to_bytes()) < 250


@given(st.integers(0, 400), st.integers(0, 255))
def test_damaged_bytes_are_an_error_and_change_nothing(place, value):
    labels, provenance = maps(4, (70, 70), NARROW)
    new_labels, new_provenance = maps(5, (70, 70), NARROW)
    data = bytearray(diff_patch(labels, provenance, new_labels, new_provenance).to_bytes())
    data[place] ^= value
    document = Document(labels.copy(), NARROW, provenance.copy())
    try:
        document.apply(TilePatch.from_bytes(bytes(data)))
    except (ProjectError, ValueError):
        assert np.array_equal(document.labels, labels)
        assert document.revision == 0


@pytest.mark.parametrize("keep", [0, 3, 10, 21, 30, 100])
def test_bytes_that_end_early_are_an_error(keep):
    labels, provenance = maps(4, (70, 70), NARROW)
    data = diff_patch(labels, provenance, *maps(5, (70, 70), NARROW)).to_bytes()
    with pytest.raises(ProjectError):
        TilePatch.from_bytes(data[:keep])


def test_rectangles():
    assert Box(0, 0, 0, 5).empty
    assert Box(1, 2, 3, 4).united(Box(0, 0, 0, 0)) == Box(1, 2, 3, 4)
    assert Box(1, 2, 3, 4).united(Box(10, 0, 1, 1)) == Box(1, 0, 10, 6)
    assert Box(-5, -5, 10, 20).clipped((8, 100)) == Box(0, 0, 5, 8)
    assert list(tiles_under(Box(60, 60, 10, 3))) == [(0, 0), (0, 1)]
    assert list(tiles_under(Box(5, 5, 0, 3))) == []


@example(6510, 6510, 1)
@given(seeds, st.integers(0, 10_000), st.sampled_from([1, -1]))
def test_whatever_a_flipped_or_missing_byte_leaves_of_a_patch_is_exact(seed, place, direction):
    """Every tile that is salvaged is byte for byte the tile of the sound patch; the others are counted."""
    labels, provenance = maps(seed, (150, 140), NARROW)
    patch = diff_patch(labels, provenance, *maps(seed + 1, (150, 140), NARROW))
    wanted = {(t.row, t.column): t.after for t in (patch if direction > 0 else patch.inverted()).tiles}
    data = bytearray(patch.to_bytes())
    place %= len(data)
    for damaged in (bytes(data[:place]), bytes(data[:place]) + bytes([data[place] ^ 4]) + bytes(data[place + 1 :])):
        found, lost = TilePatch.salvage(damaged, direction)
        if found is None:
            continue  # nothing says where its tiles belong
        # Bits behind the end of a stream mean nothing, so the contents are compared.
        assert all(zlib.decompress(t.after) == zlib.decompress(wanted[t.row, t.column]) for t in found.tiles)
        assert len(found.tiles) + lost == len(patch.tiles)


@pytest.mark.parametrize("row", [3, 60_000])
def test_a_tile_outside_the_map_is_damage(row):
    labels, provenance = maps(1, (150, 140), NARROW)
    data = bytearray(diff_patch(labels, provenance, *maps(2, (150, 140), NARROW)).to_bytes())
    data[21:23] = row.to_bytes(2, "little")
    with pytest.raises(ProjectError, match="cannot be there"):
        TilePatch.from_bytes(bytes(data))


def test_records_of_older_versions_have_no_checksum_and_are_read():
    """8f62d5b wrote no tail, and reads no further than the last tile."""
    labels, provenance = maps(3, (150, 140), NARROW)
    patch = diff_patch(labels, provenance, *maps(4, (150, 140), NARROW))
    data = patch.to_bytes()
    assert TilePatch.from_bytes(data[:-8]) == TilePatch.from_bytes(data) == patch
    swapped = bytearray(data)
    swapped[25:29], swapped[29:33] = data[29:33], data[25:29]
    with pytest.raises(ProjectError):
        TilePatch.from_bytes(bytes(swapped))


@given(st.sets(st.tuples(st.integers(0, 8), st.integers(0, 11)), max_size=40), st.integers(1, 50), catalogs)
def test_rectangles_of_a_patch_hold_its_tiles_and_listeners_hear_of_those(places, most, catalog):
    shape = 9 * 64 - 20, 12 * 64 - 3
    labels, provenance = np.zeros(shape, catalog.dtype), np.zeros(shape, np.uint8)
    new = labels.copy()
    for row, column in places:
        new[row * 64 + 5, column * 64 + 7] = 3
    patch = diff_patch(labels, provenance, new, provenance)
    assert sum((part.tiles for part in patch.parts(most)), ()) == patch.tiles
    assert all(len(part.tiles) <= most for part in patch.parts(most))
    covered = np.zeros(shape, int)
    for rect in patch.rects():
        assert rect.clipped(shape) == rect
        covered[rect.slices] += 1
    assert covered.max(initial=0) <= 1
    assert covered[new == 3].all()
    assert covered.sum() <= 3 * len(places) * 64**2
    document = Document(labels.copy(), catalog, provenance)
    heard = []
    document.changed.connect(heard.append)
    document.start(patch)
    while document.advance():
        pass
    assert np.array_equal(document.labels, new)
    for change in reversed(heard):
        for rect, before in change.parts:
            document.labels[rect.slices] = before
    assert np.array_equal(document.labels, labels)


@given(sizes, seeds, st.booleans())
def test_a_patch_knows_which_provenance_it_gives(shape, seed, plain):
    labels, provenance = maps(seed, shape, NARROW)
    after = np.full(shape, seed % 5, np.uint8) if plain else maps(seed + 1, shape, NARROW)[1]
    patch = diff_patch(labels, provenance, labels, after)
    for value in range(6):
        assert patch.gives(value) == any((found == value).any() for _, _, found in patch.after_tiles())

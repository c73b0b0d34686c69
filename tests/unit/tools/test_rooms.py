"""Rendered rooms: exact masks, a camera's traces, and (where the renderer is installed) the same room from the same seed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tools.rooms.degrade import degrade
from tools.rooms.mask import VOID, mask_from_ids
from tools.rooms.settings import OtherRoomsError, keep_settings

ROOT = Path(__file__).resolve().parents[3]
renderer = pytest.mark.skipif(find_spec("bpy") is None, reason="the renderer (extra 'scenes') is not installed")


@given(arrays(np.uint8, (12, 17), elements=st.integers(0, 4)), st.integers(1, 3))
def test_the_mask_is_the_objects_class_or_void_near_an_edge(ids: np.ndarray, ring: int) -> None:
    classes = [9, 18, 9, 5]
    mask = mask_from_ids(ids, classes, ring=ring)
    expected = np.array([0, *classes], np.uint8)[ids]
    assert ((mask == expected) | (mask == VOID)).all()
    height, width = ids.shape
    for y in range(height):
        for x in range(width):
            # Chebyshev distance to the boundary between two pixels: a ring of `ring` px is on each side of it.
            window = ids[max(0, y - ring) : y + ring + 1, max(0, x - ring) : x + ring + 1]
            if (window == ids[y, x]).all():
                assert mask[y, x] == expected[y, x]


def test_the_ring_is_even_on_both_sides() -> None:
    ids = np.zeros((20, 20), np.uint8)
    ids[:, 10:] = 1
    for ring in (1, 2):
        row = mask_from_ids(ids, [9], ring=ring)[10]
        assert np.flatnonzero(row == VOID).tolist() == list(range(10 - ring, 10 + ring))
        assert (row[: 10 - ring] == 0).all()
        assert (row[10 + ring :] == 9).all()


def test_void_separates_two_objects_of_one_class() -> None:
    ids = np.ones((10, 10), np.uint8)
    ids[:, 5:] = 2
    assert (mask_from_ids(ids, [9, 9], ring=1)[:, 4:6] == VOID).all()


def test_the_camera_is_deterministic_and_keeps_the_picture_recognisable() -> None:
    picture = np.random.default_rng(0).integers(60, 200, (30, 40), dtype=np.uint8).repeat(3).reshape(30, 40, 3)
    one, quality = degrade(picture, Random(5))
    again, same = degrade(picture, Random(5))
    assert np.array_equal(one, again)
    assert quality == same
    assert one.dtype == np.uint8
    assert 60 <= quality <= 100
    assert not np.array_equal(one, degrade(picture, Random(6))[0])
    assert abs(one.astype(float).mean() - picture.mean()) < 30


def test_a_folder_keeps_rooms_of_one_making(tmp_path: Path) -> None:
    wanted = {"seed": 1, "themes": {"living": 30}}
    keep_settings(tmp_path / "set", wanted)
    keep_settings(tmp_path / "set", wanted)  # a run that was stopped goes on
    with pytest.raises(OtherRoomsError, match="seed is 1 there"):
        keep_settings(tmp_path / "set", {**wanted, "seed": 2})
    (tmp_path / "old" / "images").mkdir(parents=True)
    (tmp_path / "old" / "images" / "room_00000.jpg").write_bytes(b"")
    with pytest.raises(OtherRoomsError, match="unknown settings"):
        keep_settings(tmp_path / "old", wanted)
    (tmp_path / "set" / "rooms.json").write_text("[")
    with pytest.raises(OtherRoomsError, match="damaged"):
        keep_settings(tmp_path / "set", wanted)


@renderer
@pytest.mark.slow
def test_a_room_is_the_same_from_the_same_seed(tmp_path: Path) -> None:
    base = [sys.executable, "-m", "tools.rooms", "--count", "1", "--first", "3", "--size", "160x120", "--samples", "2"]
    for name in ("one", "two"):
        subprocess.run([*base, "--out", str(tmp_path / name)], cwd=ROOT, check=True, capture_output=True)
    for part in ("images/room_00003.jpg", "truth/room_00003.png", "objects/room_00003.json"):
        assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "two" / part).read_bytes()
    mask = np.array(Image.open(tmp_path / "one" / "truth/room_00003.png"))
    rows = json.loads((tmp_path / "one" / "objects/room_00003.json").read_text())["objects"]
    assert set(np.unique(mask)) <= {0, VOID} | {row["voc_id"] for row in rows}
    for row in rows:
        assert 0 <= row["visible_fraction"] <= 1
        assert row["visible_px"] <= row["silhouette_px"]
        # without the ring, no more pixels of the class than its objects show
        assert np.count_nonzero(mask == row["voc_id"]) <= sum(r["visible_px"] for r in rows if r["voc_id"] == row["voc_id"])

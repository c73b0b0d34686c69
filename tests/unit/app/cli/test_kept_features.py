"""Features that ``atrous similar`` keeps between calls."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.cli.kept_features import KeptFeatures
from deeplab_core.analysis.similarity import VECTORS
from deeplab_core.catalogs import get_catalog
from deeplab_core.records import ModelCard

CARD = ModelCard(id="net", name="Net", architecture={}, catalog=get_catalog("voc21"), sha256="ab" * 32)


def vectors(value: float) -> np.ndarray:
    return np.full((VECTORS, 8), value, np.float16)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    return path


def test_features_go_by_the_content_of_image_and_weights(tmp_path: Path, image: Path) -> None:
    cache = KeptFeatures(CARD, tmp_path / "cache")
    place = cache.path_of(image)
    assert place is not None
    assert cache.get(place) is None
    cache.put(place, vectors(0.5))
    np.testing.assert_array_equal(cache.get(place), vectors(0.5))
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(b"one")
    assert cache.path_of(copy) == place, "its name does not matter"
    copy.write_bytes(b"two")
    assert cache.path_of(copy) != place
    assert KeptFeatures(replace(CARD, sha256="cd" * 32), tmp_path / "cache").path_of(image) != place
    assert KeptFeatures(replace(CARD, sha256=""), tmp_path / "cache").path_of(image) is None, "it may be any weights"
    assert cache.path_of(tmp_path / "missing.jpg") is None
    place.write_bytes(b"damaged")
    assert cache.get(place) is None


def test_the_cache_is_bounded_and_keeps_what_was_used_last(tmp_path: Path, image: Path) -> None:
    size = vectors(0.0).nbytes
    cache = KeptFeatures(CARD, tmp_path / "cache", most_bytes=2 * size)
    places = []
    for number in range(3):
        image.write_bytes(bytes([number]))
        place = cache.path_of(image)
        cache.put(place, vectors(number))
        os.utime(place, (1000 + number, 1000 + number))
        places.append(place)
    assert cache.get(places[0]) is not None
    cache.trim()
    assert [place.exists() for place in places] == [True, False, True]

"""Features that "more like this" compares: pooled, of one length, of the encoder, without the padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deeplab_core.analysis.similarity import VECTORS, from_bytes, most_similar, pooled_vectors, similarity, to_bytes
from deeplab_core.errors import Cancelled
from deeplab_core.geometry import Box
from deeplab_core.inference import Predictor
from deeplab_core.inference.embedding import SIDE, embed
from deeplab_core.nn import create_model


class Colours(nn.Module):
    """One convolution that gives the mean colour of 4 x 4 px, and a classifier after it."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 3, 4, stride=4, bias=False)
        with torch.no_grad():
            self.look.weight.zero_()
            for channel in range(3):
                self.look.weight[channel, channel] = 1 / 16
        self.classify = nn.Conv2d(3, 2, 1)
        self.up = nn.Upsample(scale_factor=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(self.classify(self.look(x)))


def image(*colours: tuple[int, int, int]) -> np.ndarray:
    """Upright stripes of equal width."""
    return np.concatenate([np.full((64, 32, 3), colour, np.uint8) for colour in colours], axis=1)


@pytest.fixture(scope="module")
def deeplab() -> Predictor:
    torch.manual_seed(0)
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=3, output_stride=16)
    return Predictor.of(model, classes=3)


def test_pooled_means_of_a_small_map() -> None:
    features = np.zeros((2, 3, 3), np.float32)
    features[0], features[1, 2, 0] = 3, 4
    vectors = pooled_vectors(features).astype(np.float64)
    assert vectors.shape == (VECTORS, 2)
    np.testing.assert_allclose(vectors[0], np.array([3, 4 / 9]) / np.hypot(3, 4 / 9), atol=1e-3)
    np.testing.assert_allclose(vectors[1 + 6], [0.6, 0.8], atol=1e-3)  # the lower left part
    np.testing.assert_allclose(pooled_vectors(features, (0.0, 0.67, 0.33, 1.0))[0], [0.6, 0.8], atol=1e-3)
    assert not pooled_vectors(np.zeros((2, 1, 1), np.float32)).any()


@settings(deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 1000), st.tuples(*[st.floats(0, 1)] * 4))
def test_vectors_have_length_one_and_any_region_has_a_cell(height: int, width: int, seed: int, ends: tuple) -> None:
    features = np.random.default_rng(seed).random((5, height, width), np.float32) + 0.1
    left, right = sorted(ends[:2])
    top, bottom = sorted(ends[2:])
    for vectors in (pooled_vectors(features), pooled_vectors(features, (left, top, right, bottom))):
        np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=2e-3)
        assert similarity(vectors, vectors, of_region=False) == pytest.approx(1, abs=3e-3)
    np.testing.assert_array_equal(from_bytes(to_bytes(pooled_vectors(features))), pooled_vectors(features))


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 19, np.full(2 * VECTORS, np.nan, "<f2").tobytes()])
def test_damaged_vectors_are_none(data: bytes) -> None:
    assert from_bytes(data) is None


def test_the_order_of_a_small_folder() -> None:
    """Reds first for a red image, and for a red region the image that has red somewhere."""
    predictor = Predictor.of(Colours(), classes=2)
    red, blue, green = (255, 0, 0), (0, 0, 255), (0, 255, 0)
    folder = {1: image(green, green, green), 2: image(red, red, blue), 3: image(red, red, red), 4: image(blue, blue, red)}
    vectors = {number: embed(predictor, rgb) for number, rgb in folder.items()}
    order = [number for number, _ in most_similar(embed(predictor, image(red, red, red)), vectors, of_region=False)]
    assert order[0] == 3
    assert order[1] == 2
    region = embed(predictor, image(blue, red, green), region=Box(64, 0, 32, 64))
    assert region.shape[0] == 1
    found = most_similar(region, vectors, of_region=True)
    assert found[0][0] == 1, "the region is green"
    other = np.ones((1, 7), np.float16)
    assert most_similar(other, vectors, of_region=False) == [], "features of another network are not compared"


def test_the_features_are_those_of_the_encoder(deeplab: Predictor) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (70, 100, 3), np.uint8)
    vectors = embed(deeplab, rgb)
    assert vectors.shape == (VECTORS, deeplab.model.encoder.level_channels[-1])
    np.testing.assert_array_equal(vectors, embed(deeplab, rgb))
    large = np.kron(rgb, np.ones((8, 8, 1), np.uint8))
    assert max(large.shape) > SIDE
    assert similarity(vectors, embed(deeplab, large), of_region=False) > 0.9, "an image is as alike to its enlargement"


def test_cancelling(deeplab: Predictor) -> None:
    with pytest.raises(Cancelled):
        embed(deeplab, np.zeros((64, 64, 3), np.uint8), cancel=lambda: True)

"""The compact watershed and the merge tree against scikit-image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.kernels.region_tree import border_pairs, merge_tree
from deeplab_core.kernels.watershed import LARGEST, grid_markers, watershed

segmentation = pytest.importorskip("skimage.segmentation", reason="scikit-image is not installed (extra 'references')")
graph = pytest.importorskip("skimage.graph", reason="scikit-image is not installed (extra 'references')")


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.floats(1e-4, 2.0), st.integers(0, 2**32 - 1))
def test_the_watershed_is_scikit_images(height: int, width: int, wanted: int, compactness: float, seed: int) -> None:
    relief = np.random.default_rng(seed).random((height, width), np.float32) * np.float32(30)
    places = grid_markers(relief, wanted)
    markers = np.zeros((height, width), np.int32)
    markers.ravel()[places] = np.arange(1, places.size + 1)
    expected = segmentation.watershed(relief, markers, compactness=compactness)
    assert np.array_equal(watershed(relief, places, compactness) + 1, expected)


def test_flat_ground_is_shared_by_distance_and_the_same_each_time() -> None:
    relief = np.zeros((20, 30), np.float32)
    places = np.array([5 * 30 + 4, 15 * 30 + 24])
    first, again = watershed(relief, places, 0.1), watershed(relief, places, 0.1)
    assert np.array_equal(first, again)
    y, x = np.mgrid[:20, :30]
    to_first, to_second = (y - 5) ** 2 + (x - 4) ** 2, (y - 15) ** 2 + (x - 24) ** 2
    decided = to_first != to_second
    assert np.array_equal((first == 1)[decided], (to_second < to_first)[decided])


def test_markers_are_the_lowest_pixels_of_their_places() -> None:
    relief = np.full((12, 12), 5, np.float32)
    relief[2, 3] = 1
    places = grid_markers(relief, 4)
    assert places.size == 4
    assert 2 * 12 + 3 in places
    assert grid_markers(np.zeros((1, 1), np.float32), 2600).tolist() == [0]


def test_an_image_that_cannot_be_numbered_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        watershed(np.broadcast_to(np.float32(0), (LARGEST + 1, 1)), np.zeros(1, np.int64), 1.0)


@settings(max_examples=12)
@given(st.integers(2, 14), st.integers(2, 14), st.integers(2, 24), st.integers(0, 2**32 - 1))
def test_the_merge_tree_is_scikit_images(height: int, width: int, wanted: int, seed: int) -> None:
    """``merge_hierarchical`` with our cost: the same regions after every number of merges."""
    rng = np.random.default_rng(seed)
    relief = rng.random((height, width)).astype(np.float32)
    leaves = watershed(relief, grid_markers(relief, wanted), 0.01)
    count = int(leaves.max()) + 1
    pixels = np.bincount(leaves.ravel()).astype(np.int64)
    features = rng.random((count, 3)) * 100
    pairs, strengths = border_pairs(leaves, relief)
    found, place = np.unique(pairs, return_inverse=True)
    ends = np.stack([found >> 32, found & 0xFFFFFFFF], axis=1).astype(np.int32)
    borders = np.stack([np.bincount(place, weights=strengths.astype(float)), np.bincount(place)], axis=1).astype(float)
    parents = merge_tree(features, pixels, ends, borders, 0.7, 0.3)

    def cost(one: dict, other: dict, strength: float, length: float) -> float:
        size = one["pixels"] * other["pixels"] / (one["pixels"] + other["pixels"])
        return float((np.linalg.norm(one["feature"] - other["feature"]) + 0.7 * strength / length) * size**0.3)

    def fresh() -> Any:
        rag = graph.RAG()
        for node in range(count):
            rag.add_node(node, labels=[node], pixels=int(pixels[node]), feature=features[node].copy())
        for (a, b), (strength, length) in zip(ends.tolist(), borders.tolist(), strict=True):
            weight = cost(rag.nodes[a], rag.nodes[b], strength, length)
            rag.add_edge(a, b, weight=weight, strength=strength, length=length)
        return rag

    def join(rag: Any, source: int, target: int) -> None:
        one, other = rag.nodes[source], rag.nodes[target]
        total = one["pixels"] + other["pixels"]
        other["feature"] = (one["feature"] * one["pixels"] + other["feature"] * other["pixels"]) / total
        other["pixels"] = total

    def weigh(rag: Any, _source: int, target: int, neighbour: int) -> dict:
        edges = [rag[node][neighbour] for node in (_source, target) if rag.has_edge(node, neighbour)]
        strength, length = sum(edge["strength"] for edge in edges), sum(edge["length"] for edge in edges)
        weight = cost(rag.nodes[target], rag.nodes[neighbour], strength, length)
        return {"weight": weight, "strength": strength, "length": length}

    for left in {count, (count + 1) // 2, 1}:
        ours = np.arange(count)
        for _ in range(count):
            above = parents[ours]
            ours = np.where(above < 2 * count - left, above, ours)
        rag = fresh()

        class Limit(float):
            """Every edge is below it until so many regions are left."""

            def __gt__(self, _weight: float, rag: Any = rag, left: int = left) -> bool:
                return rag.number_of_nodes() > left

        theirs = graph.merge_hierarchical(leaves.copy(), rag, Limit(0.0), False, True, join, weigh)
        assert np.unique(theirs).size == left
        assert _same_partition(ours[leaves], theirs)


def _same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return pairs.shape[1] == np.unique(one).size == np.unique(other).size

"""Error components of an image, and the index over a folder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis import (
    CellImage,
    ErrorComponents,
    FailureKind,
    FolderAnalysis,
    ImageErrors,
    component_mask,
    find_errors,
    inspect_image,
)
from deeplab_core.errors import CatalogError, ProjectError
from deeplab_core.geometry import Box
from deeplab_core.metrics import ConfusionMatrix
from tests.unit.core.analysis import oracle
from tests.unit.core.metrics.maps import GAPPED, WIDE, catalog_of, label_maps

CATALOG = catalog_of(0, 9, 18)

pairs = st.sampled_from([CATALOG, GAPPED, WIDE]).flatmap(
    lambda catalog: st.tuples(
        st.just(catalog), label_maps(catalog, (7, 8)), label_maps(catalog, (7, 8)), st.integers(0, 2**32 - 1)
    )
)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A chair (9) called sofa (18) in two pieces that touch nowhere, and one pixel of background called chair."""
    truth, prediction = np.zeros((10, 12), np.uint8), np.zeros((10, 12), np.uint8)
    truth[1:7, 2:8] = prediction[1:7, 2:8] = 9
    prediction[1:3, 2:8] = 18
    prediction[5, 4] = 18
    prediction[9, 11] = 9
    return truth, prediction


def test_a_cell_has_its_components_with_place_and_size() -> None:
    truth, prediction = scene()
    errors = find_errors(truth=truth, prediction=prediction, catalog=CATALOG)
    assert errors.cell(9, 18) == (13, 2)
    assert errors.cell(18, 9) == (0, 0)
    large, small = errors.listed("a.png", 9, 18)
    assert (large.image, large.truth, large.prediction) == ("a.png", 9, 18)
    assert (large.box, large.pixels, large.anchor) == (Box(2, 1, 6, 2), 12, (2, 1))
    assert large.centroid == pytest.approx((4.5, 1.5))
    assert (small.box, small.pixels) == (Box(4, 5, 1, 1), 1)
    assert [entry.truth for entry in errors.listed("a.png", prediction=9)] == [0]


def test_the_mask_of_a_component_is_found_again() -> None:
    truth, prediction = scene()
    prediction[2, 4:6] = 9  # a bay, so that the box is more than the component
    large = find_errors(truth=truth, prediction=prediction, catalog=CATALOG).listed("a.png", 9, 18)[0]
    mask = component_mask(large, truth=truth, prediction=prediction)
    np.testing.assert_array_equal(mask, [[True] * 6, [True, True, False, False, True, True]])
    prediction[1, 2] = 9  # its anchor was corrected
    assert not component_mask(large, truth=truth, prediction=prediction).any()


@given(pairs)
@settings(max_examples=40)
def test_cells_add_up_to_the_confusion_matrix(case: tuple) -> None:
    catalog, truth, prediction, seed = case
    exclude = np.random.default_rng(seed).random(truth.shape) < 0.2
    errors = find_errors(truth=truth, prediction=prediction, catalog=catalog, exclude=exclude)
    folder = FolderAnalysis(catalog)
    folder.update("one", inspect_image(truth=truth, prediction=prediction, catalog=catalog, exclude=exclude))
    counts = ConfusionMatrix(catalog).update(truth=np.where(exclude, catalog.ignore, truth), prediction=prediction).counts.copy()
    np.fill_diagonal(counts, 0)
    np.testing.assert_array_equal(folder.error_cells()[0], counts)
    assert folder.error_cells()[1].sum() == errors.components.sum()
    assert folder.wrong_px == counts.sum()
    # Each listed component is one of the connected ones, largest first, and every one is listed in so small an image.
    sizes = [entry.pixels for entry in errors.listed("one")]
    assert sizes == sorted(sizes, reverse=True)
    wrong = (truth != prediction) & (truth != catalog.ignore) & ~exclude
    code = truth.astype(np.int64) * 70000 + prediction
    assert sorted(sizes) == sorted(len(part) for part in oracle.brute_regions(code, lambda pixel: bool(wrong[pixel])))
    assert errors.components.sum() == len(sizes)


@given(pairs)
@settings(max_examples=40)
def test_bytes_give_the_same_back(case: tuple) -> None:
    catalog, truth, prediction, _ = case
    errors = find_errors(truth=truth, prediction=prediction, catalog=catalog)
    again = ImageErrors.from_bytes(errors.to_bytes())
    assert again.listed("x") == errors.listed("x")
    for name in ("cells", "pixels", "components", "kind_components"):
        np.testing.assert_array_equal(getattr(again, name), getattr(errors, name))


def test_damaged_bytes_are_said() -> None:
    truth, prediction = scene()
    data = find_errors(truth=truth, prediction=prediction, catalog=CATALOG).to_bytes()
    for broken in (b"", b"XXXX", data[:-3], data[:8] + bytes([data[8] ^ 255]) + data[9:]):
        with pytest.raises(ProjectError, match="damaged"):
            ImageErrors.from_bytes(broken)


def test_lists_are_bounded_and_counts_are_not() -> None:
    truth = np.zeros((40, 40), np.uint8)
    prediction = truth.copy()
    prediction[::2, ::2] = 9
    prediction[0, 0] = prediction[0, 4] = 18
    errors = find_errors(truth=truth, prediction=prediction, catalog=CATALOG, per_cell=5, per_image=6)
    assert errors.cell(0, 9) == (398, 398)
    assert len(errors.listed("x", 0, 9)) == 5
    assert len(errors.rows) == 6


def test_undeclared_ids_and_shapes_are_refused() -> None:
    truth, prediction = scene()
    prediction[0, 0] = 77
    with pytest.raises(CatalogError, match="77"):
        find_errors(truth=truth, prediction=prediction, catalog=CATALOG)
    with pytest.raises(ValueError, match="shape"):
        find_errors(truth=truth, prediction=prediction[:4], catalog=CATALOG)
    with pytest.raises(CatalogError, match="uint8 map"):
        find_errors(truth=truth, prediction=truth.astype(np.int32), catalog=CATALOG)


def test_from_a_cell_of_a_folder_to_images_and_components() -> None:
    truth, prediction = scene()
    index = ErrorComponents()
    index.update("small.png", find_errors(truth=truth, prediction=prediction, catalog=CATALOG))
    prediction = prediction.copy()
    prediction[3:7, 2:8] = 18
    index.update("large.png", find_errors(truth=truth, prediction=prediction, catalog=CATALOG))
    index.update("mirrored.png", find_errors(truth=prediction, prediction=truth, catalog=CATALOG))
    assert index.images(truth=9, prediction=18) == [CellImage("large.png", 36, 1), CellImage("small.png", 13, 2)]
    found = index.components(truth=9, prediction=18)
    assert [(entry.image, entry.pixels) for entry in found] == [("large.png", 36), ("small.png", 12), ("small.png", 1)]
    assert len(index.components(truth=9, prediction=18, both_ways=True)) == 4
    assert len(index.components(limit=2)) == 2

    index.update("large.png", find_errors(truth=truth, prediction=truth, catalog=CATALOG))  # corrected
    assert index.images(truth=9, prediction=18) == [CellImage("small.png", 13, 2)]
    index.remove("small.png")
    index.remove("mirrored.png")
    index.remove("never there")
    assert list(index) == ["large.png"]


def test_components_of_a_kind_of_failure() -> None:
    truth, prediction = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    truth[4:20, 4:20] = 9  # a chair called sofa
    prediction[4:20, 4:20] = 18
    prediction[30:36, 30:36] = 9  # an invented chair
    index = ErrorComponents()
    index.update("a", inspect_image(truth=truth, prediction=prediction, catalog=CATALOG, things=frozenset((9, 18))).errors)
    (swap,) = index.components(kind=FailureKind.CLASS_SWAP)
    assert (swap.truth, swap.prediction, swap.pixels) == (9, 18, 256)
    assert FailureKind.CLASS_SWAP in swap.kinds
    (invented,) = index.components(kind=FailureKind.INVENTED_OBJECT)
    assert invented.box == Box(30, 30, 6, 6)
    assert index.components(kind=FailureKind.CLASS_SWAP, truth=18) == []


@given(st.lists(st.tuples(label_maps(CATALOG, (5, 6)), label_maps(CATALOG, (5, 6))), max_size=4), st.integers(1, 8))
@settings(max_examples=40)
def test_the_largest_of_a_folder_are_the_largest_of_all(maps: list[tuple[np.ndarray, np.ndarray]], limit: int) -> None:
    index, everything = ErrorComponents(), []
    for number, (truth, prediction) in enumerate(maps):
        errors = find_errors(truth=truth, prediction=prediction, catalog=CATALOG)
        index.update(f"{number}.png", errors)
        everything += errors.listed(f"{number}.png")
    for truth_id, prediction_id in ((None, None), (9, None), (None, 18), (9, 18)):
        wanted = [
            entry.pixels for entry in everything if truth_id in (None, entry.truth) and prediction_id in (None, entry.prediction)
        ]
        found = index.components(truth=truth_id, prediction=prediction_id, limit=limit)
        assert [entry.pixels for entry in found] == sorted(wanted, reverse=True)[:limit]

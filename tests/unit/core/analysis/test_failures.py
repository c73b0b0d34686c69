"""Objects, kinds of failure, and what repairing one would win."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from deeplab_core.analysis import (
    KINDS,
    PARTS,
    FailureKind,
    FailureRules,
    FolderAnalysis,
    KnownObject,
    inspect_image,
    partition_errors,
    read_known_objects,
    repaired_iou,
    things_of,
)
from deeplab_core.analysis.failures import kind_masks
from deeplab_core.analysis.objects import find_objects
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.geometry import Box
from deeplab_core.metrics import ConfusionMatrix
from tests.unit.core.metrics.maps import catalog_of, label_maps, naive_iou

VOC = get_catalog("voc21")
CHAIR, TABLE, PERSON, SOFA = 9, 11, 15, 18


def room(height: int = 60, width: int = 80) -> np.ndarray:
    return np.zeros((height, width), np.uint8)


def judged(truth: np.ndarray, prediction: np.ndarray, **more: object) -> dict[FailureKind, tuple[int, int]]:
    """Pixels and instances by kind, those without any left out."""
    failures = inspect_image(truth=truth, prediction=prediction, catalog=VOC, **more).failures
    return {
        kind: (int(pixels), int(number))
        for kind, pixels, number in zip(KINDS, failures.pixels, failures.instances, strict=True)
        if pixels or number
    }


def test_a_right_image_has_no_failures() -> None:
    truth = room()
    truth[10:40, 10:40] = CHAIR
    assert judged(truth, truth.copy()) == {}


def test_a_missed_object() -> None:
    truth, prediction = room(), room()
    truth[10:30, 10:30] = CHAIR
    prediction[10:12, 10:28] = CHAIR  # 9 % is as good as nothing
    found = judged(truth, prediction)
    assert found[FailureKind.MISSED_OBJECT] == (400 - 36, 1)
    assert found[FailureKind.SMALL_OBJECT] == (364, 1)
    prediction[10:14, 10:28] = CHAIR
    assert FailureKind.MISSED_OBJECT not in judged(truth, prediction)


def test_an_object_called_another_class_is_swapped_and_not_missed() -> None:
    truth, prediction = room(), room()
    truth[10:50, 10:50], prediction[10:50, 10:50] = CHAIR, SOFA
    found = judged(truth, prediction)
    assert found == {FailureKind.SEGMENT: (1600, 1), FailureKind.CLASS_SWAP: (1600, 1)}


def test_where_two_objects_meet_the_edge_is_no_swap() -> None:
    truth, prediction = room(), room()
    truth[10:50, 10:40] = prediction[10:50, 10:40] = CHAIR
    truth[10:50, 40:70] = prediction[10:50, 40:70] = SOFA
    prediction[10:50, 40] = CHAIR
    found = judged(truth, prediction)
    assert found[FailureKind.BOUNDARY][0] == 40
    assert FailureKind.CLASS_SWAP not in found


def test_an_invented_object_stands_on_no_object() -> None:
    truth, prediction = room(), room()
    prediction[10:20, 10:20] = CHAIR
    assert judged(truth, prediction)[FailureKind.INVENTED_OBJECT] == (100, 1)
    truth[10:20, 10:20] = SOFA  # now it is a sofa called chair
    assert FailureKind.INVENTED_OBJECT not in judged(truth, prediction)
    truth[10:20, 10:20] = 255  # void: it may be there
    assert judged(truth, prediction) == {}


def test_an_object_at_the_image_border_is_truncated_also_behind_a_void_ring() -> None:
    truth, prediction = room(), room()
    truth[40:60, 10:60] = 255
    truth[42:58, 12:58] = SOFA
    found = judged(truth, prediction)
    assert found[FailureKind.BORDER_TRUNCATED] == (16 * 46, 1)


def test_an_occluder_cuts_an_object_in_two() -> None:
    """One person in front of a sofa: both halves are cut, with a void ring between or without."""
    truth = room()
    truth[20:40, 5:75] = SOFA
    truth[5:50, 36:42] = 255
    truth[5:50, 37:41] = PERSON
    prediction = np.where(truth == SOFA, 0, truth).astype(np.uint8)
    prediction[truth == 255] = 0
    table = inspect_image(truth=truth, prediction=prediction, catalog=VOC).objects
    assert table["parts"][table["class_id"] == SOFA].tolist() == [2, 2]
    assert judged(truth, prediction)[FailureKind.OCCLUDER_CUT][0] == int((truth == SOFA).sum())
    # Two sofas with a table elsewhere are two whole sofas.
    apart = room()
    apart[20:40, 5:30] = apart[20:40, 50:75] = SOFA
    apart[50:55, 5:75] = TABLE
    assert inspect_image(truth=apart, prediction=apart, catalog=VOC).objects["parts"].tolist() == [1, 1, 1]


def test_a_long_border_with_another_object_marks_both() -> None:
    truth = room()
    truth[10:30, 10:30] = CHAIR
    truth[10:30, 30:50] = TABLE
    table = inspect_image(truth=truth, prediction=room(), catalog=VOC).objects
    assert table["border_share"] == pytest.approx([0.25, 0.25])
    assert judged(truth, room(), rules=FailureRules(long_border=0.2))[FailureKind.OCCLUDER_CUT] == (800, 2)
    assert FailureKind.OCCLUDER_CUT not in judged(truth, room())  # not more than a quarter


def test_neighbours_of_the_same_class_are_counted_apart() -> None:
    truth = room()
    truth[10:30, 10:30] = truth[10:30, 31:51] = CHAIR
    truth[10:30, 30] = 255
    table = inspect_image(truth=truth, prediction=truth, catalog=VOC).objects
    assert len(table) == 2
    assert table["border_share"].tolist() == [0, 0]
    assert (table["same_share"] > 0.2).all()


def test_false_pixels_belong_to_the_object_that_was_overlapped_most() -> None:
    truth, prediction = room(), room()
    truth[10:30, 5:25] = truth[10:30, 45:65] = CHAIR
    prediction[10:30, 5:55] = CHAIR  # reaches over to the second one
    table = inspect_image(truth=truth, prediction=prediction, catalog=VOC).objects
    assert table["right"].tolist() == [400, 200]
    assert table["false"].tolist() == [400, 0]


def test_known_objects_bring_visible_fractions() -> None:
    truth = room()
    truth[10:30, 10:30] = truth[10:30, 40:60] = truth[40:50, 10:20] = CHAIR
    known = (
        KnownObject(CHAIR, Box(9, 9, 22, 22), 484, 0.3, True),
        KnownObject(CHAIR, Box(5, 5, 60, 50), 900, 0.9, False),
        KnownObject(SOFA, Box(10, 40, 10, 10), 100, 0.1, False),
    )
    found = inspect_image(truth=truth, prediction=room(), catalog=VOC, known=known)
    assert found.objects["visible_fraction"] == pytest.approx([0.3, 0.9, 0.9], nan_ok=True)
    assert found.objects["truncated"].tolist() == [True, False, False]
    assert found.objects["parts"].tolist() == [1, 2, 2]
    assert judged(truth, room(), known=known)[FailureKind.LOW_VISIBLE] == (400, 1)
    assert FailureKind.LOW_VISIBLE not in judged(truth, room())


def test_lists_of_objects_are_read(tmp_path: Path) -> None:
    rows = [
        {
            "voc_id": 9,
            "subtype": "shell",
            "number": 1,
            "box": [2, 3, 12, 33],
            "visible_px": 99,
            "visible_fraction": 0.25,
            "truncated": True,
        },
        {"voc_id": 9, "subtype": "shell", "number": 2, "box": None, "visible_px": 0, "visible_fraction": 0.0, "truncated": False},
    ]
    path = tmp_path / "room.json"
    path.write_text(json.dumps({"seed": 1, "objects": rows}))
    assert read_known_objects(path, VOC) == (KnownObject(9, Box(2, 3, 10, 30), 99, 0.25, True),)
    for text in ("[]", "{", '{"objects": [{"voc_id": 9}]}', '{"objects": [{"voc_id": 9, "box": [1]}]}'):
        path.write_text(text)
        with pytest.raises(MaskFormatError, match="list of objects"):
            read_known_objects(path, VOC)
    with pytest.raises(MaskFormatError):
        read_known_objects(tmp_path / "absent.json", VOC)


def test_stuff_is_no_object() -> None:
    assert 0 not in things_of(VOC)
    assert len(things_of(VOC)) == 20
    city = get_catalog("cityscapes19")
    assert {city.by_id(i).name for i in things_of(city)} == {
        "pole", "traffic light", "traffic sign", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    }  # fmt: skip
    assert things_of(catalog_of(1, 2)) == {1, 2}


CATALOG = catalog_of(0, 9, 18)


@given(label_maps(CATALOG, (8, 9)), label_maps(CATALOG, (8, 9)))
@settings(max_examples=25)
def test_repair_is_what_a_repaired_mask_scores(truth: np.ndarray, prediction: np.ndarray) -> None:
    things = frozenset((9, 18))
    folder = FolderAnalysis(CATALOG)
    folder.update("x", inspect_image(truth=truth, prediction=prediction, catalog=CATALOG, things=things))
    masks = _masks(truth, prediction, things)
    wrong = (truth != prediction) & (truth != 255)
    for row, mask in zip(folder.failures(), masks, strict=True):
        assert row.pixels == mask.sum()
        assert not mask[~wrong].any()
        if row.kind not in PARTS:
            repaired = np.where(mask, truth, prediction).astype(np.uint8)
            expected = [naive_iou(truth, repaired, int(class_id), 255) for class_id in CATALOG.ids]
            np.testing.assert_allclose(row.repaired, expected)
            mean = ConfusionMatrix(CATALOG).update(truth=truth, prediction=repaired).mean_iou("truth").value
            before = ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction).mean_iou("truth").value
            np.testing.assert_allclose(row.mean_gain, mean - before)
    total = folder.failure_total()
    # Every miss and every false alarm of a class is one of the three parts.
    off = total.counts.copy()
    np.fill_diagonal(off, 0)
    np.testing.assert_array_equal(total.missed[:3].sum(axis=0), off.sum(axis=1))
    np.testing.assert_array_equal(total.false[:3].sum(axis=0), off[:, :-1].sum(axis=0))
    iou, _ = repaired_iou(total.counts, total.missed[:3].sum(axis=0), total.false[:3].sum(axis=0))
    assert ((iou == 1) | np.isnan(iou)).all()


def test_a_repair_wins_nothing_by_making_an_invented_class_vanish() -> None:
    # One pixel of a class that the ground truth lacks: without it the mean runs over one class less under the rule "union".
    truth = np.zeros((20, 20), np.uint8)
    truth[:10] = 9
    prediction = truth.copy()
    prediction[0, 0] = 18
    folder = FolderAnalysis(CATALOG)
    inspected = inspect_image(truth=truth, prediction=prediction, catalog=CATALOG, things=frozenset({9, 18}))
    folder.update("x", inspected)
    gains = [row.mean_gain for row in folder.failures() if row.pixels]
    assert gains
    assert max(gains) == pytest.approx((1 - 199 / 200) / 2)  # the class that it hides; on 8f62d5b a third of the mean


def _masks(truth: np.ndarray, prediction: np.ndarray, things: frozenset[int]) -> np.ndarray:
    found = kind_masks(
        truth=truth,
        prediction=prediction,
        wrong=(truth != prediction) & (truth != 255),
        partition=partition_errors(truth=truth, prediction=prediction),
        objects=find_objects(truth=truth, prediction=prediction, catalog=CATALOG, things=things),
        things=things,
        ignore=255,
        rules=FailureRules(),
    )
    return np.stack([found.mask(kind) for kind in KINDS])


def test_the_board_follows_a_correction_and_names_images() -> None:
    truth, wrong = room(), room()
    truth[10:50, 10:50], wrong[10:50, 10:50] = CHAIR, SOFA
    folder = FolderAnalysis(VOC)
    folder.update("a", inspect_image(truth=truth, prediction=wrong, catalog=VOC))
    folder.update("b", inspect_image(truth=truth, prediction=truth, catalog=VOC))
    swap = folder.failures()[KINDS.index(FailureKind.CLASS_SWAP)]
    assert (swap.pixels, swap.share, swap.instances, swap.images) == (1600, 1.0, 1, 1)
    assert swap.gain[9] == pytest.approx(0.5)
    assert folder.failure_images(FailureKind.CLASS_SWAP) == [("a", 1600)]
    assert folder.failure_images(FailureKind.CLASS_SWAP, SOFA) == [("a", 1600)]
    assert folder.failure_images(FailureKind.CLASS_SWAP, PERSON) == []
    folder.update("a", inspect_image(truth=truth, prediction=truth, catalog=VOC))
    assert folder.failure_images(FailureKind.CLASS_SWAP) == []
    assert np.isnan(folder.failures()[0].share)
    folder.remove("a")
    assert len(folder) == 1


def test_excluded_truth_is_in_no_figure() -> None:
    truth, prediction = room(), room()
    truth[10:50, 10:50], prediction[10:50, 10:50] = CHAIR, SOFA
    found = inspect_image(truth=truth, prediction=prediction, catalog=VOC, exclude=truth == CHAIR)
    assert not found.failures.pixels.any()
    assert len(found.objects) == 0
    assert found.errors.listed("x") == []
    assert all(counts.sum() <= (truth == 0).sum() for counts in found.slices.values())

"""Masks that cannot be what they are taken for are said to be odd, and ordinary ones are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.labels import class_histogram
from deeplab_core.masks.plausibility import MaskStatistics, hidden_by_void, shifted_by_one, void_that_is_a_class
from deeplab_core.metrics.confusion import ConfusionMatrix

TWO = ClassCatalog("two", "Two", (ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "square", (255, 0, 0))), background=0)
ADE, VOC = get_catalog("ade20k150"), get_catalog("voc21")


def statistics(catalog: ClassCatalog, *masks: np.ndarray) -> MaskStatistics:
    found = MaskStatistics(catalog)
    for number, mask in enumerate(masks):
        found.add(f"{number}.png", class_histogram(mask.astype(catalog.dtype), catalog))
    return found


class TestBinaryMasks:
    def squares(self, folder: Path, value: int) -> list[np.ndarray]:
        folder.mkdir()
        found = []
        for number in range(6):
            mask = np.zeros((80, 100), np.uint8)
            mask[10 : 40 + number, 20:50] = value
            Image.fromarray(mask).save(folder / f"{number}.png")
            found.append(mask)
        return found

    def test_an_evaluation_says_that_void_hides_the_object(self, tmp_path: Path) -> None:
        self.squares(tmp_path / "m01", 1)
        masks = self.squares(tmp_path / "m0255", 255)
        share = float(np.mean([mask == 255 for mask in masks]))
        found = evaluate_folders(tmp_path / "m01", [tmp_path / "m0255"], TWO, boundary=False, resamples=0)
        text = " ".join(note.text for note in found.warnings if note.warning)
        assert "only 0 (background) and 255" in text
        assert f"{100 * share:.0f} % of the pixels count nowhere" in text
        assert "'square' never occurs" in text
        assert "100 % of what is predicted as 'square' lies where the ground truth is void" in text
        assert found.truth is not None
        assert found.truth.void_share == pytest.approx(share)
        assert found.truth.most_void[1] == "5.png"
        figures = json.loads(found.to_json())
        assert {"void"} == {note["kind"] for note in figures["warnings"] if note["warning"]}
        assert figures["truth_masks"]["absent_classes"] == ["square"]

    def test_the_right_masks_are_not_odd(self, tmp_path: Path) -> None:
        self.squares(tmp_path / "p", 1)
        self.squares(tmp_path / "t", 1)
        found = evaluate_folders(tmp_path / "p", [tmp_path / "t"], TWO, boundary=False, resamples=0)
        assert found.warnings == ()


class TestVoid:
    def test_its_share_is_given_by_folder_and_mask(self) -> None:
        some, none = np.zeros((10, 10)), np.zeros((10, 10))
        some[:3], some[3:6], none[:] = 255, 1, 1
        (found,) = statistics(TWO, some, none).findings()
        assert (found.kind, found.warning) == ("void", False)
        assert "15 % of the masks, at most 30 % (0.png)" in found.text

    def test_mostly_void_is_a_warning(self) -> None:
        mask = np.full((10, 10), 255)
        mask[0, :2] = 0, 1
        assert [note.warning for note in statistics(TWO, mask).findings()] == [True]

    def test_a_void_value_that_is_a_class_is_a_warning(self) -> None:
        clash = replace(TWO, file_ignore=0)
        assert "every pixel of 'background' is read as void" in void_that_is_a_class(clash)[0].text
        assert void_that_is_a_class(TWO) == []
        assert void_that_is_a_class(ADE) == []

    def test_ordinary_void_hides_no_class(self) -> None:
        matrix = np.array([[90, 3, 0], [2, 40, 0]])
        assert hidden_by_void(matrix, np.array([5, 60, 0]), TWO) == []  # square is in the ground truth
        assert hidden_by_void(np.array([[90, 30, 0], [0, 0, 0]]), np.array([5, 4, 0]), TWO) == []  # mostly elsewhere
        assert hidden_by_void(np.array([[90, 0, 0], [0, 0, 0]]), np.array([500, 9, 0]), TWO) == []  # a few px on the rim
        assert len(hidden_by_void(np.array([[90, 0, 0], [0, 0, 0]]), np.array([5, 90, 0]), TWO)) == 1


class TestAbsentClasses:
    @settings(max_examples=30)
    @given(st.sets(st.integers(0, 20), min_size=1))
    def test_they_are_counted_and_named(self, present: set[int]) -> None:
        mask = np.array([sorted(present)], np.uint8)
        found = [note for note in statistics(VOC, mask).findings() if note.kind == "classes"]
        absent = [info.name for info in VOC.classes if info.id not in present]
        assert len(found) == bool(absent)
        if len(absent) > 1:
            assert found[0].text.startswith(f"{len(absent)} of 21 classes never occur: '{absent[0]}'")

    def test_nothing_is_said_of_no_masks(self) -> None:
        assert MaskStatistics(VOC).findings() == []


class TestShiftedIds:
    def matrix(self, truth: np.ndarray, prediction: np.ndarray, catalog: ClassCatalog) -> np.ndarray:
        return ConfusionMatrix(catalog).update(truth=truth, prediction=prediction).counts

    def test_ade20k_counted_from_zero(self, tmp_path: Path) -> None:
        """Truth 1..150 (0 is void) against predictions 0..149: networks write this if their channels were never shifted back."""
        truth = np.random.default_rng(0).integers(1, 151, (60, 80)).astype(np.uint8)
        for name, values in (("truth", truth), ("prediction", truth - 1)):
            (tmp_path / name).mkdir()
            Image.fromarray(values).save(tmp_path / name / "a.png")
        found = evaluate_folders(tmp_path / "prediction", [tmp_path / "truth"], ADE, boundary=False, resamples=0)
        assert found.warnings[0].kind == "shifted"
        assert "every id one higher, mIoU would be 1.0000 instead of" in found.warnings[0].text

    @settings(max_examples=40)
    @given(st.sampled_from([1, -1]), st.floats(0, 0.4), st.integers(0, 99))
    def test_either_way_and_with_errors(self, step: int, wrong: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        truth = rng.integers(1, 20, (40, 50)).astype(np.int16)
        prediction = np.where(rng.random(truth.shape) < wrong, rng.integers(0, 21, truth.shape), truth + step).astype(np.uint8)
        truth = truth.astype(np.uint8)
        found = shifted_by_one(self.matrix(truth, prediction, VOC), VOC)
        assert found is not None
        assert ("higher" if step < 0 else "lower") in found.text

    @settings(max_examples=40)
    @given(st.floats(0, 1), st.integers(0, 99))
    def test_a_network_that_is_only_bad_is_not_shifted(self, wrong: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 21, (40, 50)).astype(np.uint8)
        prediction = np.where(rng.random(truth.shape) < wrong, rng.integers(0, 21, truth.shape), truth).astype(np.uint8)
        assert shifted_by_one(self.matrix(truth, prediction, VOC), VOC) is None

    def test_two_classes_taken_for_each_other_are_not_shifted(self) -> None:
        truth = np.zeros((20, 20), np.uint8)
        truth[:12] = 1
        assert shifted_by_one(self.matrix(truth, 1 - truth, TWO), TWO) is None
        assert shifted_by_one(self.matrix(np.full_like(truth, 9), np.full_like(truth, 8), VOC), VOC) is None

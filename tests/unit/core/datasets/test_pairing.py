from __future__ import annotations

from pathlib import Path

import pytest

from deeplab_core.datasets.pairing import pair_masks
from deeplab_core.errors import MaskFormatError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def paired(prediction: Path, *truths: Path, catalog: str = "") -> dict[str, str]:
    result = pair_masks(prediction, truths, catalog)
    assert not result.ambiguous
    return {
        pair.name: next(str(pair.truth.relative_to(t)) for t in truths if pair.truth.is_relative_to(t)) for pair in result.pairs
    }


def test_equal_paths_pair_first(tmp_path: Path) -> None:
    ours = touch(tmp_path / "p", "a/1.png", "b/1.png", "2.png")
    theirs = touch(tmp_path / "t", "a/1.png", "b/1.png", "2.tif")
    assert paired(ours, theirs) == {"a/1.png": "a/1.png", "b/1.png": "b/1.png", "2.png": "2.tif"}


def test_file_names_pair_across_folders(tmp_path: Path) -> None:
    ours = touch(tmp_path / "p", "voc/images/1.png", "coco/images/2.png")
    one, two = touch(tmp_path / "t1", "1.png"), touch(tmp_path / "t2", "2.png")
    assert paired(ours, one, two) == {"voc/images/1.png": "1.png", "coco/images/2.png": "2.png"}


def test_usual_additions_to_mask_names_are_dropped(tmp_path: Path) -> None:
    ours = touch(tmp_path / "p", "1.png", "0001TP_006690.png", "val/ulm/ulm_01_leftImg8bit.png")
    theirs = touch(tmp_path / "t", "1_mask.png", "0001TP_006690_L.png", "gtFine/val/ulm/ulm_01_gtFine_labelIds.png")
    assert paired(ours, theirs) == {
        "0001TP_006690.png": "0001TP_006690_L.png",
        "1.png": "1_mask.png",
        "val/ulm/ulm_01_leftImg8bit.png": "gtFine/val/ulm/ulm_01_gtFine_labelIds.png",
    }


def test_an_equal_name_wins_over_a_folded_one(tmp_path: Path) -> None:
    ours = touch(tmp_path / "p", "1.png", "1_mask.png")
    theirs = touch(tmp_path / "t", "1.png", "1_mask.png")
    assert paired(ours, theirs) == {"1.png": "1.png", "1_mask.png": "1_mask.png"}


@pytest.mark.parametrize(
    ("catalog", "kind"), [("cityscapes19", "labelTrainIds"), ("cityscapes34", "labelIds"), ("mine", "labelIds")]
)
def test_cityscapes_label_files_are_chosen_by_the_catalog(tmp_path: Path, catalog: str, kind: str) -> None:
    kinds = ("labelIds", "labelTrainIds", "instanceIds", "color")
    theirs = touch(tmp_path / "t", *(f"ulm/ulm_01_gtFine_{kind}.png" for kind in kinds))
    ours = touch(tmp_path / "p", "ulm/ulm_01.png")
    assert paired(ours, theirs, catalog=catalog) == {"ulm/ulm_01.png": f"ulm/ulm_01_gtFine_{kind}.png"}


def test_what_is_no_mask_is_passed_over(tmp_path: Path) -> None:
    ours = touch(tmp_path / "p", "1.png", "1.confidence.png", "run.json", "1.jpg", ".hidden/1.png", "._1.png", "sub/2.npy")
    theirs = touch(tmp_path / "t", "1.png", "2.png")
    assert paired(ours, theirs) == {"1.png": "1.png", "sub/2.npy": "2.png"}


def test_files_without_a_partner_are_listed(tmp_path: Path) -> None:
    ours, theirs = touch(tmp_path / "p", "1.png", "2.png"), touch(tmp_path / "t", "2.png", "3.png", "4.png")
    result = pair_masks(ours, [theirs])
    assert result.extra == (ours / "1.png",)
    assert result.missing == (theirs / "3.png", theirs / "4.png")


def test_two_candidates_are_reported_and_not_guessed(tmp_path: Path) -> None:
    ours = touch(tmp_path / "p", "a/1.png", "b/1.png", "2.png", "3.png")
    theirs = touch(tmp_path / "t", "1.png", "3.png")
    more = touch(tmp_path / "u", "x/2.png", "y/2.png")
    result = pair_masks(ours, [theirs, more])
    assert [pair.name for pair in result.pairs] == ["3.png"]
    assert [error.what for error in result.ambiguous] == ["2 truth files have this name", "2 predictions have this name"]
    assert str(more / "x/2.png") in result.ambiguous[0].why
    assert result.missing == result.extra == ()


def test_a_truth_folder_named_twice_counts_once(tmp_path: Path) -> None:
    ours, theirs = touch(tmp_path / "p", "1.png"), touch(tmp_path / "t", "1.png")
    assert paired(ours, theirs, theirs) == {"1.png": "1.png"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MaskFormatError, match="no such folder"):
        pair_masks(tmp_path / "nowhere", [tmp_path])

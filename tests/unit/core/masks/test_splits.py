"""Splits: shares are met, classes are balanced, groups and duplicates stay together, lists mean what they say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from deeplab_core.errors import ExportError
from deeplab_core.masks.export.splits import group_of, parse_shares, read_splits, share_splits

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def names(count: int) -> list[str]:
    return [f"seq{number // 10:02}/frame_{number:04}.jpg" for number in range(count)]


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 80), st.integers(0, 5), st.integers(2, 6), st.data())
def test_every_image_has_a_split_and_nothing_bound_is_parted(count: int, seed: int, size: int, data: st.DataObject) -> None:
    images = names(count)
    keys = {image: str(data.draw(st.integers(0, 4 * count))) for image in images}

    def group(name: str) -> str:
        return str(images.index(name) // size)

    assume(count >= 2 * size)
    try:
        plan = share_splits(images, {"train": 0.8, "val": 0.2}, seed=seed, group=group, keys=keys)
    except ExportError:  # duplicates bound everything into one group
        reject()
    assert list(plan.parts) == images
    assert set(plan.parts.values()) == {"train", "val"}
    for kind in (group, keys.__getitem__):
        owners: dict[str, set[str]] = {}
        for image in images:
            owners.setdefault(kind(image), set()).add(plan.parts[image])
        assert all(len(splits) == 1 for splits in owners.values())


def test_the_seed_decides_and_nothing_else() -> None:
    images = names(200)
    assert share_splits(images, SHARES, seed=3).parts == share_splits(images, SHARES, seed=3).parts
    assert share_splits(images, SHARES, seed=3).parts != share_splits(images, SHARES, seed=4).parts


def test_shares_are_met() -> None:
    counts = Counter(share_splits(names(200), SHARES, seed=1).parts.values())
    assert counts == {"train": 140, "val": 40, "test": 20}


def test_rare_classes_are_in_every_split_in_proportion() -> None:
    images = names(300)
    rng = np.random.default_rng(0)
    classes = {image: [0] for image in images}
    for image in rng.choice(images, 10, replace=False):
        classes[str(image)].append(7)
    for seed in range(5):
        parts = share_splits(images, SHARES, seed=seed, classes=classes).parts
        rare = Counter(parts[image] for image in images if 7 in classes[image])
        assert rare == {"train": 7, "val": 2, "test": 1}
        everything = Counter(parts.values())
        assert all(abs(everything[split] - share * 300) <= 1 for split, share in SHARES.items())


def test_groups_by_folder_and_by_pattern() -> None:
    images = names(60)
    for pattern in ("parent", r"(seq\d+)/", r"^seq\d+"):
        group = group_of(pattern)
        assert group is not None
        plan = share_splits(images, {"train": 0.5, "val": 0.5}, group=group)
        assert plan.groups == 6
        assert {len({plan.parts[image] for image in images if image.startswith(f"seq{n:02}")}) for n in range(6)} == {1}
    assert group_of("") is None
    lonely = group_of("nothing like it")
    assert lonely is not None
    assert len({lonely(image) for image in images}) == 60
    with pytest.raises(ExportError, match="not a regular expression"):
        group_of("(")


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(ExportError, match="5 images in 1 group cannot be shared out to 2 splits"):
        share_splits(names(5), {"train": 0.5, "val": 0.5}, group=lambda _: "one")


def test_shares_as_text() -> None:
    assert parse_shares(["train=80%", "val=20"]) == {"train": 0.8, "val": 0.2}
    for bad in ("train", "train=", "train=-1", "=0.5", "a/b=1", "train=nan", "train=inf"):
        with pytest.raises(ExportError, match="not a share of a split"):
            parse_shares([bad])
    with pytest.raises(ExportError, match="named twice"):
        parse_shares(["train=1", "train=2"])


class TestLists:
    def test_names_stems_and_paths(self, tmp_path: Path) -> None:
        (tmp_path / "train.txt").write_text("# remark\nx/a.jpg\nb\n\n")
        (tmp_path / "val.txt").write_text("y/c\n")
        lists = {"train": tmp_path / "train.txt", "val": tmp_path / "val.txt"}
        plan = read_splits(["x/a.jpg", "b.png", "y/c.jpg", "d.jpg"], lists)
        assert plan.parts == {"x/a.jpg": "train", "b.png": "train", "y/c.jpg": "val"}
        assert plan.left_out == ("d.jpg",)
        assert plan.missing == ()

    def test_lists_of_other_programs_and_of_images_that_are_not_exported(self, tmp_path: Path) -> None:
        (tmp_path / "train.txt").write_bytes(b"JPEGImages/a.jpg SegmentationClass/a.png\r\nlater  1\r\n")
        (tmp_path / "val.txt").write_bytes("b\n".encode("utf-16"))
        plan = read_splits(["a.jpg", "b.png"], {"train": tmp_path / "train.txt", "val": tmp_path / "val.txt"})
        assert plan.parts == {"a.jpg": "train", "b.png": "val"}
        assert plan.missing == ("later  1",)

    @pytest.mark.parametrize(
        ("train", "val", "message"),
        [
            ("nowhere", "b", "names no image that is exported"),
            ("a", "x/a.jpg", "names several images"),
            ("b", "b.png", "in the lists of 'train' and 'val'"),
            ("x/a.jpg", "y/a.jpg", "have the same content"),
        ],
    )
    def test_contradictions_are_named(self, tmp_path: Path, train: str, val: str, message: str) -> None:
        (tmp_path / "train.txt").write_text(train)
        (tmp_path / "val.txt").write_text(val)
        lists = {"train": tmp_path / "train.txt", "val": tmp_path / "val.txt"}
        with pytest.raises(ExportError, match=message) as caught:
            read_splits(["x/a.jpg", "y/a.jpg", "b.png"], lists, keys={"x/a.jpg": "k", "y/a.jpg": "k"})
        assert caught.value.remedy


@pytest.mark.parametrize("shares", [["train=0.7", "val=0.4"], ["train=80%", "val=30%"]])
def test_shares_that_are_more_than_all_are_refused(shares: list[str]) -> None:
    with pytest.raises(ExportError, match="add up to"):
        parse_shares(shares)


def test_shares_may_be_parts_of_any_sum() -> None:
    assert parse_shares(["train=8", "val=2"]) == {"train": 0.8, "val": 0.2}
    assert parse_shares(["train=0.6", "val=0.2"]) == pytest.approx({"train": 0.75, "val": 0.25})

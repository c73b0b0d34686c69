"""One dataset for every layout; bad files are named once; processes share batches without gap or overlap."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeplab_core.errors import AtrousError
from deeplab_core.masks.png import write_mask
from deeplab_core.training import DataSource, Sample, SegmentationDataset
from deeplab_core.training.losses import VOID
from tests.unit.core.training.made_data import CATALOG, RECIPE, dataset, make_folder


def test_ids_become_channels_and_void_stays_void(tmp_path: Path) -> None:
    data = dataset(make_folder(tmp_path))
    rgb, channels = data.pair(0)
    assert rgb.shape == (40, 48, 3)
    assert set(np.unique(channels)) == {VOID, 0, 1, 2}
    assert (channels[0] == VOID).all()
    assert data.counts.pixels.sum() == len(data) * 39 * 48
    assert data.counts.images[0] == {0, 1, 2}


def test_bad_files_are_named_once_and_left_out(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "images" / "room_1.png").write_bytes((folder / "images" / "room_1.png").read_bytes()[:200])
    write_mask(folder / "labels" / "room_2.png", np.zeros((7, 7), np.uint8), CATALOG)
    Image.fromarray(np.full((40, 48), 5, np.uint8)).save(folder / "labels" / "room_3.png")  # 5 is not a class
    said: list[str] = []
    samples = DataSource(images=folder / "images").samples(CATALOG)
    data = SegmentationDataset(samples, CATALOG, say=said.append)
    assert len(data) == 3
    assert len(said) == 3
    for name in ("room_1.png", "room_2.png", "room_3.png"):
        assert sum(name in line for line in said) == 1
    with pytest.raises(AtrousError, match="no image can be trained on"):
        SegmentationDataset([sample for sample in samples if "room_1" in sample.name], CATALOG)


def test_images_without_masks_and_masks_without_labels_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path)
    said: list[str] = []
    (folder / "labels" / "room_1.png").unlink()
    for number in (0, 3):
        write_mask(folder / "labels" / f"room_{number}.png", np.full((40, 48), 255, np.uint8), CATALOG)
    samples = DataSource(images=folder / "images").samples(CATALOG, said.append)
    assert len(said) == 1
    assert "5 of 6 images can be used; 1 has no mask (room_1.png)" in said[0]
    SegmentationDataset(samples, CATALOG, say=said.append)
    assert said[1:] == ["no labelled pixel in room_0.png, room_3.png; they teach nothing"]
    with pytest.raises(AtrousError, match="no pixel of the 2 images is labelled"):
        SegmentationDataset([sample for sample in samples if sample.name in ("room_0.png", "room_3.png")], CATALOG)
    # Masks that lie among the images lack none themselves.
    for number in range(2, 6):
        shutil.copy(folder / "labels" / f"room_{number}.png", folder / "images" / f"room_{number}_mask.png")
    monkeypatch.chdir(folder)
    shutil.rmtree(folder / "labels")
    said.clear()
    assert len(DataSource(images=Path("images")).samples(CATALOG, said.append)) == 4
    assert "4 of 6 images can be used; 2 have no mask (room_0.png, room_1.png)" in said[0]


def test_a_file_that_goes_bad_later_does_not_end_the_run(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    said: list[str] = []
    data = SegmentationDataset(DataSource(images=folder / "images").samples(CATALOG), CATALOG, cache_bytes=0, say=said.append)
    shutil.rmtree(folder / "images")
    batches = list(data.crops(RECIPE, 0)) + list(data.crops(RECIPE, 1))
    assert len(batches) == 4
    assert all((labels == VOID).all() for _, labels, _ in batches)
    assert len(said) == len(data)


def test_what_does_not_fit_the_cache_is_read_again(tmp_path: Path) -> None:
    samples = DataSource(images=make_folder(tmp_path) / "images").samples(CATALOG)
    small, large = SegmentationDataset(samples, CATALOG, cache_bytes=30_000), SegmentationDataset(samples, CATALOG)
    for one, other in zip(small.crops(RECIPE, 0), large.crops(RECIPE, 0), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("world", [2, 4])
def test_processes_together_see_what_one_sees(tmp_path: Path, world: int) -> None:
    data = dataset(make_folder(tmp_path, count=7))
    whole = list(data.crops(RECIPE, 2))
    assert len(whole) == 2  # the short batch is filled from the epoch's beginning
    shares = [list(data.crops(RECIPE, 2, rank=rank, world=world)) for rank in range(world)]
    for row, (pixels, labels, names) in enumerate(whole):
        for place in range(4):
            mine = shares[place % world][row]
            assert torch.equal(mine[0][place // world], pixels[place])
            assert torch.equal(mine[1][place // world], labels[place])
            assert mine[2][place // world] == names[place]


def test_an_epoch_goes_on_in_its_middle(tmp_path: Path) -> None:
    data = dataset(make_folder(tmp_path, count=9))
    recipe = replace(RECIPE, accumulate=2)
    whole = list(data.crops(recipe, 0))
    rest = list(data.crops(recipe, 0, first=1))
    assert len(whole) == 2 * data.steps_per_epoch(recipe)
    assert [names for _, _, names in rest] == [names for _, _, names in whole[2:]]
    assert torch.equal(rest[0][0], whole[2][0])


def test_images_of_hard_classes_come_several_times(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, count=4)
    for number in range(3):
        write_mask(folder / "labels" / f"room_{number}.png", np.zeros((40, 48), np.uint8), CATALOG)
    data = dataset(folder)
    order = data.order(0, replace(RECIPE, hard_classes=("chair",), hard_repeat=3))
    assert sorted(order.tolist()) == [0, 1, 2, 3, 3, 3]
    assert not np.array_equal(order, data.order(1, replace(RECIPE, hard_classes=("chair",), hard_repeat=3)))


def test_layouts_patterns_and_splits(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "plain")
    voc = tmp_path / "voc"
    shutil.copytree(folder / "images", voc / "JPEGImages")
    shutil.copytree(folder / "labels", voc / "SegmentationClass")
    split = voc / "train.txt"
    split.write_text("room_1\nroom_4\n")
    assert [s.name for s in DataSource(images=voc / "JPEGImages", split=split).samples(CATALOG)] == ["room_1.png", "room_4.png"]
    assert len(DataSource(images=folder / "images", exclude=("room_[0-2]*",)).samples(CATALOG)) == 3
    assert len(DataSource(images=folder / "images", include=("room_5.png",)).samples(CATALOG)) == 1
    chosen = DataSource.from_table({"images": "JPEGImages", "truth": "SegmentationClass", "include": "room_0*"}, voc)
    assert [sample.mask for sample in chosen.samples(CATALOG)] == [voc / "SegmentationClass" / "room_0.png"]


def test_mistakes_about_the_data_are_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    with pytest.raises(AtrousError, match="nowhere"):
        DataSource(images=tmp_path / "nowhere").samples(CATALOG)
    with pytest.raises(AtrousError, match="mask"):
        DataSource(images=folder / "images", exclude=("*",)).samples(CATALOG)
    with pytest.raises(AtrousError, match="imgs"):
        DataSource.from_table({"imgs": "x"}, tmp_path)
    with pytest.raises(AtrousError, match=r"train\.txt"):
        DataSource(images=folder / "images", split=tmp_path / "train.txt").samples(CATALOG)


def test_labels_may_come_from_a_project(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    labels = np.full((40, 48), 255, np.uint8)
    labels[5:9] = 7
    sample = Sample(folder / "images" / "room_0.png", Path("unused"), labels=lambda: labels, name="room_0")
    _, channels = SegmentationDataset([sample], CATALOG).pair(0)
    assert np.count_nonzero(channels == 2) == 4 * 48
    assert np.count_nonzero(channels == VOID) == 36 * 48


def test_odd_masks_and_scaled_images_are_remarked_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, count=4)
    for number in range(4):
        mask = np.zeros((40, 48), np.uint8)
        mask[10:20, 10 : 20 + number] = 255
        Image.fromarray(mask).save(folder / "labels" / f"room_{number}.png")
    for number in range(3):
        Image.fromarray((np.mgrid[0:40, 0:48][1] * 4095 // 47).astype(np.uint16)).save(folder / "images" / f"room_{number}.png")
    data = dataset(folder)
    remarks = data.remarks()
    assert remarks[0].startswith("warning: the masks hold only 0 (floor) and 255")
    assert "each of the 2 other classes never occurs" in remarks[0]
    assert any(line.startswith("note: 3 images were scaled from 12 bit (room_0.png,") for line in remarks)
    plain = data.remarks_dict()
    assert [note["kind"] for note in plain["warnings"] if note["warning"]] == ["void"]
    assert plain["notes"]["images"][0]["count"] == 3
    assert plain["masks"]["absent_classes"] == ["chair", "sofa"]


def test_masks_read_by_their_colours_are_remarked(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, count=2)
    before = [dataset(folder).pair(number)[1] for number in range(2)]
    table = np.zeros((256, 3), np.uint8)
    order = [255, 7, 3, 0]
    for place, label in enumerate(order):
        table[place] = CATALOG.palette()[label]
    for number in range(2):
        stored = np.asarray(Image.open(folder / "labels" / f"room_{number}.png"))
        places = np.zeros(256, np.uint8)
        places[order] = range(4)
        picture = Image.fromarray(places[stored])
        picture.putpalette(table.reshape(-1).tolist())
        picture.save(folder / "labels" / f"room_{number}.png")
    data = dataset(folder)
    assert all(np.array_equal(data.pair(number)[1], before[number]) for number in range(2))
    assert any(line.startswith("warning: 2 masks were read by colour") for line in data.remarks())

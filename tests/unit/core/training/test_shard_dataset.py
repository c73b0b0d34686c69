"""Training data out of shards: every image once an epoch, the same batches for any number of processes, exact continuation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import Table, parquet

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError
from deeplab_core.shards import Fields, Shard
from deeplab_core.training import Recipe, ShardDataset, ShardSource, TrainingGroup
from deeplab_core.training import shard_index as module
from deeplab_core.training.dataset import Batch
from deeplab_core.training.tables import DataTables
from tests.fakes.shards import labels, mask, picture, write_tar

CATALOG = ClassCatalog("four", "Four", tuple(ClassInfo(i, f"class {i}", (60 * i, 2 * i, 3 * i)) for i in range(4)))
ALONE = TrainingGroup(0, 1, torch.device("cpu"))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)


def samples(number: int, size: int) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for place in range(size):
        key, seed = f"{number}{place:02}", 100 * number + place
        members |= {f"{key}.png": picture(seed), f"{key}.seg.png": mask(labels(seed, 4), CATALOG)}
    return members


def make(folder: Path, sizes: tuple[int, ...] = (10, 3, 6)) -> ShardSource:
    for number, size in enumerate(sizes):
        write_tar(folder / f"s-{number}.tar", samples(number, size))
    return ShardSource(specs=(str(folder / "s-*.tar"),))


def dataset(source: ShardSource, folder: Path, **more: Any) -> ShardDataset:
    return ShardDataset(source, CATALOG, folder / "index", ALONE, **more)


def recipe(**values: Any) -> Recipe:
    return Recipe(batch=4, crop=(16, 16), **values)


def passed(data: ShardDataset, how: Recipe, epoch: int = 0, *, first: int = 0, rank: int = 0, world: int = 1) -> list[Batch]:
    return list(data.batches(how, epoch, first=first, rank=rank, world=world))


@pytest.mark.parametrize("sizes", [(10, 3, 6), (2,), (1, 1, 1, 1, 1, 1, 1, 1, 1)])
@pytest.mark.parametrize("batch", [1, 4, 8])
def test_an_epoch_passes_every_image_about_once(tmp_path: Path, sizes: tuple[int, ...], batch: int) -> None:
    data = dataset(make(tmp_path, sizes), tmp_path)
    how = Recipe(batch=batch, crop=(16, 16))
    seen = Counter(name for each in passed(data, how) for name in each.names)
    assert len(data) == sum(sizes)
    assert sum(seen.values()) == data.steps_per_epoch(how) * batch
    if batch == 1:
        assert seen == Counter(seen.keys())
        assert len(seen) == len(data)
    columns = [int(number) for column in range(batch) for _, numbers in data.column(how, 0, column) for number in numbers]
    assert len(columns) >= len(data)


def test_epochs_differ_and_repeat(tmp_path: Path) -> None:
    data = dataset(make(tmp_path), tmp_path)
    orders = [[name for each in passed(data, recipe(), epoch) for name in each.names] for epoch in (0, 1, 0)]
    assert orders[0] != orders[1]
    assert orders[0] == orders[2]


@pytest.mark.parametrize("world", [2, 4])
def test_processes_see_together_what_one_sees(tmp_path: Path, world: int) -> None:
    data = dataset(make(tmp_path), tmp_path)
    whole = passed(data, recipe())
    shares = [passed(data, recipe(), rank=rank, world=world) for rank in range(world)]
    for step, batch in enumerate(whole):
        for place in range(4):
            rank, inside = place % world, place // world
            mine = shares[rank][step]
            assert mine.names[inside] == batch.names[place]
            np.testing.assert_array_equal(mine.pixels[inside], batch.pixels[place])
            assert torch.equal(mine.labels[inside], batch.labels[place])


def test_a_run_continues_at_any_step_also_with_another_number_of_processes(tmp_path: Path) -> None:
    data = dataset(make(tmp_path), tmp_path)
    whole = passed(data, recipe())
    for first in range(len(whole)):
        rest = passed(data, recipe(), first=first, rank=1, world=2)
        assert [batch.names for batch in rest] == [batch.names[1::2] for batch in whole[first:]]
        np.testing.assert_array_equal(rest[0].pixels, whole[first].pixels[1::2])


def test_a_process_reads_only_the_blocks_of_its_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset(make(tmp_path, (8, 8, 8, 8)), tmp_path)
    read: list[int] = []
    plain = ShardDataset.read_block

    def noted(self: ShardDataset, block: int) -> Any:
        read.append(block)
        return plain(self, block)

    monkeypatch.setattr(ShardDataset, "read_block", noted)
    passed(data, recipe(), rank=0, world=4)
    mine = {block for block, _ in data.column(recipe(), 0, 0)}
    assert set(read) == mine
    assert len(mine) == 2  # of eight


def test_bad_samples_are_named_once_and_left_out(tmp_path: Path) -> None:
    source = make(tmp_path)
    members = samples(3, 6)
    members["300.png"] = members["300.png"][:50]
    members["302.seg.png"] = mask(labels(1, 4, 8, 8), CATALOG)
    del members["303.seg.png"]
    members["../out.png"] = picture(1)
    write_tar(tmp_path / "s-3.tar", members)
    said: list[str] = []
    data = dataset(source, tmp_path, say=said.append)
    assert len(data) == 19 + 3
    assert len(said) == 4
    assert any("300.png" in line and "damaged" in line for line in said)
    names = {name for epoch in range(2) for each in passed(data, recipe(), epoch) for name in each.names}
    assert "s-3/301" in names
    assert not {"s-3/300", "s-3/302", "s-3/303"} & names


def test_indexes_are_kept_until_the_shard_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path)
    indexed: list[str] = []
    plain = module.index_shard

    def noted(shard: Shard, *more: Any) -> Any:
        indexed.append(shard.name)
        return plain(shard, *more)

    monkeypatch.setattr(module, "index_shard", noted)
    first = dataset(source, tmp_path)
    again = dataset(source, tmp_path)
    assert indexed == ["s-0", "s-1", "s-2"]
    assert first.identity() == again.identity()
    assert first.counts.pixels.tolist() == again.counts.pixels.tolist()
    assert int(first.counts.pixels.sum()) == 19 * 24 * 32
    write_tar(tmp_path / "s-1.tar", samples(1, 5))
    assert dataset(source, tmp_path).identity() != first.identity()
    assert indexed[3:] == ["s-1"]


def test_validation_sees_every_image_once(tmp_path: Path) -> None:
    data = dataset(make(tmp_path), tmp_path)
    whole = sorted(pair[0].tobytes() for pair in data.share(0, 1))
    assert whole == sorted(pair[0].tobytes() for rank in range(3) for pair in data.share(rank, 3))
    assert len(set(whole)) == 19


def test_parquet_and_manifests_train_too(tmp_path: Path) -> None:
    members = samples(0, 6)
    keys = sorted({name.split(".")[0] for name in members})
    columns = {"id": keys, "image": [members[f"{key}.png"] for key in keys], "truth": [members[f"{key}.seg.png"] for key in keys]}
    parquet.write_table(Table.from_pydict(columns), tmp_path / "p.parquet", row_group_size=4)
    for name, data in members.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "m.csv").write_text("id,image,truth\n" + "".join(f"{key},{key}.png,{key}.seg.png\n" for key in keys))
    write_tar(tmp_path / "s.tar", members)
    orders = []
    for name in ("s.tar", "p.parquet", "m.csv"):
        found = dataset(ShardSource(specs=(str(tmp_path / name),)), tmp_path / name.replace(".", "-"))
        orders.append([[name.partition("/")[2] for name in each.names] for each in passed(found, recipe())])
    assert orders[0] == orders[1] == orders[2]


def test_what_needs_every_image_is_refused(tmp_path: Path) -> None:
    data = dataset(make(tmp_path), tmp_path)
    data.check(recipe())
    with pytest.raises(AtrousError, match="hard_classes"):
        data.check(recipe(hard_classes=("class 1",)))


def test_tables_of_a_recipe_name_shards(tmp_path: Path) -> None:
    tables = {"data": {"catalog": "camvid11", "train": [{"shards": "a-{0..3}.tar", "truth_field": "png"}]}}
    found = DataTables.read(tables, tmp_path / "recipe.toml")
    source = found.train_shards
    assert source is not None
    assert source.specs == (str(tmp_path / "a-{0..3}.tar"),)
    assert source.names == Fields(truth="png")
    assert DataTables.read({"data": found.to_dict()}, Path("elsewhere.toml")) == found
    for rows, words in (
        ([{"shards": "a.tar"}, {"images": "b"}], "one table"),
        ([{"shards": 3}], "not a list of texts"),
        ([{"shards": "a.tar", "split": "x"}], "unknown key 'split'"),
    ):
        with pytest.raises(AtrousError, match=words):
            DataTables.read({"data": {"train": rows}}, tmp_path / "recipe.toml")

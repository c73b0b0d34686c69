"""Training data out of shards: read block by block while the network computes, the same batches for any number of processes.

Each shard is read once before the first step, by one process, to count its classes and to find what cannot be used. What it finds
is kept beside the run (``shards/NAME.index.json``). From then on a process reads the blocks of its own places of a batch, and
nothing else: a block is up to 64 samples that stand together, read in one go and shuffled. The order depends on seed and epoch
alone, so that a run continues exactly, also with another number of processes.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, image_error, message
from deeplab_core.masks.plausibility import MaskStatistics
from deeplab_core.parallel import read_ahead
from deeplab_core.reading import json_text, parse_json
from deeplab_core.records import Preprocessing
from deeplab_core.shards import (
    BrokenSample,
    ResultFolder,
    Shard,
    ShardSample,
    list_shards,
    read_shard,
    settings_hash,
)
from deeplab_core.training import shard_index
from deeplab_core.training.augment import augment, generator
from deeplab_core.training.dataset import Batch, ClassCounts, DataRemarks, Pair, input_preparation, inputs_of
from deeplab_core.training.distributed import TrainingGroup
from deeplab_core.training.losses import VOID
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.samples import Sample
from deeplab_core.training.shard_index import ROLES, ShardIndex, ShardSource, decode_pair, keep_index, kept_index

#: Where the shuffling of blocks begins among the numbers of :func:`~deeplab_core.training.augment.generator`.
_WITHIN = 0xC0000000
_MOST_TEXT = 1 << 30


class ShardDataset(DataRemarks):
    """Shards as training or validation data; see the module.

    Attributes:
        shards: all of them.
        counts: pixels per channel; which images hold a class is not kept.
    """

    def __init__(
        self,
        source: ShardSource,
        catalog: ClassCatalog,
        folder: Path,
        group: TrainingGroup,
        *,
        say: Callable[[str], None] = lambda _text: None,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        """Index the shards of this process that are not indexed yet, and take over what the others found.

        Args:
            source: which shards.
            catalog: classes of the masks.
            folder: of the indexes; all processes see it.
            group: the processes that train together.

        Raises:
            AtrousError: a shard cannot be reached, nothing usable is left, or no pixel of it is labelled.
        """
        super().__init__(catalog, say)
        self.source, self._group = source, group
        rows = group.told(lambda: json_text([[one.url, one.name, one.kind, one.part] for one in list_shards(source.specs)]))
        self.shards = tuple(
            Shard(url, name, kind, None if part is None else tuple(part))
            for url, name, kind, part in parse_json(rows, limit=_MOST_TEXT, what="the list of shards")
        )
        digest = settings_hash({"catalog": catalog.to_dict(), "names": source.names.to_dict(), "frame": source.frame})
        results = ResultFolder(folder)
        mine = self.shards[group.rank :: group.world]
        for done, shard in enumerate(mine, start=1):
            keep_index(results, shard, source, catalog, digest)
            progress(done, len(mine))
        group.wait()
        text = group.told(lambda: json_text([kept_index(results, shard) for shard in self.shards]))
        self.indexes = tuple(ShardIndex(**values) for values in parse_json(text, limit=_MOST_TEXT, what="the indexes"))
        self._take()

    def _take(self) -> None:
        present = np.zeros(len(self.catalog), dtype=np.int64)
        self._blocks: list[tuple[int, int]] = []
        for place, index in enumerate(self.indexes):
            part = MaskStatistics(self.catalog)
            part.px += np.array(index.px, dtype=np.int64)
            part.masks, part.most_void = index.masks, (float(index.most_void[0]), str(index.most_void[1]))
            self.statistics.add_statistics(part)
            present += np.array(index.present, dtype=np.int64)
            self.image_notes.add_counted(index.notes[0])
            self.mask_notes.add_counted(index.notes[1])
            for key, error in index.bad:
                self.bad.add(_named(self.shards[place], key), AtrousError.from_dict(error))
            self._blocks += [(place, block) for block in range(len(index.positions)) if len(index.usable(block))]
        self._length = sum(len(self.indexes[place].usable(block)) for place, block in self._blocks)
        pixels = self.statistics.px[:-1].copy()
        if not self._length:
            raise AtrousError(
                message("no image can be trained on"),
                why=message("{count} were skipped", count=len(self.bad.named)),
                remedy=message("See the list above"),
            )
        if not pixels.any():
            raise AtrousError(
                message("no pixel of the {count} images is labelled", count=self._length),
                why=message("Their masks hold nothing but void"),
                remedy=message("Label some pixels, or name other masks or other classes"),
            )
        self.counts = ClassCounts(pixels, present, ())

    def __len__(self) -> int:
        return self._length

    def check(self, recipe: Recipe) -> None:
        """Refuse what needs to know every image. Raises AtrousError."""
        needing = {
            "hard_classes": recipe.hard_classes,
            "cache_features": recipe.cache_features,
            "fixed_scales": recipe.fixed_scales,
        }
        named = next((name for name, value in needing.items() if value), None)
        if named is not None:
            raise AtrousError(
                message("'{key}' does not work with shards", key=named),
                why=message("It needs to know every image before the first step"),
                remedy=message("Leave it out, or train on folders"),
            )

    def identity(self) -> dict[str, Any]:
        """What a continued run must find again: how many images, and the sha256 of shards and numbers in order."""
        rows = [[shard.name, index.samples, index.skip] for shard, index in zip(self.shards, self.indexes, strict=True)]
        return {"images": len(self), "sha256": hashlib.sha256(json_text(rows).encode("utf-8", "surrogateescape")).hexdigest()}

    def steps_per_epoch(self, recipe: Recipe) -> int:
        """Optimiser steps of one epoch."""
        return -(-len(self) // recipe.batch)

    def column(self, recipe: Recipe, epoch: int, column: int) -> list[tuple[int, NDArray[np.int64]]]:
        """What one place of a batch passes in an epoch: blocks, and numbers of their samples in order.

        Blocks are dealt to the places of a batch; where there are fewer of them than places, several places share one.
        """
        columns, blocks = recipe.micro_batch, len(self._blocks)
        order = generator(recipe.seed, epoch, -1 & 0xFFFFFFFF).permutation(blocks)
        shares = max(1, -(-columns // blocks))
        found = []
        for piece in range(column, blocks * shares, columns):
            block, share = int(order[piece % blocks]), piece // blocks
            numbers = self._numbers(recipe, epoch, block)[share::shares]
            if len(numbers):
                found.append((block, numbers))
        if not found:  # fewer samples than places
            block = int(order[column % blocks])
            found.append((block, self._numbers(recipe, epoch, block)))
        return found

    def _numbers(self, recipe: Recipe, epoch: int, block: int) -> NDArray[np.int64]:
        place, inside = self._blocks[block]
        return generator(recipe.seed, epoch, _WITHIN + block).permutation(self.indexes[place].usable(inside))

    def read_block(self, block: int) -> dict[int, ShardSample | BrokenSample]:
        """The samples of a block by number, still encoded; those that are missing now are missing."""
        place, inside = self._blocks[block]
        shard, index = self.shards[place], self.indexes[place]
        begin = next((number for number in range(inside, -1, -1) if index.positions[number] >= 0), 0)
        end = (inside + 1) * shard_index.BLOCK
        found: dict[int, ShardSample | BrokenSample] = {}
        start, first = max(0, index.positions[begin]), begin * shard_index.BLOCK
        samples = read_shard(shard, self.source.names, ROLES, start=start, first=first)
        for sample in samples:
            if isinstance(sample, BrokenSample) and sample.whole_shard:
                self.bad.add(_named(shard, sample.key), sample.error)
                break
            if sample.number >= end:
                break
            if sample.number >= inside * shard_index.BLOCK:
                found[sample.number] = sample
        return found

    def _stream(self, recipe: Recipe, epoch: int, column: int, first: int) -> Iterator[tuple[Shard, ShardSample | None, str]]:
        """The samples of one place of a batch from the ``first`` on, without end; None for one that is lost since."""
        pieces = self.column(recipe, epoch, column)
        skip = first % sum(len(numbers) for _, numbers in pieces)

        def read() -> Iterator[list[tuple[Shard, ShardSample | None, str]]]:
            left = skip
            for block, numbers in cycle(pieces):
                if left >= len(numbers):
                    left -= len(numbers)
                    continue
                shard, samples = self.shards[self._blocks[block][0]], self.read_block(block)
                rows = []
                for number in numbers[left:].tolist():
                    sample = samples.get(number)
                    whole = sample if isinstance(sample, ShardSample) else None
                    rows.append((shard, whole, f"{shard.name}/{number if whole is None else whole.key}"))
                left = 0
                yield rows

        for rows in read_ahead(read(), 1):
            yield from rows

    def batches(
        self,
        recipe: Recipe,
        epoch: int,
        *,
        preprocessing: Preprocessing | None = None,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
        threads: int = 2,
    ) -> Iterator[Batch]:
        """Micro-batches of an epoch from step ``first`` on, as of a data set of files. A process reads what its places pass."""
        prepared, colour = input_preparation(preprocessing, recipe)
        batch = recipe.micro_batch
        rounds = range(first * recipe.accumulate, self.steps_per_epoch(recipe) * recipe.accumulate)
        columns = range(rank, batch, world)

        def cut(shard: Shard, sample: ShardSample | None, name: str, place: int) -> Pair:
            pair = self._decoded(shard, sample, name)
            return augment(*pair, recipe, generator(recipe.seed, epoch, place), void=VOID, pad=colour)

        streams = [self._stream(recipe, epoch, column, rounds.start) for column in columns]
        waiting: deque[tuple[list[Future[Pair]], list[str]]] = deque()
        rows = iter(rounds)
        with ThreadPoolExecutor(max(1, threads), thread_name_prefix="augment") as pool:
            try:
                while True:
                    for row in islice(rows, 3 - len(waiting)):
                        drawn = [next(stream) for stream in streams]
                        jobs = [
                            pool.submit(cut, *each, row * batch + column) for each, column in zip(drawn, columns, strict=True)
                        ]
                        waiting.append((jobs, [name for _, _, name in drawn]))
                    if not waiting:
                        return
                    jobs, names = waiting.popleft()
                    pairs = [job.result() for job in jobs]
                    yield Batch(
                        np.stack([rgb for rgb, _ in pairs]),
                        torch.from_numpy(np.stack([channels for _, channels in pairs])).long(),
                        names,
                        prepared,
                    )
            finally:
                for stream in streams:
                    stream.close()  # type: ignore[attr-defined]  # a generator

    def _decoded(self, shard: Shard, sample: ShardSample | None, name: str) -> Pair:
        """Pixels and channels; an unlabelled pixel where the sample was readable at the start and is not any more."""
        try:
            if sample is None:
                raise AtrousError(message("the sample cannot be read any more"), path=name)
            return decode_pair(sample, shard, self.source, self.catalog).pair
        except Exception as error:
            self.bad.add(_named(shard, name), image_error(error, name))
            return np.zeros((1, 1, 3), dtype=np.uint8), np.full((1, 1), VOID, dtype=np.int16)

    def some_inputs(self, recipe: Recipe, preprocessing: Preprocessing, images: int = 32) -> Iterator[Tensor]:
        """Network inputs (n, 3, h, w) of about so many crops, the same ones at every call."""
        return inputs_of(self, recipe, preprocessing, images)

    def share(self, rank: int, world: int) -> Iterator[Pair]:
        """Every ``world``-th block's images, for validation.

        Raises:
            AtrousError: an image was good at the start and is not any more.
        """

        def decoded() -> Iterator[Pair]:
            for place in range(rank, len(self._blocks), world):
                shard, inside = self._blocks[place]
                samples = self.read_block(place)
                for number in self.indexes[shard].usable(inside).tolist():
                    sample = samples.get(number)
                    if not isinstance(sample, ShardSample):
                        raise AtrousError(
                            message(
                                "{shard}: sample {number} cannot be read any more", shard=self.shards[shard].url, number=number
                            )
                        )
                    yield decode_pair(sample, self.shards[shard], self.source, self.catalog).pair

        return read_ahead(decoded(), 2)


def _named(shard: Shard, key: str) -> Sample:
    """What reports call a sample of a shard."""
    path = Path(key if key.startswith(f"{shard.name}/") else f"{shard.name}/{key}")
    return Sample(path, path, name=path.as_posix())

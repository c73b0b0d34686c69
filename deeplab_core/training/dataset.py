"""One dataset type for every source: decoded once, kept in memory up to a bound, bad files named and left out."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, image_error, message
from deeplab_core.inference.pixels import to_network_channels
from deeplab_core.masks.plausibility import MaskStatistics
from deeplab_core.notes import Note, RunNotes
from deeplab_core.records import Preprocessing
from deeplab_core.training.augment import augment, fixed_crop, fixed_views, generator
from deeplab_core.training.losses import VOID
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.samples import BadFiles, Sample, some

#: Stands where an epoch's number stands, for crops that measure and do not teach.
_MEASURED = 0xFFFFFFFC
Pair = tuple[NDArray[np.uint8], NDArray[np.int16]]


def channel_table(catalog: ClassCatalog) -> NDArray[np.int16]:
    """Lookup table from an in-memory map value to the channel that is trained, VOID for whatever is none.

    One lookup of 16 bits: wide numbers that are compared pixel by pixel took longer than decoding.
    """
    lut = catalog.index_lut()
    return np.where(lut >= len(catalog), VOID, lut).astype(np.int16)


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Pixels per channel over a data set.

    Attributes:
        pixels: (C,) labelled pixels of the class.
        present: (C,) labelled pixels of the images that hold the class.
        images: per image the set of channels that it holds.
    """

    pixels: NDArray[np.int64]
    present: NDArray[np.int64]
    images: tuple[frozenset[int], ...]


class TrainingData(Protocol):
    """What a run asks of its data: files (:class:`SegmentationDataset`) or shards."""

    catalog: ClassCatalog
    counts: ClassCounts
    bad: BadFiles

    def __len__(self) -> int:
        """How many images can be used."""

    def identity(self) -> dict[str, Any]:
        """What a continued run must find again."""

    def remarks(self) -> list[str]:
        """What is implausible about the masks, and what was read in an unusual way; one line each."""

    def remarks_dict(self) -> dict[str, Any]:
        """:meth:`remarks` as plain values for JSON."""

    def steps_per_epoch(self, recipe: Recipe) -> int:
        """Optimiser steps of one epoch."""

    def batches(
        self,
        recipe: Recipe,
        epoch: int,
        *,
        preprocessing: Preprocessing | None = None,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Batch]:
        """Micro-batches of an epoch from step ``first`` on, of which this process gets its share."""

    def some_inputs(self, recipe: Recipe, preprocessing: Preprocessing, images: int = 32) -> Iterator[Tensor]:
        """Network inputs (n, 3, h, w) of about so many crops, the same ones at every call."""

    def share(self, rank: int, world: int) -> Iterator[Pair]:
        """The images of one process of several, for validation."""


def input_preparation(preprocessing: Preprocessing | None, recipe: Recipe) -> tuple[Preprocessing, tuple[float, float, float]]:
    """How the network's input is prepared, None takes mean and std of the recipe, and the RGB colour of its padding."""
    prepared = preprocessing or Preprocessing(mean=recipe.mean, std=recipe.std, pad_value=recipe.mean)
    pad = prepared.pad_value if prepared.channel_order != "BGR" else prepared.pad_value[::-1]
    return prepared, (pad[0], pad[0], pad[0]) if len(pad) == 1 else (pad[0], pad[1], pad[2])


class DataRemarks:
    """What is noticed while training data are read, wherever they lie.

    Attributes:
        catalog: channels are its classes in order.
        bad: what was left out.
        image_notes, mask_notes: images that were scaled or cut, masks that were read in an unusual way, counted.
        statistics: pixels of the masks by class, void included.
    """

    def __init__(self, catalog: ClassCatalog, say: Callable[[str], None]) -> None:
        self.catalog = catalog
        self.bad = BadFiles(say)
        self.image_notes, self.mask_notes = RunNotes("image"), RunNotes("mask")
        self.statistics = MaskStatistics(catalog)

    def remarks(self) -> list[str]:
        """What is implausible about the masks, and what was scaled, left out or read in an unusual way; one line each."""
        return [*(note.spoken() for note in self.statistics.findings()), *self.mask_notes.spoken(), *self.image_notes.spoken()]

    def remarks_dict(self) -> dict[str, Any]:
        """:meth:`remarks` as plain values for JSON."""
        return {
            "warnings": [note.to_dict() for note in self.statistics.findings()],
            "masks": self.statistics.to_dict(),
            "notes": {"masks": self.mask_notes.to_list(), "images": self.image_notes.to_list()},
        }


class SegmentationDataset(DataRemarks):
    """Images with channels in place of class ids, read once and kept as uint8 and int16 while they fit ``cache_bytes``.

    Attributes:
        samples: the usable ones; a file that cannot be read is reported once by name and left out.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        catalog: ClassCatalog,
        *,
        cache_bytes: int = 4 << 30,
        say: Callable[[str], None] = lambda _text: None,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        """Read every sample once, to find the bad ones before hours of training do.

        Raises:
            AtrousError: nothing usable is left, or no pixel of it is labelled.
        """
        super().__init__(catalog, say)
        self._table = channel_table(catalog)
        self._cache: dict[Sample, Pair] = {}
        self._room = cache_bytes
        usable: list[Sample] = []
        pixels = np.zeros(len(catalog), dtype=np.int64)
        present = np.zeros(len(catalog), dtype=np.int64)
        classes: list[frozenset[int]] = []
        empty: list[str] = []
        with ThreadPoolExecutor(4, thread_name_prefix="read") as pool:
            for done, (sample, found) in enumerate(zip(samples, pool.map(self._try_read, samples), strict=True), start=1):
                progress(done, len(samples))
                if isinstance(found, AtrousError):
                    self.bad.add(sample, found)
                    continue
                pair, image_notes, mask_notes = found
                usable.append(sample)
                name = sample.name or sample.image.name
                self.image_notes.add(name, image_notes)
                self.mask_notes.add(name, mask_notes)
                counts = np.bincount(pair[1][pair[1] >= 0].ravel(), minlength=len(catalog))
                self.statistics.add(name, np.append(counts, pair[1].size - counts.sum()))
                pixels += counts
                present += np.where(counts > 0, counts.sum(), 0)
                classes.append(frozenset(np.flatnonzero(counts).tolist()))
                size = pair[0].nbytes + pair[1].nbytes
                if size <= self._room:
                    self._room -= size
                    self._cache[sample] = pair
                if not classes[-1]:
                    empty.append(name)
        if usable and len(empty) == len(usable):
            raise AtrousError(
                message("no pixel of the {count} images is labelled", count=len(usable)),
                why=message("Their masks hold nothing but void"),
                remedy=message("Label some pixels, or name other masks or other classes"),
                path=usable[0].mask if usable[0].labels is None else usable[0].image,
            )
        if empty:
            say(f"no labelled pixel in {some(empty)}; {'it teaches' if len(empty) == 1 else 'they teach'} nothing")
        if not usable:
            raise AtrousError(
                message("no image can be trained on"),
                why=message("{count} were skipped", count=len(self.bad.named)),
                remedy=message("See the list above"),
            )
        self.samples = tuple(usable)
        self.counts = ClassCounts(pixels, present, tuple(classes))

    def __len__(self) -> int:
        return len(self.samples)

    def identity(self) -> dict[str, Any]:
        """What a continued run must find again: how many images, and the sha256 of their names in order."""
        names = "\n".join(sample.name or sample.image.name for sample in self.samples)
        return {"images": len(self), "sha256": hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()}

    def _try_read(self, sample: Sample) -> tuple[Pair, tuple[Note, ...], tuple[Note, ...]] | AtrousError:
        try:
            return self._load(sample)
        except Exception as error:
            return image_error(error, sample.image)

    def _read(self, sample: Sample) -> Pair:
        return self._load(sample)[0]

    def _load(self, sample: Sample) -> tuple[Pair, tuple[Note, ...], tuple[Note, ...]]:
        rgb, labels, image_notes, mask_notes = sample.load(self.catalog)
        return (rgb, self._table[labels]), image_notes, mask_notes

    def pair(self, number: int) -> Pair:
        """(H, W, 3) uint8 and (H, W) int16 channels with VOID, of the sample of this number.

        Raises:
            AtrousError: the file was good at the start and is not any more.
        """
        sample = self.samples[number]
        kept = self._cache.get(sample)
        return kept if kept is not None else self._read(sample)

    def order(self, epoch: int, recipe: Recipe) -> NDArray[np.int64]:
        """Numbers of the samples in the order of an epoch; images with hard classes several times."""
        numbers = np.arange(len(self))
        hard = {
            self.catalog.index_of(info.id) for name in recipe.hard_classes if (info := self.catalog.by_name(name)) is not None
        }
        if hard and recipe.hard_repeat > 1:
            again = [number for number, classes in enumerate(self.counts.images) if classes & hard]
            numbers = np.concatenate([numbers, np.repeat(np.array(again, dtype=np.int64), recipe.hard_repeat - 1)])
        return generator(recipe.seed, epoch, -1 & 0xFFFFFFFF).permutation(numbers)

    def plan(self, epoch: int, recipe: Recipe) -> NDArray[np.int64]:
        """Which crops an epoch passes, in order.

        The last, short batch of an epoch is filled from the epoch's beginning, so that batch norm never meets a batch of one.

        Returns:
            (rows, images of a round): numbers of samples; with ``fixed_scales`` number times views plus place of the view, all of
            one step at one scale.
        """
        order = self.order(epoch, recipe)
        views = fixed_views(recipe)
        if not views:
            rounds = self.steps_per_epoch(recipe) * recipe.accumulate
            return np.resize(order, rounds * recipe.micro_batch).reshape(rounds, recipe.micro_batch)
        steps = []
        for place in range(len(recipe.fixed_scales)):
            mine = [index for index, view in enumerate(views) if view.place == place]
            codes = (order[:, None] * len(views) + np.array(mine)).ravel()
            codes = generator(recipe.seed, epoch, 0xFFFFFFFE - place).permutation(codes)
            batches = -(-len(codes) // recipe.batch)
            steps.append(np.resize(codes, batches * recipe.batch).reshape(batches, recipe.batch))
        whole = np.concatenate(steps)
        mixed = generator(recipe.seed, epoch, 0xEFFFFFFF).permutation(len(whole))
        return whole[mixed].reshape(-1, recipe.micro_batch)

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
        """Micro-batches of an epoch from step ``first`` on, ``recipe.accumulate`` for each step, cut while the network computes.

        Every process gets its share of each micro-batch; together they see what one process alone would see.

        Args:
            preprocessing: how the network's input is prepared; None takes mean and std of the recipe.
        """
        prepared, colour = input_preparation(preprocessing, recipe)
        places, views = self.plan(epoch, recipe), fixed_views(recipe)

        def cut(code: int, place: int) -> Pair:
            number, view = divmod(code, len(views)) if views else (code, 0)
            try:
                rgb, channels = self.pair(number)
            except Exception as error:  # it was readable at the start: say so, and go on with an unlabelled crop
                self.bad.add(self.samples[number], image_error(error, self.samples[number].image))
                rgb, channels = np.zeros((1, 1, 3), dtype=np.uint8), np.full((1, 1), VOID, dtype=np.int16)
            if views:
                name = self.samples[number].name or self.samples[number].image.name
                return fixed_crop(rgb, channels, recipe, views[view], name, void=VOID, pad=colour)
            return augment(rgb, channels, recipe, generator(recipe.seed, epoch, place), void=VOID, pad=colour)

        with ThreadPoolExecutor(max(1, threads), thread_name_prefix="augment") as pool:
            waiting: deque[tuple[list[int], list[Future[Pair]]]] = deque()
            batch = recipe.micro_batch
            rows = iter(range(first * recipe.accumulate, len(places)))
            while True:
                while len(waiting) < 3 and (row := next(rows, None)) is not None:
                    codes = [int(places[row, column]) for column in range(rank, batch, world)]
                    jobs = [pool.submit(cut, code, row * batch + rank + index * world) for index, code in enumerate(codes)]
                    waiting.append((codes, jobs))
                if not waiting:
                    return
                codes, jobs = waiting.popleft()
                pairs = [job.result() for job in jobs]
                yield Batch(
                    np.stack([rgb for rgb, _ in pairs]),
                    torch.from_numpy(np.stack([channels for _, channels in pairs])).long(),
                    [str(self.samples[code // max(1, len(views))].image) for code in codes],
                    prepared,
                )

    def crops(
        self, recipe: Recipe, epoch: int, *, first: int = 0, rank: int = 0, world: int = 1, threads: int = 2
    ) -> Iterator[tuple[Tensor, Tensor, list[str]]]:
        """:meth:`batches` as (n, 3, h, w) float32 normalised, (n, h, w) int64, and the names of the images."""
        for batch in self.batches(recipe, epoch, first=first, rank=rank, world=world, threads=threads):
            yield batch.input(), batch.labels, batch.names

    def some_inputs(self, recipe: Recipe, preprocessing: Preprocessing, images: int = 32) -> Iterator[Tensor]:
        """Network inputs (n, 3, h, w) of about so many crops, the same ones at every call."""
        return inputs_of(self, recipe, preprocessing, images)

    def share(self, rank: int, world: int) -> Iterator[Pair]:
        """Every ``world``-th image, from number ``rank`` on. Raises as :meth:`pair`."""
        return map(self.pair, range(rank, len(self), world))

    def steps_per_epoch(self, recipe: Recipe) -> int:
        """Optimiser steps of one epoch."""
        images = len(self.order(0, recipe))
        scales = max(1, len(recipe.fixed_scales))
        sides = len(fixed_views(recipe)) // scales or 1
        return scales * -(-images * sides // recipe.batch)


def inputs_of(data: TrainingData, recipe: Recipe, preprocessing: Preprocessing, images: int) -> Iterator[Tensor]:
    """:meth:`TrainingData.some_inputs` by the batches of epochs that are never trained."""
    seen = 0
    for again in count():
        for batch in data.batches(recipe, _MEASURED - again, preprocessing=preprocessing):
            yield batch.input()
            seen += len(batch.names)
            if seen >= images:
                return


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops of one size.

    Attributes:
        pixels: (n, h, w, 3) uint8 RGB.
        labels: (n, h, w) int64 channels with VOID.
        names: of the images.
        preprocessing: how the network's input is made of the pixels.
    """

    pixels: NDArray[np.uint8]
    labels: Tensor
    names: list[str]
    preprocessing: Preprocessing

    def input(self, place: int | None = None) -> Tensor:
        """(n, C, h, w) float32 normalised; only the crop at ``place`` where one is named, with n = 1."""
        pixels = self.pixels if place is None else self.pixels[place : place + 1]
        pixels = np.ascontiguousarray(to_network_channels(pixels, self.preprocessing.channel_order))
        mean = torch.tensor(self.preprocessing.mean).view(1, -1, 1, 1)
        std = torch.tensor(self.preprocessing.std).view(1, -1, 1, 1)
        return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - mean) / std

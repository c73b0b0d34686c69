"""What shards hold for training: read once, by one process, and kept beside the run as ``NAME.index.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, MaskFormatError, image_error, message
from deeplab_core.images.decode import decode_image
from deeplab_core.masks.frames import MASK_FRAMES, Frame
from deeplab_core.masks.plausibility import MaskStatistics
from deeplab_core.masks.read import decode_mask
from deeplab_core.notes import Note, RunNotes
from deeplab_core.parallel import read_ahead
from deeplab_core.reading import json_text
from deeplab_core.shards import BrokenSample, Fields, ResultFolder, Shard, ShardSample, read_shard, shard_version
from deeplab_core.training.dataset import Pair, channel_table

#: Samples that are read in one go.
BLOCK = 64
#: What a sample is made of.
ROLES = ("image", "truth")
_FORMAT = "atrous-shard-index-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSource:
    """Shards of a recipe's data.

    Attributes:
        specs: as :func:`deeplab_core.shards.list_shards` takes them.
        names: names of members and columns.
        frame: frame of the images that the masks are stored in.
    """

    specs: tuple[str, ...]
    names: Fields = field(default_factory=Fields)
    frame: Frame = "auto"

    @classmethod
    def from_table(cls, table: dict[str, Any], base: Path) -> ShardSource:
        """From a TOML table with ``shards``; relative paths are taken from ``base``. Raises AtrousError."""
        given = table["shards"]
        specs = [given] if isinstance(given, str) else given
        keys = ("shards", "image_field", "truth_field", "id_field", "mask_frame")
        unknown = sorted(set(table) - set(keys))
        if unknown or not isinstance(specs, list) or not all(isinstance(spec, str) for spec in specs):
            raise AtrousError(
                message(
                    "training data: {what}", what=f"unknown key '{unknown[0]}'" if unknown else "'shards' is not a list of texts"
                ),
                remedy=message("Keys beside 'shards' are {keys}", keys=", ".join(keys[1:])),
            )
        frame = table.get("mask_frame", "auto")
        names = Fields(**{role: str(table.get(f"{role}_field", "")) for role in ("image", "truth", "id")})
        return cls(specs=tuple(_placed(spec, base) for spec in specs), names=names, frame=MASK_FRAMES.get(frame, "auto"))

    def to_table(self) -> dict[str, Any]:
        """What :meth:`from_table` reads, with absolute paths."""
        table: dict[str, Any] = {"shards": [_placed(spec, Path.cwd()) for spec in self.specs]}
        table.update({f"{role}_field": name for role, name in self.names.to_dict().items()})
        table.update((("mask_frame", name) for name, frame in MASK_FRAMES.items() if frame == self.frame))
        return table


def _placed(spec: str, base: Path) -> str:
    mark, plain = ("@", spec[1:]) if spec.startswith("@") else ("", spec)
    return spec if "://" in plain else mark + str(base.absolute() / Path(plain).expanduser())


def decode_pair(sample: ShardSample, shard: Shard, source: ShardSource, catalog: ClassCatalog) -> DecodedPair:
    """Pixels and labels of a sample, as :meth:`deeplab_core.training.samples.Sample.load` gives those of files.

    Raises:
        AtrousError: a file is missing or damaged, or the two do not fit.
    """
    data, path = sample.demand("image", shard, source.names)
    coded, mask_path = sample.demand("truth", shard, source.names)
    image = decode_image(data, path)
    mask = decode_mask(coded, mask_path, catalog, image.info, frame=source.frame)
    if mask.labels.shape != image.rgb.shape[:2]:
        raise MaskFormatError(message("the mask and its image have different sizes"), path=mask_path)
    pair = image.rgb, channel_table(catalog)[mask.labels]
    return DecodedPair(pair, image.notes, mask.notes)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPair:
    """A sample as it is trained on.

    Attributes:
        pair: (H, W, 3) uint8 pixels and (H, W) int16 channels with VOID.
        image_notes, mask_notes: what was read in an unusual way.
    """

    pair: Pair
    image_notes: tuple[Note, ...]
    mask_notes: tuple[Note, ...]

    def px(self, classes: int) -> NDArray[np.int64]:
        """(C + 1,) int64 pixels by class, void last."""
        channels = self.pair[1]
        counts = np.bincount(channels[channels >= 0].ravel(), minlength=classes)
        return np.append(counts, channels.size - counts.sum()).astype(np.int64)


@dataclass(slots=True)
class ShardIndex:
    """What a shard holds, found by reading it once.

    Attributes:
        samples: numbers given to samples, usable or not.
        positions: where reading begins for each :data:`BLOCK` of them.
        skip: numbers that cannot be used.
        px: (C + 1,) pixels by class, void last.
        present: (C,) labelled pixels of the images that hold the class.
        masks: usable samples.
        most_void: the largest share of void in one mask, and its name.
        notes: of images and masks, counted.
        bad: (name, error) of what cannot be used.
    """

    samples: int
    positions: list[int]
    skip: list[int]
    px: list[int]
    present: list[int]
    masks: int
    most_void: tuple[float, str]
    notes: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    bad: list[tuple[str, dict[str, Any]]]

    def usable(self, block: int) -> NDArray[np.int64]:
        """Numbers of the usable samples of a block."""
        numbers = np.arange(block * BLOCK, min(self.samples, (block + 1) * BLOCK))
        return numbers[~np.isin(numbers, self.skip)]


def index_shard(shard: Shard, source: ShardSource, catalog: ClassCatalog) -> ShardIndex:
    """Read a shard once.

    Raises:
        AtrousError: it cannot be reached.
    """
    statistics, notes = MaskStatistics(catalog), (RunNotes("image"), RunNotes("mask"))
    present = np.zeros(len(catalog), dtype=np.int64)
    found = ShardIndex(0, [], [], [], [], 0, (0.0, ""), ([], []), [])

    def look(sample: ShardSample | BrokenSample) -> tuple[ShardSample | BrokenSample, DecodedPair | AtrousError]:
        if isinstance(sample, BrokenSample):
            return sample, sample.error
        try:
            return sample, decode_pair(sample, shard, source, catalog)
        except Exception as error:
            return sample, image_error(error, f"{shard.name}/{sample.key}")

    for sample, seen in map(look, read_ahead(read_shard(shard, source.names, ROLES), 4)):
        if isinstance(sample, BrokenSample) and sample.transient:
            raise sample.error
        if isinstance(sample, ShardSample) and sample.number % BLOCK == 0:
            found.positions.append(sample.position)
        if isinstance(seen, AtrousError):
            found.bad.append((sample.key, seen.to_dict()))
            if sample.number >= 0:
                found.skip.append(sample.number)
                if isinstance(sample, BrokenSample) and sample.number % BLOCK == 0:
                    found.positions.append(-1)  # begins within a block that is broken: read from the block before
        else:
            px = seen.px(len(catalog))
            statistics.add(sample.key, px)
            labelled = px[:-1]
            present += np.where(labelled > 0, labelled.sum(), 0)
            notes[0].add(sample.key, seen.image_notes)
            notes[1].add(sample.key, seen.mask_notes)
        found.samples = max(found.samples, sample.number + 1)
    found.px, found.present, found.masks = statistics.px.tolist(), present.tolist(), statistics.masks
    found.most_void, found.notes = statistics.most_void, (notes[0].to_list(), notes[1].to_list())
    return found


def keep_index(results: ResultFolder, shard: Shard, source: ShardSource, catalog: ClassCatalog, digest: str) -> None:
    """Index a shard, unless its index is there already. Raises AtrousError.

    Args:
        digest: stands for classes and names.
    """
    name = f"{shard.name}.index.json"
    version = shard_version(shard, source.names, ROLES)
    found = results.marker(name)
    if found is not None and (found.get("format"), found.get("settings"), found.get("version")) == (_FORMAT, digest, version):
        return
    index = index_shard(shard, source, catalog)
    note = {"format": _FORMAT, "settings": digest, "version": version, "index": {
        one: getattr(index, one) for one in ShardIndex.__slots__
    }}  # fmt: skip
    results.write(name, (json_text(note) + "\n").encode("utf-8", "surrogateescape"))


def kept_index(results: ResultFolder, shard: Shard) -> Any:
    """The plain values of an index. Raises AtrousError."""
    found = results.marker(f"{shard.name}.index.json")
    if found is None or not isinstance(found.get("index"), dict):
        raise AtrousError(
            message("the index of {shard} is missing", shard=shard.name),
            why=message("All processes must see the folder of the run"),
            remedy=message("Put it on a disk that all machines share"),
        )
    return found["index"]

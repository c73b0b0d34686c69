"""What a shard gives: samples, or what was there in place of one; and what its members and columns are called."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath

from deeplab_core.errors import AtrousError, DataFileError, message
from deeplab_core.shards.places import Shard

#: What a member or column holds, by what the user may name.
ROLES = ("image", "truth", "prediction", "confidence", "ambiguous")
_TAR = {
    "image": ("jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp"),
    "truth": ("seg.png", "mask.png"),
    "prediction": ("seg.png", "pred.png"),
    "confidence": ("confidence.png",),
    "ambiguous": ("ambiguous.json",),
}
_COLUMNS = {
    "image": ("image", "img"),
    "truth": ("truth", "mask", "label"),
    "prediction": ("prediction",),
    "confidence": ("confidence",),
    "ambiguous": ("ambiguous",),
}
#: Columns that may hold the images' names.
IDS = ("id", "key", "__key__", "file_name")
#: What to do about a damaged shard.
COPY = message("Copy the shard again from its source, or write it again")


@dataclass(frozen=True, slots=True)
class Fields:
    """What the members or columns are called; an empty value takes the usual names.

    Attributes:
        image, truth, prediction, confidence, ambiguous: endings of a tar file's members (``jpg``, ``seg.png``), or names of
            columns; several are separated by commas.
        id: column of the images' names, in Parquet files and manifests.
    """

    image: str = ""
    truth: str = ""
    prediction: str = ""
    confidence: str = ""
    ambiguous: str = ""
    id: str = ""

    def names(self, role: str, shard: Shard) -> tuple[str, ...]:
        """The names of a role in a shard."""
        given = str(getattr(self, role))
        if given:
            return tuple(part.strip().lstrip(".") for part in given.split(",") if part.strip())
        return (_TAR if shard.kind == "tar" else _COLUMNS)[role]

    def to_dict(self) -> dict[str, str]:
        """What the user has named."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name)}


@dataclass(slots=True)
class ShardSample:
    """One sample of a shard.

    Attributes:
        key: its name, unique in the shard.
        number: its place in the shard, from 0; samples that failed count.
        position: where reading may begin again so that this sample is the first: bytes of a tar file or of a manifest, rows of a
            Parquet file.
        files: encoded contents by role; those that were not asked for, or that are not there, are missing.
        paths: what errors call these contents: shard and member.
    """

    key: str
    number: int
    position: int
    files: dict[str, bytes] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    def demand(self, role: str, shard: Shard, names: Fields) -> tuple[bytes, Path]:
        """A content and what errors call it.

        Raises:
            DataFileError: the sample has none.
        """
        found = self.files.get(role)
        if found is not None:
            return found, self.paths[role]
        raise DataFileError(
            message("there is no {role} of this sample", role=role),
            why=message("Looked for: {names}", names=", ".join(names.names(role, shard))),
            remedy=message("Name it with --{role}-field", role=role),
            path=member_path(shard, self.key),
        )


@dataclass(frozen=True, slots=True)
class BrokenSample:
    """What a shard held in place of a sample.

    Attributes:
        key: name of the sample; that of the shard where it broke off.
        error: what is wrong; it names shard and member.
        number: place in the shard; -1 for the shard itself.
        transient: whether another try may succeed, because the store was not reached.
    """

    key: str
    error: AtrousError
    number: int = -1
    transient: bool = False

    @property
    def whole_shard(self) -> bool:
        """Whether the rest of the shard is lost."""
        return self.number < 0


def member_path(shard: Shard, name: str) -> Path:
    """What errors call a part of a shard: the last part of its address, then the member."""
    return Path(PurePosixPath(shard.url.split("?", 1)[0]).name) / name

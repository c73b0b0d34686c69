"""The data of a run as the ``[data]`` tables of a recipe file: read, checked, and written so that the file is enough to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeplab_core.catalogs import builtin_catalogs, get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, message
from deeplab_core.training.samples import DataSource
from deeplab_core.training.shard_index import ShardSource


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTables:
    """The data section of a recipe file.

    Attributes:
        catalog: the classes; None where the file names none.
        train, val: folders of images.
        train_shards, val_shards: shards in place of these folders.
        projects: folders that were labelled in the window, for training.
        exclude: shell patterns of images of these projects that are left out.
        unmatched_to_void: classes of a project that the catalog has no partner for become void.
    """

    catalog: ClassCatalog | None = None
    train: tuple[DataSource, ...] = ()
    val: tuple[DataSource, ...] = ()
    train_shards: ShardSource | None = None
    val_shards: ShardSource | None = None
    projects: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = ()
    unmatched_to_void: bool = False

    @classmethod
    def read(cls, tables: dict[str, Any], file: Path) -> DataTables:
        """The tables of a recipe file that are not a recipe; relative paths are taken from the file's folder.

        Raises:
            AtrousError: unknown keys or malformed values, by name.
            CatalogError: the classes are unknown or malformed.
        """

        def refuse(what: str) -> AtrousError:
            return AtrousError(
                message("training data: {what}", what=what), remedy=message("docs/training.md lists the tables"), path=file
            )

        strange = [key for key in tables if key != "data"]
        if strange:
            raise refuse(message("unknown table '{option}'", option=strange[0]))
        data = tables.get("data", {})
        known = {"catalog", "train", "val", "projects", "exclude", "unmatched_to_void"}
        unknown = sorted(set(data) - known) if isinstance(data, dict) else ["data"]
        if unknown:
            raise refuse(message("unknown key '{unknown}'", unknown=unknown[0]))

        def rows_of(key: str) -> list[dict[str, Any]]:
            value = data.get(key, [])
            rows = [value] if isinstance(value, dict) else value
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise refuse(message("'{key}' is not a table [[data.{key}]]", key=key))
            if len(rows) > 1 and any("shards" in row for row in rows):
                raise refuse(message("shards of '{key}' stand in one table, without folders", key=key))
            return rows

        def sources(key: str) -> tuple[DataSource, ...]:
            return tuple(DataSource.from_table(row, file.parent) for row in rows_of(key) if "shards" not in row)

        def shards(key: str) -> ShardSource | None:
            return next((ShardSource.from_table(row, file.parent) for row in rows_of(key) if "shards" in row), None)

        def texts(key: str) -> tuple[str, ...]:
            value = data.get(key, [])
            rows = [value] if isinstance(value, str) else value
            if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
                raise refuse(message("'{key}' is not a list of texts", key=key))
            return tuple(rows)

        void = data.get("unmatched_to_void", False)
        if not isinstance(void, bool):
            raise refuse(message("'unmatched_to_void' is true or false"))
        return cls(
            catalog=_catalog(data.get("catalog"), file.parent),
            train=sources("train"),
            val=sources("val"),
            train_shards=shards("train"),
            val_shards=shards("val"),
            projects=tuple(file.parent / Path(name).expanduser() for name in texts("projects")),
            exclude=texts("exclude"),
            unmatched_to_void=void,
        )

    def to_dict(self) -> dict[str, Any]:
        """Values for :meth:`Recipe.to_toml`, with absolute paths; classes that are not built in are written in full."""
        data: dict[str, Any] = {}
        if self.catalog is not None:
            data["catalog"] = _catalog_value(self.catalog)
        if self.projects:
            data["projects"] = [str(folder.absolute()) for folder in self.projects]
        if self.exclude:
            data["exclude"] = list(self.exclude)
        if self.unmatched_to_void:
            data["unmatched_to_void"] = True
        for key, sources in (("train", self.train), ("val", self.val)):
            if sources:
                data[key] = [source.to_table() for source in sources]
        for key, shards in (("train", self.train_shards), ("val", self.val_shards)):
            if shards is not None:
                data[key] = [shards.to_table()]
        return data


def first_difference(before: Sequence[str], now: Sequence[str]) -> str:
    """Where two lists of class names part, in words; empty where they are equal."""
    if list(before) == list(now):
        return ""
    if len(before) != len(now):
        return f"the run has {len(before)} classes, not {len(now)}"
    place, old, new = next((n, a, b) for n, (a, b) in enumerate(zip(before, now, strict=True)) if a != b)
    return f"class {place + 1} of the run is '{old}', not '{new}'"


def _catalog(value: object, base: Path) -> ClassCatalog | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return ClassCatalog.from_dict(value)
    name = str(value)
    return get_catalog(name if name in builtin_catalogs() or not Path(name).suffix else base / Path(name).expanduser())


def _catalog_value(catalog: ClassCatalog) -> Any:
    if builtin_catalogs().get(catalog.name) == catalog:
        return catalog.name
    return {key: value for key, value in catalog.to_dict().items() if value is not None}

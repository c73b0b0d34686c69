"""``atrous train --shards``: what flags and recipe say about shards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.options import TruthOptions

if TYPE_CHECKING:
    from deeplab_core.training.tables import DataTables

#: Folder of the indexes of shards within that of a run.
INDEXES = "shards"
#: How long a process waits for the others, whose shards may take longer to be indexed.
PATIENCE = timedelta(days=1)


def with_shards(
    data: DataTables,
    shards: tuple[str, ...],
    val_shards: tuple[str, ...],
    image_field: str | None,
    truth_field: str | None,
    truth: TruthOptions,
    *,
    folders: bool,
) -> DataTables:
    """The data with the shards that flags name; ``folders``: whether they name folders or projects, too.

    Raises:
        click.UsageError: shards with folders or projects, without classes, or names of members without shards.
    """
    from deeplab_core.shards import Fields
    from deeplab_core.training import ShardSource

    names = Fields(image=image_field or "", truth=truth_field or "")
    if shards:
        source = ShardSource(specs=_absolute(shards), names=names, frame=truth.frame)
        data = replace(data, train_shards=source)
        data = data if folders else replace(data, train=(), projects=())
    if val_shards:
        data = replace(data, val_shards=ShardSource(specs=_absolute(val_shards), names=names, frame=truth.frame), val=())
    if names.to_dict() and not (shards or val_shards):
        raise click.UsageError("--image-field and --truth-field go with --shards")
    if folders and not shards:
        data = replace(data, train_shards=None)
    if data.train_shards is not None and (data.train or data.projects):
        raise click.UsageError("a run trains on shards, or on folders and projects")
    if (data.train_shards is not None or data.val_shards is not None) and data.catalog is None and not data.projects:
        raise click.UsageError("classes are not recognised from shards: name them with --catalog")
    return data


def _absolute(specs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(spec if "://" in spec or spec.startswith("@") else str(Path(spec).absolute()) for spec in specs)

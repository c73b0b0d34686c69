"""What an export would write, before it writes anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from deeplab_core.errors import ExportError
from deeplab_core.formats.export.exporter import CollectionExporter, Exporter, ExportItem, FileExporter


@dataclass(frozen=True, slots=True)
class ExistingTarget:
    """A file that stands where the export would write.

    Attributes:
        path: the file.
        nbytes: its size.
        modified: when it was last changed, UTC.
    """

    path: Path
    nbytes: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """Where every item goes.

    Attributes:
        outputs: target file of each item, in order; the same file for all items of a collection.
        existing: files that are there already, in order.
    """

    outputs: tuple[Path, ...]
    existing: tuple[ExistingTarget, ...]


def plan_export(items: Sequence[ExportItem], exporter: Exporter, target: str | Path) -> ExportPlan:
    """Work out the target files and what already stands there. Writes nothing.

    Raises:
        ExportError: two items would be written to one file (names both), a name leads out of the target folder, a target is
            one of the photographs, or ``target`` is a file.
    """
    target = Path(target)
    if target.is_file():
        raise ExportError("the export target is a file", remedy="Choose a folder", path=target)
    outputs = tuple(target / name for name in _names(items, exporter))
    photographs = {_identity(item.image_path) for item in items if item.image_path is not None}
    for item, output in zip(items, outputs, strict=True):
        if _identity(output) in photographs:
            raise ExportError(
                f"exporting '{item.name}' would overwrite a photograph",
                remedy="Choose another folder for the export",
                path=output,
            )
    return ExportPlan(outputs=outputs, existing=tuple(filter(None, map(existing_target, dict.fromkeys(outputs)))))


def existing_target(path: Path) -> ExistingTarget | None:
    """What stands at ``path``, or None."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return ExistingTarget(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _names(items: Sequence[ExportItem], exporter: Exporter) -> list[str]:
    owners: dict[str, str] = {}
    names = []
    for item in items:
        path = PurePosixPath(item.name)
        if path.is_absolute() or ".." in path.parts or not path.parts or ("\\" in item.name and sys.platform == "win32"):
            raise ExportError(f"'{item.name}' is no path below a project", remedy="Reload the project")
        own = exporter.output_name(item) if isinstance(exporter, FileExporter) else item.name
        key = _fold(own)
        if key in owners:
            raise ExportError(
                f"'{owners[key]}' and '{item.name}' would both be exported as '{own}'",
                remedy="Rename one of the images, or export them to different folders",
            )
        owners[key] = item.name
        names.append(exporter.file_name if isinstance(exporter, CollectionExporter) else own)
    return names


def _identity(path: Path) -> str:
    return _fold(os.path.realpath(path))


def _fold(name: str) -> str:
    """Names that the file system would take for one and the same."""
    return name.casefold() if sys.platform in ("win32", "darwin") else name

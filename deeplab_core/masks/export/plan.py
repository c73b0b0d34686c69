"""What an export would write, before it writes anything."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from deeplab_core.atomic import refuse_photograph
from deeplab_core.errors import AtrousError, ExportError, ProtectedFile, message
from deeplab_core.images.file_names import name_key
from deeplab_core.masks.confirmed import provenance_name
from deeplab_core.masks.export.exporter import CollectionExporter, Exporter, ExportItem, LayoutExporter


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
        outputs: target file of each item, in order; the same file for all items of a collection. Of several files of one item
            it is the one with the labels.
        files: all files of each item but its photograph, in order.
        shared: files that all items share.
        existing: files that are there already and may be replaced, in order.
        refused: by item name, why it cannot be exported: another item would be written to the same file, or a photograph or a
            link is there. The others are exported.
    """

    outputs: tuple[Path, ...]
    existing: tuple[ExistingTarget, ...]
    refused: Mapping[str, AtrousError] = field(default_factory=dict)
    files: tuple[tuple[Path, ...], ...] = ()
    shared: tuple[Path, ...] = ()


def plan_export(items: Sequence[ExportItem], exporter: Exporter, target: str | Path, *, provenance: bool = False) -> ExportPlan:
    """Work out the target files and what is already there. Writes nothing.

    Args:
        items, exporter, target: as for :func:`deeplab_core.masks.export.export_masks`.
        provenance: whether each item gets a picture of who set its pixels.

    Raises:
        ExportError: a name leads out of the target folder, or ``target`` is a file.
    """
    target = Path(target)
    if target.is_file():
        raise ExportError(message("the export target is a file"), remedy=message("Choose a folder"), path=target)
    files = tuple(_names(item, exporter, provenance=provenance) for item in items)
    names = [own[-1] for own in files]
    outputs = tuple(target / name for name in names)
    shared = tuple(target / name for name in (exporter.shared(items) if isinstance(exporter, LayoutExporter) and items else ()))
    # In one file for all, whole names distinguish the images.
    refused = _equal_names(items, [item.name for item in items] if isinstance(exporter, CollectionExporter) else names)
    photographs = {_identity(item.image_path) for item in items if item.image_path is not None}
    existing: dict[Path, ExistingTarget] = {}
    checked: dict[Path, AtrousError | None] = {}
    paths = tuple(tuple(target / name for name in own) for own in files)
    for item, own in zip(items, paths, strict=True):
        if item.name in refused:
            continue
        for output in own:
            if output not in checked:
                found = existing_target(output)
                checked[output] = _refusal(item, output, photographs) if found is not None else None
                if found is not None and checked[output] is None:
                    existing[output] = found
            refusal = checked[output]
            if refusal is not None:
                refused[item.name] = refusal
    for output in shared:
        found = existing_target(output)
        if found is not None:
            existing[output] = found
    return ExportPlan(outputs=outputs, existing=tuple(existing.values()), refused=refused, files=paths, shared=shared)


def folder_among_photographs(items: Sequence[ExportItem], exporter: Exporter, target: str | Path) -> Path | None:
    """A folder with photographs of these items into which the export would write; None where the files keep apart."""
    photographs = {item.image_path.parent for item in items if item.image_path is not None}
    known = {os.path.realpath(folder) for folder in photographs}
    below = {PurePosixPath(name).parent for item in items for name in _names(item, exporter, provenance=False)}
    folders = sorted(Path(target) / folder for folder in below)
    return next((folder for folder in folders if os.path.realpath(folder) in known), None)


def check_splits(items: Sequence[ExportItem], exporter: Exporter, target: Path, plan: ExportPlan) -> None:
    """Raise ExportError for splits that the format cannot hold, and for a folder that holds an image in another split.

    Either would make a data set in which an image is in two splits, or in which the splits are lost.
    """
    planned = {*plan.outputs, *(path for own in plan.files for path in own)}
    splits = sorted({item.split for item in items if item.split})
    if not splits:
        return
    if isinstance(exporter, LayoutExporter):
        trial = [replace(items[0], split=split) for split in ("one", "two")]
        if len({(exporter.files(item), exporter.shared([item])) for item in trial}) == 1:
            raise ExportError(
                message("this format has no place for splits"),
                remedy=message("Leave the splits out, or choose the layout of a data set: voc, cityscapes, yolo, coco"),
            )
    for item in items:
        for other in {*splits, "train", "val", "test"} - {item.split}:
            for name in _names(replace(item, split=other), exporter, provenance=False):
                if target / name not in planned and os.path.lexists(target / name):
                    raise ExportError(
                        message("the folder holds this data set with other splits"),
                        why=message(
                            "'{item}' goes to '{split}', and {name} is in '{other}'",
                            item=item.name,
                            split=item.split,
                            name=name,
                            other=other,
                        ),
                        remedy=message("Export to another folder, or delete the old data set first"),
                        path=target,
                    )


def _refusal(item: ExportItem, output: Path, photographs: set[str]) -> AtrousError | None:
    if _identity(output) in photographs:
        return ProtectedFile(
            message("exporting '{item}' would overwrite a photograph", item=item.name),
            remedy=message("Choose another folder for the export"),
            path=output,
        )
    try:
        refuse_photograph(output)
    except ProtectedFile as error:
        return error
    return None


def existing_target(path: Path) -> ExistingTarget | None:
    """What is at ``path``, or None."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return ExistingTarget(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _names(item: ExportItem, exporter: Exporter, *, provenance: bool) -> tuple[str, ...]:
    path = PurePosixPath(item.name)
    if path.is_absolute() or ".." in path.parts or not path.parts or ("\\" in item.name and sys.platform == "win32"):
        raise ExportError(
            message("'{item}' is not a path below a project", item=item.name), remedy=message("Open the folder again")
        )
    before = (provenance_name(item.stem),) if provenance else ()
    if isinstance(exporter, CollectionExporter):
        return (*before, exporter.output_of(item))
    assert isinstance(exporter, LayoutExporter)
    return (*before, *exporter.files(item))


def _equal_names(items: Sequence[ExportItem], names: Sequence[str]) -> dict[str, AtrousError]:
    """Refusals for the items with files of the same name, or names that differ only in their Unicode form."""
    groups: dict[str, list[ExportItem]] = defaultdict(list)
    for item, name in zip(items, names, strict=True):
        groups[name_key(_fold(name))].append(item)
    refused: dict[str, AtrousError] = {}
    for group in groups.values():
        for item in group if len(group) > 1 else ():
            others = [other.name for other in group if other is not item]
            refused[item.name] = equal_names_error(item.name, others, kept=item.keep_suffix)
    return refused


def equal_names_error(name: str, others: Sequence[str], *, kept: bool) -> ExportError:
    """The error for an image with a result named like another's.

    Args:
        name: the image.
        others: the other images.
        kept: whether outputs keep the images' endings already.
    """
    kept = kept or any(name_key(_fold(other)) == name_key(_fold(name)) for other in others)  # endings would not part them
    differ = "the Unicode form" if kept else "the ending or the Unicode form"
    said = " and ".join(f"'{other}'" for other in others)
    return ExportError(
        message("'{name}' and {others} would be written to the same file", name=name, others=said),
        why=message("Their names differ only in {difference}", difference=differ),
        remedy=message("Rename one of them") if kept else message("Rename one of them, or keep the endings in the names"),
        option="" if kept else "--keep-suffix",
    )


def _identity(path: Path) -> str:
    return _fold(os.path.realpath(path))


def _fold(name: str) -> str:
    """Names that the file system would take for one and the same."""
    return name.casefold() if sys.platform in ("win32", "darwin") else name

"""Labels in or beside a folder of images that the user did not name: what a new project can start from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deeplab_core.errors import AtrousError, message
from deeplab_core.images.file_names import PHOTO_SUFFIXES, is_passed_over, split_name
from deeplab_core.masks.importing.formats import recognise
from deeplab_core.masks.importing.records import Format
from deeplab_core.masks.importing.source import open_source

#: Endings of files that hold outlines or whole data sets. Folders of masks are found as ground truth is.
LABEL_ENDINGS = frozenset({".json", ".xml", ".txt", ".zip", ".parquet"})
#: Files that make the folder above the images the root of a data set.
_ROOTS = frozenset({"data.yaml", "dataset.yaml", "data.yml", "obj.data", "meta.json", "annotations.xml"})
#: Pictures that are not masks.
_PHOTOGRAPHS = PHOTO_SUFFIXES - {".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm"}
#: Bounds of an automatic look; the user can name whatever is larger.
_MOST_FILES, _MOST_PLACES, _MOST_BYTES = 20_000, 40, 64 << 20


@dataclass(frozen=True, slots=True)
class LabelsNearby:
    """Labels that were recognised, or that are too large to be looked at without being asked.

    Attributes:
        path: the file or folder to read them from.
        format: what they are; None if they were not looked at.
        large: why they were not looked at, in words; else empty.
    """

    path: Path
    format: Format | None
    large: str = ""


def find_labels(folder: str | Path) -> tuple[LabelsNearby, ...]:
    """Look for outlines and annotated data sets in a folder of images, its subfolders and beside it; reads little.

    Looked at are the folder, its direct subfolders, files and folders beside it, and the one or two folders above it where a
    file marks them as the root of a data set. A folder beside it that has photographs of its own is passed over: its labels are
    theirs. Plain masks are not among the results (see :func:`deeplab_core.datasets.find_truth`).

    Args:
        folder: of the images.

    Returns:
        What is certainly of one format, nearest first; behind that what is too large to be looked at without being asked: more
        than 20,000 files, or a file above 64 MB.
    """
    found: list[LabelsNearby] = []
    large: list[LabelsNearby] = []
    for path, why in _places(Path(folder)):
        if any(other.path in path.parents for other in (*found, *large)):
            continue  # its files were looked at with the folder above
        if why:
            large.append(LabelsNearby(path, None, why))
            continue
        try:
            recognised = recognise(open_source(path))
        except AtrousError:
            continue
        if recognised.key != "masks":
            found.append(LabelsNearby(path, recognised))
    return (*found, *large)


def _places(folder: Path) -> Iterator[tuple[Path, str]]:
    """What may hold labels, nearest first, and what about it is too large."""
    listed = [folder, *_below(folder, but=None)]
    roots = [above for above in (folder.parent, folder.parent.parent) if _is_root(above)]
    listed += roots if roots else _below(folder.parent, but=folder)
    for path in dict.fromkeys(listed):
        beside = path.parent == folder.parent and path != folder
        size = _label_size(path)
        if size is not None and not (beside and path not in roots and _holds_photographs(path)):
            yield path, size


def _below(folder: Path, but: Path | None) -> list[Path]:
    """Folders and label files of a folder, in order of their names."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                entry.name
                for entry in entries
                if not is_passed_over(entry.name)
                and (entry.is_dir(follow_symlinks=False) or (but is not None and _is_label_file(entry)))
            )
    except OSError:
        return []
    return [folder / name for name in found if folder / name != but][:_MOST_PLACES]


def _is_root(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _ROOTS)


def _is_label_file(entry: os.DirEntry[str]) -> bool:
    return split_name(entry.name)[1] in LABEL_ENDINGS and entry.is_file(follow_symlinks=False)


def _holds_photographs(path: Path) -> bool:
    names = (name for _, _, names in os.walk(path) for name in names)
    return any(split_name(name)[1] in _PHOTOGRAPHS and not is_passed_over(name) for name in names)


def _label_size(path: Path) -> str | None:
    """What is too large about the label files of a place, in words; empty if nothing is, None if there are none."""
    if path.is_file():
        return _too_large(path.stat().st_size)
    count, found, largest = 0, False, 0
    for place, below, names in os.walk(path):
        below[:] = [name for name in below if not is_passed_over(name)]
        count += len(names)
        labels = [name for name in names if not is_passed_over(name) and split_name(name)[1] in LABEL_ENDINGS]
        found = found or bool(labels)
        if found and count > _MOST_FILES:
            return message("more than {most:,} files", most=_MOST_FILES)
        sizes = (os.stat(f"{place}/{name}").st_size for name in labels)  # noqa: PTH116 -- thousands of files
        largest = max(largest, *sizes, 0) if labels else largest
    return _too_large(largest) if found else None


def _too_large(size: int) -> str:
    return message("a file of {megabytes:,} MB", megabytes=size >> 20) if size > _MOST_BYTES else ""

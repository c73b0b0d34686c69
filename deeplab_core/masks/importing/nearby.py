"""Labels in or beside a folder of images that the user did not name: what a new project can start from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deeplab_core.errors import AtrousError
from deeplab_core.images.file_names import PHOTO_SUFFIXES, is_passed_over, split_name
from deeplab_core.masks.importing.plan import recognise
from deeplab_core.masks.importing.records import Format
from deeplab_core.masks.importing.source import open_source

#: Endings of files that hold outlines or whole data sets. Folders of masks are found as ground truth is.
LABEL_ENDINGS = frozenset({".json", ".xml", ".txt", ".zip", ".parquet"})
#: Files that make the folder above the images the root of a data set.
_ROOTS = frozenset({"data.yaml", "dataset.yaml", "data.yml", "obj.data", "meta.json", "annotations.xml"})
#: Pictures that are no masks.
_PHOTOGRAPHS = PHOTO_SUFFIXES - {".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm"}
#: Bounds of an automatic look; the user can name whatever is larger.
_MOST_FILES, _MOST_PLACES, _MOST_BYTES = 20_000, 40, 64 << 20


@dataclass(frozen=True, slots=True)
class LabelsNearby:
    """Labels that were recognised.

    Attributes:
        path: the file or folder to read them from.
        format: what they are.
    """

    path: Path
    format: Format


def find_labels(folder: str | Path) -> tuple[LabelsNearby, ...]:
    """Look for outlines and annotated data sets in a folder of images, its subfolders and beside it; reads little.

    Looked at are the folder, its direct subfolders, files and folders beside it, and the one or two folders above it where a
    file marks them as the root of a data set. A folder beside it that has photographs of its own is passed over: its labels are
    theirs. Plain masks are not among the results (see
    :func:`deeplab_core.datasets.find_truth`), nor is what is too large to be looked at without being asked: more than 20,000
    files, or a file above 64 MB.

    Args:
        folder: of the images.

    Returns:
        What is certainly of one format, nearest first.
    """
    found: list[LabelsNearby] = []
    for path in _places(Path(folder)):
        if any(other.path in path.parents for other in found):
            continue  # its files were looked at with the folder above
        try:
            recognised = recognise(open_source(path))
        except AtrousError:
            continue
        if recognised.key != "masks":
            found.append(LabelsNearby(path, recognised))
    return tuple(found)


def _places(folder: Path) -> Iterator[Path]:
    """What may hold labels, nearest first."""
    listed = [folder, *_below(folder, but=None)]
    roots = [above for above in (folder.parent, folder.parent.parent) if _is_root(above)]
    listed += roots if roots else _below(folder.parent, but=folder)
    for path in dict.fromkeys(listed):
        beside = path.parent == folder.parent and path != folder
        if _holds_labels(path) and not (beside and path not in roots and _holds_photographs(path)):
            yield path


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


def _holds_labels(path: Path) -> bool:
    """Whether a place has a label file that is small enough to be looked at; stops at the bound."""
    if path.is_file():
        return path.stat().st_size <= _MOST_BYTES
    count, found = 0, False
    for place, below, names in os.walk(path):
        below[:] = [name for name in below if not is_passed_over(name)]
        count += len(names)
        if count > _MOST_FILES:
            return False
        for name in names:
            if not is_passed_over(name) and split_name(name)[1] in LABEL_ENDINGS:
                if os.stat(f"{place}/{name}").st_size > _MOST_BYTES:  # noqa: PTH116 -- thousands of files
                    return False
                found = True
    return found

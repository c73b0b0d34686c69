"""Finding the photographs of a folder, and only them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deeplab_core.errors import ImageReadError
from deeplab_core.images.label_names import is_label_folder, mask_stem, photo_stem
from deeplab_core.images.probe import IMAGE_SUFFIXES, unreadable

#: Endings of lossless files, the only ones that can hold masks.
MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".pgm"})

_SAMPLES = 3
_PNG_HEAD = 26
_GREY, _PALETTE = 0, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderScan:
    """What stands below a folder.

    Attributes:
        images: photographs, as paths relative to the folder with ``/`` as separator, in natural order.
        masks: image files that are masks of these photographs, same form and order.
        unreadable: sub-folders that the system does not open.
    """

    images: tuple[str, ...]
    masks: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def find_images(folder: str | Path) -> list[str]:
    """Photographs below ``folder``: the ``images`` of :func:`scan_folder`."""
    return list(scan_folder(folder).images)


def scan_folder(folder: str | Path) -> FolderScan:
    """List the image files below a folder and tell photographs from masks.

    Folders and files whose names begin with a dot (``.atrous`` among them) are passed over; linked folders are followed once.
    A file is taken for a mask, and not offered as a photograph, when it is lossless (PNG, TIFF, BMP, PGM) and

    1. a folder on its way down is named like masks (:func:`is_label_folder`), and at least half of the files in its folder
       carry the stem of a photograph elsewhere, or fewer do but the headers of its first files say grey or indexed; or
    2. at least half of the files in its folder carry the stem of a photograph elsewhere, and the headers of its first files
       say indexed PNG, whatever the folder is called; or
    3. it stands beside its photograph (``a.jpg`` and ``a.png`` or ``a_mask.png``) and is a grey or indexed PNG.

    The folder's own name is never held against it: who opens a folder of masks sees them.

    Raises:
        ImageReadError: the folder does not exist or cannot be opened.
    """
    root = Path(folder)
    listing, refused = _walk(root)
    masks = set(_beside_photographs(root, listing))
    photographs = {place: [name for name in names if _join(place, name) not in masks] for place, names in listing.items()}
    for place in _mask_folders(root, photographs):
        lossless = [name for name in photographs[place] if _is_lossless(name)]
        masks.update(_join(place, name) for name in lossless)
    everything = (_join(place, name) for place, names in listing.items() for name in names)
    return FolderScan(
        images=tuple(natural_sort(name for name in everything if name not in masks)),
        masks=tuple(natural_sort(masks)),
        unreadable=tuple(natural_sort(refused)),
    )


_DIGITS = re.compile(r"(\d+)")


def natural_sort(names: Iterable[str]) -> list[str]:
    """Sort so that numbers count as numbers: ``img2`` before ``img10``; folders keep their files together."""
    return sorted(names, key=_natural_key)


def _natural_key(name: str) -> tuple[list[str | int], str]:
    # Splitting on digit runs alternates text and number, so keys of any two names compare like with like.
    parts: list[str | int] = [*_DIGITS.split(name.casefold().replace("/", "\x00"))]
    parts[1::2] = [int(part) for part in parts[1::2]]
    return parts, name


def _walk(root: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Names of image files by relative folder, and the folders that could not be opened."""
    listing: dict[str, list[str]] = {}
    refused: list[str] = []
    visited = {os.path.realpath(root)}
    waiting = [""]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(root / place if place else root) as entries:
                names = []
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if _is_folder(entry):
                        if _is_new(entry, visited):
                            waiting.append(_join(place, entry.name))
                    elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122 -- 20,000 Path objects are slow
                        names.append(entry.name)
        except OSError as error:
            if not place:
                raise _unopened(error, root) from error
            refused.append(place)
            continue
        if names:
            listing[place] = names
    return listing, refused


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that points to itself
        return False


def _is_new(entry: os.DirEntry[str], visited: set[str]) -> bool:
    """Whether a folder was not walked yet; only links can lead to one twice."""
    if not entry.is_symlink():
        return True
    target = os.path.realpath(entry.path)
    if any(target == known or known.startswith(target + os.sep) for known in visited):
        return False
    visited.add(target)
    return True


def _beside_photographs(root: Path, listing: dict[str, list[str]]) -> Iterator[str]:
    """Rule 3: masks in the same folder as their photographs."""
    for place, names in listing.items():
        owners: dict[str, set[str]] = defaultdict(set)
        for name in names:
            owners[photo_stem(_stem(name))].add(name)
        for name in names:
            if not name.lower().endswith(".png"):
                continue
            wanted = mask_stem(_stem(name))
            if (owners.get(wanted, set()) - {name}) and _png_color_type(root / place / name) in (_GREY, _PALETTE):
                others = owners[wanted] - {name}
                # Two PNG files of one stem cannot exist; a longer stem, or another ending, says which one is the mask.
                if wanted != _stem(name) or any(not other.lower().endswith(".png") for other in others):
                    yield _join(place, name)


def _mask_folders(root: Path, photographs: dict[str, list[str]]) -> list[str]:
    """Rules 1 and 2: folders whose lossless files are masks of photographs in other folders."""
    by_name = {place: any(is_label_folder(part) for part in PurePosixPath(place).parts) for place in photographs}
    owners: dict[str, set[str]] = defaultdict(set)
    for place, names in photographs.items():
        if not by_name[place]:
            for name in names:
                owners[photo_stem(_stem(name))].add(place)
    found = []
    for place, names in photographs.items():
        lossless = [name for name in names if _is_lossless(name)]
        if not place or not lossless:
            continue
        shared = sum(_has_owner(_stem(name), place, owners) for name in lossless)
        half = 2 * shared >= len(lossless)
        if by_name[place]:
            if half or (shared and _all_of_type(root, place, lossless, (_GREY, _PALETTE))):
                found.append(place)
        elif half and len(lossless) == len(names) and _all_of_type(root, place, lossless, (_PALETTE,)):
            found.append(place)
    return found


def _has_owner(stem: str, place: str, owners: dict[str, set[str]]) -> bool:
    """Whether another folder holds the photograph that a mask of this stem belongs to."""
    return any(owners.get(wanted, set()) - {place} for wanted in (stem, mask_stem(stem)))


def _all_of_type(root: Path, place: str, names: list[str], types: tuple[int, ...]) -> bool:
    return all(_png_color_type(root / place / name) in types for name in sorted(names)[:_SAMPLES])


def _png_color_type(path: Path) -> int | None:
    """Colour type of a PNG header (0 grey, 2 RGB, 3 indexed, 4 and 6 with alpha); None where it is no PNG."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_PNG_HEAD)
    except OSError:
        return None
    return head[25] if len(head) == _PNG_HEAD and head.startswith(b"\x89PNG") else None


def _is_lossless(name: str) -> bool:
    return name[name.rfind(".") :].lower() in MASK_SUFFIXES


def _stem(name: str) -> str:
    return name[: name.rfind(".")]


def _join(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name


def _unopened(error: OSError, root: Path) -> ImageReadError:
    if isinstance(error, FileNotFoundError):
        return ImageReadError("the folder does not exist", remedy="Choose another folder", path=root)
    if isinstance(error, NotADirectoryError):
        return ImageReadError("this is a file, not a folder", remedy="Choose the folder that holds it", path=root)
    return unreadable(error, root)

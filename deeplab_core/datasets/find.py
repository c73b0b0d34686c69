"""Finding the photographs of a folder, and only them."""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deeplab_core.errors import ImageReadError, message
from deeplab_core.images.file_names import (
    HEIC_SUFFIXES,
    PHOTO_SUFFIXES,
    is_label_folder,
    is_passed_over,
    mask_stem,
    name_key,
    photo_stem,
    split_name,
)
from deeplab_core.images.probe import IMAGE_SUFFIXES, INSTALL_HEIC, heic_readable, unreadable
from deeplab_core.pictures import is_photographed

#: Endings of lossless files, the only ones that can hold masks.
MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".pgm"})

#: Pictures, scans and films that are not read; their number and names are reported.
UNREAD_SUFFIXES = frozenset(
    {
        ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f",
        ".psd", ".psb", ".xcf", ".svg", ".ai", ".eps", ".exr", ".hdr", ".jxl", ".tga", ".pcx", ".ico", ".dds", ".qoi", ".bpg",
        ".dcm", ".nii", ".nrrd", ".mha", ".czi", ".nd2", ".lif", ".svs", ".ndpi", ".ecw", ".sid", ".fits", ".jls", ".j2k", ".jpx",
        ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".pdf",
    }
)  # fmt: skip

#: Files of a folder that are looked at.
_SAMPLES = 3
_PNG_HEAD = 26
_GREY, _PALETTE = 0, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderScan:
    """The content of a folder.

    Attributes:
        images: photographs, as paths relative to the folder with ``/`` as separator, in natural order.
        masks: image files that are masks of these photographs, same form and order.
        unreadable: sub-folders that the system does not open.
        unsupported: pictures, scans and films in formats that are not read; HEIC files without the extra ``heic``.
        not_files: pipes, devices and sockets with the name of an image.
        not_followed: links to folders outside of the scanned one.
    """

    images: tuple[str, ...]
    masks: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    not_files: tuple[str, ...] = ()
    not_followed: tuple[str, ...] = ()

    def left_out(self, *, masks: bool = True) -> tuple[str, ...]:
        """What is not offered as an image, and why, in sentences for the user; empty if nothing is left out.

        Args:
            masks: count the masks too.
        """
        heic = [name for name in self.unsupported if split_name(name)[1] in HEIC_SUFFIXES]
        others = [name for name in self.unsupported if split_name(name)[1] not in HEIC_SUFFIXES]
        endings = ", ".join(sorted({split_name(name)[1] for name in others}))
        groups = (
            (self.masks if masks else (), "is a mask of these images, not listed as an image",
             "are masks of these images, not listed as images"),
            (heic, f"is a HEIC image; {INSTALL_HEIC}", f"are HEIC images; {INSTALL_HEIC}"),
            (others, f"is in a format that is not read ({endings})", f"are in formats that are not read ({endings})"),
            (self.not_files, "is a pipe or device, not a file", "are pipes or devices, not files"),
            (self.not_followed, "is a link to a folder outside of this one; it is not followed",
             "are links to folders outside of this one; they are not followed"),
            (self.unreadable, "is a folder that cannot be opened", "are folders that cannot be opened"),
        )  # fmt: skip
        return tuple(f"{len(names):,} {one if len(names) == 1 else many}: {_some(names)}" for names, one, many in groups if names)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def find_images(folder: str | Path) -> list[str]:
    """Photographs below ``folder``: the ``images`` of :func:`scan_folder`."""
    return list(scan_folder(folder).images)


def scan_folder(folder: str | Path) -> FolderScan:
    """List the image files below a folder and tell photographs from masks.

    Hidden files and folders (``.atrous`` among them), trash and the bookkeeping of systems (:func:`is_passed_over`) are
    passed over. A link to a folder is followed once if it stays in this one; links that lead out of it are named. A file is
    taken for a mask, and not offered as a photograph, when it is lossless (PNG, TIFF, BMP, PGM) and

    1. a folder on its way down is named like masks (:func:`is_label_folder`), and at least half of the files in its folder
       carry the stem of a photograph elsewhere, or fewer do but the headers of its first files say grey or indexed; or
    2. at least half of the files in its folder carry the stem of a photograph elsewhere, and the headers of its first files
       say indexed PNG, whatever the folder is called; or
    3. it is beside its photograph (``a.jpg`` and ``a.png`` or ``a_mask.png``) and is a grey or indexed PNG.

    Where most of three pictures of such a folder are photographed (:func:`deeplab_core.pictures.is_photographed`), its files are
    photographs whatever the names say. The folder's own name is never held against it: who opens a folder of masks sees them.

    Raises:
        ImageReadError: the folder does not exist or cannot be opened.
    """
    root = Path(folder)
    walk = _Walk(root)
    listing = walk.listing
    masks = set(_beside_photographs(root, listing))
    photographs = {place: [name for name in names if _join(place, name) not in masks] for place, names in listing.items()}
    for place in _mask_folders(root, photographs):
        lossless = [name for name in photographs[place] if _is_lossless(name)]
        masks.update(_join(place, name) for name in lossless)
    everything = (_join(place, name) for place, names in listing.items() for name in names)
    return FolderScan(
        images=tuple(natural_sort(name for name in everything if name not in masks)),
        masks=tuple(natural_sort(masks)),
        unreadable=tuple(natural_sort(walk.refused)),
        unsupported=tuple(natural_sort(walk.unsupported)),
        not_files=tuple(natural_sort(walk.not_files)),
        not_followed=tuple(natural_sort(walk.not_followed)),
    )


def listing_state(folder: str | Path) -> int:
    """A number that changes if an image file below a folder comes, goes, or gets another size or time; nothing is looked into.

    It costs a third of :func:`scan_folder` with the times of its files, and holds within one process only.

    Raises:
        ImageReadError: the folder does not exist or cannot be opened.
    """
    root = Path(folder)
    walk = _Walk(root)
    found: list[tuple[str, int, int]] = []
    for place, names in walk.listing.items():
        start = os.path.join(root, place)  # noqa: PTH118 -- 100,000 Path objects are slow
        for name in names:
            try:
                status = os.stat(f"{start}/{name}")  # noqa: PTH116
            except OSError:
                continue
            found.append((f"{place}/{name}", status.st_size, status.st_mtime_ns))
    others = (walk.refused, walk.unsupported, walk.not_files, walk.not_followed)
    return hash((frozenset(found), *(frozenset(names) for names in others)))


_DIGITS, _MOST_DIGITS = re.compile(r"(\d+)"), 4000


def natural_sort(names: Iterable[str]) -> list[str]:
    """Sort so that numbers count as numbers: ``img2`` before ``img10``; folders keep their files together."""
    known = list(names)
    aligned = _aligned(known)
    return sorted(known, key=natural_key) if aligned is None else [aligned[key] for key in sorted(aligned)]


#: Every ASCII character as a letter or a digit, to see where the numbers of a name are.
_SHAPE = {**dict.fromkeys(range(128), "a"), **dict.fromkeys(map(ord, "0123456789"), "0"), ord("\n"): "\n"}


def _aligned(names: list[str]) -> dict[str, str] | None:
    """Names by a text that sorts as :func:`natural_key`; None if they have no such text.

    There is one if all names are ASCII and have their digits in the same places, as in ``part_01/000123.jpg``. All is done on one
    text, which takes a tenth of the time of a key for each.
    """
    text = "\n".join(names)
    if not text.isascii():
        return None
    shapes = set(text.translate(_SHAPE).split("\n"))
    keys = text.lower().replace("/", "\0").split("\n")
    if len(shapes) != 1 or len(keys) != len(names) or len(keys[0]) > _MOST_DIGITS:  # a name with a line break has become two
        return None
    aligned = dict(zip(keys, names, strict=True))
    return aligned if len(aligned) == len(names) else None


def natural_key(name: str) -> tuple[list[str | int], str]:
    """What :func:`natural_sort` sorts a name or relative path by."""
    # Splitting on digit runs alternates text and number, so keys of any two names compare like with like.
    split = _DIGITS.split(name.casefold().replace("/", "\x00"))
    parts: list[str | int] = [*split]
    # A name out of a damaged database may hold more digits than int() takes.
    parts[1::2] = [int(part[:_MOST_DIGITS]) for part in split[1::2]]
    return parts, name


class _Walk:
    """Names of image files by relative folder, and what else a folder tree holds."""

    def __init__(self, root: Path) -> None:
        self.listing: dict[str, list[str]] = {}
        self.refused: list[str] = []
        self.unsupported: list[str] = []
        self.not_files: list[str] = []
        self.not_followed: list[str] = []
        self._readable = IMAGE_SUFFIXES | (HEIC_SUFFIXES if heic_readable() else frozenset())
        self._unread = UNREAD_SUFFIXES | (HEIC_SUFFIXES - self._readable)
        self._root = os.path.realpath(root)
        self._visited = {self._root}
        self._waiting = [""]
        while self._waiting:
            place = self._waiting.pop()
            try:
                with os.scandir(root / place if place else root) as entries:
                    names = self._take(place, entries)
            except OSError as error:
                if not place:
                    raise _unopened(error, root) from error
                self.refused.append(place)
                continue
            if names:
                self.listing[place] = names

    def _take(self, place: str, entries: Iterable[os.DirEntry[str]]) -> list[str]:
        names = []
        for entry in entries:
            name = entry.name
            ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 -- 20,000 Path objects are slow
            # Nearly all entries are plain images; what is passed over by its whole name has another ending.
            plain = _is_plain_file(entry)
            if plain and ending in self._readable and not name.startswith("."):
                names.append(name)
                continue
            if is_passed_over(name):
                continue
            if not plain and _is_folder(entry):
                if self._is_new(entry, place):
                    self._waiting.append(_join(place, name))
                continue
            if ending in self._readable:
                if _is_special(entry):
                    self.not_files.append(_join(place, name))
                else:
                    names.append(name)
            elif ending in self._unread:
                self.unsupported.append(_join(place, name))
        return names

    def _is_new(self, entry: os.DirEntry[str], place: str) -> bool:
        """Whether a folder may be walked; only links can lead to one twice, or out of the scanned folder."""
        if not entry.is_symlink():
            return True
        target = os.path.realpath(entry.path)
        if target in self._visited:
            return False
        if not target.startswith(self._root.rstrip(os.sep) + os.sep):
            self.not_followed.append(_join(place, entry.name))
            return False
        self._visited.add(target)
        return True


def _is_plain_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file and no link."""
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that points to itself
        return False


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Whether an entry exists and is neither file nor folder; a link that leads nowhere is listed and fails when it is read."""
    try:
        return not entry.is_file() and stat.S_IFMT(entry.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR)
    except OSError:
        return False


def _beside_photographs(root: Path, listing: dict[str, list[str]]) -> Iterator[str]:
    """Rule 3: masks in the same folder as their photographs."""
    for place, names in listing.items():
        if not any(name.lower().endswith(".png") for name in names):
            continue
        owners: dict[str, set[str]] = defaultdict(set)
        for name in names:
            owners[_photo_key(name)].add(name)
        found: dict[int, list[str]] = {_GREY: [], _PALETTE: []}
        for name in names:
            if not name.lower().endswith(".png"):
                continue
            stem = name_key(_stem(name))
            for wanted in _mask_keys(stem):
                others = owners.get(wanted, set()) - {name}
                # Two PNG files of one stem cannot exist; a longer stem, or another ending, determines which one is the mask.
                if others and (wanted != stem or any(not other.lower().endswith(".png") for other in others)):
                    kind = _png_color_type(root / place / name)
                    if kind in (_GREY, _PALETTE):
                        found[kind].append(name)
                    break
        if found[_GREY] and _are_photographed(root, [_join(place, name) for name in found[_GREY]]):
            found[_GREY] = []
        for names_of_kind in found.values():
            yield from (_join(place, name) for name in names_of_kind)


def _mask_folders(root: Path, photographs: dict[str, list[str]]) -> list[str]:
    """Rules 1 and 2: folders with lossless files that are masks of photographs in other folders."""
    if not any(place and any(map(_is_lossless, names)) for place, names in photographs.items()):
        return []
    by_name = {place: any(is_label_folder(part) for part in PurePosixPath(place).parts) for place in photographs}
    owners: dict[str, set[str]] = defaultdict(set)
    for place, names in photographs.items():
        if not by_name[place]:
            for name in names:
                owners[_photo_key(name)].add(place)
    found = []
    for place, names in photographs.items():
        lossless = [name for name in names if _is_lossless(name)]
        if not place or not lossless:
            continue
        shared = sum(_has_owner(name, place, owners) for name in lossless)
        half = 2 * shared >= len(lossless)
        if by_name[place]:
            if half or (shared and _all_of_type(root, place, lossless, (_GREY, _PALETTE))):
                found.append(place)
        elif half and len(lossless) == len(names) and _all_of_type(root, place, lossless, (_PALETTE,)):
            found.append(place)
    return _without_photographed(root, found, photographs)


def _without_photographed(root: Path, places: list[str], photographs: dict[str, list[str]]) -> list[str]:
    """Those of the folders without photographs: looked at together below the folder that is named like masks."""
    groups: dict[str, list[str]] = defaultdict(list)
    for place in places:
        groups[_label_root(place)].append(place)
    found = []
    for members in groups.values():
        names = [_join(place, name) for place in members for name in sorted(photographs[place]) if _is_lossless(name)]
        if not _are_photographed(root, names):
            found += members
    return found


def _label_root(place: str) -> str:
    parts = PurePosixPath(place).parts
    named = next((position for position, part in enumerate(parts) if is_label_folder(part)), len(parts) - 1)
    return "/".join(parts[: named + 1])


def _are_photographed(root: Path, names: Sequence[str]) -> bool:
    """Whether most of three of these pictures are photographs by their pixels. Indexed PNG never are."""
    chosen = sorted({names[0], names[len(names) // 2], names[-1]})
    photographed = sum(_png_color_type(root / name) != _PALETTE and is_photographed(root / name) for name in chosen)
    return 2 * photographed > len(chosen)


def _photo_key(name: str) -> str:
    return photo_stem(name_key(_stem(name)))


def _mask_keys(stem: str) -> tuple[str, ...]:
    """Keys of the photograph that a mask of this stem (in NFC) may belong to; ``a.jpg`` of ``a.jpg.png`` means ``a`` besides."""
    pointed = mask_stem(stem)
    inner, ending = split_name(pointed)
    return tuple(dict.fromkeys((stem, pointed, *([inner] if ending in PHOTO_SUFFIXES else []))))


def _has_owner(name: str, place: str, owners: dict[str, set[str]]) -> bool:
    """Whether another folder holds the photograph that a mask of this name belongs to."""
    return any(owners.get(wanted, set()) - {place} for wanted in _mask_keys(name_key(_stem(name))))


def _all_of_type(root: Path, place: str, names: list[str], types: tuple[int, ...]) -> bool:
    return all(_png_color_type(root / place / name) in types for name in sorted(names)[:_SAMPLES])


def _png_color_type(path: Path) -> int | None:
    """Colour type of a PNG header (0 grey, 2 RGB, 3 indexed, 4 and 6 with alpha); None where it is not a PNG."""
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
        return ImageReadError(message("the folder does not exist"), remedy=message("Choose another folder"), path=root)
    if isinstance(error, NotADirectoryError):
        return ImageReadError(
            message("this is a file, not a folder"), remedy=message("Choose the folder that holds it"), path=root
        )
    return unreadable(error, root)

"""Lists of images, one a line, as data sets and other programs write them: train.txt, val.txt."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deeplab_core.errors import AtrousError, DataFileError
from deeplab_core.images.file_names import PHOTO_SUFFIXES, mask_stem, name_key, photo_stem, split_name
from deeplab_core.reading import read_bytes

_MOST_BYTES = 64 << 20
#: The last column of a line: behind a tab, comma or semicolon anything; behind blanks VOC's -1, 0, 1, or a second file.
_LAST_COLUMN = re.compile(r"(?:\s*[\t,;]\s*[^\t,;]*|\s+(?:-?[01]|\S*[./]\S*))$")


@dataclass(frozen=True, slots=True)
class SplitList:
    """The images that a list names.

    Attributes:
        images: those that are there, in the order of the folder.
        missing: lines, as written, that fit none of its images.
        ambiguous: (line, images) where a line fits several images; all of them are among ``images``.
    """

    images: tuple[str, ...]
    missing: tuple[str, ...] = ()
    ambiguous: tuple[tuple[str, tuple[str, ...]], ...] = ()


def read_split(path: str | Path, images: Sequence[str], *, error: type[AtrousError] = DataFileError) -> SplitList:
    """Read a list and find its images.

    A line names an image with or without its folders and ending, in any Unicode form; names may hold blanks. What follows a name
    in another column is passed over, and so are empty lines and lines that begin with ``#`` and name no image. The text may be
    UTF-8 with or without a mark, UTF-16 with one, or the bytes that the files' names have; lines may end as on any system.

    Args:
        images: paths relative to the folder of images, with ``/``.
        error: kind of the errors.

    Raises:
        AtrousError: of kind ``error``; the list cannot be read, or names nothing.
    """
    path = Path(path)
    data = read_bytes(path, limit=_MOST_BYTES, what="the list of images", error=error)
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16") if wide else data.decode("utf-8-sig", "surrogateescape")
    except UnicodeError as problem:
        raise error("the list of images cannot be read", why=str(problem), remedy="Save it as UTF-8", path=path) from problem
    if "\0" in text:
        raise error("this is not a list of images", why="It holds zero bytes", remedy="Choose a text file", path=path)
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    names = _Names(images)
    chosen: set[str] = set()
    missing: dict[str, None] = {}
    ambiguous: list[tuple[str, tuple[str, ...]]] = []
    for line in dict.fromkeys(filter(None, lines)):
        found = names.find(line)
        chosen |= found
        if len(found) > 1:
            ambiguous.append((line, tuple(sorted(found))))
        if not found and not line.startswith("#"):
            missing[line] = None
    if not chosen and not missing:
        raise error("the list of images is empty", remedy="Write one image a line", path=path)
    return SplitList(tuple(name for name in images if name in chosen), tuple(missing), tuple(ambiguous))


class _Names:
    def __init__(self, images: Sequence[str]) -> None:
        self._whole: dict[str, set[str]] = defaultdict(set)
        self._bare: dict[str, set[str]] = defaultdict(set)
        self._stems: dict[str, set[str]] = defaultdict(set)
        for image in images:
            key = name_key(image)
            place, _, name = key.rpartition("/")
            stem = split_name(name)[0]
            self._whole[key].add(image)
            for known in {stem, photo_stem(stem)}:
                self._bare[f"{place}/{known}" if place else known].add(image)
                self._stems[known].add(image)

    def find(self, line: str) -> set[str]:
        """Images that a line names; the whole line first, for names may hold blanks, commas and more."""
        for reading in _readings(line):
            found = self._one(reading)
            if found:
                return found
        return set()

    def _one(self, text: str) -> set[str]:
        key = name_key(text.replace("\\", "/")).removeprefix("./").lstrip("/")
        parts = key.split("/")
        # The list's paths may begin above the folder of images: JPEGImages/a.jpg.
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            found = self._whole.get(tail) or self._bare.get(tail) or self._bare.get(_without_ending(tail))
            if found:
                return found
        if len(parts) > 1:
            return set()
        return self._stems.get(key) or self._stems.get(_without_ending(key)) or set()


def _readings(line: str) -> Iterator[str]:
    yield line
    bare = line.strip("'\"")
    if bare != line:
        yield bare
    head = line
    while (column := _LAST_COLUMN.search(head)) is not None and column.start():
        head = head[: column.start()]
        yield head.strip("'\"")


def _without_ending(path: str) -> str:
    place, _, name = path.rpartition("/")
    stem, ending = split_name(name)
    stem = photo_stem(mask_stem(stem)) if ending in PHOTO_SUFFIXES else photo_stem(name)
    return f"{place}/{stem}" if place else stem

"""Where labels come from: a folder, a zip file, or one file. Names stay inside of it, and sizes are bounded."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from deeplab_core.errors import AtrousError, LabelSourceError, message
from deeplab_core.images.file_names import is_passed_over, split_name
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.confirmed import Confirmed, confirmed_of
from deeplab_core.masks.frames import recorded_frame
from deeplab_core.masks.output_marker import MARKER_NAME, OutputMarker, StoredFrame, read_marker
from deeplab_core.reading import parse_json, parse_yaml, read_bytes, read_yaml

#: How many files are looked at to recognise a format.
SAMPLES = 20
#: Most files of a source, and most files that a zip file may list.
MAX_FILES = 1_000_000
#: Largest file for one image (a labelme file may hold the photograph), and for a whole data set, bytes.
MAX_IMAGE_FILE, MAX_SET_FILE = 256 << 20, 1 << 30
#: Largest mask or table in a zip file, bytes.
MAX_MEMBER = 1 << 30

#: Files that describe a data set and hold no labels, in lower case. YAML files are recognised by what they hold.
_HEADS = frozenset({"labelmap.txt", "class_names.txt", "classes.txt", "obj.names", "obj.data", "meta.json", "objectinfo150.txt"})

_ZIP_REMEDY = message("Download it again, or unpack it and import the folder")


class Source:
    """The files of a folder, a zip file, or one file with what is beside it. Open it with :func:`open_source`.

    Attributes:
        path: as the user named it.
        names: files, relative and with ``/``, sorted; hidden ones and bookkeeping of systems are passed over. A single file is
            the only name, but files beside it can be read.
        single: whether one file was named, which is not a zip file.
        head: name of the file that the user named in place of its data set; empty if there is none.
        marker: what Atrous recorded about the files, in their folder, above it or in the archive; None for files of others. The
            pictures of who set each pixel that it lists are not among ``names``.
    """

    def __init__(
        self,
        path: Path,
        names: Iterable[str],
        base: Path,
        *,
        single: bool = False,
        head: Path | None = None,
        marker: OutputMarker | None = None,
    ) -> None:
        self.head = "" if head is None else head.relative_to(base).as_posix() if head.is_relative_to(base) else head.name
        self.path, self.single, self.marker = path, single, marker or _marker_near(base)
        self._base, self._head = base, head
        pictures = _pictures(self.marker, base)
        self.names = tuple(sorted(name for name in names if name not in pictures))

    def with_ending(self, *endings: str) -> list[str]:
        """Names with one of these endings, such as ``".json"``."""
        return [name for name in self.names if split_name(PurePosixPath(name).name)[1] in endings]

    def has(self, name: str) -> bool:
        """Whether there is such a file, listed or beside the one that was named."""
        return self._resolved(name) is not None

    def local(self, name: str) -> Path:
        """A file on the disk with the content of ``name``. Raises LabelSourceError if there is none."""
        found = self._resolved(name)
        if found is None:
            raise LabelSourceError(
                message("the source has no file {name}", name=name),
                remedy=message("Import the complete folder or archive"),
                path=self.path,
            )
        return found

    def recorded_frame(self, name: str) -> StoredFrame | None:
        """The frame that Atrous recorded for a file; None for files of others."""
        return recorded_frame(self.local(name).absolute())

    def recorded_image(self, name: str) -> str | None:
        """The image that a file is of, if Atrous recorded it: the name of the file is another one then."""
        below = self.below_marker(name)
        return None if self.marker is None or below is None else self.marker.sources.get(below)

    def below_marker(self, name: str) -> str | None:
        """Path of a file below the folder that Atrous marked, with ``/``; None for files outside it."""
        path = self._base.absolute() / name
        if self.marker is None or not path.is_relative_to(self.marker.folder):
            return None
        return path.relative_to(self.marker.folder).as_posix()

    def confirmed(self, name: str, image: str, info: ImageInfo) -> Confirmed | None:
        """Who set the pixels of an image, if Atrous recorded it beside its labels: see :func:`confirmed_of`.

        Args:
            name: the file with the labels.
        """
        return None if self.marker is None else confirmed_of(self.marker, self.local(name).absolute(), image, info)

    def read(self, name: str, *, limit: int = MAX_IMAGE_FILE, what: str = "the label file") -> bytes:
        """Content of a file. Raises LabelSourceError: missing, too large, or unreadable."""
        return read_bytes(self.local(name), limit=limit, what=what, error=LabelSourceError)

    def read_json(self, name: str, *, limit: int = MAX_IMAGE_FILE, what: str = "the label file") -> object:
        """Plain values of a JSON file. Raises LabelSourceError."""
        data = self.read(name, limit=limit, what=what)
        return parse_json(data, path=self.shown(name), limit=limit, what=what, error=LabelSourceError)

    def read_yaml(self, name: str, *, what: str = "the class list") -> object:
        """Plain values of a YAML file. Raises LabelSourceError."""
        limit = 4 << 20
        data = self.read(name, limit=limit, what=what)
        return parse_yaml(data, path=self.shown(name), limit=limit, what=what, error=LabelSourceError)

    def shown(self, name: str) -> Path:
        """What errors call a file: its path, within a zip file ``archive.zip/name``."""
        return self.path if self.single and name == self.names[0] else self.path / name

    @cached_property
    def samples(self) -> list[Any]:
        """Values of the first JSON files, to recognise a format by; what is none is left out. Forget them afterwards."""
        found = []
        for name in self.with_ending(".json")[:SAMPLES]:
            with suppress(AtrousError):
                found.append(self.read_json(name, limit=MAX_SET_FILE))
        return found

    def forget_samples(self) -> None:
        """Give the memory of :attr:`samples` back."""
        self.__dict__.pop("samples", None)

    def _resolved(self, name: str) -> Path | None:
        if not is_inside(name):
            return None
        path = self._head if self._head is not None and name == self.head else self._base / name
        return path if path.is_file() else None


class ZipSource(Source):
    """A zip file; what is read is unpacked into a temporary folder, which goes with the object."""

    def __init__(self, path: Path) -> None:
        with decoder_guard(LabelSourceError, "the zip file is damaged", path, _ZIP_REMEDY):
            self._archive = zipfile.ZipFile(path)
        members = [info for info in self._archive.infolist() if not info.is_dir()]
        if len(members) > MAX_FILES:
            raise LabelSourceError(
                message("the zip file lists {count:,} files", count=len(members)),
                why=message("At most {most:,} are read", most=MAX_FILES),
                remedy=_ZIP_REMEDY,
                path=path,
            )
        kept: dict[str, zipfile.ZipInfo] = {}
        self.refused: list[str] = []
        for info in members:
            if not is_inside(info.filename):
                self.refused.append(info.filename)
            elif not any(is_passed_over(part) for part in PurePosixPath(info.filename).parts):
                kept[info.filename] = info
        self._members = kept
        folder = Path(tempfile.mkdtemp(prefix="atrous-import-"))
        self._end = weakref.finalize(self, _clean, self._archive, folder)
        self._base, self.path, self.single = folder, path, False
        own = self._own_marker(members)
        self._marked_whole = own is None  # the marker, if there is one, is beside the archive
        super().__init__(path, kept, folder, marker=own or _marker_near(path.parent))

    def recorded_frame(self, name: str) -> StoredFrame | None:
        return super().recorded_frame(name) or recorded_frame(self.path.absolute())

    def confirmed(self, name: str, image: str, info: ImageInfo) -> Confirmed | None:
        if self.marker is None or not self._marked_whole:
            return super().confirmed(name, image, info)
        return confirmed_of(self.marker, self.path.absolute(), image, info)

    def _own_marker(self, members: Iterable[zipfile.ZipInfo]) -> OutputMarker | None:
        """The marker nearest to the top of the archive, with the pictures that it lists; they are unpacked."""
        found = [info for info in members if is_inside(info.filename) and PurePosixPath(info.filename).name == MARKER_NAME]
        if not found:
            return None
        top = min(found, key=lambda info: info.filename.count("/"))
        path = self._base / top.filename
        self._unpack(top, path)
        marker = read_marker(path.parent)
        for name in _pictures(marker, self._base):
            self._resolved(name)
        return marker

    def _resolved(self, name: str) -> Path | None:
        info = self._members.get(name)
        if info is None:
            return None
        path = self._base / name
        if not path.is_file():
            self._unpack(info, path)
        return path

    def _unpack(self, info: zipfile.ZipInfo, path: Path) -> None:
        from deeplab_core.atomic import atomic_write

        shown = self.shown(info.filename)
        if info.file_size > MAX_MEMBER:
            raise LabelSourceError(
                message("a file of the archive is too large to be read"),
                why=message("It has {bytes:,} bytes; at most {most:,} are read", bytes=info.file_size, most=MAX_MEMBER),
                remedy=_ZIP_REMEDY,
                path=shown,
            )
        with decoder_guard(LabelSourceError, "a file of the archive is damaged", shown, _ZIP_REMEDY):
            with self._archive.open(info) as stream:
                data = stream.read(MAX_MEMBER + 1)
            if len(data) > MAX_MEMBER:
                raise ValueError(f"It unpacks to more than {MAX_MEMBER:,} bytes")
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)


def open_source(path: str | Path) -> Source:
    """Look at a folder, a zip file or a file of labels. A folder that holds one zip file and nothing else is that zip file.

    A file that describes a data set and has no labels itself (``data.yaml``, ``labelmap.txt``) stands for its folder.

    Raises:
        LabelSourceError: it does not exist, is not a file or folder, or is a damaged zip file.
    """
    path = Path(path)
    if path.is_dir():
        source = Source(path, _walk(path), path)
        alone = len(source.names) == 1 and split_name(source.names[0])[1] == ".zip"
        return ZipSource(path / source.names[0]) if alone else source
    if not path.is_file():
        raise LabelSourceError(
            message("there is no such file or folder"),
            remedy=message("Name a folder of labels, a zip file or a label file"),
            path=path,
        )
    if split_name(path.name)[1] == ".zip":
        return ZipSource(path)
    folder = _described(path)
    if folder is not None:
        return Source(folder, _walk(folder), folder, head=path)
    return Source(path, (path.name,), path.parent, single=True)


def _described(path: Path) -> Path | None:
    """The data set that a file describes; None for other files. YOLO's ``path`` names its folder, if that exists here."""
    if path.name.lower() in _HEADS:
        return path.parent
    if split_name(path.name)[1] not in (".yaml", ".yml"):
        return None
    with suppress(AtrousError):
        values = read_yaml(path, what="the class list", error=LabelSourceError)
        if isinstance(values, dict) and isinstance(values.get("label"), list):
            return path.parent
        if isinstance(values, dict) and isinstance(values.get("names"), list | dict):
            place = values.get("path")
            named = path.parent / place if isinstance(place, str) and place and "\0" not in place else path.parent
            return named if named.is_dir() else path.parent
    return None


def is_inside(name: str) -> bool:
    """Whether a name from a file stays below the folder that it is relative to, on every system."""
    if not name or "\0" in name or "\\" in name or ":" in name:
        return False
    parts = PurePosixPath(name).parts
    return not name.startswith("/") and ".." not in parts


def _walk(folder: Path) -> Iterator[str]:
    count = 0
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if not is_passed_over(name)]
        relative = Path(place).relative_to(folder).as_posix()
        for name in names:
            if is_passed_over(name):
                continue
            count += 1
            if count > MAX_FILES:
                raise LabelSourceError(
                    message("the folder holds more than {most:,} files", most=MAX_FILES),
                    remedy=message("Name the folder of the labels"),
                    path=folder,
                )
            yield name if relative == "." else f"{relative}/{name}"


def _marker_near(folder: Path) -> OutputMarker | None:
    """What Atrous recorded about the files of a folder: in it, or up to two folders above."""
    places = (folder.absolute(), *folder.absolute().parents[:2])
    return next((marker for marker in map(read_marker, places) if marker is not None), None)


def _pictures(marker: OutputMarker | None, base: Path) -> frozenset[str]:
    """Names of the pictures of who set each pixel, below a folder."""
    if marker is None:
        return frozenset()
    base = base.absolute()
    paths = [marker.folder / entry.file for entry in marker.provenance.values()]
    return frozenset(path.relative_to(base).as_posix() for path in paths if path.is_relative_to(base))


def _clean(archive: zipfile.ZipFile, folder: Path) -> None:
    archive.close()
    shutil.rmtree(folder, ignore_errors=True)

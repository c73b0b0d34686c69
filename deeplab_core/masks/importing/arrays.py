"""NumPy arrays and parquet tables of image and mask pairs: ids without names, which are those of the project's classes."""

from __future__ import annotations

import io
import re
import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import IGNORE, IGNORE_WIDE, ClassCatalog, ClassInfo, is_void, listed_catalog
from deeplab_core.catalogs.colors import class_colors
from deeplab_core.errors import AtrousError, LabelSourceError, MaskFormatError, message
from deeplab_core.flavour import install_command
from deeplab_core.images.file_names import PHOTO_SUFFIXES, split_name
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import Canvas
from deeplab_core.masks.importing.reader import Reader, folder_of
from deeplab_core.masks.importing.records import Entry, SourceClass
from deeplab_core.masks.importing.source import MAX_MEMBER, Source
from deeplab_core.masks.stored import decode_stored
from deeplab_core.reading import shorten

#: Arrays of an .npz file that hold the label map of the file's own image.
_LABEL_KEYS = ("labels", "label", "mask", "segmentation", "arr_0")
#: How tables are opened: in this thread, because an error in a thread of pyarrow ends the process, and with small headers.
_CAREFUL = {"pre_buffer": False, "thrift_string_size_limit": 16 << 20, "thrift_container_size_limit": 1 << 20}
#: Most different ids of a source: more are not classes.
_MOST_IDS = 2000


class _IdReader(Reader):
    """Label maps of ids; the ids that occur are the classes, 255 and 65535 are void."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._ids: set[int] = set()
        self._names: dict[int, str] = {}
        self._void: int | None = None  # as the source gives it

    @abstractmethod
    def values(self, entry: Entry) -> NDArray[Any]:
        """(H, W) uint8 or uint16 ids. Raises AtrousError."""

    def add(self, entry: Entry) -> None:
        """Take an entry with a readable label map; note another as not read."""
        try:
            values = self.values(entry)
        except AtrousError as problem:
            self.leave_out(entry.file if not entry.data else f"{entry.file}: {entry.data}", problem)
            return
        self._ids.update(np.unique(values).tolist())
        if len(self._ids) > _MOST_IDS:
            raise LabelSourceError(
                message("the arrays hold more than {most:,} different values", most=_MOST_IDS),
                why=message("Label maps hold ids of classes"),
                remedy=message("Choose the arrays of the labels"),
                path=self.source.path,
            )
        height, width = values.shape
        self.entries.append(
            Entry(names=entry.names, file=entry.file, size=(width, height), data=entry.data, embedded=entry.embedded)
        )

    def finish(self) -> None:
        """List the classes once all entries are there: by name where the source or its marker has names, else by number."""
        marked = None if self._names else self._marked()
        if marked is not None:
            self._names, self._void = {info.id: info.name for info in marked.classes}, marked.file_ignore
        numbers = sorted((self._ids | set(self._names)) - {self._void})
        self.classes = [
            SourceClass(name=self._names[number]) if number in self._names else SourceClass(name=str(number), id=number)
            for number in numbers
        ]
        voids = {IGNORE, IGNORE_WIDE, self._void}
        if marked is not None:
            self.declared = marked
        elif self._names and self._ids - voids <= set(self._names):
            self.declared = _named_catalog(self._names, self._void)

    def _marked(self) -> ClassCatalog | None:
        """Classes that Atrous recorded beside the arrays, if they declare every id."""
        found = None if self.source.marker is None else self.source.marker.catalog
        return found if found is not None and self._ids <= {*found.ids.tolist(), int(found.file_ignore)} else None

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        values = self.values(entry)
        table = np.zeros(int(np.iinfo(values.dtype).max) + 1, np.uint16)
        for number in self._ids:
            if number < len(table):
                table[number] = canvas.code(None if number == self._void else self._names.get(number, str(number)))
        canvas.fill(table[values])


class NumpyReader(_IdReader):
    """``.npy`` files, one per image, and ``.npz`` archives, one per image or one for all."""

    format_key = "numpy"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return bool(source.with_ending(".npy", ".npz"))

    def scan(self) -> None:
        for name in self.source.with_ending(".npy", ".npz"):
            stem = str(PurePosixPath(name).with_suffix(""))
            if name.lower().endswith(".npy"):
                self.add(Entry(names=(stem,), file=name))
                continue
            try:
                keys = self._keys(name)
                if {"ids", "names"} <= set(keys):
                    self._take_names(name)
            except AtrousError as problem:
                self.leave_out(name, problem)
                continue
            own = next((key for key in _LABEL_KEYS if key in keys), keys[0] if len(keys) == 1 else None)
            if own is not None:
                named = {"ids", "names"} <= set(keys)
                self.add(Entry(names=(stem,), file=name, data=own))
                for key in keys:
                    if key != own and not (named and key in ("ids", "names", "void")):
                        self.leave_out(f"{name}: {key}", f"The labels are in '{own}'")
            else:
                for key in keys:
                    self.add(Entry(names=(folder_of(name) + key.replace("\\", "/"), key), file=name, data=key))
        self.finish()

    def _keys(self, name: str) -> list[str]:
        shown = self.source.shown(name)
        with (
            decoder_guard(LabelSourceError, "the .npz file is damaged", shown),
            zipfile.ZipFile(self.source.local(name)) as archive,
        ):
            return [one.removesuffix(".npy") for one in archive.namelist() if one.endswith(".npy")]

    def _take_names(self, name: str) -> None:
        """Names of the ids, as Atrous writes them beside the labels."""
        shown = self.source.shown(name)
        with decoder_guard(LabelSourceError, "the list of classes is damaged", shown):
            ids = np.load(io.BytesIO(self._member(name, "ids")), allow_pickle=False)
            names = np.load(io.BytesIO(self._member(name, "names")), allow_pickle=False)
            void = np.load(io.BytesIO(self._member(name, "void")), allow_pickle=False) if "void" in self._keys(name) else None
            if void is not None and void.size == 1 and void.dtype.kind in "iu":
                self._void = int(void)
            if ids.ndim != 1 or ids.shape != names.shape or ids.dtype.kind not in "iu" or names.dtype.kind != "U":
                raise ValueError("'ids' and 'names' are not numbers and texts of one length")
            for number, title in zip(ids.tolist(), names.tolist(), strict=True):
                if self._names.setdefault(number, title) != title:
                    raise ValueError(f"{number} is '{title}' here and '{self._names[number]}' in another file")

    def _member(self, name: str, key: str) -> bytes:
        with (
            decoder_guard(LabelSourceError, "the .npz file is damaged", self.source.shown(name)),
            zipfile.ZipFile(self.source.local(name)) as archive,
            archive.open(f"{key}.npy") as stream,
        ):
            data = stream.read(MAX_MEMBER + 1)
            if len(data) > MAX_MEMBER:
                raise ValueError(f"It unpacks to more than {MAX_MEMBER:,} bytes")
        return data

    def values(self, entry: Entry) -> NDArray[Any]:
        shown = self.source.shown(entry.file)
        if entry.data is None:
            data = self.source.read(entry.file, limit=MAX_MEMBER, what="the array")
        else:
            data = self._member(entry.file, entry.data)
        if not data.startswith(b"\x93NUMPY"):
            raise LabelSourceError(message("this is not a NumPy array"), remedy=message("Save it with numpy.save"), path=shown)
        values = decode_stored(data, shown).values
        assert values is not None  # an array is never a picture of colours
        return values


class ParquetReader(_IdReader):
    """Parquet tables with a column of images and one of masks, as Hugging Face's ``datasets`` write them."""

    format_key = "parquet"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        import_pyarrow(source.path)
        self._last: tuple[str, int, dict[str, Any]] | None = None

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return bool(source.with_ending(".parquet"))

    def scan(self) -> None:
        for name in self.source.with_ending(".parquet"):
            try:
                columns = self._columns(name)
                for number, row in enumerate(self._rows(name, columns)):
                    names = _row_names(row, columns, f"{PurePosixPath(name).stem}-{number:06d}")
                    self._last = (name, number, row)
                    self.add(Entry(names=names, file=name, data=(number, columns), embedded=bool(_bytes(row[columns[0]]))))
            except AtrousError as problem:
                self.leave_out(name, problem)
        self._last = None
        self.finish()
        if not self.entries and self.unread:
            first = self.unread[0]
            raise LabelSourceError(
                first.why, remedy=message("Choose another format"), option="--format", path=self.source.shown(first.name)
            )

    def values(self, entry: Entry) -> NDArray[Any]:
        _, columns = entry.data
        data = _bytes(self._row(entry)[columns[1]])
        if data is None:
            raise MaskFormatError(
                message("the row holds no mask"), remedy=message("Leave the row out"), path=self.source.shown(entry.file)
            )
        values = decode_stored(data, self.source.shown(entry.file)).values
        if values is None:
            raise MaskFormatError(
                message("the mask holds colours instead of ids"), remedy=message("Save the ids as grey or indexed PNG"),
                path=self.source.shown(entry.file),
            )  # fmt: skip
        return values

    def embedded(self, entry: Entry) -> bytes | None:
        _, columns = entry.data
        return _bytes(self._row(entry)[columns[0]])

    def _row(self, entry: Entry) -> dict[str, Any]:
        number, columns = entry.data
        if self._last is None or self._last[:2] != (entry.file, number):
            for place, row in enumerate(self._rows(entry.file, columns, first=number)):
                self._last = (entry.file, number + place, row)
                break
        if self._last is None or self._last[:2] != (entry.file, number):
            raise LabelSourceError(
                message("the table has fewer rows than before"), remedy=message("Import again"), path=self.source.path
            )
        return self._last[2]

    def _columns(self, name: str) -> tuple[str, str]:
        """Names of the columns of images and of masks: the two that hold files."""
        pq, shown = import_pyarrow(self.source.path), self.source.shown(name)
        with decoder_guard(LabelSourceError, "the table is damaged", shown):
            schema = pq.ParquetFile(self.source.local(name), **_CAREFUL).schema_arrow
            files = [field.name for field in schema if "binary" in str(field.type)]
        images = [one for one in files if one.casefold() in ("image", "img", "pixel_values", "photo")]
        masks = [one for one in files if one not in images and re.search(r"mask|label|annot|seg|truth", one.casefold())]
        if len(images) != 1 or len(masks) != 1:
            raise LabelSourceError(
                message("the table has no column of images with one of masks"),
                why=message("Columns that hold files: {files}", files=", ".join(map(shorten, files)) or "none"),
                remedy=message("Name the columns 'image' and 'mask'"),
                path=shown,
            )
        return images[0], masks[0]

    def _rows(self, name: str, columns: tuple[str, str], first: int = 0) -> Iterator[dict[str, Any]]:
        pq, shown = import_pyarrow(self.source.path), self.source.shown(name)
        done = 0
        with decoder_guard(LabelSourceError, "the table is damaged", shown):
            table = pq.ParquetFile(self.source.local(name), **_CAREFUL)
            wanted = [*columns, *(one for one in ("file_name", "filename", "name", "id") if one in table.schema_arrow.names)]
            for group in range(table.num_row_groups):
                count = table.metadata.row_group(group).num_rows
                if done + count <= first:
                    done += count
                    continue
                for batch in table.iter_batches(batch_size=16, row_groups=[group], columns=wanted, use_threads=False):
                    for row in batch.to_pylist():
                        if done >= first:
                            yield row
                        done += 1


def _named_catalog(names: Mapping[int, str], void: int | None) -> ClassCatalog:
    """The catalog of ids and names, with the value of void in files. Raises CatalogError where they are none."""
    colors = class_colors([(name, None) for name in names.values()])
    rows = zip(names.items(), colors, strict=True)
    given = None if any(map(is_void, names.values())) else void
    return listed_catalog("classes", [ClassInfo(number, name, color) for (number, name), color in rows], void=given)


READERS: dict[str, type[Reader]] = {"numpy": NumpyReader, "parquet": ParquetReader}


def import_pyarrow(path: Path) -> ModuleType:
    """``pyarrow.parquet``. Raises LabelSourceError, which says how to install it."""
    try:
        import pyarrow.parquet as parquet
    except ImportError as problem:
        raise LabelSourceError(
            message("parquet tables need the package pyarrow, which is not installed"),
            remedy=message("Install it: {command}", command=install_command("parquet")), path=path,
        ) from problem  # fmt: skip
    module: ModuleType = parquet
    return module


def _bytes(value: object) -> bytes | None:
    """Content of a cell: bytes, or a table with ``bytes``."""
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) and value else None


def _row_names(row: dict[str, Any], columns: tuple[str, str], fallback: str) -> tuple[str, ...]:
    """Names of the image of a row: of its cell, of a column of names, else by its number, with the ending of its content."""
    image = row.get(columns[0])
    path = image.get("path") if isinstance(image, dict) else None
    named = [row.get(key) for key in ("file_name", "filename", "name", "id")]
    found = [value.replace("\\", "/") for value in (path, *named) if isinstance(value, str) and value.strip()]
    ending = _ending(_bytes(image) or b"")
    complete = [one for one in found if split_name(PurePosixPath(one).name)[1] in PHOTO_SUFFIXES]
    return tuple(dict.fromkeys([*complete, *found, *(f"{one}{ending}" for one in found), f"{fallback}{ending}"]))


def _ending(data: bytes) -> str:
    from deeplab_core.images.probe import probe_stream

    try:
        kind = probe_stream(io.BytesIO(data), Path("row"), len(data)).format
    except AtrousError:
        return ".png"
    return {"JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp"}.get(kind, ".png")

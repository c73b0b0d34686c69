"""Predictions kept on disk, so that a folder opens with what a model has already found.

Two files per (image content, model card, options). The labels, a grey PNG with a JSON note in a text chunk, stay for as long as
the project: they are what "predicted" means. The confidence, a grey PNG too, is ten times as large and only refines figures: its
least recently used files make room for new ones (ADR 0055). Caches of earlier versions (one ``.npz`` file for both) are read;
where room is needed they are split. Uses no database and may be called from any thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import struct
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.state.own_files import contained, read_plain
from app.state.store import set_aside
from deeplab_core.errors import AtrousError, MaskFormatError, ProjectError, ProtectedFile
from deeplab_core.images.limits import MAX_PIXELS
from deeplab_core.records import CRFParams, Prediction, PredictOptions, RunReport

#: Default bound of the confidence maps on disk, in bytes.
CACHE_BYTES = 2 * 1024**3

#: Beyond the bound the cache shrinks to this part of it, so that not every new entry has to look for victims.
_KEEP = 0.9

#: So many files of an earlier version are split in one go at most: each takes some 0.1 s.
_MOST_SPLIT = 8

_NAME = re.compile(r"[0-9a-f]{40}(\.png|\.confidence\.png|\.npz)")
_KEYWORD = b"Atrous prediction\0"
_CONFIDENCE = ".confidence.png"
_LONGEST_NOTE = 1 << 20
_LONGEST_HEADER = 10_000
#: Labels of two bytes and a confidence for every pixel of the largest image, not packed.
_LARGEST_FILE = 3 * MAX_PIXELS + (16 << 20)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Found:
    """What the cache has for a key.

    Attributes:
        prediction: None if it is missing. Without a kept confidence its ``known_confidence`` is None.
        problem: why there is none although there was a file, in words; empty otherwise.
        hidden: there may be one, but the disk does not let us read it now.
    """

    prediction: Prediction | None = None
    problem: str = ""
    hidden: bool = False


class PredictionCache:
    """The predictions of a project: all labels, and the newest confidence maps.

    Args:
        folder: where the files lie; created at the first :meth:`put`.
        limit: bytes of confidence on disk.
        read_only: only look things up.
    """

    def __init__(self, folder: Path, *, limit: int = CACHE_BYTES, read_only: bool = False) -> None:
        self._folder = folder
        self._limit = limit
        self._read_only = read_only
        self._mutex = threading.Lock()
        self._nbytes: int | None = None

    def get(self, source_key: str, card_id: str, options_key: str) -> Prediction | None:
        """The prediction of an image by a model, or None; :meth:`look` also says why.

        Args:
            source_key: content key of the image.
            options_key: ``PredictOptions.cache_key()``.
        """
        return self.look(source_key, card_id, options_key).prediction

    def look(self, source_key: str, card_id: str, options_key: str) -> Found:
        """As :meth:`get`. Damaged labels are set aside and named in the answer; a damaged confidence is dropped."""
        key = source_key, card_id, options_key
        path, problem = self._path(*key), ""
        try:
            self._contain(path)
        except ProjectError as error:
            return Found(problem=error.why, hidden=True)
        for place, read in ((path, _read_labels), (path.with_suffix(".npz"), _read_archive)):
            if not os.path.lexists(place):
                continue
            try:
                prediction = read(place)
                if (prediction.source_key, prediction.card_id, prediction.options.cache_key()) != key:
                    raise ValueError("it belongs to another image or model")
            except OSError as error:
                return Found(problem=_why(error), hidden=True)
            except _DAMAGE as error:
                problem = _why(error)
                self._set_aside(place)
                continue
            if place == path:
                prediction = self._with_confidence(prediction, path.with_suffix(_CONFIDENCE))
            else:
                self._use(place)
            return Found(prediction)
        return Found(problem=problem)

    def stamp(self, source_key: str, card_id: str, options_key: str) -> tuple[int, int, int] | None:
        """Time in ns, size and number of the file with the labels of an entry; None without one."""
        try:
            status = self._path(source_key, card_id, options_key).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def has(self, source_key: str, card_id: str, options_key: str) -> bool:
        """Whether there is an entry; it may still turn out damaged."""
        path = self._path(source_key, card_id, options_key)
        return path.is_file() or path.with_suffix(".npz").is_file()

    def has_confidence(self, source_key: str, card_id: str, options_key: str) -> bool:
        """Whether the confidence of an entry is still kept."""
        path = self._path(source_key, card_id, options_key)
        return path.with_suffix(_CONFIDENCE).is_file() or path.with_suffix(".npz").is_file()

    def put(self, prediction: Prediction) -> None:
        """Keep a prediction; the least recently used confidence maps make room.

        Raises:
            StorageError: full disk, read-only folder.
            ProjectError: the folder leads elsewhere.
            ValueError: the prediction does not say which image it belongs to.
        """
        from deeplab_core.atomic import make_folder
        from deeplab_core.masks.png import encode_png

        if not prediction.source_key:
            raise ValueError("a prediction without a source key cannot be found again")
        if self._read_only:
            return
        path = self._path(prediction.source_key, prediction.card_id, prediction.options.cache_key())
        confidence, archive = path.with_suffix(_CONFIDENCE), path.with_suffix(".npz")
        self._contain(path)
        make_folder(path.parent)
        with self._mutex:
            before = self._measured()
            _write(path, _encode(prediction))
            old = _size(confidence) + _size(archive)
            if prediction.known_confidence is not None:
                new = _write(confidence, encode_png(prediction.known_confidence))
                archive.unlink(missing_ok=True)
                self._nbytes = before + new - old
            if self._measured() > self._limit:
                self._shrink(keep=confidence)

    def kept(self) -> dict[str, list[tuple[str, str]]]:
        """Per content key of an image: (card id, options key) of its predictions. Opens every file: meant for another thread."""
        found: dict[str, dict[tuple[str, str], None]] = {}
        for path in self._entries(".png", ".npz"):
            if path.name.endswith(_CONFIDENCE):
                continue
            try:
                note = _archive_note(path) if path.suffix == ".npz" else _head_note(path)
                key = str(note["card_id"]), _options(note["options"]).cache_key()
                found.setdefault(str(note["source_key"]), {})[key] = None
            except (OSError, *_DAMAGE):
                continue  # told when it is asked for
        return {source: list(keys) for source, keys in found.items()}

    def missing(self, keys: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        """Those of many (source key, card id, options key) that have no entry. Lists the folder once.

        Where it cannot be listed, none counts as missing.
        """
        try:
            os.scandir(self._folder).close()
        except FileNotFoundError:
            return keys
        except OSError:
            return []
        if self._folder.is_symlink():
            return []
        names = {path.stem for path in self._entries(".png", ".npz")}
        return [key for key in keys if self._path(*key).stem not in names]

    def nbytes(self) -> int:
        """Bytes on disk that the bound counts: confidence maps, and files of an earlier version."""
        with self._mutex:
            return self._measured()

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _path(self, source_key: str, card_id: str, options_key: str) -> Path:
        name = hashlib.sha256(f"{source_key}\n{card_id}\n{options_key}".encode()).hexdigest()[:40]
        return self._folder / name[:2] / f"{name}.png"

    def _contain(self, path: Path) -> None:
        """Raise ProjectError where a link leads out of the project."""
        name = self._folder.name
        contained(self._folder.parent, f"{name}/{path.parent.name}/{path.name}", below=name)

    def _entries(self, *endings: str) -> list[Path]:
        """Our files with one of these endings, in order of their names. Links are not followed."""
        found: list[Path] = []
        with contextlib.suppress(OSError):
            if self._folder.is_symlink():
                return []
            for folder in os.scandir(self._folder):
                if folder.is_dir(follow_symlinks=False):
                    found += (
                        Path(entry.path)
                        for entry in os.scandir(folder.path)
                        if _NAME.fullmatch(entry.name) and entry.name.endswith(endings) and entry.is_file(follow_symlinks=False)
                    )
        return sorted(found)

    def _measured(self) -> int:
        if self._nbytes is None:
            self._nbytes = sum(_size(path) for path in self._entries(_CONFIDENCE, ".npz"))
        return self._nbytes

    def _with_confidence(self, prediction: Prediction, path: Path) -> Prediction:
        if not path.is_file():
            return prediction
        try:
            confidence = _pixels(path)
            if confidence.dtype != np.uint8 or confidence.shape != prediction.labels.shape:
                raise ValueError("it does not fit the labels")
        except (OSError, *_DAMAGE):
            self._drop(path)
            return prediction
        self._use(path)
        return replace(prediction, confidence=confidence)

    def _shrink(self, keep: Path) -> None:
        entries = []
        for path in self._entries(_CONFIDENCE, ".npz"):
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        split = 0
        for _, size, path in sorted(entries, key=lambda entry: entry[0]):
            if total <= self._limit * _KEEP:
                break
            if path == keep or (path.suffix == ".npz" and split >= _MOST_SPLIT):
                continue
            with contextlib.suppress(OSError, AtrousError):
                if path.suffix == ".npz":
                    split += 1
                    self._split(path)
                else:
                    path.unlink()
                total -= size
        self._nbytes = total

    def _split(self, archive: Path) -> None:
        """Keep the labels of a file of an earlier version, and let its confidence go."""
        try:
            prediction = _read_archive(archive)
        except _DAMAGE:
            set_aside(archive)
            return
        if not archive.with_suffix(".png").is_file():
            _write(archive.with_suffix(".png"), _encode(prediction))
        archive.unlink()

    def _use(self, path: Path) -> None:
        if not self._read_only:
            with contextlib.suppress(OSError):
                os.utime(path)

    def _drop(self, path: Path) -> None:
        self._remove(path, lambda: path.unlink())

    def _set_aside(self, path: Path) -> None:
        self._remove(path, lambda: set_aside(path))

    def _remove(self, path: Path, way: Callable[[], object]) -> None:
        if self._read_only:
            return
        with self._mutex, contextlib.suppress(OSError, AtrousError):
            size = _size(path)
            way()
            if self._nbytes is not None and (path.suffix == ".npz" or path.name.endswith(_CONFIDENCE)):
                self._nbytes -= size


#: What damaged bytes raise while they are read.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, MaskFormatError, ValueError, KeyError, TypeError, AttributeError, EOFError,
    RecursionError, OverflowError, NotImplementedError, SyntaxError, tokenize.TokenError, MemoryError,
)  # fmt: skip


def _why(error: BaseException) -> str:
    if isinstance(error, MaskFormatError):
        return f"{error.what}. {error.why}".strip(" .")
    return str(error) or type(error).__name__


def _write(path: Path, parts: list[bytes]) -> int:
    """Write one of our files; a damaged one in its place, which passes for a photograph, is set aside. Returns its bytes."""
    from deeplab_core.atomic import atomic_write

    try:
        return atomic_write(path, parts)
    except ProtectedFile:
        set_aside(path)
        return atomic_write(path, parts)


def _encode(prediction: Prediction) -> list[bytes]:
    """The parts of a labels file. The note stands before the pixels, so that it can be read without them."""
    from deeplab_core.masks.png import encode_png

    values = {
        "card_id": prediction.card_id,
        "source_key": prediction.source_key,
        "options": asdict(prediction.options),
        # without the processor time, which versions before did not know and would refuse
        "report": {name: value for name, value in asdict(prediction.report).items() if name != "cpu_milliseconds"},
        "uncertainty": prediction.uncertainty,
    }
    content = _KEYWORD + json.dumps(values).encode("ascii")
    chunk = struct.pack(">I", len(content)) + b"tEXt" + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(b"tEXt")))
    parts = encode_png(prediction.labels)
    start = next(place for place, part in enumerate(parts) if part[4:8] == b"IDAT")
    return [*parts[:start], chunk, *parts[start:]]


def _read_labels(path: Path) -> Prediction:
    labels = _pixels(path)
    return _prediction(_head_note(path), labels, np.zeros((0, 0), np.uint8))


def _pixels(path: Path) -> NDArray[Any]:
    """(H, W) uint8 or uint16 of a grey PNG of ours; links are not followed. The decoder unpacks no more than its header says."""
    from deeplab_core.masks.stored import read_stored

    _check_chunks(read_plain(path, _LARGEST_FILE))
    values = read_stored(path).values
    if values is None:
        raise ValueError("it holds colours")
    return np.ascontiguousarray(values)


def _check_chunks(data: bytes) -> None:
    """Every checksum, up to the end mark: a decoder may overlook a flipped bit."""
    place = len(_SIGNATURE)
    while data.startswith(_SIGNATURE) and place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 12 + length
        if end > len(data):
            break
        if struct.unpack_from(">I", data, end - 4)[0] != zlib.crc32(memoryview(data)[place + 4 : end - 4]):
            raise ValueError("a checksum is wrong")
        if data[place + 4 : place + 8] == b"IEND":
            return
        place = end
    raise ValueError("it ends early, or is not a PNG file")


def _head_note(path: Path) -> dict[str, Any]:
    """The note of a labels file, from the chunks before its pixels."""
    with path.open("rb") as stream:
        if stream.read(len(_SIGNATURE)) != _SIGNATURE:
            raise ValueError("it is not a PNG file")
        while True:
            length, kind = struct.unpack(">I4s", stream.read(8))
            if kind in (b"IDAT", b"IEND") or length > _LONGEST_NOTE:
                raise ValueError("it has no note")
            content = stream.read(length)
            (checksum,) = struct.unpack(">I", stream.read(4))
            if kind == b"tEXt" and content.startswith(_KEYWORD):
                if checksum != zlib.crc32(content, zlib.crc32(kind)):
                    raise ValueError("a checksum is wrong")
                return _parsed(content[len(_KEYWORD) :])


def _parsed(note: bytes) -> dict[str, Any]:
    values = json.loads(note)
    if not isinstance(values, dict):
        raise ValueError("its note is not an object")
    return values


def _prediction(note: dict[str, Any], labels: NDArray[Any], confidence: NDArray[np.uint8]) -> Prediction:
    return Prediction(
        labels=labels,
        confidence=confidence,
        card_id=str(note["card_id"]),
        options=_options(note["options"]),
        source_key=str(note["source_key"]),
        report=RunReport(**{**note["report"], "notes": tuple(note["report"]["notes"])}),
        # Files of version 0.1 call it "doubt".
        uncertainty={str(name): float(value) for name, value in note.get("uncertainty", note.get("doubt", {})).items()},
    )


def _options(data: dict[str, Any]) -> PredictOptions:
    crf = data.get("crf")
    known = {**data, "scales": tuple(data["scales"]), "crf": None if crf is None else CRFParams(**crf)}
    return PredictOptions(**known)


# -- files of an earlier version ---------------------------------------------------------------------------------------------


def _read_archive(path: Path) -> Prediction:
    with zipfile.ZipFile(io.BytesIO(read_plain(path, _LARGEST_FILE))) as archive:
        note = _parsed(_member(archive, "note.json", _LONGEST_NOTE))
        labels = _array(archive, "labels", (np.uint8, np.uint16))
        confidence = _array(archive, "confidence", (np.uint8,))
    if labels.shape != confidence.shape:
        raise ValueError(f"labels {labels.shape} and confidence {confidence.shape}")
    return _prediction(note, labels, confidence)


def _archive_note(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return _parsed(_member(archive, "note.json", _LONGEST_NOTE))


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as stream:
        return _read(stream, most)


def _read(stream: IO[bytes], most: int) -> bytes:
    content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"a part unpacks to more than {most} bytes")
    return content


def _array(archive: zipfile.ZipFile, name: str, dtypes: tuple[type, ...]) -> NDArray[Any]:
    """An array, unpacked no further than its header says, and no larger than the largest image."""
    with archive.open(f"{name}.npy") as stream:
        start = stream.read(_LONGEST_HEADER)
        head = io.BytesIO(start)
        version = np.lib.format.read_magic(head)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, columns_first, dtype = read(head)
        if dtype not in dtypes or len(shape) != 2 or columns_first:
            raise ValueError(f"{name} is {shape} {dtype}")
        pixels = shape[0] * shape[1]
        if not 0 < pixels <= MAX_PIXELS:
            raise ValueError(f"{name} is {shape}")
        rest = start[head.tell() :]
        content = rest + _read(stream, pixels * dtype.itemsize - len(rest))
    return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

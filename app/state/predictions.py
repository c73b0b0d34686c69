"""Predictions kept on disk, so that a folder opens with what a model has already said.

One ``.npz`` file per (image content, model card, options): labels, confidence and a JSON note. Everything here can be computed
again, so a damaged file is dropped without a word and the oldest ones make room. Uses no database and may be called from any
thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.records import CRFParams, Prediction, PredictOptions, RunReport

#: Default bound of the cache on disk.
CACHE_BYTES = 2 * 1024**3

#: Beyond the bound the cache shrinks to this part of it, so that not every new entry has to look for victims.
_KEEP = 0.9


class PredictionCache:
    """The newest predictions of a project.

    Args:
        folder: where the files lie; created at the first :meth:`put`.
        limit: bytes on disk.
        read_only: only look things up.
    """

    def __init__(self, folder: Path, *, limit: int = CACHE_BYTES, read_only: bool = False) -> None:
        self._folder = folder
        self._limit = limit
        self._read_only = read_only
        self._mutex = threading.Lock()
        self._nbytes: int | None = None

    def get(self, source_key: str, card_id: str, options_key: str) -> Prediction | None:
        """The prediction of an image by a model, or None. A damaged entry is removed.

        Args:
            source_key: content key of the image.
            options_key: ``PredictOptions.cache_key()``.
        """
        path = self._path(source_key, card_id, options_key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        try:
            prediction = _decode(data)
            if (prediction.source_key, prediction.card_id, prediction.options.cache_key()) != (source_key, card_id, options_key):
                raise ValueError("it belongs to another key")
        except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, OSError, EOFError):
            self._drop(path)
            return None
        if not self._read_only:
            with contextlib.suppress(OSError):
                os.utime(path)
        return prediction

    def has(self, source_key: str, card_id: str, options_key: str) -> bool:
        """Whether there is an entry; it may still turn out damaged."""
        return self._path(source_key, card_id, options_key).is_file()

    def put(self, prediction: Prediction) -> None:
        """Keep a prediction; the least recently used ones make room.

        Raises:
            StorageError: full disk, read-only folder.
            ValueError: the prediction does not say which image it belongs to.
        """
        from deeplab_core.formats.atomic import atomic_write, make_folder

        if not prediction.source_key:
            raise ValueError("a prediction without a source key cannot be found again")
        if self._read_only:
            return
        path = self._path(prediction.source_key, prediction.card_id, prediction.options.cache_key())
        data = _encode(prediction)
        make_folder(path.parent)
        with self._mutex:
            old = _size(path)
            self._nbytes = self._measured() + atomic_write(path, data) - old
            if self._nbytes > self._limit:
                self._shrink(keep=path)

    def kept(self) -> dict[str, list[tuple[str, str]]]:
        """Per content key of an image: (card id, options key) of its predictions. Opens every file: meant for another thread."""
        found: dict[str, list[tuple[str, str]]] = {}
        for path in sorted(self._folder.glob("??/*.npz")):
            try:
                with zipfile.ZipFile(path) as archive:
                    note = json.loads(archive.read("note.json"))
                key = str(note["card_id"]), _options(note["options"]).cache_key()
                found.setdefault(str(note["source_key"]), []).append(key)
            except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, OSError):
                continue  # damaged: dropped when it is asked for
        return found

    def nbytes(self) -> int:
        """Bytes on disk."""
        with self._mutex:
            return self._measured()

    def _path(self, source_key: str, card_id: str, options_key: str) -> Path:
        name = hashlib.sha256(f"{source_key}\n{card_id}\n{options_key}".encode()).hexdigest()[:40]
        return self._folder / name[:2] / f"{name}.npz"

    def _measured(self) -> int:
        if self._nbytes is None:
            self._nbytes = sum(_size(path) for path in self._folder.glob("??/*.npz"))
        return self._nbytes

    def _shrink(self, keep: Path) -> None:
        entries = []
        for path in self._folder.glob("??/*.npz"):
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries, key=lambda entry: entry[0]):
            if total <= self._limit * _KEEP:
                break
            if path != keep:
                with contextlib.suppress(OSError):
                    path.unlink()
                    total -= size
        self._nbytes = total

    def _drop(self, path: Path) -> None:
        if self._read_only:
            return
        with self._mutex, contextlib.suppress(OSError):
            size = _size(path)
            path.unlink()
            if self._nbytes is not None:
                self._nbytes -= size


def _encode(prediction: Prediction) -> bytes:
    note = {
        "card_id": prediction.card_id,
        "source_key": prediction.source_key,
        "options": asdict(prediction.options),
        "report": asdict(prediction.report),
        "doubt": prediction.doubt,
    }
    buffer = io.BytesIO()
    # Level 1: a tenth of the time of numpy's own savez_compressed, a few per cent larger. Zip checks the content by CRC-32.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("note.json", json.dumps(note))
        for name, array in (("labels", prediction.labels), ("confidence", prediction.confidence)):
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
    return buffer.getvalue()


def _decode(data: bytes) -> Prediction:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        note = json.loads(archive.read("note.json"))
        labels = _array(archive, "labels", (np.uint8, np.uint16))
        confidence = _array(archive, "confidence", (np.uint8,))
    if labels.ndim != 2 or labels.shape != confidence.shape:
        raise ValueError(f"labels {labels.shape} and confidence {confidence.shape}")
    return Prediction(
        labels=labels,
        confidence=confidence,
        card_id=str(note["card_id"]),
        options=_options(note["options"]),
        source_key=str(note["source_key"]),
        report=RunReport(**{**note["report"], "notes": tuple(note["report"]["notes"])}),
        doubt={str(name): float(value) for name, value in note.get("doubt", {}).items()},
    )


def _array(archive: zipfile.ZipFile, name: str, dtypes: tuple[type, ...]) -> NDArray[Any]:
    array = np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
    if array.dtype not in dtypes:
        raise ValueError(f"{name} is {array.dtype}")
    return array


def _options(data: dict[str, Any]) -> PredictOptions:
    crf = data.get("crf")
    known = {**data, "scales": tuple(data["scales"]), "crf": None if crf is None else CRFParams(**crf)}
    return PredictOptions(**known)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

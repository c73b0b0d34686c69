"""What is known of the errors of a folder, image by image, kept with the project and made anew only where something changed."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.class_mapping import chosen_classes
from app.state.image_record import ImageFlag, ImageRecord
from app.state.project import Project
from app.state.samples import truth_stamp
from deeplab_core.analysis.components import ImageErrors
from deeplab_core.analysis.failures import ImageFailures
from deeplab_core.analysis.folder import FolderInspection
from deeplab_core.analysis.image import ImageInspection
from deeplab_core.analysis.objects import OBJECT
from deeplab_core.analysis.slices import PIXEL_EDGES, PixelAxis
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, ProjectError
from deeplab_core.reading import reason, unpack

#: Kind of the project's results that holds inspections, and of those that hold marks of ambiguity.
KIND, _MARKS = "inspection", "ambiguous"
#: Goes up when an inspection means something else than before.
_VERSION = 3
_MAGIC = b"AIN1"

#: Bounds of what a kept inspection may unpack to: bytes, and entries of one array of counts.
_MOST_BYTES, _MOST_COUNTS = 64 << 20, 50_000_000
_FAILURES = ("counts", "missed", "false", "pixels", "instances")


class InspectionIndex:
    """Inspections of a project's images.

    Use it on one thread; :func:`inspection_key` and :func:`read_kept` may run on others.

    Attributes:
        project: whose images.
        folder: everything that is asked of the folder; images go by ``str(image id)``.
        keys: per image id, what its inspection was made from.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.folder = FolderInspection(project.catalog)
        self.keys: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, image: int) -> bool:
        return image in self.keys

    def put(self, image: int, key: str, inspection: ImageInspection) -> None:
        """Add an image, or replace what was known of it."""
        self.folder.update(str(image), inspection)
        self.keys[image] = key

    def keep(self, image: int, key: str, inspection: ImageInspection) -> None:
        """As :meth:`put`, and keep it with the project.

        Raises:
            StorageError: it cannot be written; it is known here all the same.
        """
        self.put(image, key, inspection)
        self.project.put_result(image, KIND, key, encode_inspection(inspection))

    def drop(self, image: int) -> None:
        """Forget an image, e.g. because its truth is gone; nothing happens where it is unknown."""
        if self.keys.pop(image, None) is not None:
            self.folder.remove(str(image))


def inspection_key(project: Project, record: ImageRecord, objects: Path | None) -> str:
    """What an inspection of an image follows from; another key means that it must be made anew.

    Args:
        project, record: the image; its ground truth is the project's.
        objects: what the data says of its objects, where there is such a file.
    """
    marks = project.result(record.id, _MARKS)
    head, damaged = project.journal.head(record.id), ImageFlag.DAMAGED in record.flags
    # Of an image that was not touched the prediction may count, see load_sample.
    predicted = None if record.touched else (record.prediction, _mapping(project, record))
    parts = (
        _VERSION,
        _classes(project.catalog),
        (record.size, record.mtime_ns),
        truth_stamp(project, record.id),
        None if objects is None else _stamp(objects),
        None if marks is None else zlib.crc32(marks[1]),
        (head, record.touched, damaged),
        predicted,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def read_kept(project: Project, image: int, key: str) -> ImageInspection | None:
    """The inspection that the project keeps for an image; None where there is none, an outdated or a damaged one."""
    kept = project.result(image, KIND)
    if kept is None or kept[0] != key:
        return None
    try:
        return decode_inspection(kept[1], project.catalog)
    except AtrousError:
        return None


def encode_inspection(inspection: ImageInspection) -> bytes:
    """The form in which the project keeps an inspection; some kilobytes."""
    arrays: dict[str, NDArray[Any]] = {"objects": inspection.objects}
    sums = {name: getattr(inspection.failures, name) for name in _FAILURES}
    sums |= {f"slices {axis.value}": counts for axis, counts in inspection.slices.items()}
    for name, counts in sums.items():
        packed = SparseCounts.of(counts)
        arrays |= {f"{name} places": packed.places, f"{name} values": packed.values, f"{name} shape": np.array(packed.shape)}
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    errors = inspection.errors.to_bytes()
    return _MAGIC + len(errors).to_bytes(4, "little") + errors + zlib.compress(stream.getvalue(), 1)


def decode_inspection(data: bytes, catalog: ClassCatalog) -> ImageInspection:
    """The inverse of :func:`encode_inspection`.

    Raises:
        ProjectError: the bytes are damaged, or belong to other classes.
    """
    try:
        if data[:4] != _MAGIC:
            raise ValueError("not an inspection")
        end = 8 + int.from_bytes(data[4:8], "little")
        errors = ImageErrors.from_bytes(data[8:end])
        packed = unpack(data[end:], _MOST_BYTES)
        with zipfile.ZipFile(io.BytesIO(packed)) as members:
            if sum(member.file_size for member in members.infolist()) > len(packed):
                raise ValueError("it is packed once more")
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        failures = ImageFailures(*(_whole(found, name) for name in _FAILURES))
        axes = [axis for axis in PixelAxis if f"slices {axis.value} places" in found]
        slices = {axis: _whole(found, f"slices {axis.value}") for axis in axes}
        objects = found["objects"]
        shape = len(catalog), len(catalog) + 1
        fits = failures.counts.shape == shape and all(
            counts.shape == (len(PIXEL_EDGES[axis]), *shape) for axis, counts in slices.items()
        )
        if not fits or objects.dtype != OBJECT:
            raise ValueError("made with other classes")
        if not np.isin(errors.cells[:, 0], catalog.ids).all():
            raise ValueError("an undeclared class")
    except AtrousError:
        raise
    except Exception as error:  # zipfile and NumPy raise many kinds for damaged bytes
        raise ProjectError("a stored inspection is damaged", why=reason(error), remedy="Inspect the folder again") from error
    return ImageInspection(errors, failures, objects, slices)


def _whole(found: dict[str, NDArray[Any]], name: str) -> NDArray[np.int64]:
    shape = tuple(int(side) for side in found[f"{name} shape"])
    if math.prod(shape) > _MOST_COUNTS or min(shape, default=1) < 1:
        raise ValueError(f"{name} is {shape}")
    return SparseCounts(shape, found[f"{name} places"], found[f"{name} values"]).whole()


def _classes(catalog: ClassCatalog) -> str:
    names = [(int(info.id), info.name) for info in catalog.classes]
    return hashlib.sha256(json.dumps([names, catalog.ignore, catalog.background]).encode()).hexdigest()


def _mapping(project: Project, record: ImageRecord) -> object:
    """The user's choices of what the classes of the model become in the project; JSON values."""
    chosen = chosen_classes(project, record.prediction.partition(" ")[0])
    return {str(key): value for key, value in chosen.items()} or None


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), found.st_size, found.st_mtime_ns

"""What is known of the errors of a folder, image by image, kept with the project and made anew only where something changed."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

from app.state.class_mapping import chosen_classes
from app.state.image_record import ImageFlag, ImageRecord
from app.state.project import Project
from app.state.samples import truth_stamp
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError

#: Kind of the project's results that holds inspections, and of those that hold marks of ambiguity.
KIND, _MARKS = "inspection", "ambiguous"
#: Goes up when an inspection means something else than before.
_VERSION = 4


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
        self.folder = FolderAnalysis(project.catalog)
        self.keys: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, image: int) -> bool:
        return image in self.keys

    def put(self, image: int, key: str, inspection: ImageAnalysis) -> None:
        """Add an image, or replace what was known of it."""
        self.folder.replace(str(image), inspection)
        self.keys[image] = key

    def keep(self, image: int, key: str, inspection: ImageAnalysis) -> None:
        """As :meth:`put`, and keep it with the project.

        Raises:
            StorageError: it cannot be written; it is known here all the same.
        """
        self.put(image, key, inspection)
        self.project.put_result(image, KIND, key, inspection.to_bytes())

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


def read_kept(project: Project, image: int, key: str) -> ImageAnalysis | None:
    """The inspection that the project keeps for an image; None where there is none, an outdated or a damaged one."""
    kept = project.result(image, KIND)
    if kept is None or kept[0] != key:
        return None
    try:
        return ImageAnalysis.from_bytes(kept[1], project.catalog)
    except AtrousError:
        return None


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

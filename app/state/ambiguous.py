"""Ambiguous truth in a project: which pixels of an image the user has declared undecidable.

The marks are the user's work, not a result: they stay when the folder is evaluated again, move with the image file, and an image
that has some is never forgotten. Kept under the image's id in the form of :meth:`deeplab_core.analysis.AmbiguousMarks.to_dict`.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from app.state.image_record import twins
from app.state.opencv import opencv
from app.state.project import Project
from deeplab_core.atomic import atomic_write, make_folder
from deeplab_core.datasets.ambiguous import AMBIGUOUS_SUFFIX, MAX_MARKS_BYTES, AmbiguousMark, AmbiguousMarks
from deeplab_core.errors import ImageReadError, ProjectError, ProjectLocked, message
from deeplab_core.labels import LabelMap
from deeplab_core.reading import parse_json
from deeplab_core.wording import name_some

#: Kind of the project's results that holds marks; the folder scan knows it too.
KIND = "ambiguous"


@dataclass(frozen=True, slots=True)
class ListedMark:
    """One mark of a folder: which image (id), which of its marks, and what it says."""

    image: int
    position: int
    mark: AmbiguousMark


def read_marks(project: Project, image: int) -> AmbiguousMarks | None:
    """Marks of an image; None where it has none.

    Raises:
        ProjectError: they are damaged.
    """
    stored = project.result(image, KIND)
    return None if stored is None else _decode(stored[1])


def marks_for(project: Project, image: int, shape: tuple[int, ...]) -> AmbiguousMarks | None:
    """Marks that fit a truth of ``shape`` (H, W); None if none.

    Raises:
        ProjectError: they are damaged, or were made on a picture of another size.
    """
    marks = read_marks(project, image)
    if marks is not None and (marks.height, marks.width) != tuple(shape[:2]):
        raise ProjectError(
            message(
                "the ambiguous regions are of {width} x {height} px, the ground truth of {other_width} x {other_height} px",
                width=marks.width,
                height=marks.height,
                other_width=shape[1],
                other_height=shape[0],
            ),
            remedy=message("Unmark them in the Evaluation panel, or give the image its old size back"),
            path=project.record(image).relative_path,
        )
    return marks


def excluded(project: Project, image: int, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """(H, W) bool, pixels of an image that no figure may count; None if nothing is marked. Errors as :func:`marks_for`."""
    marks = marks_for(project, image, shape)
    return None if marks is None else marks.mask()


def write_marks(project: Project, image: int, marks: AmbiguousMarks) -> None:
    """Keep the marks of an image; an empty list forgets it.

    Raises:
        ProjectLocked: the project is read-only.
        StorageError: it cannot be written; the marks before are as they were.
    """
    if project.read_only:
        raise ProjectLocked(
            message("nothing can be marked here"), why=project.read_only_reason or "", remedy=message("Open the project to edit")
        )
    if marks.marks:
        record = project.record(image)
        if not record.content_key and not record.missing:
            with contextlib.suppress(ImageReadError):
                project.content_key(image)  # by its content the file is found again under another name
        project.put_result(image, KIND, "", json.dumps(marks.to_dict(), separators=(",", ":")).encode())
    else:
        project.drop_result(image, KIND)


def list_marks(project: Project) -> list[ListedMark]:
    """All marks of a project, images in the order of its list; damaged ones are passed over."""
    found = []
    stored = project.results(KIND)
    for record in project.images:
        if record.id not in stored:
            continue
        try:
            marks = _decode(stored[record.id][1])
        except ProjectError:
            continue
        found += [ListedMark(record.id, position, mark) for position, mark in enumerate(marks.marks)]
    return found


def error_at(truth: LabelMap, labels: LabelMap, ignore: int, x: int, y: int) -> tuple[tuple[int, int], NDArray[np.bool_]] | None:
    """The 8-connected region of one confusion (the same truth called the same class) that holds a pixel.

    Returns:
        Offset (x, y) in the image and (h, w) bool mask; None where the pixel is right, void or outside.
    """
    height, width = truth.shape
    if not (0 <= x < width and 0 <= y < height) or truth[y, x] == ignore or truth[y, x] == labels[y, x]:
        return None
    cv2 = opencv()
    same = ((truth == truth[y, x]) & (labels == labels[y, x])).view(np.uint8)
    reached = np.zeros((height + 2, width + 2), dtype=np.uint8)  # floodFill wants a border of one pixel
    flags = 8 | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    _, _, _, (left, top, box_width, box_height) = cv2.floodFill(same, reached, (x, y), 0, 0, 0, flags)
    inside = reached[top + 1 : top + 1 + box_height, left + 1 : left + 1 + box_width].astype(np.bool_)
    return (int(left), int(top)), inside


def fingerprints(project: Project) -> dict[int, int]:
    """Per image id with marks: a number that changes with them."""
    return {image: zlib.crc32(data) for image, (_, data) in project.results(KIND).items()}


def fingerprint(project: Project, image: int) -> int:
    """As :func:`fingerprints` of one image; 0 without marks."""
    stored = project.result(image, KIND)
    return 0 if stored is None else zlib.crc32(stored[1])


def export_marks(project: Project, folder: Path) -> int:
    """Write ``NAME.ambiguous.json`` for every marked image, as ``atrous inspect --ambiguous`` reads it; returns how many.

    Of two images with names that differ only in their endings each file keeps the ending: ``a.jpg.ambiguous.json``.

    Raises:
        StorageError: a file cannot be written.
        ProjectError: records are damaged; all others were written.
    """
    stored = project.results(KIND)
    alike = twins(project.images)
    damaged: list[str] = []
    for image, (_, data) in stored.items():
        try:
            _decode(data)
        except ProjectError:
            damaged.append(project.record(image).shown)
            continue
        name = PurePosixPath(project.record(image).relative_path)
        path = folder / (name.with_name(name.name + AMBIGUOUS_SUFFIX) if image in alike else name.with_suffix(AMBIGUOUS_SUFFIX))
        make_folder(path.parent)
        atomic_write(path, data)
    if damaged:
        raise ProjectError(
            message(
                "{damaged} of {count} records of ambiguous regions are damaged and were left out",
                damaged=len(damaged),
                count=len(stored),
            ),
            why=name_some(damaged, 3),
            remedy=message("Mark these regions again; the others were exported"),
        )
    return len(stored)


def _decode(data: bytes) -> AmbiguousMarks:
    what, remedy = message("the record of ambiguous regions of this image"), message("Mark them again")
    return AmbiguousMarks.from_dict(parse_json(data, limit=MAX_MARKS_BYTES, what=what, remedy=remedy, error=ProjectError))

"""What the user says about an image beside its labels: why it was rejected, and notes. No Qt.

Both are the user's work: they stay when the folder is evaluated again, move with the image file, and an image that has some is
never forgotten. Times are Unix seconds (UTC).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from app.signal import Signal
from app.state.image_record import ImageFlag, ImageRecord, ImageStatus
from app.state.project_values import ProjectValues
from deeplab_core.errors import AtrousError, ProjectError, message
from deeplab_core.geometry import Box
from deeplab_core.reading import convert, expecting, json_text, parse_json

if TYPE_CHECKING:
    from app.state.project import Project

#: Kind of the project's results that holds reviews; the folder scan knows it too.
KIND = "review"
#: Longest text of a note or reason, in characters, and most notes of an image.
LONGEST, MOST = 2000, 1000
#: Largest record that is read, bytes: four times what the longest notes can take.
_MAX_BYTES = 4 * 4 * LONGEST * MOST
#: Reasons that are offered again.
_OFFERED = 12


@dataclass(frozen=True, slots=True)
class RegionNote:
    """A note about a place of an image, or about all of it.

    Attributes:
        text: what the user wrote.
        box: the place in px of the oriented image, a point as a box of 1 x 1 px; None for the whole image.
        time: when it was written or changed last.
    """

    text: str
    box: Box | None = None
    time: float = 0.0


@dataclass(frozen=True, slots=True)
class ImageReview:
    """What is said about one image.

    Attributes:
        why: reason of the last rejection; whether the image is rejected now is in its record.
        rejected: when that was.
        notes: in the order in which they were made.
    """

    why: str = ""
    rejected: float = 0.0
    notes: tuple[RegionNote, ...] = ()


class Reviews:
    """Reasons and notes of a project's images, in memory as a whole: the list and the filter ask for all of them.

    Args:
        values: reads and writes the project's results.
        update: changes fields of an image's record.
        record: the record of an image.

    Attributes:
        changed: emitted with the id of an image whose reason or notes are others.
        damaged: ids of images whose record cannot be read; it is replaced with the next note or reason.
    """

    def __init__(self, values: ProjectValues, update: Callable[..., ImageRecord], record: Callable[[int], ImageRecord]) -> None:
        self._values, self._update, self._record = values, update, record
        self._known: dict[int, ImageReview] | None = None
        self.damaged: frozenset[int] = frozenset()
        self.changed: Signal[int] = Signal()

    def of(self, image: int) -> ImageReview:
        """What is said about an image."""
        return self._all().get(image, ImageReview())

    def why(self, image: int) -> str:
        """Why an image is rejected; empty for one that is not, and without a reason."""
        return self.of(image).why if self._record(image).rejected else ""

    def noted(self) -> list[int]:
        """Ids of the images with notes."""
        return sorted(image for image, review in self._all().items() if review.notes)

    def reasons(self) -> list[str]:
        """The reasons that were given last, newest first, each once."""
        given = sorted((review for review in self._all().values() if review.why), key=lambda review: -review.rejected)
        return list(dict.fromkeys(review.why for review in given))[:_OFFERED]

    def reject(self, image: int, why: str) -> ImageRecord:
        """Decide against an image or its labels. A mark as reviewed is taken away; labels stay.

        Raises:
            ProjectLocked: the project is read-only.
            StorageError: it cannot be written.
        """
        record = self._record(image)
        status = ImageStatus.TOUCHED if record.status == ImageStatus.REVIEWED else record.status
        self._write(image, replace(self.of(image), why=_trimmed(why), rejected=time.time()))
        return self._update(image, flags=record.flags | ImageFlag.REJECTED, status=status)

    def take_back(self, image: int) -> ImageRecord:
        """The image is not rejected any more; errors as :meth:`reject`."""
        return self._update(image, flags=self._record(image).flags.without(ImageFlag.REJECTED))

    def set_notes(self, image: int, notes: Iterable[RegionNote]) -> None:
        """Keep these notes of an image and no others; errors as :meth:`reject`."""
        kept = tuple(replace(note, text=_trimmed(note.text)) for note in notes)
        self._write(image, replace(self.of(image), notes=tuple(note for note in kept if note.text)[:MOST]))

    def _write(self, image: int, review: ImageReview) -> None:
        self._values.check_writable()
        known = self._all()
        if review == ImageReview():
            self._values.drop_result(image, KIND)
            known.pop(image, None)
        else:
            self._values.put_result(image, KIND, "", json_text(asdict(review), separators=(",", ":")).encode())
            known[image] = review
        self.damaged -= {image}
        self.changed.emit(image)

    def _all(self) -> dict[int, ImageReview]:
        if self._known is None:
            found, damaged = {}, set()
            for image, (_, data) in self._values.results(KIND).items():
                try:
                    found[image] = _decode(data)
                except AtrousError:
                    damaged.add(image)
            self._known, self.damaged = found, frozenset(damaged)
        return self._known


def _trimmed(text: str) -> str:
    """A text as it is kept: one line, not longer than :data:`LONGEST`."""
    return " ".join(text.split())[:LONGEST]


def _decode(data: bytes) -> ImageReview:
    what, remedy = message("the notes of this image"), message("Write them again")
    values: Any = parse_json(data, limit=_MAX_BYTES, what=what, remedy=remedy, error=ProjectError)
    with expecting(message("the notes of this image cannot be read"), remedy=remedy, error=ProjectError):
        return convert(values, ImageReview)


def to_export(project: Project, least: ImageStatus, *, rejected: bool) -> tuple[list[ImageRecord], int]:
    """Images of an export, and how many rejected ones are left out of it.

    Args:
        least: only images that have come so far. A rejected image counts as reviewed: the user has decided about it.
        rejected: keep the labels of rejected images.
    """
    there = [record for record in project.images if not record.missing]
    decided = [record for record in there if record.rejected or record.status >= least]
    kept = [record for record in decided if rejected or not record.rejected]
    return kept, len(decided) - len(kept)

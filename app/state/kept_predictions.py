"""The newest prediction of each image: its key in the image's record, labels and confidence in the cache.

"Predicted" is said of an image only while its prediction can be read. If one is missing or damaged, the record notes it and the
listeners hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from app.signal import Signal
from app.state.image_record import ImageFlag, ImageRecord, ImageStatus
from app.state.predictions import Found, PredictionCache
from deeplab_core.errors import join_messages, message
from deeplab_core.records import Prediction
from deeplab_core.wording import clause

_AGAIN = message("Run the model on it again.")


class KeptPredictions:
    """Predictions by image.

    Args:
        update: replaces fields of a record by its id.
        has_labels: whether an image has a mask or steps of its own, by its id.

    Attributes:
        lost: emitted with the record of an image if its prediction could not be read, on the thread that found it.
    """

    def __init__(
        self, cache: PredictionCache, update: Callable[..., ImageRecord], has_labels: Callable[[int], bool], *, read_only: bool
    ) -> None:
        self._cache = cache
        self._update = update
        self._has_labels = has_labels
        self._read_only = read_only
        self.lost: Signal[ImageRecord] = Signal()

    def keep(self, record: ImageRecord, prediction: Prediction, *, suggestion: bool) -> ImageRecord:
        """Keep a model's answer for an image. Raises StorageError."""
        self._cache.put(prediction)
        flags = record.flags.without(ImageFlag.FAILED)
        flags = flags | ImageFlag.SUGGESTED if suggestion else flags.without(ImageFlag.SUGGESTED)
        further = {} if record.status >= ImageStatus.PREDICTED else {"status": ImageStatus.PREDICTED}
        key = f"{prediction.card_id} {prediction.options.cache_key()}"
        # By the content it was made from it is found again, also before any mask of the image is saved.
        content = record.content_key or prediction.source_key
        return self._update(record.id, prediction=key, flags=flags, note="", content_key=content, **further)

    def of(self, record: ImageRecord) -> Prediction | None:
        """The newest prediction of an image; None if it never had one, or lost it."""
        key = _key(record)
        if key is None:
            return None
        found = self._cache.look(*key) if record.content_key else Found()
        if found.prediction is None and not found.hidden and not record.changed:  # that of another content is not lost
            lost = self._noted(record, found.problem)
            if not self._read_only:
                self.lost.emit(lost)
        return found.prediction

    def stamp(self, record: ImageRecord) -> tuple[object, ...]:
        """What changes when another prediction of an image is kept."""
        key = _key(record)
        return () if key is None else (record.prediction, self._cache.stamp(*key))

    def check(self, records: Iterable[ImageRecord]) -> tuple[ImageRecord, ...]:
        """Find images with a missing prediction, without reading any. Returns their new records."""
        keyed = [(key, record) for record in records if (key := _key(record)) is not None]
        gone = set(self._cache.missing([key for key, _ in keyed]))
        return tuple(self._noted(record, "") for key, record in keyed if key in gone)

    def _noted(self, record: ImageRecord, problem: str) -> ImageRecord:
        if self._read_only:
            return record
        damaged = message("The kept prediction is damaged: {problem}.", problem=clause(problem))
        why = damaged if problem else message("The prediction is not kept any more.")
        values: dict[str, Any] = {"prediction": "", "flags": record.flags.without(ImageFlag.SUGGESTED)}
        if not record.failed and not record.to_check:  # what is noted already matters more
            values["note"] = join_messages([why, _AGAIN])
        if record.status is ImageStatus.PREDICTED and not self._has_labels(record.id):
            values["status"] = ImageStatus.NEW
        return self._update(record.id, **values)


def _key(record: ImageRecord) -> tuple[str, str, str] | None:
    """(content key, card id, options key) of the newest prediction of an image; None if it has none."""
    card_id, _, options_key = record.prediction.rpartition(" ")
    return (record.content_key, card_id, options_key) if record.prediction else None

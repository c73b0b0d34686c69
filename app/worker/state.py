"""What the handlers of the compute process share: the model in use, the scores that it left behind, the image read last."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.worker.messages import Answer
from deeplab_core.errors import ComputeError, ImageReadError, message
from deeplab_core.images import ImageData, read_image
from deeplab_core.inference import Predictor, Scores, ScoreStore
from deeplab_core.notes import Note
from deeplab_core.parallel import IsCancelled, ProgressCallback


class Handler(Protocol):
    """Answers the requests of one subject.

    Raises what ``deeplab_core`` raises; :class:`app.worker.session.ComputeSession` makes answers of it.
    """

    def __init__(self, state: WorkerState) -> None: ...

    def answer(self, request: Any, cancel: IsCancelled | None, progress: ProgressCallback | None, /) -> Answer:
        """Serve one request; each handler takes its own kinds only."""


class WorkerState:
    """One model and what it said last.

    Args:
        score_bytes: bound of the kept class scores.

    Attributes:
        predictor: the model in use; None before the first is loaded.
        path: its file.
        scores: class scores of the last images, by content key.
        made_with: content key -> what the kept scores depend on, and the notes of the image.
    """

    def __init__(self, score_bytes: int) -> None:
        self.predictor: Predictor | None = None
        self.path = ""
        self.scores = ScoreStore(score_bytes)
        self.made_with: dict[str, tuple[tuple[str, str], tuple[Note, ...]]] = {}
        self._home = self._device = "auto"
        self._picture: tuple[str, str, ImageData] | None = None

    def take(self, predictor: Predictor, path: str, device: str) -> None:
        """Use another model from now on."""
        self.predictor, self.path = predictor, path
        self._home = self._device = device
        self.scores.clear()
        self.made_with.clear()

    def keep(self, key: str, scores: Scores, made_with: tuple[str, str], notes: tuple[Note, ...]) -> None:
        """Keep the scores of an image and what they were made with; what is known of scores no longer kept is forgotten."""
        self.scores.keep(key, scores)
        self.made_with[key] = made_with, notes
        self.made_with = {known: what for known, what in self.made_with.items() if known in self.scores}

    def loaded(self, device: str = "auto") -> Predictor:
        """The model in use, on the device that a request names; ``auto`` is the one that it was loaded for.

        Raises:
            ComputeError: no model is loaded.
        """
        if self.predictor is None:
            raise ComputeError(
                message("no model is loaded"), remedy=message("Choose a model in the Model panel, then predict again")
            )
        wanted = self._home if device == "auto" else device
        if wanted != self._device:
            self.predictor.move(wanted)
            self._device = wanted
        return self.predictor

    def read(self, image: str, key: str, channels: int) -> NDArray[np.uint8]:
        """The pixels of an image for a network of so many input channels; the image read last is kept.

        Raises:
            ImageReadError: as :func:`read_for`.
        """
        kept = self._picture
        if kept is None or kept[:2] != (image, key) or (channels == 4 and kept[2].four is None):
            self._picture = None  # freed before the next one is read
            data, pixels = read_for(image, channels)
            self._picture = (image, key, data)
            return pixels
        return kept[2].pixels(channels)

    def forget_picture(self) -> None:
        """Free the image that was read last."""
        self._picture = None


def read_for(image: str, channels: int) -> tuple[ImageData, NDArray[np.uint8]]:
    """An image, and its (H, W, channels) uint8 pixels for a network of so many input channels.

    Raises:
        ImageReadError: as ``read_image`` and :meth:`ImageData.pixels`, or the image does not fit into memory.
    """
    try:
        data = read_image(image, fourth=channels == 4)
        return data, data.pixels(channels)
    except MemoryError as error:
        raise ImageReadError(message("the image does not fit into memory"), path=image) from error

"""How much of the image in view each class has, and how much of it is by hand; kept up stroke by stroke."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.document import Change
from app.state.provenance import users_own
from deeplab_core.labels import LabelMap, value_counts

#: Shares follow a stroke at this pace; the share by hand, which looks at every pixel, when the hand rests.
_SHARES_MS, _BY_HAND_MS = 150, 800


class ImagePixelCounts(QObject):
    """Counts pixels per label value.

    Attributes:
        by_hand: share of the pixels that the user painted or reclassified, 0..1, as of the last pause.

    Signals:
        changed(): shares are others, at most some times a second.
        counted(): the image that came into view has been counted for the first time; before ``changed``.
    """

    changed = Signal()
    counted = Signal()

    def __init__(
        self,
        services: Services,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._jobs = services.jobs
        self._counted = False
        self._predicted: tuple[LabelMap, frozenset[int]] | None = None
        self._image: OpenImage | None = None
        self._counts = np.zeros(256, dtype=np.int64)
        self.by_hand = 0.0
        self._soon = single_shot(self, _SHARES_MS, self._emit_settled)
        self._later = single_shot(self, _BY_HAND_MS, self._count_all)
        services.session.imageChanged.connect(self._follow)
        services.session.predictionChanged.connect(lambda _image: self.changed.emit())

    def shares(self) -> dict[int, float]:
        """Label value -> part of the image's pixels, for values that occur."""
        total = max(int(self._counts.sum()), 1)
        return {int(value): int(self._counts[value]) / total for value in np.flatnonzero(self._counts)}

    def present(self) -> frozenset[int]:
        """Label values that occur in the mask, the prediction, or both."""
        found = set(np.flatnonzero(self._counts).tolist())
        image = self._image
        reference = None if image is None else image.document.reference
        if reference is not None:
            if self._predicted is None or self._predicted[0] is not reference:
                self._predicted = reference, frozenset(np.flatnonzero(value_counts(reference)).tolist())
            found |= self._predicted[1]
        return frozenset(found)

    def _follow(self, image: OpenImage | None) -> None:
        if self._image is not None:
            self._image.document.changed.disconnect(self._follow_change)
        self._image, self.by_hand, self._predicted = image, 0.0, None
        self._counts = np.zeros(256, dtype=np.int64)
        self._counted = False
        if image is not None:
            image.document.changed.connect(self._follow_change)
            self._count_all()
        self.changed.emit()

    def _follow_change(self, change: Change) -> None:
        image = self._image
        if image is not None and self._counted:
            length = len(self._counts)
            for rect, before in change.parts:
                after = image.document.labels[rect.slices]
                # A dab changes few pixels of its box, and finding them costs less than counting the box.
                changed = after != before
                self._counts += np.bincount(after[changed], minlength=length)
                self._counts -= np.bincount(before[changed], minlength=length)
            if not self._soon.isActive():
                self._soon.start()
        self._later.start()

    def _emit_settled(self) -> None:
        """Not while a step is being written in parts: the list would be painted for each of them."""
        if self._image is not None and not self._image.document.settled:
            self._soon.start()
        else:
            self.changed.emit()

    def _count_all(self) -> None:
        """Look at every pixel, in the background; again after a pause if the image changes during it."""
        image = self._image
        if image is None:
            return
        document = image.document
        revision = document.revision

        def count() -> tuple[NDArray[np.int64], float]:
            own = int(np.count_nonzero(users_own(document.provenance)))
            return value_counts(document.labels), own / max(document.provenance.size, 1)

        def done(found: tuple[NDArray[np.int64], float]) -> None:
            if self._image is not image:
                return
            if document.revision != revision:
                self._later.start()
                return
            self._counts, self.by_hand = found
            first, self._counted = not self._counted, True
            if first:
                self.counted.emit()
            self._soon.start()

        self._jobs.run(count, done, _report)


def _report(error: Exception) -> None:
    raise error  # counting cannot fail because of the user

"""How much of the image in view each class has, and how much of it is by hand; kept up stroke by stroke."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.controllers.open_image import OpenImage
from app.controllers.predict import PredictController
from app.controllers.project import ProjectController
from app.state.document import Change
from app.state.provenance import Provenance
from deeplab_core.labels import value_counts

#: Shares follow a stroke at this pace; the share by hand, which looks at every pixel, when the hand rests.
_SHARES_MS, _BY_HAND_MS = 150, 800


class PixelCounts(QObject):
    """Counts pixels per label value.

    Attributes:
        by_hand: share of the pixels that a person has set, 0..1, as of the last pause.

    Signals:
        changed(): shares are others, at most some times a second.
    """

    changed = Signal()

    def __init__(self, projects: ProjectController, predict: PredictController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._image: OpenImage | None = None
        self._counts = np.zeros(256, dtype=np.int64)
        self._unsubscribe: Callable[[], None] | None = None
        self.by_hand = 0.0
        self._soon = self._timer(_SHARES_MS, self.changed.emit)
        self._later = self._timer(_BY_HAND_MS, self._count_by_hand)
        projects.imageChanged.connect(self._follow)
        predict.predictionChanged.connect(lambda _image: self.changed.emit())

    def shares(self) -> dict[int, float]:
        """Label value -> part of the image's pixels, for values that occur."""
        total = max(int(self._counts.sum()), 1)
        return {int(value): int(self._counts[value]) / total for value in np.flatnonzero(self._counts)}

    def present(self) -> frozenset[int]:
        """Label values that occur in the mask, the prediction, or both."""
        found = set(np.flatnonzero(self._counts).tolist())
        image = self._image
        if image is not None and image.document.reference is not None:
            found |= set(np.flatnonzero(value_counts(image.document.reference)).tolist())
        return frozenset(found)

    def _follow(self, image: OpenImage | None) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._image, self._unsubscribe, self.by_hand = image, None, 0.0
        self._counts = np.zeros(256, dtype=np.int64)
        if image is not None:
            self._counts = value_counts(image.document.labels)
            self._unsubscribe = image.document.subscribe(self._count)
            self._count_by_hand()
        self.changed.emit()

    def _count(self, change: Change) -> None:
        image = self._image
        if image is not None:
            after, before = image.document.labels[change.rect.slices], change.before
            # A dab changes few pixels of its box, and finding them costs less than counting the box.
            changed = after != before
            length = len(self._counts)
            self._counts += np.bincount(after[changed], minlength=length)
            self._counts -= np.bincount(before[changed], minlength=length)
            if not self._soon.isActive():
                self._soon.start()
            self._later.start()

    def _count_by_hand(self) -> None:
        image = self._image
        if image is not None:
            provenance = image.document.provenance
            self.by_hand = float(np.count_nonzero(provenance == Provenance.PERSON)) / max(provenance.size, 1)
            self._soon.start()

    def _timer(self, milliseconds: int, action: Callable[[], object]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        return timer

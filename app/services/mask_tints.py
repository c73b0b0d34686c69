"""Small pictures of masks, to be laid over thumbnails: read on a thread when they are seen, newest first."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, QThreadPool, Signal, Slot
from PySide6.QtGui import QImage

from app.services.thumbnails import SIDE
from deeplab_core.errors import AtrousError
from deeplab_core.masks.stored import read_stored

_LOG = logging.getLogger(__name__)

# Looked up here, once: PySide makes enumerations on first use, and two threads must not do that at the same time.
_FORMAT = QImage.Format.Format_ARGB32_Premultiplied

#: Pictures in memory, 500 kB each at most.
_IN_MEMORY = 200


class MaskTints(QObject):
    """Gives the tint of a mask by image id.

    Signals:
        ready(image id): :meth:`get` has it now.
    """

    ready = Signal(int)
    _made = Signal(int, int, QImage)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._kept: OrderedDict[int, QImage] = OrderedDict()
        self._asked: dict[int, int] = {}
        self._number = 0
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._made.connect(self._keep, Qt.ConnectionType.QueuedConnection)

    def get(self, image: int, locate: Callable[[], Path], table: NDArray[np.uint32]) -> QImage | None:
        """The tint if it is in memory; otherwise None, and it is made. A mask that cannot be read gives an empty QImage.

        Args:
            locate: finds the mask file; called on the thread, may raise an AtrousError.
            table: premultiplied ARGB by label.
        """
        found = self._kept.get(image)
        if found is not None:
            self._kept.move_to_end(image)
        elif image not in self._asked:
            self._number += 1
            self._asked[image] = number = self._number
            self._pool.start(lambda: self._work(image, number, locate, table))
        return found

    def forget(self, image: int) -> None:
        """The mask of an image may be another one."""
        self._kept.pop(image, None)
        self._asked.pop(image, None)

    def clear(self) -> None:
        """Forget all: another project is open, or the colours are others."""
        self._pool.clear()
        self._kept.clear()
        self._asked.clear()

    def stop(self) -> None:
        """Wait for the thread at the end of the program."""
        self.clear()
        self._pool.waitForDone(3000)

    def _work(self, image: int, number: int, locate: Callable[[], Path], table: NDArray[np.uint32]) -> None:
        picture = QImage()
        try:
            values = read_stored(locate()).values
            if values is not None:
                picture = tint_picture(values, table)
        except AtrousError as error:  # a mask that cannot be read is reported when its image is opened
            _LOG.info("no tint of image %s: %s", image, error)
        self._made.emit(image, number, picture)

    @Slot(int, int, QImage)
    def _keep(self, image: int, number: int, picture: QImage) -> None:
        if self._asked.get(image) != number:
            return  # forgotten meanwhile
        del self._asked[image]
        self._kept[image] = picture
        while len(self._kept) > _IN_MEMORY:
            self._kept.popitem(last=False)
        self.ready.emit(image)


def tint_picture(labels: NDArray[np.generic], table: NDArray[np.uint32]) -> QImage:
    """A mask of (H, W) labels at the size of a thumbnail, in the colours of a table; every pixel is one of the mask's."""
    height, width = labels.shape
    scale = min(SIDE / max(height, width), 1.0)
    rows, columns = (np.linspace(0, side - 1, max(round(side * scale), 1)).round().astype(np.intp) for side in (height, width))
    small = np.ascontiguousarray(table[labels[np.ix_(rows, columns)].astype(np.intp)])
    return QImage(small.data, len(columns), len(rows), 4 * len(columns), _FORMAT).copy()

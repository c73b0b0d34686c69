"""Thumbnails: made on two threads when a row is seen, kept on disk, newest request first."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from PySide6.QtCore import QBuffer, QIODevice, QObject, Qt, QThreadPool, Signal, Slot
from PySide6.QtGui import QImage

from deeplab_core.errors import AtrousError, ImageReadError, error_text

_LOG = logging.getLogger(__name__)

# Looked up here, once: PySide makes enumerations on first use, and two threads must not do that at the same time.
_WRITE, _RGB = QIODevice.OpenModeFlag.WriteOnly, QImage.Format.Format_RGB888

#: Longer side of a thumbnail in px: a row of the list at twice the usual pixel density.
SIDE = 360
#: Thumbnails in memory: about 400 bytes a row each, 150 MB at most.
_IN_MEMORY = 600
#: Wishes beyond this are forgotten: rows that were scrolled past.
_WAITING = 60


class ThumbnailLoader(QObject):
    """Gives thumbnails by image id.

    Signals:
        ready(image id): :meth:`get` has it now.
        failed(image id, text): none can be made, because the file cannot be read, and why.
    """

    ready = Signal(int)
    failed = Signal(int, object)
    _made = Signal(int, str, QImage, object)

    def __init__(self, cache: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cache = cache
        self._kept: OrderedDict[tuple[int, str], QImage] = OrderedDict()
        self._asked: set[tuple[int, str]] = set()
        self._waiting: list[tuple[int, str, Path]] = []
        self._mutex = Lock()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(2)
        self._made.connect(self._keep, Qt.ConnectionType.QueuedConnection)

    def get(self, image: int, path: Path, size: int, mtime_ns: int) -> QImage | None:
        """The thumbnail if it is in memory; otherwise None, and it is made. A failed one is an empty QImage."""
        source = f"{path}\n{size}\n{mtime_ns}\n{SIDE}".encode("utf-8", "surrogateescape")
        name = hashlib.sha1(source, usedforsecurity=False).hexdigest()
        key = image, name
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        if key not in self._asked:
            self._asked.add(key)
            with self._mutex:
                self._waiting.append((image, name, path))
                for dropped in self._waiting[:-_WAITING]:
                    self._asked.discard(dropped[:2])
                del self._waiting[:-_WAITING]
            self._pool.start(self._work)
        return None

    def clear(self) -> None:
        """Forget what is in memory and what was wished: another project is open."""
        with self._mutex:
            self._waiting.clear()
        self._asked.clear()
        self._kept.clear()

    def stop(self) -> None:
        """Wait for the threads at the end of the program."""
        self.clear()
        self._pool.waitForDone(3000)

    def _work(self) -> None:
        with self._mutex:
            if not self._waiting:
                return
            image, name, path = self._waiting.pop()
        picture, trouble = QImage(), ""
        try:
            picture = self._load(name, path)
        except ImageReadError as error:
            trouble = error_text(error)
        except Exception as error:  # a picture that cannot be shown small is said when it is opened
            _LOG.info("no thumbnail of %s: %s", path, error)
        self._made.emit(image, name, picture, trouble)

    def _load(self, name: str, path: Path) -> QImage:
        kept = self._cache / name[:2] / f"{name}.jpg"
        if kept.is_file():
            picture = QImage(str(kept))
            if not picture.isNull():
                return picture
            kept.unlink(missing_ok=True)  # damaged; a JPEG file is never replaced, not even our own
        from deeplab_core.atomic import atomic_write, make_folder
        from deeplab_core.images.decode import read_thumbnail

        rgb = read_thumbnail(path, SIDE)
        height, width = rgb.shape[:2]
        picture = QImage(rgb.data, width, height, 3 * width, _RGB).copy()
        data = _jpeg(picture)
        try:
            make_folder(kept.parent)
            atomic_write(kept, data)
        except AtrousError as error:
            _LOG.info("thumbnail not kept: %s", error)
        return picture

    @Slot(int, str, QImage, object)
    def _keep(self, image: int, name: str, picture: QImage, trouble: str) -> None:
        key = image, name
        if key not in self._asked:
            return
        self._asked.discard(key)
        self._kept[key] = picture
        while len(self._kept) > _IN_MEMORY:
            self._kept.popitem(last=False)
        self.ready.emit(image)
        if trouble:
            self.failed.emit(image, trouble)


def _jpeg(picture: QImage) -> bytes:
    buffer = QBuffer()
    buffer.open(_WRITE)
    picture.save(buffer, "JPEG", 88)  # type: ignore[call-overload]
    return bytes(buffer.data().data())

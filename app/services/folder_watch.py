"""Signals that files of a folder may have changed. It reads nothing itself, and is bounded for every folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QFileSystemWatcher, QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication

from app.services.timers import single_shot

#: Most folders that are watched; the rest is looked at when the window becomes active. Systems bound this, some at 256 files.
MOST_FOLDERS = 128
#: Quiet time after the last event before it is passed on, in milliseconds: a file that is being copied sends many.
QUIET_MS = 700


class FolderWatcher(QObject):
    """Watches some folders and a few files.

    Signals:
        stirred(): something in a folder came, went or was renamed, or the window is active again.
        touched(): a watched file was written, replaced or removed, or any of the above.
    """

    stirred = Signal()
    touched = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._watcher = QFileSystemWatcher(self)
        self._files: frozenset[str] = frozenset()
        self._stir = single_shot(self, QUIET_MS, self.stirred.emit)
        self._touch = single_shot(self, QUIET_MS, self.touched.emit)
        self._watcher.directoryChanged.connect(self._on_folder)
        self._watcher.fileChanged.connect(self._on_file)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.applicationStateChanged.connect(self._on_state)

    def watch_folders(self, folders: Iterable[Path]) -> None:
        """Watch these folders from now on, the first :data:`MOST_FOLDERS` of them, and no others."""
        wanted = [str(folder) for _, folder in zip(range(MOST_FOLDERS), folders, strict=False)]
        gone = sorted(set(self._watcher.directories()) - set(wanted))
        new = [folder for folder in wanted if folder not in set(self._watcher.directories())]
        if gone:
            self._watcher.removePaths(gone)
        if new:
            self._watcher.addPaths(new)  # what cannot be watched is looked at when the window becomes active

    def watch_files(self, files: Iterable[Path]) -> None:
        """Watch these files from now on, and no others."""
        self._files = frozenset(str(path) for path in files)
        gone = sorted(set(self._watcher.files()) - self._files)
        if gone:
            self._watcher.removePaths(gone)
        self._add_files()

    def _add_files(self) -> None:
        """A file that was replaced is a new one to the system; one that is gone cannot be watched until it is back."""
        watched = set(self._watcher.files())
        missing = [path for path in sorted(self._files) if path not in watched and _exists(path)]
        if missing:
            self._watcher.addPaths(missing)

    def _on_folder(self, _folder: str) -> None:
        self._add_files()
        self._stir.start()
        self._touch.start()

    def _on_file(self, _path: str) -> None:
        self._add_files()
        self._touch.start()

    def _on_state(self, state: Qt.ApplicationState) -> None:
        if state is Qt.ApplicationState.ApplicationActive:
            self._add_files()
            self._stir.start()
            self._touch.start()


def _exists(path: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return Path(path).exists()
    return False

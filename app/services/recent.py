"""Folders that were open lately, newest first."""

from __future__ import annotations

from pathlib import Path

from app.services.settings import SettingsStore

_KEY = "folders.recent"
#: As many as a start page and a menu show without scrolling.
MOST = 10


class RecentFolders:
    """The list behind 'open recent' and the start page; folders that are gone are left out but not forgotten."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings

    def folders(self) -> list[Path]:
        """Folders that exist now, newest first."""
        return [Path(text) for text in self._settings[_KEY] if Path(text).is_dir()]

    def remember(self, folder: Path) -> None:
        """Put a folder at the top."""
        text = str(folder.resolve())
        self._settings.set(_KEY, [text, *(other for other in self._settings[_KEY] if other != text)][:MOST])

    def forget(self, folder: Path) -> None:
        """Take a folder off the list."""
        text = str(folder.resolve())
        self._settings.set(_KEY, [other for other in self._settings[_KEY] if other != text])

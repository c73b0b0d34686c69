"""The settings of this computer: a sparse TOML file, written atomically, with unknown keys kept."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import tomli_w
from PySide6.QtCore import QObject, Signal

from app.services.timers import single_shot
from app.state.settings_schema import BY_KEY, SETTINGS, Value
from deeplab_core.atomic import atomic_write, make_folder, rename_file
from deeplab_core.errors import AtrousError, StorageError, message
from deeplab_core.reading import read_toml

_LOG = logging.getLogger(__name__)

#: Keys of earlier versions, and what they are called now. The file is written with the new names only.
FORMER_KEYS = {"look.theme": "appearance.theme"}

#: Changes are written after this pause, so that a dragged slider writes once.
_PAUSE_MS = 400


class SettingsStore(QObject):
    """Typed access to every setting; a change applies at once and is written soon after.

    Only values that differ from their defaults are in the file. A value of the wrong type is left in the file, its default is
    used and :attr:`problems` reports it; keys of a newer version are kept.

    Signals:
        changed(key): a setting has another value now.
        failed(StorageError): the file cannot be written; the values hold for this session.
    """

    changed = Signal(str)
    failed = Signal(object)

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = path
        self.problems: list[str] = []
        self._values: dict[str, Value] = {setting.key: setting.default for setting in SETTINGS}
        self._foreign: dict[str, Any] = {}
        self._read()
        self._timer = single_shot(self, _PAUSE_MS, self.flush)

    def __getitem__(self, key: str) -> Any:
        """The value of a setting; KeyError for a name that the schema does not know."""
        return self._values[key]

    def set(self, key: str, value: object) -> None:
        """Change a setting. Raises ValueError where the value does not fit it, KeyError for an unknown name."""
        checked = BY_KEY[key].check(value)
        if checked == self._values[key]:
            return
        self._values[key] = checked
        self._foreign.pop(key, None)
        self.changed.emit(key)
        self._timer.start()

    def reset(self, key: str) -> None:
        """Give a setting its default back."""
        self.set(key, BY_KEY[key].default)

    def flush(self) -> None:
        """Write now what is still waiting to be written."""
        self._timer.stop()
        values = {key: value for key, value in self._values.items() if value != BY_KEY[key].default}
        try:
            make_folder(self._path.parent)
            atomic_write(self._path, _to_toml(self._foreign | values).encode("utf-8", "surrogateescape"), follow_links=True)
        except StorageError as error:
            _LOG.warning("settings not written: %s", error)
            self.failed.emit(error)

    def _read(self) -> None:
        if not os.path.lexists(self._path):
            return
        try:
            found = read_toml(
                self._path, what=message("the settings file"), foreign=True
            )  # folders may have names in foreign bytes
        except AtrousError as error:
            self._set_aside(error)
            return
        found.pop("version", None)
        flat = _flat(found)
        for key, value in flat.items():
            if FORMER_KEYS.get(key) in flat:
                continue  # the new name is there as well: it counts
            key = FORMER_KEYS.get(key, key)
            setting = BY_KEY.get(key)
            try:
                if setting is None:
                    raise ValueError(f"{key} is not a setting of this version; it is kept")
                self._values[key] = setting.check(value)
            except (ValueError, TypeError, OverflowError) as error:
                self._foreign[key] = value
                self.problems.append(str(error))
                _LOG.warning("%s: %s", self._path, error)

    def _set_aside(self, error: AtrousError) -> None:
        aside = self._path.with_suffix(".damaged.toml")
        number = 1
        while os.path.lexists(aside):  # what was set aside before is kept
            number += 1
            aside = self._path.with_suffix(f".damaged-{number}.toml")
        problem = message("the settings file could not be read ({what}: {why})", what=error.what, why=error.why)
        _LOG.warning("%s: %s", self._path, error)
        try:
            rename_file(self._path, aside)
        except AtrousError as failure:
            _LOG.warning("not set aside: %s", failure)
            self.problems.append(message("{problem}; it is left unchanged, and settings are not saved", problem=problem))
        else:
            self.problems.append(message("{problem}; it was set aside as {name}", problem=problem, name=aside.name))


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"crf": {"engine": "auto"}}`` as ``{"crf.engine": "auto"}``; a table that is itself a setting stays whole."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict) and key not in BY_KEY:
            found |= _flat(value, key + ".")
        else:
            found[key] = value
    return found


def _to_toml(values: dict[str, Any]) -> str:
    """The file's text: a table for each group of settings. Where a value and a group have one name, the group wins."""
    tables: dict[str, Any] = {"version": 1}
    for key, value in sorted(values.items()):
        *groups, name = key.split(".")
        table = tables
        for group in groups:
            if not isinstance(table.get(group), dict):
                table[group] = {}
            table = table[group]
        if key != "version" and not isinstance(table.get(name), dict):
            table[name] = value
    return f"# Settings of Atrous. Only what differs from the defaults is in this file.\n{tomli_w.dumps(tables)}"


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

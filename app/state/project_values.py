"""What a project keeps beside labels: JSON values under a name, and computed results of images. No Qt, no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.state.careful import meta_json
from app.state.store import Store
from deeplab_core.errors import ProjectLocked, message


class ProjectValues:
    """The base of :class:`app.state.project.Project`: its settings and results. Every method may be called from any thread."""

    directory: Path
    read_only_reason: str | None
    _store: Store

    @property
    def read_only(self) -> bool:
        return self.read_only_reason is not None

    def setting(self, key: str, default: object = None) -> Any:
        """A JSON value kept with the project: colours, visibility, keys, truth folder, class mapping, view."""
        row = self._store.row("SELECT value FROM meta WHERE key = ?", (key,), (str,))
        return default if row is None else meta_json(row[0], key)

    def settings(self, prefix: str) -> dict[str, Any]:
        """Every JSON value that is kept under a key with this beginning."""
        rows = self._store.rows("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(prefix), prefix), (str, str))
        return {key: meta_json(value, key) for key, value in rows}

    def set_setting(self, key: str, value: object) -> None:
        """Keep a JSON value with the project."""
        self.check_writable()
        self._store.write("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, json.dumps(value)))

    def drop_setting(self, key: str) -> None:
        """Forget a JSON value; nothing happens if it is missing."""
        self.check_writable()
        self._store.write("DELETE FROM meta WHERE key = ?", (key,))

    def put_result(self, image: int, kind: str, key: str, data: bytes) -> None:
        """Keep a computed result of an image, e.g. its confusion matrix; ``key`` names what it was computed from."""
        if not self.read_only:
            sql = "INSERT OR REPLACE INTO results (image, kind, key, data) VALUES (?, ?, ?, ?)"
            self._store.write(sql, (image, kind, key, data))

    def result(self, image: int, kind: str) -> tuple[str, bytes] | None:
        """(key, data) of one result of an image; None if it is missing."""
        row = self._store.row("SELECT key, data FROM results WHERE image = ? AND kind = ?", (image, kind), (str, bytes))
        return None if row is None else (row[0], row[1])

    def drop_result(self, image: int, kind: str) -> None:
        """Forget one result of an image; nothing happens if it is missing."""
        if not self.read_only:
            self._store.write("DELETE FROM results WHERE image = ? AND kind = ?", (image, kind))

    def results(self, kind: str) -> dict[int, tuple[str, bytes]]:
        """Per image id: (key, data) of all results of a kind."""
        rows = self._store.rows("SELECT image, key, data FROM results WHERE kind = ?", (kind,), (int, str, bytes))
        return {image: (key, data) for image, key, data in rows}

    def check_writable(self) -> None:
        """Raise ProjectLocked if nothing can be written."""
        if self.read_only_reason is not None:
            raise ProjectLocked(
                message("the project is read-only"),
                why=self.read_only_reason,
                remedy=message("Open it again to edit"),
                path=self.directory,
            )

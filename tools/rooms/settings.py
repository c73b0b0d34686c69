"""How a set of rooms is made, kept beside it: a set to test on must not hold rooms of the training set. No Blender here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: File in a set's folder.
SETTINGS = "rooms.json"


class OtherRoomsError(Exception):
    """The folder holds rooms of other settings."""


def keep_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings into a new set's folder, or compare them with those that are there.

    Raises:
        OtherRoomsError: the rooms there have other settings, or unknown ones; it names them.
        OSError: the folder cannot be written.
    """
    path = folder / SETTINGS
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            differing = [f"{name} is {found.get(name)} there" for name, value in settings.items() if found.get(name) != value]
        except (ValueError, AttributeError):
            differing = [f"{SETTINGS} is damaged"]
        if differing:
            raise OtherRoomsError(f"{folder} holds rooms of other settings ({'; '.join(differing)}): choose another folder")
        return
    if any((folder / "images").glob("room_*.jpg")):
        raise OtherRoomsError(f"{folder} holds rooms of unknown settings ({SETTINGS} is missing): choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(settings), indent=1) + "\n", encoding="utf-8")

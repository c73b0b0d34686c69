"""Where Atrous keeps what it ships and what it looks for: resources, models, the sample project. No Qt, no torch, no numpy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

#: Names the environment variable with folders (separated as in PATH) that hold further models.
MODEL_DIR_VARIABLE = "ATROUS_MODEL_DIR"

#: Beside the packages in a source tree, in a wheel and in the frozen application alike.
RESOURCES = Path(__file__).resolve().parent.parent / "resources"

SAMPLE_PROJECT = RESOURCES / "sample_project"

#: Models that are shipped, and the one to start with if the user has none.
BUNDLED_MODELS = RESOURCES / "models"
FIRST_MODEL = BUNDLED_MODELS / "rooms-voc.safetensors"


def model_folders(chosen: str | None = None) -> list[Path]:
    """Folders that are searched for models, in order: the bundled ones, that of downloads, those of ``ATROUS_MODEL_DIR``.

    Args:
        chosen: the setting ``model.folder``; None reads it from the settings file.
    """
    folders = [BUNDLED_MODELS, _own_model_folder(chosen), *_named_folders()]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def download_folder(chosen: str | None = None) -> Path:
    """Where fetched models go: the folder of the settings, else the first of ``ATROUS_MODEL_DIR``, else the user's data folder.

    It need not exist yet.

    Args:
        chosen: the setting ``model.folder``; None reads it from the settings file.
    """
    chosen = setting("model", "folder") if chosen is None else chosen
    named = _named_folders()
    return named[0] if named and not chosen else _own_model_folder(chosen)


def _named_folders() -> list[Path]:
    return [Path(part).expanduser() for part in os.environ.get(MODEL_DIR_VARIABLE, "").split(os.pathsep) if part]


def _own_model_folder(chosen: str | None) -> Path:
    chosen = setting("model", "folder") if chosen is None else chosen
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("Atrous", appauthor=False)) / "models"


def setting(group: str, name: str) -> str:
    """A text of the settings file, without the window's machinery; empty if it is not set.

    An unreadable file sets nothing (the window shows what is wrong).
    """
    value = _stored(group, name)
    return value if isinstance(value, str) else ""


def whole_setting(key: str) -> int:
    """A whole number of the settings file, e.g. of ``work.runs_megabytes``; its default if it is not set or out of range."""
    from app.state.settings_schema import BY_KEY

    known = BY_KEY[key]
    value = _stored(*key.split(".", 1))
    assert isinstance(known.default, int)
    fits = isinstance(value, int) and not isinstance(value, bool)
    if fits and (known.low is None or value >= known.low) and (known.high is None or value <= known.high):
        return int(value)
    return known.default


def _stored(group: str, name: str) -> Any:
    from app.services.folders import settings_file
    from deeplab_core.errors import AtrousError
    from deeplab_core.reading import read_toml

    try:
        return read_toml(settings_file(), foreign=True).get(group, {}).get(name)
    except (AtrousError, AttributeError):
        return None


#: Folder of click networks in a folder of models; searches for models skip it.
CLICK_FOLDER = "clicks"


def sample_home() -> Path:
    """Where the sample project is copied to be worked in: ``out/`` of a source tree, else the user's data folder."""
    tree = RESOURCES.parent
    if (tree / "pyproject.toml").is_file():
        return tree / "out" / "sample_project"
    import platformdirs

    return Path(platformdirs.user_data_dir("Atrous", appauthor=False)) / "sample_project"


def is_sample_project(folder: Path) -> bool:
    """Whether a folder is a copy of the sample project, which is there to be tried without a question."""
    readme, ours = folder / "README.md", SAMPLE_PROJECT / "README.md"
    return readme.is_file() and ours.is_file() and readme.read_bytes() == ours.read_bytes()


def copy_sample_project(target: Path) -> Path:
    """Copy the sample project where it may be written to, and return that folder.

    A folder that is already there is a project with the user's work: nothing of it is replaced, only missing files are added.
    """
    for source in sorted(SAMPLE_PROJECT.rglob("*")):
        goal = target / source.relative_to(SAMPLE_PROJECT)
        if source.is_dir():
            goal.mkdir(parents=True, exist_ok=True)
        elif not goal.exists():
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, goal)
    return target

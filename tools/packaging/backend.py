"""Builds the wheel with setuptools, after the translations are released into ``resources/translations``.

Qt's ``lrelease`` does that, so a build of the wheel needs PySide6. An editable install does not: a source tree releases them
at start.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable", "build_sdist", "build_wheel", "get_requires_for_build_editable", "get_requires_for_build_sdist",
    "get_requires_for_build_wheel", "prepare_metadata_for_build_editable", "prepare_metadata_for_build_wheel",
]  # fmt: skip

Settings = dict[str, str | list[str] | None] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """What a build needs besides setuptools: the PySide6 that the program requires."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    pyside = [line for line in project["dependencies"] if line.startswith("PySide6")]
    return [*build_meta.get_requires_for_build_wheel(config_settings), *pyside, "platformdirs"]


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Release the translations, then build. Raises CalledProcessError if a translation cannot be released."""
    sys.path.insert(0, str(Path.cwd()))
    from app.translations import release_all

    release_all()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)

"""Translations of the window: their files and the languages that there are. No Qt.

A translation is a file ``atrous_LANGUAGE.qm``. Those of the program are released from ``translations/atrous_LANGUAGE.ts``: by
the build of the wheel and of the application, and in a source tree at start, where the ``.ts`` file is newer. A user puts
further ones into the folder ``translations`` of the program's data, or into one that ``ATROUS_TRANSLATION_DIR`` names.

``qtbase_LANGUAGE.qm`` beside it, from ``qtbase_LANGUAGE.ts``, has texts of Qt's own dialogs that Qt's translation lacks.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from app.paths import RESOURCES, setting

_log = logging.getLogger(__name__)

#: Names the environment variable with folders (separated as in PATH) that hold further translations.
FOLDER_VARIABLE = "ATROUS_TRANSLATION_DIR"
#: Released translations of the program, and what they are released from; the latter is in a source tree only.
RELEASED, SOURCES = RESOURCES / "translations", RESOURCES.parent / "translations"
#: Begin of the names of files with Qt's own texts.
QT_TEXTS = "qtbase"
#: Value of the setting for the language of the desktop.
SYSTEM = "system"


def folders() -> list[Path]:
    """Folders that are searched for translations, in order: named ones, the user's, the program's."""
    import platformdirs

    named = [Path(part).expanduser() for part in os.environ.get(FOLDER_VARIABLE, "").split(os.pathsep) if part]
    own = Path(platformdirs.user_data_dir("Atrous", appauthor=False)) / "translations"
    return [folder for folder in (*named, own, RELEASED) if folder.is_dir()]


def languages() -> list[str]:
    """Codes of the languages that a window can have, in the order of the alphabet: ``["en", "ko"]``. English is always one."""
    refresh()
    found = {path.stem.removeprefix("atrous_") for folder in folders() for path in folder.glob("atrous_*.qm")}
    return sorted({"en", *(code for code in found if "." not in code)})  # a version before wrote unfinished ones as ko.123.qm


def chosen_language() -> str:
    """The setting ``appearance.language``, read before the window's settings are: a code, or :data:`SYSTEM`."""
    return setting("appearance", "language") or SYSTEM


def refresh(sources: Path = SOURCES, released: Path = RELEASED) -> None:
    """Release the translations of a source tree that are newer than what was released of them. Elsewhere there are none.

    A failure is logged, and the window stays in English.
    """
    for source in _sources(sources):
        target = released / f"{source.stem}.qm"
        if not target.is_file() or target.stat().st_mtime_ns < source.stat().st_mtime_ns:
            try:
                release(source, target)
            except (OSError, subprocess.CalledProcessError) as error:
                _log.warning("%s was not released: %s", source, error)


def release_all(sources: Path = SOURCES, released: Path = RELEASED) -> None:
    """Release every translation of a source tree, for a build, which must not go on without one. Errors as in :func:`release`."""
    for source in _sources(sources):
        release(source, released / f"{source.stem}.qm")


def _sources(folder: Path) -> list[Path]:
    return [path for name in ("atrous", QT_TEXTS) for path in sorted(folder.glob(f"{name}_*.ts"))]


def release(source: Path, target: Path) -> None:
    """Turn a ``.ts`` file into a ``.qm`` file with Qt's ``lrelease``. Texts without a finished translation are left out.

    Raises CalledProcessError if ``lrelease`` cannot read the file, OSError if it is missing or the target cannot be written.
    """
    from deeplab_core.atomic import replace_file

    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_name(f".{target.stem}.{os.getpid()}.part")  # several may start at once; no .qm, for one may be killed
    try:
        subprocess.run([str(_lrelease()), "-silent", str(source), "-qm", str(made)], check=True, capture_output=True)
        replace_file(made, target)
    finally:
        made.unlink(missing_ok=True)


def _lrelease() -> Path:
    spec = find_spec("PySide6")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("PySide6 is not installed")
    return Path(spec.origin).with_name("lrelease.exe" if sys.platform == "win32" else "lrelease")

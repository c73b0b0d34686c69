"""Why a package cannot be imported, and what to do about it. Standard library only: anything else may be broken."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

_OURS = str(Path(__file__).resolve().parents[1]).replace("\\", "/") + "/"
#: Module -> the package to install it with, for those with different names.
_PACKAGES = {
    "cv2": "opencv-python-headless",
    "PIL": "Pillow",
    "PySide6": "PySide6-Essentials",
    "shiboken6": "PySide6-Essentials",
    "yaml": "PyYAML",
    "llvmlite": "numba",
    "tomli_w": "tomli-w",
    "ai_edge_litert": "ai-edge-litert",
    "pillow_heif": "pillow-heif",
    "pydensecrf": "pydensecrf2",
}
#: Library of the system -> Debian's package; other systems name theirs alike.
_SYSTEM = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLX.so.0": "libglx0",
    "libOpenGL.so.0": "libopengl0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libX11.so.6": "libx11-6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g",
}
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+?\.so[\w.]*): cannot open shared object file")
#: What extension modules say that were built for another numpy.
_OTHER_NUMPY = (
    "numpy.dtype size changed",
    "compiled using NumPy",
    "Numba needs NumPy",
    "multiarray failed to import",
    "_ARRAY_API",
)


#: The remedy where the built application lacks a part: it takes no packages.
REBUILT = "Get the application again: a part of it is missing or damaged"


def is_frozen() -> bool:
    """Whether this is the built application (``make app``) and not Python with packages."""
    return bool(getattr(sys, "frozen", False))


def package_of(module: str) -> str:
    """Name of the package that a module comes with, as pip knows it."""
    root = module.partition(".")[0]
    return _PACKAGES.get(root, root)


def explain(error: BaseException, wanted: str = "") -> tuple[str, str]:
    """What went wrong and what to do.

    Args:
        error: what the import raised, whatever it is.
        wanted: module that was to be imported; found from the traceback where it is empty.

    Returns:
        (reason, remedy): a sentence each, without a full stop.
    """
    module = _culprit(error) or wanted
    package = package_of(module)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    reason = f"{module.partition('.')[0] or 'A module'} cannot be imported ({text[:300]})"
    if isinstance(error, MemoryError):
        return reason, "Close other programs, or give this one more memory, then start again"
    library = _MISSING_LIBRARY.search(str(error))
    if library is not None and library[1] in _SYSTEM:
        remedy = f"Install the system's library {library[1]}, on Debian and Ubuntu: sudo apt-get install {_SYSTEM[library[1]]}"
    elif is_frozen():
        remedy = REBUILT
    elif any(sign in str(error) for sign in _OTHER_NUMPY):
        others = "numba numpy" if module.partition(".")[0] in ("", "numpy") else f"{package} numpy"
        remedy = f"These packages do not fit each other. Run: {_pip()} install --upgrade {others}"
    elif package and package not in ("app", "deeplab_core"):
        lacking = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
        missing = bool(lacking) and lacking == module
        remedy = f"Run: {_pip()} install {'' if missing else '--force-reinstall '}{package}"
    else:
        remedy = "Install Atrous again"
    return reason, f"{remedy}. 'atrous doctor' tries every part"


def is_import_trouble(error: BaseException) -> bool:
    """Whether an error arose while a package was imported, and not while it was used."""
    return isinstance(error, ImportError) or (isinstance(error, Exception) and bool(_failing(error)))


def show_without_qt(title: str, text: str) -> bool:
    """Show a message with what the desktop offers, for a start without a terminal; whether anything did.

    Returns after the user has closed it.
    """
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.user32.MessageBoxW(None, text, title, 0x10)  # an icon of an error, one button
        return True
    if sys.platform == "darwin":
        script = "on run argv\ndisplay alert (item 1 of argv) message (item 2 of argv) as critical\nend run"
        commands = [["osascript", "-e", script, title, text]]
    else:
        commands = [
            ["zenity", "--error", "--no-markup", f"--title={title}", f"--text={text}"],
            ["kdialog", "--title", title, "--error", text],
            ["xmessage", "-center", f"{title}\n\n{text}"],
        ]
    for command in commands:
        if shutil.which(command[0]) is not None:
            # Their status is the button; what matters is that one of them could be started.
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)
            return True
    return False


def _pip() -> str:
    return f"{sys.executable} -m pip" if sys.executable else "pip"


def _culprit(error: BaseException) -> str:
    """The foreign package that failed: the missing one, else the last one that the import went through."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name
    return _failing(error) or (error.name or "" if isinstance(error, ImportError) else "")


def _failing(error: BaseException) -> str:
    """The last foreign package with a module that was being executed when an error arose; empty if none was."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = frame.filename.replace("\\", "/")
        if frame.name != "<module>" or path.startswith(_OURS):
            continue
        for mark in ("/site-packages/", "/dist-packages/"):
            if mark in path:
                return path.rpartition(mark)[2].partition("/")[0].removesuffix(".py")
        if path.endswith("/__init__.py"):  # a package from somewhere else
            return path.rsplit("/", 2)[1]
    return ""

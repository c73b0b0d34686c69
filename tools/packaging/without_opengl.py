"""Runs at the start of the built application: pyqtgraph imports Qt's OpenGL modules, and nothing uses them.

9 MB of wrappers are left out. Modules whose every name is a plain widget take their place: pyqtgraph derives a class from one.
A compute process gets none of them: it is refused with a module of Qt in it.
"""

import sys
import types


class _Absent(types.ModuleType):
    """A module of Qt that the application does not contain."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        from PySide6.QtWidgets import QWidget

        return QWidget


if "--multiprocessing-fork" not in sys.argv:
    for _name in ("PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets"):
        sys.modules[_name] = _Absent(_name)

"""OpenCV for the window's process, loaded when it is first used.

Loading takes 0.2 s that the first frame must not wait for. And where PySide6 is loaded, every ``import`` statement passes through
its own hook: some 5 microseconds, too much for functions that run several times per mouse move.
"""

from functools import cache
from types import ModuleType


@cache
def opencv() -> ModuleType:
    """The module ``cv2``."""
    import cv2

    return cv2

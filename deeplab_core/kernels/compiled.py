"""Whether compiled loops do the counting.

Compiled loops need numba: half a second and some 140 MB, once. That is nothing to a folder of images and much to a window that
must open at once, so they load with the first large map, and a program may forbid it. Without them numpy and OpenCV give the
same figures, more slowly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

#: Maps of fewer pixels are counted before numba would be imported.
LARGE = 1 << 16

_log = logging.getLogger(__name__)


class _Choice:
    """What this process does; one for all its threads."""

    allowed = True
    used = False


def allow_compiled(allowed: bool) -> None:
    """Allow (the default) or forbid compiled loops in this process."""
    _Choice.allowed = allowed
    _Choice.used = False


def use_compiled(pixels: int) -> bool:
    """Whether to count a map of so many pixels with compiled loops."""
    if not _Choice.allowed:
        return False
    if not _Choice.used and pixels >= LARGE:
        if find_spec("numba") is None:
            _log.info("numba is not installed: counting without compiled loops")
            _Choice.allowed = False
            return False
        _Choice.used = True
    return _Choice.used


def compile_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """``numba.njit`` that lets other threads run and keeps the machine code on disk, if there is a place for it.

    A frozen application has none. Importing numba is what this costs; only modules of loops use it.
    """
    import numba

    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)

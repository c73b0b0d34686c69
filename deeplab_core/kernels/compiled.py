"""Whether compiled loops do the counting.

Compiled loops need numba: half a second and some 140 MB, once. That is nothing to a folder of images and much to a window that
must open at once, so they load with the first large map, and a program may forbid it. Without them numpy and OpenCV give the
same figures, more slowly.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast, overload

#: Maps of fewer pixels are counted before numba would be imported.
LARGE = 1 << 16

_log = logging.getLogger(__name__)


class _Choice:
    """What this process does; one for all its threads."""

    allowed = True
    used = False
    #: The thread that compiles loops just now.
    compiling: int | None = None


def allow_compiled(allowed: bool) -> None:
    """Allow (the default) or forbid compiled loops in this process."""
    _Choice.allowed = allowed
    _Choice.used = False


@cache
def can_compile() -> bool:
    """Whether numba can be imported, which this does. Without it numpy and OpenCV give the same figures, more slowly."""
    try:
        import numba  # noqa: F401
    except ImportError as error:  # not installed, or a Python or numpy that it does not know yet
        _log.info("numba cannot be imported, so loops are not compiled: %s", error)
        return False
    return True


@contextmanager
def compiling() -> Iterator[None]:
    """While the context lasts this thread compiles loops, and others do without them rather than wait for it."""
    _Choice.compiling = threading.get_ident()
    try:
        yield
    finally:
        _Choice.compiling = None


@cache
def multiplies_tiles() -> bool:
    """Whether this process may multiply tiles of bf16 (AMX), for which it asks Linux. It does not import numba."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    if not {"amx_tile", "amx_bf16", "avx512f"} <= set(flags):
        return False
    # arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA): the state of tiles is kept only for processes that ask.
    return bool(ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0)


def may_wait_for_loops() -> bool:
    """Whether loops that :func:`can_compile` allows may be called: no other thread compiles, for which they would wait."""
    return _Choice.compiling in (None, threading.get_ident()) and can_compile()


def use_compiled(pixels: int) -> bool:
    """Whether to count a map of so many pixels with compiled loops."""
    if not _Choice.allowed:
        return False
    if not _Choice.used and pixels >= LARGE:
        _Choice.allowed = _Choice.used = can_compile()
    return _Choice.used


@overload
def compile_loop(function: Callable[..., Any], /) -> Callable[..., Any]: ...
@overload
def compile_loop(*, fastmath: set[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def compile_loop(function: Callable[..., Any] | None = None, *, fastmath: set[str] | None = None) -> Callable[..., Any]:
    """``numba.njit`` that lets other threads run and keeps the machine code on disk, if there is a place for it.

    A frozen application has none. It imports numba: only modules of this package use it, and they are imported once
    :func:`can_compile` or :func:`use_compiled` allows it.

    Args:
        function: the loop.
        fastmath: liberties of LLVM that its sums may take, as numba names them; None takes none.
    """
    import numba

    def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
        options: dict[str, Any] = {"nogil": True, "fastmath": fastmath or False}
        try:
            made = numba.njit(cache=True, **options)(loop)
        except RuntimeError:  # no place for the machine code
            made = numba.njit(**options)(loop)
        return cast(Callable[..., Any], made)

    return compiled if function is None else compiled(function)

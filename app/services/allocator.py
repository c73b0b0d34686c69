"""How the C library hands out and gives back the memory of the window, and when Python looks for cycles in it.

Only glibc is changed, no other C library.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

#: glibc's parameter of mallopt: how many arenas (areas that threads take memory from) there are at most.
_M_ARENA_MAX = -8
#: The main thread's arena, and one for all the others.
ARENAS = 2

#: From how many bytes of the process on free memory is given back.
_SPARE_BYTES = 700_000_000
#: From how many new objects on they join the oldest ones. Fewer are looked through in less than a millisecond.
_MANY = 2_000


def share_arenas() -> None:
    """Let threads share :data:`ARENAS` arenas. Call it before they begin.

    Otherwise glibc makes one for each thread, up to eight for each core. Threads of the pools come and go, and each leaves pages
    behind that hold a few small blocks beside free ones. The threads seldom ask at the same time: they wait for files, or
    compute in arrays that have mappings of their own.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        if hasattr(library, "gnu_get_libc_version"):
            library.mallopt(_M_ARENA_MAX, ARENAS)


def give_back_memory() -> None:
    """Give pages that are free between others back to the system, in a large process on Linux.

    The tiles of a step on a very large image are many small blocks. The allocator of glibc keeps their pages: 0.3 GB at 100
    megapixels.
    """
    with contextlib.suppress(OSError, AttributeError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        if pages * os.sysconf("SC_PAGE_SIZE") > _SPARE_BYTES:
            ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Let Python look for no cycles while many objects are made that stay, and not among them soon.

    It would walk through hundreds of thousands of objects again and again, and stop all threads meanwhile. What is new joins the
    oldest objects afterwards: the next collection of all objects looks there, and is not brought nearer by their number.

    Where few were made, all stay where they are: garbage among the young ones would wait for a collection of all objects, which
    seldom comes.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] > _MANY:
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
        if enabled:
            gc.enable()

"""Threads share arenas of glibc, as it counts itself in a process of its own; objects after a pause of the collector."""

import gc
import platform
import subprocess
import sys
import weakref

import pytest

from app.services.allocator import ARENAS, collection_paused

#: Sixteen threads that hold memory at the same time; glibc's own report of its arenas ends the output.
_PROGRAM = """
import ctypes, sys, threading
from app.services.allocator import share_arenas
if sys.argv[1] == "shared":
    share_arenas()
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
ready = threading.Barrier(17)
def hold():
    library.malloc(20000)
    ready.wait()
    ready.wait()
for _ in range(16):
    threading.Thread(target=hold).start()
ready.wait()
library.malloc_stats()
ready.wait()
"""


def arenas(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, check=True)
    return done.stderr.count("Arena ")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs Linux with glibc, whose arenas they are")
def test_threads_share_arenas():
    assert arenas("shared") <= ARENAS < arenas("own")


def test_garbage_of_a_short_pause_is_found_among_young_objects():
    """Each pause, also one around three rows, moved all young objects to the oldest: their garbage stayed for long."""

    class Ring:
        pass

    gc.collect(1)
    ring = Ring()
    ring.own, gone = ring, weakref.ref(ring)
    with collection_paused():
        del ring
    gc.collect(1)
    assert gone() is None
    assert gc.isenabled()


def test_many_objects_of_a_pause_join_the_oldest():
    with collection_paused():
        made = [[number] for number in range(20_000)]
        assert not gc.isenabled()
    kept = {id(one) for one in gc.get_objects(generation=2)}
    assert all(id(one) in kept for one in made)
    assert gc.get_freeze_count() == 0

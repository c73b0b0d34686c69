"""Threads share arenas of glibc: counted by glibc itself, in a process of its own."""

import platform
import subprocess
import sys

import pytest

from app.services.allocator import ARENAS

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

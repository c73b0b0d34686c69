"""Memory: how much there is, and whether an exception means that there was not enough."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from deeplab_core.networks import ComputeDevice

#: Working memory of a forward pass in bytes per network pixel, from which the first tile is chosen. Measured in fp32 at output
#: stride 16 (``benchmarks/inference.py``): MobileNetV2 340, ResNet-50 600, ResNet-101 570, Xception-65 590; the rest is room for
#: stride 8. A guess that is too low only costs an attempt: memory that runs out is answered by smaller tiles.
BYTES_PER_PIXEL = 1500
#: Smallest tile that out-of-memory is answered with, in network pixels.
TILE_FLOOR = 256

_PHRASES = (
    "out of memory",  # CUDA, HIP, Metal
    "not enough memory",  # torch's CPU allocator on Windows and Linux
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "could not create a memory object",  # oneDNN
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


#: Parameters of glibc's mallopt: from how many free bytes on memory goes back to the system, and from which size on a block has
#: a mapping of its own, which always goes back.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Both while memory is kept, and afterwards: the largest that glibc itself comes to in a process of large blocks.
_KEPT, _USUAL = (1 << 30, 1 << 30), (64 << 20, 32 << 20)


def give_back_freed_memory() -> None:
    """Have glibc give freed memory back to the system; nothing happens with other C libraries.

    By itself it keeps the pages that are free between others: 200 to 350 MB after some predictions at several scales.
    """
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let glibc keep the memory that one forward pass frees for the next one; nothing changes with other C libraries.

    Else it gives each large block back, and the system clears its pages again for the next layer: some 2,600 page faults and 7 ms
    an image of 500 x 375 px with a small network of torch. Memory goes back at the end.
    """
    library = _glibc()
    try:
        _set_thresholds(library, _KEPT)
        yield
    finally:
        _set_thresholds(library, _USUAL)
        give_back_freed_memory()


def _set_thresholds(library: ctypes.CDLL | None, values: tuple[int, int]) -> None:
    if library is not None:
        for number, value in zip((_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD), values, strict=True):
            library.mallopt(number, value)


def pass_bytes(canvas: tuple[int, int], tile: int | None) -> int:
    """About the memory of a forward pass over a canvas (height, width), or over its largest tile."""
    area = canvas[0] * canvas[1]
    return BYTES_PER_PIXEL * (area if tile is None else min(area, tile * tile))


class SharedRoom:
    """Memory that threads share: whoever needs more than is left waits until others are done.

    Args:
        waits: False where batches bound what is computed at a time.

    Attributes:
        total: bytes, counted once, so that what one thread takes does not change what another finds.
    """

    def __init__(self, total: int, *, waits: bool = True) -> None:
        self.total = total
        self._waits = waits
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, size: int, check: Callable[[], None]) -> Iterator[None]:
        """Hold ``size`` bytes while the context lasts; more than the budget only if no other image holds any.

        Args:
            size: bytes.
            check: called again and again while it waits; what it raises ends the waiting.
        """
        with self._changed:
            while self._waits and self._taken and self._taken + size > self.total:
                self._changed.wait(0.1)
                check()
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch, numpy or Python means that memory ran out."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


def release(device: ComputeDevice) -> None:
    """Give cached blocks back to the device, so that a smaller attempt finds room."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def available_bytes(device: ComputeDevice) -> int:
    """Free memory of the device in bytes, as far as the system tells; 4 GiB where it does not."""
    torch = sys.modules.get("torch")
    if device.type == "cuda" and torch is not None:
        free, _total = torch.cuda.mem_get_info(str(device))
        return int(free)
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, _container_room())
    except OSError:
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:  # macOS: half of what is built in
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return _windows_available() or 4 << 30


def _container_room() -> int:
    """Bytes left below the memory limit of a Linux container; a very large number without one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        return max(0, int(limit) - used) if limit != "max" else 1 << 62
    except (OSError, ValueError):
        return 1 << 62


def _windows_available() -> int:
    """Free physical memory on Windows in bytes, 0 elsewhere."""
    import ctypes

    windll = getattr(ctypes, "windll", None)
    if windll is None:
        return 0

    class MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = (
            ("length", ctypes.c_ulong), ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong), ("available", ctypes.c_ulonglong),
            *((name, ctypes.c_ulonglong) for name in ("page_total", "page_free", "virtual", "virtual_free", "extended")),
        )  # fmt: skip

    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    return int(status.available) if windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else 0

"""Windows of several images in one forward pass: threads that prepare images hand their windows in and wait for the scores.

No thread waits for a batch to fill. While the device computes one pass, the windows of the next gather; it takes those of the
oldest one's size. Two passes are on their way at most: one that the device computes, one that is being launched.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deeplab_core.inference.memory import is_out_of_memory, release
from deeplab_core.networks import ComputeDevice

#: A forward pass: windows (N, C, H, W) on the device to any number of tensors with N in front.
Forward = Callable[[Tensor], tuple[Tensor, ...]]

_PASSES_ON_THEIR_WAY = 2


@dataclass(slots=True, eq=False)
class HostTensors:
    """What a pass gave, on its way into pinned memory."""

    parts: tuple[Tensor, ...]
    arrived: torch.cuda.Event | None = None

    def wait(self) -> None:
        """Until the device has computed and copied them."""
        if self.arrived is not None:
            self.arrived.synchronize()


def to_host(parts: tuple[Tensor, ...]) -> HostTensors:
    """Start to copy tensors to the host; tensors of the CPU are there."""
    if not any(part.is_cuda for part in parts):
        return HostTensors(tuple(part.cpu() for part in parts))
    copies = tuple(torch.empty(part.shape, dtype=part.dtype, pin_memory=True) for part in parts)
    for copy, part in zip(copies, parts, strict=True):
        copy.copy_(part, non_blocking=True)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record(torch.cuda.current_stream(parts[0].device))
    return HostTensors(copies, arrived)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A window whose thread waits."""

    x: Tensor
    kind: Hashable
    forward: Forward
    done: bool = False
    found: HostTensors = field(default_factory=lambda: HostTensors(()))
    place: int = 0
    error: BaseException | None = None


class WindowBatches:
    """Forward passes that several threads share.

    Args:
        most: windows of a pass at most; out of memory halves it.
        device: what is given free memory back where it ran out.

    Attributes:
        most: windows of a pass at most from now on.
        largest: windows of the largest pass so far.
        notes: what the user should know.
    """

    def __init__(self, most: int, device: ComputeDevice) -> None:
        self.most, self.largest = most, 0
        self.notes: list[str] = []
        self._device = device
        self._queue: list[_Waiting] = []
        self._busy = False
        self._changed = threading.Condition()
        self._on_their_way: deque[HostTensors] = deque()

    def __call__(self, x: Tensor, kind: Hashable, forward: Forward) -> tuple[Tensor, ...]:
        """What ``forward`` gives for one window, on the host.

        Args:
            x: (1, C, H, W).
            kind: windows of equal kind and size may share a pass, by the ``forward`` of any of them.
            forward: the pass.

        Raises:
            Exception: what the pass of this window alone raised. What another window's raised does not matter to it.
        """
        mine = _Waiting(x, (kind, tuple(x.shape)), forward)
        with self._changed:
            self._queue.append(mine)
            while self._busy and not mine.done:
                self._changed.wait()
            leads = not mine.done
            self._busy = self._busy or leads
        if leads:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        mine.found.wait()
        return tuple(part[mine.place : mine.place + 1].clone() for part in mine.found.parts)  # the pass's memory goes back

    def _lead(self, mine: _Waiting) -> None:
        """Run passes until the own window has had its turn; another thread that waits goes on."""
        try:
            while not mine.done:
                self._next_pass()
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next_pass(self) -> None:
        while len(self._on_their_way) >= _PASSES_ON_THEIR_WAY:
            self._on_their_way.popleft().wait()
        with self._changed:
            kind = self._queue[0].kind
            taken = [one for one in self._queue if one.kind == kind][: self.most]
            chosen = set(map(id, taken))
            self._queue = [one for one in self._queue if id(one) not in chosen]
        try:
            self._settle(taken)
        except BaseException as error:  # the program ends, or release() failed: no thread waits for a pass that never comes
            for one in taken:
                one.error = one.error or error
            raise
        finally:
            with self._changed:
                for one in taken:
                    one.done = True
                self._changed.notify_all()

    def _settle(self, taken: list[_Waiting]) -> None:
        """Find the results of windows; those that fail together are tried in halves, down to single ones."""
        error = self._attempt(taken)
        if error is None:
            return
        short = is_out_of_memory(error)
        if len(taken) == 1:
            taken[0].error = error
            return
        del error  # its traceback holds the tensors that failed
        half = (len(taken) + 1) // 2
        if short:
            release(self._device)
            if half < self.most:
                self.most = half
                images = "1 image" if half == 1 else f"{half} images"
                self.notes.append(f"Memory ran out; computed {images} at a time.")
        self._settle(taken[:half])
        self._settle(taken[half:])

    def _attempt(self, taken: list[_Waiting]) -> BaseException | None:
        try:
            x = taken[0].x if len(taken) == 1 else torch.cat([one.x for one in taken])
            found = to_host(taken[0].forward(x.contiguous(memory_format=torch.channels_last)))
        except Exception as error:
            return error
        for place, one in enumerate(taken):
            one.found, one.place = found, place
        self._on_their_way.append(found)
        self.largest = max(self.largest, len(taken))
        return None

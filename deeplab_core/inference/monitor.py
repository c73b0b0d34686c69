"""Cancel and progress, down to single layers of a forward pass."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deeplab_core.errors import Cancelled
from deeplab_core.networks import GraphNetwork
from deeplab_core.parallel import IsCancelled, ProgressCallback

if TYPE_CHECKING:
    from torch import nn


class ProgressMonitor:
    """Cancel and progress of one piece of work, such as a prediction.

    A tile of a large network takes seconds on a CPU, so Cancel is asked before every layer, and the share of layers that have
    run moves the progress on.

    Args:
        cancel: returns True once the work shall stop.
        progress: called with a fraction 0..1, never falling, and what is being done.
    """

    def __init__(self, cancel: IsCancelled | None = None, progress: ProgressCallback | None = None) -> None:
        self._cancel = cancel
        self._progress = progress
        self._start, self._length, self._text = 0.0, 0.0, ""  # layers before the first step count nothing
        self._reached = 0.0
        self._layers, self._expected = 0, 1
        self._thread = 0

    def check(self) -> None:
        """Raise Cancelled if the work shall stop."""
        if self._cancel is not None and self._cancel():
            raise Cancelled()

    def step(self, start: float, length: float, text: str) -> None:
        """A forward pass begins that covers the fractions ``start`` to ``start + length``."""
        self.check()
        self._start, self._length, self._text, self._layers = start, length, text, 0
        self._report(start)

    def done(self, text: str = "") -> None:
        """Everything is computed."""
        self._text = text
        self._report(1.0)

    def _layer(self, *_: object) -> None:
        if threading.get_ident() != self._thread:  # another image's pass over the same network
            return
        self.check()
        self._layers += 1
        self._report(self._start + self._length * min(1.0, self._layers / self._expected))

    def _report(self, fraction: float) -> None:
        self._reached = max(self._reached, min(1.0, fraction))
        if self._progress is not None:
            self._progress(self._reached, self._text)

    @contextmanager
    def over(self, model: nn.Module | GraphNetwork) -> Iterator[None]:
        """Monitor the convolutions that this thread runs while the context lasts; those of a graph cannot be seen."""
        if isinstance(model, GraphNetwork) or (self._cancel is None and self._progress is None):
            yield
            return
        from torch import nn

        layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))]
        self._expected, self._thread = max(1, len(layers)), threading.get_ident()
        handles = [layer.register_forward_pre_hook(self._layer) for layer in layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

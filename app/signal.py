"""Plain listeners, for what is watched without Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

_What = ParamSpec("_What")


class Listeners(Generic[_What]):
    """Functions that hear of a change, in the order in which they came, on the thread that tells."""

    def __init__(self) -> None:
        self._listeners: list[Callable[_What, object]] = []

    def add(self, listener: Callable[_What, object]) -> Callable[[], None]:
        """Call ``listener`` from now on; returns the function that ends it, which may be called more than once."""
        self._listeners.append(listener)

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove

    def tell(self, *args: _What.args, **kwargs: _What.kwargs) -> None:
        """Call everybody who listens now; who is added or removed meanwhile counts from the next time on."""
        for listener in tuple(self._listeners):
            listener(*args, **kwargs)

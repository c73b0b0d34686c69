"""One signal for what is watched without Qt; above ``app.state`` it is Qt's own."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any, Generic, ParamSpec

_What = ParamSpec("_What")


class Signal(Generic[_What]):
    """Calls its listeners in the order in which they were connected, on the thread that emits.

    A method of an object is held weakly: it is gone with its object, and nothing needs to disconnect it. Every other callable
    (function, lambda, ``list.append``) is kept until :meth:`disconnect`.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[[], Callable[_What, object] | None]] = []

    def connect(self, listener: Callable[_What, object]) -> None:
        """Call ``listener`` from the next :meth:`emit` on."""
        self._listeners.append(weakref.WeakMethod(listener) if inspect.ismethod(listener) else _Kept(listener))

    def disconnect(self, listener: Callable[_What, object]) -> None:
        """Call ``listener`` no longer, also if it is due in the emit under way; one that is not connected is ignored."""
        self._listeners = [held for held in self._listeners if held() not in (None, listener)]

    def emit(self, *args: _What.args, **kwargs: _What.kwargs) -> None:
        """Call every listener; one that is connected during it is called from the next time on."""
        gone = False
        for held in tuple(self._listeners):
            listener = held()
            gone = gone or listener is None
            if listener is not None and held in self._listeners:
                listener(*args, **kwargs)
        if gone:
            self._listeners = [held for held in self._listeners if held() is not None]


class _Kept:
    """A listener that is held strongly."""

    def __init__(self, listener: Callable[..., Any]) -> None:
        self._listener = listener

    def __call__(self) -> Callable[..., Any]:
        return self._listener

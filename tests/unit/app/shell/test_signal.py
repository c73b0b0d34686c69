"""Signal: order, disconnecting, weak references, and changes while it is emitted."""

from __future__ import annotations

import gc

from app.signal import Signal


class Listener:
    def __init__(self, heard: list[str], name: str = "method") -> None:
        self.heard, self.name = heard, name

    def hear(self, value: int) -> None:
        self.heard.append(f"{self.name} {value}")


def test_listeners_are_called_in_order_until_they_are_disconnected():
    signal: Signal[int] = Signal()
    heard: list[str] = []

    def first(value: int) -> None:
        heard.append(f"first {value}")

    signal.connect(first)
    signal.connect(lambda value: heard.append(f"second {value}"))
    signal.emit(1)
    signal.disconnect(first)
    signal.disconnect(first)
    signal.emit(2)
    assert heard == ["first 1", "second 1", "second 2"]


def test_a_method_goes_with_its_object_and_a_function_stays():
    signal: Signal[int] = Signal()
    heard: list[str] = []
    plain: list[int] = []
    kept, lost = Listener(heard, "kept"), Listener(heard, "lost")
    signal.connect(lost.hear)
    signal.connect(kept.hear)
    signal.connect(plain.append)
    del lost
    gc.collect()
    signal.emit(1)
    assert heard == ["kept 1"]
    assert plain == [1]


def test_a_method_is_disconnected_by_an_equal_one():
    signal: Signal[int] = Signal()
    heard: list[str] = []
    one, other = Listener(heard, "one"), Listener(heard, "other")
    signal.connect(one.hear)
    signal.connect(other.hear)
    signal.disconnect(one.hear)
    signal.emit(1)
    assert heard == ["other 1"]


def test_what_is_disconnected_during_an_emit_is_not_called_and_what_is_connected_waits():
    signal: Signal[[]] = Signal()
    heard: list[str] = []

    def second() -> None:
        heard.append("second")

    def first() -> None:
        heard.append("first")
        signal.disconnect(second)
        signal.connect(third)

    def third() -> None:
        heard.append("third")

    signal.connect(first)
    signal.connect(second)
    signal.emit()
    assert heard == ["first"]
    signal.emit()
    assert heard == ["first", "first", "third"]

"""Listeners: order, ending, and changes while they are told."""

from __future__ import annotations

from app.signal import Listeners


def test_everybody_hears_in_order_until_it_is_ended():
    listeners: Listeners[int] = Listeners()
    heard: list[str] = []
    end = listeners.add(lambda value: heard.append(f"first {value}"))
    listeners.add(lambda value: heard.append(f"second {value}"))
    listeners.tell(1)
    end()
    end()
    listeners.tell(2)
    assert heard == ["first 1", "second 1", "second 2"]


def test_who_leaves_or_comes_while_it_is_told_counts_from_the_next_time():
    listeners: Listeners[[]] = Listeners()
    heard: list[str] = []

    def first() -> None:
        heard.append("first")
        end()
        listeners.add(lambda: heard.append("third"))

    listeners.add(first)
    end = listeners.add(lambda: heard.append("second"))
    listeners.tell()
    assert heard == ["first", "second"]
    listeners.tell()
    assert heard == ["first", "second", "first", "third"]

"""Messages through a pipe without a second copy of their arrays.

``Connection.send`` makes one string of a message, and ``recv`` collects one before it makes the arrays: a prediction of 100
megapixels took 0.2 GB more on either side. Here large arrays follow the message in pieces, straight from their memory into that
of the new arrays. Messages without any are sent as ``Connection.send`` does, and what it sends is received.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

#: Smaller arrays are part of the message; larger ones go in pieces of so many bytes.
_LARGE, _PIECE = 1 << 20, 1 << 22


@dataclass(frozen=True, slots=True)
class _Head:
    """A message without its large arrays, and how many bytes each of these has."""

    pickled: bytes
    sizes: tuple[int, ...]


def send(connection: Connection, message: object) -> None:
    """Send a message; one thread at a time. Raises what ``Connection.send`` raises."""
    large: list[memoryview] = []

    def inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _LARGE:
            return True
        large.append(view)
        return False

    pickled = pickle.dumps(message, protocol=5, buffer_callback=inside)
    if not large:
        connection.send_bytes(pickled)  # as Connection.send
        return
    connection.send(_Head(pickled, tuple(view.nbytes for view in large)))
    for view in large:
        for start in range(0, view.nbytes, _PIECE):
            connection.send_bytes(view[start : start + _PIECE])


def receive(connection: Connection) -> object:
    """The next message; its arrays can be written to. Raises what ``Connection.recv`` raises."""
    head = connection.recv()
    if not isinstance(head, _Head):
        return head
    large = []
    for size in head.sizes:
        whole = np.empty(size, np.uint8)
        for start in range(0, size, _PIECE):
            connection.recv_bytes_into(whole.data[start : start + _PIECE])
        large.append(whole)
    return pickle.loads(head.pickled, buffers=large)

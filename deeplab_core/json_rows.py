"""JSON that is written while it is made: a report of a folder takes 40 kB of Python values for each image, and 4 kB of text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

#: Characters of JSON that are written at a time.
_PART = 1 << 17


class LazyRows(list[Any]):
    """A list for :func:`json_parts` that makes each row when it is written, and keeps none; encoders in C see an empty one."""

    def __init__(self, items: Sequence[Any], row: Callable[[Any], Any]) -> None:
        """``row`` makes what is written of an item."""
        super().__init__()
        self._items, self._row = items, row

    def __iter__(self) -> Iterator[Any]:
        return map(self._row, self._items)

    def __len__(self) -> int:
        return len(self._items)


def json_parts(data: object, **options: Any) -> Iterator[bytes]:
    """JSON in parts of some 100 kB, the same as :func:`~deeplab_core.reading.json_text`.

    Neither the text nor the rows of :class:`LazyRows` are ever in memory as a whole.
    """
    waiting: list[str] = []
    length = 0
    for text in json.JSONEncoder(ensure_ascii=False, **options).iterencode(data):
        waiting.append(text)
        length += len(text)
        if length > _PART:
            yield _encoded(waiting)
            waiting, length = [], 0
    yield _encoded(waiting)


def _encoded(texts: list[str]) -> bytes:
    # What is not UTF-8 in a file name becomes \udcNN, which is how JSON escapes it.
    return "".join(texts).encode("utf-8", "backslashreplace")

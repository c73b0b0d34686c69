"""Locked classes: their pixels keep them. No Qt, no torch.

No tool, job or import gives a pixel a locked class or takes it from one. Every writer asks :func:`held`; a test tries all of
them. Undo, edits of the classes and giving up all labels of an image are exempt (ADR 125).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.labels import LabelMap
from deeplab_core.reading import VALUE_ERRORS, whole

#: The setting of a project that lists the ids.
SETTING = "locked classes"


class Locks:
    """The locked classes of a project; all its documents in memory share the one object.

    Attributes:
        ids: of the classes. Replaced as a whole, from any thread.
    """

    __slots__ = ("ids",)

    def __init__(self, ids: frozenset[int] = frozenset()) -> None:
        self.ids = ids


def held(before: LabelMap, after: int | NDArray[Any], locked: frozenset[int]) -> NDArray[np.bool_]:
    """(h, w) bool: pixels that have a locked class or would get one, so that they stay as they are.

    Args:
        before: (h, w) labels as they are.
        after: the label or the (h, w) labels that a writer would set.
        locked: ids of the locked classes.
    """
    found = np.zeros(before.shape, np.bool_)
    for value in locked:
        found |= before == value
        found |= after == value
    return found


def known_ids(value: object, ids: Iterable[int]) -> frozenset[int]:
    """The ids that a setting of a project lists, of those that there are; none for a damaged value."""
    try:
        stored = {whole(number) for number in value} if isinstance(value, list) else set()
    except VALUE_ERRORS:
        return frozenset()
    return frozenset(stored.intersection(ids))

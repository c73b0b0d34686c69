"""Decoding the next photographs while the network computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from deeplab_core.parallel import futures_in_order

if TYPE_CHECKING:
    from deeplab_core.images import ImageData


def read_ahead(images: Sequence[Path], depth: int = 2, *, fourth: bool = False) -> Iterator[Future[ImageData]]:
    """The photographs in their order, decoded on a thread of its own; at most ``depth`` decoded ones wait.

    Args:
        fourth: as for :func:`deeplab_core.images.read_image`.
    """
    from deeplab_core.images import read_image

    return futures_in_order(lambda path: read_image(path, fourth=fourth), images, 1, depth=depth)

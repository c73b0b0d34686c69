"""Decoding the next photographs while the network computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from deeplab_core.parallel import futures_in_order

if TYPE_CHECKING:
    from deeplab_core.images import ImageData


def read_ahead(images: Sequence[Path], depth: int = 2) -> Iterator[Future[ImageData]]:
    """The photographs in their order, decoded on a thread of its own; at most ``depth`` decoded ones wait."""
    from deeplab_core.images import read_image

    return futures_in_order(read_image, images, 1, depth=depth)

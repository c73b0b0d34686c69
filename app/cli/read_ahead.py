"""Decoding the next photographs while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplab_core.images import ImageData


def read_ahead(images: Sequence[Path], depth: int = 2) -> Iterator[Future[ImageData]]:
    """The photographs in their order, decoded on a thread of its own; at most ``depth`` decoded ones wait."""
    from deeplab_core.images import read_image

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
        waiting: deque[Future[ImageData]] = deque()
        rest = iter(images)
        try:
            while True:
                while len(waiting) < depth and (image := next(rest, None)) is not None:
                    waiting.append(pool.submit(read_image, image))
                if not waiting:
                    return
                yield waiting.popleft()
        finally:
            for future in waiting:
                future.cancel()

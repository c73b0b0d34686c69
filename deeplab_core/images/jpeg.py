"""Whether a JPEG file is whole. The decoders fill what is missing with grey and say so only on the terminal.

Markers and scans: ITU-T T.81, annexes B and G.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

END = b"\xff\xd9"

_SCAN, _PROGRESSIVE = 0xDA, frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: TEM, restart markers, start and end of the image.
_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
#: The next marker in a scan: neither a stuffed byte, nor a restart, nor a fill byte.
_NEXT = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
#: Colour of blocks that a decoder has no data for.
_MISSING = 128
_BLOCK = 8


@dataclass(frozen=True, slots=True)
class JpegState:
    """What the structure of a file says.

    Attributes:
        ended: whether the end marker is there.
        progressive: whether the picture comes in scans of growing detail.
        detailed: whether the scans of a progressive file reach full detail; True for others.
        samples: stored samples of a pixel: 3 for full colour, 1.5 where colour is halved in both directions.
    """

    ended: bool
    progressive: bool
    detailed: bool
    samples: float = 3.0

    @property
    def decoder_bytes(self) -> float:
        """Bytes of a pixel that a decoder holds beside the picture: all coefficients of a progressive file, of two bytes each."""
        return 2 * self.samples if self.progressive else 0.0


def jpeg_state(data: bytes) -> JpegState:
    """Read the markers of a JPEG file; costs a search through its scans, no decoding. Damaged structure counts as not ended."""
    place, components, progressive, ended, samples = 2, 0, False, False, 3.0
    refined: dict[tuple[int, int], int] = {}
    while place + 4 <= len(data) or data[place : place + 2] == END:
        if data[place] != 0xFF:
            break
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker == END[1]:
            ended = True
            break
        if marker in _BARE:
            place += 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        body = data[place + 4 : place + 2 + length]
        if marker in _FRAMES and len(body) > 5:
            components, progressive = body[5], marker in _PROGRESSIVE
            samples = _samples(body, components)
        place += 2 + length
        if marker == _SCAN:
            _note_scan(body, refined)
            following = _NEXT.search(data, place)
            if following is None:
                break
            place = following.start()
    detailed = True
    if progressive:
        # The AC coefficients of each component come in bands; one band at full detail means that this component's were sent.
        detailed = len(refined) > 0 and all(level == 0 for level in refined.values()) and _all_sent(refined, components)
    return JpegState(ended, progressive, detailed, samples)


def _samples(frame: bytes, components: int) -> float:
    """Stored samples of a pixel from the sampling factors of a frame header (B.2.2); of a damaged one as many as components."""
    factors = [divmod(frame[place], 16) for place in range(7, min(len(frame), 6 + 3 * components), 3)]
    across, down = (max((pair[axis] for pair in factors), default=0) for axis in (0, 1))
    if not across or not down:
        return float(components)
    return sum(x * y for x, y in factors) / (across * down)


def _note_scan(body: bytes, refined: dict[tuple[int, int], int]) -> None:
    """Remember the precision that a scan brings, by component and first coefficient."""
    if not body or len(body) < 1 + 2 * body[0] + 3:
        return
    first, last, precision = body[1 + 2 * body[0] : 4 + 2 * body[0]]
    for place in range(body[0]):
        component = body[1 + 2 * place]
        for coefficient in range(first, min(last, 63) + 1):
            refined[component, coefficient] = precision & 0x0F


def _all_sent(refined: dict[tuple[int, int], int], components: int) -> bool:
    """Whether every component got its first coefficient, and as many of the others as the first component."""
    sent: dict[int, int] = {}
    for component, _ in refined:
        sent[component] = sent.get(component, 0) + 1
    return len(sent) >= components and len(set(sent.values())) == 1


def missing_share(rgb: NDArray[Any]) -> float:
    """Share of a decoded picture, from its end, that is the plain grey decoders put in for missing data.

    Args:
        rgb: (H, W, 3) uint8, in the stored frame.

    Returns:
        0..1; 0 unless the last block of 8 x 8 px is such grey and the grey begins in the middle of a row of blocks, as data that
        stop do. A picture with an even grey border has it in whole rows.
    """
    height, width = rgb.shape[:2]
    if height < 2 * _BLOCK or width < 2 * _BLOCK or not _is_grey(rgb[-_BLOCK:, -_BLOCK:]):
        return 0.0
    rows, columns = height // _BLOCK, width // _BLOCK
    inner = np.empty((rows, columns), np.bool_)
    for row in range(rows):  # a row of blocks at a time: a large picture is not held twice
        blocks = rgb[row * _BLOCK : (row + 1) * _BLOCK, : columns * _BLOCK].reshape(_BLOCK, columns, _BLOCK, 3)
        # One px at the edge of a block may take colour from its neighbour when chroma is enlarged.
        inner[row] = (blocks[2:-2, :, 2:-2] == _MISSING).all(axis=(0, 2, 3))
    order = inner.reshape(-1)
    present = np.flatnonzero(~order)
    if not present.size:
        return 0.0
    # Units of coding are 8 or 16 px high: the last present block may be in the upper of two rows of blocks.
    last_row = int(present[-1]) // columns
    whole = inner[last_row + 1 :]
    starts = np.flatnonzero(inner[last_row])
    begins_inside = starts.size > 0 and bool(inner[last_row, starts[0] :].all())
    if not begins_inside:
        return 0.0
    return float((whole.size + columns - starts[0]) / (rows * columns))


def _is_grey(block: NDArray[Any]) -> bool:
    return bool((block[1:-1, 1:-1] == _MISSING).all())

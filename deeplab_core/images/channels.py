"""Pixel values of every kind to the three 8-bit channels that the rest of the program works on.

One function scales, whatever file the values come from (:func:`scale_to_uint8`), so that the same picture looks the same, is
predicted the same and refined the same as PNG, TIFF or anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import MessageText, join_messages, message, plural_message
from deeplab_core.notes import Note, note_text

#: Largest values of the bit depths that cameras and scanners store in 16-bit files.
_FULL_SCALES = (255, 1023, 4095, 16383, 65535)
#: Values that programs write where they have no data and do not declare it. Taken as such only where they stand far apart.
_NO_DATA_HABITS = (-9999.0, -99999.0, -32768.0, -32767.0, -999.0, -2147483648.0, 9999.0, 32767.0, 65535.0, 99999.0, 4294967295.0)
#: Beyond this, floats are fill values of some program (1e20, 9.97e36, 3.4e38), not measurements.
_FILL = 1e19
#: What pixels without data become: the middle of the range, which neither a viewer nor a network takes for something.
NEUTRAL = 128
#: Share of the pixels from which an extreme value that is not usual may stand for "no data", and how often per end.
_RARE, _MOST_FILLS = 0.01, 3
#: Different values from which a picture is not a drawing in a few tones.
_MANY = 32
#: Share of the values, at either end, that may be outliers.
_FEW = 0.05
#: A gap without any value, by so many times the range of the values on its one side, has outliers on its other.
_APART = 3.0
#: Share of the values that a declared range must hold, and how much of it the picture must fill.
_INSIDE, _FILLED = 0.5, 1 / 16
_SAMPLE = 1 << 17
#: Values that are scaled together.
_BLOCK = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a file itself says about its values; None where it says nothing.

    Attributes:
        bits: significant bits of 16-bit samples (PNG's ``sBIT``, TIFF's ``BitsPerSample``).
        no_data: the value of pixels without data (GDAL's tag 42113); may be nan.
        low, high: the values shown black and white (TIFF's ``MinSampleValue``, ``MaxSampleValue`` and ``WhiteLevel``).
    """

    bits: int | None = None
    no_data: float | None = None
    low: float | None = None
    high: float | None = None


NOTHING_DECLARED = Declared()


def scale_to_uint8(values: NDArray[Any], declared: Declared = NOTHING_DECLARED) -> tuple[NDArray[np.uint8], list[Note]]:
    """Scale pixel values of any type to 0..255.

    - 8-bit values stay as they are.
    - 16-bit values, none below 0, are divided by the full scale of their bit depth: the declared one, else the smallest usual one
      (8, 10, 12, 14, 16) that holds the largest value, because 10- to 14-bit sensors store their values unscaled. A declared
      range of values comes first. Of 16 bits the high byte is kept.
    - Floats of 0..1 are multiplied by 255, floats of 0..255 are rounded; everything else is stretched from the smallest to the
      largest value.
    - nan, infinities and the declared value for "no data" are left out of all this and become :data:`NEUTRAL`. So does a usual
      fill value (-9999, -3.4e38, ...) that stands farther from the others than these from each other, and any other extreme
      value of many pixels that stands three times as far.
    - Up to 5 % of the values at either end are outliers where a gap parts them from the rest that is three times as wide as the
      range of the rest: they are clipped, so that they neither blacken nor whiten the picture.

    Args:
        values: (H, W) or (H, W, S), any real dtype.
        declared: what the file says.

    Returns:
        uint8 array of the same shape, and a note for each thing that was scaled or left out.
    """
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255), []
    valid, fill = _with_data(values, declared)
    if values.dtype == np.uint8:
        return values, _no_data_notes(valid, fill, drawn="as stored")
    known = values if valid is None else values[valid]
    if not known.size:
        return np.full(values.shape, NEUTRAL, np.uint8), _no_data_notes(valid, fill)
    lowest, highest = known.min(), known.max()
    if values.dtype.kind in "ui" and values.dtype.itemsize == 2 and lowest >= 0:
        scaled, note = _by_bit_depth(values, known, declared)
    else:
        scaled, note = _by_range(values, known, float(lowest), float(highest), declared)
    if valid is not None:
        scaled[~valid] = NEUTRAL
    return scaled, [note, *_no_data_notes(valid, fill)]


def to_uint8(values: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """:func:`scale_to_uint8` of values of which nothing is declared, with its notes in one line."""
    scaled, notes = scale_to_uint8(values)
    return scaled, note_text(notes)


def grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) to (H, W, 3) with three equal channels."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def bgr_to_rgb(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) in OpenCV's order to RGB."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _with_data(values: NDArray[Any], declared: Declared) -> tuple[NDArray[np.bool_] | None, str]:
    """Where the values are data, None for everywhere; and which value is not, in words."""
    valid: NDArray[np.bool_] | None = None
    fill = ""
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            valid, fill = finite, "nan or infinity"
    no_data = declared.no_data
    if no_data is not None and np.isfinite(no_data):
        missing = _equal(values, no_data)
        if missing is not None and missing.any():
            valid = ~missing if valid is None else valid & ~missing
            fill = f"{no_data:g}, declared as no data"
        return valid, fill
    if values.dtype.itemsize > 1:
        for value in _fill_values(values if valid is None else values[valid]):
            missing = values == value
            if values.dtype.kind == "u" and values.ndim > 2 and (missing.any(axis=-1) != missing.all(axis=-1)).any():
                continue  # a pure colour: no pixel without data has the value in one band alone
            valid = ~missing if valid is None else valid & ~missing
            fill = f"{float(value):g}, taken as no data"
    return valid, fill


def _equal(values: NDArray[Any], value: float) -> NDArray[np.bool_] | None:
    """Where the values equal one that a file gives as text; None where their type cannot hold it."""
    if values.dtype.kind == "f":
        # A float of 32 bits written as text of 64 differs in its last digits.
        found: NDArray[np.bool_] = np.isclose(values, value, rtol=1e-6, atol=0.0)
        if abs(value) >= _FILL:  # "-3.4e+38" stands for the least number that there is; no measurement is of this size
            found |= values >= _FILL if value > 0 else values <= -_FILL
        return found
    limits = np.iinfo(values.dtype)
    if value != int(value) or not limits.min <= value <= limits.max:
        return None
    return np.asarray(values == values.dtype.type(int(value)))


def _fill_values(known: NDArray[Any]) -> list[Any]:
    """Extreme values that stand for "no data": apart from all others, and usual ones or in many pixels."""
    found: list[Any] = []
    for extreme in (np.min, np.max):
        for _ in range(_MOST_FILLS):
            value = extreme(known) if known.size else None
            if value is None or not _is_fill(known, value, extreme):
                break
            found.append(value)
            known = known[known != value]
    return found


def _is_fill(known: NDArray[Any], value: Any, extreme: Any) -> bool:
    usual = float(value) in _NO_DATA_HABITS or abs(float(value)) >= _FILL
    if not usual and (value == 0 or known.dtype.kind == "u"):
        return False
    same = int((known == value).sum())
    often = same > _RARE * known.size
    if same == known.size or not (usual or often):
        return False
    rest = known[known != value]
    gap = abs(float(extreme(rest)) - float(value))
    # The other end may be a fill value too; it must not widen what is compared.
    ordinary = rest[~np.isin(rest, _NO_DATA_HABITS) & (np.abs(rest) < _FILL)] if known.dtype.kind != "u" else rest
    spread = float(np.ptp(ordinary)) if ordinary.size else 0.0
    if usual and known.dtype.kind != "u":
        return gap > spread
    # The largest value of an unsigned type is also what saturated pixels have, and few values may be a drawing.
    return often and gap > _APART * spread > 0 and np.unique(_sample(rest)).size >= _MANY


def _no_data_notes(valid: NDArray[np.bool_] | None, fill: str, drawn: str = "grey") -> list[Note]:
    if valid is None:
        return []
    missing = int((~(valid if valid.ndim == 2 else valid.all(axis=-1))).sum()) if valid.ndim > 1 else int((~valid).sum())
    text = message("{missing} px without data ({fill}) drawn {drawn}", missing=f"{missing:,}", fill=fill, drawn=drawn)
    return [Note("no_data", text, plural_message("has pixels without data", "have pixels without data", 1))]


def _by_bit_depth(values: NDArray[Any], known: NDArray[Any], declared: Declared) -> tuple[NDArray[np.uint8], Note]:
    top = int(known.max())
    span = _declared_range(declared, known, full=65535.0)
    if span is not None:
        return _as_declared(values, known, span)
    full = _full_scale(int(_without_outliers(known)[1]))
    if declared.bits is not None and 8 < declared.bits < 16 and top < 1 << declared.bits:
        full = (1 << declared.bits) - 1
    clipped = int((known > full).sum()) if top > full else 0
    stored = np.arange(65536)
    table = stored >> 8 if full == 65535 else stored if full == 255 else np.round(stored * (255.0 / full))
    grey = table.clip(0, 255).astype(np.uint8)
    scaled = _in_blocks(values, lambda block: grey[block.astype(np.uint16, copy=False)])
    outliers = message("{clipped} values above clipped", clipped=f"{clipped:,}") if clipped else ""
    if full == 255:
        text = join_messages((message("16-bit file with 8-bit values"), outliers), ", ")
        summary = plural_message("holds 8-bit values in 16 bit", "hold 8-bit values in 16 bit", 1)
        return scaled, Note("scaled", text, summary)
    largest = join_messages((message("largest {top}", top=top), outliers), ", ")
    text = message("16-bit values of 0..{full} scaled to 0..255 ({largest})", full=full, largest=largest)
    return scaled, Note("scaled", text, scaled_from(full.bit_length()))


def scaled_from(bits: int) -> MessageText:
    """The summary of a file whose values had more than 8 bits."""
    return plural_message("was scaled from {bits} bit", "were scaled from {bits} bit", 1, bits=bits)


def _full_scale(top: int) -> int:
    return next(scale for scale in _FULL_SCALES if top <= scale)


def _by_range(
    values: NDArray[Any], known: NDArray[Any], lowest: float, highest: float, declared: Declared
) -> tuple[NDArray[np.uint8], Note]:
    span = _declared_range(declared, known, full=None)
    if span is not None:
        return _as_declared(values, known, span)
    low, high = _without_outliers(known)
    clipped = int((known < low).sum() + (known > high).sum()) if (low, high) != (lowest, highest) else 0
    outliers: str = ""
    if clipped:
        numbers = {"clipped": f"{clipped:,}", "lowest": f"{lowest:g}", "highest": f"{highest:g}"}
        outliers = message("({clipped} outliers of {lowest}..{highest} clipped)", **numbers)
    if low >= 0 and high <= 1:
        text = join_messages((message("values of 0..1 scaled to 0..255"), outliers))
        summary = plural_message("was scaled from values of 0..1", "were scaled from values of 0..1", 1)
        return _linear(values, 0.0, 1.0, text, summary)
    if low >= 0 and 32 <= high <= 255:
        text = join_messages((message("values rounded to whole numbers"), outliers))
        summary = plural_message("was rounded to whole numbers", "were rounded to whole numbers", 1)
        return _linear(values, 0.0, 255.0, text, summary)
    if low == high:
        low, high = low - 1, high + 1
    stretched = message("values {low}..{high} stretched to 0..255", low=f"{low:g}", high=f"{high:g}")
    summary = plural_message("was stretched to its own range of values", "were stretched to their own ranges of values", 1)
    return _linear(values, low, high, join_messages((stretched, outliers)), summary)


def _as_declared(values: NDArray[Any], known: NDArray[Any], span: tuple[float, float]) -> tuple[NDArray[np.uint8], Note]:
    clipped = int((known < span[0]).sum() + (known > span[1]).sum())
    outside = message("({clipped} values outside clipped)", clipped=f"{clipped:,}") if clipped else ""
    declared = message("the declared values {low}..{high} scaled to 0..255", low=f"{span[0]:g}", high=f"{span[1]:g}")
    summary = plural_message("was scaled as its file declares", "were scaled as their files declare", 1)
    return _linear(values, *span, join_messages((declared, outside)), summary)


def _linear(values: NDArray[Any], low: float, high: float, text: str, summary: str) -> tuple[NDArray[np.uint8], Note]:
    # Through float64 only where float32 has too few digits.
    small = values.dtype.itemsize <= 2 or (values.dtype.itemsize == 4 and values.dtype.kind == "f")
    exact = small and high - low < 1e30

    def scaled(block: NDArray[Any]) -> NDArray[np.uint8]:
        with np.errstate(invalid="ignore", over="ignore"):
            # Plain Python numbers take the type of the array.
            share: NDArray[Any] = block.astype("float32" if exact else "float64")
            share -= low
            share *= 255.0
            share /= high - low
            np.nan_to_num(share, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        return np.round(share, out=share).clip(0, 255, out=share).astype(np.uint8)

    return _in_blocks(values, scaled), Note("scaled", text, summary)


def _in_blocks(values: NDArray[Any], function: Callable[[NDArray[Any]], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """A function of single values, some rows at a time: what it needs besides its result does not grow with the picture."""
    result = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        result[start : start + rows] = function(values[start : start + rows])
    return result


def _without_outliers(known: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest value, without few values beyond a wide gap at either end."""
    sample = np.sort(np.append(_sample(known), (known.min(), known.max())).astype(np.float64))
    few = int(_FEW * sample.size)
    high = _before_gap(sample[-1 - few :], sample[few])
    low = -_before_gap(-sample[few::-1], -sample[-1 - few])
    return low, high


def _before_gap(tail: NDArray[np.float64], start: float) -> float:
    """The last of ascending values before the first gap wide against their range from ``start``; without one, the last of all."""
    reach = tail[:-1] - start
    wide = np.flatnonzero((np.diff(tail) > _APART * reach) & (reach > 0))
    return float(tail[wide[0]] if wide.size else tail[-1])


def _declared_range(declared: Declared, known: NDArray[Any], *, full: float | None) -> tuple[float, float] | None:
    """The declared range, if it says more than the type of the values does and the picture fills a fair part of it.

    A range that most of the picture lies outside of, or that would leave it black or white, is a mistake of some writer.
    """
    if declared.high is None:
        return None
    start, end = declared.low if declared.low is not None else 0.0, declared.high
    if not (np.isfinite(start) and np.isfinite(end)) or end <= start or (start, end) == (0.0, full):
        return None
    sample = _sample(known)
    inside = sample[(sample >= start) & (sample <= end)]
    if inside.size < _INSIDE * sample.size:
        return None
    low, high = _without_outliers(inside)
    # 16-bit values begin at black, whatever the darkest of them is.
    fills = high - (low if full is None else start)
    return (start, end) if fills >= _FILLED * (end - start) else None


def _sample(known: NDArray[Any]) -> NDArray[Any]:
    flat = known.reshape(-1)
    return flat[:: max(1, flat.size // _SAMPLE)]

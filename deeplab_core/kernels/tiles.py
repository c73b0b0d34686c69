"""Compiled loops of convolutions in float32 by tiles of bf16 (AMX): each number is the sum of two bf16 numbers.

``x = high + low`` and ``w = high + low`` with 16 bits together; a product is ``high * high + high * low + low * high``, summed
in float32. What is left out, ``low * low`` and the parts beyond 16 bits, is some 2^-17 of a product. NaN gives NaN, and so does
infinity, which has no halves.

Layouts. Inputs: (blocks of 32 channels, positions, 32) uint16, high and low apart, so that 16 positions in a row are one tile at
any offset. Weights: (blocks of 32 output channels, taps, blocks of 32 input channels, high and low, 2 halves of 16 outputs, 16
pairs of inputs, 16 outputs, 2) uint16. Sums: (blocks of 32 output channels, blocks of 32 positions, 2, 2, 16, 16) float32.

Tiles are numbered registers: 0 to 3 sums, 4 and 5 inputs, 6 and 7 weights. Vector code is LLVM's own and runs everywhere; only
what calls :func:`_tile_operation` needs the processor, and only :func:`products` compiles that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config as _config
from numba import types
from numba.core import cgutils as _cgutils
from numba.core.codegen import get_host_cpu_features as _features
from numba.extending import intrinsic as _make_intrinsic
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop

Halves = NDArray[np.uint16]
Floats = NDArray[np.float32]
config: Any = _config
get_host_cpu_features: Callable[[], str] = _features
cgutils: Any = _cgutils
intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = _make_intrinsic(prefer_literal=True)
#: Channels of a block, and positions of a block of sums.
BLOCK = 32
#: Numbers of a block of sums, and of the weights of a block of inputs and outputs.
_SUMS, _WEIGHTS = BLOCK * BLOCK, 2 * BLOCK * BLOCK
#: Bits of the least number that would be rounded to infinity, and of infinity; NaN in bf16.
_LARGE, _INFINITE, _NO_NUMBER = 0x7F7F8000, 0x7F800000, 0x7FC0

_BYTE, _WORD, _LONG, _QUAD, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()


def tile_shapes() -> NDArray[np.uint8]:
    """What ``ldtilecfg`` reads: eight tiles of 16 rows of 64 bytes."""
    shapes = np.zeros(64, np.uint8)
    shapes[0] = 1
    shapes[16:32:2] = 64
    shapes[48:56] = 16
    return shapes


def aligned(count: int, dtype: type[np.generic]) -> NDArray[Any]:
    """An array whose memory begins at a line of the cache; its values are any."""
    size = count * np.dtype(dtype).itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, to: Any) -> Any:
    """Address of an element of a flat array, as a pointer to ``to``."""
    made = context.make_array(kind)(context, builder, array)
    return builder.bitcast(builder.gep(made.data, [index]), to.as_pointer())


def _constant(value: int, count: int) -> Any:
    return ir.Constant(ir.VectorType(_LONG, count), [value] * count)


def _rounded(builder: Any, bits: Any, count: int) -> Any:
    """Upper halves of float32 bits, rounded as :func:`_nearest` does."""
    cut = builder.lshr(bits, _constant(16, count))
    odd = builder.and_(cut, _constant(1, count))
    near = builder.lshr(builder.add(builder.add(bits, _constant(0x7FFF, count)), odd), _constant(16, count))
    size = builder.and_(bits, _constant(0x7FFFFFFF, count))
    kept = builder.select(builder.icmp_unsigned(">", size, _constant(_INFINITE, count)), _constant(_NO_NUMBER, count), cut)
    return builder.select(builder.icmp_unsigned("<", size, _constant(_LARGE, count)), near, kept)


@intrinsic
def _split(typing: Any, x: Any, start: Any, high: Any, low: Any, target: Any, count: Any) -> Any:  # noqa: ARG001
    """The first ``count`` of 32 numbers at ``x[start]``, zeros behind them, into 32 halves each at ``target``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        floats, longs = ir.VectorType(_FLOAT, BLOCK), ir.VectorType(_LONG, BLOCK)
        undefined = ir.Constant(longs, ir.Undefined)
        many = builder.insert_element(undefined, builder.trunc(arguments[5], _LONG), ir.Constant(_LONG, 0))
        many = builder.shuffle_vector(many, undefined, _constant(0, BLOCK))
        mask = builder.icmp_signed("<", ir.Constant(longs, list(range(BLOCK))), many)
        form = ir.FunctionType(floats, [floats.as_pointer(), _LONG, ir.VectorType(ir.IntType(1), BLOCK), floats])
        load = cgutils.get_or_insert_function(builder.module, form, "llvm.masked.load.v32f32.p0")
        source = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], floats)
        value = builder.call(load, [source, ir.Constant(_LONG, 4), mask, ir.Constant(floats, [0.0] * BLOCK)])
        upper = _rounded(builder, builder.bitcast(value, longs), BLOCK)
        rest = builder.fsub(value, builder.bitcast(builder.shl(upper, _constant(16, BLOCK)), floats))
        lower = _rounded(builder, builder.bitcast(rest, longs), BLOCK)
        words = ir.VectorType(_WORD, BLOCK)
        for halves, number in ((upper, 2), (lower, 3)):
            place = _pointer(context, builder, signature.args[number], arguments[number], arguments[4], words)
            builder.store(builder.trunc(halves, words), place).align = 64
        return context.get_dummy_value()

    return types.void(x, types.int64, high, low, types.int64, types.int64), generate


@intrinsic
def _finish(
    typing: Any, sums: Any, at: Any, bias: Any, channel: Any, residual: Any, adds: Any, least: Any, most: Any, out: Any,
    place: Any,
) -> Any:  # fmt: skip
    """``out[place : place + 16]``: sums and bias, the residual where ``adds``, not below ``least`` nor above ``most``."""
    del typing, at, channel, adds, least, most, place

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        floats = ir.VectorType(_FLOAT, 16)

        def load(array: int, index: int) -> Any:
            found = builder.load(_pointer(context, builder, signature.args[array], arguments[array], arguments[index], floats))
            found.align = 4
            return found

        def spread(number: int) -> Any:
            undefined = ir.Constant(floats, ir.Undefined)
            one = builder.insert_element(undefined, arguments[number], ir.Constant(_LONG, 0))
            return builder.shuffle_vector(one, undefined, _constant(0, 16))

        kept = cgutils.alloca_once_value(builder, builder.fadd(load(0, 1), load(2, 3)))
        with builder.if_then(arguments[5]):
            builder.store(builder.fadd(builder.load(kept), load(4, 9)), kept)
        value = builder.load(kept)
        for number, sign in ((6, "<"), (7, ">")):  # comparisons with NaN are false: it stays
            bound = spread(number)
            value = builder.select(builder.fcmp_ordered(sign, value, bound), bound, value)
        builder.store(value, _pointer(context, builder, signature.args[8], arguments[8], arguments[9], floats)).align = 4
        return context.get_dummy_value()

    whole, real = types.int64, types.float32
    return types.void(sums, whole, bias, whole, residual, types.boolean, real, real, out, whole), generate


def _tile_operation(name: str, kinds: list[Any]) -> Callable[..., Any]:
    """An instruction on tiles whose numbers are constants of the machine code."""

    def call(builder: Any, values: list[Any]) -> None:
        form = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(cgutils.get_or_insert_function(builder.module, form, f"llvm.x86.{name}"), values)

    if kinds == ["memory"]:

        @intrinsic
        def configure(typing: Any, array: Any) -> Any:  # noqa: ARG001
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                call(builder, [_pointer(context, builder, signature.args[0], arguments[0], _QUAD(0), _BYTE)])
                return context.get_dummy_value()

            return types.void(array), generate

        return configure

    if kinds == ["tile", "memory"]:

        @intrinsic
        def move(typing: Any, tile: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                place = _pointer(context, builder, signature.args[1], arguments[1], arguments[2], _BYTE)
                call(builder, [_BYTE(tile.literal_value), place, _QUAD(64)])
                return context.get_dummy_value()

            return types.void(tile, array, types.int64), generate

        return move

    if kinds == ["tile"]:

        @intrinsic
        def clear(typing: Any, tile: Any) -> Any:  # noqa: ARG001
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
                call(builder, [_BYTE(tile.literal_value)])
                return context.get_dummy_value()

            return types.void(tile), generate

        return clear

    @intrinsic
    def multiply(typing: Any, sums: Any, inputs: Any, weights: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
            call(builder, [_BYTE(tile.literal_value) for tile in (sums, inputs, weights)])
            return context.get_dummy_value()

        return types.void(sums, inputs, weights), generate

    return multiply


_configure = _tile_operation("ldtilecfg", ["memory"])
_configured = _tile_operation("sttilecfg", ["memory"])
_load = _tile_operation("tileloadd64", ["tile", "memory"])
_store = _tile_operation("tilestored64", ["tile", "memory"])
_clear = _tile_operation("tilezero", ["tile"])
_multiply = _tile_operation("tdpbf16ps", ["tile", "tile", "tile"])


@compile_loop
def split(x: Floats, channels: int, first: int, count: int, high: Halves, low: Halves, positions: int, target: int) -> None:
    """Positions ``first`` and on of ``x`` (positions, channels), flat, into both halves at ``target`` and on.

    Args:
        positions: that the halves hold; channels beyond the last are zeros.
    """
    for block in range((channels + BLOCK - 1) // BLOCK):
        many = min(BLOCK, channels - block * BLOCK)
        source, place = first * channels + block * BLOCK, (block * positions + target) * BLOCK
        for _ in range(count):
            _split(x, source, high, low, place, many)
            source += channels
            place += BLOCK


@compile_loop
def split_padded(
    x: Floats, channels: int, height: int, width: int, rate: int, high: Halves, low: Halves, positions: int, begin: int, end: int
) -> None:
    """A map (height, width, channels) with ``rate`` zeros above, below and between rows, blocks ``begin`` to ``end``.

    The zeros behind a row serve as those before the next one.
    """
    pitch = width + rate
    for block in range(begin, end):
        many = min(BLOCK, channels - block * BLOCK)
        place = block * positions * BLOCK
        until = place + positions * BLOCK
        ready = place
        for y in range(height):
            source = y * width * channels + block * BLOCK
            start = place + (rate + (y + rate) * pitch) * BLOCK
            high[ready:start] = 0
            low[ready:start] = 0
            for _ in range(width):
                _split(x, source, high, low, start, many)
                source += channels
                start += BLOCK
            ready = start
        high[ready:until] = 0
        low[ready:until] = 0


@cache
def products(tiles: bool) -> Callable[..., Any]:
    """``(high, low, positions, blocks, chunk, start, place, sums_blocks, shifts, rows, pitch, height, weights, outputs, sums)``.

    Adds nothing to what ``sums`` held: it begins at zero.

    Args (of what is returned):
        positions, blocks: that ``high`` and ``low`` hold, and their blocks of channels.
        chunk: blocks of channels whose inputs stay in the cache together.
        start: position of the halves under the first of the sums, at a shift of 0.
        place: of the first sum, counted in rows of ``pitch``, by which taps that read zeros only are known.
        sums_blocks: blocks of 32 positions.
        shifts, rows: of each tap: offset in positions, and in rows; one tap has no zeros to read.

    Args:
        tiles: by the processor's tiles; else number by number, for tests.
    """
    if tiles:
        return _tile_products()
    return _plain_products


def _tile_products() -> Callable[..., Any]:
    if config.CPU_NAME or config.CPU_FEATURES or config.DISABLE_JIT:  # LLVM ends the process
        raise RuntimeError("numba writes no code for this processor")
    if not {"+amx-tile", "+amx-bf16"} <= set(get_host_cpu_features().split(",")):
        raise RuntimeError("numba's LLVM knows no tiles of this processor")

    @compile_loop
    def by_tiles(
        high: Halves, low: Halves, positions: int, blocks: int, chunk: int, start: int, place: int, many: int, shifts: Any,
        rows: Any, pitch: int, height: int, weights: Halves, outputs: int, sums: Floats, shapes: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        # oneDNN remembers what shapes it set in a thread: they must be the same afterwards.
        before = np.empty(64, np.uint8)
        _configured(before)
        _configure(shapes)
        taps = shifts.shape[0]
        for begin in range(0, blocks, chunk):
            end = min(blocks, begin + chunk)
            for output in range(outputs):
                for block in range(many):
                    s = (output * many + block) * _SUMS
                    if begin == 0:
                        _clear(0)
                        _clear(1)
                        _clear(2)
                        _clear(3)
                    else:
                        _load(0, sums, s)
                        _load(1, sums, s + 256)
                        _load(2, sums, s + 512)
                        _load(3, sums, s + 768)
                    upper = (place + block * BLOCK) // pitch
                    lower = (place + block * BLOCK + BLOCK - 1) // pitch
                    for tap in range(taps):
                        if taps > 1 and (lower + rows[tap] < 0 or upper + rows[tap] >= height):
                            continue
                        a = (begin * positions + start + block * BLOCK + shifts[tap]) * BLOCK
                        b = ((output * taps + tap) * blocks + begin) * _WEIGHTS
                        for _ in range(begin, end):
                            _load(4, high, a)
                            _load(6, weights, b)
                            _load(7, weights, b + 512)
                            _load(5, high, a + 512)
                            _multiply(0, 4, 6)
                            _multiply(1, 4, 7)
                            _multiply(2, 5, 6)
                            _multiply(3, 5, 7)
                            _load(6, weights, b + 1024)
                            _load(7, weights, b + 1536)
                            _multiply(0, 4, 6)
                            _multiply(1, 4, 7)
                            _multiply(2, 5, 6)
                            _multiply(3, 5, 7)
                            _load(4, low, a)
                            _load(6, weights, b)
                            _load(7, weights, b + 512)
                            _load(5, low, a + 512)
                            _multiply(0, 4, 6)
                            _multiply(1, 4, 7)
                            _multiply(2, 5, 6)
                            _multiply(3, 5, 7)
                            a += positions * BLOCK
                            b += _WEIGHTS
                    _store(0, sums, s)
                    _store(1, sums, s + 256)
                    _store(2, sums, s + 512)
                    _store(3, sums, s + 768)
        _configure(before)

    return by_tiles


def _plain_products(
    high: Halves, low: Halves, positions: int, blocks: int, chunk: int, start: int, place: int, many: int, shifts: Any,
    rows: Any, pitch: int, height: int, weights: Halves, outputs: int, sums: Floats, shapes: NDArray[np.uint8],
) -> None:  # fmt: skip
    """The same by numpy; no tap is left out, since zeros add nothing."""
    del chunk, place, rows, pitch, height, shapes
    taps = shifts.shape[0]
    inputs = [as_floats(halves[: blocks * positions * BLOCK]).reshape(blocks, positions, BLOCK) for halves in (high, low)]
    pairs = as_floats(weights).reshape(outputs, taps, blocks, 2, 2, 16, 16, 2)
    # (outputs, taps, blocks, high and low, inputs, outputs)
    factors = pairs.transpose(0, 1, 2, 3, 5, 7, 4, 6).reshape(outputs, taps, blocks, 2, BLOCK, BLOCK)
    total = np.zeros((outputs, many * BLOCK, BLOCK), np.float32)
    for tap, shift in enumerate(shifts.tolist()):
        first = start + shift
        upper, lower = (part[:, first : first + many * BLOCK] for part in inputs)
        for output in range(outputs):
            by_high, by_low = factors[output, tap, :, 0], factors[output, tap, :, 1]
            with np.errstate(all="ignore"):  # positions behind the last hold what they held
                total[output] += (upper @ by_high + upper @ by_low + lower @ by_high).sum(0)
    found = total.reshape(outputs, many, 2, 16, 2, 16).transpose(0, 1, 2, 4, 3, 5)
    sums[: found.size] = found.reshape(-1)


@compile_loop
def finish(
    sums: Floats, many: int, bias: Floats, residual: Floats, adds: bool, least: float, most: float, out: Floats, channels: int,
    place: int, width: int, pitch: int, height: int,
) -> None:  # fmt: skip
    """Sums from ``place`` on into a map (height, width, channels), flat; they stand in rows of ``pitch``, of which the first
    ``width`` count.
    """
    bottom, top = np.float32(least), np.float32(most)
    y = place // pitch
    x = place - y * pitch
    for position in range(many * BLOCK):
        if y >= height:
            break
        if x < width:
            at = (y * width + x) * channels
            base = position // BLOCK * _SUMS + position % BLOCK // 16 * 512 + position % 16 * 16
            for group in range(channels // 16):
                offset = base + (group >> 1) * (many * _SUMS) + (group & 1) * 256
                _finish(sums, offset, bias, group * 16, residual, adds, bottom, top, out, at + group * 16)
            for channel in range(channels // 16 * 16, channels):
                group = channel >> 4
                value = sums[base + (group >> 1) * (many * _SUMS) + (group & 1) * 256 + (channel & 15)] + bias[channel]
                if adds:
                    value += residual[at + channel]
                if value < bottom:
                    value = bottom
                if value > top:
                    value = top
                out[at + channel] = value
        x += 1
        if x == pitch:
            x = 0
            y += 1


def as_floats(halves: Halves) -> Floats:
    """bf16 numbers as float32."""
    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def pack(weight: Floats) -> Halves:
    """``(out, in, rows, columns)`` float32 weights in the layout above, flat."""
    outputs, inputs, height, width = weight.shape
    whole = np.zeros((-(-outputs // BLOCK) * BLOCK, -(-inputs // BLOCK) * BLOCK, height * width), np.float32)
    whole[:outputs, :inputs] = weight.reshape(outputs, inputs, height * width)
    upper = _nearest(whole)
    lower = _nearest(whole - as_floats(upper))

    def laid(halves: Halves) -> Halves:
        parts = halves.reshape(whole.shape[0] // BLOCK, 2, 16, whole.shape[1] // BLOCK, 16, 2, height * width)
        return parts.transpose(0, 6, 3, 1, 4, 2, 5)

    packed: Halves = aligned(2 * whole.size, np.uint16)
    packed[:] = np.stack([laid(upper), laid(lower)], axis=3).reshape(-1)
    return packed


def _nearest(values: Floats) -> Halves:
    """Upper halves, rounded to the nearest, ties to even. Numbers that would become infinite are cut off; NaN stays NaN."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    cut, size = bits >> np.uint32(16), bits & np.uint32(0x7FFFFFFF)
    near = (bits + np.uint32(0x7FFF) + (cut & np.uint32(1))) >> np.uint32(16)
    rounded = np.where(size < _LARGE, near, np.where(size > _INFINITE, np.uint32(_NO_NUMBER), cut))
    halves: Halves = rounded.astype(np.uint16)
    return halves

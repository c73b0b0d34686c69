"""Explicit SIMD for numba: rows of 4 or 8 float32 as one value.

Numba's loop vectoriser cannot prove that two arrays do not overlap, and pays for run-time checks around loops of 4 to 24 labels.
Here a vector is a type of its own, loads come before stores by construction, and LLVM maps ``<8 x float>`` to what the processor
has (one AVX register, two of SSE or NEON).

Vectors live in compiled code only. ``pick``, ``load`` and ``store`` index the flat elements of a C-contiguous array and check
nothing.
"""

# ruff: noqa: ARG001  (numba reads the arguments' types from the signature of the typing function)

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.core.base import BaseContext
from numba.core.datamodel.manager import DataModelManager
from numba.core.extending import intrinsic, models, register_model
from numba.core.typing.context import BaseContext as TypingContext
from numba.core.typing.templates import Signature

_F32 = ir.FloatType()
_I32 = ir.IntType(32)

#: ``2 ** 23 + 2 ** 22``: adding it to a float32 below 2**21 rounds it to an integer, which is then in the low bits.
_ROUNDER = 12582912.0
#: exp(r) on [-ln 2 / 2, ln 2 / 2], Taylor to degree 6: relative error 2e-8 before rounding.
_EXP_TERMS = tuple(1.0 / math.factorial(n) for n in range(7))
#: ln 2 in two parts, the first exact in float32 after multiplication by an exponent (Cody and Waite).
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
#: exp(-60) is 9e-27: nothing to a probability, and its products with small weights are still normal numbers (others are slow).
_EXP_FLOOR = -60.0


class Vector(types.Type):
    """``width`` float32 side by side."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Vector{width}")


#: The types of a call, and the generator of its instructions.
Operation = tuple[Signature, Callable[[BaseContext, ir.IRBuilder, Signature, Sequence[ir.Value]], ir.Value]]


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: DataModelManager, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(_F32, fe_type.width))  # type: ignore[no-untyped-call]


def _operation(typing_function: Callable[..., Operation]) -> Callable[..., Any]:
    """An operation of compiled code, from a function that types its arguments and gives the generator of its instructions."""
    return intrinsic(prefer_literal=True)(typing_function)


def _spread(builder: ir.IRBuilder, scalar: ir.Value, width: int) -> ir.Value:
    kind = ir.VectorType(_F32, width)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_I32, width), [0] * width))


def _constant(value: float, width: int) -> ir.Value:
    return ir.Constant(ir.VectorType(_F32, width), [value] * width)


def _data(context: BaseContext, builder: ir.IRBuilder, array_type: types.Array, array: ir.Value) -> ir.Value:
    """Pointer to the first element."""
    return context.make_array(array_type)(context, builder, array).data  # type: ignore[no-untyped-call]


def _address(
    context: BaseContext, builder: ir.IRBuilder, array_type: types.Array, array: ir.Value, index: ir.Value, width: int
) -> ir.Value:
    data = _data(context, builder, array_type, array)
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(_F32, width).as_pointer())


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Value]) -> ir.Value:
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [a.type for a in arguments]), name=name)
    return builder.call(function, arguments)


def _fused(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """``a * b + c``, in one instruction where the processor has one."""
    return _call(builder, f"llvm.fmuladd.v{a.type.count}f32", a.type, [a, b, c])


def _larger(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@_operation
def pick(_typing: TypingContext, array: types.Array, index: types.Type) -> Operation:
    """The element at flat ``index`` of a C-contiguous array: no check, no counting from the end."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        data = _data(context, builder, signature.args[0], arguments[0])
        return builder.load(builder.gep(data, [arguments[1]]))

    return array.dtype(array, types.intp), generate


@_operation
def load(_typing: TypingContext, array: types.Array, index: types.Type, width: types.IntegerLiteral) -> Operation:
    """The vector at flat ``index`` of a float32 array; ``width`` is the literal 4 or 8."""
    kind = Vector(width.literal_value)

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        pointer = _address(context, builder, signature.args[0], arguments[0], arguments[1], kind.width)
        return builder.load(pointer, align=4)

    return kind(array, types.intp, width), generate


@_operation
def store(_typing: TypingContext, array: types.Array, index: types.Type, vector: Vector) -> Operation:
    """Write a vector at flat ``index`` of a float32 array."""

    def generate(context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        pointer = _address(context, builder, signature.args[0], arguments[0], arguments[1], signature.args[2].width)
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()  # type: ignore[no-untyped-call]

    return types.void(array, types.intp, vector), generate


@_operation
def fill(_typing: TypingContext, number: types.Type, width: types.IntegerLiteral) -> Operation:
    """A vector of equal float32."""
    kind = Vector(width.literal_value)

    def generate(_context: BaseContext, builder: ir.IRBuilder, _signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        return _spread(builder, arguments[0], kind.width)

    return kind(types.float32, width), generate


@_operation
def add_scaled(_typing: TypingContext, total: Vector, vector: Vector, number: types.Type) -> Operation:
    """``total + vector * number``."""

    def generate(_context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        factor = _spread(builder, arguments[2], signature.args[0].width)
        return _fused(builder, arguments[1], factor, arguments[0])

    return total(total, vector, types.float32), generate


@_operation
def scale(_typing: TypingContext, vector: Vector, number: types.Type) -> Operation:
    """``vector * number``."""

    def generate(_context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        return builder.fmul(arguments[0], _spread(builder, arguments[1], signature.args[0].width))

    return vector(vector, types.float32), generate


@_operation
def add(_typing: TypingContext, a: Vector, b: Vector) -> Operation:
    """``a + b``."""

    def generate(_context: BaseContext, builder: ir.IRBuilder, _signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        return builder.fadd(*arguments)

    return a(a, b), generate


@_operation
def larger(_typing: TypingContext, a: Vector, b: Vector) -> Operation:
    """The elementwise maximum."""

    def generate(_context: BaseContext, builder: ir.IRBuilder, _signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        return _larger(builder, *arguments)

    return a(a, b), generate


def _fold(builder: ir.IRBuilder, vector: ir.Value, combine: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
    width = vector.type.count
    while width > 1:
        width //= 2
        halves = [
            builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_I32, width), list(range(first, first + width))))
            for first in (0, width)
        ]
        vector = combine(*halves)
    return builder.extract_element(vector, ir.Constant(_I32, 0))


@_operation
def largest_of(_typing: TypingContext, vector: Vector) -> Operation:
    """The largest element, float32."""

    def generate(_context: BaseContext, builder: ir.IRBuilder, _signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        return _fold(builder, arguments[0], lambda a, b: _larger(builder, a, b))

    return types.float32(vector), generate


@_operation
def sum_of(_typing: TypingContext, vector: Vector) -> Operation:
    """The sum of the elements, float32."""

    def generate(_context: BaseContext, builder: ir.IRBuilder, _signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        return _fold(builder, arguments[0], builder.fadd)

    return types.float32(vector), generate


@_operation
def exponential(_typing: TypingContext, vector: Vector) -> Operation:
    """``exp`` of numbers not above 0; anything below -60 counts as -60 (9e-27). Relative error below 2e-7."""

    def generate(_context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]) -> ir.Value:
        width = signature.args[0].width
        x = _larger(builder, arguments[0], _constant(_EXP_FLOOR, width))
        rounder = _constant(_ROUNDER, width)
        shifted = _fused(builder, x, _constant(1.0 / math.log(2.0), width), rounder)
        exponent = builder.fsub(shifted, rounder)
        r = _fused(builder, exponent, _constant(-_LN2_HIGH, width), x)
        r = _fused(builder, exponent, _constant(-_LN2_LOW, width), r)
        value = _constant(_EXP_TERMS[-1], width)
        for term in _EXP_TERMS[-2::-1]:
            value = _fused(builder, value, r, _constant(term, width))
        integers = ir.VectorType(_I32, width)
        twos = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [23] * width))
        return builder.bitcast(builder.add(builder.bitcast(value, integers), twos), value.type)

    return vector(vector), generate

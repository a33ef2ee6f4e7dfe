"""Exponentials and logarithms of vectors.

Coefficients are minimax fits made for this file (exponential: degree 5, relative error 9e-8; logarithm: degree 8, 3e-9).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from fastseg.kernels.numba.simd.vectors import FLOATS, INTS, IR_TYPES, build_multiply_add, call, constant
from fastseg.kernels.numba.switch import DISABLED, WIDTH

__all__ = ["exp_scaled", "exponent_of", "floor_of", "log_of", "minus_log_of", "shift_of"]

_EXP = (1.0, 0.9999997063112045, 0.4999914783640701, 0.1666763813092129, 0.041898160252394324, 0.008290272146332859)
_LOG = (
    0.33333331180030046, -0.24999996957950865, 0.20000715748892148, -0.16667802319503608, 0.14249057645698462,
    -0.12425687331391068, 0.11685419923406505, -0.11479733847049238, 0.0697161147221272,
)  # fmt: skip
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 355 / 512  # ten bits: its products with whole numbers below 2^14 are exact
_LN2_LOW = -2.1219444005469058e-4
#: From where on logits are reduced by their maximum first, so that those products stay exact.
_LARGE = 8192.0
#: exp of less than -104 is zero in float32.
_LEAST = 104.0

_I32, _I64 = (ir.IntType(bits) for bits in (32, 64))
_F64 = ir.DoubleType()


def _polynomial(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    total = constant(x.type, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = build_multiply_add(builder, total, x, constant(x.type, coefficient))
    return total


@intrinsic
def shift_of(typingctx: Any, largest: Any) -> Any:
    """Return what is subtracted from logits whose maximum is `largest`: nothing, or the maximum where it is huge."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = constant(args[0].type, 0.0)
        small = builder.fcmp_ordered("<", call(builder, "fabs", args[0]), constant(args[0].type, _LARGE))
        return builder.select(small, zero, args[0])

    return largest(largest), codegen


@intrinsic
def floor_of(typingctx: Any, largest: Any, shift: Any) -> Any:
    """Return the least x - shift that is told from minus infinity."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fsub(builder.fsub(args[0], args[1]), constant(args[0].type, _LEAST))

    return largest(largest, largest), codegen


def _whole(builder: Any, x: Any) -> tuple[Any, Any]:
    """Return round(x / ln 2), as a float and as 32 bits to which a constant is added."""
    double = x.type.element == _F64
    magic = constant(x.type, 1.5 * 2.0 ** (52 if double else 23))
    moved = build_multiply_add(builder, x, constant(x.type, _LOG2_E), magic)
    if double:
        bits = builder.trunc(builder.bitcast(moved, ir.VectorType(_I64, WIDTH)), IR_TYPES["int"])
    else:
        bits = builder.bitcast(moved, IR_TYPES["int"])
    return builder.fsub(moved, magic), bits


# ---- Exponentials: exp(x - shift) · 2^-k, where k is the exponent of the largest, so that no logit is rounded by subtracting
# the maximum from it, and no exponential overflows.


@intrinsic
def exponent_of(typingctx: Any, largest: Any, shift: Any) -> Any:
    """Return what `exp_scaled` adds to exponents so that exp(largest - shift) comes out between 0.7 and 1.42."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _, bits = _whole(builder, builder.fsub(*args))
        return builder.sub(constant(IR_TYPES["int"], 127), bits)

    return INTS(largest, largest), codegen


@intrinsic
def exp_scaled(typingctx: Any, x: Any, shift: Any, floor: Any, exponent: Any) -> Any:
    """Return exp(x - shift) times the power of two that `exponent` stands for, as floats; what is below 2^-126 is 0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, shift, floor, exponent = args
        x = builder.fsub(x, shift)
        x = builder.select(builder.fcmp_ordered("<", x, floor), floor, x)  # keeps NaN
        whole, bits = _whole(builder, x)
        rest = build_multiply_add(builder, whole, constant(x.type, -_LN2_HIGH), x)
        rest = build_multiply_add(builder, whole, constant(x.type, -_LN2_LOW), rest)
        if rest.type.element == _F64:
            rest = builder.fptrunc(rest, IR_TYPES["float"])
        power = builder.add(bits, exponent)
        power = call(builder, "smax", power, constant(power.type, 0))
        scale = builder.bitcast(builder.shl(power, constant(power.type, 23)), IR_TYPES["float"])
        return builder.fmul(_polynomial(builder, rest, _EXP), scale)

    return FLOATS(x, x, x, INTS), codegen


def _log_near_one(builder: Any, f: Any) -> Any:
    """Return ln(1 + f) for floats f between -0.3 and 0.42."""
    square = builder.fmul(f, f)
    tail = builder.fmul(builder.fmul(square, f), _polynomial(builder, f, _LOG))
    return builder.fadd(f, builder.fsub(tail, builder.fmul(square, constant(f.type, 0.5))))


def _log(builder: Any, y: Any, complement: Any = None) -> Any:
    """Return ln(y) as floats for positive normal y, whose complement 1 - y may be known more exactly than y."""
    double = y.type.element == _F64
    word, shift = (_I64, 52) if double else (_I32, 23)
    root = 0x3FE6A09E667F3BCD if double else 0x3F3504F3  # the bits of sqrt(1/2)
    kind = ir.VectorType(word, WIDTH)
    bits = builder.bitcast(y, kind)
    exponent = builder.ashr(builder.sub(bits, constant(kind, root)), constant(kind, shift))
    rest = builder.bitcast(builder.sub(bits, builder.shl(exponent, constant(kind, shift))), y.type)
    f = builder.fsub(rest, constant(y.type, 1.0))
    if complement is not None:
        near = builder.icmp_signed("==", exponent, constant(kind, 0))
        f = builder.select(near, builder.fneg(complement), f)
    if double:
        exponent, f = builder.trunc(exponent, IR_TYPES["int"]), builder.fptrunc(f, IR_TYPES["float"])
    whole = builder.sitofp(exponent, IR_TYPES["float"])
    low = build_multiply_add(builder, whole, constant(whole.type, _LN2_LOW), _log_near_one(builder, f))
    return build_multiply_add(builder, whole, constant(whole.type, _LN2_HIGH), low)


@intrinsic
def log_of(typingctx: Any, x: Any) -> Any:
    """Return ln(x) as floats, -inf for zero (and for less than zero)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x = args[0]
        tiny = builder.fcmp_ordered("<", x, constant(x.type, 1e-30))
        value = _log(builder, builder.select(tiny, builder.fmul(x, constant(x.type, 2.0**64)), x))
        offset = builder.select(tiny, constant(IR_TYPES["float"], -44.3614195558365), constant(IR_TYPES["float"], 0.0))
        zero = builder.fcmp_ordered("<=", x, constant(x.type, 0.0))
        return builder.select(zero, constant(IR_TYPES["float"], float("-inf")), builder.fadd(value, offset))

    return FLOATS(x), codegen


@intrinsic
def minus_log_of(typingctx: Any, x: Any, rest: Any) -> Any:
    """Return -ln(x) for positive normal floats x whose complement 1 - x is known: exact also where x is almost 1."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fneg(_log(builder, args[0], args[1]))

    return FLOATS(FLOATS, FLOATS), codegen


if DISABLED:  # the same in Python
    from fastseg.kernels.numba.simd.vectors_python import (
        exp_scaled,
        exponent_of,
        floor_of,
        log_of,
        minus_log_of,
        shift_of,
    )

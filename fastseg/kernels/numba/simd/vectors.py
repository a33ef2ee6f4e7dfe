"""Vectors of numbers as values in kernels: arithmetic on `WIDTH` voxels at a time.

+, -, *, / and comparisons work on them as on numbers; each becomes a few instructions of the machine that it is compiled for.
`vector_memory` brings scores of any stored type to vectors of float32 (of float64 where they are stored so), `vector_math` has
exponentials and logarithms. With NUMBA_DISABLE_JIT=1 vectors are small NumPy arrays, and `vectors_python` runs instead.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from fastseg.kernels.numba.simd.building import fill
from fastseg.kernels.numba.switch import DISABLED, WIDTH

__all__ = [
    "DOUBLES",
    "FLOATS",
    "INTS",
    "IR_TYPES",
    "MASK",
    "above_half",
    "below_infinity",
    "bits_count",
    "build_multiply_add",
    "call",
    "complement",
    "constant",
    "finite",
    "floats",
    "integers",
    "lane_numbers",
    "minus_magnitude",
    "multiply_add",
    "narrow",
    "select",
    "sum_of",
    "widen",
    "zero_of",
]

_I1, _I32, _I64 = (ir.IntType(bits) for bits in (1, 32, 64))
_F32, _F64 = ir.FloatType(), ir.DoubleType()


class Vector(types.Type):
    """The Numba type of `WIDTH` numbers of one kind: "float", "double", "int" (32 bits) or "mask"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(name=f"Vector({kind}×{WIDTH})")


FLOATS, DOUBLES, INTS, MASK = (Vector(kind) for kind in ("float", "double", "int", "mask"))
IR_TYPES = {
    kind: ir.VectorType(element, WIDTH)
    for kind, element in (("float", _F32), ("double", _F64), ("int", _I32), ("mask", _I1))
}


@register_default(Vector)
class VectorModel(models.PrimitiveModel):
    """Lies in registers as an LLVM vector."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, IR_TYPES[fe_type.kind])


def _operator(function: Any, result: Any, **instructions: str) -> None:
    """Make an operator work on two vectors of one kind, by the builder's instruction for that kind."""

    @infer_global(function)
    class Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1] and args[0].kind in instructions:
                return signature(result or args[0], *args)
            return None

    @lower_builtin(function, Vector, Vector)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        instruction = instructions[sig.args[0].kind]
        method, _, predicate = instruction.partition(" ")
        return getattr(builder, method)(*([predicate] if predicate else []), *args)


_operator(operator.add, None, float="fadd", double="fadd", int="add")
_operator(operator.sub, None, float="fsub", double="fsub", int="sub")
_operator(operator.mul, None, float="fmul", double="fmul", int="mul")
_operator(operator.truediv, None, float="fdiv", double="fdiv")
_operator(operator.and_, None, mask="and_")
_operator(operator.or_, None, mask="or_")
for _symbol, _function in {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}.items():
    _compare = f"fcmp_ordered {_symbol}"
    _operator(_function, MASK, float=_compare, double=_compare, int=f"icmp_signed {_symbol}")
_operator(operator.eq, MASK, float="fcmp_ordered ==", double="fcmp_ordered ==", int="icmp_signed ==")
_operator(operator.ne, MASK, float="fcmp_unordered !=", double="fcmp_unordered !=", int="icmp_signed !=")


def constant(vector_type: Any, value: Any) -> Any:
    return ir.Constant(vector_type, [value] * vector_type.count)


def call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic on vectors of one type."""
    kind = args[0].type
    suffix = {"float": "f32", "double": "f64", "i32": "i32"}[str(kind.element)]
    declared = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * len(args)), f"llvm.{name}.v{kind.count}{suffix}"
    )
    return builder.call(declared, args)


def build_multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, in one instruction where the machine has one."""
    return call(builder, "fmuladd", a, b, c)


@intrinsic
def floats(typingctx: Any, value: Any) -> Any:
    """Return a vector with the float `value` in every place."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return fill(builder, IR_TYPES["float"], builder.fptrunc(args[0], _F32))

    return FLOATS(types.float64), codegen


@intrinsic
def integers(typingctx: Any, value: Any) -> Any:
    """Return a vector with the integer `value` in every place."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return fill(builder, IR_TYPES["int"], builder.trunc(args[0], _I32))

    return INTS(types.uint64), codegen


@intrinsic
def lane_numbers(typingctx: Any) -> Any:
    """Return 0, 1, …, WIDTH - 1."""
    return INTS(), lambda context, builder, sig, args: ir.Constant(IR_TYPES["int"], list(range(WIDTH)))


@intrinsic
def narrow(typingctx: Any, value: Any) -> Any:
    """Return doubles as floats; floats as they are."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return args[0] if sig.args[0] == FLOATS else builder.fptrunc(args[0], IR_TYPES["float"])

    return FLOATS(value), codegen


@intrinsic
def complement(typingctx: Any, value: Any) -> Any:
    """Return 1 - value as floats, subtracted in the type of `value`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rest = builder.fsub(constant(args[0].type, 1.0), args[0])
        return rest if sig.args[0] == FLOATS else builder.fptrunc(rest, IR_TYPES["float"])

    return FLOATS(value), codegen


@intrinsic
def minus_magnitude(typingctx: Any, value: Any) -> Any:
    """Return -|value|."""
    return value(value), lambda context, builder, sig, args: builder.fneg(call(builder, "fabs", args[0]))


@intrinsic
def zero_of(typingctx: Any, value: Any) -> Any:
    """Return zeros of the type of `value`."""
    return value(value), lambda context, builder, sig, args: constant(args[0].type, 0.0)


@intrinsic
def above_half(typingctx: Any, value: Any) -> Any:
    """Return where `value` is above one half."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fcmp_ordered(">", args[0], constant(args[0].type, 0.5))

    return MASK(value), codegen


@intrinsic
def below_infinity(typingctx: Any, value: Any) -> Any:
    """Return where `value` is neither +inf nor NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fcmp_ordered("<", args[0], constant(args[0].type, float("inf")))

    return MASK(value), codegen


@intrinsic
def finite(typingctx: Any, value: Any) -> Any:
    """Return where `value` is neither infinite nor NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fcmp_ordered("<", call(builder, "fabs", args[0]), constant(args[0].type, float("inf")))

    return MASK(value), codegen


@intrinsic
def select(typingctx: Any, mask: Any, yes: Any, no: Any) -> Any:
    """Return `yes` where the mask is set, else `no`."""
    return yes(MASK, yes, yes), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def bits_count(typingctx: Any, mask: Any) -> Any:
    """Return in how many places the mask is set."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.ctpop(builder.bitcast(args[0], ir.IntType(WIDTH))), _I64)

    return types.uint64(MASK), codegen


@intrinsic
def widen(typingctx: Any, value: Any) -> Any:
    """Return floats as doubles; doubles as they are."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return args[0] if sig.args[0] == DOUBLES else builder.fpext(args[0], IR_TYPES["double"])

    return DOUBLES(value), codegen


@intrinsic
def sum_of(typingctx: Any, value: Any) -> Any:
    """Return the sum of doubles, as a fixed tree."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        total, count = args[0], WIDTH
        while count > 1:
            count //= 2
            undefined = ir.Constant(total.type, ir.Undefined)
            low, high = (
                builder.shuffle_vector(
                    total, undefined, ir.Constant(ir.VectorType(_I32, count), list(range(first, first + count)))
                )
                for first in (0, count)
            )
            total = builder.fadd(low, high)
        return builder.extract_element(total, ir.Constant(_I32, 0))

    return types.float64(DOUBLES), codegen


@intrinsic
def multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, in one instruction where the machine has one."""
    return a(a, a, a), lambda context, builder, sig, args: build_multiply_add(builder, *args)


if DISABLED:  # the same in Python
    from fastseg.kernels.numba.simd.vectors_python import (
        above_half,
        below_infinity,
        bits_count,
        complement,
        finite,
        floats,
        integers,
        lane_numbers,
        minus_magnitude,
        multiply_add,
        narrow,
        select,
        sum_of,
        widen,
        zero_of,
    )

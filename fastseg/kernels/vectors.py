"""Vectors of numbers as values in kernels: arithmetic on `WIDTH` voxels at a time, exponentials and logarithms.

`load` brings scores of any stored type to vectors of float32 (of float64 where they are stored so); +, -, *, / and comparisons
work on them as on numbers. Each becomes a few instructions of the machine that it is compiled for. With
NUMBA_DISABLE_JIT=1 vectors are small NumPy arrays, and the Python twins below run instead.

Coefficients are minimax fits made for this file (exponential: degree 5, relative error 9e-8; logarithm: degree 8, 3e-9).
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

__all__ = [
    "WIDTH",
    "above_half",
    "add_doubles",
    "below_infinity",
    "bits_count",
    "complement",
    "exp_scaled",
    "exponent_of",
    "floats",
    "floor_of",
    "integers",
    "lane_numbers",
    "load",
    "load_flat",
    "load_integers",
    "log_of",
    "minus_log_of",
    "minus_magnitude",
    "multiply_add",
    "narrow",
    "prefetch",
    "prefetch_flat",
    "select",
    "shift_of",
    "store",
    "store_labels",
    "sum_of",
    "transpose_tile",
    "widen",
    "zero_of",
]  # fmt: skip

#: Numbers in a vector: two registers of AVX-512, four of AVX2.
WIDTH = 32

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

_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_F32, _F64 = ir.FloatType(), ir.DoubleType()


class Vector(types.Type):
    """The Numba type of `WIDTH` numbers of one kind: "float", "double", "int" (32 bits) or "mask"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(name=f"Vector({kind}×{WIDTH})")


FLOATS, DOUBLES, INTS, MASK = (Vector(kind) for kind in ("float", "double", "int", "mask"))
_IR = {
    kind: ir.VectorType(element, WIDTH)
    for kind, element in (("float", _F32), ("double", _F64), ("int", _I32), ("mask", _I1))
}


@register_default(Vector)
class VectorModel(models.PrimitiveModel):
    """Lies in registers as an LLVM vector."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _IR[fe_type.kind])


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


def _constant(vector_type: Any, value: Any) -> Any:
    return ir.Constant(vector_type, [value] * vector_type.count)


def _fill(builder: Any, vector_type: Any, value: Any) -> Any:
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(_I32, vector_type.count), [0] * vector_type.count)
    )


def _call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic on vectors of one type."""
    kind = args[0].type
    suffix = {"float": "f32", "double": "f64", "i32": "i32"}[str(kind.element)]
    declared = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * len(args)), f"llvm.{name}.v{kind.count}{suffix}"
    )
    return builder.call(declared, args)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, in one instruction where the machine has one."""
    return _call(builder, "fmuladd", a, b, c)


def _polynomial(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    total = _constant(x.type, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = _multiply_add(builder, total, x, _constant(x.type, coefficient))
    return total


def _address(context: Any, builder: Any, array_type: Any, array: Any, *index: Any) -> Any:
    """Return the address of an item as i8*, by the array's strides."""
    data = context.make_array(array_type)(context, builder, array)
    offset = ir.Constant(_I64, 0)
    if array_type.layout == "C" and array_type.ndim == 1:
        item = context.get_abi_sizeof(context.get_value_type(array_type.dtype))
        offset = builder.mul(index[0], ir.Constant(_I64, item))
    else:
        for stride, i in zip(cgutils.unpack_tuple(builder, data.strides), index, strict=True):
            offset = builder.add(offset, builder.mul(i, stride))
    return builder.gep(builder.bitcast(data.data, _I8.as_pointer()), [offset])


def _read(builder: Any, address: Any, element: Any, count: int = WIDTH) -> Any:
    return builder.load(builder.bitcast(address, ir.VectorType(element, count).as_pointer()), align=1)


def _write(builder: Any, address: Any, value: Any) -> None:
    builder.store(value, builder.bitcast(address, value.type.as_pointer()), align=1)


_HAS_HALF = binding.get_host_cpu_features().get("f16c", False) or "aarch64" in binding.get_process_triple()


def _half_to_float(builder: Any, bits: Any) -> Any:
    """Turn float16 bits into float32: by the machine, or by moving the exponent and multiplying by 2^112, which is exact."""
    if _HAS_HALF:
        half = builder.bitcast(bits, ir.VectorType(ir.HalfType(), bits.type.count))
        return builder.fpext(half, ir.VectorType(_F32, bits.type.count))
    wide, floats = ir.VectorType(_I32, bits.type.count), ir.VectorType(_F32, bits.type.count)
    word = builder.zext(bits, wide)
    magnitude = builder.and_(word, _constant(wide, 0x7FFF))
    moved = builder.bitcast(builder.shl(magnitude, _constant(wide, 13)), floats)
    scaled = builder.bitcast(builder.fmul(moved, _constant(floats, 2.0**112)), wide)
    special = builder.icmp_unsigned(">=", magnitude, _constant(wide, 0x7C00))  # infinite or NaN
    scaled = builder.select(special, builder.or_(scaled, _constant(wide, 0x7F800000)), scaled)
    sign = builder.shl(builder.and_(word, _constant(wide, 0x8000)), _constant(wide, 16))
    return builder.bitcast(builder.or_(scaled, sign), floats)


#: Bytes to ask for ahead of a transposition.
_AHEAD = 4096


def _prefetch(builder: Any, address: Any, ahead: int) -> None:
    function_type = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    where = builder.gep(address, [ir.Constant(_I64, ahead)])
    builder.call(function, [where, *(ir.Constant(_I32, k) for k in (0, 2, 1))])


@intrinsic
def load(typingctx: Any, array: Any, row: Any, start: Any) -> Any:
    """Return array[row, start : start + WIDTH] as floats (doubles of float64): uint16 are float16's bits, int16 bfloat16's."""
    kind = DOUBLES if array.dtype == types.float64 else FLOATS

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, sig.args[0], *args)
        dtype = sig.args[0].dtype
        if dtype == types.float64:
            return _read(builder, address, _F64)
        if dtype == types.float32:
            return _read(builder, address, _F32)
        if dtype == types.uint8:
            return builder.uitofp(_read(builder, address, _I8), _IR["float"])
        bits = _read(builder, address, _I16)
        if dtype == types.uint16:
            return _half_to_float(builder, bits)
        wide = builder.zext(bits, _IR["int"])
        return builder.bitcast(builder.shl(wide, _constant(wide.type, 16)), _IR["float"])

    return kind(array, types.uint64, types.uint64), codegen


@intrinsic
def load_flat(typingctx: Any, array: Any, start: Any) -> Any:
    """Return array[start : start + WIDTH] of a float32 or float64 array, as floats or doubles."""
    kind = DOUBLES if array.dtype == types.float64 else FLOATS

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = _F64 if sig.args[0].dtype == types.float64 else _F32
        return _read(builder, _address(context, builder, sig.args[0], *args), element)

    return kind(array, types.uint64), codegen


@intrinsic
def prefetch_flat(typingctx: Any, array: Any, start: Any) -> Any:
    """Ask for the cache lines of array[start : start + WIDTH]; beyond the end of the array it does nothing."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, sig.args[0], *args)
        item = context.get_abi_sizeof(context.get_value_type(sig.args[0].dtype))
        for line in range(0, max(64, item * WIDTH), 64):
            _prefetch(builder, address, line)
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


@intrinsic
def add_doubles(typingctx: Any, array: Any, row: Any, start: Any, value: Any) -> Any:
    """Do array[row, start : start + WIDTH] += value for a float64 array."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, sig.args[0], *args[:3])
        _write(builder, address, builder.fadd(_read(builder, address, _F64), args[3]))
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64, DOUBLES), codegen


@intrinsic
def load_integers(typingctx: Any, array: Any, start: Any) -> Any:
    """Return array[start : start + WIDTH] of an int16 array."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.sext(_read(builder, _address(context, builder, sig.args[0], *args), _I16), _IR["int"])

    return INTS(array, types.uint64), codegen


@intrinsic
def store(typingctx: Any, array: Any, row: Any, start: Any, value: Any) -> Any:
    """Do array[row, start : start + WIDTH] = value for a float32 array."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _write(builder, _address(context, builder, sig.args[0], *args[:3]), args[3])
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64, FLOATS), codegen


@intrinsic
def store_labels(typingctx: Any, array: Any, start: Any, value: Any) -> Any:
    """Do array[start : start + WIDTH] = value for an array of small integers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_value_type(sig.args[0].dtype)
        narrow_value = builder.trunc(args[2], ir.VectorType(element, WIDTH))
        _write(builder, _address(context, builder, sig.args[0], *args[:2]), narrow_value)
        return context.get_dummy_value()

    return types.void(array, types.uint64, INTS), codegen


@intrinsic
def prefetch(typingctx: Any, array: Any, row: Any, start: Any) -> Any:
    """Ask for the cache lines of array[row, start : start + WIDTH]; beyond the end of the array it does nothing."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, sig.args[0], *args)
        item = context.get_abi_sizeof(context.get_value_type(sig.args[0].dtype))
        for line in range(0, max(64, item * WIDTH), 64):
            _prefetch(builder, address, line)
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64), codegen


@intrinsic
def floats(typingctx: Any, value: Any) -> Any:
    """Return a vector with the float `value` in every place."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _fill(builder, _IR["float"], builder.fptrunc(args[0], _F32))

    return FLOATS(types.float64), codegen


@intrinsic
def integers(typingctx: Any, value: Any) -> Any:
    """Return a vector with the integer `value` in every place."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _fill(builder, _IR["int"], builder.trunc(args[0], _I32))

    return INTS(types.uint64), codegen


@intrinsic
def lane_numbers(typingctx: Any) -> Any:
    """Return 0, 1, …, WIDTH - 1."""
    return INTS(), lambda context, builder, sig, args: ir.Constant(_IR["int"], list(range(WIDTH)))


@intrinsic
def narrow(typingctx: Any, value: Any) -> Any:
    """Return doubles as floats; floats as they are."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return args[0] if sig.args[0] == FLOATS else builder.fptrunc(args[0], _IR["float"])

    return FLOATS(value), codegen


@intrinsic
def complement(typingctx: Any, value: Any) -> Any:
    """Return 1 - value as floats, subtracted in the type of `value`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rest = builder.fsub(_constant(args[0].type, 1.0), args[0])
        return rest if sig.args[0] == FLOATS else builder.fptrunc(rest, _IR["float"])

    return FLOATS(value), codegen


@intrinsic
def minus_magnitude(typingctx: Any, value: Any) -> Any:
    """Return -|value|."""
    return value(value), lambda context, builder, sig, args: builder.fneg(_call(builder, "fabs", args[0]))


@intrinsic
def zero_of(typingctx: Any, value: Any) -> Any:
    """Return zeros of the type of `value`."""
    return value(value), lambda context, builder, sig, args: _constant(args[0].type, 0.0)


@intrinsic
def above_half(typingctx: Any, value: Any) -> Any:
    """Return where `value` is above one half."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fcmp_ordered(">", args[0], _constant(args[0].type, 0.5))

    return MASK(value), codegen


@intrinsic
def below_infinity(typingctx: Any, value: Any) -> Any:
    """Return where `value` is neither +inf nor NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fcmp_ordered("<", args[0], _constant(args[0].type, float("inf")))

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
    """Return floats as doubles."""
    return DOUBLES(FLOATS), lambda context, builder, sig, args: builder.fpext(args[0], _IR["double"])


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
    return a(a, a, a), lambda context, builder, sig, args: _multiply_add(builder, *args)


# ---- Exponentials: exp(x - shift) · 2^-k, where k is the exponent of the largest, so that no logit is rounded by subtracting
# the maximum from it, and no exponential overflows.


@intrinsic
def shift_of(typingctx: Any, largest: Any) -> Any:
    """Return what is subtracted from logits whose maximum is `largest`: nothing, or the maximum where it is huge."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = _constant(args[0].type, 0.0)
        small = builder.fcmp_ordered("<", _call(builder, "fabs", args[0]), _constant(args[0].type, _LARGE))
        return builder.select(small, zero, args[0])

    return largest(largest), codegen


@intrinsic
def floor_of(typingctx: Any, largest: Any, shift: Any) -> Any:
    """Return the least x - shift that is told from minus infinity."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fsub(builder.fsub(args[0], args[1]), _constant(args[0].type, _LEAST))

    return largest(largest, largest), codegen


def _whole(builder: Any, x: Any) -> tuple[Any, Any]:
    """Return round(x / ln 2), as a float and as 32 bits to which a constant is added."""
    double = x.type.element == _F64
    magic = _constant(x.type, 1.5 * 2.0 ** (52 if double else 23))
    moved = _multiply_add(builder, x, _constant(x.type, _LOG2_E), magic)
    if double:
        bits = builder.trunc(builder.bitcast(moved, ir.VectorType(_I64, WIDTH)), _IR["int"])
    else:
        bits = builder.bitcast(moved, _IR["int"])
    return builder.fsub(moved, magic), bits


@intrinsic
def exponent_of(typingctx: Any, largest: Any, shift: Any) -> Any:
    """Return what `exp_scaled` adds to exponents so that exp(largest - shift) comes out between 0.7 and 1.42."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _, bits = _whole(builder, builder.fsub(*args))
        return builder.sub(_constant(_IR["int"], 127), bits)

    return INTS(largest, largest), codegen


@intrinsic
def exp_scaled(typingctx: Any, x: Any, shift: Any, floor: Any, exponent: Any) -> Any:
    """Return exp(x - shift) times the power of two that `exponent` stands for, as floats; what is below 2^-126 is 0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, shift, floor, exponent = args
        x = builder.fsub(x, shift)
        x = builder.select(builder.fcmp_ordered("<", x, floor), floor, x)  # keeps NaN
        whole, bits = _whole(builder, x)
        rest = _multiply_add(builder, whole, _constant(x.type, -_LN2_HIGH), x)
        rest = _multiply_add(builder, whole, _constant(x.type, -_LN2_LOW), rest)
        if rest.type.element == _F64:
            rest = builder.fptrunc(rest, _IR["float"])
        power = builder.add(bits, exponent)
        power = _call(builder, "smax", power, _constant(power.type, 0))
        scale = builder.bitcast(builder.shl(power, _constant(power.type, 23)), _IR["float"])
        return builder.fmul(_polynomial(builder, rest, _EXP), scale)

    return FLOATS(x, x, x, INTS), codegen


def _log_near_one(builder: Any, f: Any) -> Any:
    """Return ln(1 + f) for floats f between -0.3 and 0.42."""
    square = builder.fmul(f, f)
    tail = builder.fmul(builder.fmul(square, f), _polynomial(builder, f, _LOG))
    return builder.fadd(f, builder.fsub(tail, builder.fmul(square, _constant(f.type, 0.5))))


def _log(builder: Any, y: Any, complement: Any = None) -> Any:
    """Return ln(y) as floats for positive normal y, whose complement 1 - y may be known more exactly than y."""
    double = y.type.element == _F64
    word, shift = (_I64, 52) if double else (_I32, 23)
    root = 0x3FE6A09E667F3BCD if double else 0x3F3504F3  # the bits of sqrt(1/2)
    kind = ir.VectorType(word, WIDTH)
    bits = builder.bitcast(y, kind)
    exponent = builder.ashr(builder.sub(bits, _constant(kind, root)), _constant(kind, shift))
    rest = builder.bitcast(builder.sub(bits, builder.shl(exponent, _constant(kind, shift))), y.type)
    f = builder.fsub(rest, _constant(y.type, 1.0))
    if complement is not None:
        near = builder.icmp_signed("==", exponent, _constant(kind, 0))
        f = builder.select(near, builder.fneg(complement), f)
    if double:
        exponent, f = builder.trunc(exponent, _IR["int"]), builder.fptrunc(f, _IR["float"])
    whole = builder.sitofp(exponent, _IR["float"])
    low = _multiply_add(builder, whole, _constant(whole.type, _LN2_LOW), _log_near_one(builder, f))
    return _multiply_add(builder, whole, _constant(whole.type, _LN2_HIGH), low)


@intrinsic
def log_of(typingctx: Any, x: Any) -> Any:
    """Return ln(x) as floats, -inf for zero (and for less than zero)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x = args[0]
        tiny = builder.fcmp_ordered("<", x, _constant(x.type, 1e-30))
        value = _log(builder, builder.select(tiny, builder.fmul(x, _constant(x.type, 2.0**64)), x))
        offset = builder.select(tiny, _constant(_IR["float"], -44.3614195558365), _constant(_IR["float"], 0.0))
        zero = builder.fcmp_ordered("<=", x, _constant(x.type, 0.0))
        return builder.select(zero, _constant(_IR["float"], float("-inf")), builder.fadd(value, offset))

    return FLOATS(x), codegen


@intrinsic
def minus_log_of(typingctx: Any, x: Any, rest: Any) -> Any:
    """Return -ln(x) for positive normal floats x whose complement 1 - x is known: exact also where x is almost 1."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fneg(_log(builder, args[0], args[1]))

    return FLOATS(FLOATS, FLOATS), codegen


@intrinsic
def transpose_tile(typingctx: Any, source: Any, row: Any, start: Any, target: Any, to: Any) -> Any:
    """Transpose 4×16: do target[row + r, to + k] = source[row + r, start + k] where source has its rows side by side."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        read, row, start, write, to = args
        bits = context.get_abi_sizeof(context.get_value_type(sig.args[0].dtype)) * 8

        def shuffle(a: Any, b: Any, order: list[int]) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(order)), order))

        fours = []
        # The address is hidden from LLVM, which would keep a running address for each row, in memory for want of registers.
        at = _address(context, builder, sig.args[0], read, row, start)
        at = builder.asm(ir.FunctionType(at.type, [at.type]), "", "=r,0", [at], False)
        step = cgutils.unpack_tuple(builder, context.make_array(sig.args[0])(context, builder, read).strides)[1]
        steps = [ir.Constant(_I64, 0), step, builder.shl(step, ir.Constant(_I64, 1))]
        steps.append(builder.add(steps[1], steps[2]))
        four = builder.shl(step, ir.Constant(_I64, 2))
        for _ in range(4):
            fours += [_read(builder, builder.gep(at, [offset]), ir.IntType(bits), 4) for offset in steps]
            at = builder.gep(at, [four])
        # Voxels k, k + 4, k + 8 and k + 12 go to the four parts of a register; then every part is transposed by itself.
        lines = []
        for k in range(4):
            low, high = (shuffle(fours[k + j], fours[k + j + 4], list(range(8))) for j in (0, 8))
            lines.append(shuffle(low, high, list(range(16))))
        parts = range(0, 16, 4)
        first = [i for p in parts for i in (p, p + 16, p + 1, p + 17)]
        second = [i for p in parts for i in (p + 2, p + 18, p + 3, p + 19)]
        a, b, c, d = (shuffle(lines[j], lines[j + 1], order) for j in (0, 2) for order in (first, second))
        ahead = [i for p in parts for i in (p, p + 1, p + 16, p + 17)]
        behind = [i for p in parts for i in (p + 2, p + 3, p + 18, p + 19)]
        columns = [shuffle(a, c, ahead), shuffle(a, c, behind), shuffle(b, d, ahead), shuffle(b, d, behind)]
        at = _address(context, builder, sig.args[3], write, row, to)
        step = cgutils.unpack_tuple(builder, context.make_array(sig.args[3])(context, builder, write).strides)[0]
        for column in columns:
            _write(builder, at, column)
            at = builder.gep(at, [step])
        return context.get_dummy_value()

    u64 = types.uint64
    return types.void(source, u64, u64, target, u64), codegen


from fastseg.kernels.jit import DISABLED  # noqa: E402

if DISABLED:  # the same in Python
    from fastseg.kernels.vectors_python import (
        above_half,
        add_doubles,
        below_infinity,
        bits_count,
        complement,
        exp_scaled,
        exponent_of,
        floats,
        floor_of,
        integers,
        lane_numbers,
        load,
        load_flat,
        load_integers,
        log_of,
        minus_log_of,
        minus_magnitude,
        multiply_add,
        narrow,
        prefetch,
        prefetch_flat,
        select,
        shift_of,
        store,
        store_labels,
        sum_of,
        transpose_tile,
        widen,
        zero_of,
    )

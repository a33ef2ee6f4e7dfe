"""Sixty-four lanes at a time: the few vector operations that Numba's Python cannot say.

Each is a line or two of LLVM, so it becomes the best instructions of the machine it is compiled on (two compares into mask
registers with AVX-512, `pcmpeqb` and `pmovmskb` before). With NUMBA_DISABLE_JIT=1 the Python twins below run instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastseg.kernels.numba.simd.building import fill, load
from fastseg.kernels.numba.switch import DISABLED

__all__ = [
    "ALL",
    "as_bits",
    "change_lanes",
    "differing_lanes",
    "leading_zeros",
    "match_lanes",
    "nonzero_lanes",
    "popcount",
    "prefetch_lanes",
    "prefetch_line",
    "sum_lanes",
    "trailing_zeros",
    "transpose_lanes",
    "uniform_lanes",
    "weight_lanes",
]

LANES = 64
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_BYTE = ir.IntType(8).as_pointer()


def _load_lanes(context: Any, builder: Any, array_type: Any, array: Any, start: Any) -> Any:
    """Load array[start : start + 64] as a vector of integers of the items' width, from any alignment."""
    width = context.get_abi_sizeof(context.get_value_type(array_type.dtype)) * 8
    return load(context, builder, array_type, array, start, ir.VectorType(ir.IntType(width), LANES))


def _load_floats(context: Any, builder: Any, array_type: Any, array: Any, start: Any) -> Any:
    """Load array[start : start + 64] of a float array as a vector of its own type."""
    vector = ir.VectorType(context.get_value_type(array_type.dtype), LANES)
    return load(context, builder, array_type, array, start, vector)


def _prefetch(builder: Any, address: Any) -> None:
    """Ask for the cache line at an address, to be read soon."""
    function_type = ir.FunctionType(ir.VoidType(), [_BYTE, _I32, _I32, _I32])
    prefetch = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    builder.call(prefetch, [address, ir.Constant(_I32, 0), ir.Constant(_I32, 3), ir.Constant(_I32, 1)])


@intrinsic
def match_lanes(typingctx: Any, array: Any, start: Any, value: Any) -> Any:
    """Return a word whose bit i says whether array[start + i] has the same bits as value, for i in 0..63."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load_lanes(context, builder, signature.args[0], args[0], args[1])
        value = fill(builder, vector.type, builder.bitcast(args[2], vector.type.element))
        return builder.bitcast(builder.icmp_unsigned("==", vector, value), _I64)

    return types.uint64(array, types.uint64, array.dtype), codegen


@intrinsic
def change_lanes(typingctx: Any, array: Any, start: Any) -> Any:
    """Return a 64-bit word: bit k > 0 is set where array[start + k] and the item before it are of other bits; bit 0 is not."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = _load_lanes(context, builder, array, *args)
        before = ir.Constant(ir.VectorType(_I32, LANES), [0, *range(LANES - 1)])
        shifted = builder.shuffle_vector(lanes, ir.Constant(lanes.type, ir.Undefined), before)
        return builder.bitcast(builder.icmp_unsigned("!=", lanes, shifted), _I64)

    return types.uint64(array, types.uint64), codegen


@intrinsic
def differing_lanes(typingctx: Any, array: Any, start: Any, other: Any) -> Any:
    """Return a word whose bit i says whether array[start + i] and array[other + i] are of other bits, for i in 0..63."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one, two = (_load_lanes(context, builder, signature.args[0], args[0], at) for at in args[1:])
        return builder.bitcast(builder.icmp_unsigned("!=", one, two), _I64)

    return types.uint64(array, types.uint64, types.uint64), codegen


@intrinsic
def uniform_lanes(typingctx: Any, array: Any, start: Any, value: Any) -> Any:
    """Tell whether array[start : start + 64] all have the bits of value; for wide items cheaper than `match_lanes`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load_lanes(context, builder, signature.args[0], args[0], args[1])
        difference = builder.xor(vector, fill(builder, vector.type, builder.bitcast(args[2], vector.type.element)))
        undefined = ir.Constant(vector.type, ir.Undefined)
        count = LANES
        while count * vector.type.element.width > 512:  # fold halves, down to one register
            count //= 2
            low, high = (
                builder.shuffle_vector(
                    difference, undefined, ir.Constant(ir.VectorType(_I32, count), list(range(first, first + count)))
                )
                for first in (0, count)
            )
            difference = builder.or_(low, high)
            undefined = ir.Constant(difference.type, ir.Undefined)
        differs = builder.icmp_unsigned("!=", difference, ir.Constant(difference.type, None))
        word = ir.IntType(count)
        return builder.icmp_unsigned("==", builder.bitcast(differs, word), ir.Constant(word, 0))

    return types.boolean(array, types.uint64, array.dtype), codegen


@intrinsic
def nonzero_lanes(typingctx: Any, array: Any, start: Any) -> Any:
    """Return a word whose bit i says whether array[start + i] is not zero, for i in 0..63."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load_lanes(context, builder, signature.args[0], args[0], args[1])
        return builder.bitcast(builder.icmp_unsigned("!=", vector, ir.Constant(vector.type, None)), _I64)

    return types.uint64(array, types.uint64), codegen


@intrinsic
def weight_lanes(typingctx: Any, array: Any, start: Any) -> Any:
    """Return a word whose bit i says whether the float array[start + i] is finite and not negative, for i in 0..63."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load_floats(context, builder, signature.args[0], args[0], args[1])
        element = vector.type.element
        zero = fill(builder, vector.type, ir.Constant(element, 0.0))
        infinity = fill(builder, vector.type, ir.Constant(element, float("inf")))
        good = builder.and_(builder.fcmp_ordered(">=", vector, zero), builder.fcmp_ordered("<", vector, infinity))
        return builder.bitcast(good, _I64)

    return types.uint64(array, types.uint64), codegen


@intrinsic
def sum_lanes(typingctx: Any, array: Any, start: Any, lanes: Any) -> Any:
    """Sum in float64, as a fixed tree, the floats of array[start : start + 64] whose bit in `lanes` is set."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load_floats(context, builder, signature.args[0], args[0], args[1])
        chosen = builder.bitcast(args[2], ir.VectorType(ir.IntType(1), LANES))
        zero = fill(builder, vector.type, ir.Constant(vector.type.element, 0.0))
        double = ir.DoubleType()
        total = builder.select(chosen, vector, zero)
        if vector.type.element != double:
            total = builder.fpext(total, ir.VectorType(double, LANES))
        count = LANES
        while count > 1:  # halves, so that each step is a few vector additions
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

    return types.float64(array, types.uint64, types.uint64), codegen


@intrinsic
def prefetch_lanes(typingctx: Any, array: Any, start: Any) -> Any:
    """Ask for the cache lines of array[start : start + 64]; past the end of the array it does nothing."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array_type = signature.args[0]
        data = context.make_array(array_type)(context, builder, args[0]).data
        first = builder.bitcast(builder.gep(data, [args[1]]), _BYTE)
        for line in range(context.get_abi_sizeof(context.get_value_type(array_type.dtype))):
            _prefetch(builder, builder.gep(first, [ir.Constant(_I64, 64 * line)]))
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


@intrinsic
def prefetch_line(typingctx: Any, array: Any, start: Any) -> Any:
    """Ask for the cache line of item `start` of an array, as it lies in memory."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        _prefetch(builder, builder.bitcast(builder.gep(data, [args[1]]), _BYTE))
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


@intrinsic
def transpose_lanes(typingctx: Any, source: Any, start: Any, step: Any, target: Any, to: Any, pitch: Any) -> Any:
    """Transpose 8×32 bytes: do target[to + r * pitch + c] = source[start + c * step + r] for c in 0..7, r in 0..31."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        read, start, step, write, to, pitch = args
        read = context.make_array(signature.args[0])(context, builder, read).data
        write = context.make_array(signature.args[3])(context, builder, write).data
        column = ir.VectorType(ir.IntType(8), 32)
        columns = []
        for c in range(8):
            at = builder.add(start, builder.mul(step, ir.Constant(_I64, c)))
            columns.append(builder.load(builder.bitcast(builder.gep(read, [at]), column.as_pointer()), align=1))
        # Interleave bytes of neighbouring columns, then pairs, then fours: each row becomes one word.
        order = ir.Constant(ir.VectorType(_I32, 64), [k // 2 + 32 * (k % 2) for k in range(64)])
        for width in (16, 32, 64):
            pairs = zip(columns[::2], columns[1::2], strict=True)
            wider = ir.VectorType(ir.IntType(width), 32)
            columns = [builder.bitcast(builder.shuffle_vector(low, high, order), wider) for low, high in pairs]
        for r in range(32):
            at = builder.add(to, builder.mul(pitch, ir.Constant(_I64, r)))
            word = builder.extract_element(columns[0], ir.Constant(_I32, r))
            builder.store(word, builder.bitcast(builder.gep(write, [at]), _I64.as_pointer()), align=1)
        return context.get_dummy_value()

    u64 = types.uint64
    return types.void(source, u64, u64, target, u64, u64), codegen


@intrinsic
def popcount(typingctx: Any, word: Any) -> Any:
    """Count the set bits of a 64-bit word."""
    return types.uint64(types.uint64), lambda context, builder, signature, args: builder.ctpop(args[0])


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Return the index of the lowest set bit; the word must not be zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def leading_zeros(typingctx: Any, word: Any) -> Any:
    """Return how many bits above the highest set one are not; the word must not be zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def as_bits(typingctx: Any, value: Any) -> Any:
    """Return the bits of a float or an unsigned integer, zero-extended to 64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = context.get_abi_sizeof(context.get_value_type(signature.args[0])) * 8
        bits = builder.bitcast(args[0], ir.IntType(width))
        return bits if width == 64 else builder.zext(bits, _I64)

    return types.uint64(value), codegen


if DISABLED:  # the same in Python, one lane after another

    def _lane_bits(array: Any, start: Any) -> Any:
        lanes = array[int(start) : int(start) + LANES]
        return lanes.view(f"u{lanes.dtype.itemsize}")

    def _word(lanes: Any) -> np.uint64:
        return np.packbits(lanes, bitorder="little").view(np.uint64)[0]

    def match_lanes(array: Any, start: Any, value: Any) -> np.uint64:
        return _word(_lane_bits(array, start) == array.dtype.type(value).view(f"u{array.dtype.itemsize}"))

    def change_lanes(array: Any, start: Any) -> np.uint64:
        lanes = _lane_bits(array, start)
        return _word(np.append(False, lanes[1:] != lanes[:-1]))

    def differing_lanes(array: Any, start: Any, other: Any) -> np.uint64:
        return _word(_lane_bits(array, start) != _lane_bits(array, other))

    def nonzero_lanes(array: Any, start: Any) -> np.uint64:
        return _word(_lane_bits(array, start) != 0)

    def uniform_lanes(array: Any, start: Any, value: Any) -> bool:
        return bool(match_lanes(array, start, value) == ALL)

    def weight_lanes(array: Any, start: Any) -> np.uint64:
        lanes = array[int(start) : int(start) + LANES]
        return _word((lanes >= 0) & (lanes < np.inf))

    def sum_lanes(array: Any, start: Any, lanes: Any) -> float:
        chosen = np.unpackbits(np.array([lanes]).view(np.uint8), bitorder="little").astype(bool)
        total = np.where(chosen, array[int(start) : int(start) + LANES], 0).astype(np.float64)
        while total.size > 1:
            total = total[: total.size // 2] + total[total.size // 2 :]
        return float(total[0])

    def prefetch_lanes(array: Any, start: Any) -> None:
        return None

    def prefetch_line(array: Any, start: Any) -> None:
        return None

    def transpose_lanes(source: Any, start: Any, step: Any, target: Any, to: Any, pitch: Any) -> None:
        for r in range(32):
            for c in range(8):
                target[int(to) + r * int(pitch) + c] = source[int(start) + c * int(step) + r]

    def popcount(word: Any) -> np.uint64:
        return np.uint64(int(word).bit_count())

    def trailing_zeros(word: Any) -> np.uint64:
        return np.uint64((int(word) & -int(word)).bit_length() - 1)

    def leading_zeros(word: Any) -> np.uint64:
        return np.uint64(64 - int(word).bit_length())

    def as_bits(value: Any) -> np.uint64:
        return np.uint64(value.view(f"u{value.dtype.itemsize}"))

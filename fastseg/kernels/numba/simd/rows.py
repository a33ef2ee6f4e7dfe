"""Rows of bit maps and blocks of voxels, eight compared at once: what surfaces are found and searched with."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastseg.kernels.numba.simd.building import fill, load
from fastseg.kernels.numba.switch import DISABLED

__all__ = ["block_matches", "nearest_beside", "rows_beside", "rows_turned"]

_I32, _I64, _BYTE = ir.IntType(32), ir.IntType(64), ir.IntType(8)
_ROWS, _SQUARES = ir.VectorType(_I64, 8), ir.VectorType(ir.DoubleType(), 8)


def _of_each(builder: Any, name: str, *args: Any) -> Any:
    """Call what LLVM does with each of eight numbers."""
    kind = ir.FunctionType(_ROWS, [each.type for each in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v8i64"), args)


def _byte(builder: Any, rows: Any) -> Any:
    """Return a byte, of which bit i says whether row i has a bit."""
    there = builder.icmp_unsigned("!=", rows, ir.Constant(_ROWS, None))
    return builder.zext(builder.bitcast(there, _BYTE), _I64)


def _within(builder: Any, rows: Any, cuts: Any) -> Any:
    """Return rows of which nothing is left if they have no bits around the middle: see `rows_turned`."""
    cuts = builder.zext(builder.bitcast(cuts, ir.VectorType(_BYTE, 8)), _ROWS)
    one = ir.Constant(_ROWS, [1] * 8)
    return builder.lshr(builder.shl(rows, cuts), builder.add(builder.shl(cuts, one), one))


@intrinsic
def rows_turned(typingctx: Any, words: Any, start: Any, other: Any, turn: Any, cuts: Any) -> Any:
    """Return a byte: bit i says whether words[start + i] or words[other + i], turned left by `turn`, has bits around bit 32.

    Byte i of `cuts` is 31 less the number of bits on either side of it which are looked at.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, start, other, turn, cuts = args
        both = builder.or_(*(load(context, builder, signature.args[0], words, each, _ROWS) for each in (start, other)))
        return _byte(builder, _within(builder, _of_each(builder, "fshl", both, both, fill(builder, _ROWS, turn)), cuts))

    u64 = types.uint64
    return types.uint64(words, u64, u64, u64, u64), codegen


def _beside(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Return the rows that `rows_beside` looks at."""
    words, start, other, pitch, shift = args[:5]
    low, high = (
        builder.or_(
            *(
                load(context, builder, signature.args[0], words, builder.add(each, step), _ROWS)
                for each in (start, other)
            )
        )
        for step in (ir.Constant(_I64, 0), pitch)
    )
    return _of_each(builder, "fshr", high, low, fill(builder, _ROWS, shift))


@intrinsic
def rows_beside(typingctx: Any, words: Any, start: Any, other: Any, pitch: Any, shift: Any, cuts: Any) -> Any:
    """Return as `rows_turned` does what rows have that lie in two words.

    Row i is the 64 bits from bit `shift` of words[start + i] on, then those of words[start + pitch + i]; so it is at `other`.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _byte(builder, _within(builder, _beside(context, builder, signature, args), args[5]))

    u64 = types.uint64
    return types.uint64(words, u64, u64, u64, u64, u64), codegen


@intrinsic
def nearest_beside(
    typingctx: Any, words: Any, start: Any, other: Any, pitch: Any, shift: Any, valid: Any, above: Any, squares: Any, row: Any,
    step: Any,
) -> Any:  # fmt: skip
    """Return the least (above + squares[row + i]) + (Δx * step)² of the bits of the rows of `rows_beside`, and 64 i + Δx.

    Rows whose bit in the byte `valid` is 0 are left out. Without any it is infinite.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        valid, above, squares, row, step = args[5:]
        found = _beside(context, builder, signature, args)
        last, half = (ir.Constant(_ROWS, [each] * 8) for each in (31, 32))
        ahead = _of_each(builder, "cttz", builder.lshr(found, half), ir.Constant(ir.IntType(1), 0))
        low = builder.and_(found, ir.Constant(_ROWS, [0xFFFFFFFF] * 8))
        back = builder.sub(_of_each(builder, "ctlz", low, ir.Constant(ir.IntType(1), 0)), last)
        offsets = builder.select(builder.icmp_unsigned("<", ahead, back), ahead, back)
        along = builder.fmul(builder.uitofp(offsets, _SQUARES), fill(builder, _SQUARES, step))
        across = builder.fadd(
            fill(builder, _SQUARES, above), load(context, builder, signature.args[7], squares, row, _SQUARES)
        )
        lanes = builder.bitcast(builder.trunc(valid, _BYTE), ir.VectorType(ir.IntType(1), 8))
        there = builder.and_(builder.icmp_unsigned("!=", found, ir.Constant(_ROWS, None)), lanes)
        infinite = ir.Constant(_SQUARES, [float("inf")] * 8)
        each = builder.select(there, builder.fadd(across, builder.fmul(along, along)), infinite)
        least = each
        for distance in (4, 2, 1):
            order = ir.Constant(ir.VectorType(_I32, 8), [i ^ distance for i in range(8)])
            moved = builder.shuffle_vector(least, least, order)
            least = builder.select(builder.fcmp_ordered("<", moved, least), moved, least)
        first = builder.bitcast(builder.fcmp_ordered("==", each, least), _BYTE)
        lane = builder.and_(builder.cttz(first, ir.Constant(ir.IntType(1), 0)), ir.Constant(_BYTE, 7))
        lane = builder.zext(lane, _I64)
        place = builder.or_(builder.shl(lane, ir.Constant(_I64, 6)), builder.extract_element(offsets, lane))
        smallest = builder.extract_element(least, ir.Constant(_I32, 0))
        return context.make_tuple(builder, signature.return_type, [smallest, place])

    u64, f64 = types.uint64, types.float64
    returned = types.Tuple((f64, u64))  # type: ignore[attr-defined]
    return returned(words, u64, u64, u64, u64, u64, f64, squares, u64, f64), codegen


@intrinsic
def block_matches(typingctx: Any, array: Any, a: Any, b: Any, c: Any, d: Any, value: Any) -> Any:
    """Return a byte: bits 0 and 1 say whether array[a] and array[a + 1] have the bits of value; then those of b, c and d."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = context.get_abi_sizeof(context.get_value_type(signature.args[0].dtype)) * 8
        pair = ir.VectorType(ir.IntType(width), 2)
        pairs = [load(context, builder, signature.args[0], args[0], at, pair) for at in args[1:5]]
        while len(pairs) > 1:
            count = 2 * pairs[0].type.count
            order = ir.Constant(ir.VectorType(_I32, count), list(range(count)))
            pairs = [builder.shuffle_vector(x, y, order) for x, y in zip(pairs[::2], pairs[1::2], strict=True)]
        values = fill(builder, pairs[0].type, builder.bitcast(args[5], ir.IntType(width)))
        return builder.zext(builder.bitcast(builder.icmp_unsigned("==", pairs[0], values), ir.IntType(8)), _I64)

    u64 = types.uint64
    return types.uint64(array, u64, u64, u64, u64, array.dtype), codegen


if DISABLED:  # the same in Python
    _ONES = (1 << 64) - 1

    def _any_within(rows: list[int], cuts: Any) -> np.uint64:
        each = enumerate(zip(rows, int(cuts).to_bytes(8, "little"), strict=True))
        return np.uint64(sum(((row << cut & _ONES) >> 2 * cut + 1 != 0) << i for i, (row, cut) in each))

    def rows_turned(words: Any, start: Any, other: Any, turn: Any, cuts: Any) -> np.uint64:
        rows = [(int(words[int(start) + i]) | int(words[int(other) + i])) << int(turn) for i in range(8)]
        return _any_within([(row | row >> 64) & _ONES for row in rows], cuts)

    def _rows_beside(words: Any, start: Any, other: Any, pitch: Any, shift: Any) -> list[int]:
        here, there = int(start), int(other)
        each = [words[at : at + 8].astype(object) for at in (here, there, here + int(pitch), there + int(pitch))]
        return [int((a | b | (c | d) << 64) >> int(shift)) & _ONES for a, b, c, d in zip(*each, strict=True)]

    def rows_beside(words: Any, start: Any, other: Any, pitch: Any, shift: Any, cuts: Any) -> np.uint64:
        return _any_within(_rows_beside(words, start, other, pitch, shift), cuts)

    def nearest_beside(
        words: Any,
        start: Any,
        other: Any,
        pitch: Any,
        shift: Any,
        valid: Any,
        above: Any,
        squares: Any,
        row: Any,
        step: Any,
    ) -> tuple[float, np.uint64]:
        least, place = np.inf, 0
        for i, bits in enumerate(_rows_beside(words, start, other, pitch, shift)):
            offsets = [x for x in range(33) if (bits >> 32 + x | bits >> 32 - x) & 1] if int(valid) >> i & 1 else []
            for offset in offsets[:1]:
                square = (above + squares[int(row) + i]) + (offset * step) ** 2
                if square < least:
                    least, place = square, 64 * i + offset
        return least, np.uint64(place)

    def block_matches(array: Any, a: Any, b: Any, c: Any, d: Any, value: Any) -> np.uint64:
        places = [int(at) + i for at in (a, b, c, d) for i in (0, 1)]
        return np.uint64(sum(int(array[at] == value) << i for i, at in enumerate(places)))

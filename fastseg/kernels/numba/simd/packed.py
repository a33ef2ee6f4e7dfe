"""Sixty-four pairs of labels as bytes, whatever their type: what counting in noise needs, in a few vector operations.

The order of the bytes is whatever is cheapest, the same for both maps, and the last pair stays the last. For labels of
eight bytes, say, eight vectors of eight are shifted by 0, 8, …, 56 bits and joined by OR.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastseg.kernels.numba.simd.lanes import LANES
from fastseg.kernels.numba.switch import DISABLED

__all__ = ["NIBBLES", "PACKED_WORDS", "WIDE", "join_bytes", "join_nibbles", "pack_lanes"]

PACKED_WORDS = 2 * LANES // 8
NIBBLES, WIDE = np.uint64(0), np.uint64(2)  # answers of `pack_lanes`: all labels are in 0..15; some are not in 0..255

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTES = ir.VectorType(_I8, LANES)


def _fill(vector: Any, value: Any) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, start: Any, vector: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [start]), vector.as_pointer())


def _whole_numbers(builder: Any, vector: Any) -> Any:
    """Turn floats that are whole numbers in 0..255 into these integers, and other floats into some above 255."""
    double = vector.type.element == ir.DoubleType()
    integers = ir.VectorType(ir.IntType(64 if double else 32), vector.type.count)
    # Added to a power of two so large that no bits remain for a fraction, a whole number is what its last bits say.
    power = _fill(vector.type, 2.0**52 if double else 2.0**23)
    bits = _fill(integers, 0x4330000000000000 if double else 0x4B000000)
    shifted = builder.fadd(vector, power)
    number = builder.sub(builder.bitcast(shifted, integers), bits)
    back = builder.bitcast(builder.fsub(shifted, power), integers)
    changed = builder.icmp_unsigned("!=", back, builder.bitcast(vector, integers))  # a fraction, -0.0 or NaN
    return builder.or_(number, builder.sext(changed, integers))


def _packed(context: Any, builder: Any, array_type: Any, array: Any, start: Any, order: int) -> tuple[Any, Any]:
    """Return 64 labels as bytes in the order of labels of `order` bytes, and a vector of the OR of all labels."""
    element = context.get_value_type(array_type.dtype)
    size = context.get_abi_sizeof(element)
    parts = size if size == order else 1
    vector = ir.VectorType(element, LANES // parts)
    packed = seen = None
    for part in range(parts):
        at = builder.add(start, ir.Constant(_I64, part * vector.count))
        labels = builder.load(_pointer(context, builder, array_type, array, at, vector), align=1)
        if isinstance(array_type.dtype, types.Float):
            labels = _whole_numbers(builder, labels)
        seen = labels if seen is None else builder.or_(seen, labels)
        if packed is None:
            packed = labels
        else:
            packed = builder.or_(packed, builder.shl(labels, _fill(labels.type, 8 * part)))
    if size == order:
        return builder.bitcast(packed, _BYTES), seen
    narrow = packed if size == 1 else builder.trunc(packed, _BYTES)
    places = [part * (LANES // order) + k for k in range(LANES // order) for part in range(order)]
    mixed = builder.shuffle_vector(
        narrow, ir.Constant(_BYTES, ir.Undefined), ir.Constant(ir.VectorType(_I32, LANES), places)
    )
    return mixed, seen


def _above(builder: Any, vector: Any, largest: int) -> Any:
    """Tell whether any of the numbers that a vector is the OR of is above `largest` (a power of two less one)."""
    high = builder.and_(vector, _fill(vector.type, (1 << vector.type.element.width) - 1 - largest))
    some = builder.icmp_unsigned("!=", high, ir.Constant(vector.type, None))
    word = ir.IntType(vector.type.count)
    return builder.icmp_unsigned("!=", builder.bitcast(some, word), ir.Constant(word, 0))


@intrinsic
def pack_lanes(typingctx: Any, y_true: Any, i: Any, y_pred: Any, j: Any, packed: Any) -> Any:
    """Store 64 true labels from i on and 64 predicted ones from j on in `packed`, as bytes; the true ones come first.

    Returns 0 if all labels are in 0..15, 1 if all are in 0..255, else 2 or 3, and the bytes mean nothing.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sizes = [context.get_abi_sizeof(context.get_value_type(t.dtype)) for t in (y_true, y_pred)]
        seen = []
        for n, (array_type, array, start) in enumerate([(y_true, *args[:2]), (y_pred, *args[2:4])]):
            labels, some = _packed(context, builder, array_type, array, start, max(sizes))
            target = _pointer(context, builder, packed, args[4], ir.Constant(_I64, n * LANES // 8), _BYTES)
            builder.store(labels, target, align=1)
            seen.append(some)
        if seen[0].type == seen[1].type:
            seen = [builder.or_(*seen)]
        answer = ir.Constant(_I64, 0)
        for some in seen:
            answer = builder.or_(answer, builder.zext(_above(builder, some, 15), _I64))
            if some.type.element.width > 8:
                wide = builder.zext(_above(builder, some, 255), _I64)
                answer = builder.or_(answer, builder.shl(wide, ir.Constant(_I64, 1)))
        return answer

    return types.uint64(y_true, types.uint64, y_pred, types.uint64, packed), codegen


@intrinsic
def join_nibbles(typingctx: Any, packed: Any) -> Any:
    """Turn packed pairs of labels in 0..15 into 64 codes of a byte each, in place: true << 4 | predicted."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = _pointer(context, builder, packed, args[0], ir.Constant(_I64, 0), _BYTES)
        second = _pointer(context, builder, packed, args[0], ir.Constant(_I64, LANES // 8), _BYTES)
        words = ir.VectorType(_I64, LANES // 8)
        true = builder.shl(builder.bitcast(builder.load(first, align=1), words), _fill(words, 4))
        builder.store(builder.or_(builder.bitcast(true, _BYTES), builder.load(second, align=1)), first, align=1)
        return context.get_dummy_value()

    return types.void(packed), codegen


@intrinsic
def join_bytes(typingctx: Any, packed: Any) -> Any:
    """Turn packed pairs into 64 codes of two bytes each, in place and in some order: true << 8 | predicted."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        shorts = ir.VectorType(ir.IntType(16), LANES // 2)
        first = _pointer(context, builder, packed, args[0], ir.Constant(_I64, 0), shorts)
        second = _pointer(context, builder, packed, args[0], ir.Constant(_I64, LANES // 8), shorts)
        true, predicted = builder.load(first, align=1), builder.load(second, align=1)
        eight, low = _fill(shorts, 8), _fill(shorts, 255)
        even = builder.or_(builder.shl(true, eight), builder.and_(predicted, low))
        odd = builder.or_(builder.and_(true, _fill(shorts, 0xFF00)), builder.lshr(predicted, eight))
        builder.store(even, first, align=1)
        builder.store(odd, second, align=1)
        return context.get_dummy_value()

    return types.void(packed), codegen


if DISABLED:  # the same in Python

    def pack_lanes(y_true: Any, i: Any, y_pred: Any, j: Any, packed: Any) -> np.uint64:
        labels = [array[int(start) : int(start) + LANES] for array, start in ((y_true, i), (y_pred, j))]
        with np.errstate(invalid="ignore"):
            numbers = [a.astype(np.uint64) if a.dtype.kind == "u" else a.astype(np.uint8) for a in labels]
        for n, (given, found) in enumerate(zip(labels, numbers, strict=True)):
            if given.dtype.kind == "f" and (found.astype(given.dtype).tobytes() != given.tobytes()):
                return np.uint64(3)
            packed[n * LANES // 8 : (n + 1) * LANES // 8] = found.astype(np.uint8).view(np.uint64)
        largest = max(a.max() for a in numbers)
        return np.uint64(2 * (largest > 255) + (largest > 15))

    def join_nibbles(packed: Any) -> None:
        packed[: LANES // 8] = packed[: LANES // 8] << np.uint64(4) | packed[LANES // 8 :]

    def join_bytes(packed: Any) -> None:
        true, predicted = packed.view(np.uint8).reshape(2, LANES).astype(np.uint16)
        packed[:] = (true << 8 | predicted).view(np.uint64)

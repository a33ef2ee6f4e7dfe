"""Rows of bit maps and blocks of voxels, eight compared at once: what surfaces are found and searched with."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastseg.kernels.numba.switch import DISABLED

__all__ = ["block_matches", "rows_within"]

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@intrinsic
def rows_within(typingctx: Any, words: Any, start: Any, other: Any, shift: Any, masks: Any, at: Any) -> Any:
    """Return a byte: bit i says whether row i has one of the bits masks[at + i], for i in 0..7.

    Row i is the 64 bits from bit `shift` of words[start + i] on, those of words[other + i] after it.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, start, other, shift, masks, at = args
        vector = ir.VectorType(_I64, 8)

        def load(array_type: Any, array: Any, index: Any) -> Any:
            data = context.make_array(array_type)(context, builder, array).data
            return builder.load(builder.bitcast(builder.gep(data, [index]), vector.as_pointer()), align=1)

        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, shift, ir.Constant(_I32, 0))
        shifts = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, 8), [0] * 8))
        function_type = ir.FunctionType(vector, [vector] * 3)
        funnel = cgutils.get_or_insert_function(builder.module, function_type, "llvm.fshr.v8i64")
        low, high = (load(signature.args[0], words, index) for index in (start, other))
        found = builder.and_(builder.call(funnel, [high, low, shifts]), load(signature.args[4], masks, at))
        there = builder.icmp_unsigned("!=", found, ir.Constant(vector, None))
        return builder.zext(builder.bitcast(there, ir.IntType(8)), _I64)

    u64 = types.uint64
    return types.uint64(words, u64, u64, u64, masks, u64), codegen


@intrinsic
def block_matches(typingctx: Any, array: Any, a: Any, b: Any, c: Any, d: Any, value: Any) -> Any:
    """Return a byte: bits 0 and 1 say whether array[a] and array[a + 1] have the bits of value; then those of b, c and d."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        width = context.get_abi_sizeof(context.get_value_type(signature.args[0].dtype)) * 8
        pair = ir.VectorType(ir.IntType(width), 2)
        pairs = [builder.load(builder.bitcast(builder.gep(data, [at]), pair.as_pointer()), align=1) for at in args[1:5]]
        while len(pairs) > 1:
            count = 2 * pairs[0].type.count
            order = ir.Constant(ir.VectorType(_I32, count), list(range(count)))
            pairs = [builder.shuffle_vector(x, y, order) for x, y in zip(pairs[::2], pairs[1::2], strict=True)]
        undefined = ir.Constant(pairs[0].type, ir.Undefined)
        first = builder.insert_element(undefined, builder.bitcast(args[5], ir.IntType(width)), ir.Constant(_I32, 0))
        values = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, 8), [0] * 8))
        return builder.zext(builder.bitcast(builder.icmp_unsigned("==", pairs[0], values), ir.IntType(8)), _I64)

    u64 = types.uint64
    return types.uint64(array, u64, u64, u64, u64, array.dtype), codegen


if DISABLED:  # the same in Python

    def rows_within(words: Any, start: Any, other: Any, shift: Any, masks: Any, at: Any) -> np.uint64:
        found = 0
        for i in range(8):
            row = int(words[int(start) + i]) | int(words[int(other) + i]) << 64
            found |= (row >> int(shift) & int(masks[int(at) + i]) != 0) << i
        return np.uint64(found)

    def block_matches(array: Any, a: Any, b: Any, c: Any, d: Any, value: Any) -> np.uint64:
        places = [int(at) + i for at in (a, b, c, d) for i in (0, 1)]
        return np.uint64(sum(int(array[at] == value) << i for i, at in enumerate(places)))

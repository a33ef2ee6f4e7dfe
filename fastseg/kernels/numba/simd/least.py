"""The least of sums, of sixteen columns at a time, which stay in registers while the rows go by."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastseg.kernels.numba.switch import DISABLED

__all__ = ["COLUMNS", "least_sums"]

COLUMNS = 16
_I32 = ir.IntType(32)


@intrinsic
def least_sums(
    typingctx: Any, rows: Any, start: Any, pitch: Any, number: Any, added: Any, first: Any, out: Any, at: Any
) -> Any:
    """Write the least of rows[start + i * pitch + c] + added[first + i], i from 0 to number - 1, to out[at + c] for all c."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, start, pitch, number, added, first, out, at = args
        source, added, target = (
            context.make_array(signature.args[which])(context, builder, array).data
            for which, array in ((0, rows), (4, added), (6, out))
        )
        vector = ir.VectorType(ir.DoubleType(), COLUMNS)
        undefined = ir.Constant(vector, ir.Undefined)
        order = ir.Constant(ir.VectorType(_I32, COLUMNS), [0] * COLUMNS)
        least = cgutils.alloca_once_value(builder, ir.Constant(vector, [float("inf")] * COLUMNS))
        builder.store(ir.Constant(vector, [float("inf")] * COLUMNS), least)
        with cgutils.for_range(builder, number) as loop:
            place = builder.add(start, builder.mul(loop.index, pitch))
            row = builder.load(builder.bitcast(builder.gep(source, [place]), vector.as_pointer()), align=8)
            value = builder.load(builder.gep(added, [builder.add(first, loop.index)]))
            value = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
            total = builder.fadd(row, builder.shuffle_vector(value, undefined, order))
            before = builder.load(least)
            builder.store(builder.select(builder.fcmp_ordered("<", total, before), total, before), least)
        builder.store(builder.load(least), builder.bitcast(builder.gep(target, [at]), vector.as_pointer()), align=8)
        return context.get_dummy_value()

    i64 = types.int64
    return types.void(rows, i64, i64, i64, added, i64, out, i64), codegen


if DISABLED:  # the same by NumPy
    _EACH = np.arange(COLUMNS)

    def least_sums(rows: Any, start: Any, pitch: Any, number: Any, added: Any, first: Any, out: Any, at: Any) -> None:
        places = int(start) + int(pitch) * np.arange(number)[:, None] + _EACH
        out[int(at) : int(at) + COLUMNS] = (rows[places] + added[int(first) : int(first) + int(number), None]).min(0)

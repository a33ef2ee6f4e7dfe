"""What the intrinsics of this folder write again and again in LLVM."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

__all__ = ["fill", "load"]

_I32 = ir.IntType(32)


def fill(builder: Any, vector_type: Any, value: Any) -> Any:
    """Return a vector with `value` in every lane."""
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, vector_type.count), [0] * vector_type.count)
    return builder.shuffle_vector(first, undefined, zeros)


def load(context: Any, builder: Any, array_type: Any, array: Any, start: Any, vector_type: Any) -> Any:
    """Return the items of an array from `start` on as a vector, from any alignment."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.load(builder.bitcast(builder.gep(data, [start]), vector_type.as_pointer()), align=1)

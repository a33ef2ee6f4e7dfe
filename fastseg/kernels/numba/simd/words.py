"""Values of 1, 2, 4 or 8 bytes, 64 at a time from any address, as bits or bytes that say which of them are one.

Kernels of masks are compiled once for all types: how wide values are, and which bit patterns stand for 0 and 1, are arguments.
With NUMBA_DISABLE_JIT=1 the Python twins below run instead.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic

from fastseg.kernels.numba.simd.building import fill
from fastseg.kernels.numba.switch import DISABLED

__all__ = ["address_of", "any_foul", "no_foul", "padded", "write_bits", "write_bytes", "write_foul_bits"]

LANES = 64
_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))
_SIZES = (1, 2, 4, 8)
_REGISTERS = 256  # bytes of registers that values may take
_AHEAD = 4096  # bytes to ask for ahead: the hardware's own prefetching ends with the page


class Foul(types.Type):
    """The Numba type of a register that gathers what is neither 0 nor 1: a set bit says that there was something."""

    def __init__(self) -> None:
        super().__init__(name="Foul")


FOUL, _FOUL = Foul(), ir.VectorType(_I64, 8)


@register_default(Foul)
class FoulModel(models.PrimitiveModel):
    """Lies in registers as an LLVM vector."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _FOUL)


def _pattern(builder: Any, word: Any, kind: Any) -> Any:
    """Return a vector of items that have the pattern that a word of 64 bits repeats."""
    vector = ir.VectorType(_I64, kind.count * kind.element.width // 64)
    return builder.bitcast(fill(builder, vector, word), kind)


def _fold(builder: Any, vector: Any) -> Any:
    """Return the OR of the 64-byte parts of a vector."""
    vector = builder.bitcast(vector, ir.VectorType(_I64, vector.type.count * vector.type.element.width // 64))
    while vector.type.count > _FOUL.count:
        half, undefined = vector.type.count // 2, ir.Constant(vector.type, ir.Undefined)
        low, high = (
            builder.shuffle_vector(
                vector, undefined, ir.Constant(ir.VectorType(_I32, half), list(range(first, first + half)))
            )
            for first in (0, half)
        )
        vector = builder.or_(low, high)
    return vector


def _prefetch(builder: Any, address: Any, lines: int) -> None:
    kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    for line in range(lines):
        ahead = builder.add(address, ir.Constant(_I64, _AHEAD + 64 * line))
        pointer = builder.inttoptr(ahead, _I8.as_pointer())
        builder.call(prefetch, [pointer, *(ir.Constant(_I32, k) for k in (0, 3, 1))])


def _each_part(builder: Any, values: Any, blocks: Any, emit: Callable[[Any, Any, Any], None]) -> None:
    """Build loops over blocks of 64 values, one loop for each size of values; parts of a block where they fill more registers.

    `values` are (address, size, one, keep); `emit` gets the number of a part, which of its values are one, and what the others
    have of the bits of `keep`. A switch in a single loop would not do: LLVM merges what its branches have in common, down to
    vectors of bits, which it then handles one by one.
    """
    address, size, one, keep = values
    done = builder.append_basic_block("done")
    switch = builder.switch(size, done)
    for n in _SIZES:
        block = builder.append_basic_block(f"size{n}")
        switch.add_case(ir.Constant(_I64, n), block)
        builder.position_at_end(block)
        kind = ir.VectorType(ir.IntType(8 * n), min(LANES, _REGISTERS // n))
        one_n, keep_n = _pattern(builder, one, kind), _pattern(builder, keep, kind)
        with cgutils.for_range(builder, builder.mul(blocks, ir.Constant(_I64, LANES // kind.count))) as loop:
            here = builder.add(address, builder.mul(loop.index, ir.Constant(_I64, kind.count * n)))
            _prefetch(builder, here, kind.count * n // 64)
            items = builder.load(builder.inttoptr(here, kind.as_pointer()), align=1)
            found = builder.icmp_unsigned("==", items, one_n)
            emit(loop.index, found, builder.select(found, ir.Constant(kind, None), builder.and_(items, keep_n)))
        builder.branch(done)
    builder.position_at_end(done)


def _put_bits(
    context: Any, builder: Any, array_type: Any, words: Any, start: Any, part: Any, bits: Any, flip: Any
) -> None:
    """Write the bits of a part of a block, of which the first is the lowest."""
    number = ir.IntType(bits.type.count)
    first = _item(context, builder, array_type, words, start, number)
    word = builder.xor(builder.bitcast(bits, number), builder.trunc(flip, number) if number != _I64 else flip)
    builder.store(word, builder.gep(first, [part]))


def _item(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """Return where an item of an array is, as a pointer to `kind`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


_VALUES = (types.uint64,) * 4


@intrinsic
def write_bits(
    typingctx: Any, address: Any, size: Any, one: Any, keep: Any, blocks: Any, flip: Any, words: Any, start: Any, foul: Any
) -> Any:  # fmt: skip
    """Write a word for each block of 64 values, whose bit i says whether value i is `one` (or is not, where `flip` has it).

    Patterns are repeated to 64 bits. Returns `foul`, to which is added what the other values have of the bits of `keep`.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        *values, blocks, flip, words, start, foul = args
        gathered = cgutils.alloca_once_value(builder, foul)

        def emit(part: Any, found: Any, rest: Any) -> None:
            _put_bits(context, builder, sig.args[6], words, start, part, found, flip)
            builder.store(builder.or_(builder.load(gathered), _fold(builder, rest)), gathered)

        _each_part(builder, values, blocks, emit)
        return builder.load(gathered)

    return FOUL(*_VALUES, types.uint64, types.uint64, words, types.uint64, FOUL), codegen


@intrinsic
def write_foul_bits(
    typingctx: Any, address: Any, size: Any, one: Any, keep: Any, blocks: Any, flip: Any, words: Any, start: Any, foul: Any
) -> Any:  # fmt: skip
    """Write words whose bit i says whether value i is not `one` and has bits of `keep`; `foul` is returned as it is."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        *values, blocks, _, words, start, foul = args

        def emit(part: Any, found: Any, rest: Any) -> None:
            wrong = builder.icmp_unsigned("!=", rest, ir.Constant(rest.type, None))
            _put_bits(context, builder, sig.args[6], words, start, part, wrong, ir.Constant(_I64, 0))

        _each_part(builder, values, blocks, emit)
        return foul

    return FOUL(*_VALUES, types.uint64, types.uint64, words, types.uint64, FOUL), codegen


@intrinsic
def write_bytes(
    typingctx: Any, address: Any, size: Any, one: Any, keep: Any, blocks: Any, flip: Any, target: Any, start: Any, foul: Any
) -> Any:  # fmt: skip
    """Write a byte for each value, 255 or 0, where `write_bits` writes a bit."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        *values, blocks, flip, target, start, foul = args
        gathered = cgutils.alloca_once_value(builder, foul)
        first = _item(context, builder, sig.args[6], target, start, _I8)

        def emit(part: Any, found: Any, rest: Any) -> None:
            kind = ir.VectorType(_I8, found.type.count)
            where = builder.gep(first, [builder.mul(part, ir.Constant(_I64, kind.count))])
            lanes = builder.xor(builder.sext(found, kind), _pattern(builder, flip, kind))
            builder.store(lanes, builder.bitcast(where, kind.as_pointer()), align=1)
            builder.store(builder.or_(builder.load(gathered), _fold(builder, rest)), gathered)

        _each_part(builder, values, blocks, emit)
        return builder.load(gathered)

    return FOUL(*_VALUES, types.uint64, types.uint64, target, types.uint64, FOUL), codegen


@intrinsic
def no_foul(typingctx: Any) -> Any:
    """Return what says that nothing was foul."""
    return FOUL(), lambda context, builder, sig, args: ir.Constant(_FOUL, None)


@intrinsic
def any_foul(typingctx: Any, foul: Any) -> Any:
    """Tell whether anything was foul."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(builder.icmp_unsigned("!=", args[0], ir.Constant(_FOUL, None)), _I8)
        return builder.icmp_unsigned("!=", bits, ir.Constant(_I8, 0))

    return types.boolean(FOUL), codegen


@intrinsic
def address_of(typingctx: Any, array: Any) -> Any:
    """Return the address of the first item of an array."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ptrtoint(context.make_array(sig.args[0])(context, builder, args[0]).data, _I64)

    return types.uint64(array), codegen


@intrinsic
def padded(typingctx: Any, address: Any, number: Any, room: Any, whole: Any) -> Any:
    """Copy `number` bytes to the beginning of an array, fill it with zeros up to `whole`, and return its address."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address, number, room, whole = args
        target = _item(context, builder, sig.args[2], room, ir.Constant(_I64, 0), _I8)
        cgutils.memset(builder, target, whole, 0)
        cgutils.raw_memcpy(builder, target, builder.inttoptr(address, _I8.as_pointer()), number, 1)
        return builder.ptrtoint(target, _I64)

    return types.uint64(types.uint64, types.uint64, room, types.uint64), codegen


if DISABLED:  # the same in Python

    def _look(address: Any, size: Any, one: Any, keep: Any, blocks: Any) -> Any:
        items = np.frombuffer(ctypes.string_at(int(address), LANES * int(size) * int(blocks)), f"u{int(size)}")
        one, keep = (np.array([word], np.uint64).view(items.dtype)[0] for word in (one, keep))
        found = items == one
        return found, np.where(found, 0, items & keep) != 0

    def _put(words: Any, start: Any, lanes: Any, flip: Any) -> None:
        bits = np.packbits(lanes, bitorder="little").view(np.uint64) ^ flip
        words[int(start) : int(start) + bits.size] = bits

    def write_bits(
        address: Any, size: Any, one: Any, keep: Any, blocks: Any, flip: Any, words: Any, start: Any, foul: Any
    ) -> Any:  # fmt: skip
        found, rest = _look(address, size, one, keep, blocks)
        _put(words, start, found, flip)
        return foul or bool(rest.any())

    def write_foul_bits(
        address: Any, size: Any, one: Any, keep: Any, blocks: Any, flip: Any, words: Any, start: Any, foul: Any
    ) -> Any:  # fmt: skip
        _put(words, start, _look(address, size, one, keep, blocks)[1], 0)
        return foul

    def write_bytes(
        address: Any, size: Any, one: Any, keep: Any, blocks: Any, flip: Any, target: Any, start: Any, foul: Any
    ) -> Any:  # fmt: skip
        found, rest = _look(address, size, one, keep, blocks)
        target[int(start) : int(start) + found.size] = np.where(found, 255, 0) ^ (int(flip) & 255)
        return foul or bool(rest.any())

    def no_foul() -> bool:
        return False

    def any_foul(foul: Any) -> bool:
        return bool(foul)

    def address_of(array: Any) -> Any:
        return np.uint64(array.ctypes.data)

    def padded(address: Any, number: Any, room: Any, whole: Any) -> Any:
        room[: int(whole)] = 0
        room[: int(number)] = np.frombuffer(ctypes.string_at(int(address), int(number)), np.uint8)
        return address_of(room)

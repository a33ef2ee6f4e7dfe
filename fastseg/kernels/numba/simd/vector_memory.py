"""Vectors between memory and registers: what kernels load, store, transpose and ask for ahead."""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastseg.kernels.numba.simd.vectors import DOUBLES, FLOATS, INTS, IR_TYPES, constant
from fastseg.kernels.numba.switch import DISABLED, WIDTH

__all__ = [
    "add_doubles",
    "load",
    "load_flat",
    "load_integers",
    "load_one",
    "prefetch",
    "prefetch_flat",
    "store",
    "store_labels",
    "transpose_tile",
]

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F32, _F64 = ir.FloatType(), ir.DoubleType()


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
    magnitude = builder.and_(word, constant(wide, 0x7FFF))
    moved = builder.bitcast(builder.shl(magnitude, constant(wide, 13)), floats)
    scaled = builder.bitcast(builder.fmul(moved, constant(floats, 2.0**112)), wide)
    special = builder.icmp_unsigned(">=", magnitude, constant(wide, 0x7C00))  # infinite or NaN
    scaled = builder.select(special, builder.or_(scaled, constant(wide, 0x7F800000)), scaled)
    sign = builder.shl(builder.and_(word, constant(wide, 0x8000)), constant(wide, 16))
    return builder.bitcast(builder.or_(scaled, sign), floats)


def _numbers(builder: Any, value: Any, dtype: Any) -> Any:
    """Turn a vector of stored items into floats or doubles: uint16 are float16's bits, int16 bfloat16's."""
    floats = ir.VectorType(_F32, value.type.count)
    if dtype == types.uint8:
        return builder.uitofp(value, floats)
    if dtype == types.uint16:
        return _half_to_float(builder, value)
    if dtype == types.int16:
        wide = builder.zext(value, ir.VectorType(_I32, value.type.count))
        return builder.bitcast(builder.shl(wide, constant(wide.type, 16)), floats)
    return value


def _prefetch(builder: Any, address: Any, ahead: int) -> None:
    function_type = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    where = builder.gep(address, [ir.Constant(_I64, ahead)])
    builder.call(function, [where, *(ir.Constant(_I32, k) for k in (0, 2, 1))])


def _prefetch_lines(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Ask for the cache lines of `WIDTH` items from an index on."""
    address = _address(context, builder, sig.args[0], *args)
    item = context.get_abi_sizeof(context.get_value_type(sig.args[0].dtype))
    for line in range(0, max(64, item * WIDTH), 64):
        _prefetch(builder, address, line)
    return context.get_dummy_value()


@intrinsic
def load(typingctx: Any, array: Any, row: Any, start: Any) -> Any:
    """Return array[row, start : start + WIDTH] as floats (doubles of float64), of any type that scores are stored in."""
    kind = DOUBLES if array.dtype == types.float64 else FLOATS

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        dtype = sig.args[0].dtype
        address = _address(context, builder, sig.args[0], *args)
        return _numbers(builder, _read(builder, address, context.get_data_type(dtype)), dtype)

    return kind(array, types.uint64, types.uint64), codegen


@intrinsic
def load_one(typingctx: Any, array: Any, row: Any, column: Any) -> Any:
    """Return array[row, column] as a float (a double of float64), of any type that scores are stored in."""
    kind = types.float64 if array.dtype == types.float64 else types.float32

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        dtype = sig.args[0].dtype
        address = _address(context, builder, sig.args[0], *args)
        value = _numbers(builder, _read(builder, address, context.get_data_type(dtype), 1), dtype)
        return builder.extract_element(value, ir.Constant(_I32, 0))

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
    return types.void(array, types.uint64), _prefetch_lines


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
        return builder.sext(_read(builder, _address(context, builder, sig.args[0], *args), _I16), IR_TYPES["int"])

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
    return types.void(array, types.uint64, types.uint64), _prefetch_lines


@intrinsic
def transpose_tile(typingctx: Any, source: Any, row: Any, start: Any, target: Any, to: Any) -> Any:
    """Transpose 4×16: do target[row + r, to + k] = source[row + r, start + k] where source has its rows side by side.

    The target is float32 (float64 where the source is), of any type that scores are stored in.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        read, row, start, write, to = args
        dtype = sig.args[0].dtype

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
            fours += [_read(builder, builder.gep(at, [offset]), context.get_data_type(dtype), 4) for offset in steps]
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
            _write(builder, at, _numbers(builder, column, dtype))
            at = builder.gep(at, [step])
        return context.get_dummy_value()

    u64 = types.uint64
    return types.void(source, u64, u64, target, u64), codegen


if DISABLED:  # the same in Python
    from fastseg.kernels.numba.simd.vectors_python import (
        add_doubles,
        load,
        load_flat,
        load_integers,
        load_one,
        prefetch,
        prefetch_flat,
        store,
        store_labels,
        transpose_tile,
    )

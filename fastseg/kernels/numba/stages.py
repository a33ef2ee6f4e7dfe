"""Stages of a kernel: functions that it calls by their address, so that types are not multiplied with one another.

What is compiled for the type of an array calls nothing, and what calls is not compiled for the type: there, an array of SCORES
or a TILE is one of bytes, the first of each number, which a stage is handed as the array that it was compiled for.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastseg.kernels.numba.jit import Kernel
from fastseg.kernels.numba.switch import DISABLED

__all__ = [
    "FLOATS",
    "SCORES",
    "SHORTS",
    "SUMS",
    "TILE",
    "WORDS",
    "addresses",
    "given",
    "own",
    "side_by_side",
    "stage",
    "stage_of",
    "untyped",
]

Array = npt.NDArray[Any]

_NUMBA = {
    "u1": types.uint8, "b1": types.uint8, "i1": types.int8, "u2": types.uint16, "i2": types.int16, "u4": types.uint32,
    "i4": types.int32, "u8": types.uint64, "i8": types.int64, "f2": types.uint16, "f4": types.float32, "f8": types.float64,
}  # fmt: skip


def given(dtype: Any, ndim: int) -> types.Array:
    """Return the type of an array that is only read, of any strides."""
    return types.Array(_NUMBA[np.dtype(dtype).str[1:]], ndim, "A", readonly=True, aligned=False)


def own(dtype: Any, ndim: int) -> types.Array:
    """Return the type of an array that a kernel works in."""
    return types.Array(_NUMBA[np.dtype(dtype).str[1:]], ndim, "C")


#: Numbers (C, V) whose type a stage knows, and who calls it does not: to read, and to write.
SCORES, TILE = given(np.uint8, 2), types.Array(types.uint8, 2, "A")
FLOATS, SHORTS, WORDS, SUMS = own(np.float32, 2), own(np.int16, 1), own(np.uint64, 1), own(np.float64, 2)


def side_by_side(array: Array) -> bool:
    """Tell whether the voxels of a class lie side by side (else the classes of a voxel do)."""
    return array.shape[1] < 2 or array.strides[1] == array.itemsize


def untyped(array: Array) -> Array:
    """Return SCORES or a TILE: the first byte of each number."""
    if DISABLED:
        return array
    if side_by_side(array):
        return array.view(np.uint8)[:, :: array.itemsize]
    return array.T.view(np.uint8)[:, :: array.itemsize].T


def addresses(*found: Any) -> Any:
    """Return what a kernel takes its stages from; 0 stands for none."""
    return found if DISABLED else np.array(found, np.uint64)


def stage(*parameters: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a stage: what a kernel calls with an address and with arguments of these types.

    Parameters of the function beyond these are flags, None for no: no arguments, but known when it is compiled. Its `address`
    compiles it for the dtypes of its SCORES and TILE, in their order, and for the flags that are named.
    """

    def decorate(function: Callable[..., None]) -> Any:
        names = list(inspect.signature(function).parameters)
        flags = names[len(parameters) :]
        kernel = Kernel(function, entry=False)

        @functools.cache
        def address(*dtypes: Any, **chosen: bool) -> Any:
            if DISABLED:
                return functools.partial(function, **{flag: chosen.get(flag) or None for flag in flags})
            left = iter(dtypes)
            known = [p.copy(dtype=given(next(left), 2).dtype) if p in (SCORES, TILE) else p for p in parameters]
            return kernel.address(*known, *(types.voidptr if chosen.get(flag) else types.none for flag in flags))

        call = _caller(function.__name__, names[: len(parameters)], parameters, len(flags))
        call.address = address
        return call

    return decorate


def stage_of(kernel: Kernel, returns: Any, *parameters: Any) -> Any:
    """Make a stage of a kernel that Python calls, too: of one with arguments of these types, and what it returns."""
    names = list(inspect.signature(kernel.function).parameters)
    call = _caller(kernel.function.__name__, names, parameters, 0, returns)
    call.address = functools.cache(lambda: kernel.function if DISABLED else kernel.address(*parameters))
    return call


def _caller(name: str, names: list[str], parameters: tuple[Any, ...], flags: int, returns: Any = types.void) -> Any:
    """Return what calls the function at an address with arguments of these names and types; flags are null pointers there."""
    if DISABLED:
        return lambda address, *arguments: address(*arguments)
    kinds = (*parameters, *(types.none,) * flags)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function_type = context.call_conv.get_function_type(returns, kinds)
        function = builder.inttoptr(args[0], function_type.as_pointer())
        nothing = [ir.Constant(context.get_value_type(types.none), None)] * flags
        _, found = context.call_conv.call_function(builder, function, returns, kinds, [*args[1:], *nothing])
        return context.get_dummy_value() if returns is types.void else found

    def call(typingctx: Any, address: Any, *arguments: Any) -> Any:
        return returns(types.uint64, *parameters), codegen

    call.__name__ = name
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("typingctx", "address", *names)]
    )
    return intrinsic(call)

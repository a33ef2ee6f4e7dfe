"""Archives of arrays that `numpy.load` opens, without pickles: written alike each time, and read with suspicion.

What an archive holds is said by its kinds: the name of each array, its type, and its shape, -1 for any length.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Kinds", "cut", "digest", "pack", "require", "starts", "told", "unpack"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Kinds = Mapping[str, tuple[str, tuple[int, ...]]]

_LEVEL = 3  # level 6 takes four times as long for a fifth less


def pack(arrays: Mapping[str, Any], kinds: Kinds) -> bytes:
    """Return an archive of arrays."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, (dtype, _) in kinds.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # of 1980, whenever it is written
            member.compress_type, member.create_system, member.external_attr = zipfile.ZIP_DEFLATED, 3, 0o600 << 16
            part = io.BytesIO()
            array = np.asarray(arrays[name], dtype, order="F")  # column by column: half the bytes, in half the time
            np.lib.format.write_array(part, array, (1, 0), allow_pickle=False)
            archive.writestr(member, part.getvalue(), compresslevel=_LEVEL)
    return stream.getvalue()


def unpack(data: bytes, kinds: Kinds, what: str, name: str) -> dict[str, Array]:
    """Return the arrays of an archive; ValueError if it is none of these kinds, or is damaged.

    Parameters
    ----------
    data, kinds
        The archive, and what is in it.
    what, name
        What it should be, and what it is called, in errors.
    """
    with told(what, name):
        return _load(data, kinds)


def digest(arrays: Mapping[str, Array], kinds: Kinds) -> str:
    """Return the SHA-256 of what an archive holds, whoever compressed it."""
    found = hashlib.sha256()
    for name, (dtype, _) in kinds.items():
        found.update(f"{name}{arrays[name].shape}".encode())
        found.update(arrays[name].astype(dtype).tobytes())
    return found.hexdigest()


def starts(parts: Sequence[Any]) -> Ints:
    """Return where each part begins when they stand one after another, and where the last ends."""
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


def cut(rows: Array, starts: Ints) -> list[Array]:
    """Return the parts that begin and end there."""
    return [rows[first:last] for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]


def require(true: bool, name: str, expected: str, found: str) -> None:
    """Raise ValueError of the archive of that name unless it is true."""
    if not true:
        raise ValueError(f"{name}: expected {expected}; found {found}")


@contextmanager
def told(what: str, name: str) -> Iterator[None]:
    """Make one kind of error of the dozen that zipfile, zlib and NumPy raise for damaged data."""
    try:
        yield
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name}: expected {what}, undamaged; found {found}") from None


def _load(data: bytes, kinds: Kinds) -> dict[str, Array]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        expected, found = [f"{name}.npy" for name in kinds], archive.namelist()
        if sorted(found) != sorted(expected):
            raise ValueError(f"members {found[:20]} instead of {expected}")
        return {name: _array(name, kinds[name], archive.read(f"{name}.npy")) for name in kinds}


def _array(name: str, kind: tuple[str, tuple[int, ...]], data: bytes) -> Array:
    """Return a member's array; its header says nothing that is believed before the data have that size."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{name}: version {version} of the .npy format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    wanted, sizes = kind
    fits = len(shape) == len(sizes) and all(size in (-1, given) for size, given in zip(sizes, shape, strict=True))
    if dtype != np.dtype(wanted) or not fits:
        raise ValueError(f"{name}: {dtype} of shape {shape} instead of {wanted} of shape {sizes}")
    start = stream.tell()
    if len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name}: {len(data) - start} bytes for shape {shape}")
    return (
        np.frombuffer(data[start:], dtype)
        .reshape(shape, order="F" if fortran else "C")
        .astype(dtype.newbyteorder("="), order="C")
    )

"""What the metadata of Zarr arrays say, verified before the library acts on any of it."""

from __future__ import annotations

import importlib
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.volumes.errors import VolumeError

# A chunk is decoded whole: a file must not ask for more.
_CHUNK_BYTES = 1 << 30
# Chunks of a shard are read together up to this, since every read begins with the shard's index.
_BLOCK_BYTES = 64 << 20
_CHUNKS_IN_A_SHARD = 1 << 22  # the index is decoded whole, too
_AXES = 32
_DTYPE_V2 = re.compile(r"[<>|](b1|[iu][1248]|f[248])")
_DTYPE_V3 = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
# From bytes and numbers to bytes and numbers. Not among them: pickle, which runs what the file says, and the other codecs
# of objects.
_COMPRESSORS = {"blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"}
_CHECKSUMS = {"adler32", "crc32", "crc32c", "fletcher32"}
_FILTERS = {"astype", "bitround", "bytes", "delta", "fixedscaleoffset", "packbits", "quantize", "shuffle", "transpose"}
_CODECS = _COMPRESSORS | _CHECKSUMS | _FILTERS


def unexpected(name: str, what: str, found: object) -> VolumeError:
    """Return the error that says what was expected and what was found, cut short."""
    text = repr(found)
    return VolumeError(f"{name}: expected {what}, found {text if len(text) <= 100 else text[:97] + '...'}")


@dataclass(frozen=True)
class Layout:
    """Say how an array is stored.

    Attributes
    ----------
    shape, stored, block : tuple of int
        Voxels along each axis: of the array, of what one key of the store holds, and of what is best read at once.
    dtype : numpy.dtype
    limit : int
        Bytes that no honest file of a chunk or shard exceeds.
    document : dict
        The metadata, with decoders of Blosc put in that do not trust what they decode.
    """

    shape: tuple[int, ...]
    stored: tuple[int, ...]
    block: tuple[int, ...]
    dtype: np.dtype[Any]
    limit: int
    document: dict[str, Any]


def read_layout(name: str, document: dict[str, Any]) -> Layout:
    """Verify the metadata of an array; raise VolumeError unless it is one of numbers, in chunks of a bearable size."""
    version = document.get("zarr_format")
    if version not in (2, 3):
        raise unexpected(name, "zarr_format 2 or 3", version)
    declared = document.get("dtype" if version == 2 else "data_type")
    if not isinstance(declared, str) or not (_DTYPE_V2 if version == 2 else _DTYPE_V3).fullmatch(declared):
        raise unexpected(name, "integers, booleans or floating-point numbers of at most 64 bits", declared)
    dtype, shape = np.dtype(declared), _extents(name, "shape", document.get("shape"))
    if math.prod(shape) * dtype.itemsize >= 1 << 63:
        raise unexpected(name, "a shape of less than 2**63 bytes", shape)
    if version == 3:
        return _layout_v3(name, document, shape, dtype)
    chunk = _extents(name, "chunks", document.get("chunks"), len(shape))
    limit = _limit(name, chunk, dtype)
    filters, compressor = document.get("filters"), document.get("compressor")
    checked = document | {
        "filters": _codecs(name, [] if filters is None else filters, "id", limit) or None,
        "compressor": None if compressor is None else _codecs(name, [compressor], "id", limit)[0],
    }
    return Layout(shape, chunk, chunk, dtype, limit, checked)


def _layout_v3(name: str, document: dict[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Layout:
    grid = document.get("chunk_grid")
    if not isinstance(grid, dict) or grid.get("name") != "regular":
        raise unexpected(name, "a regular chunk_grid", grid)
    stored = _extents(name, "chunk_shape", _configuration(grid).get("chunk_shape"), len(shape))
    codecs: Any = document.get("codecs")
    sharding = codecs[0] if isinstance(codecs, list) and codecs else None
    if not isinstance(sharding, dict) or sharding.get("name") != "sharding_indexed":
        limit = _limit(name, stored, dtype)
        return Layout(shape, stored, stored, dtype, limit, document | {"codecs": _codecs(name, codecs, "name", limit)})

    configuration = _configuration(sharding)
    chunk = _extents(name, "chunk_shape of a shard", configuration.get("chunk_shape"), len(shape))
    limit = _limit(name, chunk, dtype)
    counts = [whole // part for whole, part in zip(stored, chunk, strict=True)]
    if any(whole % part for whole, part in zip(stored, chunk, strict=True)) or math.prod(counts) > _CHUNKS_IN_A_SHARD:
        raise unexpected(name, f"a shard {stored} of at most {_CHUNKS_IN_A_SHARD} whole chunks", chunk)
    if len(codecs) != 1:
        raise unexpected(name, "no other codecs around sharding", codecs[1:])
    inner = {key: configuration[key] for key in ("codecs", "index_codecs") if key in configuration}
    inner = {key: _codecs(name, value, "name", limit) for key, value in inner.items()}
    checked = document | {"codecs": [sharding | {"configuration": configuration | inner}]}
    return Layout(shape, stored, _block(chunk, counts, dtype), dtype, math.prod(counts) * limit, checked)


def _configuration(named: dict[str, Any]) -> dict[str, Any]:
    found = named.get("configuration")
    return found if isinstance(found, dict) else {}


def _extents(name: str, what: str, value: object, axes: int | None = None) -> tuple[int, ...]:
    """Return the extents that a list in the metadata gives."""
    if (
        isinstance(value, list)
        and 1 <= len(value) <= _AXES
        and len(value) == (axes or len(value))
        and all(type(extent) is int and 1 <= extent < 1 << 63 for extent in value)
    ):
        return tuple(value)
    raise unexpected(name, f"{what} to be a list of {axes or f'1 to {_AXES}'} positive integers", value)


def _limit(name: str, chunk: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the bytes to which a chunk may grow between codecs."""
    size = math.prod(chunk) * dtype.itemsize
    if size > _CHUNK_BYTES:
        raise unexpected(name, f"chunks of at most {_CHUNK_BYTES >> 20} MiB", chunk)
    return 8 * size + 4096  # a filter may turn voxels of one byte into eight; headers and checksums are short


def _block(chunk: tuple[int, ...], counts: list[int], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return what to read of a shard at once: all of it, or as many whole chunks as are still small."""
    block = list(chunk)
    for axis in reversed(range(len(block))):
        room = max(1, _BLOCK_BYTES // (math.prod(block) * dtype.itemsize))
        block[axis] *= next(n for n in range(min(room, counts[axis]), 0, -1) if counts[axis] % n == 0)
    return tuple(block)


def _codecs(name: str, codecs: object, key: str, limit: int) -> list[Any]:
    """Verify that codecs make numbers of bytes, and put checked decoders in the place of Blosc's."""
    if not isinstance(codecs, list):
        raise unexpected(name, "a list of codecs", codecs)
    checked: list[Any] = []
    for codec in codecs:
        found = codec.get(key) if isinstance(codec, dict) else codec
        known = found.removeprefix("numcodecs.") if isinstance(found, str) else None
        if known not in _CODECS:
            raise unexpected(name, f"codecs of numbers ({', '.join(sorted(_CODECS))})", found)
        checked.append(_checked_blosc(key == "id", limit) if known == "blosc" else codec)
    return checked


def _checked_blosc(version_2: bool, limit: int) -> Any:
    """Return a codec of the library's own kind; what it decodes says itself how it was encoded."""
    if version_2:
        numcodecs: Any = importlib.import_module("numcodecs")

        class Blosc2(numcodecs.Blosc):  # type: ignore[misc]
            def decode(self, buf: Any, out: Any = None) -> Any:
                _check_blosc(buf, limit)
                return super().decode(buf, out)

        return Blosc2()
    codecs: Any = importlib.import_module("zarr.codecs")

    class Blosc3(codecs.BloscCodec):  # type: ignore[misc]
        async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
            _check_blosc(chunk_bytes.as_numpy_array(), limit)
            return await super()._decode_single(chunk_bytes, chunk_spec)

        def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:  # which later versions call directly
            _check_blosc(chunk_bytes.as_numpy_array(), limit)
            return super()._decode_sync(chunk_bytes, chunk_spec)

    return Blosc3()


def _check_blosc(encoded: Any, limit: int) -> None:
    """Raise ValueError if a Blosc header declares more than there is: the decoder would read on, beyond the buffer.

    Of a truncated chunk it returns what lies behind it in memory, or kills the process.
    """
    view = memoryview(encoded).cast("B")
    if len(view) < 16:
        raise ValueError(f"expected a Blosc header of 16 bytes, found {len(view)}")
    decoded_bytes, _, encoded_bytes = struct.unpack_from("<3I", view, 4)
    if encoded_bytes > len(view) or decoded_bytes > limit:
        raise ValueError(
            f"expected {len(view)} bytes of Blosc for at most {limit}, found {encoded_bytes} for {decoded_bytes}"
        )

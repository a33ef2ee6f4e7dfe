"""Which codecs of TIFF files keep every label as it is: by their number, or where they may or may not by what they wrote."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.jpeg2000 import lossy_jpeg_2000
from fastseg.volumes.volume import require

__all__ = ["check_codec", "checks_of"]

#: None, CCITT, LZW, deflate, JBIG, PackBits, LZMA, Zstandard, PNG.
_LOSSLESS = {1, 2, 3, 4, 5, 8, 9, 32773, 32946, 34661, 34925, 34926, 34933, 50000}
_JPEG = {6, 7, 33007, 34892}
_LERC_INTEGERS = 6  # types below are integers

Check = Callable[[bytes], "str | None"]


def check_codec(path: str, code: int, name: str) -> None:
    """Raise VolumeError for a codec that is lossy, or of which it cannot be told."""
    if code in _JPEG:
        name = "JPEG"
    if code not in _LOSSLESS and code not in _CHECKS:
        raise VolumeError(
            f"{path}: expected a compression that keeps every label as it is, found {name}, which is lossy"
        )


def checks_of(path: str, code: int, tags: Any) -> Check | None:
    """Return what looks at the bytes of a tile or strip, and says how they are lossy; None where they never are."""
    check = _CHECKS.get(code)
    if code != 34887:
        return check
    more = tags.get(50674)
    packed = int(more.value[1]) if more is not None and len(more.value) > 1 else 0
    if packed == 0:
        return _lerc
    if packed == 1:
        return lambda data: _lerc(zlib.decompressobj().decompress(data, 1 << 10))
    imagecodecs = require("imagecodecs", "tiff", path, "a TIFF file of LERC")
    return lambda data: _lerc(bytes(imagecodecs.zstd_decode(data)))


def _lerc(data: bytes) -> str | None:
    """Look at the largest error that is allowed, and at voxels that are marked as not valid."""
    if not data.startswith(b"Lerc2 ") or len(data) < 100:
        return "LERC of a version that does not say its error"
    (version,) = struct.unpack_from("<i", data, 6)
    at = 14 if version >= 3 else 10
    count = 6 + (version >= 4)
    numbers = list(struct.unpack_from(f"<{count}i", data, at))
    if version >= 4:
        del numbers[2]
    rows, columns, valid, _, _, kind = numbers
    at += 4 * count + (8 if version >= 6 else 0)
    (error,) = struct.unpack_from("<d", data, at)
    if not error <= (0.5 if kind < _LERC_INTEGERS else 0.0):
        return f"LERC with an error of up to {error:g}"
    return None if valid == rows * columns else f"LERC with {rows * columns - valid} voxels that are not valid"


def _webp(data: bytes) -> str | None:
    return None if data[:4] == b"RIFF" and data[12:16] == b"VP8L" else "lossy WebP"


def _jpeg_xl(data: bytes) -> str | None:
    """Read the image's header up to whether its colours are XYB: all that the encoder loses something of are."""
    lossy = "lossy JPEG XL"
    if data.startswith(b"\0\0\0\x0cJXL "):
        place = max(data.find(b"jxlc") + 4, 4 + data.find(b"jxlp") + 4 if b"jxlp" in data[:4096] else 0)
        data = b"" if b"jbrd" in data[:4096] else data[place:]
    if not data.startswith(b"\xff\x0a"):
        return lossy
    bits = _Bits(data[2:64])
    small = bits.take(1)
    for axis in range(2):
        if axis == 1 and bits.take(3):  # the width follows from a ratio
            break
        bits.take(5 if small else (9, 13, 18, 30)[bits.take(2)])
    if bits.take(1):  # all is as usual, XYB too
        return lossy
    if bits.take(1):
        orientation, *others = bits.take(3), bits.take(1), bits.take(1), bits.take(1)
        if orientation or any(others):
            return "JPEG XL that is turned, or has an animation or a preview"
    floats = bits.take(1)
    kind = bits.take(2)
    if kind == 3:
        bits.take(6)
    if floats:
        bits.take(4)
    bits.take(1)
    if bits.take(2):
        return "JPEG XL with extra channels"
    return lossy if bits.take(1) else None


class _Bits:
    """Bits from the lowest of each byte on; those behind the end are 1."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data + b"\xff" * 8, "little")

    def take(self, count: int) -> int:
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        return value


_CHECKS: dict[int, Check] = {
    34887: _lerc, **dict.fromkeys((34712, 33003, 33005), lossy_jpeg_2000), **dict.fromkeys((50001, 34927), _webp),
    **dict.fromkeys((50002, 52546), _jpeg_xl),
}  # fmt: skip

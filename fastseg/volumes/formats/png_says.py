"""What the chunks of a PNG file say of its pixels, before and behind them: how they are turned, scaled and placed."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.positions import Positions

__all__ = ["Said", "png_says", "turned"]

_ORIENTATION = 274
_SIGNATURE_BYTES = 8
_TEXT_BYTES = 1 << 20  # of a chunk, packed and unpacked
_PROFILE = "Raw profile type exif"  # where ImageMagick keeps what it found in other formats
_XMP = re.compile(r"""tiff:Orientation\s*(?:=\s*["']|>)\s*(\d)""")
_MM_PER_METRE = 1e3


class Said(NamedTuple):
    """What is known of a picture."""

    spacing: tuple[float, float]
    """Of rows and of columns in mm; NaN where the file does not say."""
    positions: Positions | None
    """Where it is cut out of a larger one."""


def png_says(path: str, file: BinaryIO, images: Any, shape: tuple[int, int], *, indexed: bool) -> Said:
    """Read the chunks of a file but for its pixels; where it stands in the file, it stands afterwards.

    Parameters
    ----------
    images : module
        ``PIL.Image``.
    shape
        Rows and columns.
    indexed
        Whether pixels are indexes of a palette.

    Raises
    ------
    VolumeError
        If greys were stretched from fewer bits, or stand for other values, or the picture is to be turned.
    """
    before, spacing, positions = file.tell(), (math.nan, math.nan), None
    depth = 8
    try:
        for kind, data in _chunks(file):
            if kind == b"IHDR" and len(data) > 8:
                depth = data[8]
            elif kind == b"sBIT" and not indexed and 0 < (data or b"\0")[0] < depth:
                found = f"{data[0]} significant bits stretched to {depth} (the chunk sBIT)"
                raise VolumeError(f"{path}: expected labels as they are, found {found}")
            elif kind == b"pCAL" and not indexed:
                raise VolumeError(
                    f"{path}: expected labels as they are, found a calibration of values (the chunk pCAL)"
                )
            elif kind == b"sCAL":
                spacing = _scale(path, data)
            elif kind == b"oFFs" and len(data) == 9:
                column, row, micrometres = struct.unpack(">iiB", data)
                unit = "µm" if micrometres else "pixels"
                positions = Positions.of((row, column), (1.0, 1.0), shape, unit)
            elif kind[:1].isupper() and kind != b"IHDR":
                raise VolumeError(
                    f"{path}: expected chunks that are known, found {kind!r}, which its writer calls critical"
                )
            elif (orientation := _orientation(kind, data, images)) not in (None, 1):
                raise turned(path, orientation)
    finally:
        file.seek(before)
    return Said(spacing, positions)


def turned(path: str, orientation: int | None) -> VolumeError:
    """Return the error of a picture that says that it is to be turned: some programs do, and some do not."""
    found = f"one to be turned (Exif Orientation {orientation})"
    return VolumeError(f"{path}: expected a picture as it is to be seen, found {found}")


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a file that say something and are short, wherever they are."""
    file.seek(_SIGNATURE_BYTES)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        size, at = int.from_bytes(head[:4], "big"), file.tell()
        if head[4:] not in (b"IDAT", b"PLTE") and size <= _TEXT_BYTES:
            yield head[4:], file.read(size)
        file.seek(at + size + 4)


def _scale(path: str, data: bytes) -> tuple[float, float]:
    """Return the spacing that the physical scale of what is seen says."""
    unit, (across, _, down) = data[:1], data[1:].partition(b"\0")
    try:
        steps = float(down), float(across)
    except ValueError:
        steps = math.nan, math.nan
    if unit != b"\x01" or not all(0 < step < math.inf for step in steps):
        raise VolumeError(f"{path}: expected the size of a pixel in metres in the chunk sCAL, found {data[:40]!r}")
    return steps[0] * _MM_PER_METRE, steps[1] * _MM_PER_METRE


def _orientation(kind: bytes, data: bytes, images: Any) -> int | None:
    """Return the orientation that a chunk says; None where it says none, or cannot be read."""
    if kind == b"eXIf":
        return _of_exif(data, images)
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return None
    key, _, rest = data.partition(b"\0")
    text = _text(kind, rest)
    if key == _PROFILE.encode():
        digits = "".join(text.split("\n")[3:]) if text.startswith("\n") else ""
        try:
            return _of_exif(bytes.fromhex(digits).removeprefix(b"Exif\0\0"), images)
        except ValueError:
            return None
    found = _XMP.search(text) if key == b"XML:com.adobe.xmp" else None
    return None if found is None else int(found[1])


def _text(kind: bytes, rest: bytes) -> str:
    if kind == b"iTXt":
        packed, body = rest[:1] == b"\x01", [*rest[2:].split(b"\0", 2), b"", b""][2]
    else:
        packed = kind == b"zTXt"
        body = rest[1:] if packed else rest
    if packed:
        try:
            body = zlib.decompressobj().decompress(body, _TEXT_BYTES)
        except zlib.error:
            return ""
    return body.decode("utf-8", "replace")


def _of_exif(data: bytes, images: Any) -> int | None:
    exif = images.Exif()
    try:
        exif.load(b"Exif\0\0" + data)
        value = exif.get(_ORIENTATION)
    except Exception:  # whatever garbage does to it
        return None
    return int(value) if isinstance(value, int | np.integer) else None

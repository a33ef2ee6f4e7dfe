"""The chain of pages of a TIFF file: whether it is whole, and whether all pages state the same of their pixels."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from fastseg.volumes.errors import VolumeError

__all__ = ["check_pages", "recognises"]

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_SUBFILE, _ORIENTATION = 254, 274
#: What changes the meaning or the place of pixels, and is asked of the first page only.
_STATED = {
    262: "PhotometricInterpretation", _ORIENTATION: "Orientation", 320: "ColorMap", 33550: "ModelPixelScale",
    33922: "ModelTiepoint", 34264: "ModelTransformation", 42112: "GDAL_METADATA", 42113: "GDAL_NODATA",
}  # fmt: skip
_VALUE_BYTES = 1 << 20  # of what is compared

Read = Callable[[int, int], bytes]


def recognises(head: bytes) -> bool:
    """Say whether these first bytes are a TIFF or BigTIFF header, in either byte order."""
    return head.startswith((b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b"))


def check_pages(path: str, read: Read, size: int) -> None:
    """Follow the chain of pages to its end, see that the values of all tags lie in the file, and compare what pages state.

    tifffile takes a broken chain for a short one, follows some circles for ever, and leaves out tags that are cut off.

    Parameters
    ----------
    path : str
    read : callable
        Returns bytes at an offset.
    size : int
        Of the file.

    Raises
    ------
    VolumeError
        If the chain is broken, or a page states something else than the first.
    """
    first: dict[int, bytes] | None = None
    for number, stated in enumerate(_pages(path, read, size)):
        if stated.pop(_SUBFILE, b"\0") not in (b"\0", b"\0\0\0\0", b"\2\0\0\0", b"\0\0\0\2"):
            continue  # a smaller copy, or a mask
        first = stated if first is None else first
        for tag, name in _STATED.items():
            one, other = first.get(tag), stated.get(tag)
            if one != other and ((one and other) or tag == _ORIENTATION):
                raise VolumeError(
                    f"{path}: expected pages that all state the same {name}, found another one on page {number}"
                )


def _pages(path: str, read: Read, size: int) -> Iterator[dict[int, bytes]]:
    """Yield what each page states, by tag."""
    head = read(0, min(16, size))
    if not recognises(head) or size < 16:
        raise VolumeError(
            f"{path}: expected a TIFF or BigTIFF file that is not compressed, found the first bytes {head[:8]!r}"
        )
    order, big = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
    number, entry, offset = (
        struct.Struct(order + each) for each in (("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I"))
    )
    position, seen = offset.unpack_from(head, 8 if big else 4)[0], set[int]()
    while position:
        if position in seen:
            raise VolumeError(
                f"{path}: truncated or corrupt: expected page {len(seen)}, found byte {position} once more"
            )
        seen.add(position)
        end = position + number.size
        if end <= size:
            end += number.unpack(read(position, number.size))[0] * entry.size
        values_end, stated = end + offset.size, dict[int, bytes]()
        if values_end <= size:
            position += number.size
            for tag, kind, count, value in entry.iter_unpack(read(position, end - position)):
                taken = _TYPE_BYTES.get(kind, 0) * count
                at = offset.unpack(value)[0] if taken > offset.size else 0
                values_end = max(values_end, at + taken) if at else values_end
                if (tag in _STATED or tag == _SUBFILE) and taken <= _VALUE_BYTES and at + taken <= size:
                    stated[tag] = read(at, taken) if at else value[:taken]
        if values_end > size:
            raise VolumeError(
                f"{path}: truncated or corrupt: expected page {len(seen) - 1} and its tags up to byte {values_end}, "
                f"found the end of the file at byte {size}"
            )
        (position,) = offset.unpack(read(end, offset.size))
        yield stated
    if not seen:
        raise VolumeError(f"{path}: expected a TIFF file of at least one page, found none")

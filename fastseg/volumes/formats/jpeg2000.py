"""Whether a code stream of JPEG 2000 keeps every value: how it was transformed, and whether all coding passes are there.

Encoders that are asked for a size or a quality leave out the last passes of code blocks, under the reversible transform too.
How many passes a block has is in the headers of packets (ISO/IEC 15444-1, annex B), which are read here; nothing is decoded.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["lossy_jpeg_2000"]

_LOSSY = "lossy JPEG 2000"
_UNKNOWN = "JPEG 2000 laid out so that it cannot be told whether it is lossy"
_SIZE, _CODING, _QUANTISATION, _TILE, _DATA, _END = 0xFF51, 0xFF52, 0xFF5C, 0xFF90, 0xFF93, 0xFFD9
#: Styles of single components, regions of interest, other orders of packets, headers of packets that lie elsewhere.
_NOT_READ = {0xFF53, 0xFF5D, 0xFF5E, 0xFF5F, 0xFF60, 0xFF61}
_PRECINCT = 15  # where none is declared, as a power of two
_MOST = 1 << 16  # code blocks of a tile, and passes


class _UnreadableError(Exception):
    """Raised where a stream ends too early, or is laid out in a way that is not followed."""


def lossy_jpeg_2000(data: bytes) -> str | None:
    """Say how the values of a code stream are not those that were encoded; None where they are, as far as it can be told.

    A block of which nothing is there is one of zeros, or was left out: that cannot be told.
    """
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return _LOSSY
    try:
        return _look(memoryview(data)[start:])
    except (_UnreadableError, struct.error, IndexError):
        return _UNKNOWN


def _look(data: memoryview) -> str | None:
    main, at = _header(data, 2)
    size, coding, quantisation = (main.get(key, b"") for key in (_SIZE, _CODING, _QUANTISATION))
    if len(coding) < 10 or coding[9] != 1 or not quantisation or quantisation[0] & 31:
        return _LOSSY
    if _NOT_READ & main.keys():
        raise _UnreadableError
    image = struct.unpack_from(">8I", size, 2)
    components, (_, across, down) = size[34] << 8 | size[35], size[36:39]
    # One component, of precincts that are not declared, with one run of bytes for each block and layer.
    if components != 1 or (across, down) != (1, 1) or coding[0] & 1 or coding[8] & 5:
        raise _UnreadableError
    parts: dict[int, list[memoryview]] = {}
    while at + 12 <= len(data) and _marker(data, at) == _TILE:
        tile, length = struct.unpack_from(">HI", data, at + 4)
        own, begin = _header(data, at + 12)
        if own:  # what holds of this tile alone
            raise _UnreadableError
        end = at + length if length else len(data) - 2
        if end > len(data):
            return _LOSSY  # cut off
        parts.setdefault(tile, []).append(data[begin:end])
        at = end
    x1, y1, x0, y0, width, height, left, top = image
    if not (width and height and x1 > left and y1 > top):
        raise _UnreadableError
    columns, rows = -(-(x1 - left) // width), -(-(y1 - top) // height)
    if columns * rows > _MOST or sorted(parts) != list(range(columns * rows)):
        return _LOSSY
    for number, pieces in parts.items():
        row, column = divmod(number, columns)
        ends = [(left + column * width, left + (column + 1) * width), (top + row * height, top + (row + 1) * height)]
        box = [(max(a, low), min(b, high)) for (a, b), low, high in zip(ends, (x0, y0), (x1, y1), strict=True)]
        if not _complete(b"".join(pieces), coding, quantisation, box):
            return "JPEG 2000 that was cut to a size or a quality"
    return None


def _marker(data: memoryview, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _header(data: memoryview, at: int) -> tuple[Mapping[int, bytes], int]:
    """Return the segments of a header that matter, without their lengths, and where what follows begins."""
    found: dict[int, bytes] = {}
    while at + 4 <= len(data) and (marker := _marker(data, at)) not in (_TILE, _DATA, _END):
        length = _marker(data, at + 2)
        if marker in (_SIZE, _CODING, _QUANTISATION, *_NOT_READ):
            found[marker] = bytes(data[at + 4 : at + 2 + length])
        at += 2 + length
    return found, at + 2 * (_marker(data, at) == _DATA)


@dataclass
class _Block:
    """A code block, as far as packets have told of it."""

    planes: int = 0
    """Bits of its largest coefficient."""
    passes: int = 0
    length_bits: int = 3
    seen: bool = False


class _Bits:
    """Bits of a packet's header, the highest first; after a byte of ones the next one has seven."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self.at, self._left, self._byte = data, at, 0, 0

    def take(self, count: int = 1) -> int:
        value = 0
        for _ in range(count):
            if not self._left:
                self._left = 7 if self._byte == 0xFF else 8
                self._byte = self._data[self.at]
                self.at += 1
            self._left -= 1
            value = value << 1 | (self._byte >> self._left & 1)
        return value

    def end(self) -> int:
        """Return where the next byte begins."""
        return self.at + (self._byte == 0xFF)


class _Tree:
    """A tag tree: numbers of a grid of blocks, each told as little as is needed."""

    def __init__(self, columns: int, rows: int) -> None:
        self._known: dict[tuple[int, int, int], int] = {}
        self._low: dict[tuple[int, int, int], int] = {}
        self._levels = 0
        while columns > 1 or rows > 1:
            columns, rows, self._levels = -(-columns // 2), -(-rows // 2), self._levels + 1

    def below(self, bits: _Bits, column: int, row: int, threshold: int) -> bool:
        """Tell whether the number of a block is below a threshold, reading the bits that say so."""
        low = 0
        for level in range(self._levels, -1, -1):
            node = level, column >> level, row >> level
            low = max(low, self._low.get(node, 0))
            while low < threshold and node not in self._known:
                if bits.take():
                    self._known[node] = low
                else:
                    low += 1
            self._low[node] = low
        leaf = 0, column, row
        return leaf in self._known and self._known[leaf] < threshold


class _Band(NamedTuple):
    """A subband of a tile."""

    most: int
    """Bits that a coefficient may have."""
    blocks: Mapping[tuple[int, int], _Block]
    included: _Tree
    empty_planes: _Tree


@dataclass
class _Tile:
    """What a tile consists of: for each resolution its subbands, none where it has no area."""

    resolutions: list[list[_Band]] = field(default_factory=list)


def _complete(data: bytes, coding: bytes, quantisation: bytes, box: list[tuple[int, int]]) -> bool:
    """Tell whether all blocks of a tile of which something is there have all of their coding passes."""
    marks, order, layers, levels = coding[0], coding[1], coding[2] << 8 | coding[3], coding[5]
    exponents = [each >> 3 for each in quantisation[1:]]
    if len(exponents) < 3 * levels + 1:
        raise _UnreadableError
    tile = _laid_out(
        box, levels, coding[6] + 2, coding[7] + 2, [(quantisation[0] >> 5) + each - 1 for each in exponents]
    )
    present = [number for number, bands in enumerate(tile.resolutions) if bands]
    packets: Iterator[tuple[int, int]] = itertools.product(range(layers), present)
    if order:  # all others have the layers last, where a resolution is one precinct
        packets = ((layer, number) for number, layer in itertools.product(present, range(layers)))
    at = 0
    for layer, number in packets:
        if at >= len(data):
            return False
        at = _packet(data, at, tile.resolutions[number], layer, marks)
    blocks = [block for bands in tile.resolutions for band in bands for block in band.blocks.values()]
    return at <= len(data) and all(block.passes >= 3 * block.planes - 2 for block in blocks if block.seen)


def _laid_out(box: list[tuple[int, int]], levels: int, wide: int, high: int, most: list[int]) -> _Tile:
    """Return the subbands of a tile and their blocks, of 2^wide columns and 2^high rows."""
    tile = _Tile()
    for number in range(levels + 1):
        extent = [(_up(a, levels - number), _up(b, levels - number)) for a, b in box]
        if any(a >> _PRECINCT != (b - 1) >> _PRECINCT for a, b in extent if b > a):
            raise _UnreadableError  # several precincts
        bands: list[_Band] = []
        depth = levels - number + (number > 0)
        for place, odd in enumerate([(0, 0)] if number == 0 else [(1, 0), (0, 1), (1, 1)]):
            half = (1 << depth) >> 1
            sides = [(_up(a - half * o, depth), _up(b - half * o, depth)) for (a, b), o in zip(box, odd, strict=True)]
            (left, right), (top, bottom) = (
                (a >> power, _up(b, power)) if b > a else (0, 0)
                for (a, b), power in zip(sides, (wide, high), strict=True)
            )
            columns, rows = (right - left, bottom - top) if right > left and bottom > top else (0, 0)
            if columns * rows > _MOST:
                raise _UnreadableError
            blocks = {(x, y): _Block() for y in range(rows) for x in range(columns)}
            bits = most[0] if number == 0 else most[3 * number - 2 + place]
            bands.append(_Band(bits, blocks, _Tree(columns, rows), _Tree(columns, rows)))
        tile.resolutions.append(bands if all(b > a for a, b in extent) else [])
    return tile


def _up(number: int, power: int) -> int:
    """Divide by a power of two, rounding up."""
    return -(-number >> power)


def _packet(data: bytes, at: int, bands: list[_Band], layer: int, marks: int) -> int:
    """Read the header of a packet, add its passes to the blocks, and return where the next packet begins."""
    if marks & 2 and data[at : at + 2] == b"\xff\x91":
        at += 6
    bits, body = _Bits(data, at), 0
    if bits.take():
        for band in bands:
            for (column, row), block in band.blocks.items():
                body += _contribution(bits, band, column, row, block, layer)
    at = bits.end()
    if marks & 4 and data[at : at + 2] == b"\xff\x92":
        at += 2
    return at + body


def _contribution(bits: _Bits, band: _Band, column: int, row: int, block: _Block, layer: int) -> int:
    """Read what a layer has of a block; return its bytes."""
    if not (bits.take() if block.seen else band.included.below(bits, column, row, layer + 1)):
        return 0
    if not block.seen:
        block.seen, empty = True, 0
        while not band.empty_planes.below(bits, column, row, empty + 1):
            empty += 1
            if empty > band.most:
                raise _UnreadableError
        block.planes = band.most - empty
    passes = _passes(bits)
    block.passes += passes
    while bits.take():
        block.length_bits += 1
    return bits.take(block.length_bits + passes.bit_length() - 1)


def _passes(bits: _Bits) -> int:
    """Read a number of passes."""
    for width, first in ((1, 1), (1, 2), (2, 3), (5, 6)):
        value = bits.take(width)
        if value != (1 << width) - 1:
            return first + value
    return 37 + bits.take(7)

"""Blocks of rows around an element: where something nearer than the nearest so far would be.

A block is eight rows of a plane on one side of an element, and stands for those on the other side too. Whether it has anything
takes no distances: of each row it is known how far along it is looked at. Blocks are made once for each distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.jit import device
from fastseg.kernels.numba.simd.lanes import as_bits
from fastseg.kernels.numba.simd.rows import rows_beside, rows_turned

__all__ = [
    "BLOCK_ROWS",
    "FIRST",
    "HEAD",
    "KNOWN",
    "MOST_OFFSETS",
    "blocks_nearer",
    "first_hit",
    "plane_of",
    "row_of",
    "window",
]

U = np.uint64

#: Rows of a block: what a bit map has after the last row of each column of words.
BLOCK_ROWS = 8
#: How many offsets along an axis are near by at most.
MOST_OFFSETS = 256
#: Where blocks begin in their arena, after the end of what is in use and for how many distances; room for these.
FIRST, KNOWN, _KNOWN_SHIFT = 2, 1 << 12, 52
#: Words before the planes of blocks, and by how many bits the plane of a block is shifted: see `_add_blocks`.
HEAD, _PLANE = 3, 16
_ZERO, _ONE = U(0), U(1)
_MIX = U(0x9E3779B97F4A7C15)


@device
def _most_words(depth: Any, height: Any) -> Any:
    """Return how many words the blocks of any distance take at most, given the largest offsets."""
    return HEAD + depth + 2 + 2 * (depth + 1) * ((2 * height + BLOCK_ROWS) // BLOCK_ROWS)


@device
def _add_blocks(best: Any, along_z: Any, along_y: Any, along_x: Any, reach: Any, arena: Any, at: Any) -> Any:
    """Write to arena[at:] the blocks of what is nearer to an element than `best` (squared); return where they end.

    First are the number of planes on a side, and the largest offsets along a plane and a row; then where the blocks of each
    plane begin, and where all end. A block is its head (`plane_of`, `row_of`) and its cuts as `rows_turned` takes them. A row
    of a block that is too far is looked at all the same, where it has the element's x.
    """
    depth = np.int64(-1)
    while depth < reach[0] and along_z[U(depth + 1)] < best:
        depth += 1
    height = np.int64(-1)
    while height < reach[1] and along_y[U(height + 1)] < best:
        height += 1
    width = np.int64(-1)
    while width < reach[2] and along_x[U(width + 1)] < best:
        width += 1
    arena[U(at)], arena[U(at + 1)], arena[U(at + 2)] = U(depth + 1), U(height), U(width)
    block = at + HEAD + depth + 2
    for dz in range(depth + 1):
        arena[U(at + HEAD + dz)] = U(block)
        while along_z[U(dz)] + along_y[U(height)] >= best:
            height -= 1
        for first in range(-height, height + 1, BLOCK_ROWS):
            cuts = _ZERO
            for i in range(BLOCK_ROWS):
                dy, across = abs(first + i), np.int64(0)
                if dy <= height:
                    across = width
                    while (along_z[U(dz)] + along_y[U(dy)]) + along_x[U(across)] >= best:
                        across -= 1
                cuts |= U(31 - across) << U(8 * i)
            arena[U(block)], arena[U(block + 1)] = U((dz << _PLANE) + first + MOST_OFFSETS), cuts
            block += 2
    arena[U(at + HEAD + depth + 1)] = U(block)
    return block


@device
def blocks_nearer(
    best: Any, levels: Any, along_z: Any, along_y: Any, along_x: Any, reach: Any, arena: Any, tables: Any, known: Any
) -> Any:
    """Return where in `arena` the blocks of what is nearer than `best` begin, which are made if they are not there.

    Equal distances share them, those beyond levels[0] the blocks of the next level: `known` has where they are. Where there is
    no room all are made anew, and `tables` forgotten.
    """
    level = np.int64(0)
    while levels[U(level)] < best:
        level += 1
    within = best if level == 0 else levels[U(level)]
    slot = (as_bits(within) * _MIX) >> U(_KNOWN_SHIFT)
    while known[slot, U(0)] != _ZERO and known[slot, U(1)] != as_bits(within):
        slot = (slot + _ONE) & U(KNOWN - 1)
    table = np.int64(known[slot, U(0)])
    if table == 0:
        table = np.int64(arena[U(0)])
        if table + _most_words(reach[0], reach[1]) > arena.size or arena[U(1)] > U(KNOWN // 2):
            for i in range(tables.size):
                tables[U(i)] = 0
            for i in range(KNOWN):
                known[U(i), U(0)] = _ZERO
            slot = (as_bits(within) * _MIX) >> U(_KNOWN_SHIFT)
            table, arena[U(1)] = np.int64(FIRST), _ZERO
        known[slot, U(0)], known[slot, U(1)] = U(table), as_bits(within)
        arena[U(0)] = U(_add_blocks(within, along_z, along_y, along_x, reach, arena, table))
        arena[U(1)] += _ONE
    return table


@device
def plane_of(head: Any) -> Any:
    """Return the plane of a block: how far it is on either side."""
    return np.int64(head >> U(_PLANE))


@device
def row_of(head: Any) -> Any:
    """Return the first row of a block, beside the element's."""
    return np.int64(head & U((1 << _PLANE) - 1)) - MOST_OFFSETS


@device
def first_hit(bits: Any, at: Any, layer: Any, pitch: Any, bit: Any, over: Any, arena: Any, block: Any, end: Any) -> Any:
    """Return where in `arena` the first block from `block` on is that has a bit on either side of an element; `end` if none.

    The element is bit `bit` of bits[at], and no row is looked at more than `over` bits beside it: where these lie in the same
    word, no other is read.
    """
    if bit >= over and bit + over < 64:
        turn = U((32 - bit) & 63)
        while block < end:
            head = arena[U(block)]
            ahead, line = plane_of(head) * layer, at + row_of(head)
            if rows_turned(bits, U(line - ahead), U(line + ahead), turn, arena[U(block + 1)]) != _ZERO:
                break
            block += 2
    else:
        if bit < 32:
            at -= pitch
        shift = U((bit - 32) & 63)
        while block < end:
            head = arena[U(block)]
            ahead, line = plane_of(head) * layer, at + row_of(head)
            if rows_beside(bits, U(line - ahead), U(line + ahead), U(pitch), shift, arena[U(block + 1)]) != _ZERO:
                break
            block += 2
    return block


@device
def window(bits: Any, at: Any, pitch: Any, shift: Any) -> Any:
    """Return 64 bits of a row, from bit `shift` of bits[at] on; what follows is `pitch` words after it."""
    return (bits[at] >> shift) | ((bits[at + pitch] << _ONE) << (U(63) - shift))

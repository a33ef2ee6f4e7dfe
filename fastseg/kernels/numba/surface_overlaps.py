"""Finds what is a step or two from another surface, 64 elements at a time: bit maps laid over each other, moved a little.

Most elements of two surfaces that are much alike are so near. Moves are tried in the order of their distance, so the first
that lays an element on one of the other surface is its nearest; what no move does is left to the search element by element.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.simd.lanes import popcount, trailing_zeros
from fastseg.kernels.numba.stages import own

__all__ = ["MOVES", "moves_of", "overlay"]

Array = npt.NDArray[Any]
U = np.uint64

_ZERO, _ONE = U(0), U(1)
#: Voxels that a move goes along an axis at most; boxes have as many empty columns around them.
MOVES = 2


@kernel
def overlay_words(
    places: Any, chosen: Any, boxes: Any, rows: Any, columns: Any, bits: Any, moves: Any, roots: Any, counts: Any, left: Any,
    farthest: Any,
) -> None:  # fmt: skip
    """Count the elements of some boxes by the first of the `moves`, (dz, dy, dx), that leads to one of the box beside it.

    counts[j, m] elements of box chosen[j] need move m, at the distance roots[m], which increase. Those left over are written
    to the first places of the box, column by column, left[j] of them. farthest[j] becomes the largest distance and the first
    place that has it.
    """
    for j in range(chosen.size):
        box, other = boxes[chosen[j]], boxes[chosen[j] ^ 1]
        words, their_words = box[6], other[6]
        pitch, their_pitch = (box[5] + 2 * box[11]) * words, (other[5] + 2 * other[11]) * their_words
        start = box[7] + box[10] * pitch + box[11] * words
        their_start = other[7] + other[10] * their_pitch + other[11] * their_words
        root, where = -1.0, -1.0
        end = box[8]
        for row in range(box[4]):
            for column in range(box[5]):
                at = start + row * pitch + column * words
                y, x = row + box[1] - other[1], column + box[2] - other[2]
                inside = 0 <= y < other[4] and 0 <= x < other[5]
                line = (row + box[1]) * columns + column + box[2]
                for word in range(1, words - 1):
                    rest = bits[U(at + word)]
                    if rest == _ZERO:
                        continue
                    z = box[0] + (word - 1) * 64
                    for m in range(roots.size):
                        there_y, there_x = y + moves[U(m), U(1)], x + moves[U(m), U(2)]
                        if not inside and not (0 <= there_y < other[4] and 0 <= there_x < other[5]):
                            continue
                        first = z + moves[U(m), U(0)] - other[0]
                        there = (first >> 6) + 1
                        if there < 0 or there + 1 >= their_words:
                            continue
                        shift = U(first & 63)
                        place = U(their_start + there_y * their_pitch + there_x * their_words + there)
                        hits = rest & ((bits[place] >> shift) | ((bits[place + _ONE] << _ONE) << (U(63) - shift)))
                        if hits == _ZERO:
                            continue
                        counts[j, m] += np.int64(popcount(hits))
                        if roots[U(m)] >= root:
                            found = np.float64((z + np.int64(trailing_zeros(hits))) * rows * columns + line)
                            if roots[U(m)] > root or found < where:
                                where = found
                            root = roots[U(m)]
                        rest &= ~hits
                        if rest == _ZERO:
                            break
                    while rest != _ZERO:
                        places[U(end)] = U((z + np.int64(trailing_zeros(rest))) * rows * columns + line)
                        end += 1
                        rest &= rest - _ONE
        left[j] = end - box[8]
        farthest[j, 0], farthest[j, 1] = root, where


@functools.cache
def overlay() -> Any:
    """Return the compiled `overlay_words`."""
    words, ints, table = own(np.uint64, 1), own(np.int64, 1), own(np.int64, 2)
    return overlay_words.specialise(
        words, ints, table, types.int64, types.int64, words, table, own(np.float64, 1), table, ints, own(np.float64, 2)
    )


@functools.lru_cache(maxsize=32)
def moves_of(spacing: tuple[float, float, float], shape: tuple[int, int, int], limit: float) -> tuple[Array, Array]:
    """Return the moves up to twice the least spacing in the order of their squared distances, and these.

    Those are left out that are beyond the volume, or not less than `limit`.
    """
    reach = [range(-min(MOVES, n - 1), min(MOVES, n - 1) + 1) for n in shape]
    moves = np.array([*itertools.product(*reach)], np.int64)
    each = (np.abs(moves) * np.array(spacing)) ** 2
    squares = (each[:, 0] + each[:, 1]) + each[:, 2]
    step = min(step for step, n in zip(spacing, shape, strict=True) if n > 1 or max(shape) == 1)
    near = (squares <= (MOVES * step) ** 2 * (1 + 1e-9)) & (squares < limit)
    order = np.argsort(squares[near], kind="stable")
    return np.ascontiguousarray(moves[near][order]), np.ascontiguousarray(squares[near][order])

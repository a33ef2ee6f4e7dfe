"""How much surface there is between 2×2×2 neighbouring voxels (2×2 pixels): areas (lengths) of the blocks' patterns.

A *surfel* is the piece of a surface around a corner that eight voxels share, some inside and some outside. It is what
marching cubes (Lorensen and Cline, 1987) draws between the centres of these voxels, and nothing here is a table: polygons
follow from one rule for the faces of the block, triangles from another.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["surfel_measures"]

Corner = tuple[int, ...]
#: The two corners that an edge of the block joins; the surface crosses it halfway.
Edge = tuple[Corner, Corner]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@functools.lru_cache(maxsize=64)
def surfel_measures(spacing: tuple[float, ...]) -> Floats:
    """Return the area of each pattern of a 2×2×2 block, (256,), or the length of each of a 2×2 block, (16,).

    Parameters
    ----------
    spacing
        Distance of neighbouring voxels along each axis, two or three numbers.

    Returns
    -------
    measures : float64
        By pattern: bit ``4 z + 2 y + x`` (``2 y + x``) says whether the voxel (z, y, x) of the block is inside. 0 for the
        two patterns without a surface, and more for all others.

    Examples
    --------
    >>> lengths = surfel_measures((3.0, 4.0))
    >>> lengths[[0b0000, 0b0001, 0b0011, 0b0101, 0b0110]].tolist()  # a corner: half a diagonal
    [0.0, 2.5, 4.0, 3.0, 5.0]
    """
    if len(spacing) == 2:
        vectors, factors = _segments(), np.array(spacing)
    else:
        vectors, factors = _normals(), np.array([np.prod(np.delete(spacing, axis)) for axis in range(3)])
    measures: Floats = np.sqrt(((vectors * factors) ** 2).sum(2)).sum(1)
    measures.flags.writeable = False
    return measures


@functools.cache
def _segments() -> Floats:
    """Return the segments in each pattern of four pixels, (16, 2, 2): zeros where there are fewer."""
    ring = [(0, 0), (0, 1), (1, 1), (1, 0)]
    found = [[np.subtract(_halfway(b), _halfway(a)) for a, b in _cuts(ring, inside)] for inside in _patterns(2)]
    return _padded(found)


@functools.cache
def _normals() -> Floats:
    """Return the normals of the triangles in each pattern of eight voxels, (256, T, 3), as long as the triangles are large."""
    found = []
    for inside in _patterns(3):
        polygons = [np.array([_halfway(edge) for edge in loop]) for loop in _loops(inside)]
        found.append([normal for polygon in polygons for normal in _largest(polygon)])
    return _padded(found)


def _padded(lists: Sequence[Sequence[Floats]]) -> Floats:
    most, length = max(map(len, lists)), len(next(filter(None, lists))[0])
    return np.array([[*each, *[np.zeros(length)] * (most - len(each))] for each in lists])


def _patterns(ndim: int) -> Iterator[set[Corner]]:
    """Yield the corners that are inside, of each pattern; where more are inside than outside, those outside.

    So the surface of a pattern is that of its complement; of two halves, the one with the first corner stands for both.
    """
    corners = list(itertools.product((0, 1), repeat=ndim))
    for pattern in range(2 ** len(corners)):
        inside = {corner for bit, corner in enumerate(corners) if pattern >> bit & 1}
        fewer = 2 * len(inside) + (corners[0] not in inside) <= len(corners)
        yield inside if fewer else set(corners) - inside


def _cuts(ring: Sequence[Corner], inside: set[Corner]) -> Iterator[tuple[Edge, Edge]]:
    """Yield from which edge to which other the surface crosses a face: each run of corners inside is cut off by itself."""
    for first in range(4):
        if ring[first] in inside and ring[first - 1] not in inside:
            last = next(k for k in range(first, first + 4) if ring[(k + 1) % 4] not in inside)
            yield _edge(ring[first - 1], ring[first]), _edge(ring[last % 4], ring[(last + 1) % 4])


def _edge(a: Corner, b: Corner) -> Edge:
    return (a, b) if a < b else (b, a)


def _halfway(edge: Edge) -> Floats:
    return np.add(*edge) / 2


def _loops(inside: set[Corner]) -> Iterator[list[Edge]]:
    """Yield the polygons of the surface in a block of eight voxels: the edges that each goes over, in turn."""
    beside: dict[Edge, list[Edge]] = {}  # each edge lies on two faces, so two others are beside it
    for axis, side in itertools.product(range(3), (0, 1)):
        ring = [tuple(np.insert(corner, axis, side).tolist()) for corner in ((0, 0), (0, 1), (1, 1), (1, 0))]
        for a, b in _cuts(ring, inside):
            beside.setdefault(a, []).append(b)
            beside.setdefault(b, []).append(a)
    while beside:
        loop, here = [], min(beside)
        while here in beside:
            loop.append(here)
            following = beside.pop(here)
            here = next((edge for edge in following if edge in beside), here)
        yield loop


def _largest(polygon: Floats) -> list[Floats]:
    """Return the normals of the triangles of a polygon: of its triangulations the one that is largest in a unit cube.

    Polygons of five or six corners may be bent, and then other diagonals make other areas. This choice turns and mirrors
    with the block, and has the areas of DeepMind's surface-distance for every pattern and spacing.
    """
    choices = [[_normal(*polygon[list(abc)]) for abc in each] for each in _triangulations(0, len(polygon) - 1)]
    return max(choices, key=lambda normals: round(sum(np.linalg.norm(normals, axis=1)), 9))


def _normal(a: Floats, b: Floats, c: Floats) -> Floats:
    return np.cross(b - a, c - a) / 2


def _triangulations(first: int, last: int) -> Iterator[list[tuple[int, int, int]]]:
    """Yield all ways to cut the polygon of the corners first..last into triangles."""
    if last - first < 2:
        yield []
    for apex in range(first + 1, last):
        for left in _triangulations(first, apex):
            for right in _triangulations(apex, last):
                yield [*left, (first, apex, last), *right]

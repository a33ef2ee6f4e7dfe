"""The room that kernels of scores work in: a tile of voxels and what is computed from it, used again from call to call."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba import score_rows as k
from fastseg.kernels.numba.score_stages import tile_type
from fastseg.kernels.numba.scores import classify
from fastseg.kernels.numba.stages import given, own, untyped
from fastseg.kernels.protocols.scores import ScoreOptions, ScoreSpan

__all__ = ["ScoreRoom", "borrow", "give_back"]

Array = npt.NDArray[Any]

#: Numbers in a tile: it and what is computed from it stay in the second-level cache, mostly in the first.
_TILE = 1 << 15
_LEAST_TILE, _MOST_TILE = 64, 512
#: Bytes between rows: with a power of two from row to row they would all map to a few sets of the cache.
_PAD = 64
#: Numbers of classes for which rooms are kept, and how many of each.
_MOST_KINDS, _MOST_ROOMS = 8, 64


class ScoreRoom:
    """What one running counter or writer works in, about 1 MB: its contents mean nothing from one call to the next."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.size = max(_LEAST_TILE, min(_MOST_TILE, _TILE // channels // 32 * 32))
        room = self.size + _PAD // 4
        self.p, self.q, self.logs, self.others, self.truth = (_aligned((channels, room), np.float32) for _ in range(5))
        self.p_view = untyped(self.p)
        self.voxel = _aligned((k.VOXEL_ROWS, room), np.float32)
        self.best, self.true_best, self.tile_codes = (_aligned((self.size,), np.int16) for _ in range(3))
        self.index = np.zeros(self.size, np.uint64)
        self._codes = np.empty(0, np.int16)
        self._weights = np.empty(0, np.float32)
        self._labels = [np.empty(0, np.uint8 if max(2, channels) <= 256 else np.uint16)] * 2
        self._tiles: dict[tuple[int, np.dtype[Any]], Array] = {}

    def tile(self, which: int, like: Array) -> Array:
        """Return room for a tile of the scores (0) or of the truth (1)."""
        dtype = tile_type(like.dtype)
        tile = self._tiles.get((which, dtype))
        if tile is None:
            shape = (-(-self.channels // 16) * 16, self.size + _PAD // dtype.itemsize)
            tile = self._tiles[which, dtype] = untyped(np.zeros(shape, dtype))
        return tile

    def labels(self, which: int, size: int) -> Array:
        """Return room for the predicted (0) or the true (1) labels of a span."""
        if self._labels[which].size < size:
            self._labels[which] = np.zeros(size, self._labels[which].dtype)
        return self._labels[which][:size]

    def weights(self, size: int) -> Array:
        """Return room for the weights of a span, (1, size)."""
        if self._weights.size < size:
            self._weights = _aligned((size,), np.float32)
        return self._weights[None, :size]

    def prepare(self, span: ScoreSpan, options: ScoreOptions) -> tuple[Array, Array | None, Array]:
        """Return the scores and the soft truth as kernels take them, and each voxel's label, -1 where it is not looked at."""
        scores, soft = _stored(span.scores), _stored(span.truth) if options.soft else None
        size = scores.shape[1]
        if self._codes.size < size:
            self._codes = _aligned((size,), np.int16)
        codes = self._codes[:size]
        labels = np.broadcast_to(np.uint8(0), (size,)) if soft is not None else span.truth
        labels = labels.view(np.uint8) if labels.dtype.kind == "b" else labels
        mask = None if span.mask is None else span.mask.view(np.uint8)
        compiled = _compiled_classify(labels.dtype, mask is not None)
        compiled(labels, mask, _ignored(options), options.labels, codes)
        return scores, soft, codes


_idle: dict[int, list[ScoreRoom]] = {}  # what is done to it is atomic


def borrow(channels: int) -> ScoreRoom:
    """Return a room for scores of so many classes, which nobody else works in."""
    try:
        return _idle[channels].pop()
    except (KeyError, IndexError):
        return ScoreRoom(channels)


def give_back(room: ScoreRoom) -> None:
    """Keep a room for the next call."""
    if len(_idle) >= _MOST_KINDS and room.channels not in _idle:
        _idle.clear()
    rooms = _idle.setdefault(room.channels, [])
    if len(rooms) < _MOST_ROOMS:
        rooms.append(room)


def _stored(array: Array) -> Array:
    """Return scores as the kernel takes them: bool as bytes, float16 as its bits."""
    code = array.dtype.str[1:]
    return array.view(np.uint16) if code == "f2" else array.view(np.uint8) if code == "b1" else array


def _aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return zeros that begin with a cache line: a vector across two lines costs twice."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, np.uint8)
    first = -room.ctypes.data % 64
    return room[first : first + size].view(dtype).reshape(shape)


@functools.lru_cache(maxsize=64)
def _ignored(options: ScoreOptions) -> Array:
    return np.array([i for i in options.ignored if 0 <= i < options.labels], np.int64)


@functools.cache
def _compiled_classify(labels: np.dtype[Any], masked: bool) -> Any:
    mask = given(np.uint8, 1) if masked else types.none
    return classify.specialise(given(labels, 1), mask, own(np.int64, 1), types.int64, own(np.int16, 1))

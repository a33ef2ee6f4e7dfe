"""The elements of both maps of a layer, class by class, and of each class kind by kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numba.surface_elements import LEAST, MOST, NUMBER, group_elements

__all__ = ["Elements"]

Array = npt.NDArray[Any]


class Elements:
    """Lists of elements.

    Parameters
    ----------
    found
        The words and the tally of each slab of the truth, then of each of the prediction.
    kinds
        How many kinds of elements each of the K classes has.

    Attributes
    ----------
    numbers : (2, K, kinds) int64
        How many elements there are.
    ranges : two of (2, K, kinds) int64
        From where to where they are.
    places : uint64
        Where each lies in the volume; those of a kind in the order of the volume.
    """

    def __init__(self, found: list[tuple[Array, Array]], kinds: int) -> None:
        self._words = [words for words, _ in found]
        tallies = np.array([tally for _, tally in found]).reshape(2, len(found) // 2, -1, 7)
        each = tallies[..., NUMBER]
        self.numbers = each.sum(1).reshape(2, -1, kinds)
        ends = np.cumsum(self.numbers).reshape(self.numbers.shape)
        self.ranges = ends - self.numbers, ends
        before = np.cumsum(each, axis=1) - each + self.ranges[0].reshape(2, 1, -1)
        self._cursors = before.reshape(len(found), -1)
        self._least = tallies[..., LEAST:MOST].min(1).reshape(2, -1, kinds, 3).min(2)
        self._most = tallies[..., MOST:].max(1).reshape(2, -1, kinds, 3).max(2)
        self.places = np.empty(int(self.numbers.sum()), np.uint64)

    def group(self, slab: int) -> None:
        """Put a slab's elements to those of their classes."""
        group_elements(self._words[slab], self._cursors[slab], self.places)
        self._words[slab] = np.empty(0, np.uint64)

    def boxes(self, around: tuple[int, int]) -> Array:
        """Return the boxes of the classes, (2, K, 12), as `surface_nearest` takes them, but for where their bit maps begin."""
        boxes = np.zeros((*self.numbers.shape[:2], 12), np.int64)
        boxes[..., 10:] = around
        boxes[..., :3], boxes[..., 3:6] = self._least, self._most - self._least + 1
        boxes[..., 6] = (boxes[..., 3] + 63) // 64 + 2
        boxes[..., 8], boxes[..., 9] = self.ranges[0][..., 0], self.ranges[1][..., -1]
        return boxes

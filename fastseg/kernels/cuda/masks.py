"""Counting binary maps on a GPU."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation
from fastseg.kernels.cuda.driver import driver
from fastseg.kernels.cuda.labels import WORDS, places_of, told_of_weights, weigh, weights_of
from fastseg.kernels.cuda.maps import Maps
from fastseg.kernels.protocols.device import Device

__all__ = ["MaskSums", "count_masks", "masks_kernel"]

#: The end of `Job` in masks.cuh, behind the maps, and how many sums of a channel there are.
_JOB = struct.Struct("<Q")
_SUMS = 5
#: Codes of the numbers of masks where their weights are summed: 0, 1, and all else.
_CODES = 3


class MaskSums(NamedTuple):
    """What the maps amount to, (N, C) each."""

    inside: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    both: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    """Numbers other than 0 and 1, and weights that are negative, infinite or NaN."""
    weights: npt.NDArray[np.float64] | None
    """(N, C, 2, 2) summed weights, rows true; None without."""


def count_masks(maps: Maps, bases: tuple[int, ...], device: Device) -> Callable[[], MaskSums]:
    """Count each channel of each sample; return a function that waits for the sums."""
    found = driver()
    units, weighted = maps.samples * maps.channels, maps.weight is not None
    sizes = [units * _SUMS, *((units * _CODES**2 * WORDS, units, 1) if weighted else ())]
    ends = [*accumulate(sizes)]
    with found.at(device):
        pointer = found.zeros(ends[-1] * 8, device)
        job = maps.packed(bases, _JOB.pack(pointer))
        found.launch(masks_kernel(maps), device, maps.grid(found.limits(device)), 0, job)
        if weighted:
            _, sums, bad, largest = places_of(pointer, sizes)
            weigh(found, maps, bases, device, told_of_weights(0, largest, bad, sums, 2, 2))
        fetched = found.fetch(pointer, ends[-1] * 8, device)

    def finish() -> MaskSums:
        shape = (maps.samples, maps.channels)
        sums, *weights = np.split(np.frombuffer(fetched.wait(), np.int64), ends[:-1])
        inside, true, pred, both, wrong = np.moveaxis(sums.reshape(*shape, _SUMS), -1, 0)
        if not weighted:
            return MaskSums(inside, true, pred, both, wrong, None)
        words, bad, largest = weights
        summed = weights_of(words.reshape(*shape, _CODES, _CODES, WORDS), largest)
        return MaskSums(inside, true, pred, both, wrong + bad.reshape(shape), summed[..., :2, :2])

    return finish


def masks_kernel(maps: Maps) -> Specialisation:
    """Return the kernel that counts these."""
    return maps.specialised("masks", ("WORDS", int(maps.of_bytes)))

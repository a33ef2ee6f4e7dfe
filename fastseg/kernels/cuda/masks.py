"""Counting binary maps on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.cuda.driver import driver
from fastseg.kernels.cuda.maps import MAPS, Maps
from fastseg.kernels.protocols.device import Device

__all__ = ["MaskSums", "count_masks"]

#: `Job` in masks.cuh, and how many sums of a channel there are.
_JOB = np.dtype([("maps", MAPS), ("sums", "u8")])
_SUMS = 5


class MaskSums(NamedTuple):
    """What the maps amount to, (N, C) each."""

    inside: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    both: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    """Numbers other than 0 and 1."""


def count_masks(maps: Maps, device: Device) -> Callable[[], MaskSums]:
    """Count each channel of each sample; return a function that waits for the sums."""
    found = driver()
    size = maps.samples * maps.channels * _SUMS * 8
    with found.turn:
        pointer = found.zeros(size, device)
        job = np.zeros((), _JOB)
        job["maps"], job["sums"] = maps.packed(), pointer
        found.launch(maps.specialised("masks"), device, maps.grid(found.limits(device)), 0, job.tobytes())
        fetched = found.fetch(pointer, size, device)

    def finish() -> MaskSums:
        sums = np.frombuffer(fetched.wait(), np.int64).reshape(maps.samples, maps.channels, _SUMS)
        return MaskSums(*np.moveaxis(sums, -1, 0))

    return finish

"""Counting pairs of labels on a GPU: what the kernel is told, and what is read back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.cuda.driver import Driver, driver
from fastseg.kernels.cuda.maps import MAPS, Maps
from fastseg.kernels.protocols.device import Device

__all__ = ["Table", "count_pairs"]

#: Shared memory that blocks have beside each other, and most copies of a small table in it.
_SHARED_BYTES, _MOST_COPIES = 48 << 10, 8
#: Static shared memory of the kernel, rounded up.
_RESERVED = 2 << 10

#: `Job` in joint_histogram.cuh.
_JOB = np.dtype(
    [
        ("maps", MAPS), ("labels", "u8"), ("table", "u8"), ("outside", "u8"), ("bad", "u8"),
        ("others", "i4"), ("first", "i4"), ("copies", "i4"), ("", "i4"),
    ]
)  # fmt: skip


class Table(NamedTuple):
    """How often pairs of codes occur; the code of a label is its place among the labels, that of all else comes last."""

    counts: npt.NDArray[np.int64]
    """(N, L + 1, L + 1), rows true."""
    outside: npt.NDArray[np.int64]
    """(N,) voxels outside the mask."""
    bad: npt.NDArray[np.int64]
    """(N,) values within it that are no whole numbers of 64 bits."""


def count_pairs(maps: Maps, labels: npt.NDArray[np.int64], device: Device) -> Table:
    """Count the pairs of labels, of which those given (sorted) are told apart."""
    found = driver()
    with found.turn:
        return _count_pairs(found, maps, labels, device)


def _count_pairs(found: Driver, maps: Maps, labels: npt.NDArray[np.int64], device: Device) -> Table:
    samples, width, limits = maps.samples, labels.size + 1, found.limits(device)
    cells = width * width
    shared, copies = _shared(cells, limits.shared_bytes)
    numbers = samples * (cells + 2)
    pointer = found.zeros(numbers * 8, device)
    consecutive = labels == np.arange(labels.size)
    first = labels.size if consecutive.all() else int(np.argmin(consecutive))
    job = np.zeros((), _JOB)
    job["maps"] = maps.packed()
    job["labels"] = found.upload(labels, device) if first < labels.size else 0
    job["table"], job["outside"] = pointer, pointer + samples * cells * 8
    job["bad"] = pointer + samples * (cells + 1) * 8
    job["others"], job["first"], job["copies"] = labels.size, first, max(1, copies)
    what = maps.specialised("joint_histogram", ("TABLE", "SHARED" if copies else "GLOBAL"))
    found.launch(what, device, maps.grid(limits), shared, job.tobytes())
    result = np.frombuffer(found.download(pointer, numbers * 8, device), np.int64)
    table, outside, bad = np.split(result, (samples * cells, samples * (cells + 1)))
    return Table(table.reshape(samples, width, width), outside, bad)


def _shared(cells: int, most: int) -> tuple[int, int]:
    """Return the bytes of a block's tables in shared memory, and how many there are; 0 where not one fits."""
    size = cells * 4
    if size > most - _RESERVED:
        return 0, 0
    copies = min(_MOST_COPIES, max(1, (_SHARED_BYTES - _RESERVED) // size))
    return copies * size, copies

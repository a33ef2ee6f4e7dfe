"""Counting pairs of labels on a GPU: what the kernel is told, and what is read back."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation
from fastseg.kernels.cuda.driver import Driver, driver
from fastseg.kernels.cuda.maps import BLOCKS, FEWER_BLOCKS, PLANS, Maps
from fastseg.kernels.protocols.device import Device, Limits

__all__ = [
    "WORDS",
    "Histogram",
    "Table",
    "count_pairs",
    "distinct_kernel",
    "distinct_labels",
    "histogram",
    "places_of",
    "told_of_weights",
    "weigh",
    "weights_kernel",
    "weights_of",
]

#: Most copies of a small table in shared memory.
_MOST_COPIES = 8
#: Threads of a block whose table leaves room for no other block beside it, and into how many parts larger ones are cut.
_MANY_THREADS, _MOST_PARTS = 1024, 4
_SHARED, _GLOBAL = ("TABLE", "SHARED"), ("TABLE", "GLOBAL")
#: Static shared memory of the kernel, and what each block takes for itself, rounded up.
_RESERVED, _OF_BLOCK = 2 << 10, 1 << 10
#: Bytes behind the tables for what is outside a mask, which nobody reads; of what is reserved.
_NOWHERE = 4

#: The end of `Job` in joint_histogram.cuh, behind the maps: labels, table, bad; others, first, pitch, copies;
#: and the four numbers of FourCodes in four_codes.cuh.
_JOB = struct.Struct("<3Q4i3Ii")
_TABLES = struct.Struct("<3Q")
#: That in label_weights.cuh, behind the maps and the weights (labels, largest, bad, sums; others, first), and words of a sum.
_WEIGHTS_JOB = struct.Struct("<4Q2i")
WORDS = 3
#: That in distinct_labels.cuh (slots, special), what is added to labels there, and for how many there is room.
_DISTINCT_JOB = struct.Struct("<2Q")
_OFFSET, _SLOTS = 2**63 + 1, 1 << 13


class Table(NamedTuple):
    """How often pairs of codes occur; the code of a label is its place among the labels, that of all else comes last."""

    counts: npt.NDArray[np.int64]
    """(N, L + 1, L + 1), rows true."""
    outside: npt.NDArray[np.int64]
    """(N,) voxels outside the mask."""
    bad: npt.NDArray[np.int64]
    """(N,) values within it that are no whole numbers of 64 bits."""
    weights: npt.NDArray[np.float64] | None
    """(N, L + 1, L + 1) summed weights, None without."""
    bad_weights: npt.NDArray[np.int64]
    """(N,) weights within the mask that are negative, infinite or NaN."""


class Histogram(NamedTuple):
    """How a kernel counts pairs."""

    what: Specialisation
    grid: tuple[int, int]
    shared: int
    """Bytes of shared memory of a block."""
    pitch: int
    """Numbers of a row of the table."""
    copies: int
    """Tables of a block, where they are in shared memory."""


class _Plan(NamedTuple):
    """How pairs of maps that lie alike are counted, of so many labels: all that is the same whenever that is asked for."""

    histogram: Histogram
    codes: bytes
    """The end of the job, without what lies anywhere."""
    places: tuple[int, ...]
    """Where the tables begin: pairs, bad, bad weights, sums of weights, the largest weight."""
    ends: tuple[int, ...]
    """Where they end, in numbers of 64 bits."""


@functools.lru_cache(maxsize=PLANS)
def _plan(maps: Maps, others: int, first: int, limits: Limits) -> _Plan:
    samples, width = maps.samples, others + 1
    how = histogram(maps, others, first, limits)
    words = 0 if maps.weight is None else width**2 * WORDS
    sizes = [samples * width * how.pitch, samples, samples, samples * words, 1]
    codes = _JOB.pack(0, 0, 0, others, first, how.pitch, how.copies, *_four_codes(others, first))
    return _Plan(how, codes, tuple(places_of(0, sizes)), tuple(accumulate(sizes)))


def histogram(maps: Maps, others: int, first: int, limits: Limits) -> Histogram:
    """Return how pairs of labels are counted, `others` of which are told apart, and the first ones are their own codes.

    Where the numbers of a row are two more than a multiple of four, neither those of a column nor those along the diagonal,
    where most pairs are, lie in few banks of shared memory.
    """
    width = others + 1
    pitch = width + (2 - width) % 4
    row, most = pitch * 4, limits.shared_bytes - _RESERVED
    room = (limits.shared_bytes + _OF_BLOCK) // BLOCKS - _OF_BLOCK - _RESERVED
    words = ("WORDS", int(maps.of_bytes and (others < 256 or first == 256)))
    copies = min(_MOST_COPIES, room // (width * row))
    if copies:
        what = maps.specialised("joint_histogram", _SHARED, words, ("PARTS", 1))
        return Histogram(what, maps.grid(limits), copies * width * row + _NOWHERE, pitch, copies)
    for parts in range(1, _MOST_PARTS + 1):
        size = -(-width // parts) * row
        if size <= most:
            options = (_SHARED, words, ("PARTS", parts))
            what = maps.specialised("joint_histogram", *options, threads=_MANY_THREADS, blocks=1)
            return Histogram(what, maps.grid(limits, _MANY_THREADS, 1, parts), size + _NOWHERE, pitch, 1)
    what = maps.specialised("joint_histogram", _GLOBAL, words, ("PARTS", 1))
    return Histogram(what, maps.grid(limits), 0, width, 1)


def _four_codes(others: int, first: int) -> tuple[int, int, int, int]:
    """Return how codes of bytes are found four at a time, if they are."""
    if first > 256 or (others > 255 and first != 256):
        return 0, 0, 0, 0
    every, high = 0x01010101, first > 128
    return (
        ((256 if high else 128) - first) * every,
        0 if high else 0xFFFFFFFF,
        min(others, 255) * every,
        int(first < others),
    )


def count_pairs(
    maps: Maps, bases: tuple[int, ...], labels: npt.NDArray[np.int64], device: Device
) -> Callable[[], Table]:
    """Count the pairs of labels, of which those given (sorted) are told apart, and sum their weights if there are any.

    Returns a function that waits for the table.
    """
    found = driver()
    first, others = _begin(labels), labels.size
    with found.at(device):
        plan = _plan(maps, others, first, found.limits(device))
        size = plan.ends[-1] * 8
        pointer = found.zeros(size, device)
        room = found.upload(labels, device) if first < others else 0
        table, bad, bad_weights, sums, largest = [pointer + place for place in plan.places]
        job = maps.packed(bases, plan.codes)
        _TABLES.pack_into(job, len(job) - _JOB.size, room, table, bad)
        found.launch(plan.histogram.what, device, plan.histogram.grid, plan.histogram.shared, job)
        if maps.weight is not None:
            weigh(found, maps, bases, device, told_of_weights(room, largest, bad_weights, sums, others, first))
        fetched = found.fetch(pointer, size, device)

    def finish() -> Table:
        samples, width, result = maps.samples, others + 1, np.frombuffer(fetched.wait(), np.int64)
        counts, wrong, wrong_weights, summed, most = np.split(result, plan.ends[:-1])
        weights = None
        if maps.weight is not None:
            weights = weights_of(summed.reshape(samples, width, width, WORDS), most)
        table = np.ascontiguousarray(counts.reshape(samples, width, -1)[..., :width])
        return Table(table, maps.voxels - table.sum((1, 2)), wrong, weights, wrong_weights)

    return finish


def weigh(
    found: Driver,
    maps: Maps,
    bases: tuple[int, ...],
    device: Device,
    told: bytes,
    steps: tuple[str, ...] = ("LARGEST", "SUMS"),
) -> None:
    """Find the largest weight, and sum the weights of each pair of codes, in words that are zero before."""
    assert maps.weight is not None
    job = maps.packed(bases, maps.weight.packed(bases[3] + maps.weight.pointer) + told)
    for step in steps:
        found.launch(weights_kernel(maps, step), device, maps.grid(found.limits(device), blocks=FEWER_BLOCKS), 0, job)


def told_of_weights(labels: int, largest: int, bad: int, sums: int, others: int, first: int) -> bytes:
    """Return the end of what the kernel of weights is told: where its tables are, and what codes there are."""
    return _WEIGHTS_JOB.pack(labels, largest, bad, sums, others, first)


def places_of(pointer: int, sizes: Sequence[int]) -> list[int]:
    """Return where tables of so many numbers of 64 bits begin, one behind the other."""
    return [pointer + 8 * (end - size) for end, size in zip(accumulate(sizes), sizes, strict=True)]


def _begin(labels: npt.NDArray[np.int64]) -> int:
    """Return how many of some sorted labels are 0, 1, 2 and so on, from the first on."""
    if not labels.size or (labels[0] == 0 and labels[-1] == labels.size - 1):
        return int(labels.size)
    return int(np.argmin(labels == np.arange(labels.size)))


def weights_kernel(maps: Maps, step: str) -> Specialisation:
    """Return the kernel that finds the largest weight, or sums the weights."""
    assert maps.weight is not None
    return maps.specialised("label_weights", ("WEIGHT", maps.weight.type), ("STEP", step), blocks=FEWER_BLOCKS)


def weights_of(words: npt.NDArray[np.int64], largest: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return what the words of sums amount to, whose unit follows from the bits of the largest weight."""
    exponent = min(31 - (int(largest[0] >> 52) - 1022), 1000)
    high, middle, low = np.moveaxis(words.view(np.uint64).astype(np.float64), -1, 0)
    return np.asarray(np.ldexp(high + (middle + low * 2.0**-32) * 2.0**-32, -exponent))


def distinct_labels(maps: Maps, bases: tuple[int, ...], device: Device) -> tuple[npt.NDArray[np.int64], bool]:
    """Return the labels that occur in either map, sorted, and whether there are more than fit."""
    found = driver()
    with found.at(device):
        pointer = found.zeros((_SLOTS + 2) * 8, device)
        job = maps.packed(bases) + _DISTINCT_JOB.pack(pointer, pointer + _SLOTS * 8)
        found.launch(distinct_kernel(maps), device, maps.grid(found.limits(device), blocks=FEWER_BLOCKS), 0, job)
        result = np.frombuffer(found.download(pointer, (_SLOTS + 2) * 8, device), np.uint64)
    slots, (special, full) = result[:_SLOTS], result[_SLOTS:]
    labels = (slots[slots > 0] - np.uint64(_OFFSET)).view(np.int64)
    least = np.array([2**64 - _OFFSET] if special else [], np.int64)  # the one that plus the offset is 0
    return np.sort(np.concatenate([labels, least])), bool(full)


def distinct_kernel(maps: Maps) -> Specialisation:
    """Return the kernel that finds which labels occur."""
    return maps.specialised("distinct_labels", ("SLOTS", _SLOTS), blocks=FEWER_BLOCKS)

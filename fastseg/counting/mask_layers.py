"""Counting several pairs of volumes in one pass over all of them, such as a label map and a file for each of its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counting.boxes import BOX_BYTES, read_boxes
from fastseg.counting.jobs import inside
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Pairs, Span
from fastseg.volumes import Volume
from fastseg.volumes.side_by_side import side_by_side

__all__ = ["count_layers"]

Array = npt.NDArray[Any]

#: Bytes of boxes of all files together.
_ALL_BYTES = 32 << 20
#: Of one box: it is read once for each mask, so it has to stay in the cache, and small boxes have fewer masks in them.
_LAYER_BYTES = 512 << 10


def count_layers(
    volumes: Sequence[Volume],
    pairs: Sequence[tuple[int, int]],
    masked: bool,
    progress: Callable[[int], None] | None = None,
) -> list[list[Pairs]]:
    """Count the pairs of values of several pairs of volumes, all read once.

    Parameters
    ----------
    volumes
        Of one shape: truths, predictions and, with `masked`, the mask outside of which nothing is counted.
    pairs
        Which truth meets which prediction: places among truths and among predictions.
    masked
        Whether the last volume is a mask.
    progress
        Called now and then with the number of voxels counted so far.

    Returns
    -------
    parts
        Of each pair.

    Raises
    ------
    Rejected
        If the mask is NaN somewhere.
    """
    parts: list[list[Pairs]] = [[] for _ in pairs]
    trues = max(true for true, _ in pairs) + 1
    most = min(BOX_BYTES, _ALL_BYTES // len(volumes), _LAYER_BYTES)
    counted = 0
    with side_by_side(list(volumes)) as readable, ExitStack() as stack:
        # One counter for all pairs of the same types: its tables take megabytes, and are emptied after each box.
        counters: dict[tuple[Any, Any], Any] = {}
        for _, arrays in read_boxes(readable, most):
            flat = [_flat(array, readable[0].order) for array in arrays]
            mask = inside(flat[-1]) if masked else None
            empty = [not _any(array) for array in flat[: trues + 1 + max(other for _, other in pairs)]]
            known: dict[Any, list[Pairs]] = {}  # what a volume and an empty one come to is the same for all empty ones
            for place, (one, other) in enumerate(pairs):
                true, pred = flat[one], flat[trues + other]
                kind = true.dtype, pred.dtype
                same: tuple[Any, ...] = (place,)
                if empty[trues + other]:
                    same = ("true", one, pred.dtype)
                elif empty[one]:
                    same = ("pred", other, true.dtype)
                if same not in known:
                    if kind not in counters:
                        counters[kind] = stack.enter_context(counter_of("auto").PairCounter(*kind))
                    known[same] = _pairs(counters[kind], Span((true, pred, mask, None), 1, true.size, (0, 0, 0, 0)))
                parts[place] = _merged([*parts[place], *known[same]])
            counted += flat[0].size
            if progress is not None:
                progress(counted)
    return parts


def _pairs(counter: Any, span: Span) -> list[Pairs]:
    """Return the pairs of a span."""
    found = []
    while not counter.update(span):
        found.append(counter.take())
    return [*found, counter.take()]


def _any(array: Array) -> bool:
    """Tell whether some byte of an array is not 0, in a third of the time that counting takes."""
    stored = array.view(np.uint8)
    whole = stored.size & ~7
    return bool(stored[whole:].any() or (whole and stored[:whole].view(np.uint64).max()))


def _flat(array: Array, order: str) -> Array:
    """Return the values of a box in one order for all files; most lie so already."""
    return np.ascontiguousarray(array.reshape(-1, order="F" if order == "F" else "C"))


def _merged(parts: list[Pairs]) -> list[Pairs]:
    """Add up parts whose pairs are the same, as those of neighbouring boxes mostly are, so that they do not pile up."""
    if len(parts) == 2:
        one, other = parts
        if np.array_equal(one.true, other.true) and np.array_equal(one.pred, other.pred):
            return [one._replace(times=one.times + other.times, outside=one.outside + other.outside)]
    return parts

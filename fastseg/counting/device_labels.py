"""Label maps in the memory of a GPU: what of them is told apart there, and the pairs that come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.classes import MAX_CLASSES, too_many
from fastseg.arrays.diagnosis import Rejected, explain_labels
from fastseg.arrays.labels import LabelInputs
from fastseg.counting.device_maps import copied_to_host, maps_on_device
from fastseg.kernels import device_backend
from fastseg.kernels.protocols.labels import Pairs

__all__ = ["count_on_device"]

Add = Callable[[int, Pairs], None]


def count_on_device(given: LabelInputs, count_unknown: bool, backend: str) -> Callable[[Add], None]:
    """Count a pair of label maps on a GPU; return a function that waits for the counts, and adds each sample and its pairs."""
    module: Any = device_backend(backend, str(given.device))
    if not given.y_true.size:
        return lambda _: None
    axes = (given.sample_axis, None)
    maps, bases = maps_on_device(given, (axes, axes, axes), given.num_samples, 1, module)
    labels = _told_apart(given, maps, bases, module)
    counted = module.count_pairs(maps, bases, labels, given.device)

    def finish(add: Add) -> None:
        table, values = counted(), np.append(labels, _other_than(labels))
        try:
            if table.bad.any():
                raise Rejected
            for sample, counts in enumerate(table.counts):
                rows, columns = np.nonzero(counts)
                outside = int(table.outside[sample])
                weights = None if table.weights is None else table.weights[sample, rows, columns]
                wrong = int(table.bad_weights[sample])
                add(sample, Pairs(values[rows], values[columns], counts[rows, columns], weights, outside, wrong))
        except Rejected:
            explain_labels(copied_to_host(given, module), count_unknown=count_unknown)

    return finish


def _told_apart(given: LabelInputs, maps: Any, bases: tuple[int, ...], module: Any) -> npt.NDArray[np.int64]:
    """Return the labels that are told apart from each other and from all else, sorted."""
    declared = given.classes.labels
    if declared is not None and given.classes.consecutive and not given.classes.ignored.size:
        return declared
    if declared is None:
        arrays = (given.y_true, given.y_pred)
        if all(array.itemsize == 1 for array in arrays):
            ranges = [_range_of(array.dtype) for array in arrays]
            declared = np.arange(min(low for low, _ in ranges), max(high for _, high in ranges) + 1)
        else:
            declared, more = module.distinct_labels(maps, bases, given.device)
            if more or declared.size > MAX_CLASSES + given.classes.ignored.size:
                raise too_many(declared)
    return np.union1d(declared, given.classes.ignored)


def _range_of(kind: np.dtype[Any]) -> tuple[int, int]:
    return (0, 1) if kind.kind == "b" else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))


def _other_than(labels: npt.NDArray[np.int64]) -> int:
    """Return a label that is none of these sorted ones."""
    if not labels.size:
        return 0
    if labels[-1] < 2**63 - 1:
        return int(labels[-1]) + 1
    if labels[0] > -(2**63):
        return int(labels[0]) - 1
    return int(labels[np.argmax(np.diff(labels) != 1)]) + 1  # both ends of the range are labels: the first gap

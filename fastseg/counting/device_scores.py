"""Scores in the memory of a GPU: how they are walked through there, and what comes back of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastseg.arrays.convert import as_array
from fastseg.arrays.device import device_of, empty_like
from fastseg.arrays.diagnosis import explain_scores
from fastseg.arrays.scores import ScoreInputs
from fastseg.counting.device_maps import Axes, bases_of, copied_to_host, orders_of, places_on_device
from fastseg.kernels import device_backend
from fastseg.kernels.protocols.device import DeviceArray, Order
from fastseg.kernels.protocols.labels import Pairs, Square
from fastseg.kernels.protocols.scores import GradientTerms, ScoreOptions, ScoreTally

__all__ = ["room_on_device", "sum_on_device", "write_gradient_on_device"]


def sum_on_device(given: ScoreInputs, backend: str) -> Callable[[Any], None]:
    """Sum scores on a GPU; return a function that waits for the sums, and calls what it is given as `ScoreTotals.add`."""
    module: Any = device_backend(backend, str(given.device))
    options = given.options
    missing = sorted(options.quantities - module.SCORE_QUANTITIES)
    if missing:
        raise ValueError(
            f"quantities: expected some of {sorted(module.SCORE_QUANTITIES)} on a GPU, found {missing}; pass .cpu() arrays "
            "for these"
        )
    scores, bases = _on_device(given, module, None)
    if not given.y_score.size:
        return lambda _: None
    summed = module.sum_scores(scores, bases, given.device)

    def finish(add: Any) -> None:
        found = summed()
        if found.wrong.any():
            explain_scores(copied_to_host(given, module))
        for sample, counts in enumerate(found.counts):
            sums = {name: values[sample] for name, values in found.sums.items()}
            counted, outside = int(found.counted[sample]), int(found.outside[sample])
            if options.soft:
                numbers = {"counted": counted, "outside": outside, "total": counted}
                sums = {name: np.float64(number) for name, number in numbers.items()} | sums
            true, pred, hits = counts.sum(1), counts.sum(0), counts.diagonal()
            of_labels = np.stack([true, pred, hits, pred - hits, true - hits, counted - true - pred + hits])
            pairs: list[Any] = [Square(of_labels, counts, counted, int(found.ignored[sample]), outside)]
            if found.weights is not None:
                if options.soft:
                    sums["total"] = sums["total"][0]  # the same of every class
                pairs = [_weighted(counts, found.weights[sample], options.ignored, int(found.ignored[sample]), outside)]
            if options.soft and "argmax" not in options.quantities:
                pairs = []
            add([(sample, (ScoreTally(sums, 0), pairs))])

    return finish


def _weighted(counts: Any, weights: Any, ignored: tuple[int, ...], times: int, outside: int) -> Pairs:
    """Return a sample's counts of labels, their weights, and how many voxels were ignored, as pairs of labels."""
    rows, columns = np.nonzero(counts)
    numbers, sums = counts[rows, columns], weights[rows, columns]
    if times:
        found = [(rows, ignored[0]), (columns, 0), (numbers, times), (sums, 0)]
        rows, columns, numbers, sums = (np.append(values, last) for values, last in found)
    return Pairs(rows, columns, numbers, sums, outside, 0)


def room_on_device(given: ScoreInputs, wanted: np.dtype[Any], any_type: bool, out: Any) -> Any:
    """Return where the gradient goes on a GPU, as `room_for_gradient` does."""
    score: Any = given.y_score
    if out is None:
        if wanted not in (np.float32, np.float16):
            raise TypeError(f"dtype: expected float32 or float16, found {wanted}")
        return empty_like(score, wanted, "out")
    if str(getattr(out, "dtype", "")).endswith("bfloat16"):
        raise TypeError("out: expected an array of float32 or float16, found one of bfloat16")
    room = as_array(out, "out", on_device=True)
    device_of(y_score=score, out=room)
    wanted = room.dtype if any_type else wanted
    if wanted not in (np.float32, np.float16):
        raise TypeError(f"dtype: expected float32 or float16, found {wanted}")
    if room.dtype != wanted or room.shape != score.shape or not room.writeable:
        raise ValueError(
            f"out: expected a writeable array of {wanted} of shape {score.shape}, found {room.dtype} of {room.shape}"
        )
    if room.size and any(size > 1 and not stride for size, stride in zip(room.shape, room.strides, strict=True)):
        raise ValueError("out: expected a place for each number, found an array that repeats some (of stride 0)")
    begin, end = _extent(room)
    for array in (score, given.y_true, given.mask):
        if array is not None and begin < _extent(array)[1] and _extent(array)[0] < end:
            raise ValueError("out: expected memory of its own, found an array that overlaps an input")
    return out


def write_gradient_on_device(given: ScoreInputs, terms: list[GradientTerms], gradient: Any, backend: str) -> None:
    """Write the gradient of the scores to an array on their GPU, without waiting for it."""
    module: Any = device_backend(backend, str(given.device))
    scores, bases = _on_device(given, module, as_array(gradient, "out", on_device=True))
    module.write_gradient(scores, bases, terms, given.device)


def _extent(array: Any) -> tuple[int, int]:
    """Return the first address of an array, and that behind its last number."""
    spread = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    begin = array.pointer + sum(min(0, each) for each in spread)
    return begin, array.pointer + sum(max(0, each) for each in spread) + array.itemsize if array.size else begin


def _on_device(given: ScoreInputs, module: Any, out: DeviceArray | None) -> tuple[Any, tuple[int, ...]]:
    """Return scores, their truth, a mask and room for a gradient as the backend's kernels walk through them; their bases."""
    options, score = given.options, given.y_score
    if score.itemsize > (4 if score.dtype.kind == "f" else 2):  # of which a float32 does not hold each
        raise TypeError(
            "y_score: expected float16, bfloat16, float32 or integers of at most 16 bits on a GPU, found "
            f"{score.dtype}; convert it, or pass .cpu() arrays"
        )
    if options.channels > module.MOST_CHANNELS:
        raise ValueError(f"y_score: expected at most {module.MOST_CHANNELS} classes on a GPU, found {options.channels}")
    channel, sample = given.channel_axis, given.sample_axis
    full: Axes = (sample, channel)
    plain: Axes = (None if sample is None else sample - (channel is not None and channel < sample), None)
    arrays = (score, given.y_true, given.mask, out, given.weight)
    axes = (full, full if options.soft else plain, plain, full, plain)
    return _scores(*orders_of(arrays), axes, given.num_samples, options, given.scale, module), bases_of(arrays)


@functools.lru_cache(maxsize=1024)
def _scores(
    orders: tuple[Order | None, ...],
    begins: tuple[int, ...],
    axes: tuple[Axes, ...],
    samples: int,
    options: ScoreOptions,
    scale: float | None,
    module: Any,
) -> Any:
    bits = (options.score_bfloat16, options.true_bfloat16, False, False, False)
    names = "y_true, y_score, mask, out, sample_weight"
    (score, truth, mask, out, weight), sizes = places_on_device(orders, begins, axes, bits, names, module)
    return module.Scores(score, truth, mask, out, sizes, samples, options, weight, scale)

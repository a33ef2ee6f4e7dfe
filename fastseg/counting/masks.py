"""Counting binary maps with channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fastseg.arrays.diagnosis import Rejected, explain_masks
from fastseg.arrays.label_spans import Layout, Pieces, layout_of
from fastseg.arrays.mask_blocks import MaskBlocks, mask_blocks
from fastseg.arrays.masks import MaskInputs
from fastseg.counting.device_maps import copied_to_host, maps_on_device
from fastseg.counting.jobs import check_compute, check_sums, run_layouts
from fastseg.counting.threads import run_jobs
from fastseg.counts import COUNTED, OUTSIDE, BinaryCounts
from fastseg.counts.late import late
from fastseg.kernels import counter_of, device_backend
from fastseg.kernels.protocols.labels import MaskBlock, MaskCounterProtocol, MaskTally, Span

__all__ = ["count_mask_inputs"]

Array = npt.NDArray[Any]
#: What a part has come to: its samples, its channels, the voxels of each map that were looked at, and what they amount to.
Part = tuple[slice, slice, int, MaskTally]


def count_mask_inputs(
    given: MaskInputs, *, classes: tuple[str | int, ...] | None = None, backend: str = "auto", compute: bool = True
) -> BinaryCounts:
    """Count a pair of binary maps with channels; the inputs are checked already."""
    if given.in_blocks:
        from fastseg.counting.dask_blocks import count_in_blocks

        each = partial(count_mask_inputs, classes=classes, backend=backend)
        counts: BinaryCounts = count_in_blocks(given, each, compute=compute)
        return counts
    check_compute(compute)
    device = given.device
    module = counter_of(backend) if device is None else device_backend(backend, str(device))
    channels = given.shape[1]
    names = tuple(range(channels)) if classes is None else tuple(classes)
    if len(names) != channels:
        raise ValueError(f"classes: expected a name for each of {channels} channels, found {len(names)}")
    if device is None:
        return _folded(given, names, classes is None, lambda fold: _count(given, module, fold), module)
    count = _count_on_device(given, module)
    return late(BinaryCounts, lambda: _folded(given, names, classes is None, count, module))


def _folded(
    given: MaskInputs, names: tuple[str | int, ...], trusted: bool, count: Callable[[Any], None], module: Any
) -> BinaryCounts:
    """Return what `count` calls a function with; `trusted` tells whether the names are right."""
    (samples, channels), size = given.shape, given.y_true.size
    sums = np.zeros((samples, channels, 4), np.int64 if given.weight is None else np.float64)
    voxels = np.zeros((samples, 4), np.int64)

    def fold(parts: list[Part]) -> None:
        for sample, channel, number, tally in parts:
            if tally.bad:
                raise Rejected
            sums[sample, channel] += tally.sums
            if not channel.start:  # the first channel stands for all
                voxels[sample, COUNTED] += tally.inside
                voxels[sample, OUTSIDE] += number - tally.inside

    if size:
        try:
            count(fold)
        except Rejected:
            explain_masks(given if given.device is None else copied_to_host(given, module))
    conserved = (voxels.sum(1) == size // max(1, samples * channels)).all()
    if given.mask is None:
        conserved = conserved and not voxels[:, OUTSIDE].any()
    if given.weight is not None:
        check_sums(sums)
    else:
        conserved = conserved and (sums.sum(2) == voxels[:, :1]).all()
    if not conserved:
        raise RuntimeError("voxels were lost or counted twice; this is a defect in fastseg, please report it")
    tp, fp, fn, tn = (sums[:, :, k] for k in range(4))
    if trusted:
        return BinaryCounts._trusted(classes=names, tp=tp, fp=fp, fn=fn, tn=tn, voxels=voxels)
    return BinaryCounts(names, tp, fp, fn, tn, voxels)


def _count(given: MaskInputs, module: Any, fold: Any) -> None:
    """Count blocks where they lie if that can be, else rows that are copied a little at a time."""
    blocks = mask_blocks(given)
    if blocks is None:
        samples, channels = given.shape
        units = samples * channels

        def layout(unit: int) -> Layout | Pieces:
            sample, channel = divmod(unit, channels)
            true, pred, mask, weight = given.sample(sample)
            arrays = [true[channel], pred[channel], mask, weight]
            return layout_of(arrays, [None] * 4, module.transpose_into, samples=units)

        def fold_units(results: list[tuple[int, tuple[int, MaskTally]]]) -> None:
            for unit, (number, tally) in results:
                sample, channel = divmod(unit, channels)
                fold([(slice(sample, sample + 1), slice(channel, channel + 1), number, tally)])

        def counter() -> Any:
            return _OfSpans(module.MaskCounter(), given.bfloat16)

        run_layouts(units, given.y_true.size // units, layout, counter, None, False, fold_units)
    elif blocks.jobs == 1:
        fold(_Jobs(module.MaskCounter(), blocks).job(0))
    else:

        @contextmanager
        def open_worker() -> Iterator[_Jobs]:
            yield _Jobs(module.MaskCounter(), blocks)

        run_jobs(blocks.jobs, open_worker, fold)


def _count_on_device(given: MaskInputs, module: Any) -> Callable[[Any], None]:
    """Begin to count all at once where they lie, in the memory of a GPU; return what waits for that."""
    if not given.y_true.size:
        return lambda _: None
    samples, channels = given.shape
    axes = (given.axes(0), given.axes(1), given.axes(2))
    maps, bases = maps_on_device(given, axes, samples, channels, module)
    counted = module.count_masks(maps, bases, given.device)

    def finish(fold: Any) -> None:
        found = counted()
        if found.weights is None:
            tp, fp, fn = found.both, found.pred - found.both, found.true - found.both
            sums: Array = np.stack([tp, fp, fn, found.inside - tp - fp - fn], axis=-1)
        else:  # rows are true
            weights = found.weights
            sums = np.stack([weights[..., 1, 1], weights[..., 0, 1], weights[..., 1, 0], weights[..., 0, 0]], axis=-1)
        tally = MaskTally(sums, found.inside[:, 0], bool(found.wrong.any()))
        fold([(slice(0, samples), slice(0, channels), maps.voxels, tally)])

    return finish


class _Jobs:
    """A backend's counter, and the blocks that it counts."""

    def __init__(self, counter: MaskCounterProtocol, blocks: MaskBlocks) -> None:
        self.counter, self.blocks = counter, blocks

    def job(self, index: int) -> list[Part]:
        samples, channels, block = self.blocks.block(index)
        _, _, rows, length = block.y_true.shape
        return [(samples, channels, rows * length, self.counter.count(block))]

    def finish(self) -> list[Part]:
        return []


class _OfSpans:
    """Counts spans of a single map, which lie in rows or were copied, with a backend's counter of blocks."""

    def __init__(self, counter: MaskCounterProtocol, bfloat16: tuple[bool, bool]) -> None:
        self.counter, self.bfloat16 = counter, bfloat16

    def __enter__(self) -> _OfSpans:
        self.voxels, self.tallies = 0, list[MaskTally]()
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, span: Span) -> bool:
        """Count one span; always True."""
        shape = (1, 1, span.rows, span.length)
        true, pred, mask, weight = (
            None if a is None else as_strided(a, shape, (0, 0, step * a.itemsize, a.itemsize), writeable=False)
            for a, step in zip(span.arrays, span.strides, strict=True)
        )
        assert true is not None
        assert pred is not None
        self.tallies.append(self.counter.count(MaskBlock(true, pred, mask, weight, self.bfloat16)))
        self.voxels += span.rows * span.length
        return True

    def take(self, _: None = None) -> tuple[int, MaskTally]:
        """Return the number of voxels since the last call, and what they amount to."""
        sums, inside, bad = zip(*self.tallies, strict=True)
        result = self.voxels, MaskTally(np.add.reduce(sums), np.add.reduce(inside), any(bad))
        self.__enter__()
        return result

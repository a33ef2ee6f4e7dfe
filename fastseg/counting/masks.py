"""Counting binary maps with channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.diagnosis import Rejected, explain_masks
from fastseg.arrays.label_spans import TO_BITS, Conversion, Layout
from fastseg.arrays.masks import MaskInputs
from fastseg.counting.jobs import check_sums, mask_conversion, run_layouts, weight_conversion
from fastseg.counts import COUNTED, OUTSIDE, BinaryCounts
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import MaskTally

__all__ = ["count_mask_inputs"]

Array = npt.NDArray[Any]


def _bit_conversion(array: Array) -> Conversion | None:
    """Kernels take maps of any one-byte type as they are; wider ones are narrowed a block at a time."""
    return None if array.itemsize == 1 else TO_BITS


def count_mask_inputs(
    given: MaskInputs, *, classes: tuple[str | int, ...] | None = None, backend: str = "auto"
) -> BinaryCounts:
    """Count a pair of binary maps with channels; the inputs are checked already."""
    module = counter_of(backend)
    samples, channels = given.shape
    names = tuple(range(channels)) if classes is None else tuple(classes)
    if len(names) != channels:
        raise ValueError(f"classes: expected a name for each of {channels} channels, found {len(names)}")
    dtype = np.float64 if given.weight is not None else np.int64
    sums = np.zeros((samples, channels, 4), dtype)  # tp, fp, fn, tn
    voxels = np.zeros((samples, 4), np.int64)
    spatial = given.y_true.size // max(1, samples * channels)
    conversions = (
        _bit_conversion(given.y_true),
        _bit_conversion(given.y_pred),
        mask_conversion(given.mask),
        weight_conversion(given.weight),
    )
    strict = tuple(array.dtype.kind != "b" for array in (given.y_true, given.y_pred))

    def fold(results: list[tuple[int, MaskTally]]) -> None:
        for unit, tally in results:
            if tally.bad:
                raise Rejected
            sample, channel = divmod(unit, units) if units > 1 else (unit, slice(None))
            sums[sample, channel] += tally.sums.reshape(sums[sample, channel].shape)
            if units == 1 or channel == 0:
                voxels[sample, OUTSIDE] += tally.outside
                voxels[sample, COUNTED] += tally.voxels - tally.outside

    interleaved = (
        samples > 0 and channels > 1 and given.mask is None and given.weight is None and _channels_innermost(given)
    )
    units = 1 if interleaved else channels

    def layout(unit: int) -> Layout:
        sample, channel = divmod(unit, units)
        true, pred, mask, weight = given.sample(sample)
        if interleaved:
            return Layout(
                [np.moveaxis(a, 0, -1).reshape(-1) for a in (true, pred)] + [None, None], conversions, None, channels
            )
        arrays = [true[channel], pred[channel], mask, weight]
        return Layout(arrays, conversions, module.transpose_into, samples=samples * units)

    def counter() -> Any:
        return module.MaskCounter(channels if interleaved else 1, strict)

    if spatial and channels and samples:
        try:
            run_layouts(samples * units, spatial * channels // units, layout, counter, None, False, fold)
        except Rejected:
            explain_masks(given)
    counted = sums.sum(2) if given.weight is None else voxels[:, :1]
    if given.weight is not None:
        check_sums(sums)
    if (voxels.sum(1) != (spatial if channels else 0)).any() or (counted != voxels[:, :1]).any():
        raise RuntimeError("voxels were lost or counted twice; this is a defect in fastseg, please report it")
    tp, fp, fn, tn = np.moveaxis(sums, 2, 0)
    return BinaryCounts(names, tp, fp, fn, tn, voxels)


def _channels_innermost(given: MaskInputs) -> bool:
    """Tell whether both maps lie in memory with the channels of a voxel side by side and nothing in between."""
    true, pred, _, _ = given.sample(0)
    return all(a.itemsize == 1 and np.moveaxis(a, 0, -1).flags.c_contiguous for a in (true, pred))

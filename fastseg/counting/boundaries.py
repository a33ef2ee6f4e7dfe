"""Counts of parts of objects: what is near their boundaries, and their centre lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.masks import MaskInputs
from fastseg.arrays.surfaces import SurfaceInputs
from fastseg.counting.surfaces import checked_members, disjoint_parts, label_layers, mask_layers
from fastseg.counts import BoundaryCounts, CenterlineCounts
from fastseg.kernels.numpy.boundaries import skeleton

__all__ = ["count_bands", "count_skeletons"]

Mask = npt.NDArray[np.bool_]
Names = list[str | int]


def count_bands(given: SurfaceInputs, band: Callable[[Mask], Mask]) -> BoundaryCounts:
    """Count the overlaps of what a function makes of each class of both maps."""
    names, samples = _samples(given)
    rows = [[_overlap(band(true), band(pred)) for true, pred in pairs] for pairs in samples]
    tp, fp, fn, tn = np.moveaxis(np.array(rows, np.int64).reshape(-1, len(names), 4), 2, 0).copy()
    voxels = np.zeros((len(rows), 4), np.int64)
    voxels[:, 0] = (tp + fp + fn + tn).max(1, initial=0)
    return BoundaryCounts(tuple(names), tp, fp, fn, tn, voxels)


def count_skeletons(given: SurfaceInputs) -> CenterlineCounts:
    """Count the voxels of each class's centre lines, and those that the other map has."""
    names, samples = _samples(given)
    rows = [[_lines(true, pred) for true, pred in pairs] for pairs in samples]
    inside, total = np.moveaxis(np.array(rows, np.int64).reshape(-1, len(names), 2, 2), 2, 0).copy()
    return CenterlineCounts(tuple(names), inside, total)


def _samples(given: SurfaceInputs) -> tuple[Names, Iterator[Iterator[tuple[Mask, Mask]]]]:
    """Return the names of the classes, and for each sample the masks of each class."""
    members, maps = checked_members(given, "auto"), given.maps
    parts = tuple(disjoint_parts(members))
    samples = maps.shape[0] if isinstance(maps, MaskInputs) else maps.num_samples

    def pairs(n: int) -> Iterator[tuple[Mask, Mask]]:
        found = mask_layers(maps, n) if isinstance(maps, MaskInputs) else label_layers(maps, n, parts)
        layers = {int(k): layer for layer in found[0] for k in np.unique(layer.classes)}
        for k in range(len(members)):
            layer = layers.get(k)
            values = [] if layer is None else layer.values[layer.classes == k]
            true, pred = (maps.y_true, maps.y_pred) if layer is None else (layer.y_true, layer.y_pred)
            yield np.isin(true, values), np.isin(pred, values)

    return [name for name, _ in members], (pairs(n) for n in range(samples))


def _overlap(true: Mask, pred: Mask) -> list[Any]:
    tp = np.count_nonzero(true & pred)
    fp, fn = np.count_nonzero(pred) - tp, np.count_nonzero(true) - tp
    return [tp, fp, fn, true.size - tp - fp - fn]


def _lines(true: Mask, pred: Mask) -> list[Any]:
    line_true, line_pred = skeleton(true), skeleton(pred)
    inside = [np.count_nonzero(line_true & pred), np.count_nonzero(line_pred & true)]
    return [inside, [np.count_nonzero(line_true), np.count_nonzero(line_pred)]]

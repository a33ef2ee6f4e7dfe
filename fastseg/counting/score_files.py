"""Summing the scores of two files, a slab at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import axis_letters, finite_number
from fastseg.arrays.convert import checked_mask
from fastseg.arrays.scores import score_inputs
from fastseg.arrays.search import blocks
from fastseg.counting.files import warn_caller
from fastseg.counting.score_axes import checked_place, fit_axes, scores_place
from fastseg.counting.scores import sum_score_inputs, underflow_note
from fastseg.counting.stored_labels import TOLERANCE
from fastseg.counting.threads import checked_threads, get_num_threads
from fastseg.counts import ScoreSums
from fastseg.volumes import VolumeError, check_geometry
from fastseg.volumes.geometry import TOLERANCE as DISPLACEMENT
from fastseg.volumes.paths import Path
from fastseg.volumes.sources import Source, held

__all__ = ["sum_pair"]

Array = npt.NDArray[Any]


#: Arguments that messages about arrays name, and the options that set them.
_OPTIONS = {"activation='softmax' or 'sigmoid'": "--activation", "ignore_index=": "--ignore"}

#: Bytes of scores and labels that are read and summed at once.
SLAB_BYTES = 16 << 20


def sum_pair(
    reference: Path,
    prediction: Path,
    *,
    activation: str | None = None,
    channel_axis: int | None = None,
    axes: str | None = None,
    ignore_index: Any = None,
    mask: Any = None,
    quantities: Any = None,
    bins: int | None = None,
    scale: float | None = None,
    geometry: str = "error",
    geometry_tolerance: float = DISPLACEMENT,
    reorient: bool = False,
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ScoreSums, dict[str, Any], float | None]:
    """Sum a file of labels and one of scores; return the sums, what is known of the files, and a voxel's volume in ml."""
    if geometry not in ("error", "warn", "ignore"):
        raise ValueError(f"geometry: expected one of error, warn, ignore, found {geometry!r}")
    if not isinstance(reorient, bool):
        raise TypeError(f"reorient: expected True or False, found {reorient!r}")
    tolerance = finite_number(geometry_tolerance, "geometry_tolerance")
    threads = get_num_threads() if threads is None else checked_threads(threads, "threads")
    wanted = quantities if quantities is None or isinstance(quantities, str) else tuple(quantities)
    axes = axis_letters(axes)
    with ExitStack() as stack:
        true = Source(stack, reference, lambda: progress and progress(0, prod(true.shape)))
        pred = Source(stack, prediction, lambda: progress and progress(0, prod(true.shape)))
        if true.geometry is None and pred.geometry is not None:
            raise VolumeError(
                f"{true.name}: expected a NIfTI file, as {pred.name} is one, found an array without a place"
            )
        if axes is not None and len(axes) != len(true.shape):
            raise ValueError(
                f"axes: expected a letter for each of the {len(true.shape)} axes of labels, found {axes!r}"
            )
        placed = scores_place(true, pred, channel_axis)
        if placed is not None:
            true.lie_among(placed, pred.name)
        shape, lies = true.shape, true.geometry
        mask = checked_mask(mask, shape)
        if reorient and placed is not None:  # the labels are turned: there is less of them, and sums have no order
            true.lie_as(placed)
            mask = None if mask is None else true.arranged(mask)
        if true.geometry is not None and placed is not None and sorted(placed.shape) == sorted(shape):
            check_geometry(true.geometry, placed, "ignore", (true.name, pred.name))  # the shapes
        channel, reverse = fit_axes(true, pred, channel_axis, axes)
        place, note = checked_place(true, pred, channel, geometry, tolerance)
        for text in (*true.volume.notes, *pred.volume.notes, note):
            warn_caller(text, warn)
        pair = _Pair(stack, true, pred, channel, reverse, mask, scale)
        options = {"activation": activation, "ignore_index": ignore_index, "quantities": wanted, "bins": bins}
        sums: ScoreSums | None = None
        summed, voxels = 0, prod(true.shape)
        for block in blocks(pair.shape, pair.most):
            part = pair.sum(block, options, threads)
            sums = part if sums is None else sums.merge(part)
            summed += int(part.voxels.sum())
            if progress is not None:
                progress(summed, voxels)
        pair.finish()
        files = {
            "reference": true.name,
            "prediction": pred.name,
            "shape": list(shape),
            "spacing_mm": None if lies is None else [float(step) for step in lies.spacing],
            "geometry": place,
            "channel_axis": channel,
            "activation": activation or "none",
        }
        assert sums is not None
        warn_caller(underflow_note(sums, pred.dtype, activation, pred.name), warn)
        return sums, files, None if lies is None else lies.voxel_volume_ml


class _Pair:
    """A file of labels and one of scores, both looked at in the memory order of the scores.

    `channel` is the axis of the classes in that order, and the labels' axes are turned so that they fit the others.
    """

    def __init__(
        self,
        stack: ExitStack,
        true: Source,
        pred: Source,
        channel: int | None,
        reverse: bool,
        mask: Array | None,
        scale: float | None,
    ) -> None:
        self.true, self.pred = true, pred
        self.channel = channel if channel is None or pred.order == "C" else len(pred.shape) - 1 - channel
        self.shape = tuple(size for axis, size in enumerate(pred.stored_shape) if axis != self.channel)
        self.turned = (pred.order == "F") != reverse  # whether the labels' axes are to be reversed
        self.mask = mask if mask is None or not self.turned else mask.T
        scaling = pred.scaling
        if scaling and scale is not None:
            raise ValueError(f"scale: expected None, as {pred.name} has a scale of its own, found {scale}")
        if scaling and pred.dtype.kind != "f" and scaling[0] > 0 and scaling[1] == 0:
            scale = 1 / scaling[0]  # kernels do that, and allow sums to one the rounding of integers
            scaling = None
        self.scaling, self.scale = scaling, scale
        classes = 1 if self.channel is None else pred.stored_shape[self.channel]
        item = pred.dtype.itemsize + (8 if scaling else 0)
        self.most = max(1, SLAB_BYTES // max(1, classes * item + 8))
        first = next(blocks(self.shape, self.most), ())
        in_turn = self.channel is None or self.channel >= len(first) or classes == 1
        self.scores = pred.in_turn() if in_turn else pred.anywhere(stack)
        same_order = self.turned == (true.order == "F")
        if same_order and not true.turned:
            self.labels = true.in_turn()
        else:
            labels = true.anywhere(stack, mapped=True)
            self.labels = labels if same_order else held(labels)

    def sum(self, block: tuple[slice, ...], options: Mapping[str, Any], threads: int) -> ScoreSums:
        """Sum a slab."""
        scores = list(block)
        if self.channel is not None and self.channel < len(scores):
            scores.insert(self.channel, slice(None))
        labels, values = self.labels(block), self.scores(tuple(scores))
        if self.true.scaling is not None or labels.dtype.kind == "f":
            labels = _rounded(labels, self.true.scaling)
        if self.scaling is not None:
            real = np.float32 if values.dtype.itemsize <= 2 else np.float64
            values = np.multiply(values, self.scaling[0], dtype=real) + real(self.scaling[1])
        mask = None if self.mask is None else self.mask[block]
        try:
            given = score_inputs(labels, values, channel_axis=self.channel, mask=mask, scale=self.scale, **options)
            return sum_score_inputs(given, threads=threads)
        except (ValueError, TypeError) as error:
            raise type(error)(self._placed(str(error), block, labels.shape != self.shape)) from None

    def _placed(self, message: str, block: tuple[slice, ...], partial: bool) -> str:
        """Name the file in a message about a slab, and turn its index into one of the file."""
        name, colon, rest = message.partition(": ")
        file = {"y_true": self.true, "y_score": self.pred}.get(name)
        if not colon or file is None:
            return message
        starts = [part.start for part in block] + [0] * (len(self.shape) - len(block))

        def whole(match: re.Match[str]) -> str:
            index = [int(number) for number in re.findall(r"\d+", match[1])]
            offsets = list(starts)
            if len(index) > len(offsets) and self.channel is not None:
                offsets.insert(self.channel, 0)
            index = [i + offset for i, offset in zip(index, offsets, strict=True)]
            backwards = self.turned if file is self.true else self.pred.order == "F"
            return f"index {tuple(file.stored_index(index[::-1] if backwards else index))}"

        for argument, option in _OPTIONS.items():
            rest = rest.replace(argument, f"{argument} ({option})")
        rest, times = re.subn(r"index \(([\d, ]*)\)", whole, rest)
        slab = " (the number is that of a part of the volume)" if partial and times else ""
        return f"{file.name}: {rest}{slab}"

    def finish(self) -> None:
        """Read to the end of both files, through every checksum."""
        self.true.finish()
        self.pred.finish()


def _rounded(labels: Array, scaling: tuple[float, float] | None) -> Array:
    """Return stored labels as they are meant, rounded where that is rounding noise."""
    slope, intercept = scaling or (1.0, 0.0)
    with np.errstate(all="ignore"):
        real = labels.astype(np.float64) * slope + intercept
        whole = np.round(real)
        return np.where(np.abs(real - whole) <= TOLERANCE, whole, real)

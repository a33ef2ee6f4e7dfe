"""Validation of scores: any input becomes views that can be summed, without a copy, or a clear error."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import image_objects
from fastseg.arrays.arguments import checked_axis, checked_number, integers
from fastseg.arrays.blocked import is_blocked
from fastseg.arrays.classes import MAX_CLASSES, Classes, label_classes
from fastseg.arrays.convert import as_array, checked_mask, checked_weight, score_array
from fastseg.arrays.device import device_of
from fastseg.counts.scores import QUANTITIES
from fastseg.kernels.protocols.device import Device
from fastseg.kernels.protocols.scores import ScoreOptions

__all__ = ["ACTIVATIONS", "DEFAULT_QUANTITIES", "ScoreInputs", "checked_class_weight", "score_inputs"]

Array = npt.NDArray[Any]

DEFAULT_QUANTITIES = ("cross_entropy", "dice", "argmax")
ACTIVATIONS = (None, "softmax", "sigmoid")

#: Quantities for which the probabilities of a voxel must sum to one, where the truth is a label map.
_NEED_UNIT_SUM = {"cross_entropy", "brier", "bins", "focal", "smoothing"}
#: By how much they may miss it: rounding to 11 bits, to 8 bits, and what people write as float32.
_UNIT_SUM = {"f2": 5e-3, "bf16": 3e-2, "f4": 1e-3, "f8": 1e-3}
MAX_BINS = 1 << 16


@dataclass(frozen=True)
class ScoreInputs:
    """A truth and scores that can be summed."""

    y_true: Array
    y_score: Array
    mask: Array | None
    weight: Array | None
    classes: Classes
    channel_axis: int | None
    """Axis of y_score; None where one class has no axis."""
    sample_axis: int | None
    """Axis of y_score."""
    scale: float | None
    """What integers are divided by."""
    options: ScoreOptions
    class_weight: npt.NDArray[np.float64] | None
    label_smoothing: float
    device: Device | None = None
    """The GPU that the arrays lie on (each is a `DeviceArray` then), None for the memory of the CPU."""

    @property
    def in_blocks(self) -> bool:
        """Whether some of the arrays are Dask's."""
        return any(map(is_blocked, (self.y_true, self.y_score, self.mask, self.weight)))

    @property
    def num_samples(self) -> int:
        """N, 1 without a sample axis."""
        return 1 if self.sample_axis is None else int(self.y_score.shape[self.sample_axis])

    @property
    def plain_shape(self) -> tuple[int, ...]:
        """The scores' shape without the channel axis."""
        return tuple(size for axis, size in enumerate(self.y_score.shape) if axis != self.channel_axis)

    @property
    def voxels(self) -> int:
        """Voxels of each sample."""
        return self.y_score.size // max(1, self.num_samples * self.options.channels)

    def sample(self, n: int) -> tuple[Array, Array, Array | None, Array | None]:
        """Return views of sample n: (C, spatial...) for scores and soft truth, (spatial...) for the others."""
        scores, truth, mask, weight = self._samples
        return scores[n], truth[n], None if mask is None else mask[n], None if weight is None else weight[n]

    @functools.cached_property
    def _samples(self) -> tuple[Array, Array, Array | None, Array | None]:
        """Views with the samples first: (N, C, spatial...) or (N, spatial...)."""
        channel, sample = self.channel_axis, self.sample_axis
        plain = None if sample is None else sample - (channel is not None and channel < sample)

        def flat(array: Array | None) -> Array | None:
            return None if array is None else array[None] if plain is None else np.moveaxis(array, plain, 0)

        truth = self.channels_first(self.y_true) if self.options.soft else flat(self.y_true)
        assert truth is not None
        return self.channels_first(self.y_score), truth, flat(self.mask), flat(self.weight)

    def channels_first(self, array: Array) -> Array:
        """Return a view of an array of the scores' shape as (N, C, spatial...)."""
        if self.sample_axis is None:
            array, sample, shift = array[None], 0, 1
        else:
            sample, shift = self.sample_axis, 0
        if self.channel_axis is None:
            return np.moveaxis(array, sample, 0)[:, None]
        return np.moveaxis(array, (sample, self.channel_axis + shift), (0, 1))


def score_inputs(
    y_true: Any,
    y_score: Any,
    *,
    channel_axis: int | None = -1,
    activation: str | None = None,
    sample_axis: int | None = None,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    quantities: str | Iterable[str] | None = None,
    bins: int | None = None,
    focal_gamma: float | None = None,
    scale: float | None = None,
) -> ScoreInputs:
    """Check everything about a truth and scores that can be known without reading the voxels."""
    given = {"y_score": y_score, "y_true": y_true, "mask": mask, "sample_weight": sample_weight}
    images = image_objects.aligned(given, channel_axis, sample_axis)
    y_score, y_true, mask, sample_weight = images.arguments.values()
    score, score_bfloat16 = score_array(y_score, "y_score", on_device=True)
    true, true_bfloat16 = score_array(y_true, "y_true", on_device=True)
    channel = checked_axis(images.channel_axis, score.ndim, "channel_axis")
    sample = checked_axis(images.sample_axis, score.ndim, "sample_axis")
    if channel is not None and channel == sample:
        raise ValueError(f"sample_axis: expected another axis than channel_axis, found {sample_axis} for both")
    channels = 1 if channel is None else score.shape[channel]
    if not 1 <= channels <= MAX_CLASSES:
        raise ValueError(f"y_score: expected 1 to {MAX_CLASSES} classes along channel_axis, found shape {score.shape}")
    plain = tuple(size for axis, size in enumerate(score.shape) if axis != channel)
    if true.shape == score.shape and (channel is not None or true.dtype.kind == "f" or true_bfloat16):
        soft = True
    elif true.shape == plain:
        soft = False
        if true_bfloat16:
            raise TypeError("y_true: expected labels of an integer type, found bfloat16")
    else:
        raise ValueError(
            f"y_true: expected a label map of shape {plain} or probabilities of the scores' shape {score.shape}, "
            f"found shape {true.shape}{images.note}"
        )
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected None, 'softmax' or 'sigmoid', found {activation!r}")
    if activation == "softmax" and channels == 1:
        raise ValueError("activation: expected 'sigmoid' or None for a single class, whose softmax is always 1")
    classes = label_classes(max(2, channels), None, ignore_index)
    if soft and classes.ignored.size:
        raise ValueError("ignore_index: expected None for a truth with channels (pass mask= to leave voxels out)")
    wanted = _quantities(quantities, channels, bins, label_smoothing, focal_gamma)
    smoothing = checked_number(label_smoothing, "label_smoothing")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing: expected a number from 0 to 1, found {label_smoothing!r}")
    gamma = 2.0 if focal_gamma is None else checked_number(focal_gamma, "focal_gamma")
    if not 0 <= gamma < math.inf:
        raise ValueError(f"focal_gamma: expected a finite number that is not negative, found {focal_gamma!r}")
    divisor = None if scale is None else checked_number(scale, "scale")
    if divisor is not None:
        if score.dtype.kind not in "iu" or score_bfloat16:
            raise ValueError(f"scale: expected scores of an integer type, found {score.dtype}")
        if not 0 < divisor < math.inf:
            raise ValueError(f"scale: expected a positive number, found {scale!r}")
    tolerance = None
    if activation is None and channels > 1 and not soft and wanted & _NEED_UNIT_SUM:
        key = "bf16" if score_bfloat16 else score.dtype.str[1:]
        tolerance = _UNIT_SUM.get(key, 1e-3 + (0 if divisor is None else channels / (2 * divisor)))
    options = ScoreOptions(
        channels=channels,
        activation=activation,
        soft=soft,
        quantities=wanted,
        ignored=tuple(classes.ignored.tolist()),
        score_bfloat16=score_bfloat16,
        true_bfloat16=true_bfloat16,
        bins=_bins(bins, wanted),
        focal_gamma=gamma,
        sum_tolerance=tolerance,
    )
    region = checked_mask(mask, plain, on_device=True)
    weight = checked_weight(sample_weight, plain, on_device=True)
    return ScoreInputs(
        true,
        score,
        region,
        weight,
        classes,
        channel,
        sample,
        divisor,
        options,
        checked_class_weight(class_weight, channels),
        smoothing,
        device_of(y_score=score, y_true=true, mask=region, sample_weight=weight),
    )


def checked_class_weight(value: Any, channels: int, name: str = "class_weight") -> npt.NDArray[np.float64] | None:
    """Return one weight a class as float64; TypeError or ValueError if they are none."""
    if value is None:
        return None
    array = as_array(value, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, found dtype {array.dtype}")
    if array.shape != (channels,):
        raise ValueError(f"{name}: expected a weight for each of {channels} classes, found shape {array.shape}")
    weights: npt.NDArray[np.float64] = array.astype(np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"{name}: expected finite numbers that are not negative, found {weights.tolist()}")
    return weights


def _quantities(
    quantities: Any, channels: int, bins: int | None, label_smoothing: Any, focal_gamma: float | None
) -> frozenset[str]:
    """Return what is asked for, by name or by an option that needs it."""
    if quantities is None:
        names = set(DEFAULT_QUANTITIES)
    elif quantities == "all":
        names = set(QUANTITIES) - {"bins", "ranks" if channels == 1 else ""}
    else:
        if not isinstance(quantities, Iterable):
            raise TypeError(f"quantities: expected names, found {quantities!r}")
        names = {quantities} if isinstance(quantities, str) else set(quantities)
    unknown = sorted(map(str, names - set(QUANTITIES)))
    if unknown:
        raise ValueError(f"quantities: expected 'all' or some of {', '.join(QUANTITIES)}; found {unknown}")
    if "bins" in names and bins is None:
        raise ValueError("bins: expected how many bins there are, found None")
    if "ranks" in names and channels == 1:
        raise ValueError("quantities: expected scores of at least two classes for 'ranks', found one")
    names |= {name for name, given in (("bins", bins), ("focal", focal_gamma)) if given is not None}
    if label_smoothing:
        names.add("smoothing")
    return frozenset(names)


def _bins(bins: Any, wanted: frozenset[str]) -> int:
    if "bins" not in wanted:
        return 0
    count = int(integers(bins, "bins")[0])
    if not 1 <= count <= MAX_BINS:
        raise ValueError(f"bins: expected 1 to {MAX_BINS} bins, found {count}")
    return count

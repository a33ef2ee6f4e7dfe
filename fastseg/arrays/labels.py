"""The only validation: whatever users pass in becomes arrays that can be counted, without a copy, or a clear error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import image_objects
from fastseg.arrays.arguments import checked_axis
from fastseg.arrays.blocked import is_blocked
from fastseg.arrays.classes import Classes, label_classes
from fastseg.arrays.convert import checked_mask, checked_weight, label_map_or_bits, same_shape
from fastseg.arrays.device import device_of
from fastseg.kernels.protocols.device import Device

__all__ = ["LabelInputs", "among", "label_inputs", "whole_numbers"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LabelInputs:
    """A pair of label maps that can be counted."""

    y_true: Array
    y_pred: Array
    mask: Array | None
    weight: Array | None
    classes: Classes
    sample_axis: int | None
    bfloat16: tuple[bool, bool] = (False, False)
    """Whether y_true and y_pred are bit patterns of bfloat16, as int16."""
    device: Device | None = None
    """The GPU that the arrays lie on (each is a `DeviceArray` then), None for the memory of the CPU."""

    @property
    def in_blocks(self) -> bool:
        """Whether some of the arrays are Dask's."""
        return any(map(is_blocked, (self.y_true, self.y_pred, self.mask, self.weight)))

    @property
    def num_samples(self) -> int:
        """N, 1 without a sample axis."""
        return 1 if self.sample_axis is None else int(self.y_true.shape[self.sample_axis])

    def sample(self, n: int) -> tuple[Array, Array, Array | None, Array | None]:
        """Return views of sample n of the four arrays."""
        arrays = (self.y_true, self.y_pred, self.mask, self.weight)
        if self.sample_axis is None:
            return arrays
        where: tuple[Any, ...] = (*(slice(None),) * self.sample_axis, n, ...)  # ...: a view of a single voxel too
        return tuple(None if a is None else a[where] for a in arrays)  # type: ignore[return-value]


def label_inputs(
    y_true: Any,
    y_pred: Any,
    *,
    num_classes: int | None = None,
    labels: Any = None,
    ignore_index: Any = None,
    mask: Any = None,
    sample_weight: Any = None,
    sample_axis: int | None = None,
) -> LabelInputs:
    """Check everything about a pair of label maps that can be known without reading the voxels."""
    given = {"y_true": y_true, "y_pred": y_pred, "mask": mask, "sample_weight": sample_weight}
    images = image_objects.aligned(given, sample_axis=sample_axis)
    y_true, y_pred, mask, sample_weight = images.arguments.values()
    (true, true_bits), (pred, pred_bits) = (
        label_map_or_bits(value, name, on_device=True) for name, value in (("y_true", y_true), ("y_pred", y_pred))
    )
    same_shape(true, "y_true", pred, "y_pred", images.note)
    region = checked_mask(mask, true.shape, on_device=True)
    weight = checked_weight(sample_weight, true.shape, on_device=True)
    return LabelInputs(
        true,
        pred,
        region,
        weight,
        label_classes(num_classes, labels, ignore_index),
        checked_axis(images.sample_axis, true.ndim, "sample_axis"),
        (true_bits, pred_bits),
        device_of(y_true=true, y_pred=pred, mask=region, sample_weight=weight),
    )


def whole_numbers(values: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return label values as int64, and where that was not possible: NaN, infinite, fractional, or beyond 64 bits."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # signalling NaNs
            wide = values.astype(np.float64)
        wrong = ~((wide >= -(2.0**63)) & (wide < 2.0**63))
        wide = np.where(wrong, 0.0, wide)
        wrong |= wide != np.floor(wide)
        return wide.astype(np.int64), wrong
    if values.dtype.kind == "u" and values.dtype.itemsize == 8:
        return values.astype(np.int64), values > np.uint64(2**63 - 1)
    return values.astype(np.int64), np.zeros(values.shape, bool)


def among(values: Array, labels: Any) -> npt.NDArray[np.bool_]:
    """Return which values are among some labels: what is no whole number is taken for 0."""
    if values.dtype.kind in "biu" and values.dtype.itemsize <= 2 and values.dtype.isnative:  # a look into a table
        bits = np.dtype(f"u{values.dtype.itemsize}")
        every = np.arange(2 ** (8 * bits.itemsize)).astype(bits).view(values.dtype)
        found: npt.NDArray[np.bool_] = np.isin(every.astype(np.int64), labels)[values.view(bits)]
        return found
    return np.isin(whole_numbers(values)[0], labels)

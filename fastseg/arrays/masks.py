"""Checked pairs of binary maps with channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import image_objects
from fastseg.arrays.arguments import checked_axis
from fastseg.arrays.blocked import is_blocked
from fastseg.arrays.convert import checked_mask, checked_weight, label_map_or_bits, same_shape
from fastseg.arrays.device import device_of
from fastseg.kernels.protocols.device import Device

__all__ = ["MaskInputs", "mask_inputs"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class MaskInputs:
    """A pair of binary maps with channels, each array as (N, C, spatial...) views."""

    y_true: Array
    y_pred: Array
    mask: Array | None
    weight: Array | None
    channel_axis: int | None
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
    def shape(self) -> tuple[int, int]:
        """N and C; 1 for an axis that is not there."""
        n, c = ((1 if axis is None else self.y_true.shape[axis]) for axis in (self.sample_axis, self.channel_axis))
        return int(n), int(c)

    def axes(self, position: int) -> tuple[int | None, int | None]:
        """Return the axes of samples and of channels of an array: y_true, y_pred, mask, weight are 0..3."""
        sample, channel = self.sample_axis, self.channel_axis
        if position < 2:
            return sample, channel
        return None if sample is None else sample - (channel is not None and channel < sample), None

    def sample(self, n: int) -> tuple[Array, Array, Array | None, Array | None]:
        """Return views of sample n: (C, spatial...) for the maps, (spatial...) for mask and weight."""
        views: list[Array | None] = []
        for position, array in enumerate((self.y_true, self.y_pred, self.mask, self.weight)):
            if array is None:
                views.append(None)
                continue
            sample, channel = self.axes(position)
            where: tuple[Any, ...] = (...,) if sample is None else (*(slice(None),) * sample, n, ...)
            view = array[where]
            if position < 2 and channel is None:
                view = view[None]
            elif channel is not None:
                view = np.moveaxis(view, channel - (sample is not None and sample < channel), 0)
            views.append(view)
        return tuple(views)  # type: ignore[return-value]


def mask_inputs(
    y_true: Any,
    y_pred: Any,
    *,
    channel_axis: int | None = -1,
    sample_axis: int | None = None,
    mask: Any = None,
    sample_weight: Any = None,
) -> MaskInputs:
    """Check everything about a pair of binary maps that can be known without reading the voxels."""
    given = {"y_true": y_true, "y_pred": y_pred, "mask": mask, "sample_weight": sample_weight}
    images = image_objects.aligned(given, channel_axis, sample_axis)
    y_true, y_pred, mask, sample_weight = images.arguments.values()
    (true, true_bits), (pred, pred_bits) = (
        label_map_or_bits(value, name, on_device=True) for name, value in (("y_true", y_true), ("y_pred", y_pred))
    )
    same_shape(true, "y_true", pred, "y_pred", images.note)
    channel = checked_axis(images.channel_axis, true.ndim, "channel_axis")
    sample = checked_axis(images.sample_axis, true.ndim, "sample_axis")
    if channel is not None and channel == sample:
        raise ValueError(f"sample_axis: expected another axis than channel_axis, found {sample_axis} for both")
    spatial = tuple(size for axis, size in enumerate(true.shape) if axis != channel)
    region = checked_mask(mask, spatial, on_device=True)
    weight = checked_weight(sample_weight, spatial, on_device=True)
    return MaskInputs(
        true,
        pred,
        region,
        weight,
        channel,
        sample,
        (true_bits, pred_bits),
        device_of(y_true=true, y_pred=pred, mask=region, sample_weight=weight),
    )

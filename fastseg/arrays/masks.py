"""Checked pairs of binary maps with channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import image_objects
from fastseg.arrays.arguments import checked_axis
from fastseg.arrays.convert import checked_mask, checked_weight, label_map, same_shape

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

    @property
    def shape(self) -> tuple[int, int]:
        """N and C; 1 for an axis that is not there."""
        n, c = ((1 if axis is None else self.y_true.shape[axis]) for axis in (self.sample_axis, self.channel_axis))
        return int(n), int(c)

    def sample(self, n: int) -> tuple[Array, Array, Array | None, Array | None]:
        """Return views of sample n: (C, spatial...) for the maps, (spatial...) for mask and weight."""
        axes, channel = self.sample_axis, self.channel_axis
        maps = []
        for array in (self.y_true, self.y_pred):
            index: list[Any] = [slice(None)] * array.ndim
            if axes is not None:
                index[axes] = n
            view = array[(*index, ...)]
            position = None if channel is None else channel - (axes is not None and axes < channel)
            maps.append(view[None] if position is None else np.moveaxis(view, position, 0))
        spatial_axis = None if axes is None else axes - (channel is not None and channel < axes)
        where: tuple[Any, ...] = (...,) if spatial_axis is None else (*(slice(None),) * spatial_axis, n, ...)
        mask, weight = (None if a is None else a[where] for a in (self.mask, self.weight))
        return maps[0], maps[1], mask, weight


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
    true, pred = label_map(y_true, "y_true"), label_map(y_pred, "y_pred")
    same_shape(true, "y_true", pred, "y_pred", images.note)
    channel = checked_axis(images.channel_axis, true.ndim, "channel_axis")
    sample = checked_axis(images.sample_axis, true.ndim, "sample_axis")
    if channel is not None and channel == sample:
        raise ValueError(f"sample_axis: expected another axis than channel_axis, found {sample_axis} for both")
    spatial = tuple(size for axis, size in enumerate(true.shape) if axis != channel)
    return MaskInputs(true, pred, checked_mask(mask, spatial), checked_weight(sample_weight, spatial), channel, sample)

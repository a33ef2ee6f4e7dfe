"""Dice of each true component in its surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.api.pairs import count_pairs
from fastseg.arrays.instances import checked_connectivity, component_map, maps_in_memory
from fastseg.arrays.labels import label_inputs
from fastseg.arrays.option_names import explained
from fastseg.counting.instances import region_maps
from fastseg.metrics.instances import region_dice

__all__ = ["component_dice"]


@explained
def component_dice(
    y_true: Any,
    y_pred: Any,
    *,
    connectivity: int | None = None,
    region: Sequence[int] | int | None = None,
    sample_axis: int | None = None,
) -> float | npt.NDArray[np.float64]:
    """Return the mean Dice of true components, each among the voxels that it is the nearest component of.

    No matching is needed: small lesions weigh as much as large ones, and what is predicted far from any lesion lowers the Dice
    of the nearest. MONAI calls it ``per_component``.

    Parameters
    ----------
    y_true, y_pred : array_like
        Masks of one shape, with two or three axes besides that of samples.
    connectivity
        As in `label_components`: by default all neighbours, as MONAI has it.
    region
        These labels together are the mask; by default all but 0.
    sample_axis
        The axis that separates samples.

    Returns
    -------
    dice : float
        NaN where the truth is empty. With `sample_axis` float64 of shape (N,).

    Raises
    ------
    TypeError, ValueError
        If these are no masks that can be counted.

    References
    ----------
    A. Jaus et al., Every component counts: rethinking the measure of success for medical semantic segmentation in
    multi-instance segmentation tasks, 2024.

    Examples
    --------
    >>> component_dice([[1, 1, 0, 0, 0, 0, 1]], [[1, 1, 0, 0, 0, 0, 0]])
    0.5
    """
    given = label_inputs(y_true, y_pred, sample_axis=sample_axis)
    maps = maps_in_memory(given)
    axis, axes = given.sample_axis, given.y_true.ndim - (given.sample_axis is not None)
    true, pred = (component_map(array, name, None, region, axes) != 0 for name, array in maps.items())
    regions = region_maps(true, axis, checked_connectivity(connectivity, "connectivity", axes))
    values = region_dice(count_pairs(2 * regions.astype(np.int64) + true, pred, sample_axis=axis))
    return float(values[0]) if axis is None else values

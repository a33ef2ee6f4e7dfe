"""Connected components of masks and label maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import integer
from fastseg.arrays.instances import checked_connectivity, component_map, least_voxels, places, voxel_spacing
from fastseg.arrays.option_names import explained
from fastseg.counting.components import label_map_components, without_holes

__all__ = ["label_components"]


@explained
def label_components(
    mask_or_labels: Any,
    connectivity: int | None = None,
    *,
    labels: Sequence[int] | int | None = None,
    region: Sequence[int] | int | None = None,
    dilation: int = 0,
    dilation_connectivity: int | None = None,
    min_voxels: int = 0,
    min_ml: float | None = None,
    spacing: Sequence[float] | float | None = None,
    fill_holes: bool = False,
) -> npt.NDArray[np.int32]:
    """Number the connected components of a mask, or of each label of a label map.

    Parameters
    ----------
    mask_or_labels : array_like of bool or integers
        With two or three axes. 0 is background; voxels of different labels are never of one component.
    connectivity
        How many neighbours a voxel has: 4 or 8 with two axes; 6 (faces), 18 (and edges) or 26 (and corners) with three. By
        default all: 8 or 26.
    labels
        Only components of these labels.
    region
        These labels together are one mask, such as the whole tumour.
    dilation
        Components that meet once each was grown by so many voxels are one (BraTS: 3, or 1). The result has only voxels of the
        map itself.
    dilation_connectivity
        The neighbours that one step reaches; by default 18, with two axes 8.
    min_voxels
        Components with fewer voxels are left out.
    min_ml
        Those of less volume, in millilitres, are left out; needs a known spacing.
    spacing
        Distances of voxels along each axis in mm, where the map is no image that knows them.
    fill_holes
        Whether background that a label encloses on all sides is taken for it.

    Returns
    -------
    components : int32 array
        Of the map's shape: 0, and the components from 1 in the order of their first voxels, the last axis running fastest.

    Raises
    ------
    TypeError, ValueError
        If it is no mask or label map of two or three axes, or an option does not fit it.

    Examples
    --------
    >>> label_components([[1, 0, 1], [0, 1, 0]], connectivity=4).tolist()
    [[1, 0, 2], [0, 3, 0]]
    >>> label_components([[1, 0, 2], [0, 1, 2]], connectivity=8).tolist()
    [[1, 0, 2], [0, 1, 2]]
    """
    array = component_map(mask_or_labels, "mask_or_labels", labels, region)
    neighbours = checked_connectivity(connectivity, "connectivity", array.ndim)
    steps = integer(dilation, "dilation", least=0)
    reach = checked_connectivity(
        dilation_connectivity or {2: 8, 3: 18}[array.ndim], "dilation_connectivity", array.ndim
    )
    voxel_ml = places(mask_or_labels, array.ndim, voxel_spacing(spacing, array.ndim)).voxel_ml
    least = least_voxels(min_voxels, min_ml, voxel_ml)
    if fill_holes:
        array = without_holes(array)
    return label_map_components(array, neighbours, dilation=steps, dilation_neighbours=reach, least_voxels=least)

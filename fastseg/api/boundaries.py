"""Boundary IoU and centreline Dice: counts of parts of objects, then the metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_number, finite_number, integer, one_of
from fastseg.arrays.array_likes import are_bool
from fastseg.arrays.option_names import explained
from fastseg.arrays.surfaces import SurfaceInputs, image_spacing, surface_inputs
from fastseg.counting.boundaries import count_bands, count_skeletons
from fastseg.counts import BoundaryCounts, CenterlineCounts
from fastseg.kernels.numpy.boundaries import chebyshev_band, euclidean_band
from fastseg.metrics import parts
from fastseg.metrics.registry import Average

__all__ = ["boundary_iou", "centerline_dice", "count_boundaries", "count_centerlines"]

Floats = npt.NDArray[np.float64]
Band = Literal["chebyshev", "euclidean"]
Regions = Mapping[str, int | Sequence[int]]

#: What packages do where nothing else is said: the band, its width, and what 0/0 is.
_CONVENTIONS: dict[str, tuple[Band, float | None, float]] = {
    "boundary-iou-api": ("chebyshev", None, 0.0),
    "metrics-reloaded": ("euclidean", 1.0, 1.0),
}
#: The width of a band in voxels is this part of the image's diagonal.
_WIDTH = 0.02


@explained
def count_boundaries(
    y_true: Any,
    y_pred: Any,
    *,
    distance: float | None = None,
    band: Band = "chebyshev",
    spacing: float | Sequence[float] | None = None,
    num_classes: int | None = None,
    labels: Sequence[int] | npt.NDArray[Any] | None = None,
    regions: Regions | None = None,
    sample_axis: int | None = None,
    channel_axis: int | None = None,
) -> BoundaryCounts:
    """Count the overlaps of what is near the boundaries: of each class's voxels that are near its own boundary.

    Parameters
    ----------
    y_true, y_pred : array_like
        Label maps or masks, as in `surface_distances`. There is no `ignore_index` and no `mask`: where nobody knows what is
        true, nobody knows where the boundary is.
    distance
        How near. For ``band="chebyshev"`` a number of voxels; None: 2% of the image's diagonal, at least 1. For
        ``band="euclidean"`` in the unit of the spacing.
    band
        "chebyshev": voxels of the object at most that many steps, diagonal ones too, from the outside, to which belongs what
        is not in the image. "euclidean": those whose centres are *less* than `distance` from a voxel of the object with a face
        neighbour outside.
    spacing
        The distance of neighbouring voxels along each axis, for ``band="euclidean"``; steps are of voxels. None: that of
        images which know theirs, else 1, so that distances are in voxels.
    num_classes, labels, regions, sample_axis, channel_axis
        As in `surface_distances`.

    Returns
    -------
    counts : BoundaryCounts

    Raises
    ------
    TypeError, ValueError
        As `surface_distances` does; for a distance that is none.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 10, 10), bool)
    >>> true[1:9, 1:9] = pred[1:9, 2:9] = True
    >>> counts = count_boundaries(true, pred, distance=1)  # rings of 28 and 26 pixels
    >>> counts.tp.item(), counts.fp.item(), counts.fn.item()
    (20, 6, 8)
    """
    one_of(band, "band", ("chebyshev", "euclidean"))
    if spacing is None:
        spacing = image_spacing(y_true=y_true, y_pred=y_pred) if band == "euclidean" else None
    given = surface_inputs(
        y_true,
        y_pred,
        spacing=1.0 if spacing is None else spacing,
        num_classes=num_classes,
        labels=labels,
        regions=regions,
        sample_axis=sample_axis,
        channel_axis=channel_axis,
    )
    if band == "chebyshev":
        return count_bands(given, partial(chebyshev_band, steps=_steps(distance, given, channel_axis)))
    if distance is None:
        raise TypeError("distance: expected a number for band='euclidean', found None")
    wide = finite_number(distance, "distance")
    return count_bands(given, partial(euclidean_band, distance=wide, spacing=given.spacing))


def _steps(distance: float | None, given: SurfaceInputs, channel_axis: int | None) -> int:
    if distance is not None:
        return integer(distance, "distance", least=1)
    left_out = {given.maps.sample_axis, None if channel_axis is None else channel_axis % given.maps.y_true.ndim}
    shape = [n for axis, n in enumerate(given.maps.y_true.shape) if axis not in left_out]
    return max(1, round(_WIDTH * math.hypot(*shape)))


@explained
def boundary_iou(
    y_true: Any,
    y_pred: Any,
    *,
    average: Average = None,
    zero_division: float | None = None,
    include_background: bool = True,
    distance: float | None = None,
    band: Band | None = None,
    convention: Literal["boundary-iou-api", "metrics-reloaded"] | None = None,
    spacing: float | Sequence[float] | None = None,
    num_classes: int | None = None,
    labels: Sequence[int] | npt.NDArray[Any] | None = None,
    regions: Regions | None = None,
    sample_axis: int | None = None,
    channel_axis: int | None = None,
) -> Floats | float:
    """Return the boundary IoU: that of the voxels which are near the boundary of their own object.

    Parameters
    ----------
    y_true, y_pred : array_like
        Label maps or masks, as in `count_boundaries`.
    average : {None, "macro", "micro", "weighted"}
        As in `iou`.
    zero_division
        The value of a class that neither map has. None: NaN, which means undefined, or what the convention says.
    include_background
        False leaves out class 0.
    distance, band
        What is near, as in `count_boundaries`. None: as there, or what the convention says.
    convention
        "boundary-iou-api": that of the authors: steps, 2% of the diagonal, and 0 of nothing. "metrics-reloaded": voxels nearer
        than 1, and 1 of nothing; MetricsReloaded knows no spacing, so that it is 1 unless another is given.
    spacing, num_classes, labels, regions, sample_axis, channel_axis
        As in `count_boundaries`.

    Returns
    -------
    value : float64 array of shape (K,), or float
        A float for averages, and of two maps of bool without classes. With `sample_axis` (N, K) or (N,).

    Raises
    ------
    TypeError, ValueError
        As `count_boundaries` does.

    Notes
    -----
    |T_d ∩ P_d| / |T_d ∪ P_d|, of the voxels within d of the object's own boundary. Reference: Cheng et al., CVPR (2021) 15334.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 10, 10), bool)
    >>> true[1:9, 1:9] = pred[1:9, 2:9] = True
    >>> round(boundary_iou(true, pred, distance=1), 4)
    0.5882
    """
    usual: tuple[Band, float | None, float] = ("chebyshev", None, math.nan)
    if convention is not None:
        usual = _CONVENTIONS[one_of(convention, "convention", (*_CONVENTIONS,))]
        spacing = 1.0 if spacing is None else spacing
    counts = count_boundaries(
        y_true,
        y_pred,
        distance=usual[1] if distance is None else distance,
        band=usual[0] if band is None else band,
        spacing=spacing,
        num_classes=num_classes,
        labels=labels,
        regions=regions,
        sample_axis=sample_axis,
        channel_axis=channel_axis,
    )
    nothing = usual[2] if zero_division is None else checked_number(zero_division, "zero_division")
    values = parts.boundary_iou(counts, average=average, zero_division=nothing, include_background=include_background)
    single = (num_classes, labels, regions, channel_axis) == (None,) * 4
    return _plain(values, single and are_bool(y_true, y_pred), sample_axis)


@explained
def count_centerlines(
    y_true: Any,
    y_pred: Any,
    *,
    num_classes: int | None = None,
    labels: Sequence[int] | npt.NDArray[Any] | None = None,
    regions: Regions | None = None,
    sample_axis: int | None = None,
    channel_axis: int | None = None,
) -> CenterlineCounts:
    """Count the voxels of each class's centre lines, and how many of them the other map has.

    Centre lines are scikit-image's skeletons (`skimage.morphology.skeletonize`: Zhang's thinning in 2-D, Lee's in 3-D), which
    ``pip install 'fastseg-metrics[skeleton]'`` brings; they take far longer than the counts.

    Parameters
    ----------
    y_true, y_pred, num_classes, labels, regions, sample_axis, channel_axis
        As in `surface_distances`.

    Returns
    -------
    counts : CenterlineCounts

    Raises
    ------
    ImportError
        If scikit-image is not installed.
    TypeError, ValueError
        As `surface_distances` does.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 9, 30), bool)
    >>> true[3:6, 2:28] = pred[4:7, 2:20] = True
    >>> counts = count_centerlines(true, pred)
    >>> counts.total.tolist(), counts.inside.tolist()
    ([[[25, 17]]], [[[18, 17]]])
    """
    given = surface_inputs(
        y_true,
        y_pred,
        spacing=1.0,
        num_classes=num_classes,
        labels=labels,
        regions=regions,
        sample_axis=sample_axis,
        channel_axis=channel_axis,
    )
    return count_skeletons(given)


@explained
def centerline_dice(
    y_true: Any,
    y_pred: Any,
    *,
    average: Literal["macro", "micro"] | None = None,
    zero_division: float = math.nan,
    include_background: bool = True,
    num_classes: int | None = None,
    labels: Sequence[int] | npt.NDArray[Any] | None = None,
    regions: Regions | None = None,
    sample_axis: int | None = None,
    channel_axis: int | None = None,
) -> Floats | float:
    """Return the centreline Dice (clDice): how well thin structures, such as vessels, are found whole.

    Parameters
    ----------
    y_true, y_pred : array_like
        Label maps or masks, as in `count_centerlines`.
    average : {None, "macro", "micro"}
        None: a value for each class. "macro": the mean of those that are defined. "micro": that of all voxels together.
    zero_division
        The value where a centre line has no voxel; NaN means undefined. Some solid objects, such as a cube, have none.
    include_background
        False leaves out class 0.
    num_classes, labels, regions, sample_axis, channel_axis
        As in `count_centerlines`.

    Returns
    -------
    value : float64 array of shape (K,), or float
        A float for averages, and of two maps of bool without classes. With `sample_axis` (N, K) or (N,).

    Raises
    ------
    ImportError, TypeError, ValueError
        As `count_centerlines` does.

    Notes
    -----
    2 p s / (p + s), p the part of P's centre line within T, s the part of T's within P. Reference: Shit et al., CVPR (2021)
    16560. Where both centre lines exist and miss the other object it is 0; MetricsReloaded has NaN there, 0/0.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 9, 30), bool)
    >>> true[3:6, 2:28] = pred[4:7, 2:20] = True
    >>> round(centerline_dice(true, pred), 4)
    0.8372
    """
    counts = count_centerlines(
        y_true,
        y_pred,
        num_classes=num_classes,
        labels=labels,
        regions=regions,
        sample_axis=sample_axis,
        channel_axis=channel_axis,
    )
    values = parts.centerline_dice(
        counts, average=average, zero_division=zero_division, include_background=include_background
    )
    single = (num_classes, labels, regions, channel_axis) == (None,) * 4
    return _plain(values, single and are_bool(y_true, y_pred), sample_axis)


def _plain(values: Floats, single: bool, sample_axis: int | None) -> Floats | float:
    """Return the values of one case without its axis, and one number as a float."""
    if sample_axis is not None:
        return values
    return float(values.reshape(-1)[0]) if values.ndim == 1 or single else values[0]

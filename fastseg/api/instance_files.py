"""Instances of two files, matched."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from fastseg.api.instances import match_instances, match_placed
from fastseg.arrays.arguments import keyword_options
from fastseg.arrays.instances import Places, placed_by
from fastseg.arrays.option_names import check_options
from fastseg.counting.files import warn_caller
from fastseg.counting.whole_maps import LabelMaps, read_label_maps
from fastseg.labels.mapping import read_mapping
from fastseg.metrics.instances import InstanceMatching, convention_of
from fastseg.volumes.geometry import TOLERANCE, Geometry
from fastseg.volumes.paths import Path
from fastseg.volumes.spacing import right_angled_spacing

__all__ = ["match_instance_files", "match_label_maps"]


def match_instance_files(
    reference: Path,
    prediction: Path,
    threshold: float | None = None,
    *,
    region: Sequence[int] | int | None = None,
    map_prediction: Mapping[int, int] | Path | None = None,
    roi: Path | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    spacing: Sequence[float] | float | None = None,
    warn: Callable[[str], None] | None = None,
    **options: Any,
) -> InstanceMatching:
    """Match the instances of two volumes on disk, of any format that is read.

    Parameters
    ----------
    reference, prediction, map_prediction, roi, geometry, geometry_tolerance, reorient, axes, warn
        As in `count_files`; outside of the region of interest there is nothing. Both maps are held in memory.
    threshold, region
        As in `match_instances`; with `region` or `connectivity` the components of masks are the instances, else labels are
        ids.
    spacing
        Distances of voxels along each axis of the reference in mm, for `surface`, instead of what its file says.
    **options
        The other options of `match_instances` but `sample_axis`.

    Returns
    -------
    matching : InstanceMatching
        With volumes in ml, and centroids in mm in the coordinates of the reference's file where it has such.

    Raises
    ------
    VolumeError, ValueError, TypeError
        As `count_files` and `match_instances` do.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     true, pred = Path(folder, "true.npy"), Path(folder, "pred.npy")
    ...     np.save(true, np.array([[2, 2, 0, 1, 0, 2]]))
    ...     np.save(pred, np.array([[2, 2, 0, 2, 0, 0]]))
    ...     found = match_instance_files(true, pred, region=2)
    >>> found.tp, found.fp, found.fn
    (1, 1, 1)
    """
    allowed = keyword_options(match_instances).keys() - {"sample_axis", "spacing", "region"}
    check_options("match_instance_files", options, allowed)
    maps = read_label_maps(
        reference, prediction, map_prediction=read_mapping(map_prediction) or None, roi=roi, geometry=geometry,
        geometry_tolerance=geometry_tolerance, reorient=reorient, axes=axes,
    )  # fmt: skip
    warn_caller(maps.note, warn)
    return match_label_maps(maps, reference, threshold=threshold, region=region, spacing=spacing, **options)


def match_label_maps(maps: LabelMaps, path: Path, *, spacing: Any = None, **options: Any) -> InstanceMatching:
    """Match the instances of maps that were read, with the options of `match_instances`.

    Parameters
    ----------
    maps
        What was read.
    path
        Of the truth, for messages.
    spacing
        That of surfaces, where they are measured; None: as the file says.

    Raises
    ------
    VolumeError
        If surfaces are to be measured of a file that is sheared, or of which neither it nor the convention says the spacing.
    """
    if options.get("surface") is not None and spacing is None:
        stated = maps.geometry.affine is not None or not all(map(math.isnan, maps.geometry.spacing))
        known = convention_of(options.get("convention", "fastseg")).uncounted_mm3 >= 0  # BraTS: 1 mm where nobody says
        if stated or not known:
            spacing = right_angled_spacing(maps.geometry, os.fspath(path))
    return match_placed(maps.true, maps.pred, where=_places(maps.geometry), spacing=spacing, **options)


def _places(geometry: Geometry) -> Places | None:
    """Return where voxels lie, as far as the file says."""
    volume = geometry.voxel_volume_ml
    known = volume if math.isfinite(volume) and volume > 0 else None
    if geometry.affine is not None and geometry.smallest_spacing > 0 and len(geometry.shape) == 3:
        return placed_by(geometry.affine, "xyz", known)
    return Places(None, known if len(geometry.shape) == 3 else None)

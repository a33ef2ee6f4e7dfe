"""Instances of masks on disk, which may overlap: of each class by itself, one pair of volumes after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastseg.api.instance_files import match_label_maps
from fastseg.api.mask_surfaces import edges_of_masks, labels_of, masks_of_edge
from fastseg.counting.whole_maps import LabelMaps
from fastseg.metrics.instances import InstanceMatching
from fastseg.volumes.masks import MaskSource
from fastseg.volumes.paths import Path

__all__ = ["instances_of_masks"]


def instances_of_masks(
    true: MaskSource,
    pred: MaskSource,
    classes: Sequence[str],
    *,
    roi: Path | None = None,
    reading: Mapping[str, Any],
    predicted: bool = True,
    check: Callable[[], object] = lambda: None,
    **options: Any,
) -> dict[str, InstanceMatching]:
    """Match the components of masks that were counted already, by class; classes that a side has no mask of are left out.

    Parameters
    ----------
    true, pred, classes, roi, reading, check
        As of `fastseg.api.mask_surfaces.surfaces_of_masks`.
    predicted
        False: nothing was predicted, whatever the masks of the prediction are.
    **options
        Those of `fastseg.match_instances`.
    """
    found: dict[str, InstanceMatching] = {}
    for edge, volumes in edges_of_masks(true, pred, classes, roi=roi, reading=reading, check=check):
        labels = [labels_of(each) for each in volumes]
        for name in edge.classes:
            masks = masks_of_edge(edge, name, labels[0], labels[1])
            if len(labels) > 2:
                inside = labels[2] != 0
                masks = masks[0] & inside, masks[1] & inside
            if not predicted:
                masks = masks[0], np.zeros_like(masks[1])
            maps = LabelMaps(*masks, volumes[0].geometry, None)
            found[name] = match_label_maps(maps, volumes[0].path, **options)
    return found

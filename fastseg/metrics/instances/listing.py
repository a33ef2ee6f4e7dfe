"""Instances one by one, for people to find them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.metrics.instances.tally import Floats, Ints, MatchedPairs, UnmatchedSegments

__all__ = ["COLUMNS", "instance_rows"]

#: What is said of an instance; what does not apply, or is not known, is None.
COLUMNS = (
    "case", "class", "kind", "true", "pred", "true_voxels", "pred_voxels", "overlap_voxels", "true_ml", "pred_ml",
    "iou", "dice", "centroid", "box",
)  # fmt: skip


def instance_rows(
    pairs: MatchedPairs,
    places: Floats | None,
    boxes: Ints | None,
    misses: UnmatchedSegments,
    false_alarms: UnmatchedSegments,
    voxel_ml: float | None,
) -> list[dict[str, Any]]:
    """Return what is known of each matched pair, miss and false alarm: in this order, and each by `COLUMNS`.

    `places` and `boxes` are those of the true segments that match, (M, axes) and (M, axes, 2), where they are known.
    """
    found: list[tuple[Any, ...]] = []
    for k in range(len(pairs)):
        ids = pairs.true[k], pairs.pred[k]
        sizes = pairs.true_voxels[k], pairs.pred_voxels[k]
        volumes = (_times(size, voxel_ml) for size in sizes)
        lie = _known(places, boxes, k)
        scores = pairs.iou[k], pairs.dice[k]
        found.append(
            (pairs.case[k], pairs.classes[k], "matched", *ids, *sizes, pairs.overlap[k], *volumes, *scores, *lie)
        )
    for side, kind in ((misses, "missed"), (false_alarms, "invented")):
        for k in range(len(side)):
            lie = _known(side.centroids, side.boxes, k)
            own = side.ids[k], side.voxels[k], _times(side.voxels[k], voxel_ml)
            (a, x), (b, y), (c, z) = ((value, None) if kind == "missed" else (None, value) for value in own)
            found.append((side.case[k], side.classes[k], kind, a, x, b, y, None, c, z, None, None, *lie))
    return [{name: _plain(value) for name, value in zip(COLUMNS, values, strict=True)} for values in found]


def _known(places: Floats | None, boxes: Ints | None, k: int) -> tuple[list[float] | None, list[list[int]] | None]:
    """Return where an instance lies and its box, None where nobody knows: of stuff, whose ids are many."""
    place = None if places is None or np.isnan(places[k]).any() else places[k].tolist()
    return place, None if boxes is None or not boxes[k].any() else boxes[k].tolist()


def _times(voxels: Any, ml: float | None) -> float | None:
    return None if ml is None else float(voxels) * ml


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value

"""Instances one by one, for people to find them."""

from __future__ import annotations

from typing import Any

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
        lie = (None if of is None else of[k].tolist() for of in (places, boxes))
        scores = pairs.iou[k], pairs.dice[k]
        found.append(
            (pairs.case[k], pairs.classes[k], "matched", *ids, *sizes, pairs.overlap[k], *volumes, *scores, *lie)
        )
    for side, kind in ((misses, "missed"), (false_alarms, "invented")):
        for k in range(len(side)):
            lie = (None if of is None else of[k].tolist() for of in (side.centroids, side.boxes))
            own = side.ids[k], side.voxels[k], _times(side.voxels[k], voxel_ml)
            (a, x), (b, y), (c, z) = ((value, None) if kind == "missed" else (None, value) for value in own)
            found.append((side.case[k], side.classes[k], kind, a, x, b, y, None, c, z, None, None, *lie))
    return [{name: _plain(value) for name, value in zip(COLUMNS, values, strict=True)} for values in found]


def _times(voxels: Any, ml: float | None) -> float | None:
    return None if ml is None else float(voxels) * ml


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value

"""What was wrong in two files, once a count has been refused: words and hints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from fastseg.arrays.classes import Classes
from fastseg.arrays.labels import among
from fastseg.counting.boxes import read_boxes
from fastseg.counting.stored_labels import first_index, real_values, to_labels
from fastseg.volumes import Volume

__all__ = ["explain"]

#: What may help where the prediction is wrong in this way.
_HINTS = {
    (1, "whole"): (
        "scores of a single class are read as such where an activation is named (activation=, --activation none)"
    ),
    (1, "class"): (
        "unknown='count' (--unknown count) takes such predictions for misses, "
        "map_prediction (--map-prediction) says what they stand for"
    ),
}


def explain(
    volumes: list[Volume],
    classes: Classes,
    mapping: Mapping[int, int] | None,
    *,
    count_unknown: bool,
    unsigned: bool = False,
) -> NoReturn:
    """Read the files once more, to say which voxels are wrong; raise an error that does. `unsigned` is that of `to_labels`.

    Raises
    ------
    ValueError
        With the number of wrong voxels, and index and label of one of them.
    """
    wrong: dict[tuple[int, str], list[Any]] = {}
    true, pred = volumes[:2]
    wanted = {"region": "numbers in a region of interest", "whole": "labels that are whole numbers"}
    if classes.labels is not None:
        wanted["class"] = f"labels among {classes.describe()}"
    # Most blocks of integers hold nothing wrong, which a look at what is stored tells.
    whole = len(volumes) == 2 and not mapping and all(v.scaling is None and v.dtype.kind in "biu" for v in volumes)
    known = None if classes.labels is None or not whole else np.union1d(classes.labels, classes.ignored)
    for start, (a, b, *inside) in read_boxes(volumes):
        if known is not None and among(a, known).all() and (count_unknown or among(b, classes.labels).all()):
            continue
        labels, bad_true = to_labels(a, true.scaling, None, unsigned=unsigned)
        predicted, bad_pred = to_labels(b, pred.scaling, mapping, unsigned=unsigned)
        looked_at = inside[0] != 0 if inside else np.True_
        kept = ~np.isin(labels, classes.ignored) & looked_at
        checks = [(2, "region", values != values, values) for values in inside]
        checks += [(0, "whole", bad_true & looked_at, a), (1, "whole", bad_pred & looked_at, b)]
        if classes.labels is not None:
            checks.append((0, "class", kept & ~bad_true & ~np.isin(labels, classes.labels), labels))
            if not count_unknown:
                own, _ = to_labels(b, pred.scaling, None)
                checks.append((1, "class", kept & ~bad_pred & ~np.isin(predicted, classes.labels), own))
        for which, kind, bad, values in checks:
            if bad.any():
                index = first_index(bad, true, start)
                at = tuple(i - first for i, first in zip(index, start, strict=True))
                value = (real_values(values[at], volumes[which].scaling) if kind == "whole" else values[at]).item()
                mapped = (which, kind) == (1, "class") and predicted[at] != value
                shown = f"{value}, mapped to {predicted[at]}," if mapped else f"{value}"
                entry = wrong.setdefault((which, kind), [0, index, shown])
                entry[0] += int(bad.sum())
    for (which, kind), (total, index, value) in wrong.items():
        hint = _HINTS.get((which, kind))
        if kind == "whole" and volumes[which].dtype.kind == "u":
            hint = "count_pair_files takes labels of 2**63 and more, as ids"
        raise ValueError(
            f"{volumes[which].path}: expected {wanted[kind]}, found {total} voxel(s) that are not; "
            f"the first is {value} at index {index}{f'; {hint}' if hint else ''}"
        )
    paths = ", ".join(volume.path for volume in volumes)
    raise ValueError(f"{paths}: the files changed while they were counted")

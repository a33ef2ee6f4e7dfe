"""What pages of metrics of partitions have otherwise: 4×4 pixels of segments, and maps with nothing to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import log2
from typing import Any

import numpy as np

import fastseg
from ext.empty_classes import number
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pairs import PAIR_METRICS, PairMetric

__all__ = ["PREDICTION", "TRUTH", "arrays", "call", "empty", "entries", "is_one", "numbers", "value"]

TRUTH = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 3], [3, 3, 3, 3]])
PREDICTION = np.array([[1, 1, 1, 2], [1, 1, 1, 2], [3, 3, 4, 4], [3, 3, 4, 4]])

_ONE, _APART = np.ones((4, 4), int), np.arange(1, 17).reshape(4, 4)
_SITUATIONS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "no voxel is counted": (_ONE, _ONE, {"mask": np.zeros((4, 4), bool)}),
    "both maps are one segment": (_ONE, _ONE, {}),
    "each voxel is a segment in both": (_APART, _APART, {}),
    "each is one, and all are predicted as one": (_APART, _ONE, {}),
}


def entries() -> dict[str, PairMetric]:
    """Return the metrics of partitions by name, aliases left out."""
    return {entry.name: entry for entry in PAIR_METRICS.values()}


def is_one(entry: Any) -> bool:
    """Tell whether an entry is a metric of partitions."""
    return isinstance(entry, PairMetric)


def arrays() -> str:
    """Return the lines that make the arrays of the example."""
    lines = ["import numpy as np", "import fastseg", ""]
    for name, array in (("truth", TRUTH), ("prediction", PREDICTION)):
        rows = ",\n    ".join(str(row) for row in array.tolist())
        lines.append(f"{name} = np.array([\n    {rows},\n])")
    return "\n".join(lines) + "\n"


def call(entry: PairMetric) -> str:
    """Return the call of the example, as people write it: of several numbers the sum of both halves, or the first."""
    plain = f"fastseg.{entry.name}(truth, prediction)"
    if entry.result is float:
        return plain
    return f"{plain}.error" if "error" in entry.result._fields else f"sum({plain})"


def value(entry: PairMetric) -> float:
    """Return the number of the example, by fastseg."""
    return _number(getattr(fastseg, entry.name)(TRUTH, PREDICTION))


def numbers() -> Mapping[str, str]:
    """Return what the words of a formula are in the example: counted here, not by fastseg."""
    pairs = Counter(zip(TRUTH.ravel().tolist(), PREDICTION.ravel().tolist(), strict=True))
    true, pred = Counter(TRUTH.ravel().tolist()), Counter(PREDICTION.ravel().tolist())
    voxels = TRUTH.size
    found: dict[str, float] = {
        "VOXEL_PAIRS": voxels * (voxels - 1),
        "JOINED_BOTH": _joined(pairs.values()),
        "JOINED_T": _joined(true.values()),
        "JOINED_P": _joined(pred.values()),
        "H_T": _entropy(true.values()),
        "H_P": _entropy(pred.values()),
        "H_TP": sum(count * log2(pred[p] / count) for (_, p), count in pairs.items()) / voxels,
        "H_PT": sum(count * log2(true[t] / count) for (t, _), count in pairs.items()) / voxels,
        "BETA": 1.0,
    }
    found["HOMOGENEITY"] = 1 - found["H_TP"] / found["H_T"]
    found["COMPLETENESS"] = 1 - found["H_PT"] / found["H_P"]
    return {name: f"{each:.6g}" for name, each in found.items()}


def empty(entry: PairMetric) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: the number of maps with nothing to tell, under each convention."""
    function, rows = getattr(fastseg, entry.name), []
    for name, convention in PAIR_CONVENTIONS.items():
        values = [_number(function(t, p, convention=name, **own)) for t, p, own in _SITUATIONS.values()]
        tested = "with the package" if entry.name in convention.verified else "by analogy"
        rows.append([f"`{name}`", *map(number, values), "" if name == "fastseg" else tested])
    return ["convention", *_SITUATIONS, "tested"], rows


def _number(found: Any) -> float:
    if isinstance(found, float):
        return found
    return float(found.error if hasattr(found, "error") else sum(found))


def _joined(sizes: Iterable[int]) -> int:
    return sum(size * (size - 1) for size in sizes)


def _entropy(sizes: Iterable[int]) -> float:
    return sum(size * log2(16 / size) for size in sizes) / 16

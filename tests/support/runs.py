"""What runs of the cases on disk are compared with: the numbers of their arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.cases_on_disk import pair

import fastseg

Counted = list[str]


def expected(number: int, metric: str = "dice") -> np.ndarray:
    """(N, C) from the arrays."""
    return np.array([values_of(fastseg.evaluate(*pair(n), num_classes=4), metric) for n in range(number)])


def values_of(scores: Any, metric: str) -> np.ndarray:
    plain = scores.to_dict()["classes"]
    return np.array([np.nan if each[metric] is None else each[metric] for each in plain.values()], float)

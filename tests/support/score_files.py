"""Scores and labels of one small volume, the sums of their arrays, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write

from fastseg import sum_scores

_rng = np.random.default_rng(3)
SHAPE, C = (7, 6, 9), 4
Z = _rng.normal(0, 2, (*SHAPE, C)).astype("f4")
P = np.exp(Z) / np.exp(Z).sum(-1, keepdims=True)
T = np.where(_rng.random(SHAPE) < 0.7, Z.argmax(-1), _rng.integers(0, C, SHAPE)).astype("u1")
ALL: dict[str, Any] = {"quantities": "all", "bins": 20}
EXPECTED = sum_scores(T, P, **ALL)


def same(found: Any, expected: Any = EXPECTED, rel: float = 1e-6) -> None:
    assert found.argmax_counts == expected.argmax_counts
    assert found.quantities == expected.quantities
    assert found.voxels.tolist() == expected.voxels.tolist()
    for name in (
        "true",
        "true_pred",
        "pred",
        "pred_squared",
        "cross_entropy",
        "brier",
        "absolute",
        "focal",
        "focal_others",
        "ranks",
    ):
        if getattr(expected, name) is not None:
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=rel), name


def save(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def written(folder: Path, name: str, scores: Any) -> Path:
    """Write scores (x, y, z, class) by a format's name."""
    path = folder / name
    if name.endswith(".npy"):
        return save(path, scores)
    if name.endswith(".npz"):
        how = {"stored.npz": np.savez, "deflated.npz": np.savez_compressed}[name]
        how(path, probabilities=np.ascontiguousarray(scores.transpose(3, 2, 1, 0)))
        return path
    return write(path, scores)

"""Folders of the cases of a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["saved_pairs"]


def saved_pairs(folder: Path, maps: Callable[[int], tuple[Any, Any]]) -> tuple[Path, Path]:
    """Save three cases, `maps` of 0, 1 and 2, in folders of truth and prediction, and return these."""
    for seed in range(3):
        for name, labels in zip(("true", "pred"), maps(seed), strict=True):
            (folder / name).mkdir(exist_ok=True)
            np.save(folder / name / f"{seed}.npy", labels)
    return folder / "true", folder / "pred"

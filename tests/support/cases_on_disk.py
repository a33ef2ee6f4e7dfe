"""Writes small folders of cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from support.volumes_on_disk import write

#: The files of a run that are a function of its inputs and options alone; run.json has times besides.
EXACT = ("summary.json", "cases.csv", "classes.csv", "confusion.npz", "records.jsonl")


def pair(seed: int, size: int = 20, labels: int = 4) -> tuple[Any, Any]:
    """Return a truth of a few boxes, and a prediction that misses some of it."""
    rng = np.random.default_rng(seed)
    true = np.zeros((size, size - 1, size - 2), np.uint8)
    for label in range(1, labels):
        a, b = np.sort(rng.integers(0, size - 3, 2)).tolist()
        true[a : b + 3, a : b + 2, a : b + 1] = label
    pred = np.where(rng.random(true.shape) < 0.9, true, rng.integers(0, labels, true.shape)).astype(np.uint8)
    return true, pred


def folders(where: Path, number: int = 8, size: int = 20) -> tuple[Path, Path]:
    """Write cases ``case_00.nii.gz`` and so on into two folders."""
    gt, pred = where / "gt", where / "pred"
    for folder in (gt, pred):
        folder.mkdir(parents=True)
    for n in range(number):
        for folder, voxels in zip((gt, pred), pair(n, size), strict=True):
            write(folder / f"case_{n:02d}.nii.gz", voxels)
    return gt, pred


def contents(out: Path) -> dict[str, bytes]:
    """Return what a run has left, without what may differ between two runs of the same; nothing else may be there."""
    plain = json.loads((out / "run.json").read_text())
    del plain["times"]
    exact = [*EXACT, *(["surfaces.npz"] if "surfaces" in plain else [])]
    exact += ["instances.csv"] if "instances" in plain else []
    assert sorted(path.name for path in out.iterdir()) == sorted([*exact, "run.json"])
    return {**{name: (out / name).read_bytes() for name in exact}, "run.json": json.dumps(plain).encode()}

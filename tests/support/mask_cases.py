"""Masks that overlap, written one file a class in the layouts that people have, and what NumPy counts of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from support.volumes_on_disk import write

NAMES = ("liver", "rib_2", "rib_10")
SHAPE = (12, 11, 10)

Masks = dict[str, Any]


def masks(seed: int, names: Sequence[str] = NAMES, shape: tuple[int, ...] = SHAPE) -> tuple[Masks, Masks]:
    """Return masks that overlap, and others that differ in a tenth of the voxels."""
    rng = np.random.default_rng(seed)
    true = {name: rng.random(shape) < 0.3 for name in names}
    return true, {name: mask ^ (rng.random(shape) < 0.1) for name, mask in true.items()}


def cases(number: int = 3) -> Iterator[tuple[str, Masks, Masks]]:
    for n in range(number):
        yield f"s{n:04d}", *masks(n)


def folders(where: Path, layout: str, number: int = 3, predictions: str | None = None) -> tuple[Path, Path]:
    """Write cases into two folders, each mask by a layout such as ``{case}/segmentations/{name}.nii.gz``."""
    for case, true, pred in cases(number):
        for side, of_side, form in (("gt", true, layout), ("pred", pred, predictions or layout)):
            for name, mask in of_side.items():
                path = where / side / form.format(case=case, name=name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, mask.astype(np.uint8))
    return where / "gt", where / "pred"


def tallies(true: Mapping[str, Any], pred: Mapping[str, Any], names: Sequence[str] = NAMES, inside: Any = True) -> Any:
    """Return (C, 3): true positives, false positives and false negatives, of the arrays."""
    return np.array(
        [
            [
                (one & inside).sum()
                for one in (true[name] & pred[name], pred[name] & ~true[name], true[name] & ~pred[name])
            ]
            for name in names
        ]
    )


def dice(true: Mapping[str, Any], pred: Mapping[str, Any], names: Sequence[str] = NAMES) -> Any:
    return np.array([2 * (true[n] & pred[n]).sum() / (true[n].sum() + pred[n].sum()) for n in names])


def found(counts: Any) -> Any:
    """Return what `tallies` has, of counts of one case."""
    return np.stack([counts.tp[0], counts.fp[0], counts.fn[0]], 1)

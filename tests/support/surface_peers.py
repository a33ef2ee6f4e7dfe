"""What other packages said of the surfaces of `surface_cases`; and ragged masks to ask those that are installed about."""

from __future__ import annotations

import json
import math
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.counts import DIRECTIONS

__all__ = ["Pair", "blobs", "pairs", "said"]

_SAID = Path(__file__).parents[1] / "data" / "surface_peers.json"


Pair = tuple[np.ndarray, np.ndarray, tuple[float, ...]]


def blobs(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return two ragged masks that are much alike, here and there at the edge of the image; the same on any machine."""
    draw = random.Random(seed)
    grid = np.indices(shape)
    centres = [[draw.uniform(0, n) for n in shape] for _ in range(3)]
    pair = []
    for _ in range(2):
        mask = np.zeros(shape, bool)
        for centre in centres:
            radius = draw.uniform(1.5, max(2.5, min(shape) / 3))
            moved = [c + draw.uniform(-1.5, 1.5) for c in centre]
            mask |= sum((x - c) ** 2 for x, c in zip(grid, moved, strict=True)) <= radius**2
        holes = np.array([draw.random() < 0.02 for _ in range(mask.size)]).reshape(shape)
        pair.append(mask & ~holes)
    return pair[0], pair[1]


def pairs() -> dict[str, Pair]:
    """Return truth, prediction and spacing of ragged masks by their name, in two and three dimensions."""
    shapes = {
        (23, 19): [(1.0, 1.0), (0.5, 1.7)],
        (17, 31): [(1.0, 1.0)],
        (9, 14, 11): [(1.0, 1.0, 1.0), (0.3, 0.3, 5.0)],
    }
    return {
        f"{seed} {shape} {spacing}": (*blobs(seed, shape), spacing)
        for shape, spacings in shapes.items()
        for spacing in spacings
        for seed in range(4)
    }


@cache
def said() -> dict[str, dict[str, dict[str, float]]]:
    """Return numbers by package, case and name: distances in mm, surface Dice at 1 mm."""

    def number(value: Any) -> float:
        return {"nan": math.nan, "inf": math.inf}[value] if isinstance(value, str) else float(value)

    return {
        package: {case: {name: number(v) for name, v in numbers.items()} for case, numbers in cases.items()}
        for package, cases in json.loads(_SAID.read_text()).items()
    }


def regenerate() -> None:
    """Ask the packages that tests cannot have beside the others, and write down what they say of the ragged masks.

    ``pip install surface-distance==0.1 mikan-rs==0.1.4``
    """
    import mikan
    import surface_distance as package

    told = json.loads(_SAID.read_text())
    for name, (true, pred, spacing) in pairs().items():
        found = package.compute_surface_distances(true, pred, spacing)
        means, parts = (
            package.compute_average_surface_distance(found),
            package.compute_surface_overlap_at_tolerance(found, 1.1),
        )
        told["surface-distance"][name] = {
            **{f"hd{q}": package.compute_robust_hausdorff(found, q) for q in (5, 50, 90, 95, 100)},
            **{f"asd_{direction}": mean for direction, mean in zip(DIRECTIONS, means, strict=True)},
            **{f"overlap_{direction}": part for direction, part in zip(DIRECTIONS, parts, strict=True)},
            "nsd": package.compute_surface_dice_at_tolerance(found, 1.1),
        }
        if true.ndim == 3:
            arrays = (mask.astype(np.uint8) for mask in (true, pred))
            asked = mikan.ArrayEvaluator(*arrays, spacing[::-1]).labels(1)
            names = {"hd": "hausdorff_distance", "hd95": "hausdorff_distance_95", "assd": "assd", "masd": "masd"}
            told["mikan"][name] = {own: asked.metrics(theirs) for own, theirs in names.items()}
    _SAID.write_text(json.dumps(told, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    regenerate()

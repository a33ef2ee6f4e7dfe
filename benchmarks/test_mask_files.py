"""A file for each class: counting all of a case against decompressing them and dropping the bytes, with the same threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from harness import compare

import fastseg
from fastseg.volumes import open_volume

#: As TotalSegmentator has them: so many classes, each in a fraction of the scan; every `DISTINCT`-th is the same file.
CLASSES, DISTINCT, SHAPE = 104, 8, (512, 512, 300)


def ball(centre: Any, radius: float) -> Any:
    """Return a mask whose surface is ragged, in the memory order of NIfTI."""
    mask = np.zeros(SHAPE, np.uint8, order="F")
    low = [max(0, int(c - radius)) for c in centre]
    box = tuple(slice(a, min(n, int(c + radius))) for a, c, n in zip(low, centre, SHAPE, strict=True))
    grid = np.ogrid[box]
    inside = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) < radius**2
    mask[box] = inside & (np.random.default_rng(0).random(inside.shape) < 0.98)
    return mask


def test_a_case_of_104_classes(benchmark: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    expected = []
    for n in range(DISTINCT):
        centre, radius = rng.uniform(0.2, 0.8, 3) * SHAPE, rng.uniform(20, 70)
        pair = [ball(centre + shift, radius) for shift in (0, 2)]
        expected.append(int((pair[0] & pair[1]).sum()))
        for side, mask in zip(("true", "pred"), pair, strict=True):
            (tmp_path / side).mkdir(exist_ok=True)
            first = tmp_path / side / f"class_{n}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), first)
            for other in range(n + DISTINCT, CLASSES, DISTINCT):
                os.link(first, tmp_path / side / f"class_{other}.nii.gz")
    sides = tmp_path / "true", tmp_path / "pred"
    files = [path for side in sides for path in sorted(side.iterdir())]
    number = fastseg.get_num_threads()
    pool = ThreadPoolExecutor(number)

    def drop(path: Path) -> None:
        buffer = np.empty(1 << 20, np.uint8)
        with open_volume(path) as volume:
            while volume.read_into(buffer):
                pass
            volume.finish()

    counts = fastseg.count_mask_files(*sides)
    assert counts.tp[0].tolist() == [expected[int(str(name).rpartition("_")[2]) % DISTINCT] for name in counts.classes]
    compare(
        benchmark,
        f"{CLASSES} files a side, 512×512×300, {number} thread(s)",
        lambda: fastseg.count_mask_files(*sides),
        [lambda: list(pool.map(drop, files))],
        group="Files: decompression / scoring",
        floor=0.6,
        aim=0.83,
    )

"""Scoring compressed files against decompressing them and dropping the bytes, with the same threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from harness import compare, expected_matrix

import fastseg
from fastseg.phantom import phantom_pair
from fastseg.volumes import open_volume

GROUP = "Files: decompression / scoring"


@pytest.mark.parametrize("threads", [1, None])
def test_gzip_pair(benchmark: Any, tmp_path: Path, threads: int | None) -> None:
    pair = phantom_pair((512, 512, 512), 14)
    paths = [tmp_path / name for name in ("reference.nii.gz", "prediction.nii.gz")]
    for volume, path in zip(pair, paths, strict=True):
        nibabel.save(nibabel.Nifti1Image(np.asfortranarray(volume), np.eye(4)), path)
    number = threads or fastseg.get_num_threads()
    pool = ThreadPoolExecutor(min(2, number))
    buffers = [np.empty(1 << 20, np.uint8) for _ in paths]

    def drop(k: int) -> None:
        with open_volume(paths[k]) as volume:
            while volume.read_into(buffers[k]):
                pass

    assert np.array_equal(fastseg.count_files(*paths, num_classes=14).matrix[0], expected_matrix(*pair, 14))
    compare(
        benchmark,
        f".nii.gz pair, phantom 512³, {number} thread(s)",
        lambda: fastseg.evaluate_files(*paths, threads=threads),
        [lambda: list(pool.map(drop, range(2)))],
        group=GROUP,
        floor=0.6,
        aim=0.85,
    )

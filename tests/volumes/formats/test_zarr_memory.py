"""What opening a Zarr array takes: a few kilobytes of metadata, and not the most that they might be."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastseg.volumes import open_volume

zarr = pytest.importorskip("zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_documents_take_no_more_than_their_size(version: int, tmp_path: Path) -> None:
    path = tmp_path / "case.zarr"
    zarr.create_array(path, data=np.ones((2, 3, 4), "u1"), zarr_format=version)
    with open_volume(path):
        pass  # what is imported and kept at the first time
    tracemalloc.start()
    try:
        with open_volume(path) as volume:
            assert volume.geometry.shape == (2, 3, 4)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()

"""Blocks of Zarr arrays are what the library gives, in the memory of the chunk where they are all of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from fastseg.volumes import zarr_blocks

VOXELS = np.random.default_rng(2).integers(0, 9, (9, 10, 11)).astype(np.uint16)
CHUNK = (slice(0, 4), slice(5, 10), slice(4, 8))
INDICES: list[tuple[slice | int, ...]] = [
    CHUNK,
    (slice(0, 4), slice(0, 10), slice(0, 4)),
    (slice(8, 9), slice(0, 5), slice(8, 11)),
    (slice(1, 4), slice(0, 5), slice(0, 4)),
    (slice(3, 4), slice(0, 5), slice(0, 4)),
    (slice(0, 9, 2), slice(1, 10, 3), slice(0, 11)),
    (2, slice(0, 5), slice(4, 8)),
    (2, slice(0, 5), 7),
    (2, 3, 4),
    (slice(2, 2), slice(0, 5), slice(0, 4)),
    (slice(0, 40), slice(-5, None), slice(None)),
]


@pytest.fixture(params=["v2", "v3", "sharded", "raw", "column by column"])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    options: dict[str, Any] = {
        "v2": {"zarr_format": 2},
        "v3": {},
        "sharded": {"chunks": (2, 5, 2), "shards": (4, 5, 4)},
        "raw": {"compressors": None},
        "column by column": {"zarr_format": 2, "order": "F"},
    }[request.param]
    chunks = {"chunks": (4, 5, 4), "dtype": "u2", "fill_value": 7, **options}
    made = zarr.create_array(tmp_path / "a.zarr", shape=VOXELS.shape, **chunks)
    made[:] = VOXELS
    return made


@pytest.mark.parametrize("index", INDICES)
def test_blocks_are_those_of_the_library(array: Any, index: Any) -> None:
    found = zarr_blocks(array)[index]
    expected = array[index]
    np.testing.assert_array_equal(found, expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)


def test_chunks_that_are_not_stored(array: Any) -> None:
    other = zarr.create_array(zarr.storage.MemoryStore(), shape=(8, 5, 4), chunks=(4, 5, 4), dtype="u2", fill_value=7)
    other[4:] = 3
    for index in ((slice(0, 4), slice(0, 5), slice(0, 4)), (slice(2, 6), slice(0, 5), slice(0, 4))):
        np.testing.assert_array_equal(zarr_blocks(other)[index], other[index])


def test_a_whole_chunk_is_not_copied(array: Any) -> None:
    kept = zarr_blocks(array)[CHUNK]
    assert kept.flags.owndata == bool(array.shards)  # else it is bytes that were decoded
    little = zarr_blocks(array)[slice(0, 1), slice(0, 5), slice(0, 4)]
    assert little.base is None or little.base.size <= little.size


def test_what_is_no_zarr_array_is_itself() -> None:
    assert zarr_blocks(VOXELS) is VOXELS

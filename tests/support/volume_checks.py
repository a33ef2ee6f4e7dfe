"""Checks of any format: what is written is read back, and truncated or flipped bytes are found."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fastseg.volumes import Volume, VolumeError, open_volume

SHAPE = (7, 6, 5)


def voxels(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def read_all(volume: Volume, sizes: Iterable[int]) -> bytes:
    """Read a volume to its end through buffers of these sizes in turn, checks included."""
    sizes, parts, position = list(sizes), [], 0
    while True:
        buffer = bytearray(sizes[position % len(sizes)])
        count = volume.read_into(buffer)
        parts.append(bytes(buffer[:count]))
        position += 1
        if count < len(buffer):
            volume.finish()
            assert volume.read_into(buffer) == 0
            return b"".join(parts)


def load(path: Path | str) -> np.ndarray:
    """Read a volume as the array that it stores."""
    with open_volume(path) as volume:
        data = read_all(volume, [1 << 16])
        return np.frombuffer(data, volume.dtype).reshape(volume.geometry.shape, order=volume.order)


def check_reads(path: Path | str, expected: np.ndarray, *, blocks: bool) -> None:
    """Compare a volume with an array: streamed through odd buffers, and in random blocks by two threads."""
    for sizes in ([1 << 16], [1, 2, 3, 5, 7, 11, 64], [expected.nbytes], [expected.nbytes - 1]):
        with open_volume(path) as volume:
            assert volume.path == str(path)
            assert volume.scaling is None
            assert volume.dtype == expected.dtype
            assert volume.geometry.shape == expected.shape
            assert len(volume.geometry.spacing) == expected.ndim
            assert volume.streams
            assert read_all(volume, sizes) == expected.tobytes(volume.order)
    with open_volume(path) as volume:
        if not blocks:
            assert volume.blocks is None
            with pytest.raises(NotImplementedError):
                volume.read_block((0,) * expected.ndim, expected.shape)
            return
        assert volume.blocks == (1,) * expected.ndim
        assert volume.parallel

        def compare(seed: int) -> None:
            rng = np.random.default_rng(seed)
            for _ in range(20):
                start, stop = np.sort(rng.integers(0, np.array(expected.shape) + 1, (2, expected.ndim)), axis=0)
                box = volume.read_block(tuple(map(int, start)), tuple(map(int, stop)))
                assert box.dtype == expected.dtype
                np.testing.assert_array_equal(box, expected[tuple(map(slice, start, stop))])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(compare, range(4)))
        volume.finish()


def check_truncations(broken: Path, path: Path | None = None, step: int = 1) -> None:
    """Cut a file anywhere: reading the volume is an error that begins with its path. `broken` may be a part of it."""
    path, content = path or broken, broken.read_bytes()
    load(path)
    for length in range(0, len(content), step):
        broken.write_bytes(content[:length])
        with pytest.raises(VolumeError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ")
    broken.write_bytes(content)


def check_flips(broken: Path, path: Path | None = None, *, verified_from: int | None = None, count: int = 300) -> None:
    """Flip a bit anywhere: an error or a volume; from this byte on, where a checksum guards it, an equal one."""
    path, content = path or broken, broken.read_bytes()
    expected = load(path)
    for bit in np.random.default_rng(3).choice(8 * len(content), min(count, 8 * len(content)), replace=False).tolist():
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        broken.write_bytes(changed)
        try:
            found = load(path)
            with open_volume(path) as volume:
                if volume.blocks is not None:
                    volume.read_block((0,) * found.ndim, found.shape)
        except VolumeError as error:
            assert str(error).startswith(f"{path}: ")
        else:
            assert verified_from is None or bit // 8 < verified_from or found.tobytes("A") == expected.tobytes("A")
    broken.write_bytes(content)

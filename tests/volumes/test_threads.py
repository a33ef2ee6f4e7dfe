"""A volume may be opened in one thread, read in another and closed in a third: that is how two files are counted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_volumes import whole
from support.formats_on_disk import modules, write_all
from support.volumes_on_disk import write

import fastseg
from fastseg.volumes import Volume, open_volume

LABELS = np.random.default_rng(5).integers(0, 4, (3, 12, 10), "u1")


def elsewhere(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread of its own, which is gone afterwards."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call, *arguments).result(60)


def stream(volume: Volume, size: int) -> bytes:
    """Read a volume through a buffer of `size` bytes, each piece in another thread."""
    pieces, buffer = [], bytearray(size)
    while count := elsewhere(volume.read_into, buffer):
        pieces.append(bytes(buffer[:count]))
    return b"".join(pieces)


@pytest.mark.parametrize("module", modules())
def test_every_format_may_be_used_by_any_thread(module: str, tmp_path: Path) -> None:
    for path in write_all(module, tmp_path, LABELS):
        with open_volume(path) as here:
            shape, order, streams, blocks = here.geometry.shape, here.order, here.streams, here.blocks
            expected = LABELS[0] if module == "picture" else LABELS
            if here.geometry.axes.startswith("x"):
                expected = expected.T
            assert shape == expected.shape, path
            assert streams or blocks, path
        if streams:
            volume = elsewhere(open_volume, path)
            assert stream(volume, 150) == expected.tobytes(order), path
            elsewhere(volume.finish)
            elsewhere(volume.close)
        if blocks:
            volume = elsewhere(open_volume, path)
            np.testing.assert_array_equal(elsewhere(whole, volume), expected, str(path))
            np.testing.assert_array_equal(whole(volume), expected, str(path))
            elsewhere(volume.finish)
            elsewhere(volume.close)


@pytest.mark.parametrize("module", modules())
def test_every_format_may_be_verified_by_any_thread(module: str, tmp_path: Path) -> None:
    for path in write_all(module, tmp_path, LABELS):
        volume = elsewhere(open_volume, path)
        elsewhere(volume.finish)
        elsewhere(volume.close)


def test_a_segmentation_beside_a_stream_is_counted_by_two_threads(tmp_path: Path) -> None:
    from support import segmentations

    predicted = np.roll(LABELS, 1, axis=2)
    seg = segmentations.write(tmp_path / "case.dcm", predicted)
    x, y, z = segmentations.SPACING
    affine = np.diag([-x, -y, z, 1.0])
    affine[:3, 3] = np.array(segmentations.ORIGIN) * (-1, -1, 1)
    nii = write(tmp_path / "case.nii.gz", LABELS.T, affine)
    expected = fastseg.count_labels(LABELS, predicted)
    for _ in range(10):
        assert fastseg.count_files(nii, seg, threads=2) == expected
        assert fastseg.count_files(seg, nii, threads=2) == fastseg.count_labels(predicted, LABELS)

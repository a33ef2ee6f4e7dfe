"""Volumes unpacked to memory or disk: whole or not at all, and ended when somebody wants."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_volumes import ArrayVolume, whole
from support.volumes_on_disk import write

from fastseg.volumes import VolumeError, open_volume, views as views_module
from fastseg.volumes.errors import StreamError
from fastseg.volumes.views import Turned, in_blocks


@pytest.mark.parametrize("limit", [1 << 20, 0])
@pytest.mark.parametrize("order", ["F", "C"])
def test_unpacked(order: Any, limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", limit)
    monkeypatch.setattr(views_module, "_PIECE_BYTES", 11)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.arange(60, dtype=">i2").reshape(3, 4, 5)
    given = ArrayVolume(array, order)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    volume = in_blocks(given)
    assert in_blocks(volume) is volume
    assert given.finished == 1
    assert np.array_equal(volume.read_block((1, 1, 1), (3, 4, 4)), array[1:, 1:, 1:4])
    threads = [threading.Thread(target=whole, args=(volume,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="the volume is closed"):
        whole(volume)
    assert given.closed
    assert not list(tmp_path.iterdir())
    assert not before or len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("limit", [1 << 20, 0])
def test_what_cannot_be_unpacked_leaves_nothing(limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", limit)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.zeros((3, 4, 5), "u1")

    class Broken(ArrayVolume):
        def finish(self) -> None:
            raise VolumeError("array: the checksum is wrong")

    with pytest.raises(VolumeError, match="the checksum is wrong"):
        in_blocks(Broken(array))
    short = ArrayVolume(array)
    short.left = short.left[:-1]
    with pytest.raises(StreamError, match="array: truncated or corrupt: expected 60 bytes of voxels, found 59"):
        in_blocks(short)

    class Interrupted(ArrayVolume):
        def read_into(self, buffer: Any) -> int:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_blocks(Interrupted(array))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [1 << 20, 0])
def test_unpacking_can_be_ended_between_pieces(limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", limit)
    monkeypatch.setattr(views_module, "_PIECE_BYTES", 11)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    given = ArrayVolume(np.zeros((3, 4, 5), "u1"))

    def check() -> None:
        if len(given.left) < 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_blocks(Turned(given, (2, 1, 0), (False,) * 3), check)
    assert len(given.left) == 60 - 22
    assert not list(tmp_path.iterdir())


def test_unpacking_noise_looks_every_quarter_of_a_second(tmp_path: Path) -> None:
    """What deflate is slowest with, just small enough for memory; time of this thread, since machines of tests are busy."""
    noise = np.random.default_rng(0).integers(0, 200, (256, 256, 500), np.uint8)
    path = write(tmp_path / "case.nii.gz", noise)
    looks = [time.thread_time()]
    with open_volume(path) as volume, in_blocks(volume, lambda: looks.append(time.thread_time())) as blocks:
        looks.append(time.thread_time())
        np.testing.assert_array_equal(blocks.read_block((7, 8, 9), (10, 256, 500)), noise[7:10, 8:, 9:])
    assert len(looks) - 2 >= noise.nbytes >> 20
    assert max(np.diff(looks)) < 0.25


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_no_room_to_unpack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
        with pytest.raises(VolumeError, match=r"array: cannot be unpacked to .* takes 60 bytes: No space left.*TMPDIR"):
            in_blocks(ArrayVolume(np.zeros((3, 4, 5), "u1")))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(VolumeError, match=r"array: cannot be unpacked to .*missing.*No such file.*TMPDIR"):
        in_blocks(ArrayVolume(np.zeros((3, 4, 5), "u1")))

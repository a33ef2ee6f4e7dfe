"""Memory and disk that files of scores take: a few slabs, and nothing is left behind."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.score_files import ALL, P, T, same, save, written
from support.volumes_on_disk import write

from fastseg.api.score_files import sum_files
from fastseg.counting import score_files
from fastseg.volumes import VolumeError, sources as score_sources

pytestmark = pytest.mark.usefixtures("slab")


def test_nothing_is_left_behind(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "SLAB_BYTES", 1600)  # less than all: classes are then apart
    monkeypatch.setattr(score_sources, "MEMORY_BYTES", 100)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    same(sum_files(reference, write(tmp_path / "p.nii.gz", P), **ALL))
    with pytest.raises(ValueError, match="sum to one"):
        sum_files(reference, write(tmp_path / "z.nii.gz", P * 0.5))
    assert not list(folder.iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "none"))
    with pytest.raises(VolumeError, match=r"p.nii.gz: cannot be unpacked to a temporary file"):
        sum_files(reference, tmp_path / "p.nii.gz")


@pytest.mark.parametrize("name", ["p.nii", "p.nii.gz", "p.npy", "stored.npz", "deflated.npz"])
def test_memory_holds_a_few_slabs(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "SLAB_BYTES", 1 << 17)
    monkeypatch.setattr(score_sources, "_READ_BYTES", 1 << 16)
    monkeypatch.setattr(score_sources, "MEMORY_BYTES", 100)
    labels, scores = np.zeros((64, 48, 40), "u1"), np.full((64, 48, 40, 16), 1 / 16, "f4")  # 7.5 MiB
    reference, prediction = write(tmp_path / "t.nii", labels), written(tmp_path, name, scores)
    sum_files(reference, prediction)
    tracemalloc.start()
    try:
        sums = sum_files(reference, prediction)
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()
    assert sums.total.tolist() == [labels.size]


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("which", ["reference", "prediction"])
def test_unpacking_can_be_ended(
    tmp_path: Path, reference: Path, which: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_sources, "MEMORY_BYTES", limit)
    monkeypatch.setattr(score_files, "SLAB_BYTES", 1)
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        raise ZeroDivisionError

    # An array in C order has its classes where they can be read in turn, and then it is the labels that are unpacked.
    options: dict[str, Any] = {} if which == "prediction" else {"channel_axis": -1, "axes": "xyz"}
    path = save(tmp_path / "p.npy", P) if options else write(tmp_path / "p.nii.gz", P)
    with pytest.raises(ZeroDivisionError):
        sum_files(reference, path, progress=stop, **options)
    assert calls == [(0, T.size)]

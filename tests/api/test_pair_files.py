"""Pairs of labels of two files: those of their arrays, whatever they are stored in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.volumes_on_disk import write

from fastseg import count_pair_files, count_pairs
from fastseg.counting import streams
from fastseg.volumes import GeometryError

RNG = np.random.default_rng(4)
T = np.repeat(RNG.integers(0, 900, (7, 11, 5)), 9, axis=2)
P = np.where(RNG.random(T.shape) < 0.2, RNG.integers(0, 60_000, T.shape), T)


def stored(path: Path, voxels: Any) -> Path:
    """Write voxels in the format that the suffix names."""
    if path.suffix == ".npy":
        np.save(path, voxels)
    elif path.suffix == ".zarr":
        array = zarr.create_array(path, shape=voxels.shape, chunks=(4, 5, 20), dtype=voxels.dtype)
        array[...] = voxels
    else:
        write(path, voxels)
    return path


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("true", "pred", "names"),
    [
        ("u4", "i8", ("a.nii.gz", "b.nii.gz")),
        ("u2", "u2", ("a.npy", "b.npy")),
        ("f4", "f4", ("a.nii", "b.nii.gz")),
        ("u8", "u8", ("a.npy", "b.zarr")),
    ],
)
def test_counts_of_files_are_those_of_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, true: str, pred: str, names: tuple[str, str], threads: int
) -> None:
    monkeypatch.setattr(streams, "CHUNK_BYTES", 4096)
    paths = [stored(tmp_path / name, v.astype(d)) for name, v, d in zip(names, (T, P), (true, pred), strict=True)]
    seen: list[tuple[int, int]] = []
    found = count_pair_files(*paths, ignore_index=[3, 7], threads=threads, progress=lambda *at: seen.append(at))
    assert found == count_pairs(T, P, ignore_index=[3, 7])
    assert seen[-1] == (T.size, T.size)


@pytest.mark.parametrize("threads", [1, 2])
def test_labels_of_more_than_63_bits(tmp_path: Path, threads: int) -> None:
    large = T.astype(np.uint64) + np.uint64(2**64 - 1000)
    paths = [stored(tmp_path / name, each) for name, each in (("a.npy", large), ("b.npy", P))]
    assert count_pair_files(*paths, threads=threads) == count_pairs(large, P)
    bad = stored(tmp_path / "bad.npy", np.where(P[1, 2, 3] == P, 0.5, P))
    with pytest.raises(ValueError, match=r"bad.npy: expected labels that are whole numbers, .* the first is 0.5"):
        count_pair_files(paths[0], bad, threads=threads)


def test_scaled_mapped_and_within_a_region(tmp_path: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image((P // 2).astype("i2"), np.eye(4))
    image.header.set_slope_inter(2, 1)
    nibabel.save(image, tmp_path / "scaled.nii")
    true, roi = write(tmp_path / "true.nii", T.astype("i4")), write(tmp_path / "roi.nii", (T % 3 == 0).astype("u1"))
    found = count_pair_files(true, tmp_path / "scaled.nii", map_prediction={1: 5}, roi=roi)
    expected = (P // 2).astype("i2").astype(int) * 2 + 1
    assert found == count_pairs(T, np.where(expected == 1, 5, expected), mask=T % 3 == 0)


def test_places_are_compared_and_too_many_pairs_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = write(tmp_path / "a.nii", T.astype("i4"))
    moved: Any = write(tmp_path / "b.nii", P.astype("i4"), affine=np.diag([1, 1, 2, 1]))
    with pytest.raises(GeometryError):
        count_pair_files(a, moved)
    monkeypatch.setattr("fastseg.counting.pairs.MOST_PAIRS", 100)
    with pytest.raises(ValueError, match=r"a.nii, .*b.nii: expected at most 100 distinct pairs"):
        count_pair_files(a, moved, geometry="ignore")

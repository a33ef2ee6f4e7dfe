"""Surfaces found while files are read, slab by slab: those of the same volumes kept whole, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fastseg import surface_distances
from fastseg.api import surface_files
from fastseg.api.surface_files import FileSurfaces
from fastseg.arrays.labels import label_classes
from fastseg.counting import streams
from fastseg.counting.files import count_with_facts
from fastseg.counts import SurfaceDistances
from fastseg.kernels.numba import surface_streams
from fastseg.labels.choices import choose_labels
from fastseg.volumes.followed import Followed

SPACING = (0.8, 0.9, 3.0)
Found = SurfaceDistances


def written(path: Path, voxels: Any, **header: Any) -> Path:
    if path.suffix == ".npy":
        np.save(path, voxels)
    else:
        image = nib.Nifti1Image(voxels, np.diag([*SPACING, 1]), dtype=voxels.dtype)
        for name, value in header.items():
            image.header[name] = value
        image.to_filename(path)
    return path


def measured(paths: Any, how: Any = None, *, roi: Any = None, threads: int = 1, **options: Any) -> tuple[Found, bool]:
    """Return the distances of two files, and whether they were found while these were read."""
    chosen = choose_labels(**options)
    files = FileSurfaces(
        chosen, **{"spacing": SPACING[: nib_axes(paths)], "surface": "voxel", "border": "background", **(how or {})}
    )
    seen: list[Any] = []

    def watch(volumes: Any, classes: Any) -> Any:
        seen.extend(files.watch(volumes, classes))
        return seen

    counts, _, _ = count_with_facts(
        *paths,
        classes=label_classes(None, chosen.declared, chosen.ignore or None),
        map_prediction=chosen.map_prediction or None,
        roi=roi,
        threads=threads,
        watch=watch,
    )
    return files.measure(counts), all(isinstance(each, Followed) for each in seen)


def nib_axes(paths: Any) -> int:
    return np.load(paths[0]).ndim if str(paths[0]).endswith("npy") else 3


def maps(shape: Any, labels: int = 4, seed: int = 0) -> list[Any]:
    """Return two maps whose classes touch all borders, and of which one is in a single plane of the file."""
    random = np.random.default_rng(seed)
    pair = []
    for _ in range(2):
        coarse = random.integers(0, labels, [-(-n // 3) for n in shape])
        for axis, n in enumerate(shape):
            coarse = coarse.repeat(3, axis).take(range(n), axis)
        coarse[..., shape[-1] // 2][random.random(shape[:-1]) < 0.5] = labels
        pair.append(coarse.astype(np.uint8))
    return pair


def check(monkeypatch: pytest.MonkeyPatch, paths: Any, how: Any = None, **options: Any) -> SurfaceDistances:
    monkeypatch.setattr(surface_files, "_KEPT_BYTES", 1 << 40)
    whole, streamed = measured(paths, how, **options)
    assert not streamed
    monkeypatch.setattr(surface_files, "_KEPT_BYTES", 0)
    found, streamed = measured(paths, how, **options)
    assert streamed
    assert found == whole
    return found


@pytest.mark.parametrize("surface", ["voxel", "surfel", "object"])
@pytest.mark.parametrize("border", ["background", "extend"])
def test_planes_that_chunks_and_slabs_cut_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, surface: str, border: str
) -> None:
    how = {"surface": surface, "border": border}
    shapes = [(9, 7, 11), (70, 3, 4), (5, 6, 1), (1, 1, 9)]
    cuts = [(1, 64), (130, 104), (1 << 20, 1 << 20), (20, 8)]
    for number, (shape, (slab, chunk)) in enumerate(zip(shapes, cuts, strict=True)):
        monkeypatch.setattr(surface_streams, "_VOXELS", slab)
        monkeypatch.setattr(streams, "CHUNK_BYTES", chunk)
        true, pred = maps(shape, seed=number)
        paths = [written(tmp_path / f"{name}{number}.nii.gz", each) for name, each in (("t", true), ("p", pred))]
        inside = np.random.default_rng(1).random(shape) < 0.8
        roi = written(tmp_path / f"roi{number}.nii.gz", inside.astype(np.uint8))
        found = check(monkeypatch, paths, how)
        expected = surface_distances(true, pred, spacing=SPACING, labels=found.classes, backend="numpy", **how)
        np.testing.assert_array_equal(found.elements, expected.elements)
        check(monkeypatch, paths, how, ignore=2)
        check(monkeypatch, paths, how, roi=roi, ignore=[1, 250], threads=2)


def test_images_of_two_axes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    true, pred = maps((13, 70))
    paths = [written(tmp_path / f"{name}.npy", each) for name, each in (("t", true), ("p", pred))]
    monkeypatch.setattr(surface_streams, "_VOXELS", 100)
    for surface in ("voxel", "surfel", "object"):
        how = {"surface": surface, "spacing": (0.8, 0.9)}
        found = check(monkeypatch, paths, how)
        assert found == surface_distances(true, pred, labels=found.classes, **how)
        check(monkeypatch, paths, how, ignore=3)


def test_whatever_the_files_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    true, pred = maps((8, 9, 10))
    values = np.array([0, -7, 3, 65535, 70000])

    def pair(dtype: Any, table: Any = None) -> list[Path]:
        return [
            written(tmp_path / f"{name}.nii.gz", (each if table is None else table[each]).astype(dtype))
            for name, each in (("t", true), ("p", pred))
        ]

    monkeypatch.setattr(surface_streams, "_VOXELS", 300)
    for dtype in ("i1", "u2", ">i2", "i4", "f4", "f8"):
        check(monkeypatch, pair(dtype))
    check(monkeypatch, pair("i4", values), ignore=-7)
    found = check(monkeypatch, pair("f8", values), roi=tmp_path / "t.nii.gz")
    assert found.classes == (-7, 3, 65535, 70000)
    check(monkeypatch, pair("i1", np.array([0, -1, -128, 127, 5])), ignore=[-1, 200])
    check(monkeypatch, pair("u1"), ignore=0)
    check(monkeypatch, pair("u1"), labels={1: "a", 4: "b", 2: "c", 3: "d"}, map_prediction={3: 1, 1: 9, 9: 2})
    for dtype in ("u1", "i2", "f4"):
        regions = {"all": [1, 2, 3, 4], "some": [2, 3], "none": [77], "one": [4]}
        found = check(monkeypatch, pair(dtype), regions=regions)
        assert found.classes == ("all", "some", "none", "one")
        check(monkeypatch, pair(dtype), regions={"a": [0, 1], "b": [2]}, ignore=[3, 0])
    for name in ("t", "p"):
        image = nib.load(tmp_path / f"{name}.nii.gz")
        image.header.set_slope_inter(2, -4)
        nib.Nifti1Image(np.asarray(image.dataobj) * 2 - 4, image.affine, image.header).to_filename(
            tmp_path / f"{name}_scaled.nii.gz"
        )
    check(monkeypatch, [tmp_path / f"{name}_scaled.nii.gz" for name in ("t", "p")])
    flags = [written(tmp_path / f"{name}.npy", each > 1) for name, each in (("t", true), ("p", pred))]
    assert check(monkeypatch, flags).classes == (1,)
    nothing = [written(tmp_path / f"{name}.npy", np.zeros_like(true)) for name in ("t", "p")]
    assert check(monkeypatch, nothing).classes == ()


def test_truncated_files_and_places_without_a_spacing_fail_as_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(surface_files, "_KEPT_BYTES", 0)
    true, pred = maps((8, 9, 10))
    paths = [written(tmp_path / f"{name}.npy", each) for name, each in (("t", true), ("p", pred))]
    with pytest.raises(ValueError, match=r"t.npy: expected a volume that says its spacing"):
        measured(paths, {"spacing": None})
    whole = written(tmp_path / "t.nii", true)
    (tmp_path / "cut.nii").write_bytes(whole.read_bytes()[:-11])
    with pytest.raises(ValueError, match=r"cut.nii: "):
        measured([whole, tmp_path / "cut.nii"])

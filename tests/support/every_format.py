"""The same voxels, written in every format that there is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write

import fastseg

_rng = np.random.default_rng(1)
T = _rng.integers(0, 5, (6, 7, 9), "u1")
P = np.where(_rng.random(T.shape) < 0.3, _rng.integers(0, 5, T.shape), T).astype("u1")
INSIDE = _rng.random(T.shape) < 0.6
EXPECTED = fastseg.count_labels(T, P, num_classes=5)
WITHIN = fastseg.count_labels(T, P, num_classes=5, mask=INSIDE)


def library(name: str) -> Any:
    return pytest.importorskip(name)


def write_itk(path: Path, voxels: np.ndarray, compress: bool) -> None:
    itk = library("SimpleITK")
    image = itk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    if voxels.ndim == 3:
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # of the affine that is the unit matrix
    itk.WriteImage(image, str(path), compress)


def write_mgh(path: Path, voxels: np.ndarray) -> None:
    nibabel = library("nibabel")
    nibabel.save(nibabel.MGHImage(voxels, np.eye(4)), path)


def write_pair(path: Path, voxels: np.ndarray) -> None:
    nibabel = library("nibabel")
    nibabel.save(nibabel.Nifti1Pair(voxels, np.eye(4)), path)


def write_zarr(path: Path, voxels: np.ndarray, version: int) -> None:
    array = library("zarr").create_array(
        str(path), shape=voxels.shape, chunks=(4, 3, 5)[: voxels.ndim], dtype=voxels.dtype, zarr_format=version
    )
    array[:] = voxels


def write_hdf5(path: Path, voxels: np.ndarray, **options: Any) -> None:
    with library("h5py").File(path, "w") as file:
        file.create_dataset("labels", data=voxels, **options)


def write_tiff(path: Path, voxels: np.ndarray, **options: Any) -> None:
    if options.get("compression"):
        library("imagecodecs")
    library("tifffile").imwrite(path, voxels.T, photometric="minisblack", **options)


Writer = Callable[[Path, np.ndarray], object]

#: How to write (x, y, z) voxels, by a suffix; the axes of files that do not name them are x, y, z, but for "zyx.npy".
WRITERS: dict[str, Writer] = {
    ".nii": write,
    ".nii.gz": write,
    ".hdr": write_pair,
    ".mgh": write_mgh,
    ".mgz": write_mgh,
    ".nrrd": lambda path, voxels: write_itk(path, voxels, False),
    "deflated.nrrd": lambda path, voxels: write_itk(path, voxels, True),
    ".mha": lambda path, voxels: write_itk(path, voxels, False),
    "deflated.mha": lambda path, voxels: write_itk(path, voxels, True),
    ".mhd": lambda path, voxels: write_itk(path, voxels, False),
    "c.npy": lambda path, voxels: np.save(path, np.asarray(voxels, order="C")),
    "f.npy": lambda path, voxels: np.save(path, np.asfortranarray(voxels)),
    "zyx.npy": lambda path, voxels: np.save(path, np.ascontiguousarray(voxels.T)),
    ".npz": lambda path, voxels: np.savez(path, voxels),
    "deflated.npz": lambda path, voxels: np.savez_compressed(path, np.ascontiguousarray(voxels)),
    ".tif": write_tiff,
    "ome.tiff": lambda path, voxels: write_tiff(path, voxels, metadata={"axes": "ZYX"[-voxels.ndim :]}),
    "tiled.tif": lambda path, voxels: write_tiff(path, voxels, tile=(16, 16), compression="zlib"),
    "2.zarr": lambda path, voxels: write_zarr(path, voxels, 2),
    "3.zarr": lambda path, voxels: write_zarr(path, voxels, 3),
    ".h5": write_hdf5,
    "chunked.h5": lambda path, voxels: write_hdf5(path, voxels, chunks=(3, 4, 2)[: voxels.ndim], compression="gzip"),
}
PICTURES: dict[str, Writer] = {
    suffix: lambda path, voxels: library("PIL.Image").fromarray(np.ascontiguousarray(voxels.T)).save(path)
    for suffix in (".png", ".bmp", ".gif", ".pgm")
}
NEEDS = {
    ".nrrd": "SimpleITK", ".mha": "SimpleITK", ".mhd": "SimpleITK", ".tif": "tifffile", ".tiff": "tifffile", ".zarr": "zarr",
    ".h5": "h5py", ".png": "PIL", ".bmp": "PIL", ".gif": "PIL", ".pgm": "PIL",
}  # fmt: skip


def there(writers: dict[str, Writer]) -> list[str]:
    """Return the formats whose libraries are installed."""
    needed = {name: NEEDS.get(Path(f"a{name}").suffix) for name in writers}
    return [name for name, module in needed.items() if module is None or importlib.util.find_spec(module) is not None]


def put(path: Path, suffix: str, voxels: np.ndarray) -> Path:
    path = path.with_name(path.name + suffix)
    if not path.exists():
        {**WRITERS, **PICTURES}[suffix](path, voxels)
    return path

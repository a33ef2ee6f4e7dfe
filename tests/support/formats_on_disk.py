"""A small file of every format that the package reads, by the module that reads it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg.volumes import formats
from fastseg.volumes.volume import Format

Writer = Callable[[Path, np.ndarray], object]


def modules() -> list[str]:
    """Return the names of the modules that read a format: one that is new is among them."""
    names = [module.name for module in pkgutil.iter_modules(formats.__path__)]
    found = {name: importlib.import_module(f"{formats.__name__}.{name}") for name in names}
    return [name for name, module in found.items() if isinstance(getattr(module, "FORMAT", None), Format)]


def write_all(module: str, folder: Path, labels: np.ndarray) -> list[Path]:
    """Write labels of (slices, rows, columns), a byte each, in each way of storing them that a module reads differently."""
    assert module in WRITERS, f"say in {Path(__file__).name} how to write what {module}.py reads"
    paths = []
    for number, (suffix, write) in enumerate(WRITERS[module]):
        path = folder / f"{number}{suffix}"
        write(path, labels)
        paths.append(path)
    return paths


def _library(name: str) -> Any:
    return pytest.importorskip(name)


def _nibabel(image: str) -> Writer:
    def write(path: Path, labels: np.ndarray) -> None:
        nibabel = _library("nibabel")
        nibabel.save(getattr(nibabel, image)(np.ascontiguousarray(labels.T), np.eye(4)), path)

    return write


def _itk(compress: bool) -> Writer:
    def write(path: Path, labels: np.ndarray) -> None:
        itk = _library("SimpleITK")
        itk.WriteImage(itk.GetImageFromArray(labels), str(path), compress)

    return write


def _tiff(**options: Any) -> Writer:
    return lambda path, labels: _library("tifffile").imwrite(path, labels, photometric="minisblack", **options)


def _zarr(version: int) -> Writer:
    def write(path: Path, labels: np.ndarray) -> None:
        array = _library("zarr").create_array(
            str(path), shape=labels.shape, chunks=(1, 4, 5), dtype=labels.dtype, zarr_format=version
        )
        array[:] = labels

    return write


def _hdf5(**options: Any) -> Writer:
    def write(path: Path, labels: np.ndarray) -> None:
        with _library("h5py").File(path, "w") as file:
            file.create_dataset("labels", data=labels, **options)

    return write


def _picture(path: Path, labels: np.ndarray) -> None:
    _library("PIL.Image").fromarray(labels[0]).save(path)


def _segmentation(kind: str) -> Writer:
    def write(path: Path, labels: np.ndarray) -> None:
        from support import segmentations

        segmentations.write(path, labels, kind)

    return write


#: Suffixes and writers. Of a picture the first slice is written.
WRITERS: dict[str, list[tuple[str, Writer]]] = {
    "dicom": [(".dcm", _segmentation("BINARY")), (".dcm", _segmentation("LABELMAP"))],
    "hdf5": [(".h5", _hdf5()), (".h5", _hdf5(chunks=(1, 4, 5), compression="gzip"))],
    "itk": [(suffix, _itk(compress)) for suffix in (".nrrd", ".mha", ".mhd") for compress in (False, True)],
    "mgh": [(".mgh", _nibabel("MGHImage")), (".mgz", _nibabel("MGHImage"))],
    "nifti": [(".nii", _nibabel("Nifti1Image")), (".nii.gz", _nibabel("Nifti1Image")), (".hdr", _nibabel("Nifti1Pair"))],
    "npy": [(".npy", np.save), (".npz", np.savez), (".npz", np.savez_compressed)],
    "picture": [(".png", _picture), (".bmp", _picture), (".gif", _picture), (".pgm", _picture)],
    "tiff": [(".tif", _tiff()), (".tif", _tiff(tile=(16, 16), compression="zlib"))],
    "zarr": [(".zarr", _zarr(2)), (".zarr", _zarr(3))],
}  # fmt: skip

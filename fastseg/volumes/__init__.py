"""Volumes on disk: files to spans of voxels and a geometry. One module a format, found by its ``FORMAT``."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil

from fastseg.volumes.base import HEAD_BYTES, ByteSource, Format, Geometry, Volume, VolumeError
from fastseg.volumes.geometry import GeometryDifference, GeometryError, check_geometry, compare_geometry

__all__ = [
    "Geometry",
    "GeometryDifference",
    "GeometryError",
    "Volume",
    "VolumeError",
    "check_geometry",
    "compare_geometry",
    "open_volume",
]


@functools.cache
def _formats() -> tuple[Format, ...]:
    """Collect the formats, so that a new one is a new module of this folder and no edit here."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = (getattr(module, "FORMAT", None) for module in modules)
    return tuple(entry for entry in found if isinstance(entry, Format))


def open_volume(path: str | os.PathLike[str]) -> Volume:
    """Open a volume file, choosing the format by content first and by suffix second.

    Nothing of the size that a header declares is allocated; voxels come through `Volume.read_into`, and
    `Volume.finish` checks the rest of the file.

    Parameters
    ----------
    path : str or path-like
        A .nii or .nii.gz file (NIfTI-1 or NIfTI-2, either byte order), or one file of a .hdr/.img pair.

    Raises
    ------
    VolumeError
        If the file is missing, a folder, truncated, corrupt, or of no known format.
    """
    name = os.fsdecode(path)
    source = ByteSource(name)
    try:
        head = source.take(HEAD_BYTES)
    finally:
        source.close()
    formats = _formats()
    by_content = (entry for entry in formats if entry.recognises(head))
    by_suffix = (entry for entry in formats if name.lower().endswith(entry.suffixes))
    chosen = next(by_content, None) or next(by_suffix, None)
    if chosen is None:
        known = "; ".join(f"{entry.name} ({', '.join(entry.suffixes)})" for entry in formats)
        raise VolumeError(f"{name}: expected a volume in a known format: {known}; found the first bytes {head[:8]!r}")
    return chosen.open(name)

"""Volumes on disk: files to spans of voxels and a geometry. One module a format, found by its ``FORMAT``."""

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.zarr_blocks import zarr_blocks
from fastseg.volumes.geometry import Geometry, GeometryDifference
from fastseg.volumes.open import open_volume, split_suffix
from fastseg.volumes.paths import absolute, is_url, named, split_inside
from fastseg.volumes.same_place import GeometryError, check_geometry, compare_geometry
from fastseg.volumes.volume import Volume

__all__ = [
    "Geometry",
    "GeometryDifference",
    "GeometryError",
    "Volume",
    "VolumeError",
    "absolute",
    "check_geometry",
    "compare_geometry",
    "is_url",
    "named",
    "open_volume",
    "split_inside",
    "split_suffix",
    "zarr_blocks",
]

"""What is asked of instances and their components, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import image_objects
from fastseg.arrays.arguments import finite_number, integer, integers
from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.blocked import require_no_blocks
from fastseg.arrays.convert import label_map_or_bits
from fastseg.arrays.labels import LabelInputs, whole_numbers
from fastseg.kernels.protocols.device import DeviceArray

__all__ = [
    "CONNECTIVITIES",
    "Places",
    "checked_connectivity",
    "checked_ids",
    "component_map",
    "least_voxels",
    "maps_in_memory",
    "one_mask",
    "placed_by",
    "places",
    "require_in_memory",
    "voxel_spacing",
    "whole_label_map",
]

Array = npt.NDArray[Any]
_NEIGHBOURS = {2: (4, 8), 3: (6, 18, 26)}
#: How many neighbours a voxel may have.
CONNECTIVITIES = (4, 6, 8, 18, 26)


def whole_label_map(value: Any, name: str) -> Array:
    """Return a label map as an array of bool or integers; a ValueError says where floats are no whole numbers."""
    require_in_memory(value, name)
    array, bits = label_map_or_bits(value, name)
    labels: Array = float32_of_bits(array) if bits else array
    if labels.dtype.kind != "f":
        return labels
    whole, wrong = whole_numbers(labels)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}: expected whole numbers, found {int(wrong.sum())} value(s) that are none; the first is "
            f"{labels[where]} at index {where}"
        )
    return whole


def require_in_memory(value: Any, name: str) -> None:
    """Raise a TypeError for an array of Dask or of a GPU, of which components and places are not found."""
    require_no_blocks(**{name: value})
    if isinstance(value, DeviceArray):
        raise TypeError(f"{name}: expected an array in the memory of the CPU, found one on a GPU")


def maps_in_memory(given: LabelInputs) -> dict[str, Array]:
    """Return `y_true` and `y_pred` by name, bfloat16 as floats; TypeError for arrays of Dask or of a GPU."""
    found = {}
    for name, array, bits in zip(("y_true", "y_pred"), (given.y_true, given.y_pred), given.bfloat16, strict=True):
        require_in_memory(array, name)
        found[name] = float32_of_bits(array) if bits else array
    return found


def component_map(value: Any, name: str, labels: Any, region: Any, axes: int | None = None) -> Array:
    """Return the map whose components are sought: that of all labels, of some, or the mask of a region made of several.

    `axes` are those of a sample, where the map has an axis of samples besides.

    Raises
    ------
    TypeError, ValueError
        If it is no label map with two or three axes, or if both labels and a region were given.
    """
    array = whole_label_map(value, name)
    if (array.ndim if axes is None else axes) not in _NEIGHBOURS:
        beside = "" if axes in (None, array.ndim) else " beside that of samples"
        raise ValueError(f"{name}: expected two or three axes{beside}, found shape {array.shape}")
    if labels is not None and region is not None:
        raise ValueError("region: expected labels= or region=, found both")
    for option, given in (("region", region), ("labels", labels)):
        if given is not None:
            wanted = integers(given, option)
            if not wanted.size:
                raise ValueError(f"{option}: expected at least one label, found none")
            inside: Array = np.isin(array, wanted)
            return inside if option == "region" else np.where(inside, array, array.dtype.type(0))
    return array


def one_mask(array: Array, name: str) -> npt.NDArray[np.bool_]:
    """Return a map of one label as a mask; ValueError where it has several."""
    if array.dtype == bool:
        return array
    mask: npt.NDArray[np.bool_] = array != 0
    found = np.unique(array[mask])
    if found.size > 1:
        raise ValueError(
            f"{name}: expected a mask, or region= beside a map of several labels, found {found[:5].tolist()}"
        )
    return mask


def checked_connectivity(value: Any, name: str, ndim: int) -> int:
    """Return how many neighbours a voxel has; all of them where it is None. ValueError if maps have no such neighbourhood."""
    known = _NEIGHBOURS.get(ndim)
    if known is None:
        raise ValueError(f"{name}: expected maps with two or three axes, whose voxels have neighbours, found {ndim}")
    if value is None:
        return known[-1]
    found = integer(value, name)
    if found not in known:
        raise ValueError(f"{name}: expected {' or '.join(map(str, known))} of maps with {ndim} axes, found {found}")
    return found


def voxel_spacing(spacing: Any, ndim: int) -> tuple[float, ...] | None:
    """Return the distances of voxels along each axis, None where nobody says; TypeError or ValueError if they are none."""
    if spacing is None:
        return None
    values = [spacing] * ndim if np.ndim(spacing) == 0 else list(spacing)
    if len(values) != ndim:
        raise ValueError(f"spacing: expected a number for each of {ndim} axes, found {len(values)}")
    return tuple(finite_number(value, "spacing", positive=True) for value in values)


def least_voxels(min_voxels: Any, min_ml: Any, voxel_ml: float | None) -> int:
    """Return how many voxels a component has at least, of a number of voxels and of a volume, and the volume of a voxel.

    Raises
    ------
    TypeError, ValueError
        If they are no numbers, or a volume is given where the volume of a voxel is not known.
    """
    least = integer(min_voxels, "min_voxels", least=0)
    if min_ml is None:
        return least
    ml = finite_number(min_ml, "min_ml")
    if voxel_ml is None:
        raise ValueError(
            "min_ml: expected spacing= of three axes in mm, or an image that knows it, beside it; found neither"
        )
    return max(least, math.ceil(ml / voxel_ml * (1 - 1e-12)))


def checked_ids(value: Sequence[int] | int | None, name: str) -> tuple[int, ...]:
    """Return ids of 64 bits, with a sign or without, one or several; none where it is None."""
    if value is None:
        return ()
    if isinstance(value, str | bytes | dict):
        raise TypeError(f"{name}: expected integers, found {type(value).__name__}")
    several = isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0
    found = tuple(integer(each, name) for each in (value if several else [value]))  # type: ignore[union-attr]
    if any(not -(2**63) <= each < 2**64 for each in found):
        raise ValueError(f"{name}: expected integers of 64 bits, found {list(found)}")
    return found


@dataclass(frozen=True)
class Places:
    """Where the voxels of a map lie."""

    matrix: npt.NDArray[np.float64] | None
    """(axes + 1, …): from indices along the map's axes, and 1, to mm; None where nobody says."""
    voxel_ml: float | None

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """The distance of neighbouring voxels along each axis in mm."""
        return None if self.matrix is None else tuple(np.linalg.norm(self.matrix[:-1], axis=1).tolist())

    def of(self, indices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return places in mm of (S, axes) indices, which stay indices where nobody says where they lie."""
        if self.matrix is None:
            return indices
        found: npt.NDArray[np.float64] = np.column_stack([indices, np.ones(len(indices))]) @ self.matrix
        return found


def places(value: Any, ndim: int, spacing: tuple[float, ...] | None) -> Places:
    """Return where the voxels of a map lie: as was said, or as its image knows, in that one's coordinates x, y, z."""
    if spacing is not None:
        volume = math.prod(spacing) / 1000 if ndim == 3 else None
        return Places(np.vstack([np.diag(spacing), np.zeros(ndim)]), volume)
    image = image_objects.opened(value, "y_true")
    affine = image.geometries[0].affine if image is not None and len(image.geometries) == 1 else None
    if image is None or affine is None or sorted(image.dims) != ["x", "y", "z"]:
        return Places(None, image_objects.voxel_ml(value))
    return placed_by(affine, "".join(image.dims), image_objects.voxel_ml(value))


def placed_by(affine: npt.NDArray[np.float64], dims: str, voxel_ml: float | None) -> Places:
    """Return where voxels lie whose axes are x, y and z in some order, by an affine from their indices in that order to mm."""
    columns = ["xyz".index(dim) for dim in dims]
    return Places(np.vstack([affine[:3, columns].T, affine[:3, 3]]), voxel_ml)

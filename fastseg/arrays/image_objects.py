"""Images of other libraries as what they are: arrays whose axes have names and whose voxels have places.

`SimpleITK.Image`, nibabel's images, MONAI's `MetaTensor` and xarray's `DataArray`, and what derives from them, are known by
the names of their classes: none of these libraries is imported here.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.blocked import blocked_array, blocks_of

if TYPE_CHECKING:  # what places volumes is imported where there are images
    from fastseg.volumes.geometry import Geometry

__all__ = ["Aligned", "ImageArray", "aligned", "opened", "voxel_ml"]

_AXES = "xyztuvw"
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
_REMEDY = " (SimpleITK.DICOMOrient or nibabel.as_closest_canonical of both resolves that)"


@dataclass(frozen=True)
class ImageArray:
    """An image of another library: its array, and what the library says of it."""

    kind: str
    """Its class, for messages."""
    as_plain: str
    """How to say that only the array is meant."""
    shape: tuple[int, ...]
    """Of the array."""
    read: Callable[[], Any]
    """Returns the array, a view of the image's own memory where there is one."""
    dims: tuple[str, ...] = ()
    """A name for each axis of the array, where they have names."""
    geometries: tuple[Geometry, ...] = ()
    """Where the voxels lie, along the axes x, y, z; of a batch one for each sample; none where it is not known."""
    coords: Mapping[str, Any] = field(default_factory=dict)
    """xarray: the index of each dimension that has one."""
    volumetric: bool = False
    """Whether three of its axes are certain to be those of space."""

    @property
    def own_names(self) -> bool:
        """Whether people have named the axes themselves."""
        return self.kind == "xarray.DataArray"

    @property
    def unnamed(self) -> bool:
        """Whether its axes have the names that xarray gives to those that nobody names."""
        return self.dims == tuple(f"dim_{axis}" for axis in range(len(self.dims)))

    def turned(self, dims: tuple[str, ...]) -> Any:
        """Return the array with its axes in the order of `dims`, as a view."""
        array = self.read()
        order = tuple(map(self.dims.index, dims))
        if order == tuple(range(len(order))):
            return array
        return array.permute(order) if hasattr(array, "permute") else array.transpose(order)


@dataclass(frozen=True)
class Aligned:
    """Arguments of which those that were images lie as the first of them does."""

    arguments: dict[str, Any]
    channel_axis: Any
    sample_axis: Any
    note: str
    """For messages about shapes: which arguments are images, and what their axes are."""


def opened(value: Any, name: str) -> ImageArray | None:
    """Return what an image of another library is; None if it is none.

    Raises
    ------
    TypeError
        If it is an image without an array.
    """
    kind: Any = type(value)
    opener = _opener(kind)
    return None if opener is None else opener(value, name)


def aligned(arguments: dict[str, Any], channel_axis: Any = None, sample_axis: Any = None) -> Aligned:
    """Turn the images among some arguments into arrays that lie as the first of them, or say why they cannot.

    Parameters
    ----------
    arguments
        Truth, prediction, mask and so on, by name; what is no image is left as it is. The first that is an image is the one
        that the others must lie like. They may lack its axis of channels.
    channel_axis, sample_axis
        Axes of the first argument; names of them become numbers where it is a DataArray.

    Raises
    ------
    ValueError
        If geometries, coordinates or names of axes differ.
    """
    images = {
        name: image
        for name, value in arguments.items()
        if value is not None and (image := opened(value, name)) is not None
    }
    if not images:
        return Aligned(arguments, channel_axis, sample_axis, "")
    first, reference = next(iter(images.items()))
    if first == next(iter(arguments)):
        channel_axis = _axis_number(channel_axis, "channel_axis", first, reference)
        sample_axis = _axis_number(sample_axis, "sample_axis", first, reference)
    for (one, earlier), (other, later) in itertools.combinations(images.items(), 2):
        _check_place(earlier, later, (one, other))
    turned = {name: _order(reference, image, (first, name), channel_axis) for name, image in images.items()}
    given = {**arguments, **{name: image.turned(turned[name]) for name, image in images.items()}}
    described = (f"{name}: {i.kind} with the axes {', '.join(i.dims)}" for name, i in images.items() if i.dims)
    note = "; ".join(described)
    return Aligned(given, channel_axis, sample_axis, f" ({note})" if note else "")


def voxel_ml(*values: Any) -> float | None:
    """Return the volume of a voxel in millilitres from the first image that knows it; None if none does."""
    for value in values:
        image = opened(value, "image")
        if image is not None and image.volumetric and image.geometries:
            volumes = [each.voxel_volume_ml for each in image.geometries]
            if all(0 < each < np.inf for each in volumes) and np.allclose(volumes, volumes[0], rtol=1e-6, atol=0):
                return volumes[0]
    return None


def _axis_number(axis: Any, name: str, owner: str, image: ImageArray) -> Any:
    if not (isinstance(axis, str) and image.own_names):
        return axis
    if axis not in image.dims:
        raise ValueError(f"{name}: expected an axis of {owner} or one of its dims {image.dims}, found {axis!r}")
    return image.dims.index(axis)


def _order(reference: ImageArray, image: ImageArray, names: tuple[str, str], channel_axis: Any) -> tuple[str, ...]:
    """Return the axes of an image in the order of the reference's, with or without that of the channels."""
    full = reference.dims
    wanted = [full]
    if isinstance(channel_axis, (int, np.integer)) and -len(full) <= channel_axis < len(full):
        channel = full[channel_axis]
        wanted.append(tuple(dim for dim in full if dim != channel))
    for dims in wanted:
        if len(dims) == len(image.dims) and set(dims) == set(image.dims):
            return dims
    if all(each.own_names and not each.unnamed for each in (reference, image)):
        raise ValueError(
            f"{names[1]}: expected the dims {' or '.join(map(str, wanted))} of {names[0]} in any order, found {image.dims}"
            f" (pass {image.as_plain} to leave out what the axes are called)"
        )
    return image.dims


def _check_place(reference: ImageArray, image: ImageArray, names: tuple[str, str]) -> None:
    """Raise a ValueError if two images do not lie at the same place, as far as both say where they lie."""
    from fastseg.volumes import geometry

    problem = None
    if len(reference.geometries) == len(image.geometries):  # else a batch beside a single image
        places = list(zip(reference.geometries, image.geometries, strict=True))
        for one, other in places:
            if one.shape != other.shape:
                raise ValueError(geometry.shapes_differ(one, other, names, remedy=_REMEDY))
        problem = next(filter(None, (_places_differ(one, other, names) for one, other in places)), None)
    for dim, index in image.coords.items():
        if problem is None and dim in reference.coords:
            problem = _coords_differ(dim, reference.coords[dim], index, names)
    if problem is not None:
        plain = " and ".join(dict.fromkeys((reference.as_plain, image.as_plain)))
        raise ValueError(f"{problem}; to leave out where the voxels lie, pass arrays ({plain})")


def _places_differ(one: Geometry, other: Geometry, names: tuple[str, str]) -> str | None:
    from fastseg.volumes import geometry

    problem = next(filter(None, map(geometry.unplaced, (one, other), names)), None)
    if problem is not None:
        return problem
    found = geometry.difference(one, other, names, remedy=_REMEDY)
    if found is not None:
        return str(found)
    small = geometry.difference(one, other, names, tolerance=geometry.NOISE)
    if small is not None:
        warnings.warn(small.accepted(geometry.TOLERANCE, "tolerance"), stacklevel=2)
    return None


def _coords_differ(dim: str, one: Any, other: Any, names: tuple[str, str]) -> str | None:
    """Compare the coordinates of a dimension, numbers within 1% of the smallest step."""
    if len(one) != len(other):
        return None  # the shapes differ, and are compared later
    a, b = np.asarray(one), np.asarray(other)
    if a.dtype.kind in "iuf" and b.dtype.kind in "iuf":
        a, b = a.astype(np.float64), b.astype(np.float64)
        steps = np.abs(np.concatenate([np.diff(a), np.diff(b)]))
        apart = ~(
            (np.abs(a - b) <= 0.01 * steps.min(initial=np.inf if steps.size else 0)) | (np.isnan(a) & np.isnan(b))
        )
    else:
        apart = np.array([x != y for x, y in zip(one, other, strict=True)], bool)
    if not apart.any():
        return None
    place = int(np.argmax(apart))
    return (
        f"{names[1]}: expected the coordinates of {names[0]} along {dim!r}, found {int(apart.sum())} that differ; the first "
        f"is {other[place]} where {names[0]} has {one[place]}, at index {place}"
    )


# ---- The libraries


def _placed(affine: Any, shape: tuple[int, ...]) -> Geometry:
    """Return the geometry of voxels along the axes x, y, z, of which there may be fewer."""
    from fastseg.volumes.geometry import Geometry

    affine = np.asarray(affine, np.float64)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return Geometry(shape[:3], affine, tuple(spacing.tolist())[: len(shape)])


class _Held:
    """Keeps an image alive as long as a view of its memory."""

    def __init__(self, image: Any, view: npt.NDArray[Any]) -> None:
        self.image, self.__array_interface__ = image, view.__array_interface__


def _open_simpleitk(image: Any, name: str) -> ImageArray:
    pixels = str(image.GetPixelIDTypeAsString())
    if pixels.startswith("label "):  # a run-length code: asked for its memory, it would end the process
        raise TypeError(
            f"{name}: expected an image that has an array, found a SimpleITK.Image of {pixels}; pass "
            "SimpleITK.Cast(image, SimpleITK.sitkUInt16), or another type that holds its labels"
        )
    size, components = tuple(map(int, image.GetSize())), int(image.GetNumberOfComponentsPerPixel())
    axes, spatial = len(size), min(len(size), 3)
    affine = np.eye(4)
    columns = np.array(image.GetDirection(), np.float64).reshape(axes, axes) * image.GetSpacing()
    affine[:spatial, :spatial] = columns[:spatial, :spatial]
    affine[:spatial, 3] = image.GetOrigin()[:spatial]
    affine[:2] *= -1  # ITK's coordinates run to the left and to the back
    dims = tuple(_AXES[:axes][::-1])
    many = components > 1

    def read() -> Any:
        return np.asarray(_Held(image, sys.modules["SimpleITK"].GetArrayViewFromImage(image)))

    return ImageArray(
        "SimpleITK.Image",
        "SimpleITK.GetArrayViewFromImage(image)",
        (*size[::-1], components) if many else size[::-1],
        read,
        (*dims, "component") if many else dims,
        (_placed(affine, size),),
        volumetric=axes >= 3,
    )


def _open_nibabel(image: Any, name: str) -> ImageArray:
    shape, affine = tuple(map(int, image.shape)), getattr(image, "affine", None)
    if affine is not None:
        affine = np.array(affine, np.float64)
        with contextlib.suppress(AttributeError, KeyError):  # a header without units, or of one that is not known
            affine[:3] *= _MM_PER_UNIT.get(image.header.get_xyzt_units()[0], 1.0)

    def read() -> Any:
        try:
            return np.asanyarray(image.dataobj)  # a memory map, or the array that was given, where nothing is scaled
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise ValueError(
                f"{name}: expected an image that can be read, found {type(error).__name__}: {error}"
            ) from None

    return ImageArray(
        "nibabel image",
        "numpy.asanyarray(image.dataobj)",
        shape,
        read,
        tuple(_AXES[: len(shape)]) if hasattr(image, "affine") else (),
        () if affine is None else (_placed(affine, shape),),
        volumetric=len(shape) >= 3,
    )


def _open_metatensor(tensor: Any, name: str) -> ImageArray:  # noqa: ARG001
    shape, batch = tuple(map(int, tensor.shape)), bool(getattr(tensor, "is_batch", False))
    found = np.asarray(tensor.affine, np.float64)
    affines = found[None] if found.ndim == 2 else found
    axes = affines.shape[-1] - 1
    # Channels are first, but a tensor of three axes may be a volume that has lost them.
    spatial = min(3, axes, len(shape) if len(shape) < 4 else len(shape) - 1 - batch)
    others = len(shape) - spatial
    leading = ("batch", "channel")[-others:] if others in (1, 2) else ()
    geometries = []
    for each in affines:
        square = np.eye(4)
        square[:axes, :axes], square[:axes, 3] = each[:axes, :axes], each[:axes, axes]
        geometries.append(_placed(square, shape[others:]))
    unknown = bool((affines == np.eye(axes + 1)).all())  # what MONAI takes where nothing is said
    return ImageArray(
        "monai MetaTensor",
        "tensor.as_tensor()",
        shape,
        lambda: tensor.as_tensor(),
        (*leading, *_AXES[:spatial]) if len(leading) == others else (),
        () if unknown else tuple(geometries),
        volumetric=spatial == 3 and len(shape) > 3,
    )


def _open_xarray(array: Any, name: str) -> ImageArray:
    if (blocks := blocks_of(array, name)) is not None:
        blocked_array(blocks, name)  # else its shape is not known
    return ImageArray(
        "xarray.DataArray",
        "array.values",
        tuple(map(int, array.shape)),
        lambda: array.data,
        tuple(array.dims),
        coords={dim: index for dim, index in dict(array.indexes).items() if dim in array.dims},
    )


_OPENERS: dict[tuple[str, str], Callable[[Any, str], ImageArray]] = {
    ("SimpleITK", "Image"): _open_simpleitk,
    ("nibabel", "DataobjImage"): _open_nibabel,
    ("monai", "MetaTensor"): _open_metatensor,
    ("xarray", "DataArray"): _open_xarray,
}


@functools.lru_cache(maxsize=512)
def _opener(kind: type) -> Callable[[Any, str], ImageArray] | None:
    """Return what opens objects of a type, by the names of the classes that it derives from."""
    names = ((base.__module__.partition(".")[0], base.__name__) for base in kind.__mro__)
    return next((_OPENERS[name] for name in names if name in _OPENERS), None)

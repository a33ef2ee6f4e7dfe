"""The only validation: whatever users pass in becomes arrays that can be counted, without a copy, or a clear error."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import array_likes, image_objects

__all__ = [
    "MAX_CLASSES",
    "Classes",
    "LabelInputs",
    "MaskInputs",
    "as_array",
    "integers",
    "label_classes",
    "label_inputs",
    "mask_inputs",
]

Array = npt.NDArray[Any]

#: Most labels that a table is made for: 4,096 × 4,096 counts are 128 MiB.
MAX_CLASSES = 4096


@dataclass(frozen=True)
class Classes:
    """Which labels are classes, and which true labels are ignored."""

    labels: npt.NDArray[np.int64] | None
    """(K,) declared labels in the caller's order, or None: those that occur."""
    ignored: npt.NDArray[np.int64]
    """Sorted true labels that are not counted."""

    @functools.cached_property
    def consecutive(self) -> int | None:
        """K where the labels are 0..K-1 in order, else None."""
        if self.labels is None or not np.array_equal(self.labels, np.arange(self.labels.size)):
            return None
        return int(self.labels.size)

    @functools.cached_property
    def without_score(self) -> npt.NDArray[np.int64]:
        """The ignored labels that can have a place among the classes: any of them, where the classes are what occurs."""
        return self.ignored if self.labels is None else np.intersect1d(self.ignored, self.labels)

    def describe(self) -> str:
        """Return the declared labels as text for an error message."""
        assert self.labels is not None
        if self.consecutive:
            return f"the {self.labels.size} classes 0..{self.labels.size - 1}"
        shown = ", ".join(map(str, self.labels[:8].tolist()))
        return f"labels=[{shown}{', …' if self.labels.size > 8 else ''}]"


@dataclass(frozen=True)
class LabelInputs:
    """A pair of label maps that can be counted."""

    y_true: Array
    y_pred: Array
    mask: Array | None
    weight: Array | None
    classes: Classes
    sample_axis: int | None
    bfloat16: tuple[bool, bool] = (False, False)
    """Whether y_true and y_pred are bit patterns of bfloat16, as int16."""

    @property
    def num_samples(self) -> int:
        """N, 1 without a sample axis."""
        return 1 if self.sample_axis is None else int(self.y_true.shape[self.sample_axis])

    def sample(self, n: int) -> tuple[Array, Array, Array | None, Array | None]:
        """Return views of sample n of the four arrays."""
        arrays = (self.y_true, self.y_pred, self.mask, self.weight)
        if self.sample_axis is None:
            return arrays
        where: tuple[Any, ...] = (*(slice(None),) * self.sample_axis, n, ...)  # ...: a view of a single voxel too
        return tuple(None if a is None else a[where] for a in arrays)  # type: ignore[return-value]


@dataclass(frozen=True)
class MaskInputs:
    """A pair of binary maps with channels, each array as (N, C, spatial...) views."""

    y_true: Array
    y_pred: Array
    mask: Array | None
    weight: Array | None
    channel_axis: int | None
    sample_axis: int | None

    @property
    def shape(self) -> tuple[int, int]:
        """N and C; 1 for an axis that is not there."""
        n, c = ((1 if axis is None else self.y_true.shape[axis]) for axis in (self.sample_axis, self.channel_axis))
        return int(n), int(c)

    def sample(self, n: int) -> tuple[Array, Array, Array | None, Array | None]:
        """Return views of sample n: (C, spatial...) for the maps, (spatial...) for mask and weight."""
        axes, channel = self.sample_axis, self.channel_axis
        maps = []
        for array in (self.y_true, self.y_pred):
            index: list[Any] = [slice(None)] * array.ndim
            if axes is not None:
                index[axes] = n
            view = array[(*index, ...)]
            position = None if channel is None else channel - (axes is not None and axes < channel)
            maps.append(view[None] if position is None else np.moveaxis(view, position, 0))
        spatial_axis = None if axes is None else axes - (channel is not None and channel < axes)
        where: tuple[Any, ...] = (...,) if spatial_axis is None else (*(slice(None),) * spatial_axis, n, ...)
        mask, weight = (None if a is None else a[where] for a in (self.mask, self.weight))
        return maps[0], maps[1], mask, weight


def as_array(value: Any, name: str) -> Array:
    """Return `value` as an array that shares its memory where it can.

    Takes NumPy arrays, anything with DLPack, the buffer protocol or `__array__` in the memory of the CPU, numbers, (nested)
    lists and tuples of numbers, and the images of other libraries that `fastseg.arrays.image_objects` knows.

    Raises
    ------
    TypeError, ValueError
        If it is no array, is masked, or lives on another device; if it is an image that cannot be read.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected a plain array, found a masked array; pass its data, and mask=~array.mask")
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    if isinstance(value, (bytes, bytearray)):
        return np.frombuffer(value, np.uint8)
    if isinstance(value, (dict, set)) or value is None:
        raise TypeError(f"{name}: expected an array, found {type(value).__name__}")
    image = image_objects.opened(value, name)
    if image is not None:
        return as_array(image.read(), name)
    if hasattr(value, "__dlpack_device__"):
        try:
            kind, _ = value.__dlpack_device__()
        except Exception as error:  # such as a torch tensor without memory, on the device "meta"
            raise TypeError(
                f"{name}: expected an array in the memory of the CPU, found {type(value).__name__}: {error}"
            ) from None
        if int(kind) not in (1, 3):  # CPU, or page-locked memory of the CPU
            raise TypeError(
                f"{name}: expected an array in the memory of the CPU, found one on device {value.__dlpack_device__()}"
            )
        try:
            return np.from_dlpack(value.detach() if hasattr(value, "detach") else value)
        except (BufferError, RuntimeError, TypeError):
            pass  # a type or a read-only memory that DLPack cannot say: try the other ways
    array_likes.check_holds_array(value, name)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: expected an array, found {type(value).__name__}: {error}") from None
    if array.dtype == object:
        raise TypeError(f"{name}: expected an array of numbers, found {type(value).__name__} (object dtype)")
    return array


def label_inputs(
    y_true: Any,
    y_pred: Any,
    *,
    num_classes: int | None = None,
    labels: Any = None,
    ignore_index: Any = None,
    mask: Any = None,
    sample_weight: Any = None,
    sample_axis: int | None = None,
) -> LabelInputs:
    """Check everything about a pair of label maps that can be known without reading the voxels."""
    given = {"y_true": y_true, "y_pred": y_pred, "mask": mask, "sample_weight": sample_weight}
    images = image_objects.aligned(given, sample_axis=sample_axis)
    y_true, y_pred, mask, sample_weight = images.arguments.values()
    (true, true_bits), (pred, pred_bits) = _labels_or_bits(y_true, "y_true"), _labels_or_bits(y_pred, "y_pred")
    _same_shape(true, "y_true", pred, "y_pred", images.note)
    return LabelInputs(
        true,
        pred,
        checked_mask(mask, true.shape),
        checked_weight(sample_weight, true.shape),
        label_classes(num_classes, labels, ignore_index),
        checked_axis(images.sample_axis, true.ndim, "sample_axis"),
        (true_bits, pred_bits),
    )


def mask_inputs(
    y_true: Any,
    y_pred: Any,
    *,
    channel_axis: int | None = -1,
    sample_axis: int | None = None,
    mask: Any = None,
    sample_weight: Any = None,
) -> MaskInputs:
    """Check everything about a pair of binary maps that can be known without reading the voxels."""
    given = {"y_true": y_true, "y_pred": y_pred, "mask": mask, "sample_weight": sample_weight}
    images = image_objects.aligned(given, channel_axis, sample_axis)
    y_true, y_pred, mask, sample_weight = images.arguments.values()
    true, pred = _label_map(y_true, "y_true"), _label_map(y_pred, "y_pred")
    _same_shape(true, "y_true", pred, "y_pred", images.note)
    channel = checked_axis(images.channel_axis, true.ndim, "channel_axis")
    sample = checked_axis(images.sample_axis, true.ndim, "sample_axis")
    if channel is not None and channel == sample:
        raise ValueError(f"sample_axis: expected another axis than channel_axis, found {sample_axis} for both")
    spatial = tuple(size for axis, size in enumerate(true.shape) if axis != channel)
    return MaskInputs(true, pred, checked_mask(mask, spatial), checked_weight(sample_weight, spatial), channel, sample)


def label_classes(num_classes: Any, labels: Any, ignore_index: Any) -> Classes:
    """Check `num_classes`, `labels` and `ignore_index`."""
    if labels is None and ignore_index is None and type(num_classes) is int:
        return _first_classes(num_classes)
    if num_classes is not None and labels is not None:
        raise ValueError("labels: expected either num_classes or labels, found both")
    declared = None
    if num_classes is not None:
        declared = _first_classes(_integer(num_classes, "num_classes")).labels
    elif labels is not None:
        declared = integers(labels, "labels")
        if not 1 <= declared.size <= MAX_CLASSES:
            raise ValueError(f"labels: expected 1 to {MAX_CLASSES} labels, found {declared.size}")
        values, times = np.unique(declared, return_counts=True)
        if values.size != declared.size:
            raise ValueError(f"labels: expected each label once, found {values[times > 1][:5].tolist()} more than once")
    ignored = _NOTHING if ignore_index is None else np.unique(integers(ignore_index, "ignore_index"))
    return Classes(declared, ignored)


@functools.lru_cache(maxsize=64)
def _first_classes(count: int) -> Classes:
    """Return the classes 0..count-1: the common case, kept because it is asked for again and again."""
    if not 1 <= count <= MAX_CLASSES:
        raise ValueError(f"num_classes: expected 1 to {MAX_CLASSES}, found {count}")
    labels = np.arange(count, dtype=np.int64)
    labels.flags.writeable = False
    return Classes(labels, _NOTHING)


_NOTHING = np.empty(0, np.int64)


def _labels_or_bits(value: Any, name: str) -> tuple[Array, bool]:
    """Return a label map, and whether it is one of bfloat16, as its bit patterns."""
    bits = array_likes.bfloat16_bits(value)
    return _label_map(value if bits is None else bits, name), bits is not None


def _label_map(value: Any, name: str) -> Array:
    array = as_array(value, name)
    dtype = array.dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise TypeError(f"{name}: expected bool, integers, or floats that hold whole numbers; found dtype {dtype}")
    return array


def checked_mask(value: Any, shape: tuple[int, ...]) -> Array | None:
    if value is None:
        return None
    array = as_array(value, "mask")
    if array.dtype.kind not in "biu":
        raise TypeError(f"mask: expected bool or integers (not zero: inside), found dtype {array.dtype}")
    _shaped(array, "mask", shape)
    return array


def checked_weight(value: Any, shape: tuple[int, ...]) -> Array | None:
    if value is None:
        return None
    array = as_array(value, "sample_weight")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"sample_weight: expected real numbers, found dtype {array.dtype}")
    _shaped(array, "sample_weight", shape)
    return array


def _shaped(array: Array, name: str, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: expected one value a voxel, shape {shape}; found shape {array.shape}")


def _same_shape(a: Array, name_a: str, b: Array, name_b: str, note: str = "") -> None:
    if a.shape != b.shape:
        note = note or array_likes.extra_axis_note(a.shape, b.shape)
        raise ValueError(f"{name_b}: expected the shape of {name_a}, {a.shape}; found {b.shape}{note}")


def checked_axis(axis: Any, ndim: int, name: str) -> int | None:
    if axis is None:
        return None
    value = _integer(axis, name)
    if not -ndim <= value < ndim:
        raise ValueError(f"{name}: expected an axis of arrays with {ndim} axes, found {value}")
    return value % ndim


def _integer(value: Any, name: str) -> int:
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, found {value!r}") from None


def integers(value: Any, name: str) -> npt.NDArray[np.int64]:
    """Return one or several integers as int64; TypeError or ValueError if they are none."""
    if isinstance(value, (str, bytes, dict)):
        raise TypeError(f"{name}: expected integers, found {type(value).__name__}")
    if isinstance(value, np.ndarray) and value.ndim > 1:
        raise ValueError(f"{name}: expected one axis, found shape {value.shape}")
    found = list(value) if isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0 else [value]
    numbers = [_integer(item, name) for item in found]
    if any(not -(2**63) <= number < 2**63 for number in numbers):
        raise ValueError(f"{name}: expected values that fit 64-bit signed integers, found {numbers}")
    return np.array(numbers, np.int64)


def whole_numbers(values: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return label values as int64, and where that was not possible: NaN, infinite, fractional, or beyond 64 bits."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # signalling NaNs
            wide = values.astype(np.float64)
        wrong = ~((wide >= -(2.0**63)) & (wide < 2.0**63))
        wide = np.where(wrong, 0.0, wide)
        wrong |= wide != np.floor(wide)
        return wide.astype(np.int64), wrong
    if values.dtype.kind == "u" and values.dtype.itemsize == 8:
        return values.astype(np.int64), values > np.uint64(2**63 - 1)
    return values.astype(np.int64), np.zeros(values.shape, bool)


def blocks(shape: tuple[int, ...], most: int = 1 << 18) -> Iterator[tuple[slice, ...]]:
    """Cut `shape` into blocks of at most `most` voxels that follow each other in index order (the last axis fastest).

    What NumPy makes of a block of the default size stays in a cache, and is not asked of the system for each block anew.
    """
    axis, inner = len(shape), 1
    while axis > 0 and inner * shape[axis - 1] <= most:
        axis -= 1
        inner *= shape[axis]
    outer = shape[: axis - 1] if axis else ()
    for index in np.ndindex(outer):
        lead = tuple(slice(i, i + 1) for i in index)
        if axis == 0:
            yield ()
            continue
        step = max(1, most // inner)
        for start in range(0, shape[axis - 1], step):
            yield (*lead, slice(start, min(start + step, shape[axis - 1])))


def find_voxels(arrays: Sequence[Array | None], wrong: Any) -> tuple[int, tuple[int, ...], tuple[Any, ...]]:
    """Look through arrays of one shape in index order, for an error message.

    `wrong` takes blocks of the arrays and returns where something is wrong. Returns the number of such voxels, the index
    of the first, and the arrays' values there.
    """
    shape = next(a.shape for a in arrays if a is not None)
    total = 0
    first: tuple[int, ...] = ()
    values: tuple[Any, ...] = ()
    for block in blocks(shape):
        parts = [None if a is None else a[block] for a in arrays]
        found = np.asarray(wrong(*parts))
        times = int(np.count_nonzero(found))
        if times and not total:
            inside = np.unravel_index(int(np.argmax(found)), found.shape)
            starts = [s.start for s in block] + [0] * (len(shape) - len(block))
            first = tuple(int(i) + start for i, start in zip(inside, starts, strict=True))
            values = tuple(None if p is None else p[inside].item() for p in parts)
        total += times
    return total, first, values


def axis_letters(value: Any) -> str | None:
    """Return `axes`, a letter for each axis of a file, in lower case; None where it is None."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"axes: expected a letter for each axis, such as 'zyx', found {value!r}")
    axes = value.lower()
    if not axes or not (axes.isascii() and axes.isalpha()) or len(set(axes)) < len(axes):
        raise ValueError(f"axes: expected another letter for each axis, such as 'zyx', found {value!r}")
    return axes

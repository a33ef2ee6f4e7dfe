"""What every statistic can do, and what its tables may hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fastseg.counts.packing import Packed, packed, unpacked

__all__ = [
    "COUNTED",
    "IGNORED",
    "OUTSIDE",
    "UNKNOWN",
    "Counts",
    "Ints",
    "Numbers",
    "check_dtypes",
    "members_of",
    "numbers",
]

Ints = npt.NDArray[np.int64]
#: int64, or float64 where voxels were weighted.
Numbers = npt.NDArray[Any]

#: Columns of `voxels`: where each voxel that was given has gone.
COUNTED, IGNORED, OUTSIDE, UNKNOWN = range(4)
#: Changes when statistics of one version cannot be told from the pickles of another.
_PICKLE = 1


class Counts:
    """What every statistic can do: equality, copies that cannot be written to, and a versioned dict and bytes form."""

    _format: ClassVar[str]
    _version: ClassVar[int] = 1

    def _freeze(self, **arrays: npt.NDArray[Any] | None) -> None:
        for name, array in arrays.items():
            if array is not None and array.flags.writeable:
                array = array.view()
                array.flags.writeable = False
                object.__setattr__(self, name, array)

    @classmethod
    def _trusted(cls, **values: Any) -> Self:
        """Return counts of values that are known to be right, without checking them: this runs at every call."""
        counts = object.__new__(cls)
        for value in values.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        counts.__dict__.update(values)
        return counts

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))  # type: ignore[arg-type]
        return all(
            a.dtype == b.dtype and np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        arrays = {name: packed(each) for name, each in values.items() if isinstance(each, np.ndarray)}
        return _rebuilt, (
            type(self),
            _PICKLE,
            arrays,
            {name: each for name, each in values.items() if name not in arrays},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain lists and numbers, with the name and version of the format; JSON can hold it."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
        return {"format": self._format, "version": self._version, "weighted": self.weighted, **plain}

    def to_bytes(self) -> bytes:
        """Return the counts as UTF-8 JSON; float sums survive exactly (shortest round-trip form)."""
        return json.dumps(self.to_dict(), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """Rebuild counts from `to_bytes`; anything will do that holds such bytes, as a `memoryview` does.

        Raises
        ------
        TypeError
            If the data are no bytes.
        ValueError
            If they are not JSON, or not of this statistic's format and version.
        """
        try:
            loaded = json.loads(data if isinstance(data, (bytes, str)) else memoryview(data).tobytes())
        except TypeError:
            raise TypeError(f"data: expected bytes, found {type(data).__name__}") from None
        except ValueError as error:
            raise ValueError(
                f"data: expected counts written by {cls.__name__}.to_bytes, found no JSON: {error}"
            ) from None
        return cls.from_dict(loaded)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild counts from `to_dict`.

        Raises
        ------
        ValueError
            If the dict is not of this format and version, or one before it, or does not hold such counts.
        """
        found = (data.get("format"), data.get("version")) if isinstance(data, Mapping) else type(data).__name__
        versions = range(1, cls._version + 1)
        if found not in [(cls._format, version) for version in versions]:
            known = " or ".join(map(str, versions))
            raise ValueError(f"data: expected format {cls._format!r}, version {known}; found {found}")
        try:
            return cls._from_plain(data, np.dtype(np.float64 if data["weighted"] else np.int64))
        except (KeyError, TypeError) as error:
            raise ValueError(f"data: expected counts written by {cls.__name__}.to_dict; {error!r}") from None

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any], dtype: np.dtype[Any]) -> Self:
        raise NotImplementedError

    @property
    def weighted(self) -> bool:
        """Whether the counts are sums of weights."""
        raise NotImplementedError


def _rebuilt(kind: type[Counts], version: int, arrays: Mapping[str, Packed], others: Mapping[str, Any]) -> Counts:
    """Return the statistic of a pickle, through the constructor, so that it is read-only too."""
    if version != _PICKLE:
        raise ValueError(f"pickle of {kind.__name__}: expected version {_PICKLE}, found {version}, of another fastseg")
    return kind(**{name: unpacked(each) for name, each in arrays.items()}, **others)


def check_dtypes(voxels: Ints, **counts: Numbers) -> None:
    """Counts are int64, or all float64: anything narrower would wrap or round."""
    found = {name: getattr(array, "dtype", type(array)) for name, array in {"voxels": voxels, **counts}.items()}
    if found.pop("voxels") != np.int64 or (
        any(d != np.int64 for d in found.values()) and any(d != np.float64 for d in found.values())
    ):
        raise TypeError(f"{', '.join(counts)}: expected int64 or float64 arrays alike, and voxels int64; found {found}")


def numbers(values: Any, dtype: np.dtype[Any]) -> Numbers:
    """Return plain lists as an array, without rounding what are no integers."""
    found = np.array(values, None if np.size(values) else dtype)
    if found.dtype.kind not in ("iuf" if dtype.kind == "f" else "iu"):
        raise TypeError(f"expected {dtype} values")
    return found.astype(dtype)


def members_of(regions: Any) -> dict[str | int, Any]:
    """Return the labels of each region by its name, also where it is a single one; TypeError where they are none."""
    if not isinstance(regions, Mapping):
        raise TypeError(f"regions: expected a dict of names and labels, found {regions!r}")
    found = {name: [of] if isinstance(of, int | np.integer) else of for name, of in regions.items()}
    for name, of in found.items():
        if not isinstance(of, Iterable) or isinstance(of, str):
            raise TypeError(f"regions[{name!r}]: expected integers, found {of!r}")
    return found

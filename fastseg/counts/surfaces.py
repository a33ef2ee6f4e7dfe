"""Distances between the surfaces of a truth and of a prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fastseg.counts.base import Counts, Ints, Numbers, numbers
from fastseg.counts.surface_rows import joined_rows, row_sums

__all__ = ["DIRECTIONS", "SurfaceDistances"]

Floats = npt.NDArray[np.float64]

#: The last axis of `elements`: which surface the elements belong to, and which one they are measured to.
DIRECTIONS = ("true_to_pred", "pred_to_true")

_NOT_PARTS = (
    "merge joins parts of the same cases, and distances of whole cases are none: the nearest element of one may lie in the "
    "other, so cut the elements, not the distances (parts have part=True; concat joins different cases, pooled adds them up)"
)


@dataclass(frozen=True, eq=False)
class SurfaceDistances(Counts):
    """How far the elements of one surface are from the other one, for N cases of K classes, in both directions.

    On a grid there are few distinct distances: each is kept once, with how many elements have it. Every percentile, mean and
    tolerance follows from that, without the voxels.

    Parameters
    ----------
    classes : tuple of K str or int
        What each column stands for: labels, regions or channels.
    starts : (2NK + 1,) int64
        Row r = (n K + k) 2 + direction has the distances starts[r] to starts[r + 1] − 1. Direction 0 is from the truth's
        surface to the prediction's, 1 from the prediction's to the truth's.
    distances : (M,) float64
        The distinct distances of each row, increasing, in the unit of the spacing (mm). Infinite where there is no other
        surface, or none within `max_distance`.
    weights : (M,) int64
        How many elements have each.
    elements : (N, K, 2) int64
        Elements of the truth's and of the prediction's surface: 0 where the class is absent.
    spacing : (N, D) float64
        Distance of neighbouring voxels along each axis; 0 where cases of other spacings were pooled.
    shape : (N, D) int64
        Voxels along each axis; of pooled cases the most.
    surface, border : str
        What the elements are, and what lies outside the image (see `fastseg.surface_distances`).
    max_distance : float
        What lies farther is infinitely far.
    part : bool
        Whether these are distances of a part of the elements to all of the other surface: then they can be merged.
    areas : (M,) float64, optional
        The area of each of these elements (mm²; in 2-D a length, mm), where they have one: of surfels. Equal distances then
        stand side by side, by increasing area, so that all of this is as exact as where elements are counted.
    farthest : (N, K, 2, D) int64, optional
        Index of the element with the largest finite distance, the first of those that have it; −1 where there is none. Of
        surfels it is the voxel after the corner, which lies half a voxel before. None where cases or classes were joined.

    Examples
    --------
    >>> import fastseg
    >>> true, pred = [[0, 1, 0, 0]], [[0, 0, 0, 1]]
    >>> surfaces = fastseg.surface_distances(true, pred, spacing=(1, 0.5), labels=[1])
    >>> surfaces.row(0, 1, "true_to_pred")
    (array([1.]), array([1]))
    >>> surfaces.farthest[0, 0].tolist()
    [[0, 1], [0, 3]]
    """

    classes: tuple[str | int, ...]
    starts: Ints
    distances: Floats
    weights: Ints
    elements: Ints
    spacing: Floats
    shape: Ints
    surface: str = "voxel"
    border: str = "background"
    max_distance: float = math.inf
    part: bool = False
    areas: Floats | None = None
    farthest: Ints | None = None

    _format: ClassVar[str] = "fastseg.SurfaceDistances"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", _names(self.classes))
        self._check_types()
        cases, dimensions = self.spacing.shape
        number = len(self.classes)
        expected = ((2 * cases * number + 1,), (cases, number, 2), (cases, dimensions))
        found = (self.starts.shape, self.elements.shape, self.shape.shape)
        if found != expected or self.distances.shape != self.weights.shape or self.distances.ndim != 1:
            raise ValueError(
                f"starts, elements, shape: expected shapes {expected} and as many weights as distances; found {found}, "
                f"{self.distances.shape} distances and {self.weights.shape} weights"
            )
        self._check_values()
        self._freeze(areas=self.areas, farthest=self.farthest, **{name: getattr(self, name) for name in _ARRAYS})

    def _check_types(self) -> None:
        for name, kind in (*_ARRAYS.items(), *((n, k) for n, k in _OPTIONAL.items() if getattr(self, n) is not None)):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype.name != kind:
                raise TypeError(f"{name}: expected {kind}, found {getattr(array, 'dtype', array)!r}")
        if self.spacing.ndim != 2:
            raise ValueError(f"spacing: expected shape (cases, axes), found {self.spacing.shape}")

    def _check_values(self) -> None:
        starts, distances, weights = self.starts, self.distances, self.weights
        if starts[0] != 0 or starts[-1] != distances.size or (np.diff(starts) < 0).any():
            raise ValueError(f"starts: expected to rise from 0 to {distances.size}, found {starts.tolist()[:12]}")
        rising = distances[1:] > distances[:-1]
        if self.areas is not None:
            if self.areas.shape != distances.shape or not (self.areas > 0).all():
                raise ValueError(f"areas: expected a positive number for each of {distances.size} distances")
            rising |= (distances[1:] == distances[:-1]) & (self.areas[1:] > self.areas[:-1])
        inner = starts[(starts > 0) & (starts < distances.size)]
        rising[inner - 1] = True  # from row to row they need not
        if not rising.all() or not (distances >= 0).all() or not (weights > 0).all():
            raise ValueError(
                "distances, weights: expected distances that increase within each row, not negative, and positive weights"
            )
        if (self.elements.reshape(-1) != row_sums(weights, starts)).any():
            raise ValueError("elements: expected the numbers of elements that the weights add up to")
        places = (*self.elements.shape, self.spacing.shape[1])
        if self.farthest is not None and self.farthest.shape != places:
            raise ValueError(f"farthest: expected shape {places}, found {self.farthest.shape}")

    def __repr__(self) -> str:
        cases = f"{self.num_cases} case(s), {len(self.classes)} classes"
        what = f"{self.distances.size:,} distances of {int(self.elements.sum()):,} elements ({self.surface!r})"
        return f"<SurfaceDistances of {cases}: {what}>"

    def _new(self, **values: Any) -> Self:
        """Return what has other values, known to be right."""
        return self._trusted(**{**vars(self), **values})

    @classmethod
    def zeros(
        cls,
        classes: int | Sequence[str | int],
        *,
        cases: int = 1,
        dimensions: int = 3,
        surface: str = "voxel",
        border: str = "background",
        weighted: bool = False,
    ) -> Self:
        """Return the identity of merge, for classes 0..classes-1 or those listed: no element of any."""
        names = tuple(range(classes)) if isinstance(classes, int | np.integer) else tuple(classes)
        return cls(
            names,
            starts=np.zeros(2 * cases * len(names) + 1, np.int64),
            distances=np.empty(0),
            weights=np.empty(0, np.int64),
            elements=np.zeros((cases, len(names), 2), np.int64),
            spacing=np.zeros((cases, dimensions)),
            shape=np.zeros((cases, dimensions), np.int64),
            surface=surface,
            border=border,
            part=True,
            areas=np.empty(0) if weighted else None,
            farthest=np.full((cases, len(names), 2, dimensions), -1, np.int64),
        )

    @property
    def weighted(self) -> bool:
        """Whether elements have an area (a length in 2-D), else they are counted."""
        return self.areas is not None

    @property
    def num_cases(self) -> int:
        """N, the length of the case axis."""
        return int(self.spacing.shape[0])

    @property
    def measures(self) -> Numbers:
        """(M,): how much of a surface is at each distance: int64 elements, or float64 areas."""
        return self.weights if self.areas is None else self.weights * self.areas

    @property
    def totals(self) -> Numbers:
        """(N, K, 2): the measure of each surface, elements or area."""
        return (
            self.elements if self.areas is None else row_sums(self.measures, self.starts).reshape(self.elements.shape)
        )

    def row(self, case: int, name: str | int, direction: str) -> tuple[Floats, Numbers]:
        """Return the distances of one case, class and direction, increasing, and their measures.

        Parameters
        ----------
        case
            From 0 to N − 1.
        name
            One of `classes`.
        direction
            "true_to_pred" or "pred_to_true".
        """
        if direction not in DIRECTIONS:
            raise ValueError(f"direction: expected one of {DIRECTIONS}, found {direction!r}")
        if name not in self.classes:
            raise ValueError(f"name: expected one of {list(self.classes)}, found {name!r}")
        row = (range(self.num_cases)[case] * len(self.classes) + self.classes.index(name)) * 2
        row += DIRECTIONS.index(direction)
        where = slice(self.starts[row], self.starts[row + 1])
        return self.distances[where], self.measures[where]

    def merge(self, other: Self) -> Self:
        """Add the distances of another part of the same cases' elements, measured to the same whole surfaces.

        Raises
        ------
        ValueError
            If one of the two is no part (distances of slabs that were cut without the surface around them cannot be joined);
            if they mean different things.
        """
        self._check(other)
        if self.num_cases != other.num_cases:
            raise ValueError(
                f"merge joins parts of the same cases, but there are {self.num_cases} and {other.num_cases} cases "
                "(concat joins different cases)"
            )
        for empty, rest in ((other, self), (self, other)):
            if empty.part and not empty.elements.any():  # such as zeros
                return rest
        if not (self.part and other.part):
            raise ValueError(_NOT_PARTS)
        for name in ("spacing", "shape"):
            one, two = getattr(self, name), getattr(other, name)
            if not np.array_equal(one, two):
                raise ValueError(f"parts of the same cases differ in their {name}: {one.tolist()} and {two.tolist()}")
        both = self.concat(other)
        rows = len(self.elements.reshape(-1))
        return both._new(
            **both._united([[row, row + rows] for row in range(rows)]),
            elements=self.elements + other.elements,
            spacing=self.spacing,
            shape=self.shape,
            farthest=None,
        )

    def concat(self, *others: Self) -> Self:
        """Append other cases, in order; ValueError if they mean different things. Spacings may differ."""
        for other in others:
            self._check(other)
        parts = (self, *others)
        ends = np.cumsum([part.distances.size for part in parts])
        starts = [part.starts[1:] + end - part.distances.size for part, end in zip(parts, ends, strict=True)]
        names = [n for n in (*_ARRAYS, *_OPTIONAL) if n != "starts" and all(getattr(p, n) is not None for p in parts)]
        joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        joined.setdefault("farthest", None)
        return self._new(starts=np.concatenate([[0], *starts]), part=all(part.part for part in parts), **joined)

    def pooled(self) -> Self:
        """Put the surfaces of all cases together: N = 1. An infinite distance of one case is one of the pool, too."""
        rows = 2 * len(self.classes)
        same = self.num_cases and (self.spacing == self.spacing[:1]).all()
        return self._new(
            **self._united([list(range(row, rows * self.num_cases, rows)) for row in range(rows)]),
            elements=self.elements.sum(0, keepdims=True),
            spacing=self.spacing[:1] if same else np.zeros((1, self.spacing.shape[1])),
            shape=self.shape.max(0, initial=0, keepdims=True),
            farthest=None,
        )

    def summed(self) -> Self:
        """Put the surfaces of all classes together: one column, "all", of which a "micro" average is computed."""
        classes = len(self.classes)
        rows = [
            [(n * classes + k) * 2 + direction for k in range(classes)]
            for n in range(self.num_cases)
            for direction in range(2)
        ]
        elements = self.elements.sum(1, keepdims=True)
        return self._new(**self._united(rows), classes=("all",), elements=elements, farthest=None)

    def cases(self, index: slice | Sequence[int] | npt.NDArray[Any]) -> Self:
        """Return the distances of some of the cases."""
        wanted, rows = np.arange(self.num_cases)[index], 2 * len(self.classes)
        chosen = {name: getattr(self, name)[wanted] for name in ("elements", "spacing", "shape")}
        chosen["farthest"] = None if self.farthest is None else self.farthest[wanted]
        return self._new(**self._united([[n * rows + row] for n in wanted.tolist() for row in range(rows)]), **chosen)

    def select(self, classes: Sequence[str | int]) -> Self:
        """Keep some classes, in the order given; ValueError if one is missing."""
        missing = [name for name in classes if name not in self.classes]
        if missing:
            raise ValueError(f"classes: {missing} are not among {list(self.classes)}")
        return self.with_classes(classes)

    def with_classes(self, classes: Sequence[str | int]) -> Self:
        """Return these classes, in the order given: what is not there has no element."""
        classes = _names(classes)
        if classes == self.classes:
            return self
        place, number = {name: k for k, name in enumerate(self.classes)}, len(self.classes)
        columns = np.array([place.get(name, -1) for name in classes], np.int64)
        rows = [
            [] if k < 0 else [(n * number + k) * 2 + direction]
            for n in range(self.num_cases)
            for k in columns.tolist()
            for direction in range(2)
        ]
        changed: dict[str, Any] = {}
        for name, nothing in (("elements", 0), ("farthest", -1)):
            if (array := getattr(self, name)) is not None:
                changed[name] = np.full((self.num_cases, columns.size, *array.shape[2:]), nothing)
                changed[name][:, columns >= 0] = array[:, columns[columns >= 0]]
        return self._new(**self._united(rows), classes=classes, **changed)

    def reversed_axes(self) -> Self:
        """Return the same of volumes whose axes lie the other way round."""
        last_first = {name: getattr(self, name)[..., ::-1] for name in ("spacing", "shape")}
        farthest = None if self.farthest is None else self.farthest[..., ::-1]
        return self._new(**last_first, farthest=farthest)

    def rename(self, mapping: Mapping[str | int, str | int]) -> Self:
        """Give classes other names; ValueError if two would get the same."""
        return replace(self, classes=tuple(mapping.get(name, name) for name in self.classes))

    def to_dict(self) -> dict[str, Any]:
        """Return the distances as plain lists and numbers, infinity as None, with name and version of the format."""
        plain = super().to_dict()
        plain["distances"] = [None if d == math.inf else d for d in plain["distances"]]
        plain["max_distance"] = None if self.max_distance == math.inf else self.max_distance
        return plain

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any], dtype: np.dtype[Any]) -> Self:
        classes = tuple(data["classes"])
        cases = len(data["spacing"])
        spacing = np.array(data["spacing"], np.float64).reshape(cases, -1 if cases else 3)
        distances = [math.inf if d is None else d for d in data["distances"]]
        return cls(
            classes,
            starts=numbers(data["starts"], np.dtype(np.int64)),
            distances=numbers(distances, np.dtype(np.float64)),
            weights=numbers(data["weights"], np.dtype(np.int64)),
            elements=numbers(data["elements"], np.dtype(np.int64)).reshape(cases, len(classes), 2),
            spacing=spacing,
            shape=numbers(data["shape"], np.dtype(np.int64)).reshape(spacing.shape),
            surface=data["surface"],
            border=data["border"],
            max_distance=math.inf if data["max_distance"] is None else float(data["max_distance"]),
            part=bool(data["part"]),
            areas=numbers(data["areas"], dtype) if data["weighted"] else None,
            farthest=_places(data.get("farthest"), (cases, len(classes), 2, spacing.shape[1])),
        )

    def _check(self, other: Self) -> None:
        if not isinstance(other, SurfaceDistances):
            raise TypeError(f"other: expected SurfaceDistances, found {type(other).__name__}")
        if self.classes != other.classes:
            raise ValueError(f"surfaces differ in their classes: {list(self.classes)} and {list(other.classes)}")
        if self.spacing.shape[1] != other.spacing.shape[1]:
            raise ValueError(f"surfaces differ in their axes: {self.spacing.shape[1]} and {other.spacing.shape[1]}")
        for name in ("surface", "border", "max_distance", "weighted"):
            one, two = getattr(self, name), getattr(other, name)
            if one != two:
                raise ValueError(f"surfaces differ in kind: {name} is {one!r} of one and {two!r} of the other")

    def _united(self, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Return the rows of what has these, each put together of some of ours."""
        keys = [self.distances] if self.areas is None else [self.distances, self.areas]
        starts, chosen, weights = joined_rows(self.starts, keys, self.weights, rows)
        areas = None if self.areas is None else self.areas[chosen]
        return {"starts": starts, "distances": self.distances[chosen], "weights": weights, "areas": areas}


#: The arrays of the statistic, those that it need not have, and the type of each.
_ARRAYS = {
    "starts": "int64",
    "distances": "float64",
    "weights": "int64",
    "elements": "int64",
    "spacing": "float64",
    "shape": "int64",
}
_OPTIONAL = {"areas": "float64", "farthest": "int64"}


def _places(plain: Any, shape: tuple[int, ...]) -> Ints | None:
    return None if plain is None else numbers(plain, np.dtype(np.int64)).reshape(shape)


def _names(classes: Sequence[str | int]) -> tuple[str | int, ...]:
    names = tuple(int(name) if isinstance(name, np.integer) else name for name in classes)
    if len(set(map(str, names))) != len(names):
        raise ValueError(f"classes: expected a name for each, found {list(names)}")
    return names

"""`surfaces.npz`: the distances of all surfaces of a run's counted cases, from which every tolerance follows without a voxel.

An archive that `numpy.load` opens, without pickles. N cases, as in `confusion.npz`, K classes, M distances:

version : () int64
    1.
names : (B,) uint8
    The classes one after the other, in UTF-8: labels as text, or the names of regions.
name_starts : (K + 1,) int64
    ``names[name_starts[k]:name_starts[k + 1]]`` is class k.
measured : (N,) bool
    Whether the case has surfaces; one without a prediction has none.
starts : (2NK + 1,) int64
    Rows ``starts[r]:starts[r + 1]`` of the next three are the distances of r = (n K + k) 2 + direction, increasing.
    Direction 0 is from the truth's surface to the prediction's, 1 from the prediction's to the truth's.
distances : (M,) float64
    In mm; infinite where there is no other surface.
weights : (M,) int64
    How many elements have each.
areas : (M,) float64
    What each of these elements measures, in mm² (in 2-D mm): 1 where they are counted.
farthest : (2NK, 3) int64
    Index of the first element of each row with the largest finite distance, −1 where there is none; the last is −1 of an image
    with two axes.
spacing, shape : (N, 3) float64 and int64
    Of the axes of space; the last is 0 of an image with two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import SurfaceDistances
from fastseg.runs.outputs import archive
from fastseg.runs.outputs.archive import require, starts
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.results.surfaces import surface_name
from fastseg.runs.scoring.settings import SurfaceSettings

__all__ = ["Surfaces", "read_surfaces", "surfaces_npz", "with_surfaces"]

_VERSION = 1
_WHAT = "an archive of distances of surfaces"

#: The arrays: their type and shape, -1 for any length.
_ARRAYS: archive.Kinds = {
    "version": ("<i8", ()),
    "names": ("|u1", (-1,)),
    "name_starts": ("<i8", (-1,)),
    "measured": ("|b1", (-1,)),
    "starts": ("<i8", (-1,)),
    "distances": ("<f8", (-1,)),
    "weights": ("<i8", (-1,)),
    "areas": ("<f8", (-1,)),
    "farthest": ("<i8", (-1, 3)),
    "spacing": ("<f8", (-1, 3)),
    "shape": ("<i8", (-1, 3)),
}


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Hold what an archive holds: see the module's documentation."""

    names: tuple[str, ...]
    measured: npt.NDArray[np.bool_]
    arrays: dict[str, npt.NDArray[Any]]
    sha256: str

    def of_case(self, n: int, classes: Sequence[str | int], how: SurfaceSettings) -> SurfaceDistances | None:
        """Return the distances of a case, of the classes that have a surface there, or None; ValueError if they are none.

        Parameters
        ----------
        n
            Its place.
        classes
            What the K classes are called in records.
        how
            Which surfaces these are.
        """
        if not self.measured[n]:
            return None
        rows = 2 * len(classes)
        ends = self.arrays["starts"][n * rows : (n + 1) * rows + 1]
        where = slice(ends[0], ends[-1])
        axes = int((self.arrays["spacing"][n] > 0).sum())
        weights = self.arrays["weights"][where]
        sums = np.concatenate([[0], np.cumsum(weights)])[ends - ends[0]]
        found = SurfaceDistances(
            tuple(classes),
            starts=ends - ends[0],
            distances=self.arrays["distances"][where],
            weights=weights,
            elements=np.diff(sums).reshape(1, -1, 2),
            spacing=self.arrays["spacing"][n : n + 1, :axes],
            shape=self.arrays["shape"][n : n + 1, :axes],
            surface=how.surface,
            border=how.border,
            areas=self.arrays["areas"][where] if how.surface == "surfel" else None,
            farthest=self.arrays["farthest"][n * rows : (n + 1) * rows, :axes].reshape(1, -1, 2, axes),
        )
        return found.select([name for name, both in zip(classes, found.elements[0], strict=True) if both.any()])


def surfaces_npz(run: RunNumbers) -> bytes:
    """Return the distances of the surfaces of a run's counted cases as an archive."""
    classes = [surface_name(each) for each in run.classes]
    names = [str(name).encode("utf-8", "surrogatepass") for name in classes]
    cases, rows = len(run.counted), 2 * len(classes)
    sizes = np.zeros((cases, rows), np.int64)
    spacing, shape = np.zeros((cases, 3)), np.zeros((cases, 3), np.int64)
    farthest = np.full((cases, rows, 3), -1, np.int64)
    parts: list[tuple[Any, Any, Any]] = []
    for n, record in enumerate(run.counted):
        if record.surfaces is not None:
            found = record.surfaces.with_classes(classes)
            sizes[n] = np.diff(found.starts)
            axes = found.spacing.shape[1]
            spacing[n, :axes], shape[n, :axes] = found.spacing[0], found.shape[0]
            if found.farthest is not None:
                farthest[n, :, :axes] = found.farthest.reshape(rows, axes)
            areas = np.ones(found.weights.size) if found.areas is None else found.areas
            parts.append((found.distances, found.weights, areas))
    return archive.pack(
        {
            "version": _VERSION,
            "names": np.frombuffer(b"".join(names), np.uint8),
            "name_starts": starts(names),
            "measured": np.array([record.surfaces is not None for record in run.counted], bool),
            "starts": np.concatenate([[0], np.cumsum(sizes.reshape(-1))]),
            "distances": np.concatenate([np.zeros(0), *(each[0] for each in parts)]),
            "weights": np.concatenate([np.zeros(0, np.int64), *(each[1] for each in parts)]),
            "areas": np.concatenate([np.zeros(0), *(each[2] for each in parts)]),
            "farthest": farthest.reshape(-1, 3),
            "spacing": spacing,
            "shape": shape,
        },
        _ARRAYS,
    )


def read_surfaces(data: bytes, name: str = "surfaces.npz") -> Surfaces:
    """Return what an archive holds.

    Raises
    ------
    ValueError
        If it is no such archive, is damaged, or contradicts itself; with what was expected and what was found.
    """
    arrays = archive.unpack(data, _ARRAYS, _WHAT, name)
    require(arrays["version"] == _VERSION, name, f"version {_VERSION}", f"version {arrays['version']}")
    of_names, of_rows = arrays["name_starts"], arrays["starts"]
    cases, number = arrays["measured"].size, arrays["distances"].size
    for key, of, size, end in (
        ("name_starts", of_names, of_names.size, arrays["names"].size),
        ("starts", of_rows, 2 * cases * (of_names.size - 1) + 1, number),
    ):
        rising = of.size == size > 0 and of[0] == 0 and of[-1] == end and bool((np.diff(of) >= 0).all())
        require(rising, name, f"{size} {key}, rising from 0 to {end}", f"{of.size} up to {of[-1:].tolist()}")
    rows = 2 * cases * (of_names.size - 1)
    for key, expected in {
        "weights": number,
        "areas": number,
        "farthest": rows,
        "spacing": cases,
        "shape": cases,
    }.items():
        require(len(arrays[key]) == expected, name, f"{expected} rows of {key}", f"{len(arrays[key])}")
    require(bool(np.isfinite(arrays["spacing"]).all()), name, "spacings in mm", "others")
    require(bool((arrays["weights"] > 0).all()), name, "weights of elements", "numbers below 1")
    with archive.told(_WHAT, name):
        names = tuple(
            each.tobytes().decode("utf-8", "surrogatepass") for each in archive.cut(arrays["names"], of_names)
        )
    require(len(set(names)) == len(names), name, "each class once", f"{names[:20]}")
    return Surfaces(names, arrays["measured"], arrays, archive.digest(arrays, _ARRAYS))


def with_surfaces(run: RunNumbers, said: Any, surfaces: Surfaces | None) -> RunNumbers:
    """Return a run whose counted records have their distances; ValueError where these are not of it, KeyError likewise.

    Parameters
    ----------
    run
        Of label maps or of masks.
    said
        What ``run.json`` says of the archive; None where it says nothing.
    surfaces
        The archive; None where there is none.
    """
    how = run.settings.surfaces
    if (how is None) != (surfaces is None):
        raise ValueError(f"a run of {'no surfaces with' if how is None else 'surfaces without'} distances")
    if how is None or surfaces is None:
        return run
    names = [surface_name(each) for each in run.classes]
    wrong = said["sha256"] != surfaces.sha256 or surfaces.measured.size != len(run.counted)
    if wrong or [*map(str, names)] != [*surfaces.names]:
        raise ValueError("surfaces.npz beside it is of another run, or of another time")
    found = {record.id: surfaces.of_case(n, names, how) for n, record in enumerate(run.counted)}
    return replace(run, records=tuple(replace(each, surfaces=found.get(each.id)) for each in run.records))

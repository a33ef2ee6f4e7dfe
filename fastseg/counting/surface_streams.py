"""Surfaces of two files, found while the files are read to be counted: of the volumes only their elements are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.surfaces import SurfaceInputs
from fastseg.counting.surfaces import Members, collected, disjoint_parts, run_stages
from fastseg.counting.value_codes import ValueCodes
from fastseg.counts import SurfaceDistances
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.surfaces import Layer, SurfaceTask
from fastseg.volumes import Volume
from fastseg.volumes.followed import Followed

__all__ = ["StreamedSurfaces"]

Array = npt.NDArray[Any]


class StreamedSurfaces:
    """Finds the surface elements of a truth and a prediction that are read side by side, and measures them afterwards.

    Parameters
    ----------
    volumes
        Truth, prediction and, if there is one, the region of interest, which stream in the same order.
    members
        Of regions: their names, and the labels of each. None: each label is a class.
    mapping
        Predicted labels that stand for others.
    ignored
        True labels that are unknown.
    shape, spacing
        Of the maps as they lie in the files, the axis that varies fastest last.
    surface, border
        As in `fastseg.surface_distances`.

    Attributes
    ----------
    volumes : list of Volume
        What is to be read instead.
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        members: Members | None,
        mapping: Mapping[int, int] | None,
        ignored: Sequence[int],
        *,
        shape: tuple[int, ...],
        spacing: tuple[float, ...],
        surface: str,
        border: str,
    ) -> None:
        scan = partial(counter_of("auto").ElementScan, shape, spacing=spacing, surface=surface, border=border)
        true, pred, *roi = volumes
        self._voxels = prod(shape)
        layers = [None] if members is None else [_codes_of_regions(*each, ignored) for each in disjoint_parts(members)]
        self._pairs = [
            (
                _Scanned(ValueCodes(true, None, known, ignored), scan, ignored if number == 0 else ()),
                _Scanned(ValueCodes(pred, mapping, known), scan, ()),
            )
            for number, known in enumerate(layers)
        ]
        outside = _Bits()
        self._unknown = [self._pairs[0][0].unknown] if ignored else []
        self.volumes: list[Volume] = [
            Followed(volume, _all([pair[side].add for pair in self._pairs])) for side, volume in enumerate((true, pred))
        ]
        for each in roi:
            self._unknown.append(outside)
            self.volumes.append(Followed(each, lambda values: outside.add(values == 0)))

    def measure(self, given: SurfaceInputs, members: Members) -> SurfaceDistances:
        """Return the distances, when all was read.

        Parameters
        ----------
        given
            What is measured; of its maps only the shape is asked for.
        members
            As there, of labels that are known now.
        """
        layers, codes, found = [], [], []
        for (values, classes), pair in zip(disjoint_parts(members), self._pairs, strict=False):
            layers.append(Layer(given.maps.y_true, given.maps.y_pred, values, classes))
            own = [np.full(len(members), -1, np.int64) for _ in pair]
            for each, scanned in zip(own, pair, strict=True):
                for value, k in zip(values.tolist(), classes.tolist(), strict=True):
                    each[k] = scanned.codes.of(value)
            codes.append((own[0], own[1]))
            found.append((pair[0].scan.finish(), pair[1].scan.finish()))
        unknown = [each.packed() for each in self._unknown]
        task = SurfaceTask(
            tuple(layers), None, len(members), given.spacing, given.surface, given.border, given.max_distance
        )
        self._pairs.clear()
        measurer = counter_of("auto").ElementMeasurer(
            task, found, codes, np.bitwise_or.reduce(unknown) if unknown else None
        )
        del found
        return collected([run_stages(measurer, self._voxels)], given, [name for name, _ in members])


class _Scanned:
    """One map of a layer: the codes of its values, what scans them, and where they are unknown."""

    def __init__(self, codes: ValueCodes, new_scan: Callable[..., Any], ignored: Sequence[int]) -> None:
        self.codes, self.scan, self.unknown = codes, new_scan(codes.dtype), _Bits()
        self._ignored = [code for label in ignored if (code := codes.of(label)) >= 0]

    def add(self, values: Array) -> None:
        codes = self.codes(values)
        if self._ignored:
            self.unknown.add(np.logical_or.reduce([codes == code for code in self._ignored]))
        self.scan.add(codes)


class _Bits:
    """Booleans that come one after another, eight of them in a byte."""

    def __init__(self) -> None:
        self._bytes: list[Array] = []
        self._rest = np.empty(0, bool)

    def add(self, values: Array) -> None:
        if self._rest.size:
            values = np.concatenate([self._rest, values])
        whole = values.size - values.size % 8
        self._rest = values[whole:].copy()
        self._bytes.append(np.packbits(values[:whole], bitorder="little"))

    def packed(self) -> Array:
        """Return all of them."""
        return np.concatenate([*self._bytes, np.packbits(self._rest, bitorder="little")])


def _codes_of_regions(values: Array, classes: Array, ignored: Sequence[int]) -> dict[int, int]:
    """Return the code of each label of some regions of which none has another's, and of those that are ignored."""
    codes = {label: len(classes) + 1 + number for number, label in enumerate(ignored)}
    first = {k: 1 + number for number, k in enumerate(sorted({*classes.tolist()}))}
    return codes | {value: first[k] for value, k in zip(values.tolist(), classes.tolist(), strict=True)}


def _all(followers: Sequence[Callable[[Array], None]]) -> Callable[[Array], None]:
    def follow(values: Array) -> None:
        for each in followers:
            each(values)

    return followers[0] if len(followers) == 1 else follow

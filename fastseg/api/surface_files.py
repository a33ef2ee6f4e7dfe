"""Measuring the surfaces of two volumes on disk, from what is read to count them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.api.surfaces import surface_distances
from fastseg.arrays.classes import Classes
from fastseg.arrays.surfaces import SurfaceInputs, surface_inputs
from fastseg.counting.no_data import with_label
from fastseg.counting.stored_labels import to_labels
from fastseg.counting.surface_streams import StreamedSurfaces
from fastseg.counts import LabelCounts, SurfaceDistances
from fastseg.labels.choices import LabelChoices
from fastseg.volumes import Volume, palettes
from fastseg.volumes.kept import Kept
from fastseg.volumes.side_by_side import same_stream
from fastseg.volumes.spacing import right_angled_spacing

__all__ = ["FileSurfaces"]

#: Bytes of the volumes of a case up to which they are kept: elements are found a little faster in what is whole.
_KEPT_BYTES = 16 << 20


class FileSurfaces:
    """Finds the surfaces of all classes but 0, or of the regions, in what is read of two files to count them.

    Parameters
    ----------
    chosen
        What was said of labels.
    spacing, surface, border
        As in `surface_distances`; a spacing of None is that of the reference's file.
    """

    def __init__(
        self, chosen: LabelChoices, *, spacing: float | Sequence[float] | None, surface: str, border: str
    ) -> None:
        self._chosen, self._spacing = chosen, spacing
        self._how: dict[str, Any] = {"surface": surface, "border": border}
        self._kept: list[Kept] = []
        self._stream: StreamedSurfaces | None = None

    def watch(self, volumes: Sequence[Volume], classes: Classes) -> list[Volume]:
        """Return truth, prediction and, if there is one, the region of interest as they are to be read, once and whole.

        Raises
        ------
        VolumeError
            If the file does not say its spacing, or is sheared.
        """
        true, pred = volumes[:2]
        chosen, shape = self._chosen, true.geometry.shape
        streams = same_stream(volumes) and len(shape) in (2, 3) and bool(prod(shape))
        unlike = not chosen.map_prediction and palettes.unlike(true, pred)
        if unlike or not streams or sum(prod(shape) * each.dtype.itemsize for each in volumes) <= _KEPT_BYTES:
            self._kept = [Kept(each) for each in volumes]
            return [*self._kept]
        self._place = _Place(true, self._spacing)
        given = self._place.inputs(chosen, [1], classes.ignored.tolist(), self._how)
        self._stream = StreamedSurfaces(
            volumes, given.members if chosen.regions else None, chosen.map_prediction, classes.ignored.tolist(),
            shape=given.maps.y_true.shape, spacing=given.spacing, **self._how,
        )  # fmt: skip
        return self._stream.volumes

    def measure(self, counts: LabelCounts, kept: Sequence[Kept] = ()) -> SurfaceDistances:
        """Return the distances, when all was read; volumes that were kept by others, who did not let us watch, stay theirs.

        Parameters
        ----------
        counts
            Of the same voxels.
        kept
            Truth, prediction and, if there is one, the region of interest, read whole.

        Raises
        ------
        VolumeError
            If the file does not say its spacing, or is sheared.
        """
        chosen = self._chosen
        labels = [label for label in counts.labels.tolist() if label != 0]
        ignored = sorted({*chosen.ignore, *counts.ignored.tolist()})  # what is no data, too
        if self._stream is None:
            place, found = self._of_kept(kept or self._kept, labels or [1], ignored)
            for volume in self._kept:
                volume.let_go()
        else:
            place, stream = self._place, self._stream
            self._stream = None
            given = place.inputs(chosen, labels or [1], ignored, self._how)
            assert given.members is not None
            found = stream.measure(given, given.members)
        found = found if chosen.regions else found.select(labels)
        return found.reversed_axes() if place.turned else found

    def _of_kept(self, kept: Sequence[Kept], labels: list[int], ignored: list[int]) -> tuple[_Place, SurfaceDistances]:
        true, pred, *roi = kept
        place = _Place(true, self._spacing)
        mapping = self._chosen.map_prediction
        if not mapping and palettes.unlike(true, pred):
            used = [[np.unique(each.voxels())] for each in (true, pred)]
            mapping, _ = palettes.by_colour(true, pred, used[0], used[1])  # of which a note was made when counted
        arrays = [_labels(true, {}), _labels(pred, mapping)]
        mask = [each.voxels() != 0 for each in roi]
        if place.turned:
            arrays, mask = [each.T for each in arrays], [each.T for each in mask]
        measure: Any = surface_distances
        return place, measure(
            *arrays, spacing=place.spacing, ignore_index=ignored or None, mask=mask[0] if mask else None,
            **_classes(self._chosen, labels), **self._how,
        )  # fmt: skip


class _Place:
    """How the voxels of a file lie: where all axes lie as in the file, they are the other way round in some."""

    def __init__(self, volume: Volume, spacing: float | Sequence[float] | None) -> None:
        steps: Any = right_angled_spacing(volume.geometry, volume.path) if spacing is None else spacing
        self.turned = volume.order == "F"
        self.shape = volume.geometry.shape[::-1] if self.turned else volume.geometry.shape
        self.spacing = steps[::-1] if self.turned and np.ndim(steps) else steps

    def inputs(self, chosen: LabelChoices, labels: list[int], ignored: list[int], how: dict[str, Any]) -> SurfaceInputs:
        """Return what is measured of maps that are not at hand."""
        nothing = np.broadcast_to(np.zeros((), np.uint8), self.shape)
        classes = _classes(chosen, labels)
        return surface_inputs(nothing, nothing, spacing=self.spacing, ignore_index=ignored or None, **classes, **how)


def _classes(chosen: LabelChoices, labels: list[int]) -> dict[str, Any]:
    """Return what is measured, as `surface_distances` takes it."""
    return {"regions": chosen.regions} if chosen.regions else {"labels": labels}


def _labels(volume: Kept, mapping: dict[int, int]) -> npt.NDArray[Any]:
    """Return the labels of a volume: the stored values where they are the labels, else those that they stand for."""
    values = volume.voxels()
    if volume.scaling is None and values.dtype.kind in "biu" and not mapping:
        return values
    labels, _ = to_labels(
        with_label(values, volume), volume.scaling, mapping
    )  # which were found to be some when they were counted
    return labels

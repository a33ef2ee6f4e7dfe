"""Two volumes opened so that their voxels can be read side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.open import open_volume
from fastseg.volumes.paths import Path
from fastseg.volumes.planes import check_counterparts, on_one_lattice
from fastseg.volumes.same_place import check_geometry
from fastseg.volumes.views import align, in_blocks
from fastseg.volumes.volume import Volume

__all__ = ["in_boxes", "open_aligned", "same_stream", "side_by_side"]


def same_stream(volumes: Sequence[Volume]) -> bool:
    """Tell whether files can be read side by side from first to last."""
    return all(volume.streams and volume.order == volumes[0].order for volume in volumes)


@contextmanager
def open_aligned(
    paths: Sequence[Path | Volume],
    *,
    geometry: str = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    masks: int | None = None,
) -> Iterator[tuple[list[Volume], str | None]]:
    """Open a truth, a prediction and perhaps a mask as volumes of one shape, in which an index means the same voxel.

    Volumes are open already, and are closed with the others. There may be more than these: `masks` says how many of the last
    are regions of interest, None that all are from the third on.

    Yields
    ------
    volumes, note
        The note says what differs, under ``geometry="warn"`` or because it is less than the tolerance.

    Raises
    ------
    VolumeError
        If a file cannot be read; GeometryError, a kind of it, if the volumes do not match.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(path if isinstance(path, Volume) else open_volume(path)) for path in paths]
        _check_axes(opened[:2], axes)
        volumes = on_one_lattice(opened)
        true, *others = volumes
        for _ in others:  # the last may have fewer axes than those before it, so that all are aligned once more
            for number, other in enumerate(others):
                true, others[number] = align(true, other, axes=axes, reorient=reorient)
            if all(each.geometry.shape == true.geometry.shape for each in others):
                break
        notes = [
            check_geometry(true.geometry, each.geometry, geometry, (true.path, each.path), geometry_tolerance)
            for each in others
        ]
        check_counterparts(volumes)
        for mask in others[1:] if masks is None else others[len(others) - masks :]:
            if mask.scaling is not None and mask.scaling[1] != 0:
                raise VolumeError(
                    f"{mask.path}: expected a region of interest, found one whose 0 stands for {mask.scaling[1]}"
                )
        yield [true, *others], "; ".join(note for note in notes if note is not None) or None


def _check_axes(volumes: list[Volume], axes: str | None) -> None:
    """Refuse what would throw masks of several channels together as one label map, unless somebody says what the axes are.

    One file that has them beside one without is refused for its shape.
    """
    problems = [_many(volume, axes) for volume in volumes]
    if all(problems):
        raise VolumeError(problems[0])


def _many(volume: Volume, axes: str | None) -> str | None:
    """Say which axes of a volume are none of a label map, as far as anybody knows; None where there are none."""
    shape, names = volume.geometry.shape, volume.geometry.axes
    if axes is not None and len(axes) == len(shape):
        return None
    channels = [n for name, n in zip(names, shape, strict=False) if volume.says_axes and name == "c" and n > 1]
    if channels:
        return (
            f"{volume.path}: expected one label for each voxel, found {channels[0]} channels (axes {names}): masks that may "
            f"overlap are read with channels (--channels)"
        )
    if sum(n > 1 for n in shape) <= 3 or volume.says_axes:
        return None
    letters = "uvctzyx"[-len(shape) :] if len(shape) != 4 else "tzyx"
    return (
        f"{volume.path}: expected labels along three axes at most, found the shape {shape}, and nothing that says what "
        f"its axes are: axes={letters!r} (--axes {letters}) takes it for label maps of several time points, channels "
        f"(--channels) for masks that may overlap"
    )


@contextmanager
def in_boxes(volumes: list[Volume], check: Callable[[], object] | None = None) -> Iterator[list[Volume]]:
    """Yield volumes that can be read in blocks; what had to be unpacked, with `check`, is deleted afterwards."""
    with ExitStack() as stack:
        yield [stack.enter_context(in_blocks(volume, check)) for volume in volumes]


@contextmanager
def side_by_side(volumes: list[Volume]) -> Iterator[list[Volume]]:
    """Yield volumes that `read_boxes` can read."""
    if same_stream(volumes):
        yield volumes
    else:
        with in_boxes(volumes) as blocks:
            yield blocks

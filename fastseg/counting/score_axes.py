"""Which axis of a file of scores is which axis of the truth."""

from __future__ import annotations

from fastseg.arrays.arguments import checked_axis
from fastseg.volumes import Geometry, VolumeError, check_geometry
from fastseg.volumes.sources import NNUNET, Source

__all__ = ["checked_place", "fit_axes", "scores_place"]


def scores_place(true: Source, pred: Source, channel_axis: int | None) -> Geometry | None:
    """Return where a file of scores lies, without the axis of its classes; None where it does not say, or that is not last."""
    axes, ndim = len(true.shape), len(pred.shape)
    if pred.geometry is None or channel_axis not in ((None, axes, -1) if ndim == axes + 1 else (None,)):
        return None
    return Geometry(pred.shape[:axes], pred.geometry.affine, pred.geometry.spacing[:axes], pred.geometry.axes[:axes])


def checked_place(
    true: Source, pred: Source, channel: int | None, policy: str, tolerance: float
) -> tuple[str, str | None]:
    """Compare the geometries of two files: what to note of that, and what to warn of."""
    if pred.geometry is None:
        return f"not compared: {pred.name} has none", None
    assert true.geometry is not None
    if channel is not None and channel != len(pred.shape) - 1:
        return "not compared: the classes are not along the last axis", None
    spatial = true.geometry.shape
    placed = Geometry(spatial, pred.geometry.affine, pred.geometry.spacing[: len(spatial)])
    note = check_geometry(true.geometry, placed, policy, (true.name, pred.name), tolerance)
    return ("not compared" if policy == "ignore" else note or "equal"), note


def fit_axes(true: Source, pred: Source, given: int | None, letters: str | None) -> tuple[int | None, bool]:
    """Return the axis of the classes, None for a single class without, and whether the other axes are reversed."""
    shape, spatial = pred.shape, true.shape
    axis = None if given is None else checked_axis(given, len(shape), "channel_axis")
    single = axis is None and len(shape) == len(spatial)
    if pred.geometry is not None and axis is None and not single:
        axis = len(shape) - 1
    orders = _orders(true, pred, letters)
    found = [
        (k, reverse)
        for k in ((None,) if single else range(len(shape)) if axis is None else (axis,))
        for reverse in orders
        if (shape if k is None else shape[:k] + shape[k + 1 :]) == (spatial[::-1] if reverse else spatial)
    ]
    if pred.key == NNUNET and _x_first(true) and (axis or 0, True) in found:
        return axis or 0, True
    if not _x_first(true) or axis is not None:
        found = [each for each in found if not each[1]] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise VolumeError(f"{pred.name}: expected one way to fit {_ways(true, pred, found, letters)}")
    along = "one axis more, of the classes" if axis is None else f"the classes along axis {axis}"
    said = "" if letters is None else f" (axes={letters!r})"
    raise VolumeError(f"{pred.name}: expected the shape {spatial} of {true.name} and {along}; found {shape}{said}")


def _ways(true: Source, pred: Source, found: list[tuple[int | None, bool]], letters: str | None) -> str:
    """Say in which ways scores fit the labels, and how to choose one."""
    fits = " or ".join(
        f"{'no channel axis' if k is None else f'channel axis {k}'} ({'reversed' if reverse else 'in order'})"
        for k, reverse in found
    )
    hints = []
    if true.geometry is not None and len({reverse for _, reverse in found}) > 1:
        names = true.geometry.axes
        hints.append(f"axes={names!r} or axes={names[::-1]!r} (--axes)")
    if all(k is not None for k, _ in found):
        others = "for the other axes in order" if letters is None else "besides axes"
        hints.append(f"channel_axis (--channel-axis), {others}")
    return f"the shape {pred.shape} to the reference's {true.shape}, found {fits}; say which with {' or '.join(hints)}"


def _x_first(true: Source) -> bool:
    """Tell whether the labels' axes are not in the order of arrays, so that an array's may be theirs or reversed."""
    return true.geometry is not None and true.geometry.axes.startswith("x")


def _orders(true: Source, pred: Source, letters: str | None) -> tuple[bool, ...]:
    """Return which orders the axes of scores may have: that of the labels' (False), the reverse (True), or either."""
    alike = true.shape == true.shape[::-1] and sum(n > 1 for n in true.shape) < 2  # reversed it is the same
    if pred.geometry is not None or alike:
        return (False,)
    if letters is None:
        return False, True
    names = letters if true.geometry is None else true.geometry.axes
    if letters not in (names, names[::-1]):
        raise VolumeError(f"{pred.name}: expected axes={names!r} or axes={names[::-1]!r}, found axes={letters!r}")
    return (letters != names,)

"""The figure that papers of segmentation have, of arrays: the image, and the truth and the prediction over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import SurfaceDistances
from fastseg.counts.farthest import farthest_element
from fastseg.report import pictures
from fastseg.report.overlays import Box, Plane, views_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_overlay"]

Array = npt.NDArray[Any]

#: Inches of a picture's longer side, and classes that the legend names.
_INCHES, _LEGEND = 2.6, 16


def plot_overlay(
    image: Any,
    y_true: Any,
    y_pred: Any,
    *,
    spacing: Sequence[float] | None = None,
    window: tuple[float, float] = (1.0, 99.0),
    fill: bool = False,
    names: Mapping[int, str] | None = None,
    surfaces: SurfaceDistances | None = None,
) -> Figure:
    """Draw an image, and the truth and the prediction over it, in the planes through the largest disagreement.

    Parameters
    ----------
    image : array_like of numbers
        With two or three axes.
    y_true, y_pred : array_like of integers or bool
        Label maps of the same shape; 0 is background.
    spacing : sequence of float, optional
        Millimetres from voxel to voxel along each axis: sides are as long as in the patient then, and a bar says how long.
    window : (float, float)
        Percentiles of the image's values in a plane that are black and white.
    fill : bool
        Whether classes are filled, and the image shines through, instead of outlined.
    names : mapping of int to str, optional
        Names of labels for the legend.
    surfaces : SurfaceDistances, optional
        What `fastseg.surface_distances` found of these maps, a single case: a ring marks where the largest finite distance of
        all classes is, in one more row where the planes do not show it.

    Returns
    -------
    figure : matplotlib.figure.Figure
        A row for each plane; columns are the image, the truth, the prediction. ``figure.savefig("overlay.png")`` writes it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If shapes differ, there are not two or three axes, labels are no integers, or an option is not what it should be;
        if `surfaces` are of several cases, of another shape, or do not know their places.

    Notes
    -----
    The planes are those that ``fastseg report`` shows, cropped to what is not background: through the place where most voxels
    disagree or, where none does, through the middle of the foreground.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.zeros((20, 20), int)
    >>> truth[5:15, 5:15] = 1
    >>> figure = plot_overlay(truth + np.random.default_rng(0).random((20, 20)), truth, np.roll(truth, 2, 0))
    >>> [axes.get_title() for axes in figure.axes]
    ['Image', 'Truth', 'Prediction']
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plot_overlay needs: pip install "fastseg-metrics[report]"') from error
    values, true, pred = _checked(image, y_true, y_pred)
    steps = _steps(spacing, values.ndim)
    limits = _percentiles(window)
    mark = None if surfaces is None else _farthest(surfaces, values.shape)
    planes = views_of(lambda: _boxes(values, true, pred, steps), "", mark).planes
    labels = np.unique(np.concatenate([np.unique(part) for plane in planes for part in (plane.true, plane.pred)]))
    colours = pictures.class_colours(label for label in labels.tolist() if label != 0)
    figure = Figure(figsize=(3 * _INCHES, len(planes) * _INCHES + 0.5), layout="constrained")
    for row, axes in zip(planes, figure.subplots(len(planes), 3, squeeze=False), strict=True):
        _draw(axes, row, colours, limits, fill, known=spacing is not None, titles=row is planes[0])
    _legend(figure, colours, names or {})
    return figure


def _checked(image: Any, y_true: Any, y_pred: Any) -> tuple[Array, Array, Array]:
    arrays = {"image": np.asarray(image), "y_true": np.asarray(y_true), "y_pred": np.asarray(y_pred)}
    shape = arrays["image"].shape
    if not 2 <= len(shape) <= 3 or not all(shape):
        raise ValueError(f"image: expected two or three axes, found the shape {shape}")
    for name, array in arrays.items():
        if array.shape != shape:
            raise ValueError(f"{name}: expected the shape of image, {shape}, found {array.shape}")
        if array.dtype.kind not in ("biuf" if name == "image" else "biu"):
            raise TypeError(f"{name}: expected {'numbers' if name == 'image' else 'integers'}, found {array.dtype}")
    return arrays["image"], arrays["y_true"], arrays["y_pred"]


def _farthest(surfaces: SurfaceDistances, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the index of the element with the largest finite distance, None where there is none."""
    if not isinstance(surfaces, SurfaceDistances):
        raise TypeError(f"surfaces: expected SurfaceDistances, found {type(surfaces).__name__}")
    if surfaces.farthest is None or surfaces.shape.tolist() != [[*shape]]:
        found = f"{surfaces.num_cases} case(s) of the shape(s) {surfaces.shape.astype(int).tolist()}"
        raise ValueError(
            f"surfaces: expected those of one case of the shape {[*shape]} that know their places, found {found}"
        )
    element = farthest_element(surfaces)
    return None if element is None else element.place


def _steps(spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    steps = (1.0,) * ndim if spacing is None else tuple(float(step) for step in spacing)
    if len(steps) != ndim or not all(0 < step < float("inf") for step in steps):
        raise ValueError(f"spacing: expected {ndim} numbers above 0, found {spacing!r}")
    return steps


def _percentiles(window: tuple[float, float]) -> tuple[float, float]:
    low, high = window
    if not 0 <= low < high <= 100:
        raise ValueError(f"window: expected two percentiles from 0 to 100, the lower first, found {window!r}")
    return low, high


def _boxes(image: Array, true: Array, pred: Array, spacing: tuple[float, ...]) -> Iterator[Box]:
    """Yield slabs along the first axis."""
    thick = max(1, (1 << 20) // max(1, image[:1].size))
    for first in range(0, len(image), thick):
        part = slice(first, first + thick)
        start = (first, *(0,) * (image.ndim - 1))
        one, other = (np.asarray(each[part], np.int64) for each in (true, pred))
        scored = np.ones(image[part].shape, bool)
        yield Box(one, other, scored, start, image.shape, spacing, np.asarray(image[part], np.float64))


def _draw(
    axes: Any, plane: Plane, colours: Mapping[int, str], limits: tuple[float, float], fill: bool, known: bool, titles: bool
) -> None:  # fmt: skip
    """Draw the three pictures of a plane."""
    assert plane.image is not None
    height, width = plane.size
    low, high = pictures.window(plane.image, limits)
    extent = (0.0, width, height, 0.0)
    for place, (title, labels) in enumerate((("Image", None), ("Truth", plane.true), ("Prediction", plane.pred))):
        ax = axes[place]
        ax.imshow(plane.image, cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="nearest")
        if labels is not None:
            ax.imshow(
                _rgba(labels if fill else pictures.outlined(labels), colours, fill),
                extent=extent,
                interpolation="nearest",
            )
        ax.set(xticks=[], yticks=[])
        if titles:
            ax.set_title(title, fontsize=9)
        if plane.mark is not None:
            style = {"markerfacecolor": "none", "markeredgecolor": "#e4002b"}
            ax.plot([plane.mark[1]], [plane.mark[0]], "o", markersize=9, gid="farthest", **style)
    if plane.axis is not None:
        axes[0].set_ylabel(f"{plane.name} = {plane.index}", fontsize=8)
    if known:
        from fastseg.report.worst_cases import round_length

        mm = round_length(width / 3)
        left, low = 0.04 * width, 0.94 * height
        axes[0].plot([left, left + mm], [low, low], color="white", linewidth=2, gid="bar")
        axes[0].text(left, 0.9 * height, f"{mm:g} mm", color="white", fontsize=7)


def _rgba(labels: Array, colours: Mapping[int, str], fill: bool) -> Array:
    """Return the colours of labels, transparent where there is none."""
    pixels = np.zeros((*labels.shape, 4), np.float64)
    for label, colour in colours.items():
        red, green, blue = bytes.fromhex(colour[1:])
        pixels[labels == label] = (red / 255, green / 255, blue / 255, 0.45 if fill else 1.0)
    return pixels


def _legend(figure: Figure, colours: Mapping[int, str], names: Mapping[int, str]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=colour, label=names.get(label, str(label))) for label, colour in [*colours.items()][:_LEGEND]
    ]
    if patches:
        figure.legend(
            handles=patches, loc="outside lower center", ncols=min(len(patches), 6), fontsize=7, frameon=False
        )

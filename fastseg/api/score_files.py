"""Files of probabilities or logits in, their sums or scores out, a slab of the volume at a time."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.api.table import Scores
from fastseg.arrays import labels as inputs
from fastseg.arrays.option_names import check_options
from fastseg.arrays.scores import score_inputs
from fastseg.counting.scores import sum_score_inputs, underflow_note
from fastseg.counting.stored_labels import TOLERANCE, Path
from fastseg.counting.threads import checked_threads, get_num_threads
from fastseg.counts import LabelCounts, ScoreSums
from fastseg.labels.choices import choose_labels
from fastseg.labels.tables import LabelTable
from fastseg.metrics.losses import cross_entropy, soft_dice_loss
from fastseg.metrics.scores import brier_score
from fastseg.volumes import Geometry, VolumeError, check_geometry
from fastseg.volumes.sources import NNUNET, Source, held, open_array

__all__ = ["evaluate_score_files", "holds_scores", "sum_files"]

Array = npt.NDArray[Any]

#: Arguments that messages about arrays name, and the options that set them.
_OPTIONS = {"activation='softmax' or 'sigmoid'": "--activation", "ignore_index=": "--ignore"}

#: Bytes of scores and labels that are read and summed at once.
SLAB_BYTES = 16 << 20


def sum_files(
    reference: Path,
    prediction: Path,
    *,
    activation: str | None = None,
    channel_axis: int | None = None,
    axes: str | None = None,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    quantities: str | Iterable[str] | None = None,
    bins: int | None = None,
    scale: float | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreSums:
    """Sum the scores of a file of probabilities or logits against a file of labels, a slab at a time.

    Parameters
    ----------
    reference : path
        A label volume (NIfTI); where the prediction is an .npy or .npz file, an .npy or .npz label map will do too.
    prediction : path
        A 4-D NIfTI file (x, y, z, class), or an .npy or .npz file of one array. Of several arrays in an .npz file
        "probabilities" is taken, unless ``file.npz::name`` names another: nnU-Net's, (class, z, y, x) for a NIfTI reference
        of (x, y, z). An array of the reference's shape is a single class.
    activation
        None: probabilities. "softmax" or "sigmoid": logits.
    channel_axis
        The axis of the classes; default the last of a NIfTI file, and of an array the one that is left when the others are
        the reference's, in order or reversed. Where both orders fit, an array that is not nnU-Net's is taken to be in order
        if `channel_axis` is given, and refused otherwise.
    axes
        A letter for each axis of an array but that of the classes, such as "zyx" beside a NIfTI file of (x, y, z): says
        which of the two orders it is, also where both fit. Files that name their axes keep them.
    ignore_index, quantities, bins, scale
        As in `fastseg.sum_scores`.
    mask : array_like of bool or integers, optional
        Region of interest, of the reference's shape.
    geometry
        What to do where the affines of two NIfTI files differ; arrays have none, and are not compared.
    threads
        How many threads to use; default `fastseg.get_num_threads`.
    warn
        Receives the sentence about a difference in geometry under "warn"; default `warnings.warn`.
    progress
        Called with the voxels summed so far and all voxels.

    Returns
    -------
    sums : ScoreSums

    Raises
    ------
    VolumeError
        If a file cannot be read, is truncated or corrupt; GeometryError, a kind of it, if the volumes do not match.
    ValueError
        If labels or scores are not what `sum_scores` takes; the message names the file and the index.

    Notes
    -----
    Memory holds a slab of 16 MiB, whatever the size of the volume, if the file is not compressed or each voxel's classes
    lie side by side in a C-ordered array. Compressed volumes of one class after another (.nii.gz, nnU-Net's .npz) cannot be
    read so: they are unpacked once, in memory if that takes at most 256 MiB, else to a temporary file, which is deleted at
    the end. The same goes for labels whose voxel order is not that of the scores.
    """
    return _sum(
        reference, prediction, activation=activation, channel_axis=channel_axis, axes=axes, ignore_index=ignore_index,
        mask=mask, quantities=quantities, bins=bins, scale=scale, geometry=geometry, threads=threads, warn=warn,
        progress=progress,
    )[0]  # fmt: skip


def evaluate_score_files(
    reference: Path,
    prediction: Path,
    *,
    labels: LabelTable | Mapping[int, str] | Sequence[int] | Path | None = None,
    regions: Mapping[str, int | Sequence[int]] | Path | None = None,
    metrics: str | Sequence[str] | None = None,
    zero_division: float = float("nan"),
    ignore_index: int | Sequence[int] | None = None,
    unknown: Literal["raise", "count"] = "raise",
    **options: Any,
) -> Scores:
    """Compute the scores of a file of probabilities or logits: of the most probable labels, and of the probabilities.

    Parameters
    ----------
    reference, prediction : path
        As in `sum_files`.
    labels, regions
        What is scored of the most probable labels, as in `fastseg.labels.choices.choose_labels`.
    metrics, zero_division
        As in `fastseg.evaluate`.
    ignore_index
        True labels that are not scored, as in `fastseg.count_labels`: they have no row, and no mean is over them. Default: the
        ignore label of an nnU-Net dataset.json.
    unknown
        What the file's classes are that are not among declared labels: an error, or, where they are the most probable,
        misses of the true class.
    **options
        The other arguments of `sum_files`, but for quantities and bins.

    Returns
    -------
    scores : Scores
        Of the most probable labels; ``scores.extra`` has the mean soft Dice coefficient of the classes ("soft_dice"),
        "cross_entropy" and "brier_score", of all classes that the file has. ``scores.files`` says what was read, and how.
    """
    allowed = set(inspect.signature(sum_files).parameters) - {"quantities", "bins"}
    check_options("evaluate_score_files", options, allowed)
    if unknown not in ("raise", "count"):
        raise ValueError(f"unknown: expected 'raise' or 'count', found {unknown!r}")
    ignore = None if ignore_index is None else inputs.integers(ignore_index, "ignore_index").tolist()
    chosen = choose_labels(labels=labels, regions=regions, ignore=ignore)
    wanted = ("dice", "cross_entropy", "brier", "argmax")
    sums, files, voxel_ml = _sum(
        reference, prediction, ignore_index=chosen.ignore or None, quantities=wanted, **options
    )
    assert sums.argmax_counts is not None
    counts = _declared(sums.argmax_counts, chosen.declared, unknown, (files["reference"], files["prediction"]))
    return Scores(
        counts,
        metrics=metrics,
        names=chosen.names,
        zero_division=zero_division,
        voxel_ml=voxel_ml,
        files=files,
        extra={
            "soft_dice": 1.0 - float(soft_dice_loss(sums)) if sums.total.any() else float("nan"),
            "cross_entropy": float(cross_entropy(sums)),
            "brier_score": float(brier_score(sums)),
        },
        regions=chosen.regions,
    )


def _declared(counts: LabelCounts, labels: Sequence[int] | None, unknown: str, names: tuple[str, str]) -> LabelCounts:
    """Return the counts of declared labels; predictions of others are misses of the true label, or an error."""
    if labels is None:
        return counts
    declared = np.isin(counts.labels, labels)
    true = counts.matrix.sum((0, 2)) > 0
    wrong = counts.labels[~declared & (true if unknown == "count" else True)].tolist()
    if wrong and unknown == "count":
        raise ValueError(f"{names[0]}: expected labels among {tuple(labels)}, found {wrong} too")
    if wrong:
        raise ValueError(f"{names[1]}: expected scores of the labels {tuple(labels)}, found {wrong} too")
    kept = counts.select(counts.labels[declared].tolist())
    lacking = [label for label in labels if label not in kept.labels]
    wider = ((0, 0), (0, len(lacking)))
    matrix, missed = np.pad(kept.matrix, (*wider, wider[1])), np.pad(kept.unknown, wider)
    return LabelCounts(
        np.append(kept.labels, lacking).astype(np.int64), True, matrix, missed, kept.voxels, kept.ignored
    ).select(list(labels))


def holds_scores(reference: Path, prediction: Path) -> bool:
    """Tell whether a prediction is a file of scores: one of nnU-Net's, or one that has an axis of several classes besides.

    An array of the reference's shape is a label map, also one of floats: that it holds the scores of a single class is for
    people to say, by naming an activation or the axis of the classes.

    Parameters
    ----------
    reference, prediction : path
        As in `fastseg.count_files`; both are opened, and only their headers are read.

    Raises
    ------
    VolumeError
        If a file cannot be read.
    """
    with ExitStack() as stack:
        spatial = stack.enter_context(open_array(reference)[0]).geometry.shape
        volume, key = open_array(prediction)
        shape = stack.enter_context(volume).geometry.shape
        if not volume.streams or len(shape) <= len(spatial):
            return False
        if volume.geometry.axes:
            return len(shape) == 4 and shape[-1] > 1 and shape[:-1] == spatial
        return key == NNUNET or sum(n > 1 for n in shape) > sum(n > 1 for n in spatial)


def _sum(
    reference: Path,
    prediction: Path,
    *,
    activation: str | None = None,
    channel_axis: int | None = None,
    axes: str | None = None,
    ignore_index: Any = None,
    mask: Any = None,
    quantities: Any = None,
    bins: int | None = None,
    scale: float | None = None,
    geometry: str = "error",
    threads: int | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ScoreSums, dict[str, Any], float | None]:
    if geometry not in ("error", "warn", "ignore"):
        raise ValueError(f"geometry: expected one of error, warn, ignore, found {geometry!r}")
    threads = get_num_threads() if threads is None else checked_threads(threads, "threads")
    wanted = quantities if quantities is None or isinstance(quantities, str) else tuple(quantities)
    axes = inputs.axis_letters(axes)
    with ExitStack() as stack:
        true = Source(stack, reference)
        pred = Source(stack, prediction, lambda: progress and progress(0, prod(true.shape)))
        if true.geometry is None and pred.geometry is not None:
            raise VolumeError(
                f"{true.name}: expected a NIfTI file, as {pred.name} is one, found an array without a place"
            )
        if axes is not None and len(axes) != len(true.shape):
            raise ValueError(
                f"axes: expected a letter for each of the {len(true.shape)} axes of labels, found {axes!r}"
            )
        channel, reverse = _axes(true, pred, channel_axis, axes)
        place, note = _checked_place(true, pred, channel, geometry)
        _warn(note, warn)
        pair = _Pair(stack, true, pred, channel, reverse, inputs.checked_mask(mask, true.shape), scale)
        options = {"activation": activation, "ignore_index": ignore_index, "quantities": wanted, "bins": bins}
        sums: ScoreSums | None = None
        summed, voxels = 0, prod(true.shape)
        for block in inputs.blocks(pair.shape, pair.most):
            part = pair.sum(block, options, threads)
            sums = part if sums is None else sums.merge(part)
            summed += int(part.voxels.sum())
            if progress is not None:
                progress(summed, voxels)
        pair.finish()
        files = {
            "reference": true.name,
            "prediction": pred.name,
            "shape": list(true.shape),
            "spacing_mm": None if true.geometry is None else [float(step) for step in true.geometry.spacing],
            "geometry": place,
            "channel_axis": channel,
            "activation": activation or "none",
        }
        assert sums is not None
        _warn(underflow_note(sums, pred.dtype, activation, pred.name), warn)
        return sums, files, None if true.geometry is None else true.geometry.voxel_volume_ml


def _warn(note: str | None, warn: Callable[[str], None] | None) -> None:
    if note is not None and warn is not None:
        warn(note)
    elif note is not None:
        import warnings

        warnings.warn(note, stacklevel=4)


def _checked_place(true: Source, pred: Source, channel: int | None, policy: str) -> tuple[str, str | None]:
    """Compare the geometries of two files: what to note of that, and what to warn of."""
    if pred.geometry is None:
        return f"not compared: {pred.name} has none", None
    assert true.geometry is not None
    if channel is not None and channel != len(pred.shape) - 1:
        return "not compared: the classes are not along the last axis", None
    spatial = true.geometry.shape
    placed = Geometry(spatial, pred.geometry.affine, pred.geometry.spacing[: len(spatial)])
    note = check_geometry(true.geometry, placed, policy, (true.name, pred.name))
    return ("not compared" if policy == "ignore" else note or "equal"), note


def _axes(true: Source, pred: Source, given: int | None, letters: str | None) -> tuple[int | None, bool]:
    """Return the axis of the classes, None for a single class without, and whether the other axes are reversed."""
    shape, spatial = pred.shape, true.shape
    axis = None if given is None else inputs.checked_axis(given, len(shape), "channel_axis")
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


class _Pair:
    """A file of labels and one of scores, both looked at in the memory order of the scores.

    `channel` is the axis of the classes in that order, and the labels' axes are turned so that they fit the others.
    """

    def __init__(
        self,
        stack: ExitStack,
        true: Source,
        pred: Source,
        channel: int | None,
        reverse: bool,
        mask: Array | None,
        scale: float | None,
    ) -> None:
        self.true, self.pred = true, pred
        self.channel = channel if channel is None or pred.order == "C" else len(pred.shape) - 1 - channel
        self.shape = tuple(size for axis, size in enumerate(pred.stored_shape) if axis != self.channel)
        self.turned = (pred.order == "F") != reverse  # whether the labels' axes are to be reversed
        self.mask = mask if mask is None or not self.turned else mask.T
        scaling = pred.scaling
        if scaling and scale is not None:
            raise ValueError(f"scale: expected None, as {pred.name} has a scale of its own, found {scale}")
        if scaling and pred.dtype.kind != "f" and scaling[0] > 0 and scaling[1] == 0:
            scale = 1 / scaling[0]  # kernels do that, and allow sums to one the rounding of integers
            scaling = None
        self.scaling, self.scale = scaling, scale
        classes = 1 if self.channel is None else pred.stored_shape[self.channel]
        item = pred.dtype.itemsize + (8 if scaling else 0)
        self.most = max(1, SLAB_BYTES // max(1, classes * item + 8))
        first = next(inputs.blocks(self.shape, self.most), ())
        in_turn = self.channel is None or self.channel >= len(first) or classes == 1
        self.scores = pred.in_turn() if in_turn else pred.anywhere(stack)
        same_order = self.turned == (true.order == "F")
        if same_order:
            self.labels = true.in_turn()
        else:
            self.labels = held(true.anywhere(stack, mapped=True))

    def sum(self, block: tuple[slice, ...], options: Mapping[str, Any], threads: int) -> ScoreSums:
        """Sum a slab."""
        scores = list(block)
        if self.channel is not None and self.channel < len(scores):
            scores.insert(self.channel, slice(None))
        labels, values = self.labels(block), self.scores(tuple(scores))
        if self.true.scaling is not None or labels.dtype.kind == "f":
            labels = _rounded(labels, self.true.scaling)
        if self.scaling is not None:
            real = np.float32 if values.dtype.itemsize <= 2 else np.float64
            values = np.multiply(values, self.scaling[0], dtype=real) + real(self.scaling[1])
        mask = None if self.mask is None else self.mask[block]
        try:
            given = score_inputs(labels, values, channel_axis=self.channel, mask=mask, scale=self.scale, **options)
            return sum_score_inputs(given, threads=threads)
        except (ValueError, TypeError) as error:
            raise type(error)(self._placed(str(error), block, labels.shape != self.shape)) from None

    def _placed(self, message: str, block: tuple[slice, ...], partial: bool) -> str:
        """Name the file in a message about a slab, and turn its index into one of the file."""
        name, colon, rest = message.partition(": ")
        file = {"y_true": self.true, "y_score": self.pred}.get(name)
        if not colon or file is None:
            return message
        starts = [part.start for part in block] + [0] * (len(self.shape) - len(block))

        def whole(match: re.Match[str]) -> str:
            index = [int(number) for number in re.findall(r"\d+", match[1])]
            offsets = list(starts)
            if len(index) > len(offsets) and self.channel is not None:
                offsets.insert(self.channel, 0)
            index = [i + offset for i, offset in zip(index, offsets, strict=True)]
            backwards = self.turned if file is self.true else self.pred.order == "F"
            return f"index {tuple(index[::-1] if backwards else index)}"

        for argument, option in _OPTIONS.items():
            rest = rest.replace(argument, f"{argument} ({option})")
        rest, times = re.subn(r"index \(([\d, ]*)\)", whole, rest)
        slab = " (the number is that of a part of the volume)" if partial and times else ""
        return f"{file.name}: {rest}{slab}"

    def finish(self) -> None:
        """Read to the end of both files, through every checksum."""
        self.true.finish()
        self.pred.finish()


def _rounded(labels: Array, scaling: tuple[float, float] | None) -> Array:
    """Return stored labels as they are meant, rounded where that is rounding noise."""
    slope, intercept = scaling or (1.0, 0.0)
    with np.errstate(all="ignore"):
        real = labels.astype(np.float64) * slope + intercept
        whole = np.round(real)
        return np.where(np.abs(real - whole) <= TOLERANCE, whole, real)

"""Files of probabilities or logits in, their sums or scores out, a slab of the volume at a time."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.api.table import Scores
from fastseg.arrays.arguments import integers
from fastseg.arrays.option_names import check_options, explained
from fastseg.counting.score_files import sum_pair
from fastseg.counts import LabelCounts, ScoreSums
from fastseg.labels.choices import LabelChoices, choose_labels
from fastseg.labels.tables import LabelTable
from fastseg.metrics.losses import cross_entropy, soft_dice_loss
from fastseg.metrics.scores import brier_score
from fastseg.volumes.geometry import TOLERANCE
from fastseg.volumes.paths import Path, named

__all__ = ["evaluate_score_files", "score_files", "sum_files"]

Array = npt.NDArray[Any]


@explained
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
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
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
    geometry_tolerance
        As in `fastseg.count_files`.
    reorient
        Take the two files as flipped and permuted to lie alike, where that is all that differs.
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

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> p = np.array([[0.1, 0.6], [0.8, 0.8]], np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     true, scores = Path(folder, "true.npy"), Path(folder, "scores.npy")
    ...     np.save(true, np.array([[0, 0], [1, 1]]))
    ...     np.save(scores, np.stack([1 - p, p], axis=-1))
    ...     sums = sum_files(true, scores, channel_axis=-1)
    >>> sums.true_pred.round(2).tolist(), sums.argmax_counts.matrix.tolist()
    ([[1.3, 1.6]], [[[1, 1], [0, 2]]])
    """
    return sum_pair(
        reference, prediction, activation=activation, channel_axis=channel_axis, axes=axes, ignore_index=ignore_index,
        mask=mask, quantities=quantities, bins=bins, scale=scale, geometry=geometry,
        geometry_tolerance=geometry_tolerance, reorient=reorient, threads=threads,
        warn=warn, progress=progress,
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
        What is scored of the most probable labels, as in `fastseg.evaluate_files`.
    metrics, zero_division
        As in `fastseg.evaluate`.
    ignore_index
        True labels that are not scored, as in `fastseg.count_labels`: they have no row, and no mean is over them. Default: the
        ignore label of an nnU-Net dataset.json.
    unknown
        What to do with classes of the file that are not among the declared labels: "raise" is an error, "count" makes them
        misses of the true class where they are the most probable.
    **options
        The other arguments of `sum_files`, but for quantities and bins.

    Returns
    -------
    scores : Scores
        Of the most probable labels; ``scores.extra`` has the mean soft Dice coefficient of the classes ("soft_dice"),
        "cross_entropy" and "brier_score", of all classes that the file has. ``scores.files`` says what was read, and how.

    Raises
    ------
    VolumeError, ValueError, TypeError
        As `sum_files` and `evaluate_files` do.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> p = np.array([[0.1, 0.6], [0.8, 0.8]], np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     true, scores = Path(folder, "true.npy"), Path(folder, "scores.npy")
    ...     np.save(true, np.array([[0, 0], [1, 1]]))
    ...     np.save(scores, np.stack([1 - p, p], axis=-1))
    ...     found = evaluate_score_files(true, scores, channel_axis=-1)
    >>> found["dice"].round(3).tolist(), {name: round(value, 3) for name, value in found.extra.items()}
    ([0.667, 0.8], {'soft_dice': 0.865, 'cross_entropy': 0.367, 'brier_score': 0.225})
    """
    allowed = set(inspect.signature(sum_files).parameters) - {"quantities", "bins"}
    check_options("evaluate_score_files", options, allowed)
    if unknown not in ("raise", "count"):
        raise ValueError(f"unknown: expected 'raise' or 'count', found {unknown!r}")
    ignore = None if ignore_index is None else integers(ignore_index, "ignore_index").tolist()
    chosen = choose_labels(labels=labels, regions=regions, ignore=ignore)
    return score_files(
        reference, prediction, chosen, metrics=metrics, zero_division=zero_division, unknown=unknown, **options
    )


def score_files(
    reference: Path,
    prediction: Path,
    chosen: LabelChoices,
    *,
    metrics: str | Sequence[str] | None = None,
    zero_division: float = float("nan"),
    unknown: str = "raise",
    roi: Path | None = None,
    **options: Any,
) -> Scores:
    """Compute what `evaluate_score_files` does, of labels that were chosen already.

    Parameters
    ----------
    reference, prediction, metrics, zero_division, unknown, **options
        As in `evaluate_score_files`; the activation may be "none".
    chosen
        What was said of labels; nothing of scores can be mapped.
    roi
        None: scores have no region of interest yet.

    Raises
    ------
    ValueError
        If something is said that only label volumes have.
    """
    holder = named(os.fsdecode(prediction))
    if chosen.map_prediction:
        raise ValueError(
            f"map_prediction: as prediction_labels, for label volumes, not for scores, which {holder} holds"
        )
    if roi is not None:
        raise ValueError(f"roi: for label volumes, not for scores, which {holder} holds")
    if options.get("activation") == "none":
        options["activation"] = None
    wanted = ("dice", "cross_entropy", "brier", "argmax")
    sums, files, voxel_ml = sum_pair(
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

"""Sums over scores: cuts the work into jobs, runs a backend's counters on threads and folds their results in order."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.diagnosis import Rejected, explain_scores
from fastseg.arrays.option_names import explained
from fastseg.arrays.score_spans import ScoreLayout
from fastseg.arrays.scores import ScoreInputs, score_inputs
from fastseg.counting.labels import SMALL, LabelTotals, check_sums, counter_of, run_layouts
from fastseg.counts import COUNTED, OUTSIDE, LabelCounts
from fastseg.counts.scores import ScoreSums
from fastseg.kernels.protocols.labels import Pairs, Span, Square
from fastseg.kernels.protocols.scores import ScoreOptions, ScoreSpan, ScoreTally

__all__ = ["sum_score_inputs", "sum_scores", "underflow_note", "warn_of_underflow"]

Array = npt.NDArray[Any]


@explained
def sum_scores(
    y_true: Any,
    y_score: Any,
    *,
    channel_axis: int | None = -1,
    activation: str | None = None,
    sample_axis: int | None = None,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    quantities: str | Iterable[str] | None = None,
    bins: int | None = None,
    focal_gamma: float | None = None,
    scale: float | None = None,
    backend: str = "auto",
) -> ScoreSums:
    """Sum all that losses and metrics of scores need, in one pass over probabilities or logits.

    Parameters
    ----------
    y_true : array_like
        Either a label map: the scores' shape without the channel axis, labels 0..C-1 of any integer type (bool, or floats
        that hold whole numbers, too); for a single class labels 0 and 1. Or a one-hot or soft (probabilistic) truth of the
        scores' shape, of any real type, values in [0, 1].
    y_score : array_like
        Scores of C classes: float16, bfloat16, float32, float64, bool, or integers (see `scale`), in any memory order.
    channel_axis
        The axis of the classes in y_score; None where there is a single class without such an axis (then a truth of
        integers is a label map, one of floats is soft).
    activation
        None: the scores are probabilities. "softmax" or "sigmoid": they are logits (-inf is a masked class).
    sample_axis
        The axis of y_score that separates samples, whose sums are kept apart. Without it, all is one sample.
    ignore_index
        True labels whose voxels are not looked at (label maps only). One that is a class keeps its place in all sums, and
        tables have no row for it. Losses are over all C classes nevertheless.
    mask : array_like of bool or integers, optional
        Region of interest, of the scores' shape without the channel axis: voxels where it is zero are not looked at.
    sample_weight : array_like, optional
        A weight for each voxel, of that shape too: 0, or from 1e-30 to 1e30. Every sum is then a sum of weighted terms.
    class_weight : array_like of shape (C,), optional
        Kept in the result: losses use it unless they are given another.
    label_smoothing
        Kept in the result likewise; other than 0 it asks for the quantity "smoothing".
    quantities
        What to sum, by names from `fastseg.counts.scores.QUANTITIES`, or "all" (but for bins); default cross-entropy, the
        sums of soft Dice, and the matrix of the most probable labels: ``("cross_entropy", "dice", "argmax")``.
    bins
        Number of equal bins of [0, 1] for calibration and thresholds; asks for the quantity "bins".
    focal_gamma
        The exponent of the focal loss, default 2; asks for the quantity "focal".
    scale
        What integer scores are divided by: 100 for percentages, 255 for bytes.
    backend
        "auto", "numba" or "numpy" (the reference).

    Returns
    -------
    sums : ScoreSums

    Raises
    ------
    TypeError
        If an argument is of a type that cannot be summed.
    ValueError
        If shapes differ, labels are outside the classes, scores are NaN or +inf (or all logits of a voxel -inf),
        probabilities are outside [0, 1] by more than 0.001 or, where the quantity needs it, do not sum to one; the
        message says how many, and the index and value of the first.

    Notes
    -----
    Sums are of float32 terms, in float64 from a few hundred voxels on: the relative error is below 1e-6 at any size, also
    of tiny losses. Probabilities below 1.2e-38 count as 0. Those of float16 are 0 below 6e-8: where that makes cross-entropy
    infinite, a warning says so. Logits may be any finite numbers: their losses are infinite only where float64 is, that
    is where two logits lie more than 1.8e308 apart or the sum over the voxels exceeds it.

    Images of other libraries are taken as in `count_labels`; `channel_axis` and `sample_axis` may be names of the dims of a
    DataArray of scores. The components of a SimpleITK vector image are its last axis.

    Examples
    --------
    >>> sums = sum_scores([0, 1], [[0.75, 0.25], [0.5, 0.5]])
    >>> sums.true_pred.tolist(), sums.argmax_counts.matrix[0].tolist()
    ([[0.75, 0.5]], [[1, 0], [1, 0]])
    """
    given = score_inputs(
        y_true,
        y_score,
        channel_axis=channel_axis,
        activation=activation,
        sample_axis=sample_axis,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        quantities=quantities,
        bins=bins,
        focal_gamma=focal_gamma,
        scale=scale,
    )
    sums = sum_score_inputs(given, backend=backend)
    warn_of_underflow(given, sums)
    return sums


def underflow_note(sums: ScoreSums, dtype: np.dtype[Any], activation: str | None, name: str = "y_score") -> str | None:
    """Say why sums of logarithms are infinite where the probabilities' own type explains it; None where it does not."""
    logarithms = (sums.cross_entropy, sums.focal, sums.negative_log)
    half = dtype.kind == "f" and dtype.itemsize == 2
    if not half or activation is not None or not any(s is not None and np.isinf(s).any() for s in logarithms):
        return None
    return (
        f"{name}: cross-entropy is infinite, as probabilities that matter are 0; float16 has none between 0 and 6e-8: give "
        "the logits (activation=), or probabilities that were never float16"
    )


def warn_of_underflow(given: ScoreInputs, sums: ScoreSums) -> None:
    """Warn where sums are infinite because float16 has rounded probabilities to 0."""
    note = underflow_note(sums, given.y_score.dtype, given.options.activation)
    if note is not None:
        warnings.warn(note, stacklevel=3)


def sum_score_inputs(given: ScoreInputs, *, backend: str = "auto", threads: int | None = None) -> ScoreSums:
    """Sum scores; the inputs are checked already."""
    module = counter_of(backend)
    options, samples = given.options, given.num_samples
    totals = ScoreTotals(given)

    def layout(n: int) -> ScoreLayout:
        return ScoreLayout(
            *given.sample(n), given.scale, (options.score_bfloat16, options.true_bfloat16), samples=samples
        )

    if given.voxels:
        # Counts of labels are integers, which may be folded in any order: those of one sample stay in the tables.
        keep = samples == 1 and given.weight is None and given.voxels * options.channels > SMALL
        try:
            run_layouts(
                samples,
                given.voxels * options.channels,
                layout,
                lambda: _Counter(module, options, keep),
                totals.labels.square,
                False,
                totals.add,
                threads,
            )
        except Rejected:
            explain_scores(given)
    return totals.finish(given.voxels)


class _Counter:
    """A backend's two counters of one thread: of scores, and of the labels beside them."""

    def __init__(self, module: Any, options: ScoreOptions, keep: bool) -> None:
        self.module, self.options, self.keep = module, options, keep
        self.pairs: Any = None

    def __enter__(self) -> _Counter:
        self.stack = ExitStack()
        self.scores = self.stack.enter_context(self.module.ScoreCounter(self.options))
        self.full: list[Pairs | Square] = []
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.stack.__exit__(*exc_info)

    def update(self, span: ScoreSpan) -> bool:
        """Count one span; always True."""
        true, predicted = self.scores.update(span)
        if not self.options.soft:
            true = span.truth
        if true is not None:
            labels = Span(
                (true, true if predicted is None else predicted, span.mask, span.weight), 1, true.size, (0,) * 4
            )
            if self.pairs is None:
                types = (labels.arrays[0].dtype, labels.arrays[1].dtype)
                self.pairs = self.stack.enter_context(self.module.PairCounter(*types))
            while not self.pairs.update(labels):
                self.full.append(self.pairs.take())
        return True

    def take(self, classes: int | None = None) -> tuple[ScoreTally, list[Pairs | Square]]:
        """Return what was counted since the last call, but for labels that are kept to the end."""
        self.classes = classes
        if self.pairs is not None and not self.keep:
            self.full.append(self.pairs.take(classes))
        full, self.full = self.full, []
        return self.scores.take(), full

    def leftover(self) -> tuple[ScoreTally, list[Pairs | Square]]:
        """Return the labels that were kept."""
        kept = self.keep and self.pairs is not None
        return ScoreTally({}, 0), [self.pairs.take(self.classes)] if kept else []


class ScoreTotals:
    """Tallies of scores and labels, folded into the sums of each sample."""

    def __init__(self, given: ScoreInputs) -> None:
        options = given.options
        self.options, self.weighted = options, given.weight is not None
        self.labels = LabelTotals(given.num_samples, given.classes, "raise", self.weighted)
        self.sums = ScoreSums.zeros(
            options.channels,
            quantities=sorted(options.quantities - {"argmax"}),
            cases=given.num_samples,
            binary=options.binary,
            soft=options.soft,
            bins=options.bins,
            class_weight=given.class_weight,
            label_smoothing=given.label_smoothing,
            focal_gamma=options.focal_gamma if "focal" in options.quantities else None,
        )
        options_too = {"class_weight", "ignored"}
        names = (f for f in vars(self.sums) if isinstance(getattr(self.sums, f), np.ndarray) and f not in options_too)
        self.arrays: dict[str, Array] = {name: getattr(self.sums, name).copy() for name in names}

    def add(self, results: list[tuple[int, tuple[ScoreTally, list[Pairs | Square]]]]) -> None:
        """Fold in the parts of some samples; raise `Rejected` if something in them is not allowed."""
        for sample, (tally, pairs) in results:
            for part in pairs:
                self.labels.add(sample, part)
            if tally.bad:
                raise Rejected
            for name, sums in tally.sums.items():
                if name == "counted":
                    self.arrays["voxels"][sample, COUNTED] += int(sums)
                elif name == "outside":
                    self.arrays["voxels"][sample, OUTSIDE] += int(sums)
                else:
                    self.arrays[name][sample] += sums

    def finish(self, given: int) -> ScoreSums:
        """Return the sums, having checked that every voxel of each sample has gone somewhere."""
        options, arrays = self.options, self.arrays
        counts: LabelCounts | None = None
        if not options.soft or "argmax" in options.quantities:
            counts = self.labels.finish(given)
        if not options.soft:
            assert counts is not None
            true = counts.matrix.sum(2).astype(np.float64)
            arrays["true"] = true[:, 1:] if options.channels == 1 else true
            arrays["total"] = true.sum(1)
            arrays["voxels"] = counts.voxels.copy()
            if "true_squared" in arrays:
                arrays["true_squared"] = arrays["true"].copy()
        if (arrays["voxels"].sum(1) != given).any():
            raise RuntimeError("voxels were lost or counted twice; this is a defect in fastseg, please report it")
        if self.weighted:
            check_sums(arrays["total"])
        values = {name: getattr(self.sums, name) for name in vars(self.sums)}
        values["ignored"] = self.labels.classes.without_score
        values["argmax_counts"] = counts if "argmax" in options.quantities else None
        return ScoreSums(**{**values, **arrays})

"""Sums over scores: cuts the work into jobs, runs a backend's counters on threads and folds their results in order."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.diagnosis import Rejected, explain_scores
from fastseg.arrays.score_spans import ScoreLayout
from fastseg.arrays.scores import ScoreInputs
from fastseg.counting.device_scores import sum_on_device
from fastseg.counting.jobs import SMALL, check_compute, check_sums, run_layouts
from fastseg.counting.labels import LabelTotals
from fastseg.counts import COUNTED, OUTSIDE, LabelCounts
from fastseg.counts.late import late
from fastseg.counts.scores import ScoreSums, zeros_of
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Declared, Pairs, Span, Square
from fastseg.kernels.protocols.scores import ScoreOptions, ScoreSpan, ScoreTally

__all__ = ["sum_score_inputs", "underflow_note", "warn_of_underflow"]

Array = npt.NDArray[Any]


def underflow_note(sums: ScoreSums, dtype: np.dtype[Any], activation: str | None, name: str = "y_score") -> str | None:
    """Say why sums of logarithms are infinite where the probabilities' own type explains it; None where it does not."""
    logarithms = (sums.cross_entropy, sums.focal, sums.focal_others, sums.negative_log)
    half = dtype.kind == "f" and dtype.itemsize == 2
    if not half or activation is not None or not any(s is not None and np.isinf(s).any() for s in logarithms):
        return None
    return (
        f"{name}: cross-entropy is infinite, as probabilities that matter are 0; float16 has none between 0 and 6e-8: give "
        "the logits (activation=), or probabilities that were never float16"
    )


def warn_of_underflow(given: ScoreInputs, sums: ScoreSums) -> None:
    """Warn where sums are infinite because float16 has rounded probabilities to 0."""
    if given.options.activation is not None:
        return
    note = underflow_note(sums, given.y_score.dtype, given.options.activation)
    if note is not None:
        warnings.warn(note, stacklevel=3)


def sum_score_inputs(
    given: ScoreInputs, *, backend: str = "auto", threads: int | None = None, compute: bool = True
) -> ScoreSums:
    """Sum scores; the inputs are checked already."""
    if given.in_blocks:
        from fastseg.counting.dask_blocks import count_in_blocks

        sums: ScoreSums = count_in_blocks(given, partial(sum_score_inputs, backend=backend), compute=compute)
        return sums
    check_compute(compute)
    if given.device is not None:
        add_to = sum_on_device(given, backend)

        def make() -> ScoreSums:
            totals = ScoreTotals(given)
            add_to(totals.add)
            return totals.finish(given.voxels)

        return late(ScoreSums, make)
    totals = ScoreTotals(given)
    module = counter_of(backend)
    options, samples = given.options, given.num_samples

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
                totals.labels.declared,
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

    def take(self, declared: Declared | None = None) -> tuple[ScoreTally, list[Pairs | Square]]:
        """Return what was counted since the last call, but for labels that are kept to the end."""
        self.declared = declared
        if self.pairs is not None and not self.keep:
            self.full.append(self.pairs.take(declared))
        full, self.full = self.full, []
        return self.scores.take(), full

    def leftover(self) -> tuple[ScoreTally, list[Pairs | Square]]:
        """Return the labels that were kept."""
        kept = self.keep and self.pairs is not None
        return ScoreTally({}, 0), [self.pairs.take(self.declared)] if kept else []


class ScoreTotals:
    """Tallies of scores and labels, folded into the sums of each sample."""

    def __init__(self, given: ScoreInputs) -> None:
        options = given.options
        self.options, self.weighted = options, given.weight is not None
        self.labels = LabelTotals(given.num_samples, given.classes, "raise", self.weighted)
        self.arrays: dict[str, Array] = zeros_of(options.quantities, given.num_samples, options.channels, options.bins)
        self.arrays["voxels"] = np.zeros((given.num_samples, 4), np.int64)
        self.kept = {
            "class_weight": given.class_weight,
            "label_smoothing": given.label_smoothing,
            "focal_gamma": options.focal_gamma if "focal" in options.quantities else None,
        }

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
            true = counts.marginals.true.astype(np.float64)
            arrays["true"] = true[:, 1:] if options.channels == 1 else true
            arrays["total"] = true.sum(1)
            arrays["voxels"] = counts.voxels.copy()
            if "true_squared" in arrays:
                arrays["true_squared"] = arrays["true"].copy()
        if (arrays["voxels"].sum(1) != given).any():
            raise RuntimeError("voxels were lost or counted twice; this is a defect in fastseg, please report it")
        if self.weighted:
            check_sums(arrays["total"])
        return ScoreSums._trusted(
            **arrays,
            **self.kept,
            binary=options.binary,
            soft=options.soft,
            ignored=self.labels.classes.without_score,
            argmax_counts=counts if "argmax" in options.quantities else None,
        )

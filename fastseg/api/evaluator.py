"""The mutable shell that people hold while batches come by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastseg.api.batches import LabelBatches, ScoreBatches
from fastseg.api.labels import checked_regions
from fastseg.api.surface_batches import GatheredSurfaces, SurfaceBatches
from fastseg.api.table import Scores
from fastseg.arrays.arguments import one_of
from fastseg.arrays.classes import label_classes
from fastseg.arrays.option_names import explained
from fastseg.counts import LabelCounts, ScoreSums, SurfaceDistances
from fastseg.counts.gathered import Gathered
from fastseg.metrics.choice import quantities_of

__all__ = ["Evaluator"]


class Evaluator:
    """Adds up counts over batches, and computes the scores of all of them at any time.

    The batches are label maps; with ``scores=True`` probabilities or logits. With ``surfaces=True`` surfaces are measured too.

    Parameters
    ----------
    num_classes, labels, ignore_index, unknown, backend
        As in `fastseg.count_labels`. With `scores`, `num_classes` may be left out, and `labels` and `unknown` must be.
    scores
        True: the batches are probabilities or logits. Their sums are added up (`sums`).
    channel_axis, activation, class_weight, label_smoothing, quantities, bins, focal_gamma, scale
        As in `fastseg.sum_scores`; only with `scores`. Without `quantities`, what is summed is what the `metrics` need, or the
        default where no metrics are named.
    surfaces
        True: surfaces are measured too, of all classes of label maps but 0, or of `regions`. `metrics` may then name those of
        surfaces. Each update is a case of its own, as with `per_case`.
    spacing, surface, border
        As in `fastseg.surface_distances`; only with `surfaces`. `update` can be given another spacing.
    tolerance
        As in `fastseg.evaluate`; only with `surfaces`.
    per_case
        False: all updates are parts of one case. True: each update is a case, or each sample of it where `update` is given a
        `sample_axis`. Scores are then means over the cases.
    metrics, names, zero_division
        As in `fastseg.evaluate`, or with `scores` as in `fastseg.evaluate_scores`.
    regions
        Unions of labels that are scored instead of the labels, as in `fastseg.evaluate`; not with `scores`.

    Notes
    -----
    The soft Dice loss, and losses like it, are means over cases. Without `per_case` all updates are one case, whose loss is
    that of all voxels together. V-Net's mean over volumes, which `fastseg.soft_dice_loss` takes, needs ``per_case=True``, and
    ``update(..., sample_axis=0)`` where an update has several volumes.

    Examples
    --------
    >>> evaluator = Evaluator(num_classes=2)
    >>> for batch in ([0, 1], [1, 1]):
    ...     evaluator.update([0, 1], batch)
    >>> evaluator.compute()["iou"].round(3).tolist()
    [0.5, 0.667]

    Logits of two classes:

    >>> evaluator = Evaluator(scores=True, activation="softmax", metrics=["iou", "cross_entropy"])
    >>> for batch in ([[1, -1], [-1, 1]], [[-1, 1], [-2, 2]]):
    ...     evaluator.update([0, 1], batch)
    >>> scores = evaluator.compute()
    >>> scores["iou"].round(3).tolist(), round(scores.overall["cross_entropy"], 3)
    ([0.5, 0.667], 0.6)
    """

    @explained
    def __init__(
        self,
        *,
        num_classes: int | None = None,
        labels: Sequence[int] | None = None,
        ignore_index: int | Sequence[int] | None = None,
        unknown: str = "raise",
        scores: bool = False,
        channel_axis: int | None = -1,
        activation: str | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        quantities: str | Iterable[str] | None = None,
        bins: int | None = None,
        focal_gamma: float | None = None,
        scale: float | None = None,
        surfaces: bool = False,
        spacing: float | Sequence[float] | None = None,
        surface: str = "voxel",
        border: str = "background",
        tolerance: float | Mapping[Any, float] | None = None,
        per_case: bool = False,
        metrics: str | Sequence[str] | None = None,
        names: Mapping[int, str] | None = None,
        zero_division: float = float("nan"),
        regions: Mapping[str, int | Sequence[int]] | None = None,
        backend: str = "auto",
    ) -> None:
        self.per_case = per_case or surfaces
        self._scoring: dict[str, Any] = {"metrics": metrics, "names": names, "zero_division": zero_division}
        united = None if regions is None else checked_regions(regions)
        self._scoring["regions"] = united
        self._surfaces: SurfaceBatches | None = None
        if one_of(surfaces, "surfaces", (False, True)):
            if scores:
                raise ValueError("surfaces: expected False of scores, which have none; found True")
            self._surfaces = SurfaceBatches(
                label_classes(num_classes, labels, ignore_index), spacing, surface, border, backend, united
            )
            self._scoring["tolerance"] = tolerance
        elif spacing is not None or tolerance is not None or (surface, border) != ("voxel", "background"):
            given = {"spacing": spacing, "tolerance": tolerance, "surface": surface, "border": border}
            first = next(name for name, value in given.items() if value not in (None, "voxel", "background"))
            raise ValueError(f"{first}: it is for an evaluator with surfaces=True, found {given[first]!r}")
        of_labels: dict[str, Any] = {"labels": labels, "unknown": unknown}
        of_scores: dict[str, Any] = {
            "channel_axis": channel_axis,
            "activation": activation,
            "class_weight": class_weight,
            "label_smoothing": label_smoothing,
            "quantities": quantities,
            "bins": bins,
            "focal_gamma": focal_gamma,
            "scale": scale,
        }
        shared: dict[str, Any] = {"num_classes": num_classes, "ignore_index": ignore_index, "backend": backend}
        defaults = {"unknown": "raise", "channel_axis": -1, "label_smoothing": 0.0}
        for name, value in (of_labels if scores else of_scores).items():
            if value is not defaults.get(name) and (name not in defaults or value != defaults[name]):
                raise ValueError(f"{name}: it is for an evaluator with scores={not scores}, found {value!r}")
        self._batches: LabelBatches | ScoreBatches
        if scores:
            if quantities is None:
                of_scores["quantities"] = quantities_of(metrics)
            self._batches = ScoreBatches(**shared, **of_scores)
        else:
            self._batches = LabelBatches(**shared, **of_labels)
        self._counted: Gathered[Any] = Gathered()  # LabelCounts or ScoreSums
        self._distances = GatheredSurfaces()
        nothing = None if self._surfaces is None else self._surfaces.empty
        Scores(self._batches.empty, surfaces=nothing, **self._scoring)

    @property
    def counts(self) -> LabelCounts | None:
        """What has been counted since the start or the last reset; None before the first update.

        With `scores` the counts of the most probable labels; None too if they were not asked for.
        """
        whole = self._counted.whole
        found: LabelCounts | None = whole.argmax_counts if isinstance(whole, ScoreSums) else whole
        return found

    @property
    def sums(self) -> ScoreSums | None:
        """What has been summed since the start or the last reset; None before the first update, and without `scores`."""
        whole = self._counted.whole
        return whole if isinstance(whole, ScoreSums) else None

    @property
    def surfaces(self) -> SurfaceDistances | None:
        """Distances of surfaces since the start or the last reset; None before the first update, and without `surfaces`."""
        return self._distances.whole

    @explained
    def update(
        self,
        y_true: Any,
        y_pred: Any,
        *,
        mask: Any = None,
        sample_weight: Any = None,
        sample_axis: int | None = None,
        spacing: float | Sequence[float] | None = None,
    ) -> None:
        """Count a batch; if it is rejected, what was counted before stays as it is.

        With `scores`, `y_pred` are the scores, and `sample_axis` is an axis of them. `spacing` is that of these images, where
        surfaces are measured and it is not the evaluator's.
        """
        batch: dict[str, Any] = {"mask": mask, "sample_weight": sample_weight, "sample_axis": sample_axis}
        counts = self._batches.count(y_true, y_pred, **batch)
        distances = None
        if self._surfaces is not None:
            assert isinstance(counts, LabelCounts)
            distances = self._surfaces.measure(counts, y_true, y_pred, spacing, batch)
        elif spacing is not None:
            raise ValueError(f"spacing: it is for an evaluator with surfaces=True, found {spacing!r}")
        self._add(counts if self.per_case else counts.pooled(), distances)

    def merge(self, other: Evaluator) -> None:
        """Add what another evaluator with the same options has counted; it stays as it is.

        Raises
        ------
        ValueError
            If the options differ.
        """
        if not isinstance(other, Evaluator):
            raise TypeError(f"other: expected an Evaluator, found {type(other).__name__}")
        self._same_options(other._options(), "other")
        if (counts := other._counted.whole) is not None:
            self._add(counts, other._distances.whole)

    def compute(self) -> Scores:
        """Return the scores of all that was counted; it may be called again, and updates may follow.

        Raises
        ------
        ValueError
            If nothing has been counted yet.
        """
        if (whole := self._counted.whole) is None:
            raise ValueError("nothing has been counted yet: call update first")
        return Scores(whole, surfaces=self._distances.whole, **self._scoring)

    def reset(self) -> None:
        """Forget all counts."""
        self._counted, self._distances = Gathered(), GatheredSurfaces()

    def state_dict(self) -> dict[str, Any]:
        """Return options and counts as plain data that JSON can hold."""
        counts, distances = self._counted.whole, self._distances.whole
        state = {"version": 1, **self._options(), "counts": None if counts is None else counts.to_dict()}
        if self._surfaces is not None:
            state["surfaces"] = None if distances is None else distances.to_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the counts (or sums) of `state_dict`.

        Raises
        ------
        ValueError
            If the state is of another version, or of an evaluator with other options.
        """
        if not isinstance(state, Mapping) or state.get("version") != 1 or "counts" not in state:
            raise ValueError("state: expected what Evaluator.state_dict returned (version 1)")
        self._same_options(state, "state")
        counts = None if state["counts"] is None else self._batches.restore(state["counts"])
        distances = None
        if self._surfaces is not None and counts is not None:
            distances = self._surfaces.restore(state.get("surfaces"), counts.num_cases)
        self._counted, self._distances = Gathered(counts), GatheredSurfaces(distances)

    def _add(self, counts: LabelCounts | ScoreSums, distances: SurfaceDistances | None) -> None:
        self._counted.check(counts)
        if distances is not None:
            self._distances.check(distances)
            self._distances.add(distances)
        if not self.per_case and (before := self._counted.whole) is not None:
            self._counted = Gathered(before.merge(counts))
        else:
            self._counted.add(counts)

    def _options(self) -> dict[str, Any]:
        measuring = {} if self._surfaces is None else {"measuring": self._surfaces.options}
        return {**self._batches.options, "per_case": self.per_case, **measuring}

    def _same_options(self, found: Mapping[str, Any], name: str) -> None:
        for option, expected in {"scores": False, "measuring": None, **self._options()}.items():
            value = found.get(option, False if option == "scores" else None)
            if value != expected:
                raise ValueError(f"{name}: expected an evaluator with {option}={expected!r}, found {value!r}")

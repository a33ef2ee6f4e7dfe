"""The example of all pages: 4×4 pixels, a class or not, the probability of it, and what comes of the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

import fastseg
from ext.explanation import Explanation
from fastseg.metrics.registry import Metric, ScoreFunction

__all__ = ["PROBABILITY", "TRUTH", "call", "counts", "numbers", "outcome", "terms", "value"]

Array = npt.NDArray[Any]

TRUTH = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0]])
PROBABILITY = np.array([[0.1, 0.6, 0.2, 0.1], [0.1, 0.7, 0.6, 0.2], [0.3, 0.9, 0.8, 0.4], [0.1, 0.6, 0.7, 0.2]])
PREDICTION = (PROBABILITY > 0.5).astype(int)


def counts() -> dict[str, int]:
    """Return true and false positives and negatives of the class."""
    found = fastseg.count_labels(TRUTH, PREDICTION, num_classes=2).one_vs_rest()
    return {name.upper(): int(getattr(found, name)[0, 1]) for name in ("tp", "fp", "fn", "tn")}


def outcome() -> Array:
    """Return TP, FP, FN or TN for each pixel."""
    found: Array = np.array([["TN", "FP"], ["FN", "TP"]])[TRUTH, PREDICTION]
    return found


def terms(explanation: Explanation) -> Array:
    """Return what each pixel adds to the sum that the formula has of it."""
    of_truth = np.where(TRUTH == 1, PROBABILITY, 1 - PROBABILITY)
    found: dict[str, Array] = {
        "overlap": PROBABILITY * TRUTH,
        "entropy": -np.log(of_truth),
        "focal": -((1 - of_truth) ** 2) * np.log(of_truth),
        "brier": 2 * (1 - of_truth) ** 2,
        "right": (TRUTH == PREDICTION) * 1.0,
        "confidence": np.maximum(PROBABILITY, 1 - PROBABILITY),
    }
    return found[explanation.term or "overlap"]


def value(entry: Metric | ScoreFunction, explanation: Explanation) -> float:
    """Return the number of the example, by fastseg."""
    function = getattr(fastseg, entry.name)
    if isinstance(entry, Metric):
        found = function(TRUTH, PREDICTION, **explanation.options)
        return float(found if np.ndim(found) == 0 else found[1])
    return float(function(*_scores(entry, explanation), **_options(entry, explanation)))


def call(entry: Metric | ScoreFunction, explanation: Explanation) -> str:
    """Return the call that `value` makes, as people write it."""
    own = "".join(f", {name}={given!r}" for name, given in explanation.options.items())
    if isinstance(entry, Metric):
        return f"fastseg.{entry.name}(truth, prediction{own})" + ("" if entry.overall else "[1]")
    if explanation.term == "overlap":
        one_case = ", sample_axis=None" if entry.defaults else ""
        return f"fastseg.{entry.name}(truth, p, channel_axis=None{one_case}{own})"
    if entry.name == "dice_cross_entropy_loss":
        return f"fastseg.{entry.name}(truth, p, channel_axis=None, sample_axis=None{own})"
    return f"fastseg.{entry.name}(truth, np.stack([1 - p, p], axis=-1){own})"


def numbers(entry: Metric | ScoreFunction, explanation: Explanation) -> Mapping[str, str]:
    """Return what the words of a formula are in the example."""
    defaults = {parameter.name: parameter.default for parameter in entry.own} | dict(explanation.options)
    greek = {name.upper(): f"{defaults[name]:g}" for name in ("alpha", "beta", "gamma") if defaults.get(name)}
    p, t = PROBABILITY, TRUTH
    sums = {
        "SUM_PT": (p * t).sum(),
        "SUM_P": p.sum(),
        "SUM_T": t.sum(),
        "SUM_PP": (p * p).sum(),
        "SUM_TT": (t * t).sum(),
        "SUM_TERMS": terms(explanation).sum(),
    }
    whole = {name: str(number) for name, number in counts().items()}
    return {
        **whole,
        **greek,
        **{name: f"{number:.4g}" for name, number in sums.items()},
        "VOXELS": str(t.size),
        "EPSILON": "10^{-6}",
    }


def _scores(entry: ScoreFunction, explanation: Explanation) -> tuple[Array, Array]:
    binary = explanation.term == "overlap" or entry.name == "dice_cross_entropy_loss"
    return TRUTH, PROBABILITY if binary else np.stack([1 - PROBABILITY, PROBABILITY], axis=-1)


def _options(entry: ScoreFunction, explanation: Explanation) -> dict[str, Any]:
    one_class = {"channel_axis": None} if _scores(entry, explanation)[1].ndim == 2 else {}
    one_case = {"sample_axis": None} if "sample_axis" in entry.defaults else {}
    return {**one_class, **one_case, **explanation.options}

"""What passes between the counting loop and a backend for scores: spans of voxels with C scores each in, sums out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "LEAST_WEIGHT",
    "MOST_WEIGHT",
    "RANGE_TOLERANCE",
    "GradientTerms",
    "GradientWriterProtocol",
    "ScoreCounterProtocol",
    "ScoreOptions",
    "ScoreSpan",
    "ScoreTally",
]

Array = npt.NDArray[Any]

#: How far outside [0, 1] a probability may be.
RANGE_TOLERANCE = 1e-3
#: What a weight may be besides 0, so that products with it stay within float32.
LEAST_WEIGHT, MOST_WEIGHT = 1e-30, 1e30


@dataclass(frozen=True)
class ScoreOptions:
    """What is computed from every span of a call."""

    channels: int
    """C."""
    activation: str | None
    """None (probabilities), "softmax" or "sigmoid" (logits)."""
    soft: bool
    """Whether the truth has a probability for every class, else it is a label map."""
    quantities: frozenset[str]
    """Names from `fastseg.counts.scores.QUANTITIES`."""
    ignored: tuple[int, ...] = ()
    """True labels that are not looked at (label maps only)."""
    score_bfloat16: bool = False
    """The scores are the bit patterns of bfloat16, as int16."""
    true_bfloat16: bool = False
    """The same of a soft truth."""
    bins: int = 0
    """B."""
    focal_gamma: float = 2.0
    sum_tolerance: float | None = None
    """How far from 1 the probabilities of a voxel may sum; None where their sum does not matter."""

    @property
    def binary(self) -> bool:
        """Whether each class is a question of its own."""
        return self.activation == "sigmoid" or self.channels == 1

    @property
    def labels(self) -> int:
        """How many labels a label map may hold, from 0."""
        return max(2, self.channels)


class ScoreSpan(NamedTuple):
    """Some voxels. Every array is aligned with the others; the last axis is the voxels'."""

    scores: Array
    """(C, V) view of native float16 (or bfloat16 bits as int16), float32, float64 or uint8 (bool); of any strides where
    either the voxels of a class or the classes of a voxel lie side by side."""
    truth: Array
    """(V,) labels of any integer, bool or float type; or (C, V) like the scores."""
    mask: Array | None
    """(V,) of one byte: not zero inside."""
    weight: Array | None
    """(V,) float32 or float64."""
    out: Array | None = None
    """(C, V) float32 to write gradients to, of strides as the scores may have."""


@dataclass(frozen=True)
class GradientTerms:
    """What the derivative of a loss is made of: dL/dp = slope·t + curve·p + level − u/p + f, with u = base + hit·t.

    The next to last term is that of cross-entropy; for binary scores it is −u (t − p) / (p (1 − p)) with u = hit. The last is
    that of the focal loss, where it was summed: f = focal·t·F'(p) with F(p) = −(1 − p)^γ ln p, for binary scores less
    focal_others·(1 − t)·F'(1 − p).
    """

    slope: npt.NDArray[np.float32]
    """(C,)."""
    curve: npt.NDArray[np.float32]
    """(C,)."""
    level: npt.NDArray[np.float32]
    """(C,)."""
    base: npt.NDArray[np.float32]
    """(C,)."""
    hit: npt.NDArray[np.float32]
    """(C,)."""
    focal: npt.NDArray[np.float32]
    """(C,)."""
    focal_others: npt.NDArray[np.float32]
    """(C,)."""


class GradientWriterProtocol(Protocol):
    """A backend's writer of gradients: entered as a context manager and used by one thread."""

    def __init__(self, options: ScoreOptions) -> None: ...
    def __enter__(self) -> GradientWriterProtocol: ...
    def __exit__(self, *exc_info: Any) -> None: ...
    def write(self, span: ScoreSpan, terms: GradientTerms) -> None:
        """Write dL/d score of every voxel of a span to span.out; 0 where a voxel is not looked at."""
        ...


class ScoreTally(NamedTuple):
    """What some spans amount to."""

    sums: dict[str, npt.NDArray[np.float64]]
    """The arrays of `ScoreSums` without their first axis, but for `true` of label maps, `total` and `argmax_counts`."""
    bad: int
    """Voxels that were looked at (not ignored, not outside the mask, with a legal label) whose scores, soft truth or
    weight are not allowed: NaN or +inf anywhere, all logits -inf, probabilities outside [0, 1] by more than
    `RANGE_TOLERANCE`, or not summing to one where they must;
    weights other than 0 and `LEAST_WEIGHT` to `MOST_WEIGHT`."""


class ScoreCounterProtocol(Protocol):
    """A backend's counter of scores: entered as a context manager and used by one thread."""

    def __init__(self, options: ScoreOptions) -> None: ...
    def __enter__(self) -> ScoreCounterProtocol: ...
    def __exit__(self, *exc_info: Any) -> None: ...
    def update(self, span: ScoreSpan) -> tuple[Array | None, Array | None]:
        """Add up a span.

        Returns the (V,) true labels of a soft truth and the (V,) predicted labels, each uint8 or uint16 and valid until
        the next update, or None for what was not asked for. Voxels that are not looked at have any label below
        `ScoreOptions.labels`.
        """
        ...

    def take(self) -> ScoreTally:
        """Return what was summed since the last call."""
        ...

"""What passes between the counting loop and a backend: spans of voxels in, counts of pairs out."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Declared", "MaskCounterProtocol", "MaskTally", "PairCounterProtocol", "Pairs", "Span", "Square"]


class Span(NamedTuple):
    """Voxels that are looked at in one kernel call: `rows` rows of `length` voxels of up to four arrays.

    Row r of array k is ``arrays[k][r * strides[k] : r * strides[k] + length]``.
    """

    arrays: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None, npt.NDArray[Any] | None]
    """True labels, predicted labels, mask (bool) or None, weights (float32 or float64) or None: 1-D and contiguous."""
    rows: int
    length: int
    strides: tuple[int, int, int, int]


class Pairs(NamedTuple):
    """The distinct pairs of values of some voxels, each with its number of voxels."""

    true: npt.NDArray[Any]
    """(P,) values of the truth, in its own dtype."""
    pred: npt.NDArray[Any]
    """(P,) values of the prediction, in its own dtype."""
    times: npt.NDArray[np.int64]
    """(P,) voxels with that pair, at least one."""
    weights: npt.NDArray[np.float64] | None
    """(P,) summed weights of those voxels, or None without weights."""
    outside: int
    """Voxels outside the mask; they are in no pair."""
    bad_weights: int
    """Voxels inside the mask whose weight is negative, infinite or NaN."""


class Declared(NamedTuple):
    """What labels were declared to be: most maps have no others, and then their table can be taken as a whole."""

    classes: int
    """K: labels 0..K-1 are counted."""
    ignored: npt.NDArray[np.uint64]
    """True labels, sorted, that are not counted; those below 256."""
    matrix: bool
    """Whether the counts of pairs are wanted, or only what each label amounts to."""


class Square(NamedTuple):
    """The counts of voxels that all have declared labels: what `PairCounterProtocol.take` returns where it can."""

    sums: npt.NDArray[np.int64]
    """(6, K) voxels whose true label it is, whose predicted label it is, and both; and those that are false positives, false
    negatives and true negatives of it."""
    counts: npt.NDArray[np.int64]
    """(K, K) voxels, rows true, columns predicted; (0, 0) where these are not wanted."""
    voxels: int
    """Their sum."""
    ignored: int
    """Voxels that were not counted."""
    outside: int
    """Voxels outside the mask."""


class PairCounterProtocol(Protocol):
    """A backend's counter of label pairs: entered as a context manager and used by one thread."""

    def __enter__(self) -> PairCounterProtocol: ...
    def __exit__(self, *exc_info: Any) -> None: ...
    def update(self, span: Span) -> bool:
        """Count one span; return False if the tables are full: then `take`, and `update` with the same span again."""
        ...

    def take(self, declared: Declared | None = None) -> Pairs | Square:
        """Return what was counted since the last call; as a Square if that can be and no other label has occurred."""
        ...


class MaskBlock(NamedTuple):
    """Binary maps that are counted in one call: N samples, C channels, R rows of L voxels each.

    Either each row's voxels lie side by side in both maps, and in the mask; or each voxel's channels do, with the next voxel's
    behind them, and there are no mask and no weights.
    """

    y_true: npt.NDArray[Any]
    """(N, C, R, L) bool, or numbers of at most 64 bits, in any byte order."""
    y_pred: npt.NDArray[Any]
    """The same."""
    mask: npt.NDArray[Any] | None
    """(N, 1, R, L) bool or integers, not 0 inside, or None."""
    weight: npt.NDArray[Any] | None
    """(N, 1, R, L) numbers, or None."""
    bfloat16: tuple[bool, bool]
    """Whether the maps are bit patterns of bfloat16, as int16."""


class MaskTally(NamedTuple):
    """What a block amounts to."""

    sums: npt.NDArray[Any]
    """(N, C, 4): true positives, false positives, false negatives, true negatives; int64, or float64 sums of weights."""
    inside: npt.NDArray[np.int64]
    """(N,) voxels inside the mask."""
    bad: bool
    """Whether there are values that are neither 0 nor 1, or bad weights, inside the mask."""


class MaskCounterProtocol(Protocol):
    """A backend's counter of binary maps, used by one thread."""

    def count(self, block: MaskBlock) -> MaskTally:
        """Count a block."""
        ...

"""Statistics of paired values: the signed-rank test and Holm's correction.

Nothing here knows what the values are. The tests are written out, since SciPy's answers for small samples with ties or
zeros depend on its version; where SciPy is exact, these are equal to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["holm", "least_pairs", "signed_rank"]

Floats = npt.NDArray[np.float64]

NAN = float("nan")

#: Up to so many differences that are not zero, the signed-rank test is exact.
_EXACT = 50


def signed_rank(differences: Floats) -> tuple[float, float]:
    """Test whether paired differences lie symmetrically about zero: Wilcoxon's signed-rank test, two-sided.

    Parameters
    ----------
    differences : (n,) float64
        All finite. Equal sizes are ties: what should be equal must be, so round first.

    Returns
    -------
    p : float
        1 where all differences are zero, NaN where there is none.
    effect : float
        The matched-pairs rank-biserial correlation, from -1 to 1: positive ranks less negative ranks, by all of these; 0
        where all differences are zero.

    Notes
    -----
    Zeros are ranked with the others and then left out (Pratt [1]_), so that cases in which two models are alike speak
    against a difference; ties have the mean of their ranks. The distribution is that of all choices of signs, given the
    ranks: exact (also with ties and zeros) for up to 50 differences that are not zero, beyond by its normal
    approximation, without correction for continuity. The effect size is the simple difference formula [2]_.

    References
    ----------
    .. [1] Pratt, Journal of the American Statistical Association 54 (1959) 655
    .. [2] Kerby, Comprehensive Psychology 3 (2014) 11.IT.3.1

    Examples
    --------
    >>> signed_rank(np.array([1.0, 2.0, 3.0, -0.5, 4.0]))
    (0.125, 0.8666666666666667)
    """
    if not differences.size:
        return NAN, NAN
    _, places, ties = np.unique(np.abs(differences), return_inverse=True, return_counts=True)
    doubled = (2 * np.cumsum(ties) - ties + 1)[places]  # twice the mean of the tied ranks: whole numbers
    positive, negative = int(doubled[differences > 0].sum()), int(doubled[differences < 0].sum())
    total = positive + negative
    if total == 0:
        return 1.0, 0.0
    ranks, effect = doubled[differences != 0], (positive - negative) / total
    if ranks.size > _EXACT:
        z = (positive - negative) / math.sqrt(float((ranks.astype(np.float64) ** 2).sum()))
        return math.erfc(abs(z) / math.sqrt(2)), effect
    ways = np.zeros(total + 1)  # ways[s]: choices of signs whose positive ranks sum to s / 2; below 2^53, so exact
    ways[0] = 1
    for rank in ranks.tolist():
        ways[rank:] += ways[:-rank].copy()
    return min(1.0, 2 * float(ways[: min(positive, negative) + 1].sum()) / 2.0**ranks.size), effect


def least_pairs(alpha: float) -> int:
    """Return of how many pairs the signed-rank test can have a p below alpha: of n it is at least 2 / 2^n.

    Examples
    --------
    >>> [least_pairs(alpha) for alpha in (0.05, 0.01, 1 - 0.95)]
    [6, 8, 6]
    """
    return math.floor(1 - math.log2(alpha)) + 1


def holm(p: Sequence[float]) -> list[float]:
    """Correct p-values for the number of tests by Holm's step-down procedure; NaN is no test, and stays.

    References
    ----------
    .. [1] Holm, Scandinavian Journal of Statistics 6 (1979) 65

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, least = list(p), 0.0
    tested = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    for before, (value, place) in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - before) * value))
        corrected[place] = least
    return corrected

"""Whose definition of a metric of pairs: what is ignored, and which pairs of voxels are counted. Data, as read and as run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PAIR_CONVENTIONS", "PairConvention"]

_ALL = (
    "variation_of_information", "adjusted_rand_error", "rand_index", "adjusted_rand_index", "fowlkes_mallows",
    "mutual_information", "normalized_mutual_information", "homogeneity", "completeness", "v_measure",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PairConvention:
    """Hold what a package makes of the same pairs."""

    name: str
    description: str
    """For people, in a sentence."""
    source: str
    """What its numbers were compared with, or read in."""
    verified: tuple[str, ...]
    """The metrics that the package has; the others follow by analogy."""
    without_background: tuple[str, ...] = ()
    """The metrics that leave out voxels whose true label is 0."""
    background_apart: bool = False
    """Whether predicted label 0 is no segment in `adjusted_rand_error`, but voxels of their own."""
    pairs_with_itself: bool = False
    """Whether each voxel makes a pair with itself in `adjusted_rand_error`."""
    swapped: bool = False
    """Whether what is called precision there is recall, and the other way round."""
    empty: float = float("nan")
    """What metrics that are 1 of equal partitions are where there is no voxel."""
    unit_of_information: float = 1.0
    """One bit, in the unit of `mutual_information`."""


PAIR_CONVENTIONS = {
    convention.name: convention
    for convention in (
        PairConvention(
            name="fastseg",
            description="Nothing is ignored, a voxel makes no pair with itself, and what is undefined is NaN.",
            source="the definitions",
            verified=_ALL,
        ),
        PairConvention(
            name="skimage",
            description=(
                "adapted_rand_error leaves out true label 0, and gives recall for precision and precision for recall; "
                "variation_of_information leaves out nothing."
            ),
            source="scikit-image 0.26.0: skimage.metrics.adapted_rand_error, variation_of_information",
            verified=("variation_of_information", "adjusted_rand_error"),
            without_background=("adjusted_rand_error",),
            swapped=True,
        ),
        PairConvention(
            name="sklearn",
            description="Nothing is ignored; information is in nats; without a voxel most scores are 1.",
            source="scikit-learn 1.9.1: sklearn.metrics.rand_score, adjusted_rand_score, mutual_info_score, …",
            verified=_ALL[2:],
            empty=1.0,
            unit_of_information=float(np.log(2)),
        ),
        PairConvention(
            name="cremi",
            description=(
                "True label 0 is left out; adapted_rand counts pairs of a voxel with itself, and takes predicted label 0 for "
                "voxels apart, as which they count by their share of the volume."
            ),
            source="cremi_python aa6d211: cremi.evaluation.voi, rand (read; it runs on Python 2)",
            verified=("variation_of_information", "adjusted_rand_error"),
            without_background=_ALL,
            background_apart=True,
            pairs_with_itself=True,
        ),
        PairConvention(
            name="funlib",
            description=(
                "True label 0 is left out, predicted label 0 is a segment; pairs of a voxel with itself are counted: "
                "precision is its rand_merge, recall its rand_split."
            ),
            source="funlib.evaluate d2852b3: rand_voi (read)",
            verified=("variation_of_information", "adjusted_rand_error"),
            without_background=_ALL,
            pairs_with_itself=True,
        ),
    )
}

"""The statistics: small, exact, mergeable tables of counts. Everything else is arithmetic on them; nothing here sees a voxel.

*merge* joins parts of the same cases, *concat* joins different cases, *pooled* collapses the case axis.
"""

from fastseg.counts.base import COUNTED, IGNORED, OUTSIDE, UNKNOWN
from fastseg.counts.binary import BinaryCounts
from fastseg.counts.boundaries import BoundaryCounts
from fastseg.counts.centerlines import CenterlineCounts
from fastseg.counts.labels import LabelCounts, positions
from fastseg.counts.marginals import Marginals
from fastseg.counts.pairs import PairCounts
from fastseg.counts.scores import ScoreSums
from fastseg.counts.surfaces import DIRECTIONS, SurfaceDistances

__all__ = [
    "COUNTED",
    "DIRECTIONS",
    "IGNORED",
    "OUTSIDE",
    "UNKNOWN",
    "BinaryCounts",
    "BoundaryCounts",
    "CenterlineCounts",
    "LabelCounts",
    "Marginals",
    "PairCounts",
    "ScoreSums",
    "SurfaceDistances",
    "positions",
]

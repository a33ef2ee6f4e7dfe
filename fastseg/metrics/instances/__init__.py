"""Instances matched, and every metric of a matching: arithmetic on the pairs of labels that occur."""

from fastseg.metrics.instances.conventions import INSTANCE_CONVENTIONS, InstanceConvention
from fastseg.metrics.instances.distances import mean_with_lost
from fastseg.metrics.instances.graph import (
    ClassesOf,
    OverlapGraph,
    Segments,
    centred_graph,
    grown_graph,
    overlap_graph,
    small_uncounted,
    without_small,
)
from fastseg.metrics.instances.groups import FoundGroup
from fastseg.metrics.instances.listing import COLUMNS
from fastseg.metrics.instances.matching import InstanceMatching, matching_of
from fastseg.metrics.instances.options import convention_of, graph_of_pairs, match_pairs, parse_match, rule_of
from fastseg.metrics.instances.ranking import DetectionCurve
from fastseg.metrics.instances.regions import region_dice
from fastseg.metrics.instances.rules import CENTRE, CRITERIA, MATCHINGS, MatchingRule
from fastseg.metrics.instances.tally import METRICS, THRESHOLDS, MatchedPairs, Tally, UnmatchedSegments

__all__ = [
    "CENTRE",
    "COLUMNS",
    "CRITERIA",
    "INSTANCE_CONVENTIONS",
    "MATCHINGS",
    "METRICS",
    "THRESHOLDS",
    "ClassesOf",
    "DetectionCurve",
    "FoundGroup",
    "InstanceConvention",
    "InstanceMatching",
    "MatchedPairs",
    "MatchingRule",
    "OverlapGraph",
    "Segments",
    "Tally",
    "UnmatchedSegments",
    "centred_graph",
    "convention_of",
    "graph_of_pairs",
    "grown_graph",
    "match_pairs",
    "matching_of",
    "mean_with_lost",
    "overlap_graph",
    "parse_match",
    "region_dice",
    "rule_of",
    "small_uncounted",
    "without_small",
]

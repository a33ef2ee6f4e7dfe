"""Instances matched, and every metric of a matching: arithmetic on the pairs of labels that occur."""

from fastseg.metrics.instances.graph import OverlapGraph, Segments, grown_graph, overlap_graph
from fastseg.metrics.instances.matching import InstanceMatching, matching_of
from fastseg.metrics.instances.rules import CRITERIA, MATCHINGS, MatchingRule
from fastseg.metrics.instances.tally import THRESHOLDS, MatchedPairs, UnmatchedSegments

__all__ = [
    "CRITERIA",
    "MATCHINGS",
    "THRESHOLDS",
    "InstanceMatching",
    "MatchedPairs",
    "MatchingRule",
    "OverlapGraph",
    "Segments",
    "UnmatchedSegments",
    "grown_graph",
    "matching_of",
    "overlap_graph",
]

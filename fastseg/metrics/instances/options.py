"""Options of a matching: those given, and those of a convention for the others."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastseg.arrays.arguments import integer, one_of
from fastseg.arrays.instances import checked_ids
from fastseg.counts import PairCounts
from fastseg.metrics.instances.conventions import INSTANCE_CONVENTIONS, InstanceConvention
from fastseg.metrics.instances.graph import ClassesOf, OverlapGraph, overlap_graph, without_small
from fastseg.metrics.instances.matching import InstanceMatching, matching_of
from fastseg.metrics.instances.rules import CENTRE, CRITERIA, MatchingRule, spelled
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS

__all__ = ["convention_of", "graph_of_pairs", "match_pairs", "parse_match", "rule_of"]


def match_pairs(
    pairs: PairCounts,
    threshold: float | None = None,
    *,
    criterion: str | None = None,
    matching: str | None = None,
    strict: bool | None = None,
    objective: str | None = None,
    true_classes: ClassesOf = None,
    pred_classes: ClassesOf = None,
    stuff: Sequence[int] | int | None = None,
    crowd: Sequence[int] | Sequence[Sequence[int]] | int | None = None,
    void: Sequence[int] | int | None = None,
    pred_void: Sequence[int] | int | None = None,
    min_voxels: int = 0,
    voxel_ml: float | None = None,
    convention: str = "fastseg",
) -> InstanceMatching:
    """Match the instances of pairs that were counted, such as those of several files, or of parts that were merged.

    Parameters
    ----------
    pairs : PairCounts
        Of ids; 0 is background, unless it is void.
    threshold, criterion, matching, strict, objective, true_classes, pred_classes, stuff, crowd, void, pred_void, min_voxels,
    convention
        As of `fastseg.match_instances`.
    voxel_ml
        The volume of a voxel in millilitres, where it is known.

    Returns
    -------
    matching : InstanceMatching
        Without centroids.

    Raises
    ------
    TypeError, ValueError
        If an option is none, or an id has no class; if the convention grows lesions, as BraTS does.

    Examples
    --------
    >>> import fastseg
    >>> fastseg.metrics.instances.match_pairs(fastseg.count_pairs([1, 1, 0, 2], [4, 4, 4, 0])).f1
    0.6666666666666666
    """
    known = convention_of(convention)
    if known.dilation:
        raise ValueError(
            f"convention: {known.name!r} grows lesions before they are matched, and pairs of ids are not of voxels; "
            "match_instances takes masks"
        )
    rule = rule_of(known, threshold, criterion, matching, strict, objective)
    graph = graph_of_pairs(pairs, known, true_classes, pred_classes, stuff, crowd, void, pred_void)
    graph = without_small(graph, integer(min_voxels, "min_voxels", least=0))
    return matching_of(graph, rule, convention=known, voxel_ml=voxel_ml)


def parse_match(text: str) -> dict[str, Any]:
    """Return the options that a rule in words stands for: "iou>0.5", "dice>=0.1", "overlap>0", "centre", or a convention.

    A rule behind the name of a convention, "autopet iou>0.1", goes before that of the convention.

    Raises
    ------
    ValueError
        If it is none.
    TypeError
        If it is no text.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"match: expected a rule in words, such as 'iou>0.5', or the name of a convention; found {text!r}"
        )
    plain = text.strip().lower()
    convention, _, rule_of_own = plain.partition(" ")
    if convention in INSTANCE_CONVENTIONS:
        own = parse_match(rule_of_own) if rule_of_own else {}
        if "convention" in own:
            raise ValueError(f"match: expected one convention, found {text!r}")
        return {"convention": convention, **own}
    if plain == CENTRE:
        return {"criterion": CENTRE}
    found = re.fullmatch(r"([\w -]+?)\s*(>=?|≥)\s*([\d.e+-]+)", plain)
    if found is None:
        known = ", ".join(INSTANCE_CONVENTIONS)
        # A shell takes what is behind > for the name of a file, and writes into it.
        hint = f" (quoted, '{plain}>0.5', since shells have a meaning of their own for >)" if plain in CRITERIA else ""
        raise ValueError(
            f"match: expected a rule such as 'iou>0.5' or 'dice>=0.1', or one of {CENTRE}, {known}; found {text!r}{hint}"
        )
    try:
        threshold = float(found[3])
    except ValueError:
        raise ValueError(f"match: expected a number after {found[2]!r}, found {found[3]!r}") from None
    rule = {
        "criterion": one_of(spelled(found[1]), "match", tuple(CRITERIA)),
        "strict": found[2] == ">",
        "threshold": threshold,
    }
    try:
        MatchingRule().but(**rule)
    except ValueError as error:  # a threshold that nothing exceeds
        raise ValueError(f"match: {error}") from None
    return rule


def convention_of(name: Any) -> InstanceConvention:
    """Return the convention of that name; ValueError if there is none."""
    if not isinstance(name, str) or name not in INSTANCE_CONVENTIONS:
        near = difflib.get_close_matches(str(name), INSTANCE_CONVENTIONS, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        if str(name) in PAIR_CONVENTIONS:
            hint = ", which is of metrics of partitions, such as fastseg.variation_of_information"
        raise ValueError(f"convention: expected one of {', '.join(INSTANCE_CONVENTIONS)}; found {name!r}{hint}")
    return INSTANCE_CONVENTIONS[name]


def rule_of(
    convention: InstanceConvention, threshold: Any, criterion: Any, matching: Any, strict: Any, objective: Any
) -> MatchingRule:
    """Return the rule of a convention with what was given; TypeError or ValueError if that is no option."""
    return convention.rule.but(
        threshold=threshold, criterion=criterion, matching=matching, strict=strict, objective=objective
    )


def graph_of_pairs(
    pairs: PairCounts,
    convention: InstanceConvention,
    true_classes: ClassesOf,
    pred_classes: ClassesOf,
    stuff: Sequence[int] | int | None,
    crowd: Sequence[int] | Sequence[Sequence[int]] | int | None,
    void: Sequence[int] | int | None,
    pred_void: Sequence[int] | int | None,
) -> OverlapGraph:
    """Return the graph of pairs that were counted; TypeError or ValueError where options are no ids."""
    left_out = [
        given if ids is None else checked_ids(ids, name)
        for ids, name, given in ((void, "void", convention.void), (pred_void, "pred_void", convention.pred_void))
    ]
    return overlap_graph(
        pairs.case,
        pairs.true,
        pairs.pred,
        pairs.counts,
        cases=pairs.num_cases,
        true_classes=true_classes,
        pred_classes=pred_classes,
        stuff=checked_ids(stuff, "stuff"),
        crowd=_crowds(crowd, pairs.num_cases),
        void=left_out[0],
        pred_void=left_out[1],
    )


def _crowds(crowd: Any, cases: int) -> Any:
    """Return ids of all cases alike, or some for each."""
    if not isinstance(crowd, Sequence) or all(isinstance(each, int | np.integer) for each in crowd):
        return checked_ids(crowd, "crowd")
    if len(crowd) != cases:
        raise ValueError(f"crowd: expected ids of each of {cases} case(s), found {len(crowd)}")
    return [checked_ids(each, "crowd") for each in crowd]

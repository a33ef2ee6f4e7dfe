"""Instances of two maps, matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.api.instance_surfaces import surfaces_of_groups
from fastseg.api.pairs import count_pairs
from fastseg.arrays.arguments import integer, one_of
from fastseg.arrays.instances import (
    Places,
    checked_connectivity,
    checked_ids,
    component_map,
    least_voxels,
    maps_in_memory,
    one_mask,
    places,
    voxel_spacing,
)
from fastseg.arrays.labels import label_inputs
from fastseg.arrays.option_names import explained
from fastseg.arrays.surfaces import image_spacing
from fastseg.counting.instances import (
    component_segments,
    grown_pairs,
    grown_segments,
    pairs_of_segments,
    require_room,
)
from fastseg.counting.segments import MapSegments, SideSegments
from fastseg.counts import PairCounts
from fastseg.metrics.instances import (
    CENTRE,
    ClassesOf,
    InstanceMatching,
    OverlapGraph,
    centred_graph,
    convention_of,
    graph_of_pairs,
    grown_graph,
    matching_of,
    rule_of,
    small_uncounted,
    without_small,
)

__all__ = ["match_instances", "match_placed"]

#: "y_true" and "y_pred".
Maps = dict[str, npt.NDArray[Any]]
Sides = tuple[SideSegments, SideSegments]


@explained
def match_instances(
    y_true: Any,
    y_pred: Any,
    threshold: float | None = None,
    *,
    criterion: str | None = None,
    matching: str | None = None,
    strict: bool | None = None,
    objective: str | None = None,
    connectivity: int | None = None,
    labels: Sequence[int] | int | None = None,
    region: Sequence[int] | int | None = None,
    dilation: int | None = None,
    min_voxels: int = 0,
    min_ml: float | None = None,
    true_classes: ClassesOf = None,
    pred_classes: ClassesOf = None,
    stuff: Sequence[int] | int | None = None,
    crowd: Sequence[int] | Sequence[Sequence[int]] | int | None = None,
    void: Sequence[int] | int | None = None,
    pred_void: Sequence[int] | int | None = None,
    sample_axis: int | None = None,
    spacing: Sequence[float] | float | None = None,
    centroids: bool = True,
    surface: Literal["voxel", "surfel"] | None = None,
    convention: str = "fastseg",
) -> InstanceMatching:
    """Match the instances of a prediction with those of the truth: which were found, missed and invented, and how well.

    Parameters
    ----------
    y_true, y_pred : array_like
        Maps of one shape. Integers are ids of instances, 0 background. Masks of bool, and with `connectivity`, `labels` or
        `region` also maps of classes, are taken apart into connected components first, each class alone.
    threshold
        What the score of a pair has to exceed; 0.5 unless the convention says otherwise.
    criterion
        The score: "iou" (by default), "dice", "intersection_over_reference", "intersection_over_prediction" (names may be
        written with spaces or hyphens), or "overlap",
        voxels in common (``threshold=0``: one is enough), or "centre": 1 where the mean of the prediction's indices lies in
        a voxel of the true instance (between two voxels, in the later one), else 0; of several in one the best IoU is first.
    matching
        "greedy" (by default): each once, by falling score; "optimal": each once, the sum of the scores the greatest;
        "many_to_one": each prediction goes to its best true instance, which may have several; "one_to_many": the other way
        round; "merge": greedy, and a true instance takes further predictions where that raises its score; "all": every pair
        that qualifies.
    strict
        False: a score that equals the threshold is enough. By default it is not.
    objective
        Of "optimal": "score" (by default), "count" (as many pairs as possible, then their scores), "all scores" or
        "count, all scores" (pairs that do not qualify take part in the sum, and are dropped afterwards).
    connectivity
        4, 8, 6, 18 or 26 neighbours: the maps are masks or maps of classes, whose components are the instances.
    labels, region
        Components of these labels, or of their union.
    dilation
        By how many voxels true components are grown before they are told apart, and matched by ``criterion="overlap"``.
        Only of masks.
    min_voxels
        Instances of fewer voxels, on either side, are none.
    min_ml
        The same of those of less volume, in millilitres; needs a known spacing of three axes.
    true_classes, pred_classes : mapping, or a sequence of one for each sample
        The class of each id. Only instances of one class match, and metrics are means over classes.
    stuff
        Classes of which all is one instance, whatever its ids are.
    crowd
        True ids of groups, or some for each sample: nothing matches them, and a prediction that lies in those of its class by
        more than half is no false alarm.
    void, pred_void
        Ids of what is no instance and in no union, on either side; a prediction that lies in it by more than half is no false
        alarm (and a true instance no miss).
    sample_axis
        The axis that separates samples; ids of different samples never match.
    spacing
        Distances of voxels along each axis in mm, where the maps are no images that know them.
    centroids
        False leaves out where instances lie, and the boxes that hold them, which takes another look at maps of ids.
    surface
        "voxel" or "surfel": also measure the surfaces of what was found, as in `surface_distances`; needs a known spacing.
    convention
        Whose rules hold where no option says otherwise: "fastseg", "panoptica", "exacta", "brats", "brats-met",
        "coco-panoptic", "cityscapes", "torchmetrics", "monai", "metrics-reloaded", "stardist", "cellpose", "autopet" or
        "isles".

    Returns
    -------
    matching : InstanceMatching

    Raises
    ------
    TypeError, ValueError
        If the maps cannot be counted, an option is none, or an id has no class.

    Notes
    -----
    Of equal scores the pair of the lower true id comes first, then that of the lower predicted one. With IoU above 0.5 no
    instance can have two partners, and all ways of matching one to one are the same.

    Examples
    --------
    >>> y_true = [[1, 1, 0, 2], [1, 1, 0, 2]]
    >>> y_pred = [[7, 7, 0, 0], [7, 7, 9, 0]]
    >>> found = match_instances(y_true, y_pred)
    >>> found.tp, found.fp, found.fn, found.panoptic_quality
    (1, 1, 1, 0.5)
    >>> found.misses.ids.tolist(), found.misses.centroids.tolist()
    ([2], [[0.5, 3.0]])
    """
    return match_placed(
        y_true,
        y_pred,
        threshold,
        criterion=criterion,
        matching=matching,
        strict=strict,
        objective=objective,
        connectivity=connectivity,
        labels=labels,
        region=region,
        dilation=dilation,
        min_voxels=min_voxels,
        min_ml=min_ml,
        true_classes=true_classes,
        pred_classes=pred_classes,
        stuff=stuff,
        crowd=crowd,
        void=void,
        pred_void=pred_void,
        sample_axis=sample_axis,
        spacing=spacing,
        centroids=centroids,
        surface=surface,
        convention=convention,
    )


def match_placed(
    y_true: Any,
    y_pred: Any,
    threshold: float | None = None,
    *,
    criterion: str | None = None,
    matching: str | None = None,
    strict: bool | None = None,
    objective: str | None = None,
    connectivity: int | None = None,
    labels: Any = None,
    region: Any = None,
    dilation: int | None = None,
    min_voxels: int = 0,
    min_ml: float | None = None,
    true_classes: ClassesOf = None,
    pred_classes: ClassesOf = None,
    stuff: Any = None,
    crowd: Any = None,
    void: Any = None,
    pred_void: Any = None,
    sample_axis: int | None = None,
    spacing: Any = None,
    centroids: bool = True,
    surface: Literal["voxel", "surfel"] | None = None,
    convention: str = "fastseg",
    where: Places | None = None,
) -> InstanceMatching:
    """Match instances as `match_instances` does, also of arrays of which is said where they lie."""
    known = convention_of(convention)
    rule = rule_of(known, threshold, criterion, matching, strict, objective)
    given = label_inputs(y_true, y_pred, sample_axis=sample_axis)
    whole = maps_in_memory(given)
    axis, axes = given.sample_axis, given.y_true.ndim - (given.sample_axis is not None)
    steps_mm = voxel_spacing(spacing, axes)
    where = where or places(y_true, axes, steps_mm)
    steps = integer(known.dilation if dilation is None else dilation, "dilation", least=0)
    classes = true_classes is not None or pred_classes is not None
    masks = known.of_masks or any(option is not None for option in (connectivity, labels, region))
    masks = masks or bool in (whole["y_true"].dtype, whole["y_pred"].dtype)
    if masks:  # before anything is said of their neighbours: what they are components of
        whole = {name: component_map(array, name, labels, region, axes) for name, array in whole.items()}
        connectivity = known.connectivity.get(axes) if connectivity is None else connectivity
    if masks and classes:
        raise ValueError("true_classes, pred_classes: expected maps of ids beside them, found masks or connectivity=")
    for name, ids in (("crowd", crowd), ("void", void), ("pred_void", pred_void)):
        if masks and ids is not None:
            raise ValueError(
                f"{name}: expected maps of ids beside it, found masks or connectivity=, whose components are new"
            )
    if steps and not masks:
        raise ValueError(
            "dilation: expected masks, or connectivity= beside maps of a class, whose components are grown"
        )
    united_classes = checked_ids(stuff, "stuff")
    if steps and united_classes:
        raise ValueError("stuff: expected no stuff= beside lesions that are grown (dilation=), which are of one class")
    if masks:
        neighbours = checked_connectivity(connectivity, "connectivity", axes)
    if steps:
        sides, graph = _grown(whole, axis, neighbours, steps)
    else:
        if masks:
            sides, pairs, (true_classes, pred_classes) = _components(whole, axis, neighbours)
        else:
            sides = MapSegments(whole["y_true"], axis), MapSegments(whole["y_pred"], axis)
            pairs = count_pairs(*whole.values(), sample_axis=axis)
        require_room(pairs)
        graph = graph_of_pairs(pairs, known, true_classes, pred_classes, stuff, crowd, void, pred_void)
    graph = without_small(graph, least_voxels(min_voxels, min_ml, where.voxel_ml))
    if known.uncounted_mm3 >= 0:
        graph = small_uncounted(graph, known.uncounted_mm3 / (where.voxel_ml * 1000 if where.voxel_ml else 1.0))
    centre = rule.criterion == CENTRE
    if centre and united_classes:
        raise ValueError("stuff: expected no stuff= beside criterion='centre'")
    if not axes and centroids:
        raise ValueError(f"y_true: expected a map with at least one axis, found shape {given.y_true.shape}")
    lie = None
    if centroids or centre:
        lie = [side.places(own.case, own.ids) for side, own in zip(sides, (graph.true, graph.pred), strict=True)]
    if centre and lie is not None:
        graph = centred_graph(graph, sides[0].at(graph.pred.case, lie[1][0]), graph.pred.case)
    placed = {}
    if centroids and lie is not None:
        for (middle, boxes), own in zip(lie, (graph.true, graph.pred), strict=True):
            united = np.isin(own.classes, united_classes)  # of many ids, one of which stands for all
            middle[united], boxes[united] = np.nan, 0
        placed = {"centroids": (where.of(lie[0][0]), where.of(lie[1][0])), "boxes": (lie[0][1], lie[1][1])}
    found = matching_of(graph, rule, convention=known, voxel_ml=where.voxel_ml, **placed)
    one_of(surface, "surface", ("voxel", "surfel", None))
    if surface is None:
        return found
    apart = steps_mm or image_spacing(y_true=y_true, y_pred=y_pred) or where.spacing
    apart = apart or ((1.0,) * axes if known.uncounted_mm3 >= 0 else None)
    if apart is None or united_classes:
        wanted = "spacing= beside surface=, or images that know it" if apart is None else "no stuff= beside surface="
        raise ValueError(f"{'spacing' if apart is None else 'stuff'}: expected {wanted}")
    return replace(found, surfaces=surfaces_of_groups(sides, found.groups, apart, surface))


def _components(
    whole: Maps, axis: int | None, neighbours: int
) -> tuple[Sides, PairCounts, tuple[ClassesOf, ClassesOf]]:
    """Return components, their pairs, and the class of each; masks are of one class, which has no name."""
    for name, array in whole.items():
        if array.dtype.kind == "u" and array.dtype.itemsize == 8 and array.size and (most := array.max()) >= 2**63:
            raise ValueError(
                f"{name}: expected labels below 2**63 of what is taken apart into components, found {most}"
            )
    (true, true_classes), (pred, pred_classes) = (
        component_segments(array, axis, neighbours) for array in whole.values()
    )
    if true_classes is None or pred_classes is None:  # a mask beside a map of classes: any label is foreground
        true_classes = pred_classes = None
    return (true, pred), pairs_of_segments(true, pred), (true_classes, pred_classes)


def _grown(whole: Maps, axis: int | None, neighbours: int, steps: int) -> tuple[Sides, OverlapGraph]:
    """Return components, and the graph of the true ones as they were grown."""
    masks = {name: one_mask(array, name) for name, array in whole.items()}
    reach = {2: 8, 3: 18}[masks["y_true"].ndim - (axis is not None)]
    true, grown = grown_segments(masks["y_true"], axis, neighbours, steps, reach)
    pred = component_segments(masks["y_pred"], axis, neighbours)[0]
    return (true, pred), grown_graph(*grown_pairs(true, grown, pred), cases=len(true.runs))

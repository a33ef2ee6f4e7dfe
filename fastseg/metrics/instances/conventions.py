"""What other packages mean by their names: when segments match, what is void, what is small, and what nothing is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastseg.metrics.arithmetic import NAN
from fastseg.metrics.instances.rules import MatchingRule

__all__ = ["INSTANCE_CONVENTIONS", "InstanceConvention"]

_ALL_NEIGHBOURS = {2: 8, 3: 26}
_TOUCH = MatchingRule("overlap", 0.0, strict=True, matching="all")
_COCO = MatchingRule("iou", 0.5, strict=True)


@dataclass(frozen=True)
class InstanceConvention:
    """How a package counts instances; every option of a call goes before it."""

    name: str
    description: str
    """For people, in one sentence."""
    source: str
    """What it was verified against: package, version and call."""
    rule: MatchingRule
    connectivity: Mapping[int, int] = field(default_factory=lambda: _ALL_NEIGHBOURS)
    """The neighbours of voxels of masks, by the number of axes."""
    of_masks: bool = False
    """Whether maps are masks, or of classes, whose components are the instances; else they hold ids, unless they are bool."""
    dilation: int = 0
    """By how many voxels true components are grown before they are told apart and matched."""
    uncounted_mm3: float = -1.0
    """True instances of at most this volume are neither found nor missed."""
    void: tuple[int, ...] = ()
    """True ids of what is no segment, and in no union."""
    pred_void: tuple[int, ...] = ()
    """The same of predicted ids."""
    smooth: float = 0.0
    """What is added to the denominators of qualities."""
    zero_division: float = NAN
    """What 0/0 is in a class that has instances."""
    nothing: float = NAN
    """What a metric is where there is no instance at all."""
    distance_of_nothing: float = NAN
    """What a distance of surfaces is there."""
    surface: str = ""
    """What the surfaces of instances are made of, where the package says; no surface of its own otherwise."""

    def nothing_of(self, better: str) -> float:
        """Return what a metric of surfaces is where there is no instance at all, by which of its values are better."""
        return self.nothing if better == "higher" else self.distance_of_nothing


#: Every convention by its name.
INSTANCE_CONVENTIONS: dict[str, InstanceConvention] = {
    convention.name: convention
    for convention in (
        InstanceConvention(
            "fastseg",
            "IoU above 0.5, so that nothing has two partners; what does not exist has no score.",
            "fastseg",
            MatchingRule(),
        ),
        InstanceConvention(
            "panoptica",
            "IoU of at least 0.5, greedy by falling score, ties by predicted number; masks by 26 neighbours, pictures by 4.",
            "panoptica 2.1.7: Panoptica_Evaluator with NaiveThresholdMatching, as it is by default",
            MatchingRule("iou", 0.5, strict=False, ties="pred"),
            connectivity={2: 4, 3: 26},
        ),
        InstanceConvention(
            "exacta",
            "As panoptica, but all neighbours in two dimensions too.",
            'exacta 0.0.1a5: exacta.lesions.evaluate(matching="greedy", connectivity=3)',
            MatchingRule("iou", 0.5, strict=False, ties="pred"),
        ),
        InstanceConvention(
            "brats",
            "True lesions are one where they meet once grown by 3 voxels; every prediction that touches a grown lesion is "
            "its own; lesions of at most 50 mm³ do not count.",
            "BraTS-2023-Metrics 43c9052: get_LesionWiseScores, BraTS-GLI",
            _TOUCH,
            of_masks=True,
            dilation=3,
            uncounted_mm3=50.0,
            nothing=1.0,
            distance_of_nothing=0.0,
            surface="surfel",
        ),
        InstanceConvention(
            "brats-met",
            "As brats, but grown by 1 voxel, and lesions of at most 2 mm³ do not count.",
            "BraTS-2023-Metrics 43c9052: get_LesionWiseScores, BraTS-MET",
            _TOUCH,
            of_masks=True,
            dilation=1,
            uncounted_mm3=2.0,
            nothing=1.0,
            distance_of_nothing=0.0,
            surface="surfel",
        ),
        InstanceConvention(
            "coco-panoptic",
            "IoU above 0.5 of one class; true id 0 is void, and in no union; predictions that are more than half void or "
            "crowd are no false alarms.",
            "panopticapi 7bb4655: pq_compute",
            _COCO,
            void=(0,),
        ),
        InstanceConvention(
            "cityscapes",
            "As coco-panoptic.",
            "cityscapesscripts 2.3.0: evalPanopticSemanticLabeling",
            _COCO,
            void=(0,),
        ),
        InstanceConvention(
            "torchmetrics",
            "As coco-panoptic, but id 0 is void on both sides: a true segment that is more than half void in the prediction "
            "is no miss.",
            "torchmetrics 1.9.0: panoptic_quality(allow_unknown_preds_category=True)",
            _COCO,
            void=(0,),
            pred_void=(0,),
        ),
        InstanceConvention(
            "monai",
            "IoU above 0.5; below that the matching whose IoUs have the greatest sum, of pairs that qualify or not; 1e-6 is "
            "added to denominators.",
            "MONAI 1.6.1: compute_panoptic_quality",
            MatchingRule("iou", 0.5, strict=True, matching="optimal", objective="all scores"),
            smooth=1e-6,
            nothing=0.0,
        ),
        InstanceConvention(
            "metrics-reloaded",
            "IoU above 0.5, greedy by falling score.",
            "MetricsReloaded cb38dfc: AssignmentMapping as its text has it; the code takes the lowest scores first",
            MatchingRule("iou", 0.5, strict=True),
        ),
        InstanceConvention(
            "stardist",
            "IoU of at least 0.5, as many pairs as possible, then the greatest sum of IoUs; 0/0 is 0.",
            "stardist 0.9.2: matching.matching",
            MatchingRule("iou", 0.5, strict=False, matching="optimal", objective="count, all scores"),
            zero_division=0.0,
            nothing=0.0,
        ),
        InstanceConvention(
            "cellpose",
            "As stardist, but undefined where there is nothing at all.",
            "cellpose 4.2.1.1: metrics.average_precision",
            MatchingRule("iou", 0.5, strict=False, matching="optimal", objective="count, all scores"),
            zero_division=0.0,
        ),
        InstanceConvention(
            "autopet",
            "Components by 18 neighbours; one voxel in common is a match, on both sides.",
            "autoPET 468179b: val_script.py",
            _TOUCH,
            connectivity={2: 8, 3: 18},
            of_masks=True,
        ),
        InstanceConvention(
            "isles",
            "Components by 26 neighbours; one voxel in common is a match, on both sides; F1 of nothing is 1.",
            "ISLES'22: eval_utils.py",
            _TOUCH,
            of_masks=True,
            nothing=1.0,
        ),
    )
}

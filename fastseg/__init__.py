"""fastseg: exact segmentation metrics at the speed of memory.

Read the voxels once, keep a small, exact, mergeable set of counts; everything else is arithmetic on the counts.
"""

from __future__ import annotations

import importlib
from typing import Any

from fastseg._version import __version__ as __version__

# Everything public by its home, which is imported at the first use of one of its names. Besides, every metric and loss that
# is registered is a function of arrays here, by its name and its aliases. `__init__.pyi` is made of these two.
_HOMES = {
    "api.boundaries": ("boundary_iou", "centerline_dice", "count_boundaries", "count_centerlines"),
    "api.component_dice": ("component_dice",),
    "api.components": ("label_components",),
    "api.encoding": ("argmax_labels", "one_hot"),
    "api.evaluator": ("Evaluator",),
    "api.files": ("count_files", "evaluate_files"),
    "api.instance_confidences": ("instance_confidences",),
    "api.instance_files": ("match_instance_files",),
    "api.instances": ("match_instances",),
    "api.labels": ("confusion_matrix", "count_labels", "evaluate"),
    "api.mask_files": ("count_mask_files",),
    "api.masks": ("count_masks",),
    "api.pair_evaluator": ("PairEvaluator",),
    "api.pairs": ("count_pair_files", "count_pairs"),
    "api.panoptic_files": ("match_panoptic_files",),
    "api.score_files": ("evaluate_score_files", "sum_files"),
    "api.scores": ("evaluate_scores", "sum_scores"),
    "api.surfaces": ("surface_distances",),
    "api.table": ("Scores",),
    "counting.threads": ("get_num_threads", "set_num_threads"),
    "counts": (
        "BinaryCounts",
        "BoundaryCounts",
        "CenterlineCounts",
        "LabelCounts",
        "PairCounts",
        "ScoreSums",
        "SurfaceDistances",
    ),
    "metrics.instances": ("InstanceMatching",),
    "metrics.scores": ("ThresholdCurve",),
    "report.figure": ("plot_overlay",),
    "runs.comparison.compare": ("compare_runs",),
    "runs.evaluate": ("evaluate_folder",),
    "runs.merge": ("merge_runs",),
    "runs.run": ("Run",),
}
_FOLDERS = ("adapters", "losses", "metrics", "patch")
_HOME_OF = {name: f"fastseg.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return [public for public in __dir__() if not public.startswith("_")]
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _FOLDERS:
        return importlib.import_module(f"fastseg.{name}")
    home = importlib.import_module(_HOME_OF.get(name, "fastseg.api.functions"))
    try:
        value = getattr(home, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    functions = dir(importlib.import_module("fastseg.api.functions"))
    return sorted({"__version__", *_HOME_OF, *_FOLDERS, *functions})

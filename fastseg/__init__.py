"""fastseg: exact segmentation metrics at the speed of memory.

Read the voxels once, keep a small, exact, mergeable set of counts; everything else is arithmetic on the counts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastseg import losses as losses
    from fastseg import metrics as metrics
    from fastseg.api import confusion_matrix, count_labels, count_masks, evaluate, evaluate_scores
    from fastseg.counts import BinaryCounts, LabelCounts, ScoreSums
    from fastseg.encoding import argmax_labels, one_hot
    from fastseg.evaluator import Evaluator
    from fastseg.files import count_files, evaluate_files
    from fastseg.losses import (
        cross_entropy,
        dice_cross_entropy_loss,
        focal_loss,
        focal_tversky_loss,
        generalized_dice_loss,
        jaccard_loss,
        log_cosh_dice_loss,
        soft_dice_loss,
        soft_iou_loss,
        tversky_loss,
    )
    from fastseg.runs.compare import compare_runs
    from fastseg.runs.folder import evaluate_folder
    from fastseg.runs.run import Run
    from fastseg.score_counting import sum_scores
    from fastseg.score_files import evaluate_score_files, sum_files
    from fastseg.score_metrics import (
        ThresholdCurve,
        brier_score,
        expected_calibration_error,
        maximum_calibration_error,
        negative_log_likelihood,
        threshold_curve,
        top_k_accuracy,
    )
    from fastseg.scores import Scores
    from fastseg.threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

# Name and home of everything public; a home is imported at the first use of one of its names.
_HOMES = {
    "BinaryCounts": "fastseg.counts",
    "Evaluator": "fastseg.evaluator",
    "LabelCounts": "fastseg.counts",
    "Run": "fastseg.runs.run",
    "ScoreSums": "fastseg.counts",
    "Scores": "fastseg.scores",
    "ThresholdCurve": "fastseg.score_metrics",
    "argmax_labels": "fastseg.encoding",
    "brier_score": "fastseg.score_metrics",
    "compare_runs": "fastseg.runs.compare",
    "confusion_matrix": "fastseg.api",
    "count_files": "fastseg.files",
    "count_labels": "fastseg.api",
    "count_masks": "fastseg.api",
    "cross_entropy": "fastseg.losses",
    "dice_cross_entropy_loss": "fastseg.losses",
    "evaluate": "fastseg.api",
    "evaluate_files": "fastseg.files",
    "evaluate_folder": "fastseg.runs.folder",
    "evaluate_score_files": "fastseg.score_files",
    "evaluate_scores": "fastseg.api",
    "expected_calibration_error": "fastseg.score_metrics",
    "focal_loss": "fastseg.losses",
    "focal_tversky_loss": "fastseg.losses",
    "generalized_dice_loss": "fastseg.losses",
    "get_num_threads": "fastseg.threads",
    "jaccard_loss": "fastseg.losses",
    "log_cosh_dice_loss": "fastseg.losses",
    "maximum_calibration_error": "fastseg.score_metrics",
    "negative_log_likelihood": "fastseg.score_metrics",
    "one_hot": "fastseg.encoding",
    "set_num_threads": "fastseg.threads",
    "soft_dice_loss": "fastseg.losses",
    "soft_iou_loss": "fastseg.losses",
    "sum_files": "fastseg.score_files",
    "sum_scores": "fastseg.score_counting",
    "threshold_curve": "fastseg.score_metrics",
    "top_k_accuracy": "fastseg.score_metrics",
    "tversky_loss": "fastseg.losses",
}

__all__ = [
    "BinaryCounts",
    "Evaluator",
    "LabelCounts",
    "Run",
    "ScoreSums",
    "Scores",
    "ThresholdCurve",
    "argmax_labels",
    "brier_score",
    "compare_runs",
    "confusion_matrix",
    "count_files",
    "count_labels",
    "count_masks",
    "cross_entropy",
    "dice_cross_entropy_loss",
    "evaluate",
    "evaluate_files",
    "evaluate_folder",
    "evaluate_score_files",
    "evaluate_scores",
    "expected_calibration_error",
    "focal_loss",
    "focal_tversky_loss",
    "generalized_dice_loss",
    "get_num_threads",
    "jaccard_loss",
    "log_cosh_dice_loss",
    "losses",
    "maximum_calibration_error",
    "metrics",
    "negative_log_likelihood",
    "one_hot",
    "set_num_threads",
    "soft_dice_loss",
    "soft_iou_loss",
    "sum_files",
    "sum_scores",
    "threshold_curve",
    "top_k_accuracy",
    "tversky_loss",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in ("losses", "metrics"):
        value = importlib.import_module(f"fastseg.{name}")
    elif not name.startswith("_") and name in importlib.import_module("fastseg.metrics").REGISTRY:
        value = importlib.import_module("fastseg.api").metric_function(name)
    else:
        raise AttributeError(f"module 'fastseg' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *importlib.import_module("fastseg.metrics").REGISTRY})

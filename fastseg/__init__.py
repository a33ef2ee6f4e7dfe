"""fastseg: exact segmentation metrics at the speed of memory.

Read the voxels once, keep a small, exact, mergeable set of counts; everything else is arithmetic on the counts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastseg._version import __version__ as __version__

if TYPE_CHECKING:
    from fastseg import losses as losses
    from fastseg import metrics as metrics
    from fastseg.api.encoding import argmax_labels, one_hot
    from fastseg.api.evaluator import Evaluator
    from fastseg.api.files import count_files, evaluate_files
    from fastseg.api.labels import confusion_matrix, count_labels, evaluate
    from fastseg.api.masks import count_masks
    from fastseg.api.score_files import evaluate_score_files, sum_files
    from fastseg.api.scores import evaluate_scores, sum_scores
    from fastseg.api.table import Scores
    from fastseg.counting.threads import get_num_threads, set_num_threads
    from fastseg.counts import BinaryCounts, LabelCounts, ScoreSums
    from fastseg.metrics.losses import (
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
    from fastseg.metrics.scores import (
        ThresholdCurve,
        brier_score,
        expected_calibration_error,
        maximum_calibration_error,
        negative_log_likelihood,
        threshold_curve,
        top_k_accuracy,
    )
    from fastseg.runs.comparison.compare import compare_runs
    from fastseg.runs.evaluate import evaluate_folder
    from fastseg.runs.results.numbers import Run

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

# Name and home of everything public; a home is imported at the first use of one of its names.
_HOMES = {
    "BinaryCounts": "fastseg.counts",
    "Evaluator": "fastseg.api.evaluator",
    "LabelCounts": "fastseg.counts",
    "Run": "fastseg.runs.results.numbers",
    "ScoreSums": "fastseg.counts",
    "Scores": "fastseg.api.table",
    "ThresholdCurve": "fastseg.metrics.scores",
    "argmax_labels": "fastseg.api.encoding",
    "brier_score": "fastseg.metrics.scores",
    "compare_runs": "fastseg.runs.comparison.compare",
    "confusion_matrix": "fastseg.api.labels",
    "count_files": "fastseg.api.files",
    "count_labels": "fastseg.api.labels",
    "count_masks": "fastseg.api.labels",
    "cross_entropy": "fastseg.losses",
    "dice_cross_entropy_loss": "fastseg.losses",
    "evaluate": "fastseg.api.labels",
    "evaluate_files": "fastseg.api.files",
    "evaluate_folder": "fastseg.runs.evaluate",
    "evaluate_score_files": "fastseg.api.score_files",
    "evaluate_scores": "fastseg.api.labels",
    "expected_calibration_error": "fastseg.metrics.scores",
    "focal_loss": "fastseg.losses",
    "focal_tversky_loss": "fastseg.losses",
    "generalized_dice_loss": "fastseg.losses",
    "get_num_threads": "fastseg.counting.threads",
    "jaccard_loss": "fastseg.losses",
    "log_cosh_dice_loss": "fastseg.losses",
    "maximum_calibration_error": "fastseg.metrics.scores",
    "negative_log_likelihood": "fastseg.metrics.scores",
    "one_hot": "fastseg.api.encoding",
    "set_num_threads": "fastseg.counting.threads",
    "soft_dice_loss": "fastseg.losses",
    "soft_iou_loss": "fastseg.losses",
    "sum_files": "fastseg.api.score_files",
    "sum_scores": "fastseg.counting.scores",
    "threshold_curve": "fastseg.metrics.scores",
    "top_k_accuracy": "fastseg.metrics.scores",
    "tversky_loss": "fastseg.losses",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in ("losses", "metrics"):
        value = importlib.import_module(f"fastseg.{name}")
    elif not name.startswith("_") and name in importlib.import_module("fastseg.metrics").REGISTRY:
        value = importlib.import_module("fastseg.api.labels").metric_function(name)
    else:
        raise AttributeError(f"module 'fastseg' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *importlib.import_module("fastseg.metrics").REGISTRY})

"""nnU-Net's evaluation: the metrics of a pair of files, and of a folder, to which all its commands and its training lead."""

from __future__ import annotations

from nnunetv2.evaluation import evaluate_predictions

from fastseg.adapters import nnunet
from fastseg.patch.swaps import Step

__all__ = ["STEPS"]

STEPS = [
    Step(evaluate_predictions.compute_metrics, nnunet.compute_metrics),
    Step(evaluate_predictions.compute_metrics_on_folder, nnunet.compute_metrics_on_folder),
]

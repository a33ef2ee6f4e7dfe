"""The table of torchmetrics' names that there are drop-ins for."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CALIBRATION", "CLASSIFICATION", "PUBLIC", "Family"]

#: The module that drop-ins are imported from.
PUBLIC = "fastseg.adapters.torchmetrics"

_ALL = ("binary", "multiclass", "multilabel")
_TWO = ("binary", "multiclass")


class Family(NamedTuple):
    """A metric: its function and class, each alone or for a task by name."""

    function: str
    metric_class: str
    metric: str | None
    """The metric of `fastseg.metrics.REGISTRY` that it is, where it is one."""
    tasks: tuple[str, ...] = _ALL

    @property
    def functions(self) -> list[str]:
        """Names of its functions."""
        return [*(f"{task}_{self.function}" for task in self.tasks), self.function]

    @property
    def classes(self) -> list[str]:
        """Names of its classes, of each task."""
        return [f"{task.capitalize()}{self.metric_class}" for task in self.tasks]


CLASSIFICATION = (
    Family("confusion_matrix", "ConfusionMatrix", None),
    Family("jaccard_index", "JaccardIndex", "iou"),
    Family("cohen_kappa", "CohenKappa", "cohen_kappa", _TWO),
    Family("matthews_corrcoef", "MatthewsCorrCoef", "matthews_corrcoef"),
    Family("stat_scores", "StatScores", None),
    Family("accuracy", "Accuracy", "accuracy"),
    Family("f1_score", "F1Score", "dice"),
    Family("fbeta_score", "FBetaScore", "fbeta"),
    Family("hamming_distance", "HammingDistance", None),
    Family("negative_predictive_value", "NegativePredictiveValue", "negative_predictive_value"),
    Family("precision", "Precision", "precision"),
    Family("recall", "Recall", "recall"),
    Family("specificity", "Specificity", "specificity"),
)

CALIBRATION = Family("calibration_error", "CalibrationError", None, _TWO)

"""Drop-ins for segmentation_models_pytorch: `get_stats` and the losses count here; scores of counts are the host's own.

Counts are exact. The host counts classes in 32-bit floats (`torch.histc`), which hold no odd number beyond 16,777,216, and may
stop there (pytorch#96613).

Losses are of tensors on the CPU or a GPU and a truth that is hard: labels, or 0 and 1; their gradients are one more pass. Few
scores and second derivatives are the host's. Two differences are meant: scores of 16 bits are summed exactly, where the host
adds up in 16 bits; and where a probability is 0 or 1 and right, the host takes ``|p − t|`` for flat, which has a slope here as
beside.
"""

from fastseg.adapters.hosts import load

load("segmentation_models")  # or say what to install

from segmentation_models_pytorch.metrics import (  # noqa: E402
    accuracy,
    balanced_accuracy,
    f1_score,
    false_discovery_rate,
    false_negative_rate,
    false_omission_rate,
    false_positive_rate,
    fbeta_score,
    iou_score,
    negative_likelihood_ratio,
    negative_predictive_value,
    positive_likelihood_ratio,
    positive_predictive_value,
    precision,
    recall,
    sensitivity,
    specificity,
)

from fastseg.adapters.segmentation_models.losses import DiceLoss, JaccardLoss, TverskyLoss  # noqa: E402
from fastseg.adapters.segmentation_models.stats import get_stats  # noqa: E402

__all__ = [
    "DiceLoss",
    "JaccardLoss",
    "TverskyLoss",
    "accuracy",
    "balanced_accuracy",
    "f1_score",
    "false_discovery_rate",
    "false_negative_rate",
    "false_omission_rate",
    "false_positive_rate",
    "fbeta_score",
    "get_stats",
    "iou_score",
    "negative_likelihood_ratio",
    "negative_predictive_value",
    "positive_likelihood_ratio",
    "positive_predictive_value",
    "precision",
    "recall",
    "sensitivity",
    "specificity",
]

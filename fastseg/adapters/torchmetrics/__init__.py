"""Drop-ins for the classification and segmentation metrics of torchmetrics: change the lines that import them.

Functions and metric classes, of each task and by name of the task: accuracy, Cohen's kappa, confusion matrix, F1 and
F-beta, Hamming distance, Jaccard index, Matthews' coefficient, negative predictive value, precision, recall,
specificity, stat scores and calibration error; and Dice, mean IoU and generalised Dice of segmentations. Labels in
tensors of the CPU or a GPU are counted here without a copy, scores once they are labels, with `ignore_index`, `average`,
`multidim_average`, `threshold`, `normalize` and the others. What is made of the counts is made by torchmetrics itself.
All else goes there with the same arguments: tensors on other devices, `top_k`, labels that are no integers or no classes,
subclasses of tensors, and whatever is an error.

Metrics keep their counts under a name that says what was counted: in a `MetricCollection` those of the same options
share one matrix, and no others do. They differ from torchmetrics' in a few things: calibration errors keep bins, not
every score; states have other names, so `state_dict` of the one is none of the other; and with
``multidim_average="samplewise"`` a batch of one sample is a row for multilabel metrics, too, where torchmetrics loses
the axis. Integers as predictions of a `BinaryCalibrationError` are refused without validation, too; `DiceScore` refuses
masks of other than `num_classes` channels, which torchmetrics broadcasts; and where a metric with ``average="micro"`` has let
labels outside the classes into what it shares in a collection, the others raise RuntimeError.

Examples
--------
>>> import torch
>>> from fastseg.adapters.torchmetrics import MulticlassJaccardIndex, multiclass_confusion_matrix
>>> preds, target = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 2])
>>> multiclass_confusion_matrix(preds, target, num_classes=3)
tensor([[1, 0, 0],
        [0, 1, 0],
        [0, 1, 1]])
>>> metric = MulticlassJaccardIndex(num_classes=3)
>>> metric.update(preds, target)
>>> metric.compute()
tensor(0.6667)
"""

from fastseg.adapters.hosts import load

load("torchmetrics")  # so that its absence is said of it, not of PyTorch

from fastseg.adapters.torchmetrics.calibration import CALIBRATION_ERRORS  # noqa: E402
from fastseg.adapters.torchmetrics.functions import FUNCTIONS  # noqa: E402
from fastseg.adapters.torchmetrics.metrics import CLASSES  # noqa: E402
from fastseg.adapters.torchmetrics.segmentation import SEGMENTATION  # noqa: E402

_DROP_INS = {**FUNCTIONS, **CLASSES, **SEGMENTATION, **CALIBRATION_ERRORS}
globals().update(_DROP_INS)
__all__ = [*_DROP_INS]

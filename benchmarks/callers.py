"""How people call fastseg and the others for the same result, as they would be called where speed matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from exacta import _native, functional as exacta
from harness import Array
from monai import metrics as monai
from shapes import four_scores, of_matrices
from sklearn import metrics as sklearn
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index
from torchmetrics.functional.segmentation import dice_score

import fastseg

Call = Callable[[], Any]
FOUR = ("dice", "iou", "precision", "recall")
#: These make one-hot copies of label maps: of both, int64, and a product.
ONE_HOT = {"mean IoU": "MONAI", "Dice a sample": "torchmetrics"}
ONE_HOT_BYTES = 24  # a voxel and class

torch.set_num_threads(fastseg.get_num_threads())
tensor = torch.from_numpy


def ours(call: str, true: Any, pred: Any, classes: int) -> Call:
    """Return our call of label maps whose first axis is the samples."""
    return {
        "confusion matrix": lambda: fastseg.confusion_matrix(true, pred, num_classes=classes),
        "mean IoU": lambda: fastseg.iou(true, pred, num_classes=classes, average="macro"),
        "Dice a sample": lambda: fastseg.dice(true, pred, num_classes=classes, sample_axis=0),
        "evaluate": lambda: fastseg.evaluate(true, pred, num_classes=classes),
    }[call]


def plain(result: Any) -> Any:
    """Return the numbers of one of our results."""
    return tuple(result[name] for name in FOUR) if isinstance(result, fastseg.Scores) else result


def others(call: str, true: Array, pred: Array, classes: int) -> dict[str, Call]:
    """Return the others' calls of the same label maps: NumPy's arrays, or torch's tensors of the same memory."""
    t, p = torch.from_numpy(true), torch.from_numpy(pred)
    one = (1, -1, *true.shape[2:])  # all samples as one
    pooled = p.reshape(one), t.reshape(one)
    samples = list(zip(true, pred, strict=True))

    def bincount(true: Array = true, pred: Array = pred) -> Array:
        pairs = true.astype(np.int64) * classes + pred
        return np.bincount(pairs.reshape(-1), minlength=classes * classes).reshape(classes, classes)

    def three_bincounts(true: Array = true, pred: Array = pred) -> tuple[Array, Array, Array]:
        flat = true[true == pred], true.reshape(-1), pred.reshape(-1)
        both, of_true, of_pred = (np.bincount(each, minlength=classes) for each in flat)
        return both, of_true, of_pred

    def of_torchmetrics() -> Array:
        return multiclass_confusion_matrix(p, t, classes, validate_args=False).numpy()

    def of_scikit_learn(true: Array = true, pred: Array = pred) -> Array:
        return sklearn.confusion_matrix(true.reshape(-1), pred.reshape(-1), labels=range(classes))

    def of_exacta() -> Array:
        return _native.confusion(t, p, classes).numpy()  # its kernel: no function of it returns a matrix

    def one_hot(labels: Any) -> Any:
        return torch.nn.functional.one_hot(labels.long(), classes).movedim(-1, 1)

    if call == "confusion matrix":
        return {
            "bincount": bincount,
            "torchmetrics": of_torchmetrics,
            "scikit-learn": of_scikit_learn,
            "exacta": of_exacta,
        }
    if call == "mean IoU":
        return {
            "bincount": lambda: np.nanmean(four_scores(*of_matrices(bincount()))[1]),
            "three bincounts": lambda: np.nanmean(four_scores(*three_bincounts())[1]),
            "torchmetrics": lambda: multiclass_jaccard_index(p, t, classes, validate_args=False),
            "MONAI": lambda: monai.compute_iou(one_hot(pooled[0]), one_hot(pooled[1])).nanmean(),
            "scikit-learn": lambda: sklearn.jaccard_score(true.reshape(-1), pred.reshape(-1), average="macro"),
            "exacta": lambda: exacta.iou(*pooled, num_classes=classes).nanmean(),
        }
    if call == "Dice a sample":
        f1 = {"labels": range(classes), "average": None, "zero_division": np.nan}
        return {
            "bincount": lambda: np.stack([four_scores(*of_matrices(bincount(*each)))[0] for each in samples]),
            "three bincounts": lambda: np.stack([four_scores(*three_bincounts(*each))[0] for each in samples]),
            "torchmetrics": lambda: dice_score(p.long(), t.long(), classes, average="none", input_format="index"),
            "MONAI": lambda: monai.compute_dice(p[:, None], t[:, None], num_classes=classes),
            "scikit-learn": lambda: np.stack(
                [sklearn.f1_score(a.reshape(-1), b.reshape(-1), **f1) for a, b in samples]
            ),
            "exacta": lambda: exacta.dice(p, t, num_classes=classes),
        }
    names = ("dice", "iou", "precision", "sensitivity")

    def evaluate() -> Any:
        found = exacta.evaluate(*pooled, metrics=names, num_classes=classes)
        return tuple(found[name] for name in names)

    return {
        "bincount": lambda: four_scores(*of_matrices(bincount())),
        "three bincounts": lambda: four_scores(*three_bincounts()),
        "torchmetrics": lambda: four_scores(*of_matrices(of_torchmetrics())),
        "scikit-learn": lambda: four_scores(*of_matrices(of_scikit_learn())),
        "exacta": evaluate,
    }


def ours_of_masks(true: Any, pred: Any, axis: int) -> Call:
    """Return our call of masks: Dice of each sample and channel."""
    return lambda: fastseg.metrics.dice(fastseg.count_masks(true, pred, channel_axis=axis, sample_axis=0))


def others_of_masks(true: Array, pred: Array, axis: int) -> dict[str, Call]:
    """Return the others' calls of the same masks, which see channels first."""
    true, pred = (np.moveaxis(each, axis, 1) for each in (true, pred))
    t, p = torch.from_numpy(true), torch.from_numpy(pred)
    space = tuple(range(2, true.ndim))
    total = np.float64 if true.dtype.kind == "f" else np.int64
    letters = "ncxyz"[: true.ndim]

    def rows() -> Any:
        for pair in zip(true, pred, strict=True):
            yield tuple(np.moveaxis(each, 0, -1).reshape(-1, len(each)) for each in pair)

    def numpy() -> Array:
        both = true & pred if true.dtype == bool else true * pred
        sums = (each.sum(space, dtype=total) for each in (both, true, pred))
        return four_scores(*sums)[0]

    def einsum() -> Array:
        both = np.einsum(f"{letters},{letters}->nc", true, pred, dtype=total)
        return four_scores(both, true.sum(space, dtype=total), pred.sum(space, dtype=total))[0]

    return {
        "NumPy sums": numpy,
        "NumPy einsum": einsum,
        "torchmetrics": lambda: dice_score(p, t, true.shape[1], average="none", input_format="one-hot"),
        "MONAI": lambda: monai.compute_dice(p, t),
        "scikit-learn": lambda: np.stack([sklearn.f1_score(*r, average=None, zero_division=np.nan) for r in rows()]),
        "exacta": lambda: exacta.dice(p, t, input_format="one-hot"),
    }

"""The mean IoU of Hugging Face's `evaluate`, and a `compute_metrics` for its Trainer.

Needs neither `evaluate` nor `datasets`: no image is encoded, and no file kept. What is added up are pairs of labels, so labels
may be renamed, reduced and ignored when the result is computed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.api.encoding import argmax_labels
from fastseg.api.labels import count_labels
from fastseg.arrays.arguments import checked_number
from fastseg.counts import LabelCounts
from fastseg.metrics.arithmetic import nan_mean

__all__ = ["MeanIoU", "SegmentationMetrics", "mean_iou"]

Ints = npt.NDArray[np.int64]
Ignored = int | Sequence[int] | None

#: How scores of so many axes are brought to the size of the references.
_INTERPOLATION = {3: "linear", 4: "bilinear", 5: "trilinear"}


def mean_iou(
    results: Iterable[Any],
    gt_seg_maps: Iterable[Any],
    num_labels: int,
    ignore_index: Ignored,
    nan_to_num: float | None = None,
    label_map: Mapping[int, int] | None = None,
    reduce_labels: bool = False,
) -> dict[str, Any]:
    """Compute what `mean_iou` of `evaluate`'s metric of that name does.

    Parameters
    ----------
    results, gt_seg_maps
        Predicted and true label maps, pair by pair of one shape; or two arrays whose first axis separates them.
    num_labels
        K: the classes are the labels 0..K-1. Others are of no class: a miss of the true class where they are predicted, and a
        false positive of the predicted class where they are true.
    ignore_index
        The true label that is not looked at, or several; None: none.
    nan_to_num
        What stands for NaN, which is the value of a class that does not occur.
    label_map
        New labels of some true labels.
    reduce_labels
        Whether true labels are diminished by 1, after `label_map`: 0 becomes 255, and 255 stays.

    Returns
    -------
    scores : dict
        ``mean_iou``, ``mean_accuracy``, ``overall_accuracy`` and, of shape (K,), ``per_category_iou`` and
        ``per_category_accuracy``.

    Raises
    ------
    TypeError, ValueError
        As `fastseg.count_labels` does; where there are more maps of one kind, or an option is wrong.

    Examples
    --------
    >>> scores = mean_iou([[0, 1, 1, 1]], [[0, 0, 1, 255]], num_labels=3, ignore_index=255)
    >>> scores["per_category_iou"].tolist(), float(scores["mean_iou"])
    ([0.5, 0.5, nan], 0.5)
    """
    metric = MeanIoU()
    return metric.compute(
        predictions=results,
        references=gt_seg_maps,
        num_labels=num_labels,
        ignore_index=ignore_index,
        nan_to_num=nan_to_num,
        label_map=label_map,
        reduce_labels=reduce_labels,
    )


class MeanIoU:
    """What ``evaluate.load("mean_iou")`` returns: maps are added, and the scores of all of them computed.

    Examples
    --------
    >>> metric = MeanIoU()
    >>> metric.add_batch(predictions=[[0, 1], [1, 1]], references=[[0, 1], [0, 1]])
    >>> float(metric.compute(num_labels=2, ignore_index=255)["mean_accuracy"])
    0.75
    """

    def __init__(self) -> None:
        self._counts: LabelCounts | None = None

    def add(self, *, prediction: Any, reference: Any) -> None:
        """Add a predicted and a true label map."""
        found, expected = (getattr(each, "shape", None) or np.shape(each) for each in (prediction, reference))
        if tuple(found) != tuple(expected):
            raise ValueError(f"prediction: expected the reference's shape {tuple(expected)}, found {tuple(found)}")
        counts = count_labels(reference, prediction)
        self._counts = counts if self._counts is None else self._counts.merge(counts)

    def add_batch(self, *, predictions: Iterable[Any], references: Iterable[Any]) -> None:
        """Add maps pair by pair, or two arrays of maps of one size."""
        if hasattr(predictions, "shape") and hasattr(references, "shape"):
            self.add(prediction=predictions, reference=references)
            return
        maps, truths = list(predictions), list(references)
        if len(maps) != len(truths):
            raise ValueError(f"references: expected as many as predictions, {len(maps)}; found {len(truths)}")
        for prediction, reference in zip(maps, truths, strict=True):
            self.add(prediction=_as_map(prediction), reference=_as_map(reference))

    def compute(
        self,
        *,
        predictions: Iterable[Any] | None = None,
        references: Iterable[Any] | None = None,
        num_labels: int,
        ignore_index: Ignored,
        nan_to_num: float | None = None,
        label_map: Mapping[int, int] | None = None,
        reduce_labels: bool = False,
    ) -> dict[str, Any]:
        """Return the scores of what was added, and of further maps, and begin anew; see `mean_iou` for the options."""
        if predictions is not None or references is not None:
            if predictions is None or references is None:
                raise ValueError("predictions, references: expected both or none, found one")
            self.add_batch(predictions=predictions, references=references)
        counts = LabelCounts.zeros() if self._counts is None else self._counts
        areas = areas_of_classes(counts, num_labels, ignore_index, label_map or {}, reduce_labels)
        self._counts = None
        intersect, pred, true = areas.astype(np.float64)
        with np.errstate(invalid="ignore"):  # NaN where there is none of a class
            iou, accuracy = intersect / (pred + true - intersect), intersect / true
            overall = intersect.sum() / true.sum()
        means = nan_mean(np.stack([iou, accuracy]), 1)
        scores = {
            "mean_iou": means[0],
            "mean_accuracy": means[1],
            "overall_accuracy": overall,
            "per_category_iou": iou,
            "per_category_accuracy": accuracy,
        }
        if nan_to_num is None:
            return scores
        value = checked_number(nan_to_num, "nan_to_num")
        return {name: np.nan_to_num(each, nan=value) for name, each in scores.items()}


class SegmentationMetrics:
    """A `compute_metrics` for transformers' Trainer, in constant memory with ``batch_eval_metrics=True``.

    Parameters
    ----------
    num_labels, ignore_index, nan_to_num, label_map, reduce_labels
        As in `mean_iou`. Where the Trainer pads batches, it does so by -100, which `ignore_index` may list too.
    id2label
        The names of the labels, as in the model's configuration; without it there are no scores of single labels.

    Notes
    -----
    Predictions are label maps, or scores (N, C, …) of which the largest counts, brought to the size of the references by
    linear interpolation first if they are of another (this needs PyTorch); of a tuple of outputs the first. Scores of tensors
    on other devices are compared there, and label maps on a GPU that can be counted on are counted there.

    Examples
    --------
    >>> metrics = SegmentationMetrics(2, id2label={0: "road", 1: "car"})
    >>> scores = metrics((np.array([[[0, 1, 1]]]), np.array([[[0, 1, 0]]])))
    >>> scores["iou_car"], round(scores["overall_accuracy"], 3)
    (0.5, 0.667)
    """

    def __init__(
        self,
        num_labels: int,
        ignore_index: Ignored = 255,
        id2label: Mapping[Any, str] | None = None,
        *,
        nan_to_num: float | None = None,
        label_map: Mapping[int, int] | None = None,
        reduce_labels: bool = False,
    ) -> None:
        self._options: dict[str, Any] = {
            "num_labels": num_labels,
            "ignore_index": ignore_index,
            "nan_to_num": nan_to_num,
            "label_map": label_map,
            "reduce_labels": reduce_labels,
        }
        self._names = {} if id2label is None else {int(key): name for key, name in id2label.items()}
        if id2label is not None and set(self._names) != set(range(num_labels)):
            raise ValueError(f"id2label: expected names of the labels 0..{num_labels - 1}, found {dict(id2label)}")
        self._metric = MeanIoU()
        self._scores(self._metric.compute(**self._options))  # so that a wrong option is known before the first epoch

    def add(self, *, prediction: Any, reference: Any) -> None:
        """Add a predicted and a true label map."""
        self._metric.add(prediction=prediction, reference=reference)

    def add_batch(self, *, predictions: Iterable[Any], references: Iterable[Any]) -> None:
        """Add maps pair by pair, or two arrays of maps of one size."""
        self._metric.add_batch(predictions=predictions, references=references)

    def compute(
        self, *, predictions: Iterable[Any] | None = None, references: Iterable[Any] | None = None
    ) -> dict[str, Any]:
        """Return what `mean_iou` does of what was added, and of further maps, and begin anew."""
        return self._metric.compute(predictions=predictions, references=references, **self._options)

    def __call__(self, eval_prediction: Any, compute_result: bool = True) -> dict[str, float]:
        """Add the predictions of a batch, or of all; return the scores if wanted, and begin anew.

        Returns
        -------
        scores : dict of str to float
            ``mean_iou``, ``mean_accuracy``, ``overall_accuracy``, and ``accuracy_…`` and ``iou_…`` of each name of a label.
            Nothing unless `compute_result`.
        """
        pair = eval_prediction if isinstance(eval_prediction, tuple) else None
        predictions, references = pair or (eval_prediction.predictions, eval_prediction.label_ids)
        predictions = predictions[0] if isinstance(predictions, tuple) else predictions
        prediction = _label_maps(predictions, tuple(references.shape))
        prediction, reference = _in_one_place(prediction, references)
        self.add(prediction=prediction, reference=reference)
        return self._scores(self.compute()) if compute_result else {}

    def _scores(self, scores: dict[str, Any]) -> dict[str, float]:
        single = {name: scores.pop(f"per_category_{name}") for name in ("accuracy", "iou")}
        found = {name: float(value) for name, value in scores.items()}
        for kind, values in single.items():
            found |= {f"{kind}_{name}": float(values[label]) for label, name in self._names.items()}
        return found


def areas_of_classes(
    counts: LabelCounts, num_labels: int, ignore_index: Ignored, label_map: Mapping[int, int], reduce_labels: bool
) -> Ints:
    """Return voxels of both maps, of the prediction and of the truth, of each class: (3, K)."""
    if not isinstance(num_labels, int | np.integer) or isinstance(num_labels, bool) or num_labels < 1:
        raise ValueError(f"num_labels: expected a whole number from 1 on, found {num_labels!r}")
    labels, matrix = counts.labels, counts.matrix[0]
    true = labels.copy()
    for old, new in label_map.items():
        true[labels == int(old)] = int(new)
    if reduce_labels:
        true = np.where(true == 0, 255, true) - 1
        true[true == 254] = 255
    if ignore_index is not None:
        single = isinstance(ignore_index, int | np.integer)
        looked_at = true != ignore_index if single else ~np.isin(true, np.asarray(ignore_index))
        true, matrix = true[looked_at], matrix[looked_at]
    areas = np.zeros((3, num_labels), np.int64)
    among = (labels >= 0) & (labels < num_labels)
    areas[1, labels[among]] = matrix.sum(0)[among]
    among = (true >= 0) & (true < num_labels)
    np.add.at(areas[2], true[among], matrix.sum(1)[among])
    rows, columns = np.nonzero((true[:, None] == labels) & among[:, None])
    np.add.at(areas[0], true[rows], matrix[rows, columns])
    return areas


def _label_maps(predictions: Any, shape: tuple[int, ...]) -> Any:
    """Return the label maps of scores, of the references' shape; or what are label maps already."""
    if predictions.ndim != len(shape) + 1:
        return predictions
    if tuple(predictions.shape[2:]) != shape[1:]:
        import torch

        scores = torch.as_tensor(predictions)
        if scores.ndim not in _INTERPOLATION:
            raise ValueError(f"predictions: expected 1 to 3 spatial axes, found the shape {tuple(predictions.shape)}")
        mode = _INTERPOLATION[scores.ndim]
        predictions = torch.nn.functional.interpolate(scores, size=shape[1:], mode=mode, align_corners=False)
    if _is_elsewhere(predictions):
        return predictions.argmax(1)
    return argmax_labels(predictions, channel_axis=1)


def _as_map(labels: Any) -> Any:
    """Return a label map, a nested list for example, as an array or as the tensor that it is."""
    return labels if _is_elsewhere(labels) else np.asarray(labels)


def _in_one_place(*maps: Any) -> Any:
    """Return label maps as they are where they can be counted there, else on the CPU."""
    if all(map(_is_elsewhere, maps)):
        from fastseg.adapters.calls import NotCovered
        from fastseg.adapters.devices import check_place

        try:
            check_place(*maps)
        except NotCovered:
            pass
        else:
            return maps
    return tuple(each.cpu() if _is_elsewhere(each) else each for each in maps)


def _is_elsewhere(array: Any) -> bool:
    """Tell whether it is a tensor on another device."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor) and array.device.type != "cpu"

"""Each metric of a matching by its name: the mean over its classes."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ClassMeans"]


class ClassMeans:
    """What has a mean over classes of each metric."""

    def mean(self, metric: str, classes: Sequence[int] | None = None) -> float:
        """Return the mean of a metric over classes."""
        raise NotImplementedError

    @property
    def panoptic_quality(self) -> float:
        """Return PQ."""
        return self.mean("panoptic_quality")

    @property
    def segmentation_quality(self) -> float:
        """Return SQ, the mean IoU of what was found."""
        return self.mean("segmentation_quality")

    @property
    def recognition_quality(self) -> float:
        """Return RQ, which is F1."""
        return self.mean("recognition_quality")

    @property
    def panoptic_quality_dice(self) -> float:
        """Return PQ of Dice instead of IoU."""
        return self.mean("panoptic_quality_dice")

    @property
    def segmentation_quality_dice(self) -> float:
        """Return the mean Dice of what was found."""
        return self.mean("segmentation_quality_dice")

    @property
    def precision(self) -> float:
        """Return TP/(TP+FP)."""
        return self.mean("precision")

    @property
    def recall(self) -> float:
        """Return TP/(TP+FN), the sensitivity."""
        return self.mean("recall")

    @property
    def f1(self) -> float:
        """Return TP/(TP+FP/2+FN/2)."""
        return self.mean("f1")

    @property
    def accuracy(self) -> float:
        """Return TP/(TP+FP+FN)."""
        return self.mean("accuracy")

    @property
    def instance_dice(self) -> float:
        """Return the mean Dice over true instances and false alarms, 0 of what was missed or invented."""
        return self.mean("instance_dice")

    @property
    def instance_iou(self) -> float:
        """Return the mean IoU over true instances and false alarms, 0 of what was missed or invented."""
        return self.mean("instance_iou")

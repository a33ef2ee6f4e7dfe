"""Drop-ins for losses of `segmentation_models_pytorch.losses`: modules with the host's options, state and names."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segmentation_models_pytorch import losses as host

from fastseg.adapters.autograd import differentiable_loss
from fastseg.adapters.calls import NotCovered, drop_in_class
from fastseg.adapters.devices import check_tensors, is_plain
from fastseg.adapters.loss_modules import CountedLoss, forward_of
from fastseg.metrics.loss_derivatives import Loss, Overlap, Power

__all__ = ["DiceLoss", "JaccardLoss", "TverskyLoss"]

#: Fewer scores than these are the host's, which has its result before a call of ours has begun to count; twice as many where
#: each class is a question of its own.
_FEW = 1 << 18
_ACTIVATIONS = {"binary": "sigmoid", "multilabel": "sigmoid", "multiclass": "softmax"}
_HALVES = (torch.float16, torch.bfloat16)


class _CountedLoss(CountedLoss):
    """A loss with the names of the host's arguments, and what it has of them all."""

    def forward(self, y_pred: torch.Tensor, y_true: torch.Tensor) -> torch.Tensor:
        """Return the loss, as the host does."""
        return self._ours(y_pred, y_true)

    def _fast(self, y_pred: torch.Tensor, y_true: torch.Tensor) -> torch.Tensor:
        module: Any = self
        _check(module, y_pred, y_true)
        scores, truth = _side_by_side(module.mode, y_pred, y_true, module.ignore_index is not None)
        multiclass = module.mode == "multiclass"
        share = _shares(module, y_pred)
        loss = self._loss(share if multiclass else share[:, None], pooled=multiclass)

        def theirs(scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
            return self._theirs(scores.reshape(y_pred.shape), truth.reshape(y_true.shape))

        return differentiable_loss(
            scores,
            truth,
            loss,
            theirs,
            self._dtype(y_pred, y_true),
            activation=_ACTIVATIONS[module.mode] if module.from_logits else None,
            quantities=["dice"],
            ignore_index=module.ignore_index,
            channel_axis=1 if multiclass else 2,
            sample_axis=0 if multiclass else 1,
        )

    def _loss(self, share: npt.NDArray[np.float64], pooled: bool) -> Loss:
        """Return the loss of sums, in which each class has a share: of pooled cases, or of what is a case for each class."""
        raise NotImplementedError

    def _dtype(self, y_pred: torch.Tensor, y_true: torch.Tensor) -> Any:
        """Return the type of the host's result; of 16 bits that depends on what is cast automatically: ask it of one voxel."""
        if y_pred.dtype in _HALVES:
            voxel = (slice(None), slice(None), *(slice(1),) * (y_pred.ndim - 2))
            few = y_pred.detach()[voxel]
            true = few if self.mode != "multiclass" else few[:, 0].long() * 0  # type: ignore[attr-defined]
            with torch.no_grad():
                return self._theirs(few, true.to(y_true.dtype)).dtype
        weights = self.class_weights  # type: ignore[attr-defined]
        return y_pred.dtype if weights is None else torch.promote_types(y_pred.dtype, weights.dtype)


def _check(module: Any, y_pred: torch.Tensor, y_true: torch.Tensor) -> None:
    """Raise `NotCovered` unless scores and truth can be counted here."""
    check_tensors(y_pred, y_true)
    if y_pred.numel() < _FEW << (module.mode != "multiclass") and os.environ.get("FASTSEG_ADAPTERS") != "strict":
        raise NotCovered("few scores")
    if y_true.requires_grad and torch.is_grad_enabled():
        raise NotCovered("derivatives by the truth")
    if y_pred.ndim < 2 or not y_pred.numel() or y_true.shape[:1] != y_pred.shape[:1]:
        raise NotCovered("scores without axes or values, or of another batch than the truth")
    if not y_pred.is_floating_point() or y_pred.itemsize < 2 or y_true.is_complex() or y_true.dtype in _HALVES:
        raise NotCovered("scores that are no floats, or a truth of 16 bits")
    if type(module.ignore_index) not in (int, type(None)):
        raise NotCovered("ignore_index that is no integer")
    if module.ignore_index is not None and y_true.dtype is torch.bool:
        raise NotCovered("ignore_index of a mask")
    if not module.from_logits:
        low, high = y_pred.detach().aminmax()
        if not (low >= 0 and high <= 1):
            raise NotCovered("probabilities beyond 0 and 1")


def _side_by_side(
    mode: str, y_pred: torch.Tensor, y_true: torch.Tensor, ignoring: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores and labels: (N, C, ...) and (N, ...), or what is a question of each class (N, C, 1, V) and (N, C, V)."""
    if mode == "multiclass":
        of_one_channel = y_true.ndim == y_pred.ndim and y_true.shape[1] == 1
        labels = y_true[:, 0] if of_one_channel else y_true
        if y_pred.shape[1] < 2 or labels.shape != (y_pred.shape[0], *y_pred.shape[2:]):
            raise NotCovered("one class, or a truth that is no label map")
        if labels.is_floating_point() or labels.dtype is torch.bool:
            raise NotCovered("labels that are no integers")
        if labels.dtype is not torch.int64 and not ignoring:
            raise NotCovered("labels that the host refuses")
        return y_pred, labels
    if y_true.numel() != y_pred.numel():
        raise NotCovered("a truth of another size")
    classes = 1 if mode == "binary" else y_pred.shape[1]
    shape = (y_pred.shape[0], classes, -1)
    return y_pred.reshape(shape).unsqueeze(2), y_true.reshape(shape)


def _shares(module: Any, y_pred: torch.Tensor) -> npt.NDArray[np.float64]:
    """Return which part of the loss each class is."""
    weights, chosen = module.class_weights, module.classes
    classes = 1 if module.mode == "binary" else y_pred.shape[1]
    if weights is None:
        of_class = np.ones(classes)
    elif not is_plain(weights) or weights.shape != (classes,) or weights.requires_grad:
        raise NotCovered("weights that are not one a class")
    elif weights.device != y_pred.device:
        raise NotCovered("weights on another device")
    else:
        of_class = weights.double().cpu().numpy()
    times = np.ones(classes)
    if chosen is not None:
        if chosen.ndim != 1 or not chosen.numel() or not bool(((chosen >= -classes) & (chosen < classes)).all()):
            raise NotCovered("classes that there are not")
        times = np.bincount(chosen.cpu().numpy() % classes, minlength=classes).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: npt.NDArray[np.float64] = times * of_class / (times * of_class).sum()
    return shares


def _overlap(module: Any, share: npt.NDArray[np.float64], pooled: bool, alpha: float, beta: float) -> Overlap:
    return Overlap(
        *(1.0, alpha, beta, 1.0 - alpha - beta),
        numerator=float(module.smooth),
        denominator=float(module.smooth),
        least=float(module.eps),
        log=float(module.eps) if module.log_loss else None,
        present=True,
        pooled=pooled,
        class_weight=share,
        reduction="sum",
    )


@drop_in_class("segmentation_models_pytorch.losses.DiceLoss", statistic="scores")
class DiceLoss(_CountedLoss, host.DiceLoss):
    """Counted here: scores of the CPU or a GPU and a truth that is hard, with every option."""

    _name, _theirs = "segmentation_models.DiceLoss", forward_of(host.DiceLoss)

    def _loss(self, share: npt.NDArray[np.float64], pooled: bool) -> Loss:
        return _overlap(self, share, pooled, 0.5, 0.5)


@drop_in_class("segmentation_models_pytorch.losses.JaccardLoss", statistic="scores")
class JaccardLoss(_CountedLoss, host.JaccardLoss):
    """Counted here: what `DiceLoss` counts."""

    _name, _theirs = "segmentation_models.JaccardLoss", forward_of(host.JaccardLoss)

    def _loss(self, share: npt.NDArray[np.float64], pooled: bool) -> Loss:
        return _overlap(self, share, pooled, 1.0, 1.0)


@drop_in_class("segmentation_models_pytorch.losses.TverskyLoss", statistic="scores")
class TverskyLoss(_CountedLoss, host.TverskyLoss):
    """Counted here: what `DiceLoss` counts."""

    _name, _theirs = "segmentation_models.TverskyLoss", forward_of(host.TverskyLoss)

    def _loss(self, share: npt.NDArray[np.float64], pooled: bool) -> Loss:
        return Power(_overlap(self, share, pooled, float(self.alpha), float(self.beta)), float(self.gamma))

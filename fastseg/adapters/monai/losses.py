"""Drop-ins for losses of `monai.losses`: modules with the host's options, state and names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai import losses as host
from monai.networks import one_hot
from monai.utils import Weight

from fastseg.adapters.calls import NotCovered, drop_in_class
from fastseg.adapters.loss_modules import CountedLoss, forward_of, of_hard_truth
from fastseg.adapters.monai.loss_inputs import Given, class_weights
from fastseg.metrics.loss_derivatives import CrossEntropy, Focal, GeneralizedDice, Loss, Overlap, Weighted
from fastseg.metrics.loss_terms import focal_factors

__all__ = ["DiceCELoss", "DiceFocalLoss", "DiceLoss", "FocalLoss", "GeneralizedDiceLoss", "TverskyLoss"]


def _options(module: Any, given: Given) -> tuple[int, dict[str, Any]]:
    """Return the first class of a host's overlap loss, and its options of sums."""
    if module.other_act is not None:
        raise NotCovered("other_act")
    first = int(not module.include_background)
    if given.channels == 1 and (module.softmax or first or module.to_onehot_y):
        raise NotCovered("options that one channel ignores")
    ignore_index = getattr(module, "ignore_index", None)
    if ignore_index is not None and not given.label_map:
        raise NotCovered("ignore_index of a truth with channels")
    activation = "softmax" if module.softmax else "sigmoid" if module.sigmoid else None
    return first, {"activation": activation, "quantities": ["dice"], "ignore_index": ignore_index}


def _overlap(module: Any, given: Given, loss: Loss) -> Loss:
    """Return a host's overlap loss: `soft_label` says nothing of a truth that is 0 or 1, and of squares nothing else."""
    squared = bool(getattr(module, "squared_pred", False))
    if (squared or module.soft_label) and not given.label_map and not given.truth.is_floating_point():
        raise NotCovered("integers, whose norm the host refuses to take")
    return of_hard_truth(loss) if module.soft_label and given.may_be_soft and not squared else loss


def _dice(module: Any, given: Given, first: int) -> Loss:
    """Return the loss of a host's DiceLoss."""
    classes = given.channels - first
    loss = Overlap(
        *((2.0, 2.0, 2.0, -2.0) if module.jaccard else (2.0, 1.0, 1.0, 0.0)),
        numerator=module.smooth_nr,
        denominator=module.smooth_dr,
        squared=bool(module.squared_pred),
        pooled=bool(module.batch),
        first=first,
        class_weight=None if classes == 1 else class_weights(module.class_weight, classes),
        reduction=module.reduction,
    )
    return _overlap(module, given, loss)


def _broadcastable(module: Any, given: Given, values: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of a result that is not reduced, None of a number."""
    return (*values, *(1,) * (given.scores.ndim - 2)) if module.reduction == "none" else None


def _cross_entropy(module: Any, given: Given) -> tuple[CrossEntropy, dict[str, Any]]:
    """Return the cross-entropy of a host's DiceCELoss, and its options of sums."""
    if given.may_be_soft and given.truth.dtype != given.scores.dtype:
        raise NotCovered("a truth of another type than the scores")
    if given.channels > 1:
        entropy = module.cross_entropy
        _check_weight(entropy.weight, given.scores)
        smoothing = float(entropy.label_smoothing)
        loss = CrossEntropy(
            class_weights(entropy.weight, given.channels), label_smoothing=smoothing, reduction=entropy.reduction
        )
        return loss, {"activation": "softmax", "quantities": ["cross_entropy", *(["smoothing"] if smoothing else [])]}
    entropy = module.binary_cross_entropy
    if entropy.pos_weight is not None and entropy.pos_weight.device != given.scores.device:
        raise NotCovered("weights on another device")
    weight = class_weights(entropy.pos_weight, 1)
    loss = CrossEntropy(true_weight=weight, reduction=entropy.reduction)
    if weight is None:
        return loss, {"activation": "sigmoid", "quantities": ["cross_entropy"]}
    return loss, {"activation": "sigmoid", "quantities": ["focal"], "focal_gamma": 0.0}


def _check_weight(weight: Any, scores: Any) -> None:
    """Raise `NotCovered` of weights that PyTorch's cross-entropy refuses beside these scores."""
    if weight is None:
        return
    if weight.device != scores.device:
        raise NotCovered("weights on another device")
    if weight.dtype != scores.dtype and not torch.is_autocast_enabled(scores.device.type):
        raise NotCovered("weights of another type than the scores")


def _focal(module: Any, given: Given) -> tuple[Loss, dict[str, Any]]:
    """Return the loss of a host's FocalLoss, and its options of sums."""
    first, ignored = int(not module.include_background), module.ignore_index
    if module.reduction == "none":
        raise NotCovered("the focal loss of each voxel")
    if first + bool(module.use_softmax) + (given.channels == 1) > 1:
        raise NotCovered("a softmax of some classes, or options that one channel ignores")
    if ignored is not None and not given.label_map:
        raise NotCovered("ignore_index of a truth with channels")
    loss: Loss = Focal(
        _factors(module, given.channels, first),
        first=first,
        reduction=module.reduction,
        per_class=ignored is None,  # the host divides by voxels alone where some are ignored
        least=float(torch.finfo(torch.float32).eps),
    )
    quantities = ["focal"]
    if given.may_be_soft and not module.use_softmax:
        loss = of_hard_truth(loss)
        quantities.append("dice")
    options = {"activation": "softmax" if module.use_softmax else "sigmoid", "ignore_index": ignored}
    return loss, options | {"quantities": quantities, "focal_gamma": float(module.gamma)}


def _factors(module: Any, channels: int, first: int) -> Any:
    """Return what the terms of a host's FocalLoss are multiplied by."""
    weight, alpha, classes = module.class_weight, module.alpha, channels - first
    if weight is None or not weight.ndim:
        weights = np.full(channels, 1.0 if weight is None else float(weight))
        if not weights[0] >= 0:
            raise NotCovered("weights that are not one a class")
    elif classes == 1:
        raise NotCovered("weights of one channel")
    else:
        weights = np.concatenate([np.ones(first), class_weights(weight, classes)])
    if isinstance(alpha, torch.Tensor):
        alpha = np.concatenate([np.ones(first), class_weights(alpha, classes)])
    elif alpha is not None and not 0 <= alpha <= 1:
        raise NotCovered("alpha beyond 0 and 1")
    return focal_factors(weights, alpha, not module.use_softmax)


class _CountedLoss(CountedLoss):
    """A loss with the names of the host's arguments."""

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss, as the host does."""
        if torch.jit.is_scripting():
            return self._theirs(input, target)
        return self._ours(input, target)


@drop_in_class("monai.losses.DiceLoss", statistic="scores")
class DiceLoss(_CountedLoss, host.DiceLoss):
    """Counted here: scores and a label map or one-hot truth, also with `jaccard`, `batch` and weights."""

    _name, _theirs = "monai.DiceLoss", forward_of(host.DiceLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
        first, options = _options(self, given)
        values = given.per_class(first, self.batch)
        return given.loss(_dice(self, given, first), self._theirs, _broadcastable(self, given, values), **options)


@drop_in_class("monai.losses.DiceCELoss", statistic="scores")
class DiceCELoss(_CountedLoss, host.DiceCELoss):
    """Counted here: what `DiceLoss` counts, in the same pass where both take the softmax, or there is one channel."""

    _name, _theirs = "monai.DiceCELoss", forward_of(host.DiceCELoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.dice.to_onehot_y)
        first, options = _options(self.dice, given)
        dice = _dice(self.dice, given, first)
        entropy, own = _cross_entropy(self, given)
        if self.dice.reduction != entropy.reduction:
            raise NotCovered("Dice and cross-entropy of other reductions")
        if options["activation"] == own["activation"]:
            both = Weighted([(self.lambda_dice, dice), (self.lambda_ce, entropy)])
            return given.loss(both, self._theirs, None, **_joined(options, own))
        theirs = self.ce if given.channels > 1 else self.bce
        return self.lambda_dice * given.loss(dice, self.dice, None, **options) + self.lambda_ce * given.loss(
            entropy, theirs, None, **own
        )


@drop_in_class("monai.losses.TverskyLoss", statistic="scores")
class TverskyLoss(_CountedLoss, host.TverskyLoss):
    """Counted here: what `DiceLoss` counts."""

    _name, _theirs = "monai.TverskyLoss", forward_of(host.TverskyLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
        if not given.label_map and given.truth.dtype is torch.bool:
            raise NotCovered("a boolean truth, which the host refuses")
        first, options = _options(self, given)
        a, b = float(self.alpha), float(self.beta)
        loss = Overlap(
            *(1.0, a, b, 1.0 - a - b),
            numerator=self.smooth_nr,
            denominator=self.smooth_dr,
            pooled=bool(self.batch),
            first=first,
            reduction=self.reduction,
        )
        return given.loss(_overlap(self, given, loss), self._theirs, None, **options)


@drop_in_class("monai.losses.GeneralizedDiceLoss", statistic="scores")
class GeneralizedDiceLoss(_CountedLoss, host.GeneralizedDiceLoss):
    """Counted here: what `DiceLoss` counts."""

    _name, _theirs = "monai.GeneralizedDiceLoss", forward_of(host.GeneralizedDiceLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
        first, options = _options(self, given)
        loss = GeneralizedDice(
            {Weight.SQUARE: 2, Weight.SIMPLE: 1}.get(self.w_type, 0),
            numerator=self.smooth_nr,
            denominator=self.smooth_dr,
            pooled=bool(self.batch),
            first=first,
            reduction=self.reduction,
        )
        values = (1,) if self.batch else (given.scores.shape[0], 1)
        shape = _broadcastable(self, given, values)
        return given.loss(_overlap(self, given, loss), self._theirs, shape, **options)


@drop_in_class("monai.losses.FocalLoss", statistic="scores")
class FocalLoss(_CountedLoss, host.FocalLoss):
    """Counted here: the mean and the sum, of label maps and one-hot truths; with the softmax of soft truths too."""

    _name, _theirs = "monai.FocalLoss", forward_of(host.FocalLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
        loss, options = _focal(self, given)
        return given.loss(loss, self._theirs, None, dtype=torch.float32, **options)


@drop_in_class("monai.losses.DiceFocalLoss", statistic="scores")
class DiceFocalLoss(_CountedLoss, host.DiceFocalLoss):
    """Counted here: the mean and the sum, of label maps and one-hot truths, in the same pass where both take the sigmoid."""

    _name, _theirs = "monai.DiceFocalLoss", forward_of(host.DiceFocalLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
        first, options = _options(self.dice, given)
        dice = _dice(self.dice, given, first)
        focal, own = _focal(self.focal, given)
        if self.dice.reduction != self.focal.reduction:
            raise NotCovered("Dice and focal loss of other reductions")
        if options["activation"] == own["activation"]:
            both = Weighted([(self.lambda_dice, dice), (self.lambda_focal, focal)])
            return given.loss(both, self._theirs, None, **_joined(options, own))

        def each(loss: Any) -> Any:
            """Return the host's, of what it makes of a label map first."""
            return lambda z, t: loss(z, one_hot(t, given.channels) if given.label_map else t)

        return self.lambda_dice * given.loss(dice, each(self.dice), None, **options) + self.lambda_focal * given.loss(
            focal, each(self.focal), None, dtype=torch.float32, **own
        )


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return options of sums that two losses share."""
    return one | other | {"quantities": one["quantities"] + other["quantities"]}

"""Drop-ins for losses of `monai.losses`: modules with the host's options, state and names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from monai import losses as host
from monai.utils import Weight

from fastseg.adapters.calls import NotCovered, attempt, drop_in_class
from fastseg.adapters.monai.loss_inputs import Given, class_weights, forward_of
from fastseg.metrics.loss_derivatives import CrossEntropy, Focal, GeneralizedDice, Overlap, Weighted

__all__ = ["DiceCELoss", "DiceFocalLoss", "DiceLoss", "FocalLoss", "GeneralizedDiceLoss", "TverskyLoss"]


def _options(module: Any, given: Given) -> tuple[int, dict[str, Any]]:
    """Return the first class of a host's overlap loss, and its options of sums."""
    if module.other_act is not None or module.soft_label:
        raise NotCovered("other_act or soft_label")
    first = int(not module.include_background)
    if given.channels == 1 and (module.softmax or first or module.to_onehot_y):
        raise NotCovered("options that one channel ignores")
    ignore_index = getattr(module, "ignore_index", None)
    if ignore_index is not None and not given.label_map:
        raise NotCovered("ignore_index of a truth with channels")
    activation = "softmax" if module.softmax else "sigmoid" if module.sigmoid else None
    return first, {"activation": activation, "quantities": ["dice"], "ignore_index": ignore_index}


def _dice(module: Any, given: Given, first: int) -> Overlap:
    """Return the loss of a host's DiceLoss."""
    classes = given.channels - first
    return Overlap(
        *((2.0, 2.0, 2.0, -2.0) if module.jaccard else (2.0, 1.0, 1.0, 0.0)),
        numerator=module.smooth_nr,
        denominator=module.smooth_dr,
        squared=bool(module.squared_pred),
        pooled=bool(module.batch),
        first=first,
        class_weight=None if classes == 1 else class_weights(module.class_weight, classes),
        reduction=module.reduction,
    )


def _broadcastable(module: Any, given: Given, values: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of a result that is not reduced, None of a number."""
    return (*values, *(1,) * (given.scores.ndim - 2)) if module.reduction == "none" else None


def _focal(module: Any, given: Given) -> tuple[Focal, dict[str, Any]]:
    """Return the loss of a host's FocalLoss, and its options of sums."""
    if given.differentiated:
        raise NotCovered("derivatives of the focal loss")
    if not given.label_map or module.alpha is not None or module.ignore_index is not None:
        raise NotCovered("options of the focal loss")
    if not module.include_background or module.reduction == "none":
        raise NotCovered("a focal loss of some classes, or of each voxel")
    activation = "softmax" if module.use_softmax else "sigmoid"
    options: dict[str, Any] = {"activation": activation, "quantities": ["focal"], "focal_gamma": float(module.gamma)}
    return Focal(class_weights(module.class_weight, given.channels), module.reduction), options


class _Counted:
    """Says where a loss comes from: `_fast`, or the host's own forward, `_theirs`."""

    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        _name: ClassVar[str]  # what a report calls it
        _theirs: Any
        _fast: Any

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss, as the host does."""
        if torch.jit.is_scripting():
            return self._theirs(input, target)
        return self._ours(input, target)

    @torch.jit.unused
    def _ours(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():
            return self._theirs(input, target)
        return attempt(self._name, self._fast, self._theirs, input, target)


@drop_in_class("monai.losses.DiceLoss", statistic="scores")
class DiceLoss(_Counted, host.DiceLoss):
    """Counted here: scores of the CPU and a label map or one-hot truth, also with `jaccard`, `batch` and weights."""

    _name, _theirs = "monai.DiceLoss", forward_of(host.DiceLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
        first, options = _options(self, given)
        values = given.per_class(first, self.batch)
        return given.loss(_dice(self, given, first), self._theirs, _broadcastable(self, given, values), **options)


@drop_in_class("monai.losses.DiceCELoss", statistic="scores")
class DiceCELoss(_Counted, host.DiceCELoss):
    """Counted here: what `DiceLoss` counts, in the same pass where both take the softmax, or there is one channel."""

    _name, _theirs = "monai.DiceCELoss", forward_of(host.DiceCELoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.dice.to_onehot_y)
        first, options = _options(self.dice, given)
        entropy = self.cross_entropy if given.channels > 1 else self.binary_cross_entropy
        wanted = "softmax" if given.channels > 1 else "sigmoid"
        weight = entropy.weight if given.channels > 1 else entropy.pos_weight
        if options["activation"] != wanted or self.dice.reduction != entropy.reduction:
            raise NotCovered("Dice and cross-entropy of other options")
        if not given.label_map and target.is_floating_point() and target.dtype != input.dtype:
            raise NotCovered("a truth of another type than the scores")
        if given.channels == 1 and (weight is not None or self.cross_entropy.label_smoothing):
            raise NotCovered("weights or smoothing of one channel")
        smoothing = float(self.cross_entropy.label_smoothing)
        ce = CrossEntropy(class_weights(weight, given.channels), smoothing, entropy.reduction)
        options["quantities"] += ["cross_entropy", *(["smoothing"] if smoothing else [])]
        both = Weighted(_dice(self.dice, given, first), ce, (self.lambda_dice, self.lambda_ce))
        return given.loss(both, self._theirs, None, **options)


@drop_in_class("monai.losses.TverskyLoss", statistic="scores")
class TverskyLoss(_Counted, host.TverskyLoss):
    """Counted here: what `DiceLoss` counts."""

    _name, _theirs = "monai.TverskyLoss", forward_of(host.TverskyLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
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
        return given.loss(loss, self._theirs, None, **options)


@drop_in_class("monai.losses.GeneralizedDiceLoss", statistic="scores")
class GeneralizedDiceLoss(_Counted, host.GeneralizedDiceLoss):
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
        return given.loss(loss, self._theirs, _broadcastable(self, given, values), **options)


@drop_in_class("monai.losses.FocalLoss", statistic="scores")
class FocalLoss(_Counted, host.FocalLoss):
    """Counted here: without derivatives, label maps with the sigmoid, or all classes with the softmax."""

    _name, _theirs = "monai.FocalLoss", forward_of(host.FocalLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
        loss, options = _focal(self, given)
        return given.loss(loss, self._theirs, None, dtype=torch.float32, **options)


@drop_in_class("monai.losses.DiceFocalLoss", statistic="scores")
class DiceFocalLoss(_Counted, host.DiceFocalLoss):
    """Counted here: without derivatives, label maps with the sigmoid, in one pass."""

    _name, _theirs = "monai.DiceFocalLoss", forward_of(host.DiceFocalLoss)

    @torch.jit.unused
    def _fast(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        given = Given(input, target, onehot=self.to_onehot_y)
        first, options = _options(self.dice, given)
        focal, own = _focal(self.focal, given)
        if self.dice.reduction != self.focal.reduction or options["activation"] != own["activation"]:
            raise NotCovered("Dice and focal loss of other options")
        own["quantities"] += options["quantities"]
        both = Weighted(_dice(self.dice, given, first), focal, (self.lambda_dice, self.lambda_focal))
        return given.loss(both, self._theirs, None, **own)

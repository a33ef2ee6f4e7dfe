"""What the losses of MONAI are given: whether it can be counted here, and what the host's result would look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fastseg.adapters.asking import ask
from fastseg.adapters.autograd import differentiable_loss
from fastseg.adapters.calls import NotCovered
from fastseg.adapters.devices import check_place, is_plain
from fastseg.adapters.monai.tensors import few, has_metadata, is_half, with_metadata

__all__ = ["Given", "class_weights"]

#: Fewer scores than these are the host's, which has its result before a call of ours has begun to count.
FEW = 1 << 18


class Given:
    """Scores and truth of a loss, if they are what can be counted here.

    Sums of scores of 16 bits are taken in 64 bits; the host's are of 16 too, where a float16 is infinite from 65,520 on.
    """

    def __init__(self, scores: Any, truth: Any, *, onehot: bool) -> None:
        for tensor in (scores, truth):
            if not is_plain(tensor) and not has_metadata(tensor):
                raise NotCovered("another kind of tensor")
        check_place(scores, truth)
        if few(scores, FEW):
            raise NotCovered("few scores")
        if torch.compiler.is_compiling():
            raise NotCovered("torch.compile")
        if truth.requires_grad and torch.is_grad_enabled():
            raise NotCovered("derivatives by the truth")
        if scores.ndim < 3 or not scores.numel():
            raise NotCovered("scores without axes or values")
        self.channels = int(scores.shape[1])
        if onehot:
            if self.channels == 1 or truth.shape != (scores.shape[0], 1, *scores.shape[2:]):
                raise NotCovered("one channel, or a truth that is no label map")
        elif truth.shape != scores.shape:
            raise NotCovered("a truth of another shape")
        if truth.is_complex() or is_half(truth):
            raise NotCovered("a truth of 16 bits")
        if not scores.is_floating_point() or scores.itemsize < 2:
            raise NotCovered("scores that are no floats")
        self.label_map = onehot
        self.scores, self.truth = scores, truth
        self.plain = [each.as_subclass(torch.Tensor) if has_metadata(each) else each for each in (scores, truth)]

    def dtype_by(self, theirs: Callable[[Any, Any], Any]) -> Any:
        """Return the type of the host's result; where that depends on what is cast automatically, ask it of one voxel."""
        if is_half(self.scores) and not self.label_map and not self.truth.is_floating_point():
            voxel = (slice(None), slice(None), *(slice(1),) * (self.scores.ndim - 2))
            with torch.no_grad():
                return ask(theirs, *(each.detach()[voxel] for each in self.plain)).dtype
        scores = torch.promote_types(self.scores.dtype, torch.float32)
        return (
            scores
            if self.label_map or not self.truth.is_floating_point()
            else torch.promote_types(scores, self.truth.dtype)
        )

    @property
    def may_be_soft(self) -> bool:
        """Whether the truth may have values between 0 and 1."""
        return not self.label_map and bool(self.truth.is_floating_point())

    def per_class(self, first: int, pooled: bool) -> tuple[int, ...]:
        """Return the shape of a value for each class from the first on, and each sample unless they are pooled."""
        classes = self.channels - first
        return (classes,) if pooled else (self.scores.shape[0], classes)

    def loss(self, loss: Any, theirs: Callable[[Any, Any], Any], shape: Any, **options: Any) -> Any:
        """Return a loss of these."""
        label_map = self.label_map
        truth = self.plain[1]
        if not label_map and self.channels == 1 and not truth.is_floating_point():
            label_map = True
        dtype = options.pop("dtype", None) or self.dtype_by(theirs)
        options |= {"label_axis": 1 if label_map else None, "channel_axis": 1, "sample_axis": 0}
        result = differentiable_loss(self.plain[0], truth, loss, theirs, dtype, **options)
        return with_metadata(result if shape is None else result.view(shape), (self.scores, self.truth))


def class_weights(weight: Any, classes: int) -> Any:
    """Return weights of classes as an array; `NotCovered` where the host changes or refuses them."""
    if weight is None:
        return None
    if (
        weight.shape != (classes,)
        or not (weight.is_cpu or weight.is_cuda)
        or weight.requires_grad
        or not bool((weight >= 0).all())
    ):
        raise NotCovered("weights that are not one a class")
    return weight.detach().double().cpu().numpy()

"""Losses of fastseg as operations of PyTorch's autograd: one pass forward, one backward, nothing of the scores' size kept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from fastseg.adapters.calls import NotCovered, counted
from fastseg.arrays.scores import ScoreInputs, score_inputs
from fastseg.counting.gradients import room_for_gradient, write_gradient
from fastseg.counting.scores import sum_score_inputs
from fastseg.metrics.loss_derivatives import Loss

__all__ = ["differentiable_loss"]


def differentiable_loss(
    scores: Any,
    truth: Any,
    loss: Loss,
    theirs: Callable[[Any, Any], Any],
    dtype: Any,
    *,
    label_axis: int | None = None,
    **options: Any,
) -> Any:
    """Return a loss of scores and truth, plain tensors of the CPU or of a GPU, that autograd can differentiate by the scores.

    Parameters
    ----------
    loss
        What is computed of their sums.
    theirs
        The host's own loss of the same two tensors, for whoever differentiates the derivative again.
    dtype
        Of the result.
    label_axis
        The axis of length one that a truth has which is a label map nevertheless.
    **options
        Of `fastseg.sum_scores`.
    """
    if forward_ad.unpack_dual(scores).tangent is not None:
        raise NotCovered("derivatives in forward mode")
    inputs = functools.partial(_inputs, label_axis, options)
    given = counted(inputs, scores, truth)
    values, by_values = counted(
        lambda: loss(sum_score_inputs(given))
    )  # of a GPU what is wrong is known at the first sum
    result = torch.from_numpy(np.asarray(values, np.float64)).to(scores.device, dtype)
    if not (scores.requires_grad and torch.is_grad_enabled()):
        return result

    def backward(upstream: Any, scores: Any, truth: Any) -> Any:
        """Return the derivatives by the scores; the tensors are those of above, which autograd has kept."""
        given = inputs(scores, truth)
        terms = by_values(upstream.detach().double().cpu().numpy()).terms(given.num_samples, given.options.channels)
        gradient = room_for_gradient(given, np.float32, None)
        write_gradient(given, terms, gradient, "auto")
        return torch.as_tensor(gradient).to(scores.dtype)

    return _Loss.apply(scores, truth, result, backward, theirs)


def _inputs(label_axis: int | None, options: dict[str, Any], scores: Any, truth: Any) -> ScoreInputs:
    """Return what is summed of two tensors; fastseg takes their memory."""
    truth = truth.detach()
    labels = truth if label_axis is None else truth.select(label_axis, 0)
    return score_inputs(_array(labels), _array(scores.detach()), **options)


def _array(tensor: Any) -> Any:
    if tensor.dtype is torch.bfloat16 or tensor.is_cuda:
        return tensor  # which NumPy does not know
    try:
        return tensor.numpy()
    except RuntimeError:  # of torch.func, without memory of its own
        raise NotCovered("tensors without memory") from None


class _Loss(torch.autograd.Function):
    """A loss that was computed already, and how to go back from it."""

    @staticmethod
    def forward(ctx: Any, scores: Any, truth: Any, result: Any, backward: Any, theirs: Any) -> Any:
        ctx.save_for_backward(scores, truth)  # so that autograd sees it when one of them is changed in between
        ctx.back, ctx.theirs = backward, theirs
        return result

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        scores, truth = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: whoever asks for it may differentiate again, which the host can
            gradient = torch.autograd.grad(ctx.theirs(scores, truth), scores, upstream[0], create_graph=True)[0]
        else:
            gradient = ctx.back(upstream[0], scores, truth)
        return gradient, None, None, None, None

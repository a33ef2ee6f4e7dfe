"""What drop-ins for modules of losses share: how they choose between our pass and the host's forward."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from fastseg.adapters.calls import NotCovered, attempt
from fastseg.counts import ScoreSums
from fastseg.metrics.loss_derivatives import Differentiated, Loss

__all__ = ["CountedLoss", "forward_of", "of_hard_truth"]


class CountedLoss:
    """Says where a loss comes from: `_fast`, or the host's own forward, `_theirs`."""

    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        _name: ClassVar[str]  # what a report calls it
        _theirs: Any
        _fast: Any

    @torch.jit.unused
    def _ours(self, scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():
            return self._theirs(scores, truth)
        return attempt(self._name, self._fast, self._theirs, scores, truth)


def forward_of(kind: Any) -> Any:
    """Return the forward method of a host's class by a name that scripts, which have one `forward` already, can call it by."""
    forward = kind.forward
    copied = FunctionType(forward.__code__, forward.__globals__, "_theirs", forward.__defaults__, forward.__closure__)
    copied.__annotations__ = dict(forward.__annotations__)
    return copied


def of_hard_truth(loss: Loss) -> Loss:
    """Return a loss that raises `NotCovered` of a truth that is not 0 or 1 everywhere; it needs the sums of Dice."""

    def checked(sums: ScoreSums) -> Differentiated:
        if (sums.true != sums.true_squared).any():
            raise NotCovered("a soft truth")
        return loss(sums)

    return checked

"""How metrics count their matrix, by task: the bases of what both kinds of metrics are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from fastseg.adapters.torchmetrics import steps
from fastseg.adapters.torchmetrics.states import Counted, named

__all__ = ["Binary", "Matrix", "Multiclass", "Multilabel"]

Tensor = Any


class Matrix(Counted):
    """Metrics of a confusion matrix, or of one for each label."""

    #: Whether the host's own counts are matrices, which treat what is ignored in ways of their own.
    _of_matrices = True

    def _matrix_name(self) -> str:
        raise NotImplementedError

    def _matrix_zeros(self) -> Tensor:
        """Return our state of no label at all."""
        raise NotImplementedError

    def _matrix_of(self, preds: Tensor, target: Tensor) -> Any:
        """Return the matrix of a batch, an array."""
        raise NotImplementedError

    def _matrix(self) -> Tensor:
        """Return a view of the matrix that is kept."""
        return getattr(self, self._state)

    def _add(self, matrix: Tensor) -> None:
        setattr(self, self._state, getattr(self, self._state) + matrix)

    def _check_pooled(self) -> None:
        """Raise where the matrix does not say all."""


class Binary(Matrix):
    """Of two classes."""

    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        threshold: float
        ignore_index: int | None

    def _matrix_name(self) -> str:
        # The host looks for logits among all scores, but for its matrices only among those that are not ignored.
        kept = "kept" if self._of_matrices and self.ignore_index is not None else None
        return named("confmat_binary", threshold=self.threshold, ignored=self.ignore_index, logits=kept)

    def _matrix_zeros(self) -> Tensor:
        return torch.zeros(2, 2, dtype=torch.long)

    def _matrix_of(self, preds: Tensor, target: Tensor) -> Any:
        given = steps.Given(preds, target, self.ignore_index, self.threshold)
        return steps.binary_matrix(given, kept_only=self._of_matrices)


class Multilabel(Matrix):
    """Of two classes for each label."""

    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        num_labels: int
        threshold: float
        ignore_index: int | None

    def _matrix_name(self) -> str:
        return named("confmat", labels=self.num_labels, threshold=self.threshold, ignored=self.ignore_index)

    def _matrix_zeros(self) -> Tensor:
        return torch.zeros(self.num_labels, 2, 2, dtype=torch.long)

    def _matrix_of(self, preds: Tensor, target: Tensor) -> Any:
        given = steps.Given(preds, target, self.ignore_index, self.threshold)
        if self._of_matrices:
            steps.check_marks(given)
        return steps.multilabel_matrix(given, self.num_labels)


class Multiclass(Matrix):
    """Of several classes. The state ends with the hits and misses of labels that are no class, which micro averages count."""

    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        num_classes: int
        ignore_index: int | None

    #: Whether nothing but the total of hits and misses matters.
    _of_totals = False

    def _matrix_name(self) -> str:
        return named("confmat", classes=self.num_classes, ignored=self.ignore_index)

    def _matrix_zeros(self) -> Tensor:
        return torch.zeros(self.num_classes**2 + 2, dtype=torch.long)

    def _matrix_of(self, preds: Tensor, target: Tensor) -> Any:
        return steps.multiclass_matrix(steps.Given(preds, target, self.ignore_index), self.num_classes)

    def _matrix(self) -> Tensor:
        return getattr(self, self._state)[:-2].view(self.num_classes, self.num_classes)

    def _add(self, matrix: Tensor, outside: Tensor = None) -> None:
        outside = matrix.new_zeros(2) if outside is None else outside
        super()._add(torch.cat([matrix.flatten(), outside]))

    def _check_pooled(self) -> None:
        if not self._of_totals and getattr(self, self._state)[-2:].any():
            raise RuntimeError(
                "a metric of the same collection, with average='micro', has counted labels that are no class; this one cannot"
            )

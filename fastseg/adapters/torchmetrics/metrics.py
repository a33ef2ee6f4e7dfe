"""The metric classes of classification: subclasses of the host's own that count another way."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch

from fastseg.adapters.calls import NotCovered, drop_in_class
from fastseg.adapters.devices import beside
from fastseg.adapters.hosts import resolve
from fastseg.adapters.torchmetrics import matrices, steps
from fastseg.adapters.torchmetrics.matrices import Binary, Matrix, Multiclass
from fastseg.adapters.torchmetrics.states import COUNTS, View, named
from fastseg.adapters.torchmetrics.table import CLASSIFICATION, PUBLIC, Family

__all__ = ["CLASSES", "of_any_task"]

Tensor = Any

_FUNCTIONS = "torchmetrics.functional.classification"
#: Up to so many classes, metrics made of true and false positives keep a matrix, which others can share.
_MOST_SHARED = 256


class _Confusion(Matrix):
    """Metrics whose state is the confusion matrix."""

    confmat = View()

    def add_state(self, name: str, default: Any, *args: Any, **kwargs: Any) -> None:
        """Add our state for the host's."""
        if name == "confmat":
            name, default = self._matrix_name(), self._matrix_zeros()
            self._state = name
        super().add_state(name, default, *args, **kwargs)  # type: ignore[misc]

    def compute(self) -> Any:
        """Compute from the matrix, as the host does."""
        self._check_pooled()
        return super().compute()  # type: ignore[misc]

    def _view(self, name: str) -> Any:  # noqa: ARG002
        return self._matrix()

    def _set_view(self, name: str, value: Any) -> bool:  # noqa: ARG002
        self._matrix().copy_(value)
        return True

    def _count(self, preds: Tensor, target: Tensor) -> None:
        self._in_one_place(target)
        self._add(beside(self._matrix_of(preds, target), target))


class _StatScores(Matrix):
    """Metrics whose states are true and false positives and negatives.

    Over all samples they are made of a matrix, so that one is enough for all metrics of the same options, or of a table (K, 4)
    where classes are many; of each sample, of tables (N, K, 4) in a list.
    """

    if TYPE_CHECKING:  # not for torch.jit, which reads annotations
        average: str | None
        num_labels: int
        threshold: float
        ignore_index: int | None
        validate_args: bool
        device: Any
        add_state: Any

    _of_matrices = False
    _kind = "host"
    tp, fp, tn, fn = View(), View(), View(), View()

    def _create_state(self, size: int, multidim_average: str = "global") -> None:
        classes = getattr(self, "num_classes", 2)
        self._of_totals = isinstance(self, Multiclass) and self.average == "micro"
        if getattr(self, "top_k", 1) != 1 or classes is None:
            super()._create_state(size, multidim_average)  # type: ignore[misc]
            return
        if multidim_average == "samplewise":
            self._kind, self._state = "rows", f"samples_{self._matrix_name()}"
            self.add_state(self._state, [], dist_reduce_fx="cat")
        elif classes > _MOST_SHARED:
            totals = "micro" if self._of_totals else None
            self._kind, self._state = "table", f"table_{named(self._matrix_name(), average=totals)}"
            self.add_state(self._state, torch.zeros(size, 4, dtype=torch.long), dist_reduce_fx="sum")
        else:
            self._kind, self._state = "matrix", self._matrix_name()
            self.add_state(self._state, self._matrix_zeros(), dist_reduce_fx="sum")

    def _count(self, preds: Tensor, target: Tensor) -> None:
        if self._kind == "host":
            raise NotCovered("top_k, or a number of classes that is not given")
        self._in_one_place(target)
        if self._kind == "matrix":
            self._add(beside(self._matrix_of(preds, target), target))
        else:
            self._update_state(*self._counts_of(preds, target))

    def _counts_of(self, preds: Tensor, target: Tensor) -> Any:
        """Return what the host's step that counts does."""
        each = "samplewise" if self._kind == "rows" else "global"
        if isinstance(self, Multiclass):
            return steps.STEPS["_multiclass_stat_scores_update"](
                preds, target, self.num_classes, 1, self.average, each, self.ignore_index
            )
        given = steps.Given(preds, target, self.ignore_index, self.threshold)
        if isinstance(self, Binary):
            return steps.STEPS["_binary_stat_scores_update"](given, None, each)
        return steps.STEPS["_multilabel_stat_scores_update"]((given, self.num_labels), None, each)

    def _update_state(self, tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> None:
        """Add counts of a batch, ours or the host's."""
        if self._kind == "host":
            super()._update_state(tp, fp, tn, fn)  # type: ignore[misc]
        elif self._kind == "rows":
            rows = torch.stack([tp, fp, tn, fn], -1)
            getattr(self, self._state).append(rows.reshape(-1, *self._empty_rows().shape[1:]))
        elif self._kind == "table":
            setattr(self, self._state, getattr(self, self._state) + torch.stack([tp, fp, tn, fn], -1))
        else:
            self._add(torch.stack([tn, fp, fn, tp], -1).reshape(self._matrix().shape))

    def _count_by_host(self, preds: Tensor, target: Tensor) -> None:
        if self._kind != "matrix" or not isinstance(self, Multiclass):
            super()._count_by_host(preds, target)
            return
        # The host's counts do not make a matrix, but its own matrix has them all.
        if self.validate_args:
            _step("stat_scores", "tensor_validation")(preds, target, self.num_classes, "global", self.ignore_index)
        preds, target = _step("confusion_matrix", "format")(preds, target, self.ignore_index)
        outside = None
        if self._of_totals:
            size = self.num_classes
            within = (target >= 0) & (target < size) & (preds >= 0) & (preds < size)
            within = within & (not preds.is_floating_point())
            hits = (preds == target) & ~within
            outside = torch.stack([hits.sum(), (~within).sum() - hits.sum()])
            preds, target = preds[within], target[within]
        self._add(_step("confusion_matrix", "update")(preds, target, self.num_classes), outside)

    def _view(self, name: str) -> Any:
        column = COUNTS.index(name)
        state = getattr(self, self._state)
        if self._kind == "rows" and isinstance(state, list):
            return [rows[..., column] for rows in state]
        return self._final_state()[column]

    def _final_state(self) -> Any:
        if self._kind == "host":
            return super()._final_state()  # type: ignore[misc]
        state = getattr(self, self._state)
        if self._kind == "rows":
            rows = torch.cat(state) if isinstance(state, list) else state
            return tuple(rows.unbind(-1))
        if self._kind == "table":
            return tuple(state.unbind(-1))
        matrix = self._matrix()
        if not isinstance(self, Multiclass):
            flat = matrix.reshape(-1, 2, 2)
            return flat[:, 1, 1], flat[:, 0, 1], flat[:, 0, 0], flat[:, 1, 0]
        self._check_pooled()
        hits = matrix.diagonal()
        if self._of_totals:
            tp, total = (hits.sum() + state[-2]).reshape(1), state.sum().reshape(1)
            missed = total - tp
            return tp, missed, self.num_classes * total - (2 * missed + tp), missed
        fp, fn = matrix.sum(0) - hits, matrix.sum(1) - hits
        return hits, fp, matrix.sum() - (fp + fn + hits), fn

    def _empty_rows(self) -> Tensor:
        size = getattr(self, "num_classes", None) or getattr(self, "num_labels", None)
        return torch.empty((0, 4) if size is None else (0, size, 4), dtype=torch.long, device=self.device)


def _step(kind: str, step: str) -> Any:
    """Return the host's own step for several classes."""
    return getattr(sys.modules[f"{_FUNCTIONS}.{kind}"], f"_multiclass_{kind}_{step}")


def _of_task(family: Family, task: str) -> Any:
    """Return our class for one task."""
    name = f"{task.capitalize()}{family.metric_class}"
    path = f"torchmetrics.classification.{name}"
    theirs = resolve(path)
    kind = _StatScores if hasattr(theirs, "_create_state") else _Confusion
    made = type(theirs)(name, (kind, getattr(matrices, task.capitalize()), theirs), {"__module__": PUBLIC})
    return drop_in_class(path, metric=family.metric)(made)


def of_any_task(family: Family, made: dict[str, Any]) -> Any:
    """Return our class that makes those of a task by name: what it does is the host's, with our names."""
    name = family.metric_class
    path = f"torchmetrics.classification.{name}"
    theirs = resolve(path)
    new = theirs.__new__
    names = {**vars(sys.modules[theirs.__module__]), **made}
    ours = FunctionType(new.__code__, names, "__new__", new.__defaults__, new.__closure__)
    ours.__kwdefaults__, ours.__annotations__ = new.__kwdefaults__, new.__annotations__
    return drop_in_class(path, metric=family.metric)(
        type(theirs)(name, (theirs,), {"__module__": PUBLIC, "__new__": staticmethod(ours)})
    )


def _family(family: Family) -> dict[str, Any]:
    made = {f"{task.capitalize()}{family.metric_class}": _of_task(family, task) for task in family.tasks}
    return {**made, family.metric_class: of_any_task(family, made)}


#: The drop-ins by name.
CLASSES = {name: made for family in CLASSIFICATION for name, made in _family(family).items()}

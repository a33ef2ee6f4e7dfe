"""What the metrics keep: counts under a name that says how they were counted, and the host's own states as views of them.

A `MetricCollection` lets metrics share their states whose names and first values are the same. The host's own names say
nothing of what is ignored, so that two metrics may be merged that differ only later. Here names differ if counts may, and
all metrics of the same options have the same state, so that they are counted once.
"""

from __future__ import annotations

from typing import Any

import torch

from fastseg.adapters.calls import NotCovered, attempt

__all__ = ["COUNTS", "Counted", "View", "named"]

Tensor = Any

#: The host's names of true and false positives and negatives, in the order of our columns.
COUNTS = ("tp", "fp", "tn", "fn")


def named(kind: str, **options: Any) -> str:
    """Return the name of a state: of what, and how it was counted."""
    return "_".join(
        [kind, *(f"{key}_{value}".replace(".", "_") for key, value in options.items() if value is not None)]
    )


class View:
    """A state of the host, made of ours when it is read: an attribute of the host's name.

    What is set is kept as it is in metrics that leave all to the host.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, metric: Any, owner: type | None = None) -> Any:
        """Return what the host would have kept."""
        if metric is None:
            return self
        kept = vars(metric).get(self.name)
        return metric._view(self.name) if kept is None else kept

    def __set__(self, metric: Any, value: Any) -> None:
        if not metric._set_view(self.name, value):
            vars(metric)[self.name] = value


class Counted:
    """What our metrics have in common: a class before the host's own among the bases."""

    #: The name of our state; "" where the host keeps its own.
    _state = ""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch here, or by the host's own steps where that is not covered."""
        attempt(f"torchmetrics.{type(self).__name__}", self._count, self._count_by_host, preds, target)

    def _count(self, preds: Tensor, target: Tensor) -> None:
        raise NotImplementedError

    def _count_by_host(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds, target)  # type: ignore[misc]

    def _in_one_place(self, target: Tensor) -> None:
        if self.device != getattr(target, "device", None):  # type: ignore[attr-defined]
            raise NotCovered("a metric on another device")

    def _view(self, name: str) -> Any:
        raise AttributeError(name)

    def _set_view(self, name: str, value: Any) -> bool:  # noqa: ARG002
        """Take what is set as a state of the host; return whether it is ours."""
        return False

    def _empty_rows(self) -> Tensor:
        """Return what a list has of no sample at all."""
        raise NotImplementedError

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        """Let a process without samples join in with a tensor of the shape and type that the others have."""
        if self._state and not isinstance(getattr(self, self._state), torch.Tensor) and not getattr(self, self._state):
            setattr(self, self._state, [self._empty_rows()])
        super()._sync_dist(*args, **kwargs)  # type: ignore[misc]

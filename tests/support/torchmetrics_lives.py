"""What happens to a metric between its batches: the host's and ours must live through it alike."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from support.drop_ins import assert_same, outcome

LIVES = ("update", "forward", "pickle", "clone", "half", "merge", "reset", "state_dict")


def live(metric_class: Any, options: dict[str, Any], batches: Sequence[tuple[Any, Any]], life: str) -> list[Any]:
    """Return all values that a metric has in its life, over some batches."""
    metric, values = metric_class(**options), []
    for preds, target in batches:
        if life == "forward":
            values.append(metric(preds, target))
        else:
            metric.update(preds, target)
        if life == "pickle":
            metric = pickle.loads(pickle.dumps(metric))
        if life == "clone":
            metric = metric.clone()
        if life == "half":
            metric = metric.half()
    if life == "merge":
        other = metric_class(**options)
        other.update(*batches[0])
        metric.merge_state(other)
    if life == "state_dict":
        metric.persistent(True)
        other = metric_class(**options)
        other.persistent(True)
        other.load_state_dict(metric.state_dict())
        other.update(*batches[0])
        metric = other
    values.append(metric.compute())
    if life == "reset":
        metric.reset()
        metric.update(*batches[-1])
        values.append(metric.compute())
    return values


def assert_same_life(
    theirs: Any, ours: Any, options: dict[str, Any], batches: Sequence[tuple[Any, Any]], life: str, rtol: float = 1e-6
) -> None:
    """Let both live; values, warnings and errors must be the same."""
    wanted, found = (outcome(live, each, options, batches, life) for each in (theirs, ours))
    assert (type(found.error), str(found.error)) == (type(wanted.error), str(wanted.error))
    assert found.warnings == wanted.warnings
    assert_same(found.value, wanted.value, rtol)

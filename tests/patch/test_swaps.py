"""Functions that do something else for a while."""

from __future__ import annotations

import functools
import inspect
import pickle
import traceback
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from fastseg.adapters.asking import ask
from fastseg.patch import swaps
from fastseg.patch.swaps import Step, Swap


def total(x: int, y: int = 2, *rest: int, times: int = 1) -> int:
    """Add."""
    return (x + y + sum(rest)) * times


class Metric:
    kept = 0

    def update(self, x: int) -> int:
        self.kept += x
        return self.kept


def ours(*args: Any, **kwargs: Any) -> Any:
    return "ours", args, kwargs


def test_every_reference_reaches_it() -> None:
    imported, table, bound = total, {"total": total}, functools.partial(total, 1)
    swap = Swap(Step(total, ours))
    try:
        for call in (total, imported, table["total"]):
            assert call(1, times=3) == ("ours", (1,), {"times": 3})
        assert bound(y=5) == ("ours", (1,), {"y": 5})
        assert total is imported
    finally:
        swap.undo()
    assert imported(1) == bound() == 3
    assert imported(1, 2, 3, times=2) == 12


def test_methods_of_what_lives_already() -> None:
    class Sub(Metric):
        pass

    metric, bound = Sub(), Metric().update
    swap = Swap(Step(Metric.update, lambda self, x: (type(self).__name__, x)))  # type: ignore[arg-type]
    try:
        assert metric.update(4) == ("Sub", 4)  # type: ignore[comparison-overlap]
        assert bound(x=4) == ("Metric", 4)  # type: ignore[comparison-overlap]
    finally:
        swap.undo()
    assert metric.update(4) == 4


def test_the_host_is_reached_through_ask_with_its_defaults() -> None:
    swap = Swap(Step(total, lambda *args, **kwargs: ("after", ask(total, *args, **kwargs))))
    try:
        assert total(1) == ("after", 3)  # type: ignore[comparison-overlap]
        assert total(1, 1, 1, times=2) == ("after", 6)  # type: ignore[comparison-overlap]
    finally:
        swap.undo()


def test_it_looks_as_it_did() -> None:
    def seen() -> tuple[Any, ...]:
        return inspect.signature(total), total.__doc__, total.__name__, inspect.getsource(total), pickle.dumps(total)

    before = seen()
    swap = Swap(Step(total, ours))
    try:
        assert seen() == before
        assert total.__code__.co_qualname == "total"
    finally:
        swap.undo()
    assert seen() == before
    assert "__signature__" not in vars(total)


def test_tracebacks_name_the_function() -> None:
    def fail(*_: Any) -> None:
        raise KeyError("here")

    swap = Swap(Step(total, fail))
    try:
        with pytest.raises(KeyError, match="here") as raised:
            total(1)
    finally:
        swap.undo()
    frames = [(frame.name, frame.line) for frame in traceback.extract_tb(raised.tb)]
    assert ("total", "def total(x: int, y: int = 2, *rest: int, times: int = 1) -> int:") in frames


def test_a_closure_is_refused_and_left_alone() -> None:
    def outer(x: int) -> FunctionType:
        def inner() -> int:
            return x

        return inner  # type: ignore[return-value]

    inner = outer(3)
    with pytest.raises(ValueError, match="inner"):
        Swap(Step(inner, ours))
    assert inner() == 3
    assert "__signature__" not in vars(inner)


def test_another_name_of_a_function_is_no_other_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be put back to what the other name's step had put in."""
    row = {"host": "madeup", "statistic": "labels", "theirs": total}
    rows = {
        "madeup.total": SimpleNamespace(**row, ours=ours),
        "madeup.total_as_well": SimpleNamespace(**row, ours=Metric.update),
        "madeup.Metric": SimpleNamespace(**{**row, "theirs": Metric}, ours=Metric),
        "madeup.update": SimpleNamespace(**{**row, "theirs": Metric.update, "statistic": "none"}, ours=ours),
    }
    monkeypatch.setattr(swaps, "ROWS", rows)
    assert swaps.steps_of_rows("madeup") == [Step(total, ours)]

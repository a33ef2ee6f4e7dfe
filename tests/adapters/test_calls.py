"""The mechanism of drop-ins, with a host made up here."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
import threading
from types import ModuleType
from typing import Any

import pytest
from support.drop_ins import went

from fastseg.adapters import FallbackError, NotCovered, calls, hosts, report, tally


def double(x: float, *, times: int = 1) -> float:
    """Double a number.

    As often as is said.
    """
    if not isinstance(x, float):
        raise TypeError("x: a float, please")
    return x * 2**times


class Counter:
    """Count."""

    total = 0

    def update(self, x: int) -> None:
        self.total += x


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a host with one function and one class; its rows and counts are gone afterwards."""
    module = ModuleType("madeup")
    module.__version__ = "2.1.3"  # type: ignore[attr-defined]
    module.double, module.Counter = double, Counter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "madeup", module)
    monkeypatch.setitem(hosts.HOSTS, "madeup", hosts.Host("madeup", "made-up", oldest="2.0", tested=("2.1",)))
    monkeypatch.setattr(calls, "ROWS", {})
    monkeypatch.setattr(tally, "_fast", type(tally._fast)())
    monkeypatch.setattr(tally, "_host", {})
    return module


def fast_double(x: float, *, times: int = 1) -> float:
    """Only once."""
    if times != 1:
        raise NotCovered("more than once")
    if x == 0:
        raise TypeError("a defect")
    return x + x


@pytest.fixture
def ours(host: ModuleType) -> Any:
    return calls.drop_in("madeup.double", metric="dice")(fast_double)


def test_a_drop_in_looks_like_the_host(ours: Any) -> None:
    assert inspect.signature(ours) == inspect.signature(double)
    assert (ours.__name__, ours.__qualname__, ours.__module__) == ("double", "double", fast_double.__module__)
    assert ours.__doc__.startswith("Double a number.\n\n")
    assert "madeup.double" in ours.__doc__
    assert ours.__doc__.endswith("Only once.")


def test_covered_calls_go_fast_and_others_to_the_host(ours: Any) -> None:
    with went("madeup.double", fast=1):
        assert ours(2.0) == 4
    with went("madeup.double", host=1):
        assert ours(2.0, times=3) == 16
    found = report()["madeup.double"]
    assert found == tally.Calls(1, 1, {"more than once": 1})
    assert "more than once (1)" in str(report())
    report(reset=True)
    assert report() == {}


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1.0, 2.0), {}), ((1.0,), {"often": 2})])
def test_wrong_arguments_are_the_hosts_to_refuse(ours: Any, args: Any, kwargs: Any) -> None:
    with pytest.raises(TypeError) as theirs:
        double(*args, **kwargs)
    with went("madeup.double", host=1), pytest.raises(TypeError) as found:
        ours(*args, **kwargs)
    assert str(found.value) == str(theirs.value)


def test_a_defect_of_a_fast_path_is_not_hidden(ours: Any) -> None:
    with pytest.raises(TypeError, match="a defect"):
        ours(0.0)


def test_strict_forbids_the_host(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")
    assert ours(2.0) == 4
    with pytest.raises(FallbackError, match=r"madeup\.double: .* more than once"):
        ours(2.0, times=2)
    assert report()["madeup.double"].host == 0
    monkeypatch.setenv("FASTSEG_ADAPTERS", "fast")
    with pytest.raises(ValueError, match="FASTSEG_ADAPTERS: expected 'strict' or nothing, found 'fast'"):
        ours(2.0, times=2)


def test_a_host_with_another_signature_answers_itself(host: ModuleType) -> None:
    def triple(x: float, *, times: int = 2) -> float:
        raise AssertionError

    ours = calls.drop_in("madeup.double")(triple)
    with went("madeup.double", host=1):
        assert ours(1.0) == 2
    assert report()["madeup.double"].reasons == {"this version of the host has another signature": 1}


def test_the_table_has_a_row_for_each(ours: Any) -> None:
    row = calls.ROWS["madeup.double"]
    assert (row.name, row.ours, row.theirs, row.statistic, row.metric) == (
        "madeup.double",
        ours,
        double,
        "labels",
        "dice",
    )
    assert row.convention is None
    with pytest.raises(ValueError, match="metric"):
        calls.drop_in("madeup.double", metric="dies")(fast_double)


def test_a_class_is_a_subclass_and_its_methods_attempt(host: ModuleType) -> None:
    @calls.drop_in_class("madeup.Counter")
    class Ours(Counter):
        def update(self, x: int) -> None:
            calls.attempt("madeup.Counter", self._update, super().update, x)

        def _update(self, x: int) -> None:
            if x < 0:
                raise NotCovered("negative")
            self.total += x

    counter = Ours()
    with went("madeup.Counter", fast=1, host=1):
        counter.update(2)
        counter.update(-1)
    assert counter.total == 1
    assert Ours.__name__ == "Counter"
    assert (Ours.__doc__ or "").startswith("Count.\n\nThis is the drop-in for `madeup.Counter`")
    with pytest.raises(TypeError, match="expected a subclass"):
        calls.drop_in_class("madeup.Counter")(int)


def test_what_fastseg_refuses_is_not_covered() -> None:
    def refuse(text: str) -> None:
        raise ValueError(text)

    with pytest.raises(NotCovered, match="^fastseg refuses y_true$"):
        calls.counted(refuse, "y_true: expected this, found that")
    with pytest.raises(NotCovered, match="^fastseg refuses the input$"):
        calls.counted(refuse, "a sentence that names no argument at all and goes on")
    assert calls.counted(len, "abc") == 3


def test_reasons_do_not_pile_up(host: ModuleType) -> None:
    for n in range(100):
        tally.went_to_host("madeup.double", f"reason {n}")
    found = report()["madeup.double"]
    assert found.host == 100
    assert len(found.reasons) == 33
    assert found.reasons["other reasons"] == 68


def test_no_call_is_lost_among_threads(host: ModuleType) -> None:
    def work() -> None:
        for _ in range(2_000):
            tally.went_fast("madeup.double")
            tally.went_to_host("madeup.double", "a reason")

    threads = [threading.Thread(target=work) for _ in range(4)]
    [each.start() for each in threads]
    [each.join() for each in threads]
    assert report()["madeup.double"] == tally.Calls(8_000, 8_000, {"a reason": 8_000})


def test_reports_survive_a_pickle() -> None:
    found = tally.Report({"a": tally.Calls(1, 2, {"why": 2})})
    assert pickle.loads(pickle.dumps(found)) == found
    assert str(tally.Report())


def test_a_host_that_is_missing_or_too_old_is_named(host: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hosts.load("madeup") is host
    assert [hosts.HOSTS["madeup"].tested_with(each) for each in ("2.1", "2.1.9rc1", "2.2.0", "nightly")] == [
        True,
        True,
        False,
        False,
    ]
    host.__version__ = "1.9.9"  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match=r"needs made-up 2\.0 or later, found 1\.9\.9"):
        hosts.load("madeup")
    monkeypatch.setitem(sys.modules, "madeup", None)
    with pytest.raises(ImportError, match=r"fastseg\.adapters\.madeup needs made-up: pip install made-up"):
        hosts.load("madeup")


def test_a_host_may_be_imported_by_another_name_than_our_module(
    host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(hosts.HOSTS, "ours", hosts.HOSTS.pop("madeup"))
    assert calls.drop_in("madeup.double")(fast_double)(1.0) == 2
    assert calls.ROWS["madeup.double"].name == "ours.double"
    with pytest.raises(ValueError, match=r"path: expected one in .*; found 'unknown\.double'"):
        calls.drop_in("unknown.double")(fast_double)


def test_the_version_of_a_host_that_does_not_say_it_is_that_of_its_distribution(
    host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    del host.__version__
    monkeypatch.setattr("importlib.metadata.version", {"made-up": "2.1.4"}.__getitem__)
    assert hosts.version("madeup") == "2.1.4"
    assert hosts.load("madeup") is host


def test_what_a_host_itself_misses_is_not_blamed_on_it(host: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'other'", name="other")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="other"):
        hosts.load("madeup")


@pytest.mark.parametrize("name", ["ignite", "medpy", "mmseg", "nnunet", "segmentation_models"])
def test_a_module_of_drop_ins_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = hosts.HOSTS[name]
    monkeypatch.setitem(sys.modules, host.module, None)
    monkeypatch.delitem(sys.modules, f"fastseg.adapters.{name}", raising=False)
    with pytest.raises(ImportError, match=f"fastseg.adapters.{name} needs {host.distribution}: pip install"):
        importlib.import_module(f"fastseg.adapters.{name}")

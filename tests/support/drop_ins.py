"""What tests of drop-ins share: the host and ours on the same arguments must be the same in everything that can be seen."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fastseg.adapters import report
from fastseg.adapters.calls import Row
from fastseg.adapters.hosts import HOSTS

#: Floats agree to this: sums may be taken in another order.
TOLERANCE = 1e-12


@functools.cache
def host_is_there(name: str) -> bool:
    """Tell whether a host is installed; if so, import it and its drop-ins, whatever warnings that means."""
    if importlib.util.find_spec(HOSTS[name].module) is None:
        return False
    if name in _WITH_TORCHVISION:
        let_torchvision_be_imported()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(HOSTS[name].module)
        importlib.import_module(f"fastseg.adapters.{name}")
    return True


#: Hosts that import torchvision.
_WITH_TORCHVISION = ("huggingface", "ignite", "segmentation_models")


@functools.cache
def let_torchvision_be_imported() -> Any:
    """Declare two operators that it asks PyTorch for, where its own were built for another PyTorch, as beside one of a CPU."""
    import torch

    if importlib.util.find_spec("torchvision") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their own imports
        try:
            importlib.import_module("torchvision")
        except RuntimeError:
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[module]
            importlib.import_module("torchvision")
            return library  # operators are gone when it is
    return None


@dataclass
class Outcome:
    """What a call did: its value, or its error, and the warnings on the way."""

    value: Any
    error: BaseException | None
    warnings: list[tuple[type[Warning], str]]


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    """Call a function, and keep what it does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value, error = function(*args, **kwargs), None
        except Exception as raised:
            value, error = None, raised
    return Outcome(value, error, [(each.category, str(each.message)) for each in caught])


def assert_same_call(
    theirs: Callable[..., Any], ours: Callable[..., Any], *args: Any, rtol: float = TOLERANCE, **kwargs: Any
) -> Outcome:
    """Call both; value, types, warnings and error must be the same. Return what ours did."""
    wanted, found = outcome(theirs, *args, **kwargs), outcome(ours, *args, **kwargs)
    assert type(found.error) is type(wanted.error), (found.error, wanted.error)
    assert str(found.error) == str(wanted.error)
    assert found.warnings == wanted.warnings
    assert_same(found.value, wanted.value, rtol)
    return found


def assert_same(found: Any, wanted: Any, rtol: float = TOLERANCE) -> None:
    """Two results are the same in type, dtype, shape and device, integers equal, floats to `rtol`; containers item by item."""
    assert type(found) is type(wanted), (type(found), type(wanted))
    if isinstance(wanted, Mapping):
        assert list(found) == list(wanted)
        for key, value in wanted.items():
            assert_same(found[key], value, rtol)
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other, rtol)
    elif hasattr(wanted, "dtype") and hasattr(wanted, "shape"):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert getattr(found, "device", None) == getattr(wanted, "device", None)
        assert_same_numbers(np.asarray(found), np.asarray(wanted), rtol)
    elif isinstance(wanted, float):
        assert_same_numbers(np.asarray(found), np.asarray(wanted), rtol)
    else:
        assert found == wanted


def assert_same_numbers(found: np.ndarray, wanted: np.ndarray, rtol: float) -> None:
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(found, wanted)


def assert_same_signature(row: Row) -> None:
    """Name, parameters, kinds and defaults are the host's: a new version of the host fails here."""
    assert row.ours.__name__ == row.theirs.__name__
    assert str(inspect.signature(row.ours)) == str(inspect.signature(row.theirs))
    assert row.ours is not row.theirs


@contextmanager
def strictly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forbid drop-ins to ask their hosts."""
    with monkeypatch.context() as patch:
        patch.setenv("FASTSEG_ADAPTERS", "strict")
        yield


@contextmanager
def went(name: str, *, fast: int = 0, host: int = 0) -> Iterator[None]:
    """Expect so many more calls of a drop-in, as ``"sklearn.f1_score"``, to go either way."""
    before = report().get(name)
    yield
    after = report()[name]
    found = (after.fast - (before.fast if before else 0), after.host - (before.host if before else 0))
    assert found == (fast, host), after

"""What tests of patched hosts share: a call while the host is patched does what it did before."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from support.drop_ins import TOLERANCE, Outcome, assert_same, outcome

import fastseg


def assert_same_patched(
    host: str, function: Callable[..., Any], *args: Any, rtol: float = TOLERANCE, **kwargs: Any
) -> Outcome:
    """Call a function of the host before and while it is patched; value, types, warnings and error must be the same."""
    wanted = outcome(function, *args, **kwargs)
    with fastseg.patch(host):
        found = outcome(function, *args, **kwargs)
    assert type(found.error) is type(wanted.error), (found.error, wanted.error)
    assert str(found.error) == str(wanted.error)
    assert found.warnings == wanted.warnings
    assert_same(found.value, wanted.value, rtol)
    return found


def is_patched(*_: Any) -> float:
    """Tell whether scikit-learn is patched in the process that calls it: as a scorer, too.

    Here, since new processes import it by its name: of a folder `tests` some host has one, too.
    """
    module = sys.modules.get("fastseg.patch")
    return float(module is not None and module.status()["sklearn"].patched)

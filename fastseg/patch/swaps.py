"""A function of a host that does something else for a while, and stays the function that it is.

What is swapped is its code, not its name: names imported earlier, registries, partials and bound methods all hold the same
function, so that all of them reach what is put into it.
"""

# ruff: noqa: I001 — an import in one line with other things, below

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from fastseg.adapters.asking import ask, asked
from fastseg.adapters.calls import ROWS

__all__ = ["Step", "Swap", "steps_of_rows"]

#: What is called instead of each function that was ever swapped, by its module and name: calls may be on their way here still
#: when the function is put back.
INSTEAD: dict[str, Callable[..., Any]] = {}

#: Stands in the code below where the key in `INSTEAD` will.
_KEY = "module.name"


# In one line, for tracebacks, and with nothing but literals among its constants, for PyTorch's compiler.
# fmt: off
def _call(*args: Any, **kwargs: Any) -> Any: from fastseg.patch.swaps import INSTEAD; return INSTEAD["module.name"](*args, **kwargs)  # noqa: E501, E702
# fmt: on


@dataclass(frozen=True)
class Step:
    """A function of the host that counts, and ours for it."""

    theirs: FunctionType
    """A function written in Python, without variables of a function around it."""
    ours: Callable[..., Any]
    """Called with the same arguments; all functions of the host do meanwhile, in this thread, as they did."""
    leave: Callable[[], bool] | None = None
    """Tells when a call is left to the host at once."""

    def __post_init__(self) -> None:
        if self.theirs.__code__.co_freevars:
            raise ValueError(f"{self.theirs.__qualname__}: expected a function that uses no variables of one around it")


def steps_of_rows(host: str, leave: Callable[[], bool] | None = None) -> list[Step]:
    """Return a step for each function of a host that there is a drop-in for; its module was imported."""
    rows = [row for row in ROWS.values() if row.host == host and row.statistic != "none"]
    # Another name of the same function is no other step.
    functions = {inspect.unwrap(row.theirs): row.ours for row in reversed(rows) if inspect.isfunction(row.theirs)}
    return [Step(theirs, ours, leave) for theirs, ours in functions.items()]


class Swap:
    """A step that is put in now, until `undo`."""

    def __init__(self, step: Step) -> None:
        self._function = function = step.theirs
        self._code = code = function.__code__
        ours, theirs, leave = step.ours, _copy(function), step.leave

        def instead(*args: Any, **kwargs: Any) -> Any:
            if (leave is not None and leave()) or asked():
                return theirs(*args, **kwargs)
            return ask(ours, *args, **kwargs)

        INSTEAD[_key(function)] = instead
        # First the signature, which is that of the code else: what is seen in between is right too.
        function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        function.__code__ = _calling(_key(function), code)

    def undo(self) -> None:
        """Put back what the function did."""
        self._function.__code__ = self._code
        del self._function.__signature__  # type: ignore[attr-defined]


def _key(function: FunctionType) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _calling(key: str, code: CodeType) -> CodeType:
    """Return code that calls what is under a key, and says of itself what other code does: its source is the host's."""
    made = _call.__code__
    return made.replace(
        co_consts=tuple(key if each == _KEY else each for each in made.co_consts),
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
    )


def _copy(function: FunctionType) -> FunctionType:
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy

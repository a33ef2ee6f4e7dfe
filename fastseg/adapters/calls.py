"""From a fast path to a drop-in: the host's signature and name, and the host itself for what is not covered.

A drop-in is one decorated function (`drop_in`) or class (`drop_in_class`), which makes its row of the table `ROWS`. Its fast
path takes the host's arguments and raises `NotCovered` for all that it does not know to give the host's answer to, wrong
arguments included: then the host is called with the caller's arguments, and errors are the host's own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeVar

from fastseg.adapters.asking import ask
from fastseg.adapters.hosts import HOSTS, host_of, load, resolve
from fastseg.adapters.tally import went_fast, went_to_host
from fastseg.counting.device_maps import EXPLAINED
from fastseg.kernels.protocols.device import NoDevice
from fastseg.metrics.conventions import CONVENTIONS, Convention
from fastseg.metrics.registry import REGISTRY

__all__ = ["ROWS", "NotCovered", "Row", "Smaller", "attempt", "counted", "drop_in", "drop_in_class", "hand_over"]

Function = Callable[..., Any]
T = TypeVar("T")
Statistic = Literal["labels", "masks", "scores", "none"]


class NotCovered(Exception):  # noqa: N818 — no error: the host answers
    """A fast path does not cover these arguments; the host is to be called with them.

    Parameters
    ----------
    reason
        Why, for `report`: a few words without values, so that equal reasons are counted as one.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason


@dataclass(frozen=True)
class Smaller:
    """What a fast path returns where the host has something to say: arguments with the same meaning, but few of them.

    The host is called with them, so that its warnings, and what it makes of undefined values, are its own.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    """What is returned then; None: what the host returns."""

    def said_by(self, theirs: Function) -> Any:
        """Ask the host."""
        answer = ask(theirs, *self.args, **self.kwargs)
        return answer if self.value is None else self.value


@dataclass(frozen=True)
class Row:
    """A drop-in: what it stands for, and what it is made of."""

    host: str
    """The host, one of `HOSTS`."""
    path: str
    """Where the host has it, such as ``"sklearn.metrics.f1_score"``."""
    ours: Any
    """Our function or class, with the signature of `theirs`."""
    statistic: Statistic
    """What is counted: label maps, masks, scores; "none" where the host does the work."""
    metric: str | None
    """The metric of `fastseg.metrics.REGISTRY` that it is, where it is one."""

    @property
    def name(self) -> str:
        """What `report` calls it."""
        return f"{self.host}.{self.path.rpartition('.')[2]}"

    @property
    def theirs(self) -> Any:
        """The host's own."""
        return resolve(self.path)

    @property
    def convention(self) -> Convention | None:
        """What an empty class is worth to the host, and how it takes means, if nobody says otherwise."""
        return CONVENTIONS.get(self.host)

    def __post_init__(self) -> None:
        if self.host not in HOSTS or (self.metric is not None and self.metric not in REGISTRY):
            raise ValueError(f"{self.path}: expected a host and a metric that are known, found {self.metric!r}")


#: Every drop-in whose module was imported, by its path in the host.
ROWS: dict[str, Row] = {}


def drop_in(path: str, *, statistic: Statistic = "labels", metric: str | None = None) -> Callable[[Function], Function]:
    """Decorate the fast path of a host's function: it becomes its drop-in, and a row of the table.

    Parameters
    ----------
    path
        Where the host has the function.
    statistic, metric
        Its row.

    Returns
    -------
    decorator
        The drop-in has the host's signature, name and first lines of documentation, then those of the fast path. Where the
        installed version has another signature than the fast path, all calls go to the host.
    """

    def enter(fast: Function) -> Function:
        host, theirs = host_of(path), _theirs(path)
        name = f"{host}.{theirs.__name__}"
        other_signature = _parameters(fast) != _parameters(theirs)

        @functools.wraps(theirs)
        def ours(*args: Any, **kwargs: Any) -> Any:
            try:
                if other_signature:
                    raise NotCovered("this version of the host has another signature")
                value = fast(*args, **kwargs)
                if type(value) is Smaller:
                    value = value.said_by(theirs)
            except NotCovered as error:
                reason = error.reason
            except TypeError as error:
                # Arguments that do not fit the signature are the host's to refuse; an error from within is not.
                traceback = error.__traceback__
                if traceback is None or traceback.tb_next is not None:
                    raise
                reason = "arguments that do not fit the signature"
            else:
                went_fast(name)
                return value
            went_to_host(name, reason)
            return ask(theirs, *args, **kwargs)

        ours.__signature__ = inspect.signature(theirs)  # type: ignore[attr-defined]
        _enter(Row(host, path, ours, statistic, metric), fast)
        return ours

    return enter


def hand_over(path: str, reason: str, *, module: str) -> Function:
    """Return the drop-in for a function that is the host's to compute, for a `module`: so that one import serves for all."""

    def never(*_: Any, **__: Any) -> NoReturn:
        raise NotCovered(reason)

    never.__module__, never.__doc__ = module, f"The host computes it: {reason}."
    never.__signature__ = inspect.signature(_theirs(path))  # type: ignore[attr-defined]
    return drop_in(path, statistic="none")(never)


def drop_in_class(path: str, *, statistic: Statistic = "labels", metric: str | None = None) -> Callable[[T], T]:
    """Decorate a subclass of a host's class: it becomes its drop-in, and a row of the table; see `attempt` for its methods."""

    def enter(ours: T) -> T:
        theirs = _theirs(path)
        if not (inspect.isclass(ours) and issubclass(ours, theirs)):
            raise TypeError(f"{path}: expected a subclass of it, found {ours!r}")
        ours.__name__ = ours.__qualname__ = theirs.__name__
        _enter(Row(host_of(path), path, ours, statistic, metric), ours)
        return ours

    return enter


def attempt(name: str, fast: Function, theirs: Function, *args: Any, **kwargs: Any) -> Any:
    """Call a fast path, or the host's own where it is not covered, and note which: what the methods of classes do.

    Parameters
    ----------
    name
        What `report` calls it, such as ``"monai.DiceMetric"``.
    fast, theirs
        Two functions, or bound methods, of the same arguments.
    """
    try:
        value = fast(*args, **kwargs)
    except NotCovered as error:
        reason = error.reason
    else:
        went_fast(name)
        return value
    went_to_host(name, reason)
    return ask(theirs, *args, **kwargs)


def counted(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function of fastseg; what it refuses is not covered, since the host may take it, or refuses in its own words.

    Nothing is copied from a GPU to say what it was.
    """
    token = EXPLAINED.set(False)
    try:
        return function(*args, **kwargs)
    except (TypeError, ValueError) as error:
        _refused(error)
    except NoDevice as error:
        raise NotCovered("a GPU that nothing can be counted on") from error
    finally:
        EXPLAINED.reset(token)


def _refused(error: Exception) -> NoReturn:
    argument = str(error).partition(":")[0]  # our errors begin with its name
    raise NotCovered(f"fastseg refuses {argument}" if len(argument) < 40 else "fastseg refuses the input") from error


def _theirs(path: str) -> Any:
    load(host_of(path))
    return resolve(path)


def _parameters(function: Function) -> list[tuple[str, Any, Any]]:
    """Return name, kind and default of each parameter; what is annotated does not matter."""
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, repr(each.default)) for each in parameters]  # repr: NaN is no equal of itself


def _enter(row: Row, documented: Any) -> None:
    """Make a drop-in known by our name, and keep its row."""
    ours, theirs = row.ours, row.theirs
    ours.__module__ = documented.__module__
    head = inspect.cleandoc(theirs.__doc__ or "").partition("\n\n")[0]
    own = (
        vars(documented).get("__doc__") if inspect.isclass(documented) else documented.__doc__
    )  # of a class: not inherited
    note = inspect.cleandoc(own or "")
    ours.__doc__ = (
        f"{head}\n\nThis is the drop-in for `{row.path}`: same arguments, results, warnings and errors. {note}".strip()
    )
    ROWS[row.path] = row

"""Wrong usage: said by the option's name, and before anything takes long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["options_by_name", "require_writable", "spacings", "tolerances"]

#: Arguments whose option has another name.
_OTHERWISE = {"client": "cluster", "gate": "fail_under", "ignore_index": "ignore"}


def require_writable(option: str, path: str | None) -> None:
    """Raise UsageError where a file cannot be written, before it takes an hour to find what shall be in it."""
    if path is None:
        return
    folder = os.path.dirname(path) or os.curdir
    if not os.path.isdir(folder):
        raise click.UsageError(f"{option}: {path}: expected a file in a folder that is there; there is no {folder}")
    if os.path.isdir(path) or path == "-":
        raise click.UsageError(f"{option}: {path}: expected a file, found {'a folder' if path != '-' else 'none'}")


@contextmanager
def options_by_name() -> Iterator[None]:
    """Turn errors that begin with an argument of the Python functions into wrong usage of the option that sets it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        from fastseg.runs.cases.find import CasesError
        from fastseg.volumes import VolumeError

        context = click.get_current_context()
        argument, colon, rest = str(error).partition(":")
        options = {each.name: each.opts[-1] for each in context.command.params if isinstance(each, click.Option)}
        argument = _OTHERWISE.get(argument, argument)
        if not colon or argument not in options or isinstance(error, VolumeError | CasesError):
            raise
        raise click.UsageError(f"{options[argument]}:{rest}", context) from None


def spacings(given: str | None) -> float | tuple[float, ...] | None:
    """Read the distance of neighbouring voxels: one number, or one for each axis."""
    if given is None:
        return None
    try:
        found = tuple(float(text) for text in given.split(","))
    except ValueError:
        raise click.UsageError(
            f"--spacing: expected a number, or one for each axis such as 0.8,0.8,3; found {given!r}"
        ) from None
    return found if found[1:] else found[0]


def tolerances(given: tuple[str, ...]) -> float | dict[Any, float] | None:
    """Read distances, each of a class or of all others."""
    found: dict[Any, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        of = int(name) if name.isdecimal() else name or None
        if of in found:
            of_whom = "all classes" if of is None else of
            raise click.UsageError(f"--tolerance: expected one for {of_whom}, found {found[of]:g} and {number}")
        try:
            found[of] = float(number)
        except ValueError:
            raise click.UsageError(f"--tolerance: expected a number, or CLASS=NUMBER, found {text!r}") from None
    return found.get(None) if list(found) == [None] else found or None

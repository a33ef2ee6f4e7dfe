"""``python -m fastseg.patch HOSTS SCRIPT [ARGUMENT ...]`` runs a script, or with ``-m`` a module, with hosts patched."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import NoReturn

from fastseg.patch.hosts import PATCHED, check
from fastseg.patch.patching import patch

_USAGE = f"""\
usage: python -m fastseg.patch HOSTS (SCRIPT | -m MODULE) [ARGUMENT ...]

Run a script, or a module, while libraries count with fastseg: it needs no edit.
HOSTS are some of {", ".join(PATCHED)}, with commas between.
"""


def main(arguments: list[str]) -> None:
    """Patch, and run what is asked for in this process, as Python would."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(_USAGE, end="")
        return
    hosts, *command = arguments or [""]
    by_name = command[:1] == ["-m"]
    if by_name:
        command.pop(0)
    if not command:
        _refuse("expected hosts, and a script or -m and a module")
    names = tuple(filter(None, hosts.split(",")))
    try:
        check(names)
    except ValueError as error:
        _refuse(str(error))
    if not by_name and not Path(command[0]).exists():
        _refuse(f"no such file: {command[0]!r}")
    try:
        patch(*names)
    except ImportError as error:
        _refuse(str(error))
    sys.argv[:] = command
    if by_name:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    else:
        if not sys.flags.safe_path:
            sys.path[0] = str(Path(command[0]).resolve().parent)  # Python has put there where it was started
        runpy.run_path(command[0], run_name="__main__")


def _refuse(message: str) -> NoReturn:
    print(f"{_USAGE}\npython -m fastseg.patch: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])

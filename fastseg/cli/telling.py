"""What a run has found, as the command line tells it: tables and JSON on the standard output, the rest beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastseg.cli.screen import say, show
from fastseg.labels.names import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastseg.runs import Run
    from fastseg.runs.results.gates import GateResult

__all__ = ["NOT_SCORED", "tell", "write_json"]

GATE_FAILED, NOT_SCORED = 1, 3

#: Failed cases that are listed on stderr; run.json has all.
_SHOWN_FAILURES = 20


def tell(
    run: Run, results: Sequence[GateResult], json_path: str | None, junit: str | None, quiet: bool, empty: bool = False
) -> int:
    """Write and print what a run has found; return the exit code. It may have no cases if it can be `empty`."""
    if junit is not None:
        from fastseg.runs.atomic import write_atomically
        from fastseg.runs.results.gates import junit_xml

        write_atomically(junit, junit_xml(run, results))
    if json_path is not None:
        from fastseg.runs.outputs.run_json import run_to_dict

        write_json(run_to_dict(run), json_path)
    if json_path != "-" and not quiet and (run.records or not empty):
        show(str(run))
    _say_what_failed(run, quiet)
    for result in results:
        if not (quiet and result.passed):
            say(f"gate {'passed' if result.passed else 'failed'}: {result.message}")
    if run.failed or not (run.counted or empty):
        return NOT_SCORED
    return 0 if all(each.passed for each in results) else GATE_FAILED


def _say_what_failed(run: Run, quiet: bool) -> None:
    for record in run.failed[:_SHOWN_FAILURES]:
        say(f"error: {shown(record.id)}: {record.reason}")
    if len(run.failed) > _SHOWN_FAILURES:
        say(f"error: and {len(run.failed) - _SHOWN_FAILURES} more cases failed")
    if run.missing and not quiet:
        how = "left out" if run.settings.missing == "skip" else "scored as the worst"
        say(f"warning: {len(run.missing)} of {len(run.records)} cases have no prediction, and were {how}")
    extra = run.facts.get("extra") or []
    if extra and not quiet:
        names = ", ".join(map(shown, extra[:_SHOWN_FAILURES])) + (", …" if len(extra) > _SHOWN_FAILURES else "")
        say(f"warning: {len(extra)} predictions belong to no reference, and were left out: {names}")
    noted = [(record, text) for record in run.counted for text in record.notes]
    if noted and not quiet:
        for record, text in noted[:_SHOWN_FAILURES]:
            say(f"warning: {shown(record.id)}: {text}")
        if len(noted) > _SHOWN_FAILURES:
            say(f"warning: and {len(noted) - _SHOWN_FAILURES} more, which run.json has (-o)")
    if run.settings.geometry == "warn" and not quiet:
        same = ("equal", "not compared", "no prediction")
        apart = [
            record
            for record in run.counted
            if record.geometry not in same and not record.geometry.startswith("not compared:")
        ]
        for record in apart[:_SHOWN_FAILURES]:
            say(f"warning: {shown(record.id)}: {record.geometry}")
        if len(apart) > _SHOWN_FAILURES:
            say(f"warning: and {len(apart) - _SHOWN_FAILURES} more cases differ in position")


def write_json(plain: dict[str, Any], path: str) -> None:
    """Write what can be JSON to a file, or to the standard output where its path is "-"."""
    text = json.dumps(plain, indent=2, allow_nan=False)
    if path == "-":
        show(text)
        return
    from fastseg.runs.atomic import write_atomically

    write_atomically(path, f"{text}\n".encode())

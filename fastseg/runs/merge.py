"""The shards of a run, put together: complete, disjoint and of one setting, or an error that lists what is not so."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from fastseg.arrays.option_names import explained
from fastseg.labels.names import shown
from fastseg.runs.cases.find import CasesError
from fastseg.runs.cases.shard import digest_of
from fastseg.runs.keeping import keep_run, require_own
from fastseg.runs.outputs.folder import read_run
from fastseg.runs.results.gates import check_gates, parse_gate
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.run import Run
from fastseg.runs.scoring.journal import Journal

__all__ = ["merge_runs"]

Path = str | os.PathLike[str]
#: Facts that are of the machine, of the moment, or of the shard.
_OF_ITS_OWN = ("shard", "gates", "times", "machine", "working_folder")


@explained
def merge_runs(shards: Sequence[Path], output: Path | None = None, *, note: Callable[[str], None] | None = None) -> Run:
    """Make one run of the shards that several machines have scored.

    Parameters
    ----------
    shards : sequence of path
        The folders that ``evaluate_folder(..., shard=...)`` has written, in any order. `output` may be among them.
    output : path, optional
        A folder for the results; it is made. They are those of the run that one machine would have made, byte for byte, but
        for times, machine and working folder in ``run.json``.
    note
        Receives sentences for people.

    Returns
    -------
    run : Run
        ``run.facts["gates"]`` says what became of the gates that the shards were given.

    Raises
    ------
    CasesError
        If shards are missing, there twice, unfinished, or of other cases, settings or versions; it lists all of that.
    ValueError
        If `output` holds the results of other predictions.
    OSError
        If files cannot be read or written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import fastseg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, labels in {"true/a": [0, 1, 1], "true/b": [1, 1, 0], "pred/a": [0, 1, 1], "pred/b": [1, 0, 0]}.items():
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         np.save(Path(folder, f"{name}.npy"), np.array(labels))
    ...     for number in (1, 2):
    ...         run = fastseg.evaluate_folder(
    ...             Path(folder, "true"), Path(folder, "pred"), Path(folder, f"out{number}"), num_classes=2, shard=(number, 2)
    ...         )
    ...     run = merge_runs([Path(folder, "out1"), Path(folder, "out2")])
    >>> run
    <Run of 2 cases, 2 of them scored, 2 classes>
    """
    if isinstance(shards, str | os.PathLike):
        raise TypeError(f"shards: expected the folders of all shards, found one path, {os.fspath(shards)!r}")
    folders = [os.fspath(each) for each in shards if output is None or not _same(each, output)]
    if not folders:
        raise ValueError("shards: expected at least one folder, found none")
    found, problems = _read(list(dict.fromkeys(folders)))
    problems += _differences(found)
    problems += [f"{shown(folder)}: given {n} times" for folder, n in Counter(folders).items() if n > 1]
    records = sorted((record for run in found.values() for record in run.records), key=lambda record: record.id)
    if not problems:
        problems = _unlike_cases(found, [record.id for record in records])
    if problems:
        raise CasesError(problems, "the same commands as before finish or repeat single shards", what="the shards")
    first, *_ = found.values()
    facts = {name: value for name, value in first.facts.items() if name not in ("shard", "machine")}
    facts["times"] = _times([run.facts["times"] for run in found.values()])
    run = Run(first.settings, tuple(records), facts)
    gates = [parse_gate(text) for text in first.facts["shard"]["gates"]]
    facts["gates"] = [each.to_dict() for each in check_gates(run, gates)]
    if output is not None:
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(output))
            require_own(journal, {record.key.partition("-")[0] for record in records})
            keep_run(run, journal, output, note or (lambda _: None))
    return run


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _read(folders: Sequence[str]) -> tuple[dict[str, RunNumbers], list[str]]:
    """Return the shards that can be read, by folder, in the order of their numbers; and what is wrong with the others."""
    found, problems = {}, []
    for folder in folders:
        try:
            run = read_run(folder)
        except ValueError as error:
            problems.append(shown(str(error)))
            continue
        if run.instances is not None and run.instances.rows is None:
            problems.append(
                f"{shown(folder)}: expected the instances.csv that the shard was written with; it is gone or changed"
            )
        shard = run.facts.get("shard")
        if not isinstance(shard, Mapping) or not {"number", "of", "cases", "ids", "gates"} <= shard.keys():
            problems.append(f"{shown(folder)}: expected a shard (evaluate --shard), found a whole run")
        else:
            found[folder] = run
    return dict(sorted(found.items(), key=lambda item: item[1].facts["shard"]["number"])), problems


def _differences(found: Mapping[str, RunNumbers]) -> list[str]:
    """Return which shards are missing, there twice, or not of one setting."""
    if not found:
        return []
    problems: list[str] = []
    first = _usual(found)
    reference = found[first]
    for folder, run in found.items():
        for what, mine, theirs in _compared(reference, run):
            if mine != theirs:
                problems.append(f"{shown(folder)}: {what} {theirs!r}, and {mine!r} in {shown(first)}")
    of = reference.facts["shard"]["of"]
    there: dict[int, list[str]] = {}
    for folder, run in found.items():
        there.setdefault(run.facts["shard"]["number"], []).append(shown(folder))
    problems += [
        f"shard {number}/{of}: {len(each)} times, in {', '.join(each)}" for number, each in there.items() if each[1:]
    ]
    return problems + [f"shard {number}/{of}: missing" for number in range(1, of + 1) if number not in there]


def _usual(found: Mapping[str, RunNumbers]) -> str:
    """Return the first shard that is as most of them are, so that what differs is said of the few that do."""
    kinds = {folder: repr(_compared(run, run)) for folder, run in found.items()}
    times = Counter(kinds.values())
    return max(kinds, key=lambda folder: times[kinds[folder]])


def _compared(one: RunNumbers, other: RunNumbers) -> list[tuple[str, Any, Any]]:
    """Return what must be equal in both, with its name."""
    mine, theirs = one.settings.to_dict(), other.settings.to_dict()
    compared = [(name, mine.get(name), theirs.get(name)) for name in {**mine, **theirs}]
    names = ("of", "cases", "ids", "gates")
    compared += [(f"shard: {name}", one.facts["shard"][name], other.facts["shard"][name]) for name in names]
    others = [name for name in {**one.facts, **other.facts} if name not in _OF_ITS_OWN]
    return compared + [(name, one.facts.get(name), other.facts.get(name)) for name in others]


def _unlike_cases(found: Mapping[str, RunNumbers], ids: list[str]) -> list[str]:
    """Return what is wrong with the cases of all shards together: those of one are always the same."""
    shard = next(iter(found.values())).facts["shard"]
    if digest_of(ids) == shard["ids"]:
        return []
    return [f"expected the {shard['cases']} cases that were there when the shards began, found {len(set(ids))}, others"]


def _times(times: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the run of all took: from the first start to the last end."""
    start = min(each["started"] for each in times)
    return {
        "started": start,
        "seconds": max(each["started"] + each["seconds"] for each in times) - start,
        "scored": sum(each["scored"] for each in times),
        "threads": sum(each["threads"] for each in times),
    }

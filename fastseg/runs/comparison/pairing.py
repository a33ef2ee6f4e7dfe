"""Which cases two runs share: the same ids, references and meaning of scores, or an error that says what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import positions
from fastseg.runs.comparison.instances import matched_alike
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.scoring.records import triples
from fastseg.runs.scoring.settings import Settings

__all__ = ["alike", "paired", "scored_settings"]

Ints = npt.NDArray[np.int64]


def scored_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that say what is scored, so that equal ones mean the same."""
    plain = RunNumbers(settings, ()).convention.background if settings.background is None else settings.background
    return {
        "labels": None if settings.labels is None else sorted(settings.labels),
        "ignore": sorted(settings.ignore),
        "regions": {name: sorted(members) for name, members in settings.regions.items()},
        **({} if settings.masks is None else {"masks": True, "missing_mask": settings.missing_mask}),
        "convention": settings.convention,
        "background": plain,
        "unknown": settings.unknown,
        "missing": settings.missing,
        **({} if settings.surfaces is None else {"surfaces": asdict(settings.surfaces)}),
    }


def paired(a: RunNumbers, b: RunNumbers, cases: str) -> tuple[tuple[RunNumbers, RunNumbers], tuple[str, ...]]:
    """Return both runs with the same cases in the same order and the same classes, and the ids of the cases left out."""
    scored, named = (scored_settings(a.settings), scored_settings(b.settings)), (a.settings.names, b.settings.names)
    differences = [
        f"{key}: {value!r} and {scored[1].get(key)!r}"
        for key in {**scored[0], **scored[1]}
        if (value := scored[0].get(key)) != scored[1].get(key)
        and (key != "missing" or (a.missing and b.missing))
        and (
            key != "surfaces" or (a.settings.surfaces and b.settings.surfaces)
        )  # where one has none, others are compared
    ]
    for label in sorted(named[0].keys() & named[1].keys()):
        if named[0][label] != named[1][label]:
            differences.append(f"the name of label {label}: {named[0][label]!r} and {named[1][label]!r}")
    if differences:
        raise ValueError(f"the runs differ in what they score: {'; '.join(differences)}")
    records = [{record.id: record for record in run.counted} for run in (a, b)]
    only = [sorted(records[0].keys() - records[1].keys()), sorted(records[1].keys() - records[0].keys())]
    if any(only) and cases == "same":
        raise ValueError(
            f"the runs have counted other cases: only in A {_listed(only[0])}; only in B {_listed(only[1])} "
            "(cases='common', --cases common, compares those in both)"
        )
    ids = sorted(records[0].keys() & records[1].keys())
    runs = (
        replace(a, records=tuple(records[0][i] for i in ids)),
        replace(b, records=tuple(records[1][i] for i in ids)),
    )
    labels = np.union1d(
        runs[0].labels, runs[1].labels
    )  # of open runs: one may predict a label that the other never does
    _check_references(*runs, labels)
    missing = (b if b.missing else a).settings.missing  # only one has missing predictions, or the policies are the same
    settings = replace(a.settings, names={**named[1], **named[0]}, missing=missing)
    if settings.masks is not None:
        settings = replace(settings, masks=tuple(dict.fromkeys(each.name for run in runs for each in run.classes)))
    elif settings.labels is None and not settings.regions and not settings.partitions:
        settings = replace(settings, labels=tuple(labels.tolist()))
    runs = (
        replace(runs[0], settings=settings),
        replace(
            runs[1],
            settings=replace(
                settings, metrics=b.settings.metrics, surfaces=b.settings.surfaces, instances=b.settings.instances
            ),
        ),
    )
    seen = {record.id for run in (a, b) for record in run.records}
    return runs, tuple(sorted(seen.difference(ids)))


def alike(a: RunNumbers, b: RunNumbers) -> bool:
    """Return whether paired runs have the same counts in every case, as a run has that is compared with itself."""
    both = [*zip(a.counted, b.counted, strict=True)]
    if any(one.surfaces != other.surfaces for one, other in both) or _unlike_instances(a, b):
        return False
    if a.settings.masks is not None:
        return np.array_equal(a.missed, b.missed) and [r.masks for r in a.counted] == [r.masks for r in b.counted]
    counts = zip(triples(a.counted), triples(b.counted), strict=True)
    return np.array_equal(a.missed, b.missed) and all(np.array_equal(one, other) for one, other in counts)


def _unlike_instances(a: RunNumbers, b: RunNumbers) -> bool:
    """Tell whether instances that both have matched in the same way differ."""
    if a.instances is None or b.instances is None or not matched_alike(a.settings.instances, b.settings.instances):
        return False
    same = a.settings.instances == b.settings.instances
    one, other = (each.sums if same else each.sums[..., :5] for each in (a.instances, b.instances))
    return not np.array_equal(one, other, equal_nan=True)  # volumes may not be known


def _check_references(a: RunNumbers, b: RunNumbers, labels: Ints) -> None:
    """Raise ValueError where the same case has another reference in B than in A."""
    names: list[Any] = labels.tolist()
    totals = _true(a, labels), _true(b, labels)
    if a.settings.masks is not None:
        names = sorted({each.name for each in a.classes} & {each.name for each in b.classes})
        totals = _true_of_masks(a, names), _true_of_masks(b, names)
    wrong = []
    for case, (one, other) in enumerate(zip(a.counted, b.counted, strict=True)):
        for what in ("reference", "roi"):
            hashes = [(record.inputs.get(what) or {}).get("sha256") for record in (one, other)]
            if None not in hashes and hashes[0] != hashes[1]:
                wrong.append(f"{one.id!r} (another {what} file)")
                break
        else:
            if tuple(one.shape) != tuple(other.shape) or sum(one.voxels) != sum(other.voxels):
                wrong.append(f"{one.id!r} (shape {tuple(one.shape)} and {tuple(other.shape)})")
            elif (totals[0][case] != totals[1][case]).any():
                k = int((totals[0][case] != totals[1][case]).argmax())
                found = f"{totals[0][case, k]:,} and {totals[1][case, k]:,}"
                wrong.append(f"{one.id!r} (true voxels of label {names[k]}: {found})")
    if wrong:
        raise ValueError(f"cases of the same id have other references: {_listed(wrong)}")


def _listed(texts: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(texts[:most])
    return f"{shown}, … ({len(texts):,} in all)" if len(texts) > most else shown or "none"


def _true(run: RunNumbers, labels: Ints) -> Ints:
    """Return the true voxels of each case and label: (N, K)."""
    case, true, _, voxels = np.concatenate(triples(run.counted)).T
    totals = np.zeros((len(run.counted), labels.size), np.int64)
    np.add.at(totals, (case, positions(labels, true)), voxels)
    return totals


def _true_of_masks(run: RunNumbers, names: Sequence[str]) -> Ints:
    """Return the true voxels of each case and mask: (N, K)."""
    rows = [[record.masks.get(name, (0, 0, 0)) for name in names] for record in run.counted]
    table = np.array(rows, np.int64).reshape(len(run.counted), len(names), 3)
    return np.asarray(table[..., 0] + table[..., 2])

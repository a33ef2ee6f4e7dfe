"""Runs of every kind of case, for the tests of what is written of them."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from fastseg import count_labels
from fastseg.runs import CaseRecord, Run, Settings

HOSTILE = [
    '=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(A1)", "\tcmd", "\rcmd", "  =1", "\ufeff=1", "＝1", "＋1",
    "－1", "＠A1", "a,b", 'say "so"', "two\nlines", "a\rb", "<script>", "\udcff\udc80", "日本", "''=1", "'=1", "-1",
    "-1e5", "\0", "\u200b+1",
]  # fmt: skip


def pair(seed: int, labels: int = 4, size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, labels, size)
    return true, np.where(rng.random(size) < 0.7, true, rng.integers(0, labels, size))


def record(name: str, true: Any, pred: Any, labels: Any = (0, 1, 2, 3), **more: Any) -> CaseRecord:
    options = {k: more.pop(k) for k in ("ignore_index", "unknown") if k in more}
    counts = count_labels(np.asarray(true), np.asarray(pred), labels=labels, **options)
    values = {
        "reference": f"gt/{name}", "prediction": f"pred/{name}", "key": "k", "shape": (4, 5, 3),
        "spacing_mm": (0.7, None, 2.5), "voxel_ml": 1 / 3, "geometry": "equal",
        "inputs": {"reference": {"size": 7, "sha256": None}},
    }  # fmt: skip
    return CaseRecord.with_counts(counts, **{"id": name, "status": "scored", **values, **more})


def example(**settings: Any) -> Run:
    """A run of every kind of case: classes that are absent, probabilities, failures, missing predictions."""
    records = [
        record("a", *pair(0), scores={"soft_dice": 0.1 + 0.2, "cross_entropy": None}),
        record("b", [0, 0, 1, 1], [0, 2, 1, 0]),
        CaseRecord("c", "failed", "gt/c", "pred/c", reason="not a gzipped file"),
        CaseRecord("d", "missing", "gt/d", None),
        record("e", [0, 0, 1, 3], [9, 9, 9, 9], unknown="count", status="missing", prediction=None),
        record("f", *pair(5), ignore_index=2),
    ]
    options = {"labels": (0, 1, 2, 3), "names": {1: "liver", 3: "=cmd"}, "missing": "worst", **settings}
    facts = {"folders": ["gt", "pred"], "times": {"seconds": 1.5}}
    return Run(Settings(**options), tuple(records), facts)


def hostile() -> Run:
    names = dict(enumerate(HOSTILE))
    records = [record(name, *pair(n, 30), range(len(HOSTILE) + 5)) for n, name in enumerate(HOSTILE)]
    records.append(CaseRecord("zz", "failed", "gt/\udcff", "p", reason="=1+1"))
    return Run(Settings(labels=tuple(range(len(HOSTILE) + 5)), names=names), tuple(records))


EMPTY = Run(Settings(), ())
ALL_FAILED = Run(Settings(labels=(0, 1)), (CaseRecord("c", "failed", "gt/c", None, reason="x"),))
REGIONS = {"whole": (1, 2, 3), "core": (2, 3), "one": (1,), "back": (0,)}


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def plain(run: Run) -> Any:
    return run.settings, [each.to_json() for each in run.records]

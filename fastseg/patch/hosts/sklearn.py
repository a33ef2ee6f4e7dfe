"""The metrics of scikit-learn: each function that there is a drop-in for, behind the check of its parameters."""

from __future__ import annotations

import inspect

import fastseg.adapters.sklearn  # noqa: F401 — its rows
from fastseg.adapters.calls import ROWS
from fastseg.patch.swaps import Step

__all__ = ["steps"]


def steps() -> list[Step]:
    """Return the drop-ins, each for what the host calls when it has checked parameters."""
    rows = [row for row in ROWS.values() if row.host == "sklearn" and row.statistic != "none"]
    return [Step(inspect.unwrap(row.theirs), row.ours) for row in rows]

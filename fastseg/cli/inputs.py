"""What `fastseg evaluate` is given: two files, or what is a run of cases."""

from __future__ import annotations

import os
from collections.abc import Sequence

__all__ = ["needs_run"]


def needs_run(reference: str | None, prediction: str | None, metrics: str | Sequence[str] | None) -> bool:
    """Tell whether these are a run without any option that says so.

    Folders are, and two JSON files, each of which may be of many cases; and two files whose segments are partitions, or of
    which metrics of instances are named.
    """
    from fastseg.metrics.choice import of_partitions
    from fastseg.runs.cases.pictures import holds_cases
    from fastseg.runs.scoring.instance_metrics import of_instances

    if (
        any(path is not None and _is_folder(path) for path in (reference, prediction))
        or of_partitions(metrics)
        or of_instances(metrics)
    ):
        return True
    return holds_cases(reference) and holds_cases(prediction)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not path.rstrip("/\\").lower().endswith(".zarr")

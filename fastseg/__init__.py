"""fastseg: exact segmentation metrics at the speed of memory.

Read the voxels once, keep a small, exact, mergeable set of counts; everything else is arithmetic on the counts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastseg import metrics as metrics
    from fastseg.api import confusion_matrix, count_labels, count_masks, evaluate
    from fastseg.counts import BinaryCounts, LabelCounts
    from fastseg.evaluator import Evaluator
    from fastseg.files import count_files, evaluate_files
    from fastseg.scores import Scores
    from fastseg.threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

# Name and home of everything public; a home is imported at the first use of one of its names.
_HOMES = {
    "BinaryCounts": "fastseg.counts",
    "Evaluator": "fastseg.evaluator",
    "LabelCounts": "fastseg.counts",
    "Scores": "fastseg.scores",
    "confusion_matrix": "fastseg.api",
    "count_files": "fastseg.files",
    "count_labels": "fastseg.api",
    "count_masks": "fastseg.api",
    "evaluate": "fastseg.api",
    "evaluate_files": "fastseg.files",
    "get_num_threads": "fastseg.threads",
    "set_num_threads": "fastseg.threads",
}

__all__ = [
    "BinaryCounts",
    "Evaluator",
    "LabelCounts",
    "Scores",
    "confusion_matrix",
    "count_files",
    "count_labels",
    "count_masks",
    "evaluate",
    "evaluate_files",
    "get_num_threads",
    "metrics",
    "set_num_threads",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name == "metrics":
        value = importlib.import_module("fastseg.metrics")
    elif not name.startswith("_") and name in importlib.import_module("fastseg.metrics").REGISTRY:
        value = importlib.import_module("fastseg.api").metric_function(name)
    else:
        raise AttributeError(f"module 'fastseg' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *importlib.import_module("fastseg.metrics").REGISTRY})

"""Runs: a folder of cases scored against a folder of references, kept so that nothing has to be counted twice.

`cases` says which files belong together, `settings` what is scored and how; `records` is what is kept of each case, and
`run` what is known of all of them. Everything that people read is written from a `Run` alone.
"""

from __future__ import annotations

from fastseg.runs.evaluate import evaluate_folder
from fastseg.runs.results.classes import ReportedClass
from fastseg.runs.run import Run
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

__all__ = ["CaseRecord", "ReportedClass", "Run", "Settings", "evaluate_folder"]

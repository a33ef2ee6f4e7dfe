"""A run as people hold it: its numbers, printed as a table, written into a folder and read back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fastseg.runs.outputs.folder import read_run, write_outputs
from fastseg.runs.outputs.text import run_table
from fastseg.runs.results.numbers import RunNumbers

__all__ = ["Run"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Run(RunNumbers):
    """The results of a folder of cases; prints as a table.

    Attributes
    ----------
    settings : Settings
        What was scored and how.
    records : tuple of CaseRecord
        Of all cases expected, sorted by id: those scored, failed, and missing.
    facts : dict
        What else `run.json` says: versions, times, folders. Nothing else depends on it.

    Notes
    -----
    `instances` has what was matched, where instances were asked for; it prints as a table, too.

    N is the number of cases that have counts (`counted`), C the number of reported classes (`classes`).

    What `Scores` of a single pair holds in dicts, a run computes when it is asked: ``run["dice"]`` or ``run.values("dice")``
    is (N, C), ``run.class_values("dice")`` (C,), and ``run.mean("dice")`` the one number. `Scores` has two means, `mean` with
    class 0 and `foreground_mean` without; a run has the one that its convention takes (`mean_title` says which).

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
    ...     out = Path(folder, "out")
    ...     run = fastseg.evaluate_folder(Path(folder, "true"), Path(folder, "pred"), num_classes=2, metrics=["dice"])
    ...     run.save(out)
    ...     again = Run.load(out)
    >>> again.pooled().matrix.tolist()
    [[[2, 0], [1, 3]]]
    """

    def __getitem__(self, metric: str) -> Floats:
        """Return a metric of each case and class, (N, C), as `Scores` has it by its name: `values`."""
        return self.values(metric)

    def __str__(self) -> str:
        return run_table(self)

    def __repr__(self) -> str:
        scored = sum(record.status == "scored" for record in self.records)
        return f"<Run of {len(self.records)} cases, {scored} of them scored, {len(self.classes)} classes>"

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the files that `fastseg.runs.outputs.run_json` describes into a folder, which is made if need be.

        Raises
        ------
        OSError
            If they cannot be written, with the path; those that were there are as they were.
        """
        write_outputs(self, folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Return the run whose files are in a folder.

        Raises
        ------
        ValueError
            If there is none, or its files are damaged or not of one run.
        OSError
            If they cannot be read.
        """
        found = read_run(folder)
        return cls(found.settings, found.records, found.facts)

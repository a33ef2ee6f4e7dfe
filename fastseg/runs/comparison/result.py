"""What a comparison of two runs found, for people and programs: a table, a dict, CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastseg._version import __version__
from fastseg.api.text_table import format_table
from fastseg.labels.names import shown
from fastseg.runs.comparison.statistics import least_pairs
from fastseg.runs.outputs.csv_tables import csv_table, label_cell, number_cell, text_cell
from fastseg.runs.results.classes import ReportedClass

__all__ = ["Comparison", "Row"]


class Row(NamedTuple):
    """A metric of one class, or of several together, in two runs over the same cases."""

    metric: str
    better: str
    """Which values are better: "higher", "lower", "zero" (the nearer to it), or "neither"."""
    key: int | tuple[int, ...] | str | None
    """The label, or the labels of a region; of masks the name; None: several classes together."""
    name: str
    """The class's name; "mean": each case's mean over the classes in means that both define; "all": one number for all."""
    n: int
    """Pairs: cases where both runs are defined. All that follows is over these, up to `effect`."""
    unpaired: int
    """Other cases where a run is defined, which no paired comparison can see."""
    only_a: int
    """Those where A is. Of "mean", a case is in both where each run defines classes, but none that the other does."""
    only_b: int
    mean_a: float
    mean_b: float
    difference: float
    """Mean difference, B less A."""
    low: float
    """The lower end of its bootstrap interval; NaN of fewer than two pairs."""
    high: float
    median: float
    """Of the differences."""
    wins: int | None
    """Pairs where B is better; None where no value is better than another."""
    ties: int
    losses: int | None
    p: float
    """Of the signed-rank test, two-sided; NaN without pairs."""
    p_holm: float
    """Corrected for the tests of the same metric."""
    effect: float
    """The matched-pairs rank-biserial correlation: 1 where B is larger in all pairs, -1 where A is."""
    verdict: str
    """Of a significant difference "A" or "B", the better one, or "differs" where that is not to be said; else empty."""
    pooled_a: float
    """The metric of the counts summed over all cases."""
    pooled_b: float
    pooled_difference: float
    pooled_low: float
    pooled_high: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Hold what `compare_runs` found.

    Attributes
    ----------
    names : pair of str
        What runs A and B are called.
    cases : tuple of str
        The ids of the cases that were compared.
    left_out : tuple of str
        The ids of all others that either run has: those that only one has counted, and those that none could.
    rows : tuple of Row
        For each metric a row for each class and one for their mean, or the one row "all".
    settings : dict
        What both runs scored and how, and "confidence", "resamples" and "seed".
    alike : bool
        Whether both have the same counts in every case, as a run has that is compared with itself.
    """

    names: tuple[str, str]
    cases: tuple[str, ...]
    left_out: tuple[str, ...]
    rows: tuple[Row, ...]
    settings: Mapping[str, Any]
    alike: bool = False

    @property
    def metrics(self) -> dict[str, list[Row]]:
        """The rows of each metric."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.metric, []).append(row)
        return found

    def row_titles(self, rows: Sequence[Row]) -> list[str]:
        """Return what rows of a metric are called for people: no two alike, and the mean by what it is over."""
        names = [row.name for row in rows]
        return [
            self._mean_title(rows)
            if (row.key, row.name) == (None, "mean")
            else f"{shown(row.name)} ({ReportedClass(row.key, row.name).label})"
            if names.count(row.name) > 1 and row.key is not None
            else shown(row.name)
            for row in rows
        ]

    def _mean_title(self, rows: Sequence[Row]) -> str:
        background = any(row.key in (0, (0,)) for row in rows) and not self.settings["background"]
        return "foreground mean" if background else "mean"

    @property
    def titles(self) -> tuple[str, ...]:
        """Letter and name of each run, to be shown."""
        return tuple(
            letter if letter == name else f"{letter}: {shown(name)}"
            for letter, name in zip("AB", self.names, strict=True)
        )

    @property
    def confidence(self) -> float:
        """Of the intervals; what is significant at the 5% level has 0.95."""
        return float(self.settings["confidence"])

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a dict that JSON can hold: undefined values are None."""
        rows = [{key: _plain(value) for key, value in row._asdict().items()} for row in self.rows]
        return {
            "a": self.names[0],
            "b": self.names[1],
            "cases": len(self.cases),
            "left_out": list(self.left_out),
            "alike": self.alike,
            "settings": dict(self.settings),
            "rows": rows,
            "fastseg": __version__,
        }

    def to_csv(self) -> str:
        """Return the rows as CSV: undefined values are empty, and text that a spreadsheet would run is made harmless."""
        numbers = [name for name in Row._fields if name not in ("metric", "better", "key", "name", "verdict")]
        header = ["a", "b", "metric", "better", "class", "label", "verdict", *numbers]
        rows = (
            [
                *(text_cell(text) for text in (*self.names, row.metric, row.better, row.name)),
                label_cell(row.key),
                row.verdict,
                *(number_cell(getattr(row, name)) for name in numbers),
            ]
            for row in self.rows
        )
        return csv_table(header, rows).decode()

    def __str__(self) -> str:
        alpha = 1 - self.confidence
        parts = [f"{self.titles[0]}\n{self.titles[1]}\ncases: {len(self.cases):,}"]
        if self.left_out:
            parts[0] += f" (left out: {len(self.left_out):,}, which one run or both have not counted)"
        if self.alike and self.cases:
            parts[0] += "\nA and B have the same counts in every case, as a run has that is compared with itself"
        header = ["class", "pairs", "unpaired", "A", "B", "B - A", f"{100 * self.confidence:g}% interval"]
        header += ["wins/ties/losses", "p", "p Holm", "better"]
        for metric, rows in self.metrics.items():
            lines = [[title, *_cells(row)] for title, row in zip(self.row_titles(rows), rows, strict=True)]
            table = format_table(header, lines, left=1)
            parts.append(f"{metric} ({_BETTER[rows[0].better]})\n{table}")
        notes = [
            "pairs: cases where both are defined; unpaired: where only one is, which the other columns leave out",
            "A, B: means over cases" + self._over(),
            "wins/ties/losses: of B; p: Wilcoxon signed-rank test, Holm: corrected for the tests of the same metric",
            f"better: where p Holm is below {alpha:.4g}",
        ]
        least = least_pairs(alpha)
        if any(0 < row.n < least for row in self.rows):
            notes.append(
                f"with fewer than {least} pairs this test never finds p below {alpha:.4g}, whatever the values are"
            )
        return "\n\n".join([*parts, "\n".join(notes)])

    def _over(self) -> str:
        """Say what the means over classes are, if there are any."""
        titles = {title: title for rows in self.metrics.values() if len(rows) > 1 for title in [self._mean_title(rows)]}
        classes = "regions" if self.settings["regions"] else "classes"
        over = f"of each case's mean over the {classes} that are defined in both"
        left_out = {"foreground mean": " (background left out)"}
        return "".join(f"; {title}: {over}{left_out.get(title, '')}" for title in titles)

    def __repr__(self) -> str:
        a, b = self.names
        return f"<Comparison of {a!r} and {b!r}: {len(self.cases)} case(s), {', '.join(self.metrics)}>"


_BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "zero": "nearer to zero is better",
    "neither": "neither is better",
}


def _cells(row: Row) -> list[str]:
    wins = "-" if row.wins is None else f"{row.wins}/{row.ties}/{row.losses}"
    ends = "-" if math.isnan(row.low) else f"[{_signed(row.low)}, {_signed(row.high)}]"
    return [
        str(row.n), str(row.unpaired), _value(row.mean_a), _value(row.mean_b), _signed(row.difference), ends, wins,
        _p(row.p), _p(row.p_holm), row.verdict,
    ]  # fmt: skip


def _value(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.4f}" if abs(number) < 1000 else f"{number:,.0f}"


def _signed(number: float) -> str:
    text = _value(number)
    if text.strip("-0.") == "":  # no sign of what rounds to zero
        return text.lstrip("-") or "-"
    return text if number < 0 else f"+{text}"


def _p(number: float) -> str:
    return "-" if math.isnan(number) else "<0.0001" if number < 0.0001 else f"{number:.4f}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value

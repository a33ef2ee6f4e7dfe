"""Tables of a run as CSV, for spreadsheets and data frames: `cases.csv`, a row a number, and `classes.csv`, a row a summary.

Commas, quotes where needed (RFC 4180), line feeds, UTF-8. An undefined number is an empty cell. Numbers are in their
shortest form that reads back equal, an infinite distance is "inf". Text that a spreadsheet would take for a formula gets
an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastseg.metrics.choice import known_metric
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.results.reasons import NO_VOLUME, why_no_instance, why_no_mean, why_not_scored

if TYPE_CHECKING:
    from fastseg.runs.results.statistics import Summary

__all__ = ["cases_csv", "classes_csv", "csv_table", "label_cell", "number_cell", "plain_text", "text_cell"]

_HEADER = ("case", "class", "label", "metric", "value", "reason")
_NUMBERS = ("mean", "median", "std", "q1", "q3", "min", "max", "low", "high", "defined", "cases")

#: What spreadsheets take for the beginning of a formula, behind what they skip. Apostrophes are skipped too, so that no two
#: texts become the same.
_FORMULA = re.compile(r"['\s\x00-\x20\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n]")
_INTEGER = re.compile(r"-?[0-9]+")

#: Why label 0 has no distance.
_NO_SURFACE = "no surface of the background is measured"
#: The name of what belongs to no single class.
_ALL = "all"
#: Where a template has the cell of the case; no text cell has this character.
_CASE = "\0"


def cases_csv(run: RunNumbers) -> bytes:
    """Return every number of every case as a row.

    Returns
    -------
    data : bytes
        Columns ``case``, ``class``, ``label``, ``metric``, ``value``, ``reason``: why the value is empty. Metrics of all
        classes together, and those of files of probabilities, have the class "all" and no label. A case that failed or has
        no prediction has a row with nothing but the reason, in the place of its numbers or, where it was scored as the worst
        possible, before them. Where metrics of surfaces are among them, of classes or of instances, ``unit`` follows: "mm",
        or nothing. Where instances were matched, their numbers are last, with the region as the class.
    """
    header = (*_HEADER, "unit") if _has_units(run) else _HEADER
    return (csv_row(header) + "".join(_case_lines(run))).encode("utf-8")


def classes_csv(run: RunNumbers, summaries: Sequence[Summary] | None = None) -> bytes:
    """Return the summary of every metric and class as a row.

    Parameters
    ----------
    run
        The run.
    summaries
        What `fastseg.runs.results.statistics.summarise` says of it; it is asked if they are not given.

    Returns
    -------
    data : bytes
        Columns ``metric``, ``class``, ``label``, the fields of a summary from ``mean`` to ``cases``, and ``over``. The run's
        one number has the class "mean" and no label, and ``over`` says what it is the mean over. Metrics of all classes
        together, and those of files of probabilities, have the class "all" and no label. Where metrics of surfaces are among
        them, ``unit`` and ``infinite`` follow: how many values no mean is over, since one of two surfaces is missing. Where
        instances were matched, their summaries are last, and ``pooled`` follows: the number of the instances of all cases
        together, which table and gates have.
    """
    if summaries is None:
        from fastseg.runs.results.statistics import summarise

        summaries = summarise(run)
    more: tuple[str, ...] = ("unit", "infinite") if _has_units(run) else ()
    cells, none = _of_surfaces(run), [""] * len(more)
    rows = [
        [
            *_summary_cells(each),
            run.over(each.metric) if (each.key, each.name) == (None, "mean") else "",
            *cells.get((each.metric, each.key), none),
        ]
        for each in summaries
    ]
    if run.instances is not None:
        from fastseg.runs.results.instance_statistics import instance_summaries, pooled_instances

        rows = [[*row, ""] for row in rows]
        for each, pooled in zip(instance_summaries(run), pooled_instances(run), strict=True):
            over = "cases of means over regions" if (each.key, each.name) == (None, "mean") else ""
            units = [run.instances.metrics[each.metric].unit, ""] if more else []
            rows.append([*_summary_cells(each), over, *units, number_cell(pooled)])
        more = (*more, "pooled")
    return csv_table(("metric", "class", "label", *_NUMBERS, "over", *more), rows)


def _has_units(run: RunNumbers) -> bool:
    """Tell whether a run has metrics of surfaces, of classes or of instances."""
    how = run.settings.instances
    return run.settings.surfaces is not None or (how is not None and how.surfaces is not None)


def _summary_cells(summary: Summary) -> list[str]:
    numbers = (number_cell(getattr(summary, name)) for name in _NUMBERS)
    return [text_cell(summary.metric), text_cell(summary.name), label_cell(summary.key), *numbers]


def _of_surfaces(run: RunNumbers) -> dict[tuple[str, Any], list[str]]:
    """Return the unit and how many values are infinite, by metric and class; nothing where a run measures no surfaces."""
    if run.settings.surfaces is None:
        return {}
    cells: dict[tuple[str, Any], list[str]] = {}
    for name in run.settings.metrics:
        unit = run.units.get(name, "")
        if (total := run.infinite(name)) is not None:
            numbers = np.isinf(run.values(name)).sum(0).tolist()
            of_classes = zip((each.key for each in run.classes), numbers, strict=True)
            cells |= {(name, key): [unit, f"{number}"] for key, number in (*of_classes, (None, total))}
    return cells


def _case_lines(run: RunNumbers) -> Iterator[str]:
    """Yield the lines of all cases. They are many: one template has all classes of a case."""
    names = list(dict.fromkeys(run.settings.metrics))
    values = {name: run.values(name) for name in names}
    single = [name for name in names if known_metric(name).overall is None]
    together = {name: values[name][:, 0].tolist() for name in names if name not in single}
    lines, columns, units = [], _Columns(run), run.units

    def last(name: str = "") -> str:
        return f",{units.get(name, '')}" if _has_units(run) else ""

    for k, each in enumerate(run.classes):
        for name in single:
            head = csv_row([text_cell(each.name), label_cell(each.key), name])[:-1]
            lines.append(f"{_CASE},{head.replace('%', '%%')},%s,%s{last(name)}\n")
            columns.add(k, values[name][:, k], _NO_SURFACE if each.key == 0 and run.infinite(name) is not None else "")
    template, rows = "".join(lines), columns.rows()
    place, instances = 0, _instance_lines(run)
    for record in run.records:
        case, trouble = csv_row([text_cell(record.id)])[:-1], why_not_scored(record)
        if trouble is not None:
            yield f"{case},{csv_row(['', '', '', '', text_cell(trouble)])[:-1]}{last()}\n"
        if not record.counted:
            continue
        yield (template % next(rows)).replace(_CASE, case)
        scores = {**{name: of[place] for name, of in together.items()}, **record.scores}
        for name, score in scores.items():
            cell = number_cell(score)
            reason = "" if cell else why_no_mean(run) if name in together else "undefined"
            yield f"{case},{csv_row([_ALL, '', text_cell(name), cell, reason])[:-1]}{last()}\n"
        for line, unit in instances[place]:
            yield f"{case},{line}{f',{unit}' if _has_units(run) else ''}\n"
        place += 1


def _instance_lines(run: RunNumbers) -> list[list[tuple[str, str]]]:
    """Return of each counted case the lines of its instances, without the cell of the case, and the unit of each."""
    found = run.instances
    if found is None:
        return [[] for _ in run.counted]
    from fastseg.runs.results.instance_statistics import instance_classes

    classes, values = instance_classes(run), {name: found.values(name) for name in found.metrics}
    lines = []
    for place, sums in enumerate(found.sums):
        own: list[tuple[str, str]] = []
        for k, region in enumerate(classes):
            for name, entry in found.metrics.items():
                value = values[name][place, k]
                cell = f"{value:.0f}" if entry.counts and value == value else number_cell(value)
                reason = "" if cell else NO_VOLUME if entry.total else why_no_instance(*sums[k, :3])
                line = csv_row([text_cell(region.name), label_cell(region.key), name, cell, reason])[:-1]
                own.append((line, entry.unit))
        lines.append(own)
    return lines


class _Columns:
    """Values of all cases and why some are undefined: two columns of cells for each metric of each class."""

    def __init__(self, run: RunNumbers) -> None:
        self.columns: list[list[Any]] = []
        binary = run.binary
        self.true, self.pred = ((binary.tp + other > 0).astype(np.intp) for other in (binary.fn, binary.fp))
        self.absent = [[csv_row([_absent(run, true, pred)])[:-1] for pred in (False, True)] for true in (False, True)]

    def add(self, k: int, values: npt.NDArray[np.float64], why: str = "") -> None:
        """Add a metric of class k, (N,), and why it has no value in any case, if so."""
        cells, reasons = values.tolist(), [""] * len(values)
        for n in (~np.isfinite(values)).nonzero()[0].tolist():
            cells[n] = "inf" if np.isinf(values[n]) else ""
            reasons[n] = why or self.absent[self.true[n, k]][self.pred[n, k]]
        self.columns += cells, reasons

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return the cells of each case."""
        return zip(*self.columns, strict=True) if self.columns else repeat(())


def _absent(run: RunNumbers, true: bool, pred: bool) -> str:
    """Return why a value is undefined where the class is in the truth, in the prediction, or in neither."""
    if true and pred:
        return why_no_mean(run)
    where = [name for name, there in (("reference", true), ("prediction", pred)) if not there]
    return f"absent from {' and '.join(where)}"


def csv_table(header: Sequence[str], rows: Iterable[list[str]]) -> bytes:
    """Return a table as CSV (RFC 4180, UTF-8), of cells that are fit for it."""
    return "".join([csv_row([text_cell(name) for name in header]), *map(csv_row, rows)]).encode("utf-8")


def csv_row(cells: Sequence[str]) -> str:
    """Return a row, with its line feed. csv quotes a carriage return only where it ends lines, hence both."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def text_cell(text: str) -> str:
    """Return text from outside as a cell that is text in a spreadsheet too, and that UTF-8 can hold."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    return f"'{safe}" if _FORMULA.match(safe) and not _INTEGER.fullmatch(safe) else safe


def plain_text(cell: str) -> str:
    """Return the text that a cell stands for, without what keeps spreadsheets from reading formulas in it."""
    return cell[1:] if cell[:1] == "'" and text_cell(cell[1:]) == cell else cell


def label_cell(key: int | tuple[int, ...] | str | None) -> str:
    """Return the cell of a class's label or labels, or of the name of a mask; empty for all classes together."""
    return "" if key is None else text_cell(key) if isinstance(key, str) else str(key)


def number_cell(value: Any) -> str:
    """Return the cell of a number, in the shortest form that is read back as the same; empty for NaN and None."""
    if value is None or math.isnan(value):
        return ""
    return str(int(value)) if isinstance(value, int) else repr(float(value))

"""What is on the page: everything that the template shows, taken from a run."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.choice import known_metric
from fastseg.report import curves, mistakes as confusion, origin, pictures, plots, svg, worst_cases
from fastseg.report.images import Images
from fastseg.report.instances import instances_section
from fastseg.report.words import count, metric_name, number, percent, tally, why_no_interval
from fastseg.runs import CaseRecord, Run
from fastseg.runs.results import statistics
from fastseg.runs.results.numbers import NO_CONFUSION
from fastseg.runs.results.partitions import NO_CLASSES

__all__ = ["render"]

Floats = npt.NDArray[np.float64]

#: Of how many cases the hashes of files are listed.
_HASHES = 500

#: Up to how many classes are all in a table, or all in a box plot; of more, as many, the worst first.
_ROWS, _BOXES = 300, 40


def render(
    run: Run,
    *,
    title: str = "",
    worst: int = 5,
    overlays: bool = True,
    digest: str = "",
    under: Images | None = None,
) -> str:
    """Return the report of a run as HTML.

    Parameters
    ----------
    run : Run
        The results.
    title : str
        What the run is called.
    worst, overlays
        As in `fastseg.report.write_report`.
    digest : str
        Tells these results from others (`fastseg.runs.outputs.stale_report`).
    under : Images, optional
        What was segmented, to be drawn under the labels.
    """
    style, script = _file("report.css"), _file("report.js")
    parts = {
        "title": title, "digest": digest, "style": svg.html(style), "script": svg.html(script), "run": run,
        "settings": run.settings,
        "policy": f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'",
        **_contents(run, worst, overlays, under), "instances": instances_section(run),
    }  # fmt: skip
    return str(_template().render(parts))


@functools.cache
def _template() -> Any:
    import jinja2
    from markupsafe import Markup

    def plain(value: Any) -> Any:
        return svg.shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=plain, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(
        number=number, count=count, metric_name=metric_name, percent=percent, why_no_interval=why_no_interval
    )
    return environment.from_string(_file("template.html.j2"))


def _contents(run: Run, worst: int, overlays: bool, under: Images | None) -> dict[str, Any]:
    names = list(dict.fromkeys(run.settings.metrics))
    rows = statistics.summarise(run, names)
    values = {name: run.values(name) for name in names}
    means = {name: _case_means(run, table) for name, table in values.items()}
    first = names[0] if names else None
    ranked = [] if first is None else worst_cases.rank(run, first, means[first])[:worst]
    shown = worst_cases.show(run, ranked, values, means, overlays, under)
    anchors = {case.id: case.anchor for case in shown}
    by, worst_first = _classes_worst_first(run, names)
    return {
        "verdict": next((row for row in rows if row.metric == first and row.key is None), None),
        "over": "" if first is None else _over(run, first),
        "scored": sum(record.status == "scored" for record in run.records),
        "tally": tally(run),
        "problems": [*run.failed, *run.missing],
        "gates": [{"message": "", "value": None, **gate} for gate in run.facts.get("gates") or ()],
        "convention": run.convention,
        "sections": [_section(run, name, rows, values[name], worst_first) for name in names],
        "cut": {name: _cut(run, names, by, most) for name, most in (("rows", _ROWS), ("boxes", _BOXES))},
        "curves": None if run.settings.surfaces is None else curves.tolerance_curves(run, worst_first),
        "confusion": _confusion(run),
        "no_confusion": _no_confusion(run),
        "metrics": names,
        "cases": [*_case_rows(run, first, values, means, anchors)],
        "worst": shown,
        "error_legend": [(worst_cases.swatch(colour), name) for name, colour in pictures.ERRORS.items()],
        "ranked": first is not None and known_metric(first).better != "neither",
        "formulae": [(name, known_metric(name)) for name in names],
        "options": origin.settings(run.settings),
        "facts": origin.facts(run),
        "hashes": _hashes(run),
        "hashed": _HASHES,
    }


def _over(run: Run, metric: str) -> str:
    """Say what the run's one number is a mean of."""
    cases = count(len(run.counted), "case")
    if known_metric(metric).overall is not None:
        return f"value of the voxels of {cases} together" if run.convention.pooled else f"mean over {cases}"
    noun = "region" if run.settings.regions else "class" if run.in_means.all() else "foreground class"
    order = {
        "classes": "mean over {classes} of {cases}", "cases": "mean over {cases} of each case’s mean over {classes}",
        "values": "mean over all values of {classes} in {cases}",
    }[run.convention.over(metric)]  # fmt: skip
    order = "mean over {classes}, each of the voxels of {cases} together" if run.convention.pooled else order
    return order.format(classes=count(int(run.in_means.sum()), noun), cases=cases)


def _classes_worst_first(run: Run, metrics: Sequence[str]) -> tuple[str, list[int]]:
    """Return the first metric that tells good classes from bad ones, and their places; "" and their order if none does."""
    for metric in metrics:
        entry = known_metric(metric)
        if entry.overall is None and entry.better != "neither":
            bad = worst_cases.badness(run.class_values(metric), entry.better)
            return metric, np.argsort(-bad, kind="stable").tolist()
    return "", [*range(len(run.classes))]


def _first(worst_first: Sequence[int], most: int) -> Sequence[int]:
    """Return the places of the classes that are shown: all in their order, or the worst."""
    return range(len(worst_first)) if len(worst_first) <= most else worst_first[:most]


def _cut(run: Run, metrics: Sequence[str], by: str, most: int) -> str:
    """Say which of the classes are shown; "" where all are, or none is."""
    if len(run.classes) <= most or all(known_metric(metric).overall is not None for metric in metrics):
        return ""
    which = f"the worst by {metric_name(by)}, worst first" if by else "the first"
    return f"{most} of {count(len(run.classes), 'region' if run.settings.regions else 'class')}, {which}"


def _section(
    run: Run, metric: str, rows: Sequence[statistics.Summary], values: Floats, worst_first: Sequence[int]
) -> dict[str, Any]:
    """Return a metric's rows of the summary, the mean last, and its box plot."""
    overall = known_metric(metric).overall is not None
    *of_classes, last = [row for row in rows if row.metric == metric]
    names, boxes = ["all classes"], [0]
    if not overall:
        boxes = [*_first(worst_first, _BOXES)]
        names = [run.classes[place].name for place in boxes]
        of_classes = [of_classes[place] for place in _first(worst_first, _ROWS)]
    plot, shown = "", values[:, boxes]
    if np.isfinite(shown).any():
        limits = known_metric(metric).range
        plot = plots.box_plot(f"box-{len(metric)}-{metric}", metric_name(metric), shown, names, limits)
    classes = zip(run.classes, run.in_means.tolist(), strict=True)
    noun = "region" if run.settings.regions else "class"
    return {
        "metric": metric,
        "rows": [*of_classes, last],
        "plot": plot,
        "overall": overall,
        "aside": [] if overall else [each.key for each, taken in classes if not taken],
        "last": "all classes" if overall else run.mean_title,
        "noun": {"classes": noun, "cases": "case", "values": "value"}[run.convention.over(metric)],
        "over": _over(run, metric),
        "infinite": run.infinite(metric) or 0,
    }


def _case_means(run: Run, values: Floats) -> Floats:
    """Return each case's mean over the classes that take part in means, (N,); NaN where none is defined."""
    return nan_mean(values[:, run.in_means] if values.shape[1] == len(run.classes) else values, 1)


def _case_rows(
    run: Run, first: str | None, values: Mapping[str, Floats], means: Mapping[str, Floats], anchors: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each record."""
    place = {record.id: n for n, record in enumerate(run.counted)}
    for record in run.records:
        n = place.get(record.id)
        yield {
            "id": record.id,
            "status": record.status,
            "geometry": record.geometry,
            "reason": record.reason or "",
            "anchor": anchors.get(record.id, ""),
            "means": [math.nan if n is None else float(table[n]) for table in means.values()],
            "worst": "" if n is None or first is None else worst_cases.worst_class(run, first, values[first][n]),
        }


def _no_confusion(run: Run) -> str:
    """Return why nothing is mistaken for something else; "" where something may be."""
    return NO_CLASSES if run.settings.partitions else "" if run.settings.masks is None else NO_CONFUSION


def _confusion(run: Run) -> dict[str, Any] | None:
    """Return what is mistaken for what over all cases, its matrix as two drawings."""
    if run.settings.partitions:
        return None
    found = confusion.mistakes(run)
    if found is None:
        return None
    plain = {"labels": found.labels, "shown": 0, "common": found.common, "empty": found.empty}
    if found.matrix is None:
        return plain
    title = f"Confusion matrix of {count(len(found.matrix.rows), 'label')} over {count(len(run.counted), 'case')}"
    linear = plots.heat_map("linear", title, found.matrix)
    logarithmic = plots.heat_map("log", f"{title}, logarithmic", found.matrix, logarithmic=True)
    return {**plain, "shown": len(found.matrix.rows), "linear": linear, "logarithmic": logarithmic}


def _hashes(run: Run) -> list[tuple[CaseRecord, str, str, Any, str]]:
    """Return the files of the first cases, with their sizes and hashes."""
    rows = []
    for record in run.records[:_HASHES]:
        for kind in ("reference", "prediction", "roi"):
            path, known = getattr(record, kind), record.inputs.get(kind) or {}
            if path is not None:
                rows.append((record, kind, path, known.get("size"), known.get("sha256") or ""))
    return rows


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return what a content security policy says of an inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

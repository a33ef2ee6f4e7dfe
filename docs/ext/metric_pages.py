"""A page for each metric and loss in the registry, made when the site is built: nothing on it is written twice.

What the registry knows comes from there; tables of empty classes and the example are computed; the rest stands in
`explained_metrics` and `explained_scores`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import fastseg
from ext import empty_classes, example, partition_pages, pictures, surface_pages
from ext.drop_ins import same_number
from ext.empty_classes import number, table
from ext.explained_metrics import METRICS
from ext.explained_partitions import PARTITIONS
from ext.explained_scores import SCORES
from ext.explained_surfaces import SURFACES
from ext.explanation import PACKAGES, Explanation, split_name, typeset, with_numbers
from fastseg.metrics.choice import score_functions
from fastseg.metrics.losses import LOSSES
from fastseg.metrics.pairs import PairMetric
from fastseg.metrics.registry import REGISTRY, Metric, ScoreFunction
from fastseg.metrics.surfaces import SurfaceMetric

__all__ = ["EXPLAINED", "entries", "page", "write_pages"]

AnyEntry = Metric | ScoreFunction | PairMetric | surface_pages.SurfaceEntry
EXPLAINED = {**METRICS, **SURFACES, **PARTITIONS, **SCORES}
_BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "zero": "0 is best",
    "neither": "neither: it describes the data",
}


def entries() -> dict[str, AnyEntry]:
    """Return every metric and loss by its name, aliases left out."""
    of_shapes = [*surface_pages.entries().values(), *partition_pages.entries().values()]
    every: list[Any] = [*REGISTRY.values(), *of_shapes, *score_functions(curves=True).values()]
    return {entry.name: entry for entry in every}


def page(entry: AnyEntry) -> str:
    """Return the page of a metric or loss, in Markdown."""
    explanation = EXPLAINED[entry.name]
    summary = (entry.__doc__ or "").partition("\n\n")[0].replace("\n", " ").removeprefix("Return ")
    parts = [
        f"# {entry.name}",
        f"`fastseg.{entry.name}` returns {summary}",
        f"$$\n{typeset(explanation.formula)}\n$$",
        f"In plain text, as `help(fastseg.{entry.name})` has it: `{entry.formula}`",
        f"What goes in, what comes out and what is refused: {{py:func}}`fastseg.{entry.name}`",
        _facts(entry, explanation),
        "## How to read it",
        explanation.reading,
        "## Example",
        _example(entry, explanation),
        "## Where a class is empty",
        _empty(entry, explanation),
        "## What others call it",
        _peers(entry, explanation),
        "## Source",
        f"{entry.reference.rstrip('.')}.",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(entry: AnyEntry, explanation: Explanation) -> str:
    curve = entry.name == "threshold_curve"
    low, high = (number(end) for end in entry.range)
    rows = [
        ["Range", "a curve for each class" if curve else f"{low} to {high}"],
        ["Direction", "none: a curve" if curve else _BETTER[_better(entry, explanation)]],
        ["Aliases", ", ".join(f"`fastseg.{alias}`" for alias in entry.aliases) or "none"],
    ]
    if isinstance(entry, SurfaceMetric) and entry.unit:
        rows.append(["Unit", "that of the spacing: mm"])
    if isinstance(entry, Metric | PairMetric) or surface_pages.is_one(entry):
        overall = isinstance(entry, PairMetric) or getattr(entry, "overall", None)
        of_maps = "one number for all classes together" if overall else "one number for each class"
        if isinstance(entry, PairMetric):
            of_maps = of_maps.replace("classes", "segments")
            if entry.result is not float:
                of_maps = f"{', '.join(entry.result._fields)}, of all segments together"
        rows.append(["Of label maps", of_maps])
        rows.append(["Truth and prediction exchanged", "the same" if entry.symmetric else "another number"])
    for parameter in entry.own:
        said = entry.parameters.get(parameter.name)
        if said and isinstance(entry, SurfaceMetric):
            default = "" if parameter.default is parameter.empty else f", default `{parameter.default!r}`"
            rows.append([f"`{parameter.name}`{default}", said])
        elif said and isinstance(entry, Metric | PairMetric):
            rows.append([f"`{parameter.name}`, default {parameter.default:g}", said])
    return _facts_table(rows)


def _facts_table(rows: list[list[str]]) -> str:
    """Return a table without a head, which Markdown has none of."""
    lines = "\n".join(f"* - {name}\n  - {said}" for name, said in rows)
    return f"```{{list-table}}\n:widths: auto\n:class: facts\n\n{lines}\n```"


def _better(entry: AnyEntry, explanation: Explanation) -> str:
    if isinstance(entry, Metric | PairMetric) or surface_pages.is_one(entry):
        return str(entry.better)  # type: ignore[union-attr]
    return "lower" if entry.name in LOSSES else str(explanation.better)


def _surface_example(entry: surface_pages.SurfaceEntry, explanation: Explanation) -> str:
    about = (
        "Sixteen pixels, of the class or not. All pixels of both objects but those in the middle are their surfaces; the "
        "numbers say how far each is from the nearest pixel of the other surface."
    )
    alt = "Truth and prediction of 4×4 pixels, and how far each pixel of a surface is from the other one"
    formula = with_numbers(explanation.worked or explanation.formula, surface_pages.numbers(entry, explanation))
    value = surface_pages.value(entry, explanation)
    return (
        f"{about}\n\n```{{image}} pictures/surfaces.svg\n:alt: {alt}\n:class: pixels\n```\n\n"
        f"$$\n{formula} \\approx {value:.4f}\n$$\n\n"
        f"```python\n{_arrays(entry)}{surface_pages.call(entry, explanation)}  # {value:.4f}\n```"
    )


def _partition_example(entry: PairMetric, explanation: Explanation) -> str:
    about = (
        "Sixteen pixels: three true segments, one of which was cut in halves, and one has lost two of its pixels to its "
        "neighbour. N are the ordered pairs of two pixels; T, S and A those that truth, prediction and both join; H is "
        "the entropy in bits."
    )
    formula = with_numbers(explanation.formula, partition_pages.numbers())
    value = partition_pages.value(entry)
    return (
        f"{about}\n\n```{{image}} pictures/segments.svg\n:alt: Truth and prediction of 4×4 pixels, and the segment of each\n"
        f":class: pixels\n```\n\n$$\n{formula} \\approx {value:.4f}\n$$\n\n"
        f"```python\n{partition_pages.arrays()}{partition_pages.call(entry)}  # {value:.4f}\n```"
    )


def _example(entry: AnyEntry, explanation: Explanation) -> str:
    if surface_pages.is_one(entry):
        return _surface_example(entry, explanation)
    if isinstance(entry, PairMetric):
        return _partition_example(entry, explanation)
    if isinstance(entry, Metric):
        alt, name = "Truth and prediction of 4×4 pixels, and what each pixel is counted as", "labels"
        counts = example.counts()
        said = ", ".join(f"{key} = {value}" for key, value in counts.items())
        about = f"Sixteen pixels, of the class (1) or not (0): {said}."
    else:
        alt, name = "Truth, probability and what each of 4×4 pixels adds", entry.name
        about = "Sixteen pixels with a truth t (1: the class) and a probability p of the class."
    picture = f"```{{image}} pictures/{name}.svg\n:alt: {alt}\n:class: pixels\n```"
    if entry.name == "threshold_curve":
        return f"{about}\n\n{picture}\n\n{_curve_numbers(explanation)}"
    numbers = example.numbers(entry, explanation)
    formula = with_numbers(explanation.worked or explanation.formula, numbers)
    value = example.value(entry, explanation)
    return (
        f"{about}\n\n{picture}\n\n$$\n{formula} \\approx {value:.4f}\n$$\n\n"
        f"```python\n{_arrays(entry)}{example.call(entry, explanation)}  # {value:.4f}\n```"
    )


def _arrays(entry: AnyEntry) -> str:
    """Return the lines that make the arrays of the example."""
    lines = ["import numpy as np", "import fastseg", ""]
    for name, array in (("truth", example.TRUTH), ("p", example.PROBABILITY)):
        rows = ",\n    ".join(str(row) for row in array.tolist())
        lines.append(f"{name} = np.array([\n    {rows},\n])")
    if not isinstance(entry, ScoreFunction):
        lines.append("prediction = (p > 0.5).astype(int)")
    return "\n".join(lines) + "\n"


def _curve_numbers(explanation: Explanation) -> str:
    curve = _curve(explanation)
    rows = [
        [f"{threshold:g}", *(f"{counts[0, 0, k]:g}" for counts in (curve.tp, curve.fp, curve.fn, curve.tn))]
        + [number(values[0, 0, k]) for values in (curve.dice, curve.precision, curve.recall)]
        for k, threshold in enumerate(curve.thresholds)
    ]
    best, area = curve.best_threshold("dice")[0, 0], curve.average_precision[0, 0]
    found = table(["threshold", "TP", "FP", "FN", "TN", "Dice", "precision", "recall"], rows)
    return (
        f"{found}\n\nThe best threshold for Dice is {best:g}, the average precision {area:.4f}.\n\n"
        "![Dice, precision and recall over thresholds](pictures/curve.svg)"
    )


def _curve(explanation: Explanation) -> Any:
    return fastseg.threshold_curve(
        example.TRUTH, example.PROBABILITY, channel_axis=None, bins=int(explanation.options["bins"])
    )


def _empty(entry: AnyEntry, explanation: Explanation) -> str:
    if isinstance(entry, PairMetric):
        return (
            "No class is empty, for there are no classes: this is what maps are worth where there is nothing to tell, under "
            "each [convention](../guide/partitions.md#whose-definition). *Undefined* is NaN.\n\n"
            + table(*partition_pages.empty(entry))
        )
    if isinstance(entry, SurfaceMetric):
        return (
            "What a class is worth that a map lacks, under each [convention](../guide/conventions.md#surfaces). *Undefined* "
            "is NaN, and no mean is over it; nor is one over what is infinite.\n\n" + table(*surface_pages.empty(entry))
        )
    if surface_pages.is_one(entry):
        return "*Undefined* is NaN, and no mean is over it.\n\n" + table(*surface_pages.empty(entry))
    if isinstance(entry, Metric):
        head = ""
        if entry.overall:
            head = (
                "Of label maps it is one number for all classes together, which a class that neither map has does not "
                "change, and is undefined where its denominator is 0. Of masks there is one for each class:\n\n"
            )
        return (
            f"{head}What a case is worth for a class, one against all others, under each "
            "[convention](../guide/conventions.md). *Undefined* is NaN, and no mean is over it.\n\n"
            + table(*empty_classes.of_metric(entry))
        )
    if entry.name == "threshold_curve":
        return (
            "Precision is undefined where nothing is predicted, recall and the average precision where nothing is true."
        )
    if entry.defaults:
        return (
            "Conventions are about metrics of counts; a loss has ε instead. A class that is in neither has a loss of 0, "
            "and so lowers the mean over classes.\n\n" + table(*empty_classes.of_loss(entry))
        )
    return (
        "It is a mean over voxels, so an empty class is no special case; only without a single voxel it is undefined.\n\n"
        + table(*empty_classes.of_pixels(entry, dict(explanation.options)))
    )


def _peers(entry: AnyEntry, explanation: Explanation) -> str:
    rows = []
    for package, title in PACKAGES.items():
        names = {path: f"`{path}`" for path in same_number(entry.name, package)}
        drop_in = f" ([drop-in](../coming_from/{package}.md))" if names else ""
        if said := explanation.peers.get(package):
            path, words = split_name(said)
            names[path] = f"`{path}`{words}" if path else words
        rows.append([title, "<br>".join(names.values()) + drop_in if names else "—"])
    return (
        table(["package", "the same number"], rows)
        + "\n\nNames alone do not make numbers equal: what an empty class is worth, and what means are over, differs "
        "between packages and is chosen by [conventions](../guide/conventions.md)."
    )


def _index() -> str:
    """Return the page that lists all of them."""
    groups = {
        "Metrics of label maps and masks": [*REGISTRY.fromkeys(entry.name for entry in REGISTRY.values())],
        "Metrics of surfaces": [*surface_pages.entries()],
        "Metrics of partitions": [*partition_pages.entries()],
        "Losses": [name for name in entries() if name in LOSSES],
        "Metrics of probabilities and logits": [
            name for name, entry in entries().items() if isinstance(entry, ScoreFunction) and name not in LOSSES
        ],
    }
    parts = [
        "# Metrics and losses",
        "What each number is: formula, range, source, what it is worth where a class is empty, what other packages call "
        "it, and an example of 4×4 pixels. [Which score should I report?](which_score.md)",
    ]
    for title, names in groups.items():
        parts += [f"## {title}", table(["", "range", "direction", "aliases"], [_line(name) for name in names])]
    listed = "\n".join(["which_score", *(name for names in groups.values() for name in names)])
    parts.append(f"```{{toctree}}\n:hidden:\n\n{listed}\n```")
    return "\n\n".join(parts) + "\n"


def _line(name: str) -> list[str]:
    entry = entries()[name]
    if name == "threshold_curve":
        return [f"[{name}]({name}.md)", "a curve", "", ""]
    low, high = (number(end) for end in entry.range)
    aliases = ", ".join(f"`{alias}`" for alias in entry.aliases)
    return [f"[{name}]({name}.md)", f"{low} to {high}", _BETTER[_better(entry, EXPLAINED[name])], aliases]


def write_pages(folder: Path) -> None:
    """Write all pages and pictures into a folder; files that would not change are left alone, so that builds are quick."""
    found = entries()
    files = {f"{name}.md": page(entry) for name, entry in found.items()} | {"index.md": _index()}
    files["pictures/labels.svg"] = pictures.of_counts()
    files["pictures/surfaces.svg"] = pictures.of_surfaces(surface_pages.distances())
    files["pictures/segments.svg"] = pictures.of_segments(partition_pages.TRUTH, partition_pages.PREDICTION)
    for name, entry in found.items():
        if isinstance(entry, ScoreFunction):
            files[f"pictures/{name}.svg"] = pictures.of_scores(EXPLAINED[name])
    curve = _curve(EXPLAINED["threshold_curve"])
    curves = {title: np.asarray(getattr(curve, title)[0, 0]) for title in ("dice", "precision", "recall")}
    files["pictures/curve.svg"] = pictures.of_curve(curve.thresholds, curves)
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Make the pages before Sphinx looks for them."""
    app.add_css_file("metrics.css")
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "metrics"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

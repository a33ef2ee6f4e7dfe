"""The worst cases of a run, and their pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts.farthest import Farthest, farthest_element
from fastseg.metrics.choice import known_metric
from fastseg.report import lesions, overlays, pictures, svg
from fastseg.report.images import Images
from fastseg.report.words import count, metric_name, number
from fastseg.runs import CaseRecord, Run
from fastseg.runs.results.surfaces import surface_name
from fastseg.volumes import split_inside

__all__ = ["Shown", "badness", "rank", "show", "swatch", "worst_class"]

Floats = npt.NDArray[np.float64]

#: Entries of a legend, and classes of a case that are named as its worst ones.
_LEGEND, _NAMED = 24, 4

#: The colour of labels that are no classes.
GREY = "#777777"

#: What marks where surfaces are farthest apart, as it stands in a legend.
_RING = (
    '<svg class="swatch" width="12" height="12" aria-hidden="true"><circle class="far" cx="6" cy="6" r="4.5"/></svg>'
)

#: How much longer than wide a picture may be, or the reverse: more is squeezed.
_SLIVER = 6.0


@dataclass(frozen=True)
class Shown:
    """A case as the page shows it."""

    anchor: str
    id: str
    mean: float
    classes: tuple[tuple[str, float], ...]
    """Its worst classes and their values."""
    facts: tuple[str, ...]
    planes: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """What each is, and its pictures: truth, prediction, disagreement."""
    legend: tuple[tuple[Any, str], ...] = ()
    """A swatch and a name for each class that is seen."""
    more: int = 0
    """Classes that the legend does not name."""
    apology: str = ""
    """Why there are no pictures."""
    captions: tuple[str, ...] = ("Truth", "Prediction", "Disagreement")
    """Of the pictures of a plane."""


def badness(values: Floats, better: str) -> Floats:
    """Return what is the larger the worse the values are; NaN where they are undefined or neither good nor bad."""
    if better == "neither":
        return np.full(values.shape, math.nan)
    return {"higher": -values, "lower": values, "zero": np.abs(values)}[better]


def rank(run: Run, metric: str, means: Floats) -> list[int]:
    """Return the places of the scored cases with a defined mean, (N,), the worst first; equals by their ids."""
    bad = badness(means, known_metric(metric).better)
    places = [n for n, record in enumerate(run.counted) if record.status == "scored" and not math.isnan(bad[n])]
    return sorted(places, key=lambda n: -bad[n])


def worst_class(run: Run, metric: str, values: Floats) -> str:
    """Return the name of the class that is worst in a case, whose values are (C,); "" where there is none."""
    worst = _worst_classes(run, metric, values)
    return worst[0][0] if worst else ""


def _worst_classes(run: Run, metric: str, values: Floats) -> list[tuple[str, float]]:
    if known_metric(metric).overall is not None:
        return []
    bad = np.where(run.in_means, badness(values, known_metric(metric).better), math.nan)
    order = sorted(np.flatnonzero(~np.isnan(bad)).tolist(), key=lambda place: -bad[place])
    return [(run.classes[place].name, float(values[place])) for place in order]


def show(
    run: Run,
    ranked: Sequence[int],
    values: Mapping[str, Floats],
    means: Mapping[str, Floats],
    draw: bool,
    under: Images | None = None,
) -> list[Shown]:
    """Return the cases at these places as they are shown.

    Parameters
    ----------
    run : Run
        With N cases that have counts, of C classes.
    ranked : sequence of int
        Places of cases.
    values, means : dict
        Of each metric: (N, C) and (N,).
    draw : bool
        Whether they have pictures.
    under : Images, optional
        What was segmented, to be drawn under the labels.
    """
    cases = []
    metric = next(iter(values), "")
    for order, n in enumerate(ranked, 1):
        record = run.counted[n]
        facts = [" × ".join(map(str, record.shape)) + " voxels"] if record.shape else []
        known = [mm for mm in record.spacing_mm if mm is not None and math.isfinite(mm)]
        if known and len(known) == len(record.spacing_mm):
            facts.append(" × ".join(f"{mm:.3g}" for mm in known) + " mm")
        others = [name for name in values if name != metric]
        facts += [f"{metric_name(name)} {number(float(means[name][n]))}" for name in others]
        classes = tuple(_worst_classes(run, metric, values[metric][n])[:_NAMED])
        case = Shown(f"worst-{order}", record.id, float(means[metric][n]), classes, tuple(facts))
        cases.append(_with_pictures(case, record, run, under) if draw else case)
    return cases


def _with_pictures(case: Shown, record: CaseRecord, run: Run, under: Images | None) -> Shown:
    if run.settings.masks is not None:
        return replace(case, apology="pictures are of label maps; these are masks, which may overlap")
    if run.settings.partitions:
        return replace(case, apology="pictures are of classes; these are segments, whose labels mean nothing")
    try:
        largest = None if record.surfaces is None else farthest_element(record.surfaces)
        views, lacking = _views(_located(record, run), run, under, None if largest is None else largest.place)
    except (OSError, ValueError, ImportError, EOFError, MemoryError) as error:
        return replace(case, apology=_why(error, run))
    colours, fill = _colours(run), under is not None and under.fill
    known = bool(record.spacing_mm) and None not in record.spacing_mm
    found = {label for plane in views.planes for part in (plane.true, plane.pred) for label in np.unique(part).tolist()}
    others = dict.fromkeys(found - colours.keys() - {0}, GREY)  # labels that are no classes
    legend = [
        (swatch(colour), run.settings.names.get(label, str(label)))
        for label, colour in colours.items()
        if label in found
    ]
    if others:
        legend.append((swatch(GREY), "other labels"))
    if largest is not None:
        legend.append((svg.html(_RING), "largest distance"))
    unmatched = lesions.unmatched_of(record)
    seen = [row for row in unmatched if any(plane.place_of(row["box"]) is not None for plane in views.planes)]
    kinds = {str(row["kind"]): f"{row['kind']} instance" for row in seen}
    legend += [(swatch(lesions.COLOURS[kind]), name) for kind, name in sorted(kinds.items(), reverse=True)]
    crossed = f"{len(seen):,} of {count(len(unmatched), 'missed or invented instance')} cross these planes"
    facts = (*case.facts, *_where(views), *_farthest(largest, views, run), *lacking, *([crossed] if unmatched else []))
    return replace(
        case,
        facts=facts,
        planes=tuple(_drawings(plane, colours | others, fill, known, seen) for plane in views.planes),
        captions=("Image", *case.captions) if views.planes[0].image is not None else case.captions,
        legend=tuple(legend[:_LEGEND]),
        more=max(0, len(legend) - _LEGEND),
    )


def _views(
    record: CaseRecord, run: Run, under: Images | None, mark: tuple[int, ...] | None
) -> tuple[overlays.Views, tuple[str, ...]]:
    """Return the planes of a case, with its image where there is one, and why there is none."""
    if under is None:
        return overlays.views(record, run.settings, mark=mark), ()
    try:
        return overlays.views(record, run.settings, under.of(record.id), mark), ()
    except (OSError, ValueError) as error:
        return overlays.views(record, run.settings, mark=mark), (f"no image: {error}",)


def _where(views: overlays.Views) -> tuple[str, str]:
    """Say how many voxels disagree, and which voxel is looked at."""
    where = "largest disagreement around voxel" if views.errors else "no voxel disagrees; planes through voxel"
    many = f"{count(views.errors, 'voxel')} {'disagrees' if views.errors == 1 else 'disagree'}"
    return many, f"{where} ({_index(views, views.voxel)})"


def _farthest(largest: Farthest | None, views: overlays.Views, run: Run) -> Iterator[str]:
    """Say how far surfaces are apart at most, whose they are, and where."""
    if largest is not None:
        ends = {"true_to_pred": "truth to prediction", "pred_to_true": "prediction to truth"}[largest.direction]
        name = next((each.name for each in run.classes if surface_name(each) == largest.name), largest.name)
        where = f"{name}, {ends}, at voxel ({_index(views, largest.place)})"
        yield f"largest distance {number(largest.distance)} mm ({where})"


def _index(views: overlays.Views, voxel: tuple[int, ...]) -> str:
    named = zip(views.axes, voxel, strict=True)
    return ", ".join(f"{name} = {at}" if len(name) == 1 else f"{at}" for name, at in named)


def _drawings(
    plane: overlays.Plane, colours: Mapping[int, str], fill: bool, known: bool, rows: Sequence[Mapping[str, Any]]
) -> tuple[str, tuple[Any, ...]]:
    """Return what a plane is, and its pictures: the image, if there is one, truth, prediction, disagreement."""
    name = f"{plane.name} = {plane.index} of 0–{plane.length - 1}" if plane.axis is not None else ""
    name += ", largest distance" if plane.extra else ""
    true, pred = plane.true, plane.pred
    if plane.image is not None and not fill:
        true, pred = pictures.outlined(true), pictures.outlined(pred)
    images = [
        ("Truth", true, colours),
        ("Prediction", pred, colours),
        ("Disagreement", pictures.disagreement(plane), dict(enumerate(pictures.ERRORS.values(), 1))),
    ]
    under = None
    if plane.image is not None:
        images.insert(0, ("Image", np.zeros(plane.image.shape, np.int64), {}))
        under = pictures.grey_png(plane.image, pictures.window(plane.image))
    return name, tuple(
        _drawing(
            image, table, plane, f"{what}, {name}" if name else what,
            under=None if what == "Disagreement" else under, opacity=0.5 if fill and under else 1.0,
            bar=known and what == "Image", rows=rows,
        )
        for what, image, table in images
    )  # fmt: skip


def _made_in(run: Run) -> str:
    """Return the folder in which a run was made, "" where it is not known."""
    folder = run.facts.get("working_folder")
    return folder if isinstance(folder, str) else ""


def _located(record: CaseRecord, run: Run) -> CaseRecord:
    """Return a record whose relative paths lead to its files from here, as they did from where the run was made."""
    folder = _made_in(run)

    def path(given: str) -> str:
        there = os.path.join(folder, given)
        return there if os.path.exists(split_inside(there)[0]) else given

    prediction, roi = (each and path(each) for each in (record.prediction, record.roi))
    return replace(record, reference=path(record.reference), prediction=prediction, roi=roi)


def _why(error: Exception, run: Run) -> str:
    """Return why there is no picture."""
    if not isinstance(error, FileNotFoundError) or error.filename is None:
        return str(error) or type(error).__name__
    name, folder = os.fsdecode(error.filename), _made_in(run)
    if os.path.isabs(name):
        return f"{name}: there is no such file any more"
    where = "in the folder in which this report was written"
    if folder:
        return f"{name}: there is no such file, neither in {folder}, where the run was made, nor {where}"
    return f"{name}: there is no such file {where}, and the run does not say where it was made"


def _colours(run: Run) -> dict[int, str]:
    """Return the colour of each label but the background."""
    return pictures.class_colours(label for label in run.labels.tolist() if label != 0)


def _drawing(
    pixels: Any,
    colours: Mapping[int, str],
    plane: overlays.Plane,
    label: str,
    *,
    under: str | None = None,
    opacity: float = 1.0,
    bar: bool = False,
    rows: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """Return a picture as an ``svg`` element, its sides as long as they are in the patient, with a cross at the place.

    Below it is an image, if there is one, in a corner a bar that says how long some millimetres are, and above it a frame
    around each of the instances in `rows` that the plane crosses.
    """
    height, width = plane.size
    places = (plane.cross, plane.mark or plane.cross)
    (y, x), (far_y, far_x) = ([at / side for at, side in zip(each, plane.size, strict=True)] for each in places)
    ratio = min(max(width / height, 1 / _SLIVER), _SLIVER)
    wide, high = (300.0, 300.0 / ratio) if ratio >= 1 else (300.0 * ratio, 300.0)
    uri = pictures.png(pixels, {value: colours[value] for value in np.unique(pixels).tolist() if value in colours})
    parts = [_layer(under, wide, high)] if under is not None else []
    parts += [_layer(uri, wide, high, opacity)] if colours or under is None else []
    parts += [_scale_bar(plane.size[1], wide, high)] if bar else []
    parts += [] if plane.extra else _cross(x * wide, y * high, wide, high)
    if plane.mark is not None:
        parts.append(f'<circle class="far" cx="{far_x * wide:.1f}" cy="{far_y * high:.1f}" r="8"/>')
    parts += lesions.frames(plane, rows, wide, high)
    return svg.html(
        f'<svg viewBox="0 0 {wide:.1f} {high:.1f}" width="{wide:.1f}" height="{high:.1f}" role="img" '
        f'aria-label="{_attribute(label)}">{"".join(parts)}</svg>'
    )


def _layer(uri: str, wide: float, high: float, opacity: float = 1.0) -> str:
    """Return an image that fills a picture."""
    share = f' opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<image href="{uri}" width="{wide:.1f}" height="{high:.1f}"{share} preserveAspectRatio="none" '
        'image-rendering="pixelated"/>'
    )


def _scale_bar(width: float, wide: float, high: float) -> str:
    """Return a bar of a round number of millimetres, at most a third of the width, and what it says."""
    mm = round_length(width / 3)
    end = 8 + mm / width * wide
    return (
        f'<line class="bar" x1="8" y1="{high - 8:.1f}" x2="{end:.1f}" y2="{high - 8:.1f}"/>'
        f'<text class="bar" x="8" y="{high - 14:.1f}">{mm:g} mm</text>'
    )


def round_length(most: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above a length."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def _cross(x: float, y: float, wide: float, high: float) -> Iterator[str]:
    """Yield the lines of a cross that leaves its middle free."""
    for x1, y1, x2, y2 in ((0, y, x - 9, y), (x + 9, y, wide, y), (x, 0, x, y - 9), (x, y + 9, x, high)):
        if x2 > x1 or y2 > y1:
            yield f'<line class="cross" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def swatch(colour: str) -> Any:
    """Return a colour as it stands in a legend."""
    box = f'<rect width="12" height="12" rx="2" fill="{colour}"/>'
    return svg.html(f'<svg class="swatch" width="12" height="12" aria-hidden="true">{box}</svg>')


def _attribute(text: str) -> str:
    from markupsafe import escape

    return str(escape(svg.shown(text)))

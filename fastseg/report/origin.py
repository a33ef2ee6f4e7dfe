"""How a run was made, in words: its settings, and when, where and by what it was scored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from fastseg.report.words import count, duration, moment, percent
from fastseg.runs import Run, Settings
from fastseg.runs.scoring.settings import InstanceSettings, SurfaceSettings

__all__ = ["Setting", "facts", "settings"]

_LONG = 2000  # characters of a value; longer ones are cut

_NAMES = {
    "labels": "Classes", "ignore": "True labels that are not scored",
    "map_prediction": "Labels of the prediction that stand for others",
    "unknown": "Predicted label that is no class", "geometry": "Difference in position",
    "geometry_tolerance": "Voxels that pass for the same place",
    "reorient": "Predictions turned to lie as the references", "axes": "Axes of files that do not name theirs",
    "activation": "What turns scores into probabilities", "channel_axis": "Axis of the classes of scores",
    "missing": "Case without a prediction", "masks": "Masks that may overlap",
    "missing_mask": "Mask that only one side of a case has", "channels": "Channels of files of masks",
    "threshold": "Value from which on a voxel is inside", "names": "Names of labels", "regions": "Regions",
    "metrics": "Metrics", "convention": "Convention", "background": "Background in means",
    "resamples": "Draws of the bootstrap", "confidence": "Confidence of the intervals", "seed": "Seed of the bootstrap",
}  # fmt: skip

_VALUES = {
    ("labels", None): "the labels that occur",
    ("unknown", "raise"): "its case fails",
    ("unknown", "count"): "a miss of the true class",
    ("geometry", "error"): "its case fails",
    ("geometry", "warn"): "a warning",
    ("geometry", "ignore"): "not looked at",
    ("axes", None): "not said",
    ("activation", None): "nothing, they are probabilities",
    ("activation", "none"): "nothing, they are probabilities",
    ("channel_axis", None): "as the shapes tell",
    ("masks", None): "no, label maps",
    ("threshold", None): "none, masks are binary",
    ("missing_mask", "error"): "nothing is scored",
    ("missing_mask", "empty"): "taken for empty",
    ("missing_mask", "skip"): "left out of its case",
    ("missing", "error"): "nothing is scored",
    ("missing", "skip"): "left out",
    ("missing", "worst"): "taken as the worst",
    ("background", None): "as the convention says",
}


class Setting(NamedTuple):
    """A setting as the page shows it."""

    name: str
    option: str
    value: str
    default: bool


def settings(of: Settings) -> list[Setting]:
    """Return the settings in words, first those that are not the default."""
    default = Settings()
    rows = []
    for entry in fields(of):
        if entry.name in ("surfaces", "instances") and getattr(of, entry.name) is None:
            continue
        name, value = entry.name, getattr(of, entry.name)
        same = value == getattr(default, name)
        rows.append(Setting(_NAMES.get(name, _words(name)), name, _setting(name, value), same))
    return sorted(rows, key=lambda row: row.default)


def _setting(name: str, value: Any) -> str:
    """Return the value of a setting in words."""
    if isinstance(value, InstanceSettings):
        regions = _setting("regions", value.regions)
        given = asdict(value).items()
        own: dict[str, Any] = {key: each for key, each in given if key != "regions" and each not in (None, 0)}
        return _text([regions, *(f"{_words(key).lower()} {each}" for key, each in own.items())])
    if not isinstance(value, tuple | dict | SurfaceSettings) and (name, value) in _VALUES:
        return _VALUES[name, value]
    if name == "confidence":
        return percent(value)
    if name == "names":
        value = [f"{label} {called}" for label, called in value.items()]
    elif name == "map_prediction":
        value = [f"{old} → {new}" for old, new in value.items()]
    elif name == "surfaces":
        each = [f"{called} {tolerance:g} mm" for called, tolerance in value.tolerances.items()]
        general = [] if value.tolerance is None else [f"{value.tolerance:g} mm"]
        how, value = value, [f"of {value.surface}", f"outside of the image {value.border}"]
        value += [f"spacing {' × '.join(f'{step:g}' for step in how.spacing)} mm"] if how.spacing else []
        value += [f"tolerance {', '.join([*general, *each])}"] if general or each else []
    elif name == "regions":
        value = [f"{region} = {' + '.join(map(str, members))}" for region, members in value.items()]
    return _text(value)


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what else a run says of itself, in words; what its gates say is elsewhere."""
    given = {name: value for name, value in run.facts.items() if name != "gates"}
    times, machine = (_taken(given, name) for name in ("times", "machine"))
    known: dict[str, tuple[str, Callable[[Any], str]]] = {
        "reference": ("References", _text),
        "prediction": ("Predictions", _text),
        "pairs": ("Table of pairs", _text),
        "working_folder": ("Paths begin at", _text),
        "images": ("Images", _text),
        "extra": ("Predictions of no reference", _text),
        "fastseg": ("fastseg", _text),
    }
    rows = [(name, say(given.pop(key))) for key, (name, say) in known.items() if given.get(key) not in (None, [])]
    rows += [
        ({"python": "Python", "numpy": "NumPy"}.get(key, _words(key)), _text(each)) for key, each in machine.items()
    ]
    of_times: dict[str, tuple[str, Callable[[Any], str]]] = {
        "started": ("Started", moment),
        "seconds": ("Took", duration),
        "scored": ("Counted then", lambda many: count(many, "case")),
        "threads": ("Threads", _text),
    }
    for key, value in times.items():
        name, say = of_times.get(key, (_words(key), _text))
        rows.append((name, say(value) if isinstance(value, int | float) else _text(value)))
    given = {name: value for name, value in given.items() if name not in known}
    return [*rows, *_flat(given)]


def _taken(facts: dict[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object among the facts, which no longer has it then."""
    return facts.pop(name) if isinstance(facts.get(name), Mapping) else {}


def _flat(facts: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested facts as names and texts."""
    for key, value in facts.items():
        if isinstance(value, Mapping) and value and len(value) <= 30:
            yield from _flat(value, f"{name}{key} · ")
        else:
            yield f"{name}{key}", _text(value)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _text(value: Any) -> str:
    """Return a value as text; a long one is cut."""
    if value is None or (not isinstance(value, str) and value in ((), [], {})):
        text = "none"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, list | tuple):
        text = ", ".join(_text(each) for each in value[:_LONG])
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONG else text[:_LONG] + "…"

"""From what people give to `Settings`: every option checked, label tables read, names turned into labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from fastseg import inputs
from fastseg import metrics as registry
from fastseg.files import match_names
from fastseg.label_tables import (
    LabelTable,
    LabelTableError,
    parse_regions,
    read_label_mapping,
    read_label_table,
    read_regions,
    regions_of,
)
from fastseg.names import shown
from fastseg.runs.conventions import CONVENTIONS
from fastseg.runs.settings import Settings
from fastseg.score_inputs import ACTIVATIONS

__all__ = ["read_settings"]

Path = str | os.PathLike[str]
Regions = dict[str, tuple[int, ...]]


def read_settings(
    *,
    reference: Path | None,
    labels: LabelTable | Mapping[int, str] | Sequence[int] | Path | None = None,
    num_classes: int | None = None,
    prediction_labels: LabelTable | Mapping[int, str] | Path | None = None,
    regions: Mapping[str, int | Sequence[int]] | Path | None = None,
    ignore: int | Sequence[int] | None = None,
    map_prediction: Mapping[int, int] | Path | None = None,
    metrics: str | Sequence[str] | None = None,
    convention: str = "fastseg",
    background: bool | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    reorient: bool = False,
    axes: str | None = None,
    unknown: Literal["raise", "count"] = "raise",
    missing: Literal["error", "skip", "worst"] = "error",
    activation: str | None = None,
    channel_axis: int | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[Settings, list[str]]:
    """Turn the options of a run into its settings.

    Parameters
    ----------
    reference : path or None
        The folder of references: a ``dataset.json`` in it or beside it (nnU-Net's) is the label table if neither `labels`
        nor `num_classes` is given.
    labels
        Names of labels, as a dict or a label table (ITK-SNAP, FreeSurfer, BIDS dseg.tsv, nnU-Net dataset.json, "index name"
        text). A sequence of integers declares the labels, and so does nnU-Net's table: those that it has, and 0. All others
        only name labels; those that occur are scored.
    num_classes
        Declares the labels 0 to ``num_classes - 1``.
    prediction_labels
        Names of the prediction's labels, where its codes differ: labels of equal name are one class.
    regions
        Unions of labels to score instead of the labels: a dict, a JSON file of one (``{"core": [1, 3]}``), a dataset.json,
        or text (``core=1,3;edema=2``). Default: those of the label table, if any, followed by its single labels except the
        background, as nnU-Net has it. An empty dict: none.
    ignore
        True labels that are not scored; default: the ignore label of nnU-Net's table. An empty sequence: none.
    map_prediction
        Labels of the prediction that stand for others, as a dict or a file of such pairs.
    metrics
        Names, in a sequence or separated by commas, or "all"; default: Dice, IoU, precision and recall.
    axes
        What the axes of files are that do not name them, such as "zyx".
    resamples
        How many bootstrap samples an interval is made of, at least 1.
    activation
        As in `fastseg.sum_files`; naming one, also "none", says that the predictions hold scores.
    convention, background, geometry, reorient, unknown, missing, channel_axis, confidence, seed
        As in `Settings`.

    Returns
    -------
    settings : Settings
    notes : list of str
        Sentences for people: what was found that they did not give.

    Raises
    ------
    ValueError, TypeError
        If an option is not what it should be; the message names it, what was expected and what was found. LabelTableError, a
        kind of ValueError, if a file cannot be read. Two labels of one name are an error, unless regions are scored.
    """
    notes: list[str] = []
    if labels is None and num_classes is None and reference is not None:
        labels = _dataset_json(os.fsdecode(reference), notes)
    table = _table(labels, "labels", or_integers=True)
    listed: Any = labels if table is None else _declared_by(table)
    closed = inputs.label_classes(num_classes, listed, None).labels
    declared = None if closed is None else tuple(closed.tolist())
    united = _regions(regions, declared) if regions is not None else ({} if table is None else regions_of(table))
    if ignore is None and table is not None:
        ignore = table.ignore
    mapping, names = _mapping(map_prediction, prediction_labels, {} if table is None else table.names, declared)
    if not united:
        _require_different(names, declared)
    settings = Settings(
        labels=declared,
        ignore=() if ignore is None else tuple(np.unique(inputs.integers(ignore, "ignore")).tolist()),
        map_prediction=mapping,
        unknown=_one_of(unknown, "unknown", ("raise", "count")),
        geometry=_one_of(geometry, "geometry", ("error", "warn", "ignore")),
        reorient=_one_of(reorient, "reorient", (False, True)),
        axes=_axes(axes),
        activation=_one_of(activation, "activation", (*ACTIVATIONS, "none")),
        channel_axis=None if channel_axis is None else _integer(channel_axis, "channel_axis", None),
        missing=_one_of(missing, "missing", ("error", "skip", "worst")),
        names=names,
        regions=united,
        metrics=_metrics(metrics),
        convention=_one_of(convention, "convention", tuple(CONVENTIONS)),
        background=_one_of(background, "background", (None, False, True)),
        resamples=_integer(resamples, "resamples", 1),
        confidence=_confidence(confidence),
        seed=_integer(seed, "seed", 0),
    )
    return settings, notes


def _dataset_json(reference: str, notes: list[str]) -> LabelTable | None:
    """Return nnU-Net's label table of a folder of references, in it or beside it, None where there is none."""
    if not os.path.isdir(reference):
        return None
    for folder in (reference, os.path.join(reference, os.pardir)):
        path = os.path.normpath(os.path.join(os.path.abspath(folder), "dataset.json"))
        if not os.path.isfile(path):
            continue
        try:
            table = read_label_table(path)
        except LabelTableError as error:
            notes.append(f"labels not from a file that cannot be used: {error}")
            continue
        notes.append(f"labels from {shown(path)}")
        return table
    return None


def _table(given: Any, argument: str, *, or_integers: bool = False) -> LabelTable | None:
    """Return the names of labels, None where `given` is something else and may be."""
    if isinstance(given, LabelTable):
        return given
    if isinstance(given, str | os.PathLike):
        with _named(argument):
            return read_label_table(given)
    if isinstance(given, Mapping):
        values = inputs.integers(list(given), argument).tolist()
        for label, name in given.items():
            if not isinstance(name, str) or not name.strip():
                raise TypeError(f"{argument}: expected a name for the label {label}, found {name!r}")
        return LabelTable(dict(zip(values, given.values(), strict=True)), {}, None, "dict")
    if or_integers:
        return None
    raise TypeError(f"{argument}: expected names of labels or the path of a label table, found {given!r}")


def _declared_by(table: LabelTable) -> list[int] | None:
    """Return the labels that a table declares: nnU-Net's are all there are; others may name more than occur, or fewer."""
    if table.format != "nnU-Net":
        return None
    return sorted({0, *table.names, *(label for members in table.regions.values() for label in members)})


def _regions(given: Any, declared: tuple[int, ...] | None) -> Regions:
    """Read regions, and require that their labels are declared if any are."""
    where = "regions"
    if isinstance(given, str) and "=" in given and not os.path.exists(given):
        with _named("regions"):
            given = parse_regions(given)
    elif isinstance(given, str | os.PathLike):
        where = f"regions: {shown(os.fsdecode(given))}"
        with _named("regions"):
            given = read_regions(given)
    if not isinstance(given, Mapping):
        raise TypeError(f"regions: expected a dict, a path or text such as 'core=1,3', found {given!r}")
    regions = {}
    for name, members in given.items():
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"{where}: expected a name for the labels {members!r}, found {name!r}")
        regions[name] = tuple(dict.fromkeys(inputs.integers(members, f"{where}: {name!r}").tolist()))
        if not regions[name]:
            raise ValueError(f"{where}: expected at least one label for {name!r}, found none")
        outside = [] if declared is None else sorted(set(regions[name]).difference(declared))
        if outside:
            raise ValueError(f"{where}: expected labels among the declared ones for {name!r}, found {outside} besides")
    return regions


def _mapping(
    given: Any, theirs: Any, names: dict[int, str], declared: tuple[int, ...] | None
) -> tuple[dict[int, int], dict[int, str]]:
    """Return which labels of the prediction stand for others, and the names of all labels."""
    mapping: dict[int, int] = {}
    if given is not None and theirs is not None:
        raise ValueError("map_prediction: expected either map_prediction or prediction_labels, found both")
    if isinstance(given, str | os.PathLike):
        with _named("map_prediction"):
            mapping = read_label_mapping(given)
    elif isinstance(given, Mapping):
        old, new = (inputs.integers(list(each), "map_prediction").tolist() for each in (given, given.values()))
        mapping = dict(zip(old, new, strict=True))
    elif given is not None:
        raise TypeError(f"map_prediction: expected a mapping of labels to labels or a path, found {given!r}")
    elif theirs is not None:
        table = _table(theirs, "prediction_labels")
        if not names or table is None:
            raise ValueError("prediction_labels: expected names of the reference's labels too (labels), found none")
        # A declared label without a name is taken, too: no code of the prediction may come to stand for it.
        taken = {label: f"\0{label}" for label in declared or ()}
        mapping = match_names({**taken, **names}, table.names)
        names = {**{mapping.get(code, code): name for code, name in table.names.items()}, **names}
    return {old: new for old, new in mapping.items() if old != new}, names


def _require_different(names: Mapping[int, str], declared: tuple[int, ...] | None) -> None:
    """Raise ValueError where two labels would be reported under one name."""
    reported = names if declared is None else {label: names.get(label, str(label)) for label in declared}
    labels: dict[str, int] = {}
    for label, name in reported.items():
        if labels.setdefault(name, label) != label:
            found = f"{name!r} for {labels[name]} and {label} (regions unite labels)"
            raise ValueError(f"labels: expected another name for each label, found {found}")


def _metrics(given: Any) -> tuple[str, ...]:
    if given is None:
        return Settings.metrics
    wanted = [name.strip() for name in given.split(",") if name.strip()] if isinstance(given, str) else given
    if not isinstance(wanted, Sequence) or not all(isinstance(name, str) for name in wanted):
        raise TypeError(f"metrics: expected names, in a sequence or separated by commas, found {given!r}")
    everything = [metric.name for metric in registry.REGISTRY.values()]
    names = [each for name in wanted for each in (everything if name == "all" else [registry.get(name).name])]
    if not names:
        raise ValueError(f"metrics: expected at least one name, found {given!r}")
    return tuple(dict.fromkeys(names))


def _one_of(value: Any, argument: str, allowed: Sequence[Any]) -> Any:
    for each in allowed:
        if isinstance(value, type(each)) and value == each:
            return each
    *most, last = (repr(each) for each in allowed)
    raise ValueError(f"{argument}: expected {', '.join(most)} or {last}, found {value!r}")


def _axes(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"axes: expected a letter for each axis, such as 'zyx', found {value!r}")
    axes = value.lower()
    if not axes or not (axes.isascii() and axes.isalpha()) or len(set(axes)) < len(axes):
        raise ValueError(f"axes: expected another letter for each axis, such as 'zyx', found {value!r}")
    return axes


def _integer(value: Any, argument: str, least: int | None) -> int:
    values = inputs.integers(value, argument)
    if values.size != 1 or isinstance(value, Sequence):
        raise TypeError(f"{argument}: expected an integer, found {value!r}")
    if least is not None and values[0] < least:
        raise ValueError(f"{argument}: expected an integer of at least {least}, found {value!r}")
    return int(values[0])


def _confidence(value: Any) -> float:
    number = registry.checked_number(value, "confidence")
    if not 0 < number < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, found {value!r}")
    return number


@contextmanager
def _named(argument: str) -> Iterator[None]:
    """Let errors of a file begin with the argument that named it."""
    try:
        yield
    except LabelTableError as error:
        raise LabelTableError(f"{argument}: {error}") from None

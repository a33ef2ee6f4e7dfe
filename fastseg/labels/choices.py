"""What people say of labels, checked: which are declared, named, ignored, united in regions, or stand for others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastseg.arrays.arguments import integers
from fastseg.arrays.classes import label_classes
from fastseg.labels.mapping import choose_mapping
from fastseg.labels.names import shown
from fastseg.labels.table_text import LabelTableError, errors_name, load_json, read_text
from fastseg.labels.tables import LabelTable, parse_regions, read_label_table, read_regions, regions_of
from fastseg.volumes import is_url, split_inside

__all__ = ["LabelChoices", "choose_labels", "find_dataset_json", "only_predicted"]

Path = str | os.PathLike[str]
Regions = dict[str, tuple[int, ...]]

#: Names that a note lists.
_SHOWN = 5


class LabelChoices(NamedTuple):
    """What was said of labels."""

    declared: tuple[int, ...] | None
    """All labels there are; None: those that occur."""
    ignore: tuple[int, ...]
    """True labels that are not scored."""
    names: dict[int, str]
    regions: Regions
    """Unions of labels that are scored instead of the single labels; empty: none."""
    map_prediction: dict[int, int]
    """Labels of the prediction that stand for others."""
    unmatched: tuple[str, ...]
    """Names of the prediction's labels that the reference's have not."""

    def notes(self, unknown: str) -> list[str]:
        """Return sentences for people: what is likely not to be as they meant it, `unknown` predictions included."""
        notes = []
        if unknown == "count" and self.declared is None:
            notes.append("unknown='count' (--unknown count) does nothing where no labels are declared")
        if self.unmatched:
            names = _listed([shown(name) for name in self.unmatched])
            notes.append(
                f"names of the prediction's labels that are none of the reference's ({len(self.unmatched)}): {names}"
            )
        return notes


def choose_labels(
    *,
    labels: LabelTable | Mapping[int, str] | Sequence[int] | Path | None = None,
    num_classes: int | None = None,
    prediction_labels: LabelTable | Mapping[int, str] | Path | None = None,
    regions: Mapping[str, int | Sequence[int]] | Path | None = None,
    ignore: int | Sequence[int] | None = None,
    map_prediction: Mapping[int, int] | Path | None = None,
) -> LabelChoices:
    """Check what was said of labels, and read the files that say it.

    Parameters
    ----------
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
        or text (``core=1,3;edema=2``, or with names instead of labels). Default: those of the label table, if any, followed
        by its single labels except the background, as nnU-Net has it. An empty dict: none.
    ignore
        True labels that are not scored: as `ignore_index` of `fastseg.count_labels`, they have no row in tables, and no mean
        is over them. Default: the ignore label of nnU-Net's table. An empty sequence: none.
    map_prediction
        Labels of the prediction that stand for others, as a dict, a file of such pairs, or text (``255=1,7=3``).

    Raises
    ------
    ValueError, TypeError
        If one is not what it should be; the message names it, what was expected and what was found. LabelTableError, a kind
        of ValueError, if a file cannot be read.
    """
    table = _table(labels, "labels", or_integers=True)
    listed: Any = labels if table is None else _declared_by(table)
    closed = label_classes(num_classes, listed, None).labels
    declared = None if closed is None else tuple(closed.tolist())
    ours = {} if table is None else table.names
    known = {name: label for label, name in ours.items()}
    united = _regions(regions, declared, known) if regions is not None else ({} if table is None else regions_of(table))
    if ignore is None and table is not None:
        ignore = table.ignore
    ignored = () if ignore is None else tuple(np.unique(integers(ignore, "ignore_index")).tolist())
    theirs = _table(prediction_labels, "prediction_labels") if prediction_labels is not None else None
    mapping, names = choose_mapping(map_prediction, theirs, ours, declared)
    others = [] if theirs is None else [name for code, name in theirs.names.items() if code != 0]
    unmatched = tuple(dict.fromkeys(name for name in others if name not in ours.values()))
    return LabelChoices(declared, ignored, names, united, mapping, unmatched)


def find_dataset_json(reference: Path | None) -> str | None:
    """Return the path of nnU-Net's label table of references, in their folder or beside it; None where there is none.

    Parameters
    ----------
    reference : path or None
        A folder of references, or one of them; beside a URL nothing is looked for.

    Raises
    ------
    LabelTableError
        If a file of that name is no JSON object. An object without ``labels`` is another program's, and passed over.
    """
    if reference is None or is_url(reference):
        return None
    folder = os.path.abspath(split_inside(os.fsdecode(reference))[0])
    one = not os.path.isdir(folder) or folder.lower().endswith(".zarr")
    folder = os.path.dirname(folder) if one else folder
    for path in (os.path.join(each, "dataset.json") for each in (folder, os.path.dirname(folder))):
        if os.path.isfile(path) and _has_labels(path):
            return path
    return None


def _has_labels(path: str) -> bool:
    with errors_name("labels"):
        name, text = read_text(path)
        if not text.lstrip().startswith("{"):
            raise LabelTableError(f"{name}: expected a JSON object, found the first characters {text[:20]!r}")
        return "labels" in load_json(name, text)


def only_predicted(true: Any, pred: Any, names: Mapping[int, str], ignored: Iterable[int] = ()) -> str | None:
    """Say which labels without a name occur in predictions only, which is what codes that differ look like.

    Parameters
    ----------
    true, pred : array_like of int
        The labels that occur.
    names : dict of int to str
        Of labels; those are no surprise.
    ignored : iterable of int
        True labels that were not counted, so that only predictions of them are; they are no surprise, either.

    Returns
    -------
    text : str or None
        None where there are none; the background, 0, does not count.
    """
    there, found = set(np.unique(true).tolist()), set(np.unique(pred).tolist())
    strange, missed = sorted(found - there - names.keys() - {0, *ignored}), sorted(there - found - {0})
    if not strange:
        return None
    text = f"labels in predictions only: {_listed(strange)}"
    text += f", in references only: {_listed(missed)}" if missed else ""
    return f"{text}; where codes differ, map_prediction (--map-prediction) or prediction_labels (--prediction-labels) says so"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values[:_SHOWN]) + (", …" if len(values) > _SHOWN else "")


def _table(given: Any, argument: str, *, or_integers: bool = False) -> LabelTable | None:
    """Return the names of labels, None where `given` is something else and may be."""
    if isinstance(given, LabelTable):
        return given
    if isinstance(given, str | os.PathLike):
        with errors_name(argument):
            return read_label_table(given)
    if isinstance(given, Mapping):
        values = integers(list(given), argument).tolist()
        for label, name in given.items():
            if not isinstance(name, str) or not name.strip():
                raise TypeError(f"{argument}: expected a name for the label {label}, found {name!r}")
        return LabelTable(dict(zip(values, given.values(), strict=True)), {}, None, "dict")
    if or_integers and (given is None or np.ndim(given)):
        return None
    raise TypeError(f"{argument}: expected names of labels or the path of a label table, found {given!r}")


def _declared_by(table: LabelTable) -> list[int] | None:
    """Return the labels that a table declares: nnU-Net's are all there are; others may name more than occur, or fewer."""
    if table.format != "nnU-Net":
        return None
    return sorted({0, *table.names, *(label for members in table.regions.values() for label in members)})


def _regions(given: Any, declared: tuple[int, ...] | None, names: Mapping[str, int]) -> Regions:
    """Read regions, and require that their labels are declared if any are."""
    where = "regions"
    if isinstance(given, str) and "=" in given and not os.path.exists(given):
        with errors_name("regions"):
            given = parse_regions(given, names)
    elif isinstance(given, str | os.PathLike):
        where = f"regions: {shown(os.fsdecode(given))}"
        with errors_name("regions"):
            given = read_regions(given)
    if not isinstance(given, Mapping):
        raise TypeError(f"regions: expected a dict, a path or text such as 'core=1,3', found {given!r}")
    regions = {}
    for name, members in given.items():
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"{where}: expected a name for the labels {members!r}, found {name!r}")
        regions[name] = tuple(dict.fromkeys(integers(members, f"{where}: {name!r}").tolist()))
        if not regions[name]:
            raise ValueError(f"{where}: expected at least one label for {name!r}, found none")
        outside = [] if declared is None else sorted(set(regions[name]).difference(declared))
        if outside:
            known = _listed(declared or ())
            raise ValueError(
                f"{where}: expected labels among the declared ones, {known}, for {name!r}; found {outside} too"
            )
    return regions

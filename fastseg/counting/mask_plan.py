"""Which masks are counted, and which volumes are read together for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fastseg.volumes import VolumeError
from fastseg.volumes.masks import MaskSource

__all__ = ["MISSING_MASKS", "Edge", "Group", "chosen_classes", "groups_of", "matched_note"]

#: What may be done with a class that one side lacks.
MISSING_MASKS = ("error", "empty", "skip")
_SHOWN = 20
#: Pairs of volumes that are read together.
_TOGETHER = 16


class Edge(NamedTuple):
    """Two volumes of a group that have classes in common."""

    true: int
    """Place among the group's truths."""
    pred: int
    classes: tuple[str, ...]
    true_values: Mapping[str, tuple[int, ...] | None]
    pred_values: Mapping[str, tuple[int, ...] | None]


class Group(NamedTuple):
    """Volumes that are read side by side, since each has a class in common with another."""

    true: tuple[int | None, ...]
    """Layers of the reference; None: no mask."""
    pred: tuple[int | None, ...]
    edges: tuple[Edge, ...]


def chosen_classes(
    true: MaskSource, pred: MaskSource, classes: Sequence[str] | None, missing_mask: str
) -> tuple[str, ...]:
    """Return the classes that are counted.

    Raises
    ------
    ValueError
        If `missing_mask` is none of the policies.
    VolumeError
        Under "error", if a side lacks a class: with the list.
    """
    if missing_mask not in MISSING_MASKS:
        raise ValueError(f"missing_mask: expected one of {', '.join(MISSING_MASKS)}, found {missing_mask!r}")
    wanted = tuple(dict.fromkeys([*true.names, *pred.names])) if classes is None else tuple(dict.fromkeys(classes))
    for source in (true, pred):
        if source.sparse and source.names and not set(wanted) & set(source.names):
            raise VolumeError(f"{source.path}: expected masks of {_listed(wanted)}, found only {_listed(source.names)}")
    lacking = {
        source: [name for name in wanted if not source.sparse and name not in source.layer_of]
        for source in (true, pred)
    }
    if missing_mask == "error" and any(lacking.values()):
        texts = [f"{source.path}: no mask of {_listed(names)}" for source, names in lacking.items() if names]
        raise VolumeError(
            f"{'; '.join(texts)} (missing_mask, --missing-mask: 'empty' takes them for empty, 'skip' leaves them out)"
        )
    if missing_mask == "skip":
        return tuple(name for name in wanted if not any(name in names for names in lacking.values()))
    return wanted


def matched_note(true: MaskSource, pred: MaskSource, wanted: Sequence[str]) -> str | None:
    """Say which value met which, where classes were matched by name (or identifier) and their values differ; else None."""
    texts = []
    for name in wanted:
        values = [
            None if name not in source.layer_of else source.layers[source.layer_of[name]].members[name]
            for source in (true, pred)
        ]
        was = f" (there {pred.renamed[name]})" if name in pred.renamed else ""
        if None not in values and (values[0] != values[1] or was):
            one, other = ("+".join(map(str, each or ())) for each in values)
            texts.append(f"{name} {one} and {other}{was}")
    if not texts:
        return None
    return f"matched by name, values in {true.path} and {pred.path}: {_listed(texts)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", … ({len(names)} in all)" if len(names) > _SHOWN else "")


def groups_of(true: MaskSource, pred: MaskSource, wanted: Sequence[str], *, together: bool = False) -> list[Group]:
    """Return the groups of volumes that hold some classes; `together`: as if all of them had a volume in common.

    A group has a few pairs at most, so that few files are open at once: what many have in common is read a few times.
    """
    edges: dict[tuple[int | None, int | None], list[str]] = {}
    for name in wanted:
        pair = true.layer_of.get(name), pred.layer_of.get(name)
        if pair != (None, None):
            edges.setdefault(pair, []).append(name)
    groups: list[list[tuple[int | None, int | None]]] = []
    for pair in edges:
        joined, others = [pair], []
        for group in groups:
            linked = together or any(one == pair[0] is not None or other == pair[1] is not None for one, other in group)
            if linked:
                joined = [*group, *joined]
            else:
                others.append(group)
        groups = [*others, joined]
    pieces = [group[n : n + _TOGETHER] for group in groups for n in range(0, len(group), _TOGETHER)]
    return [_group(true, pred, {pair: edges[pair] for pair in piece}) for piece in pieces]


def _group(true: MaskSource, pred: MaskSource, edges: Mapping[tuple[int | None, int | None], Sequence[str]]) -> Group:
    ones, others = (tuple(dict.fromkeys(pair[side] for pair in edges)) for side in (0, 1))
    found = []
    for (one, other), names in edges.items():
        values = [
            {name: () if number is None else source.layers[number].members[name] for name in names}
            for source, number in ((true, one), (pred, other))
        ]
        found.append(Edge(ones.index(one), others.index(other), tuple(names), values[0], values[1]))
    return Group(ones, others, tuple(found))

"""What is kept of a case: its counts, as the pairs of labels that occur, and where they come from."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from fastseg.counts import BinaryCounts, LabelCounts, PairCounts, SurfaceDistances
from fastseg.counts.columns import restored, saved
from fastseg.runs.scoring.case_instances import CaseInstances
from fastseg.runs.scoring.surface_text import plain_surfaces, surfaces_of_plain

__all__ = ["CaseRecord", "Ints", "triples"]

Ints = npt.NDArray[np.int64]


#: More pairs than these are written column by column, compressed.
_MANY = 4096
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def _none(columns: int) -> Ints:
    return np.zeros((0, columns), np.int64)


@dataclass(frozen=True, eq=False)
class CaseRecord:
    """Hold what was found out about one case. A record is a function of the case's files and of the settings.

    Attributes
    ----------
    id : str
        Of the case, unique in its run.
    status : {"scored", "failed", "missing"}
        A missing prediction has counts (all voxels unknown) only where the run scores it as the worst possible one.
    reference, prediction, roi : str or None
        Paths as they were given.
    key : str
        Identifies the files (size and times, or hash) and the counting settings; a case whose key is the same is not
        counted again.
    reason : str or None
        Why the case failed, in one line.
    pairs : (M, 3) int64
        True label, predicted label and number of voxels of the pairs that occur, sorted; ignored voxels are not in it.
    unknown : (U, 2) int64
        True label and number of voxels whose predicted label is none of the classes (or there is no prediction).
    masks : dict of str to tuple of 3 int
        Of masks that may overlap: true positives, false positives and false negatives of each class; then there are no pairs.
    voxels : tuple of 4 int
        Voxels counted, ignored, outside the region of interest, unknown.
    shape : tuple of int
        Of the reference.
    spacing_mm : tuple of float or None
        None where it is not known.
    voxel_ml : float or None
        Volume of a voxel in millilitres, where it is known.
    geometry : str
        "equal", "not compared", or what differs.
    scores : dict of str to float or None
        Of files of probabilities: "soft_dice", "cross_entropy", "brier_score".
    notes : tuple of str
        What else people should know of the case, such as why its cross-entropy is infinite.
    inputs : dict
        For "reference", "prediction" and "roi": ``size`` in bytes, ``sha256`` (None where it was not computed).
    surfaces : SurfaceDistances or None
        Of the classes that have a surface, where metrics of surfaces are asked for; none of a missing prediction.
    instances : dict of str to CaseInstances
        Of each region whose instances are asked for.
    """

    id: str
    status: Literal["scored", "failed", "missing"]
    reference: str
    prediction: str | None
    roi: str | None = None
    key: str = ""
    reason: str | None = None
    pairs: Ints = field(default_factory=lambda: _none(3))
    unknown: Ints = field(default_factory=lambda: _none(2))
    masks: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    voxels: tuple[int, int, int, int] = (0, 0, 0, 0)
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float | None, ...] = ()
    voxel_ml: float | None = None
    geometry: str = ""
    scores: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    surfaces: SurfaceDistances | None = None
    instances: Mapping[str, CaseInstances] = field(default_factory=dict)

    @property
    def counted(self) -> bool:
        """Whether the case has counts, and so takes part in every mean."""
        return self.status == "scored" or (self.status == "missing" and sum(self.voxels) > 0)

    @classmethod
    def with_counts(cls, counts: LabelCounts, **values: Any) -> Self:
        """Return the record of a case with these counts (one case, not weighted)."""
        matrix, labels, unknown = counts.matrix[0], counts.labels, counts.unknown[0]
        if (labels[1:] < labels[:-1]).any():
            order = np.argsort(labels)
            matrix, labels, unknown = matrix[order[:, None], order], labels[order], unknown[order]
        rows, columns = (matrix != 0).nonzero()
        missed = unknown.nonzero()[0]
        return cls(
            pairs=np.array([labels[rows], labels[columns], matrix[rows, columns]]).T.copy(),
            unknown=np.array([labels[missed], unknown[missed]]).T.copy(),
            voxels=tuple(counts.voxels[0].tolist()),
            **values,
        )

    @classmethod
    def with_pairs(cls, counts: PairCounts, **values: Any) -> Self:
        """Return the record of a case with these pairs (one case, not weighted).

        Raises
        ------
        ValueError
            If a label is 2⁶³ or more.
        """
        for name in ("true", "pred"):
            if (labels := getattr(counts, name)).dtype.kind == "u":
                raise ValueError(f"{name}: expected labels below 2**63 in the results of a run, found {labels.max()}")
        pairs = np.stack([counts.true, counts.pred, counts.counts], axis=1)
        return cls(pairs=pairs, voxels=tuple(counts.voxels[0].tolist()), **values)

    @classmethod
    def with_masks(cls, counts: BinaryCounts, **values: Any) -> Self:
        """Return the record of a case with these counts of masks (one case, not weighted)."""
        numbers = zip(counts.tp[0].tolist(), counts.fp[0].tolist(), counts.fn[0].tolist(), strict=True)
        masks = {str(name): each for name, each in zip(counts.classes, numbers, strict=True)}
        return cls(masks=masks, voxels=tuple(counts.voxels[0].tolist()), **values)

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        pairs = _rows(self.pairs) if len(self.pairs) <= _MANY else _encode(_columns(self.pairs))
        tables = f'"pairs":{pairs},"unknown":{_rows(self.unknown)}'
        values = {**vars(self), "pairs": [], "unknown": []}
        if (surfaces := values.pop("surfaces")) is not None:
            values["surfaces"] = plain_surfaces(surfaces)
        if instances := values.pop("instances"):
            values["instances"] = {name: own.to_dict() for name, own in instances.items()}
        return _encode(values).replace('"pairs":[],"unknown":[]', tables, 1)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return the record that `to_json` wrote; raise ValueError where it is none."""
        try:
            return cls.from_plain(json.loads(line))
        except (KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"expected the record of a case, found {line[:80]!r}: {error!r}") from None

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the record of what its JSON says; any of several errors where it is none."""
        values = {**plain, "notes": tuple(plain.get("notes", ()))}
        masks = values.get("masks", {}).items()
        values["masks"] = {name: (int(tp), int(fp), int(fn)) for name, (tp, fp, fn) in masks}
        for name, columns in (("pairs", 3), ("unknown", 2)):
            table = plain[name]
            values[name] = (
                _table(table) if isinstance(table, Mapping) else np.array(table, np.int64).reshape(-1, columns)
            )
        for name in ("voxels", "shape", "spacing_mm"):
            values[name] = tuple(plain[name])
        if isinstance(values.get("surfaces"), Mapping):
            values["surfaces"] = surfaces_of_plain(values["surfaces"])
        instances = values.get("instances", {}).items()
        values["instances"] = {name: CaseInstances.from_dict(own) for name, own in instances}
        return cls(**values)

    def __getstate__(self) -> tuple[Any, ...]:
        """Return what is sent between processes: values without their names, and tables as bytes, take a third of the time."""
        return tuple({**vars(self), "pairs": self.pairs.tobytes(), "unknown": self.unknown.tobytes()}.values())

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        values = dict(zip(self.__dataclass_fields__, state, strict=True))
        for name, columns in (("pairs", 3), ("unknown", 2)):
            values[name] = np.frombuffer(bytearray(values[name]), np.int64).reshape(-1, columns)
        vars(self).update(values)


def _rows(table: Ints) -> str:
    """Return the rows of a table as JSON, in half the time that its encoder takes."""
    row = f"[{','.join(['%d'] * table.shape[1])}]"
    return f"[{','.join([row] * len(table)) % tuple(table.reshape(-1).tolist())}]"


def _columns(table: Ints) -> dict[str, Any]:
    """Return the columns of a table, compressed, as JSON can hold them."""
    return {"rows": len(table), "columns": [saved(np.ascontiguousarray(column)) for column in table.T]}


def _table(plain: Mapping[str, Any]) -> Ints:
    """Return the table that `_columns` wrote."""
    return np.stack([restored(column, operator.index(plain["rows"])) for column in plain["columns"]], axis=1)


def triples(records: Sequence[CaseRecord]) -> tuple[Ints, Ints]:
    """Return the case's place, true label, predicted label and voxels, of all pairs; then of all unknown predictions."""
    parts = []
    for columns, tables in ((3, [r.pairs for r in records]), (2, [r.unknown for r in records])):
        number = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        parts.append(np.column_stack([number, np.concatenate([_none(columns), *tables])]))
    pairs, unknown = parts
    return pairs, np.insert(unknown, 2, 0, axis=1)

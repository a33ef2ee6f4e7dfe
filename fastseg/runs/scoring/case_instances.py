"""What is kept of the instances of a case: what was counted, and each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fastseg.metrics.instances import COLUMNS, InstanceMatching

__all__ = ["ROW", "CaseInstances"]

#: What is said of an instance of a case.
ROW = tuple(name for name in COLUMNS if name not in ("case", "class"))


@dataclass(frozen=True)
class CaseInstances:
    """Hold the instances of one region in one case.

    Attributes
    ----------
    tp, fp, fn : int
        How many were found, invented and missed.
    iou, dice : float
        The sums of the IoU and the Dice of what was found.
    rows : tuple of dict or None
        Each instance, as `fastseg.InstanceMatching.rows` tells of it; None where only the numbers are known.
    """

    tp: int
    fp: int
    fn: int
    iou: float
    dice: float
    rows: tuple[dict[str, Any], ...] | None = None

    @classmethod
    def of(cls, matching: InstanceMatching) -> Self:
        """Return what is kept of a matching of one class."""
        tally = matching.tally
        rows = tuple({name: row[name] for name in ROW} for row in matching.rows())
        sums = float(tally.iou.sum()), float(tally.dice.sum())
        return cls(matching.tp, matching.fp, matching.fn, *sums, rows)

    def to_dict(self, rows: bool = True) -> dict[str, Any]:
        """Return it as JSON can hold it, with its rows or without."""
        plain: dict[str, Any] = {name: value for name, value in vars(self).items() if name != "rows"}
        return plain | {"rows": list(self.rows)} if rows and self.rows is not None else plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return what `to_dict` wrote; any of several errors where it is none."""
        rows = plain.get("rows")
        tp, fp, fn = (int(plain[name]) for name in ("tp", "fp", "fn"))
        return cls(tp, fp, fn, float(plain["iou"]), float(plain["dice"]), None if rows is None else tuple(rows))

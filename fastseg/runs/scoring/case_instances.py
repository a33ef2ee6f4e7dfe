"""What is kept of the instances of a case: what was counted, and each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from fastseg.metrics.instances import COLUMNS, InstanceMatching
from fastseg.metrics.surfaces import hd95, normalized_surface_dice
from fastseg.runs.scoring.instance_metrics import SURFACES_OF_INSTANCES, TOTALS
from fastseg.runs.scoring.settings import InstanceSurfaces

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
        Each instance, as `fastseg.InstanceMatching.rows` tells of it; None where only the numbers are known. Where surfaces
        were measured each pair that matches has these of what was found, which may be of several pairs.
    surfaces : dict of str to float
        Where they were measured the sums over what was found of "hd95_mm" and "nsd".
    totals : dict of str to float
        Volumes and numbers of all instances, those of `TOTALS`; NaN in millilitres where the volume of a voxel is not known.
    """

    tp: int
    fp: int
    fn: int
    iou: float
    dice: float
    rows: tuple[dict[str, Any], ...] | None = None
    surfaces: Mapping[str, float] = field(default_factory=dict)
    totals: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, matching: InstanceMatching, how: InstanceSurfaces | None = None, region: str = "") -> Self:
        """Return what is kept of a matching of one class, and of its surfaces."""
        tally = matching.tally
        measured = {} if how is None else _measured(matching, how, region)
        place = (
            {(t, p): n for n, each in enumerate(matching.groups) for t in each.true for p in each.pred}
            if measured
            else {}
        )
        rows = []
        for row in matching.rows():
            n = place.get((row["true"], row["pred"]))
            of = {name: None if n is None else values[n] for name, values in measured.items()}
            rows.append({**{name: row[name] for name in ROW}, **of})
        sums = float(tally.iou.sum()), float(tally.dice.sum())
        surfaces = {name: math.fsum(values) for name, values in measured.items()}
        totals = {name: float(getattr(matching, name)) for name in TOTALS}
        return cls(matching.tp, matching.fp, matching.fn, *sums, tuple(rows), surfaces, totals)

    @classmethod
    def of_nothing(cls, how: InstanceSurfaces | None) -> Self:
        """Return what is kept where there is no instance on either side."""
        columns = () if how is None else [SURFACES_OF_INSTANCES[name].column for name in how.metrics]
        return cls(0, 0, 0, 0.0, 0.0, (), dict.fromkeys(columns, 0.0), dict.fromkeys(TOTALS, 0.0))

    def to_dict(self, rows: bool = True) -> dict[str, Any]:
        """Return it as JSON can hold it, with its rows or without."""
        others = ("rows", "surfaces", "totals")
        plain: dict[str, Any] = {name: value for name, value in vars(self).items() if name not in others}
        plain |= {"surfaces": dict(self.surfaces)} if self.surfaces else {}
        plain["totals"] = {name: None if math.isnan(value) else value for name, value in self.totals.items()}
        return plain | {"rows": list(self.rows)} if rows and self.rows is not None else plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return what `to_dict` wrote; any of several errors where it is none."""
        rows = plain.get("rows")
        tp, fp, fn = (int(plain[name]) for name in ("tp", "fp", "fn"))
        surfaces = {str(name): float(value) for name, value in plain.get("surfaces", {}).items()}
        totals = {str(n): math.nan if each is None else float(each) for n, each in plain.get("totals", {}).items()}
        own = None if rows is None else tuple(rows)
        return cls(tp, fp, fn, float(plain["iou"]), float(plain["dice"]), own, surfaces, totals)


def _measured(matching: InstanceMatching, how: InstanceSurfaces, region: str) -> dict[str, list[float]]:
    """Return by column the number of each group of what was found."""
    assert matching.surfaces is not None
    found: dict[str, list[float]] = {}
    own: dict[str, Any] = {} if how.convention == "fastseg" else {"convention": how.convention}
    if "instance_hd95" in how.metrics:
        found["hd95_mm"] = hd95(matching.surfaces, **own)[:, 0].tolist()
    if "instance_nsd" in how.metrics:
        tolerance = how.tolerances[region]
        found["nsd"] = normalized_surface_dice(matching.surfaces, tolerance=tolerance, **own)[:, 0].tolist()
    return found

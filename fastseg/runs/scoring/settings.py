"""What a run scores and how: every option, checked once and kept with the results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Literal, Self

from fastseg.arrays.classes import Classes, label_classes
from fastseg.metrics.choice import of_partitions
from fastseg.metrics.instances import parse_match
from fastseg.volumes.geometry import TOLERANCE

__all__ = ["COUNTING", "InstanceSettings", "InstanceSurfaces", "Settings", "SurfaceSettings"]

#: What the counts of masks depend on besides.
COUNTING_MASKS = ("missing_mask", "channels", "threshold", "names", "regions")

#: The settings that the counts depend on: a case that was counted under others is counted again. All other settings only
#: say how the counts are read.
COUNTING = (
    "labels", "ignore", "map_prediction", "unknown", "geometry", "geometry_tolerance", "reorient", "axes", "activation",
    "channel_axis",
)  # fmt: skip


@dataclass(frozen=True)
class SurfaceSettings:
    """Hold which surfaces a run measures, and how far they may be apart.

    Attributes
    ----------
    surface, border : str
        As in `fastseg.surface_distances`. A case that was measured with others is counted again, as with another spacing.
    tolerance : float or None
        In mm, of all classes without one of their own.
    tolerances : dict of str to float
        Of classes, by name or label.
    spacing : tuple of float or None
        In mm along each axis of all cases, or one number for all; None: as the reference's file says.
    """

    surface: str = "voxel"
    border: str = "background"
    tolerance: float | None = None
    tolerances: dict[str, float] = field(default_factory=dict)
    spacing: tuple[float, ...] | None = None

    @property
    def measuring(self) -> dict[str, Any]:
        """What measures them takes: spacing, surface and border of `fastseg.surface_distances`."""
        steps = self.spacing if self.spacing is None or self.spacing[1:] else self.spacing[0]
        return {"spacing": steps, "surface": self.surface, "border": self.border}


@dataclass(frozen=True)
class InstanceSurfaces:
    """Hold what is measured of the surfaces of instances that are found.

    Attributes
    ----------
    metrics : tuple of str
        "instance_hd95", "instance_nsd".
    surface, spacing
        As of `SurfaceSettings`.
    convention : str
        A name of `fastseg.metrics.surface_conventions.SURFACE_CONVENTIONS`.
    tolerances : dict of str to float
        In mm, of each region, for "instance_nsd".
    penalty : float
        What stands for the HD95 of an instance that was missed or invented, in mm. A case is not matched again for another.
    """

    metrics: tuple[str, ...]
    surface: str = "voxel"
    convention: str = "fastseg"
    tolerances: dict[str, float] = field(default_factory=dict)
    spacing: tuple[float, ...] | None = None
    penalty: float = 374.0

    @property
    def measuring(self) -> dict[str, Any]:
        """What `fastseg.match_instances` takes of them."""
        return {
            "surface": self.surface,
            "spacing": self.spacing and (self.spacing if self.spacing[1:] else self.spacing[0]),
        }


@dataclass(frozen=True)
class InstanceSettings:
    """Hold which instances a run matches, and when they do.

    Attributes
    ----------
    regions : dict of str to tuple of int
        The labels of each region whose components are instances; none of masks.
    match : str or None
        The rule, as `fastseg.metrics.instances.parse_match` reads it; None: IoU above 0.5.
    connectivity, dilation, min_voxels, min_ml
        As in `fastseg.match_instances`.
    surfaces : InstanceSurfaces or None
        What is measured of those that are found; None where nothing is.
    """

    regions: dict[str, tuple[int, ...]]
    match: str | None = None
    connectivity: int | None = None
    dilation: int | None = None
    min_voxels: int = 0
    min_ml: float | None = None
    surfaces: InstanceSurfaces | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What is given to `match_instances` besides the region."""
        own = {name: getattr(self, name) for name in ("connectivity", "dilation", "min_voxels", "min_ml")}
        return {**({} if self.match is None else parse_match(self.match)), **own}

    @property
    def measuring(self) -> dict[str, Any]:
        """What is given to it where surfaces are measured, too."""
        return {} if self.surfaces is None else self.surfaces.measuring

    @property
    def convention(self) -> str:
        """The name of the convention whose rules hold."""
        return str(self.options.get("convention", "fastseg"))

    @property
    def rule(self) -> tuple[Any, ...]:
        """Threshold, criterion, matching, strictness and objective, None where the convention decides."""
        options = self.options
        return tuple(options.get(name) for name in ("threshold", "criterion", "matching", "strict", "objective"))


@dataclass(frozen=True)
class Settings:
    """Hold what a run scores and how.

    Attributes
    ----------
    labels : tuple of int or None
        The declared labels, background included; None: those that occur.
    ignore : tuple of int
        True labels that are not scored.
    map_prediction : dict of int to int
        Labels of the prediction that stand for others.
    unknown : {"raise", "count"}
        What a predicted label outside the declared ones is: an error of its case, or a miss of its true class.
    geometry : {"error", "warn", "ignore"}
        What a difference in position does.
    geometry_tolerance : float
        How many voxels a corner may be displaced.
    reorient : bool
        Whether predictions are flipped and permuted to lie as their references do, where that is all that differs.
    axes : str or None
        What the axes of files that do not name them are, such as "zyx".
    activation, channel_axis
        Of files of scores, as in `fastseg.sum_files`.
    missing : {"error", "skip", "worst"}
        What a missing prediction does: nothing is scored; the case is left out; every metric has its worst value there.
    masks : tuple of str or None
        None: label maps are scored. Else masks that may overlap: the classes, by name; empty: those that occur.
    missing_mask : {"error", "empty", "skip"}
        What a class is that only one side of a case has a mask of: an error; empty there; left out of that case.
    channels : tuple of str
        What the channels of files are called that have an axis of them.
    threshold : float or None
        From which value on a voxel of soft masks is inside.
    names : dict of int to str
        Names of labels.
    regions : dict of str to tuple of int
        Unions of labels that are scored instead of the single labels.
    metrics : tuple of str
        Names of metrics, as in `fastseg.metrics.REGISTRY`, or of metrics of surfaces; or of numbers of partitions
        (`fastseg.metrics.pair_numbers.PAIR_NUMBERS`) alone.
    convention : str
        What an empty class is worth and how means are taken: a name of `fastseg.metrics.conventions.CONVENTIONS`, or one of
        `fastseg.metrics.surface_conventions.SURFACE_CONVENTIONS`, for metrics of surfaces; of partitions one of
        `fastseg.metrics.pair_conventions.PAIR_CONVENTIONS`.
    background : bool or None
        Whether means over classes include label 0; None: what the convention does.
    resamples, confidence, seed
        Of the bootstrap intervals.
    surfaces : SurfaceSettings or None
        What is measured for metrics of surfaces; None where there are none.
    instances : InstanceSettings or None
        Which instances are matched; None where none are.
    """

    labels: tuple[int, ...] | None = None
    ignore: tuple[int, ...] = ()
    map_prediction: dict[int, int] = field(default_factory=dict)
    unknown: Literal["raise", "count"] = "raise"
    geometry: Literal["error", "warn", "ignore"] = "error"
    geometry_tolerance: float = TOLERANCE
    reorient: bool = False
    axes: str | None = None
    activation: str | None = None
    channel_axis: int | None = None
    missing: Literal["error", "skip", "worst"] = "error"
    masks: tuple[str, ...] | None = None
    missing_mask: Literal["error", "empty", "skip"] = "error"
    channels: tuple[str, ...] = ()
    threshold: float | None = None
    names: dict[int, str] = field(default_factory=dict)
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    metrics: tuple[str, ...] = ("dice", "iou", "precision", "recall")
    convention: str = "fastseg"
    background: bool | None = None
    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0
    surfaces: SurfaceSettings | None = None
    instances: InstanceSettings | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold."""
        plain: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name in ("map_prediction", "names"):
            plain[name] = {str(key): value for key, value in plain[name].items()}
        surfaces = plain.pop("surfaces")
        if surfaces is not None:  # so that a run without them is told as it was before there were any
            given = asdict(surfaces)
            plain["surfaces"] = {**given, "spacing": surfaces.spacing and list(surfaces.spacing)}
        if (instances := plain.pop("instances")) is not None:
            regions = {name: list(members) for name, members in instances.regions.items()}
            told = {**asdict(instances), "regions": regions}
            if (measured := told.pop("surfaces")) is not None:
                told["surfaces"] = {
                    name: list(each) if isinstance(each, tuple) else each for name, each in measured.items()
                }
            plain["instances"] = told
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Return the settings that `to_dict` wrote."""
        values = {entry.name: plain[entry.name] for entry in fields(cls) if entry.name not in ("surfaces", "instances")}
        if "surfaces" in plain:
            spacing = plain["surfaces"]["spacing"]
            values["surfaces"] = SurfaceSettings(**{**plain["surfaces"], "spacing": spacing and tuple(spacing)})
        if "instances" in plain:
            of = {name: tuple(members) for name, members in plain["instances"]["regions"].items()}
            own = {**plain["instances"], "regions": of}
            if "surfaces" in own:
                listed: dict[str, Any] = {
                    name: tuple(each) if isinstance(each, list) else each for name, each in own["surfaces"].items()
                }
                own["surfaces"] = InstanceSurfaces(**listed)
            values["instances"] = InstanceSettings(**own)
        for name in ("map_prediction", "names"):
            values[name] = {int(key): value for key, value in values[name].items()}
        values["regions"] = {name: tuple(members) for name, members in values["regions"].items()}
        for name in ("labels", "ignore", "metrics", "masks", "channels"):
            values[name] = None if values[name] is None else tuple(values[name])
        return cls(**values)

    @cached_property
    def fingerprint(self) -> str:
        """The settings that the counts depend on, as text."""
        plain = self.to_dict()
        wanted = {name: plain[name] for name in COUNTING}
        if self.masks is not None:  # whose classes are no setting: each case is counted by its own
            wanted |= {name: plain[name] for name in COUNTING_MASKS} | {"masks": True}
        if self.surfaces is not None:  # a region has a surface of its own
            wanted |= {name: getattr(self.surfaces, name) for name in ("surface", "border", "spacing")}
            wanted |= {"regions": plain["regions"]}
        if self.instances is not None:
            wanted |= {"instances": plain["instances"]}
            plain["instances"].get("surfaces", {}).pop("penalty", None)  # which only says how the sums are read
        return json.dumps(wanted, sort_keys=True)

    @cached_property
    def partitions(self) -> bool:
        """Whether label maps are scored as partitions: their labels are segments, of any number, and no classes."""
        return bool(of_partitions(self.metrics))

    @cached_property
    def classes(self) -> Classes:
        """The declared and the ignored labels, as the counting takes them."""
        return label_classes(None, self.labels, self.ignore or None)

"""Gates: numbers that a run must reach, such as ``dice=0.8`` or ``liver:dice=0.9``, and what a CI server reads of them.

Of runs of probabilities, their soft Dice, cross-entropy and Brier score can be named too: ``cross_entropy=0.3``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

import numpy as np

from fastseg import metrics as registry
from fastseg.labels.names import shown
from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.choice import known_metric, of_partitions, of_surfaces, surface_metrics
from fastseg.metrics.pair_numbers import PAIR_NUMBERS
from fastseg.runs.cases.find import Case
from fastseg.runs.results.classes import class_place
from fastseg.runs.results.instance_gates import instance_number, is_of_instances, why_undefined, wrong_instance_gate
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.results.reasons import why_no_mean, why_not_scored
from fastseg.runs.scoring.case import takes_scores
from fastseg.runs.scoring.instance_metrics import INSTANCE_METRICS, SURFACES_OF_INSTANCES, instance_metric
from fastseg.runs.scoring.instance_options import require_masks
from fastseg.runs.scoring.settings import Settings

__all__ = [
    "Gate",
    "GateResult",
    "check_classes",
    "check_gates",
    "check_masks",
    "check_scores",
    "junit_xml",
    "parse_gate",
]

_INTEGER = re.compile(r"[+-]?[0-9]+")

#: What XML 1.0 cannot hold, and surrogates, which UTF-8 cannot.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Number(NamedTuple):
    """What a gate has to know of a number that it names."""

    range: tuple[float, float]
    better: Literal["higher", "lower", "zero", "neither"]
    overall: bool
    """Whether it is one number for all classes together."""


#: What only runs of probabilities have, by its name in `Run.scores`.
_OF_SCORES = {
    "soft_dice": _Number((0.0, 1.0), "higher", overall=True),
    "cross_entropy": _Number((0.0, math.inf), "lower", overall=True),
    "brier_score": _Number((0.0, 2.0), "lower", overall=True),
}


class Gate(NamedTuple):
    """A bound on a number of a run."""

    text: str
    """As it was written."""
    metric: str
    """As in `fastseg.metrics.REGISTRY`, one of surfaces, or "soft_dice", "cross_entropy" or "brier_score" of probabilities."""
    class_name: str | None
    """The class by its name, its label, or its labels ("1+2" or "(1, 2)"); None: the run's one number."""
    bound: float
    at_least: bool
    """Whether the number must not be below the bound; else it must not be above it."""


class GateResult(NamedTuple):
    """What became of a gate."""

    gate: Gate
    value: float
    """NaN where it is undefined."""
    passed: bool
    message: str
    """For people: the number, the bound, and why there is no number."""

    def to_dict(self) -> dict[str, Any]:
        """Return what the facts of a run say of it."""
        return {"text": self.gate.text, "value": self.value, "passed": self.passed, "message": self.message}


def parse_gate(text: str) -> Gate:
    """Return the gate that a text says.

    Parameters
    ----------
    text
        ``METRIC=NUMBER`` for the run's one number, ``CLASS:METRIC=NUMBER`` for that of a class. ``=`` is "at least", or "at
        most" for metrics of which lower values are better; ``>=`` and ``<=`` say so outright. Metrics may have capitals.
        Those of probabilities (``soft_dice``, ``cross_entropy``, ``brier_score``) are one number for all classes. Those of
        instances (``detection_f1``, ``panoptic_quality`` or ``pq``, ``missed``, …) are of a region, or the mean over regions.

    Raises
    ------
    ValueError
        If it says none: with what was expected and what was found.

    Examples
    --------
    >>> parse_gate("liver:dice=0.9")
    Gate(text='liver:dice=0.9', metric='dice', class_name='liver', bound=0.9, at_least=True)
    >>> parse_gate("false_positive_rate<=0.01").at_least
    False
    """
    left, equals, number = text.rpartition("=")
    if not equals:
        raise ValueError(f"gate: expected METRIC=NUMBER or CLASS:METRIC=NUMBER, found {text!r}")
    sign = left[-1:] if left.endswith((">", "<")) else ""
    owner, colon, metric = left.removesuffix(sign).rpartition(":")
    owner, metric = owner.strip(), metric.strip()
    if colon and not owner:
        raise ValueError(f"gate: expected a class before the colon, found {text!r}")
    entry = _entry(metric.lower())
    if entry is None:
        known = ", ".join(
            sorted(
                {
                    *registry.REGISTRY,
                    *surface_metrics(),
                    *PAIR_NUMBERS,
                    *_OF_SCORES,
                    *INSTANCE_METRICS,
                    *SURFACES_OF_INSTANCES,
                }
            )
        )
        raise ValueError(f"gate: expected one of the metrics {known}; found {metric!r} in {text!r}")
    metric = metric.lower()
    if owner and entry.overall:
        raise ValueError(f"gate: {metric} is one number for all classes; expected no class, found {text!r}")
    if entry.better not in ("higher", "lower"):
        raise ValueError(f"gate: of {metric} neither higher nor lower values are better; found {text!r}")
    at_least = entry.better == "higher"
    if sign == ("<" if at_least else ">"):
        raise ValueError(
            f"gate: {entry.better} values of {metric} are better; expected {'<>'[at_least]}=, found {text!r}"
        )
    return Gate(text, metric, owner or None, _bound(number, entry, text), at_least)


def _entry(metric: str) -> _Number | None:
    if metric in _OF_SCORES:
        return _OF_SCORES[metric]
    if (of_instances := instance_metric(metric)) is not None:
        return _Number(of_instances.range, of_instances.better, overall=False)
    try:
        entry = known_metric(metric)
    except ValueError:
        return None
    return _Number(entry.range, entry.better, entry.overall is not None)


def _bound(number: str, entry: _Number, text: str) -> float:
    low, high = entry.range
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not (math.isfinite(bound) and low <= bound <= high):
        raise ValueError(f"gate: expected a number from {low:g} to {high:g}, found {number.strip()!r} in {text!r}")
    return bound


def check_classes(gates: Sequence[Gate], settings: Settings) -> None:
    """Check that the gates' classes can be in a run, before anything is scored.

    Where neither labels nor regions are declared, a class may be any label, or a name that is given to one.

    Raises
    ------
    ValueError
        If a gate is of a class that no run of these settings has, or of a metric of surfaces that is not measured.
    """
    run = RunNumbers(settings, ())
    measured = {known_metric(name).name for name in of_surfaces(settings.metrics)}
    for gate in gates:
        if is_of_instances(gate.metric):
            if wrong := wrong_instance_gate(gate.metric, gate.class_name, settings):
                raise ValueError(f"gate: {wrong}; found {gate.text!r}")
            continue
        if of_surfaces([gate.metric]) and known_metric(gate.metric).name not in measured:
            raise ValueError(
                f"gate: {gate.metric} is made of surfaces, and measured where metrics name it; expected it among "
                f"{', '.join(settings.metrics)} for {gate.text!r}"
            )
        if bool(of_partitions([gate.metric])) != settings.partitions:
            raise ValueError(
                f"gate: {gate.metric} is of {'classes' if settings.partitions else 'partitions'}, and this run scores "
                f"{', '.join(settings.metrics)}; expected one of these for {gate.text!r}"
            )
        wanted = gate.class_name
        if wanted is None:
            continue
        if settings.masks == ():  # whose names are in files that nobody has read yet
            continue
        if settings.labels is not None or settings.regions or settings.masks is not None:
            place = class_place(run.classes, wanted)
        elif (_INTEGER.fullmatch(wanted) and int(wanted) not in settings.ignore) or wanted in (
            name.strip() for name in settings.names.values()
        ):
            continue
        else:
            known = ", ".join(f"{name} ({label})" for label, name in settings.names.items())
            place = f"there is no class {wanted!r}; expected a label{' or one of: ' if known else ''}{known}"
        if isinstance(place, str):
            raise ValueError(f"gate: {place}; found {gate.text!r}")


def check_masks(run: RunNumbers, *, whole: bool) -> None:
    """Raise ValueError where instances are of masks that no case of a whole run has, whose names only files have."""
    if whole and run.settings.masks is not None and run.counted:
        require_masks(run.settings.instances, [each.name for each in run.classes])


def check_scores(gates: Sequence[Gate], cases: Iterable[Case], settings: Settings) -> None:
    """Check that gates of probabilities are of a run that may have some, before anything is scored.

    Files are opened only where there is such a gate, and only up to the first that holds scores.

    Raises
    ------
    ValueError
        If there is such a gate, and all predictions that can be read hold labels.
    """
    named = [gate for gate in gates if gate.metric in _OF_SCORES]
    labels = None
    for case in cases if named else ():
        found = takes_scores(case, settings)
        if found:
            return
        if found is False:
            labels = labels or case.prediction
    if labels is not None:
        raise ValueError(
            f"gate: {named[0].metric} is of probabilities; expected predictions that hold them, found label maps such as "
            f"{shown(labels)} for {named[0].text!r}"
        )


def check_gates(run: RunNumbers, gates: Sequence[Gate]) -> list[GateResult]:
    """Compare the numbers of a run with gates.

    A gate fails where its number is undefined, no case was scored, or the run has no such class. Cases that failed or have
    no prediction fail no gate by themselves.

    Returns
    -------
    results : list of GateResult
        One for each gate, in order.
    """
    return [_checked(run, gate) for gate in gates]


def _checked(run: RunNumbers, gate: Gate) -> GateResult:
    whose = "" if gate.class_name is None else f" of {gate.class_name}"
    wanted = f"expected at {'least' if gate.at_least else 'most'}"
    if not run.counted:
        return GateResult(gate, math.nan, False, f"{gate.metric}{whose}: {why_no_mean(run)}; {wanted} {gate.bound:g}")
    over = ""
    if gate.metric in _OF_SCORES:
        value, over, trouble = _of_scores(run, gate.metric)
        if trouble:
            return GateResult(gate, value, False, f"{gate.metric} {trouble}; {wanted} {gate.bound:g}")
    elif is_of_instances(gate.metric):
        value = instance_number(run, gate.metric, gate.class_name)
        if math.isnan(value):
            wrong = wrong_instance_gate(gate.metric, gate.class_name, run.settings) or why_undefined(gate.metric)
            return GateResult(
                gate, value, False, f"{gate.metric}{whose} is undefined, {wrong}; {wanted} {gate.bound:g}"
            )
    elif gate.class_name is None:
        value = run.mean(gate.metric)
    else:
        place = class_place(run.classes, gate.class_name)
        if isinstance(place, str):
            return GateResult(gate, math.nan, False, place)
        value = float(run.class_values(gate.metric)[place])
    if of_surfaces([gate.metric]) and (trouble := _infinite(run, gate)):
        return GateResult(gate, math.inf, False, f"{gate.metric}{whose} {trouble}; {wanted} {gate.bound:g}")
    if math.isnan(value):
        return GateResult(gate, value, False, f"{gate.metric}{whose} is {why_no_mean(run)}; {wanted} {gate.bound:g}")
    passed = value >= gate.bound if gate.at_least else value <= gate.bound
    number, bound = _told_apart(value, gate.bound)
    return GateResult(gate, value, passed, f"{gate.metric}{whose} is {number}{over}, {wanted} {bound}")


def _of_scores(run: RunNumbers, metric: str) -> tuple[float, str, str]:
    """Return a number of probabilities, over which cases it is, and why there is none or it passes no gate, if so.

    A case that has no such number must not raise the mean of the others over the bound by being left out.
    """
    if metric not in run.scores:
        return math.nan, "", f"is of probabilities, and no prediction holds any (there is {_there(run)})"
    values = run.scores[metric]
    lacking = [record for record, value in zip(run.counted, values.tolist(), strict=True) if math.isnan(value)]
    missed = [record for record in lacking if record.status == "missing"]
    infinite = [record for record in lacking if metric in record.scores and record.voxels[0]]
    if missed:
        return math.nan, "", f"has no worst value for the cases without a prediction ({len(missed)} of {values.size})"
    if infinite:
        return math.inf, "", f"is infinite in {shown(infinite[0].id)} ({len(infinite)} of {values.size} cases)"
    if len(lacking) == values.size:
        return math.nan, "", "is undefined in every case"
    over = f" (over {values.size - len(lacking)} of {values.size} cases)" if lacking else ""
    return float(nan_mean(values, 0)), over, ""


def _infinite(run: RunNumbers, gate: Gate) -> str:
    """Say where a distance is infinite, if it is: cases that miss a class must not better a mean by being left out."""
    values = run.values(gate.metric)[:, run.in_means]
    if gate.class_name is not None:
        place = class_place(run.classes, gate.class_name)
        assert isinstance(place, int)
        values = run.values(gate.metric)[:, [place]]
    found = np.isinf(values)
    cases = np.flatnonzero(found.any(1)).tolist()
    return f"is infinite in {shown(run.counted[cases[0]].id)} ({found.sum()} of {found.size} values)" if cases else ""


def _there(run: RunNumbers) -> str:
    return ", ".join([*run.settings.metrics, *run.scores])


def _told_apart(a: float, b: float) -> tuple[str, str]:
    """Return two numbers as text, in six digits, or as many more as show that they differ."""
    for digits in range(6, 16):
        texts = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if texts[0] != texts[1] or a == b:
            return texts
    return repr(a), repr(b)


def junit_xml(run: RunNumbers, results: Sequence[GateResult], suite: str = "fastseg") -> bytes:
    """Return gates and cases as JUnit XML.

    Parameters
    ----------
    run
        The run.
    results
        What `check_gates` said of it.
    suite
        What the suites' names begin with.

    Returns
    -------
    data : bytes
        A suite ``gates`` with a test case for each gate, and a suite ``cases`` with an error for each case that could not be
        scored; a missing prediction is one too, unless the run scores or skips it. No times, so that it is the same each
        time.
    """
    root = ElementTree.Element("testsuites", name=_xml(suite))
    gates = _suite(root, f"{suite}.gates")
    for result in results:
        _case(gates, result.gate.text, "" if result.passed else "failure", result.message)
    cases = _suite(root, f"{suite}.cases")
    for record in run.records:
        reason = why_not_scored(record)
        if reason is not None and not record.counted:
            skipped = record.status == "missing" and run.settings.missing == "skip"
            _case(cases, record.id, "skipped" if skipped else "error", reason)
    for name, found in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        for element in (root, gates, cases):
            element.set(name, str(len(list(element.iter(found)))))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _suite(root: ElementTree.Element, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(root, "testsuite", name=_xml(name))


def _case(suite: ElementTree.Element, name: str, outcome: str, message: str) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=suite.get("name", ""), name=_xml(name))
    if outcome:
        ElementTree.SubElement(case, outcome, message=_xml(message)).text = _xml(message)


def _xml(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)

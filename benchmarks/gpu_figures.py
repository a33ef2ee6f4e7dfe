"""What `gpu.py` has found beside what is to be reached: ``python benchmarks/gpu_figures.py gpu.json`` prints a table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

BYTES, WIDE, FLOAT, HALF = "torch.uint8", "torch.int64", "torch.float32", "torch.float16"


class Figure(NamedTuple):
    """A figure, the line of results that it is in, and what it should be: floor and aim."""

    name: str
    line: dict[str, Any]
    number: str
    floor: float
    aim: float
    other: str = ""
    """Of a comparison: with whom."""


def _share(name: str, floor: float, aim: float, **line: Any) -> Figure:
    return Figure(f"{name}: share of a copy", line, "share_of_copy", floor, aim)


def _times(other: str, name: str, floor: float, aim: float, **line: Any) -> Figure:
    return Figure(f"{name}: times faster than {other}", line, "others", floor, aim, other)


PHANTOM = {"what": "labels", "kind": "phantom", "classes": 14, "dtype": BYTES}
SUMS = {"what": "sums of scores", "channels": 14, "dtype": FLOAT}
BOTH = {"what": "loss and gradient", "channels": 14}
FIGURES = [
    _share("bytes, phantom", 0.75, 0.9, **PHANTOM),
    _share("bytes, noise, 14 classes", 0.6, 0.85, **PHANTOM | {"kind": "noise"}),
    _share("bytes, noise, 150 classes", 0.35, 0.6, **PHANTOM | {"kind": "noise", "classes": 150}),
    _share("int64, phantom", 0.9, 0.95, **PHANTOM | {"dtype": WIDE}),
    _share("int64, noise", 0.9, 0.95, **PHANTOM | {"kind": "noise", "dtype": WIDE}),
    _share("14 logits, float32", 0.8, 0.9, **SUMS),
    _share("14 logits, float16", 0.65, 0.85, **SUMS | {"dtype": HALF}),
    _share("loss and gradient, 14 logits", 0.6, 0.85, **BOTH),
    _times("torchmetrics", "512³, 14 classes", 30, 100, **PHANTOM),
    _times("exacta, Dice", "512³, 14 classes", 2, 5, **PHANTOM),
    _times("monai", "sums of 14 logits", 8, 15, **SUMS),
    _times("torch, eager", "loss and gradient", 5, 10, **BOTH),
    _times("exacta", "loss and gradient", 1.5, 3, **BOTH),
    *(
        Figure(f"a call of {shape}: µs", {"what": "whole call", "shape": shape}, "microseconds_without_waiting", 60, 25)
        for shape in ([256, 256], [128, 128, 128])
    ),
]


def line_of(lines: list[dict[str, Any]], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the first line of results that has what is wanted and did not fail; an empty one where there is none."""
    return next((line for line in lines if wanted.items() <= line.items() and "failed" not in line), {})


def table(lines: list[dict[str, Any]]) -> str:
    """Return a row for each figure, and one for each line of results that is not as it should be."""
    rows = ["| what | floor | aim | found | |", "| --- | --- | --- | --- | --- |"]
    for figure in FIGURES:
        found = line_of(lines, figure.line).get(figure.number)
        found = found.get(figure.other) if isinstance(found, dict) else found
        rows.append(f"| {figure.name} | {figure.floor:g} | {figure.aim:g} | {found} | {_verdict(found, figure)} |")
    wrong = [f"- {problem}: {_short(line)}" for line in lines if (problem := _problem(line))]
    return "\n".join([*rows, "", *(wrong or ["All results are equal to what they were compared with."])]) + "\n"


def _verdict(found: Any, figure: Figure) -> str:
    if not isinstance(found, int | float):
        return "?"
    least = figure.floor > figure.aim  # less is better
    reached = [found <= each if least else found >= each for each in (figure.floor, figure.aim)]
    return "aim" if reached[1] else "floor" if reached[0] else "BELOW"


def _problem(line: dict[str, Any]) -> str:
    """Return what is wrong with a line of results, "" where nothing is."""
    if "failed" in line:
        return "failed"
    if line.get("code", 0) != 0:
        return "ended with an error"
    unequal = line.get("equal") is False or line.get("argmax_equal") is False or line.get("unequal_others")
    far = max(
        line.get("relative_error", 0) / (1e-5 if "loss_error" in line else 1e-6), line.get("loss_error", 0) / 1e-6
    )
    far = max(far, *(each / 1e-2 for each in line.get("losses_away", {}).values()), 0)
    return "not equal" if unequal or not far <= 1 else ""


def _short(line: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in line.items() if name != "at")[-700:]


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())))

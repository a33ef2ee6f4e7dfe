"""Instructions per voxel of the kernels' inner loops, computed from their machine code.

``python benchmarks/gpu_instructions.py`` needs no GPU, but nvdisasm (pip install nvidia-cuda-nvdisasm), on the PATH or named
as an argument. A limit is what a card could do if nothing else held it up: its instructions a second by those of a voxel, its
copy bandwidth by the bytes of a voxel.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import Any, NamedTuple

from fastseg.kernels.cuda.compiler import Specialisation, compiled
from fastseg.kernels.cuda.maps import Lying, Maps
from fastseg.kernels.cuda.scores import Scores, gradient_kernel, sums_kernel
from fastseg.kernels.protocols.scores import ScoreOptions

SIZES = {"u8": 1, "i64": 8, "float": 4, "half": 2}
#: Of an H100 SXM: instructions of single threads a second (multiprocessors, lanes, clock), and bytes copied a second.
INSTRUCTIONS, BANDWIDTH = 132 * 128 * 1.755e9, 3.0e12


class Row(NamedTuple):
    """A kernel, the voxels that its inner loop looks at, and the bytes that move for each."""

    name: str
    what: Specialisation
    voxels: int
    bytes: int


def inner_loop(text: str, mark: str) -> int:
    """Return the instructions of the smallest loop in a disassembly that has the most of those that `mark` occurs in."""
    lines: list[str] = []
    labels: dict[str, int] = {}
    loops: list[list[str]] = []
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = len(lines)
        elif code := re.search(r"/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            lines.append(code[1])
            target = re.search(r"BRA.*`\((\.L_x_\d+)\)", code[1])
            if target and target[1] in labels:
                loops.append(lines[labels[target[1]] :])
    return len(min(loops, key=lambda loop: (-sum(mark in line for line in loop), len(loop))))


def lying(kind: str, step: int = 1) -> Lying:
    return Lying(1 << 20, kind, SIZES[kind], (step,), 1 << 20, 1 << 16)


def rows() -> list[Row]:
    """Return what is looked at."""
    found = []
    for kind, voxels in (("u8", 16), ("i64", 4)):
        what = Maps(lying(kind), lying(kind), None, (99,)).specialised("joint_histogram", ("TABLE", "SHARED"))
        found.append(Row(f"pairs of labels, {kind}", what, voxels, 2 * SIZES[kind]))
    for kind in ("float", "half"):
        for channels in (4, 14, 32):
            scores = of_logits(channels, kind)
            size = channels * SIZES[kind] + 1
            found.append(Row(f"sums of {channels} logits, {kind}", sums_kernel(scores, True), 1, size))
            if channels == 14:
                written = replace(scores, out=lying(kind))
                found.append(Row(f"gradient of {channels} logits, {kind}", gradient_kernel(written), 1, 2 * size - 1))
    return found


def of_logits(channels: int, kind: str) -> Scores:
    wanted = frozenset({"dice", "cross_entropy", "argmax"})
    return Scores(lying(kind), lying("u8"), None, None, (99,), 1, ScoreOptions(channels, "softmax", False, wanted))


def main(tool: str = "nvdisasm", architecture: str = "sm_90") -> None:
    """Print a table."""
    print("| kernel | instructions a voxel | issue limit, Gvoxel/s | bytes a voxel | memory limit, Gvoxel/s |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows():
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(compiled(row.what, architecture, keep=False).code)
            file.flush()
            done: Any = subprocess.run([tool, "-c", file.name], capture_output=True, text=True, check=True)
        number = inner_loop(done.stdout, "LDG.E.128" if row.voxels > 1 else "MUFU.EX2") / row.voxels
        issue, memory = INSTRUCTIONS / number / 1e9, BANDWIDTH / row.bytes / 1e9
        print(f"| {row.name} | {number:.0f} | {issue:,.0f} | {row.bytes} | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

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
from fastseg.kernels.cuda.labels import histogram
from fastseg.kernels.cuda.maps import Lying, Maps
from fastseg.kernels.cuda.scores import Scores, gradient_kernel, sums_kernel
from fastseg.kernels.protocols.device import Limits
from fastseg.kernels.protocols.scores import ScoreOptions

#: What ends a piece of code that is run from the beginning to the end.
LEAVES = re.compile(r"\b(BRA|EXIT|RET)\b")
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
    """Return the instructions of a loop: of the shortest way through it that does most work, which is what `mark` occurs in.

    It is the loop that has most work of all its instructions.
    """
    blocks = blocks_of(text)
    loops = [(target, at) for at, block in enumerate(blocks) for target in block.to if target <= at]
    ways = [way for begin, end in loops if (way := shortest(blocks, begin, end, mark))]
    marks, length = max(ways, key=lambda way: way[0] / way[1])
    assert marks, f"nothing in a loop is {mark}"
    return length


class Block(NamedTuple):
    """Instructions one after the other, and the numbers of the blocks that may come next."""

    lines: list[str]
    to: list[int]


def blocks_of(text: str) -> list[Block]:
    """Return the kernel in a disassembly, in pieces that are run from the beginning to the end."""
    pieces: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            pieces.append((label[1], []))
        elif code := re.search(r"/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            pieces[-1][1].append(code[1])
            if LEAVES.search(code[1]):
                pieces.append(("", []))
    numbers = {label: number for number, (label, _) in enumerate(pieces)}
    blocks = []
    for number, (_, lines) in enumerate(pieces):
        last = lines[-1] if lines else ""
        target = re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", last)
        goes_on = number + 1 < len(pieces) and (not LEAVES.search(last) or bool(re.match(r"@|BRA\.DIV", last)))
        blocks.append(Block(lines, [number + 1] * goes_on + ([numbers[target[1]]] if target else [])))
    return blocks


def shortest(blocks: list[Block], begin: int, end: int, mark: str) -> tuple[int, int] | None:
    """Return marks and instructions of the way from one block to another that has most marks, and fewest instructions."""
    best: dict[int, tuple[int, int]] = {begin: (0, 0)}
    for number in range(begin, end + 1):
        if number in best:
            marks, length = best[number]
            here = (marks + sum(mark in line for line in blocks[number].lines), length - len(blocks[number].lines))
            best[number] = here
            for target in blocks[number].to:
                if number < target <= end:
                    best[target] = max(best.get(target, here), here)
    return (best[end][0], -best[end][1]) if end in best else None


def lying(kind: str, step: int = 1) -> Lying:
    return Lying(1 << 20, kind, SIZES[kind], (step,), 1 << 20, 1 << 16)


def rows() -> list[Row]:
    """Return what is looked at."""
    found = []
    for kind, voxels in (("u8", 32), ("i64", 4)):
        what = histogram(Maps(lying(kind), lying(kind), None, (99,)), 14, 14, Limits(132, 227 << 10)).what
        found.append(Row(f"pairs of labels, {kind}", what, voxels, 2 * SIZES[kind]))
    for kind in ("float", "half"):
        for channels in (4, 14, 32):
            scores = of_logits(channels, kind)
            size = channels * SIZES[kind] + 1
            sums = sums_kernel(scores, True)
            found.append(Row(f"sums of {channels} logits, {kind}", sums, scores.together[0], size))
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
        number = inner_loop(done.stdout, "ATOMS.POPC" if "pairs" in row.name else "MUFU.EX2") / row.voxels
        issue, memory = INSTRUCTIONS / number / 1e9, BANDWIDTH / row.bytes / 1e9
        print(f"| {row.name} | {number:.0f} | {issue:,.0f} | {row.bytes} | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

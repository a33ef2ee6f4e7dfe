"""The README's table of what a GPU can do: ``python benchmarks/gpu_table.py gpu.json``, which `gpu.py` has written."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from gpu_figures import BYTES, FLOAT, HALF, WIDE, line_of

README = Path(__file__).parents[1] / "README.md"
#: Where the table is in there.
BLOCK = re.compile(r"(?<=<!-- gpu -->\n).*?(?=<!-- gpu: end -->)", re.DOTALL)
NOT_YET = "not yet measured"
#: What a row is called, the line of results that it is made of, and with whom it is compared.
ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("label maps, 512³ bytes, 14 classes", {"what": "labels", "kind": "phantom", "dtype": BYTES}, "torchmetrics"),
    ("the same, noise", {"what": "labels", "kind": "noise", "classes": 14, "dtype": BYTES}, "torchmetrics"),
    (
        "the same, noise, 150 classes",
        {"what": "labels", "kind": "noise", "classes": 150, "dtype": BYTES},
        "torchmetrics",
    ),
    ("label maps, 256³ int64, 14 classes", {"what": "labels", "kind": "phantom", "dtype": WIDE}, "torchmetrics"),
    ("sums of 14 logits, float32", {"what": "sums of scores", "channels": 14, "dtype": FLOAT}, "torch, eager"),
    ("sums of 14 logits, float16", {"what": "sums of scores", "channels": 14, "dtype": HALF}, "torch, eager"),
    ("loss and gradient of 14 logits, float32", {"what": "loss and gradient"}, "torch, eager"),
]


def table(lines: list[dict[str, Any]]) -> str:
    """Return the table of some results, which says where there are none; of no results a sentence."""
    if not lines:
        return f"[On a GPU of NVIDIA's](docs/guide/gpu.md): {NOT_YET}.\n"
    card = line_of(lines, {"what": "machine"}).get("card", NOT_YET)
    rows = [f"| On a GPU ({card}) | of the speed of copying | another takes |"]
    rows += ["| --- | --- | --- |"]
    for name, wanted, other in ROWS:
        line = line_of(lines, wanted)
        share, times = line.get("share_of_copy"), line.get("others", {}).get(other)
        said = f"{other}: {times}×" if isinstance(times, float) else f"{other}: {NOT_YET}"
        rows.append(f"| {name} | {NOT_YET if share is None else f'{share:.2f}'} | {said} |")
    line = line_of(lines, {"what": "whole call", "shape": [128, 128, 128]})
    micro = line.get("microseconds_without_waiting")
    rows.append(f"| a call of 128³, until it returns | {NOT_YET if micro is None else f'{micro} µs'} | |")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Put the table of a file of results into the README."""
    text = README.read_text()
    made = table(json.loads(Path(sys.argv[1]).read_text()))
    README.write_text(BLOCK.sub(lambda _: made, text))


if __name__ == "__main__":
    main()

"""What a GPU machine is asked, in five minutes and one command: ``python benchmarks/gpu.py gpu.json``.

It needs PyTorch for CUDA, cuda-bindings and nvidia-cuda-nvrtc, and asks torchmetrics, pytest and compute-sanitizer, if there.
The file is written again after each line, so that a run that is cut off is still a result. A second process does the work
(`gpu_parts.py`): where it ends, or hangs, at one part, another goes on with the next one. At the end come the figures that are
to be reached (`gpu_figures.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import gpu_figures

HERE = Path(__file__).parent
#: Seconds of all, and those in which a process comes to its first part unless it hangs; a part says how long it may take.
LIMIT, BEGIN_LIMIT = 295, 60
#: What a process ends with whose last line says already why it cannot go on, or that there is no GPU.
SAID, NO_GPU = 3, 4


def command(file: Path, part: int, begun: float) -> list[str]:
    """Return how the parts from one on are asked."""
    return [sys.executable, str(HERE / "gpu_parts.py"), str(file), "--part", str(part), "--begun", str(begun)]


def supervise(file: Path, limit: float = LIMIT, begin_limit: float = BEGIN_LIMIT) -> None:
    """Have all parts asked, whatever happens at one of them."""
    begun, part, marker = time.time(), 0, file.with_suffix(".part")
    roots = [str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))}
    file.unlink(missing_ok=True)
    while True:
        marker.unlink(missing_ok=True)
        errors = file.with_suffix(".errors")
        with errors.open("w") as said:
            child = subprocess.Popen(command(file, part, begun), env=environment, stderr=said, process_group=0)
            code = watched(child, marker, begun + limit, begin_limit)
        end = errors.read_text(errors="replace")[-600:]
        errors.unlink()
        if code in (0, NO_GPU):
            break
        if code != SAID:
            add(file, f"part {reached(marker, part).number}", begun, failed=f"ended with {code}", said=end)
        part = reached(marker, part).number + 1
        if time.time() - begun > limit or not marker.exists():  # no time, or it did not come as far as a part
            break
    marker.unlink(missing_ok=True)


def watched(child: Any, marker: Path, deadline: float, begin_limit: float) -> int | str:
    """Return how a process has ended; it is stopped where a part takes too long, or all of them."""
    part = Reached(0, time.time(), begin_limit)
    while child.poll() is None:
        part = reached(marker, part.number, part)
        slow = time.time() - part.since > part.limit
        if slow or time.time() > deadline:
            os.killpg(child.pid, signal.SIGKILL)  # and the programs that it has started
            child.wait()
            return f"no result within {part.limit:g} seconds" if slow else "no time left"
        time.sleep(0.1)
    return int(child.returncode)


class Reached(NamedTuple):
    """The part that was begun last, when that was, and how many seconds it may take."""

    number: int
    since: float
    limit: float


def reached(marker: Path, part: int, otherwise: Reached | None = None) -> Reached:
    """Return what the file says in which parts are noted down; a part of which nothing is known where it says nothing."""
    try:
        number, since, limit = marker.read_text().split()
        return Reached(int(number), float(since), float(limit))
    except (OSError, ValueError):  # not there yet, or not whole
        return otherwise or Reached(part, time.time(), BEGIN_LIMIT)


def add(file: Path, what: str, begun: float, **more: Any) -> None:
    """Write one more line to the results."""
    lines = json.loads(file.read_text()) if file.exists() else []
    lines.append({"what": what, "at": round(time.time() - begun, 1), **more})
    print(json.dumps(lines[-1]), flush=True)
    file.write_text(json.dumps(lines, indent=1) + "\n")


def main() -> None:
    """Ask all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="where the results go, as JSON")
    file = parser.parse_args().file
    supervise(file)
    print(gpu_figures.table(json.loads(file.read_text())), flush=True)


if __name__ == "__main__":
    main()

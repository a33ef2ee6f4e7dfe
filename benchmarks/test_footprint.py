"""Memory beyond the inputs, start-up times, and the cost per voxel over five orders of magnitude."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import pytest
from harness import peak_mib, record

import fastseg
from fastseg.phantom import phantom_pair

MEMORY = "Peak memory beyond the inputs, MiB"
START = "Start-up: ours / theirs, whole processes"
FLAT = "Cost per voxel against the cost at 2^24 voxels"

ARRAYS = "t = np.zeros((512, 512, 512), np.uint8); p = {p}; t += 1; p += 1"
MEMORY_CASES = {
    "512³ pair": (ARRAYS.format(p="np.zeros_like(t)"), "fastseg.count_labels(t, p, num_classes=14)"),
    "512³, C with F order": (
        ARRAYS.format(p="np.zeros((512, 512, 512), np.uint8, order='F')"),
        "fastseg.count_labels(t, p, num_classes=14)",
    ),
    "40 GB logical, by a stride-0 broadcast": (
        "base = np.ones(2**24, np.uint8); t = p = np.broadcast_to(base, (1200, 2**24))",
        "fastseg.count_labels(t, p, num_classes=14)",
    ),
    "40 GB logical, a sparse .nii pair": (
        "import nibabel, tempfile, os\n"
        "class t: size = 20 * 2**30; dtype = np.uint8\n"
        "p = t\n"
        "folder = tempfile.mkdtemp()\n"
        "header = nibabel.Nifti1Header(); header.set_data_shape((2048, 2048, 5120)); header.set_data_dtype(np.uint8)\n"
        "header['vox_offset'] = 352; header.set_sform(np.eye(4), 1); header['magic'] = b'n+1'\n"
        "paths = [os.path.join(folder, name) for name in ('a.nii', 'b.nii')]\n"
        "for path in paths:\n"
        "    with open(path, 'wb') as file:\n"
        "        file.write(header.binaryblock + bytes(4)); file.truncate(352 + t.size)\n",
        "fastseg.count_files(*paths)",
    ),
}


@pytest.mark.parametrize("name", MEMORY_CASES)
def test_memory(benchmark: Any, name: str) -> None:
    setup, call = MEMORY_CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        warm = "fastseg.count_labels(np.zeros(4096, t.dtype), np.zeros(4096, p.dtype), num_classes=14)"
        peak = benchmark.pedantic(lambda: peak_mib(setup, warm, call, TMPDIR=folder), rounds=1)
        record(
            name, [peak], time.perf_counter() - start,
            group=MEMORY, floor=64, aim=32, unit="", at_most=True,
        )  # fmt: skip


def test_memory_of_surfaces(benchmark: Any) -> None:
    start = time.perf_counter()
    setup = "from fastseg.phantom import phantom_pair; t, p = phantom_pair((512, 512, 512), 14)"
    call = "fastseg.surface_distances({}, {}, spacing=1, labels=range(1, 14))"
    warm, whole = call.format("t[:9]", "p[:9]"), call.format("t", "p")
    peak = benchmark.pedantic(lambda: peak_mib(setup, warm, whole), rounds=1)
    record(
        "surfaces of 512³, 13 classes", [peak], time.perf_counter() - start, group=MEMORY, floor=128, aim=64, unit="",
        at_most=True,
    )  # fmt: skip


def _seconds(code: str, env: dict[str, str] | None = None) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    return time.perf_counter() - start


IMPORT_ALL = "from fastseg import Evaluator, confusion_matrix, count_labels, evaluate, iou, metrics"
FIRST = "import numpy as np, fastseg; a = np.zeros(100, np.uint8); fastseg.confusion_matrix(a, a, num_classes=2)"


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "floor", "aim"),
    [
        ("import fastseg / import numpy", "import fastseg", "import numpy", 1.5, 1.2),
        ("import fastseg, and name its functions / import numpy", IMPORT_ALL, "import numpy", 1.5, 1.2),
        ("first result, warm cache / import numba", FIRST, "import numba", 3.0, 2.0),
    ],
)
def test_start(benchmark: Any, name: str, ours: str, theirs: str, floor: float, aim: float) -> None:
    _seconds(ours)
    rounds = [(_seconds(theirs), _seconds(ours), _seconds("pass")) for _ in range(11)]
    benchmark.pedantic(lambda: None, rounds=1)
    # The interpreter's own start is no part of an import.
    ratios = [(b - empty) / (a - empty) for a, b, empty in rounds]
    record(name, ratios, statistics.median(b for _, b, _ in rounds), group=START, floor=floor, aim=aim, at_most=True)


def test_cold_start(benchmark: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        env = {"NUMBA_CACHE_DIR": folder, "PATH": ""}
        seconds = benchmark.pedantic(lambda: _seconds(FIRST, env), rounds=1)
    record(
        "first result, nothing compiled: seconds",
        [seconds],
        seconds,
        group=START,
        floor=8,
        aim=4,
        unit=" s",
        at_most=True,
    )


def test_flat_cost(benchmark: Any) -> None:
    base = tuple(a.reshape(-1) for a in phantom_pair((256, 256, 256), 14))

    def count(exponent: int) -> float:
        if exponent <= 24:
            # Several small calls on different places, so that none is measured from the cache alone.
            arrays = [
                tuple(a[k << exponent : (k + 1) << exponent] for a in base) for k in range(2 ** min(24 - exponent, 5))
            ]
        else:
            arrays = [tuple(np.broadcast_to(a, (1 << (exponent - 24), a.size)) for a in base)]
        start = time.perf_counter()
        for t, p in arrays:
            fastseg.count_labels(t, p, num_classes=14)
        return (time.perf_counter() - start) / len(arrays) / 2**exponent

    benchmark.pedantic(lambda: None, rounds=1)
    exponents = (16, 18, 20, 22, 24, 26, 28, 30, 33)
    rounds = [{e: count(e) for e in exponents} for _ in range(5)]
    for e in exponents:
        ratios = [costs[e] / costs[24] for costs in rounds]
        record(
            f"2^{e} voxels", ratios, statistics.median(costs[e] for costs in rounds) * 2**e,
            group=FLAT, floor=1.5 if e >= 20 else None, unit="", at_most=True,
        )  # fmt: skip

"""The laws of the design that no single module can keep: who imports whom, memory, exactness at any size, conservation."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import count_labels, count_masks
from fastseg.kernels import BACKENDS
from fastseg.kernels.protocols.labels import MaskTally, Pairs

ROOT = Path(fastseg.__file__).parent

# ---- Which libraries besides the standard one a folder may import, wherever it does; the longest name that fits is its row.
# Whom of the package it may import is said in pyproject.toml, and checked by tests/laws/test_house.py.
LIBRARIES = {
    "counts": "numpy",
    "geometry": "numpy",
    "kernels": "numpy numba llvmlite",
    "kernels.cuda": "numpy cuda",
    "kernels.numpy": "numpy scipy skimage",
    "kernels.protocols": "numpy",
    "arrays": "numpy torch",
    "volumes": (
        "numpy nibabel zlib_ng SimpleITK tifffile imagecodecs zarr numcodecs h5py PIL highdicom pydicom fsspec pycocotools"
    ),
    "metrics": "numpy",
    "metrics.instances": "numpy scipy",
    "labels": "numpy",
    "counting": "numpy dask",
    "api": "numpy pandas dask",
    "runs": "numpy dask distributed",
    "counting.components": "numpy scipy",
    "runs.results": "numpy scipy",
    "runs.comparison": "numpy scipy matplotlib",
    "adapters": "numpy torch",
    "adapters.ignite": "numpy torch ignite",
    "adapters.medpy": "numpy medpy",
    "adapters.mmseg": "numpy torch mmseg",
    "adapters.monai": "numpy torch monai",
    "adapters.nnunet": "numpy nnunetv2",
    "adapters.segmentation_models": "numpy torch segmentation_models_pytorch",
    "adapters.sklearn": "numpy",
    "adapters.torchmetrics": "numpy torch",
    "report": "numpy jinja2 markupsafe matplotlib",
    "cli": "click rich numpy nibabel numba llvmlite scipy",
    "patch.hosts": "evaluate ignite mmseg monai nnunetv2 numpy torch torchmetrics",
    "phantom": "numpy",
}
MODULES = sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in ROOT.rglob("*.py"))


def imported(module: str) -> Iterator[str]:
    """Yield the dotted names of all that a module imports, wherever it does; not what only type checkers see."""
    nodes: list[ast.AST] = [ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())]
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield str(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant))
        nodes.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("module", MODULES)
def test_libraries_of_a_folder(module: str) -> None:
    rows = [row for row in LIBRARIES if f"{module}.".startswith(f"{row}.")]
    allowed = LIBRARIES[max(rows, key=len)].split() if rows else []
    for name in imported(module):
        library = name.partition(".")[0]
        assert library in sys.stdlib_module_names or library in ("fastseg", *allowed), f"{module} imports {name}"


USES = ["0", "fastseg.LabelCounts", "fastseg.Evaluator, fastseg.set_num_threads", "fastseg.iou, dir(fastseg)"]


@pytest.mark.parametrize("use", USES)
def test_import_is_light(use: str) -> None:
    heavy = {
        "numba",
        "llvmlite",
        "scipy",
        "torch",
        "dask",
        "distributed",
        "fsspec",
        "nibabel",
        "pandas",
        "rich",
        "click",
        "matplotlib",
        "sklearn",
    }
    code = f"import sys, fastseg; {use}; print(*({heavy} & set(sys.modules)))"
    child = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (child.stdout, child.stderr) == ("\n", "")


# ---- Memory
MEMORY = """
import numpy as np, fastseg
from pathlib import Path

def memory(name):
    return next(int(l.split()[1]) for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(name)) / 1024

def growth(call):
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest amount so far
    before = memory("VmRSS:")
    result = call()
    return memory("VmHWM:") - before, result

def warm(*arrays, **options):
    fastseg.count_labels(*(a.reshape(-1)[:64] for a in arrays), **options)
"""
BROADCAST = """
base = np.repeat(np.arange(2**18, dtype="u1") % 5, 64)
other = np.roll(base, 7)
outer = 600
warm(base, other, num_classes=5)
y_true, y_pred = (np.broadcast_to(a, (outer, 2**24)) for a in (base, other))
grown, counts = growth(lambda: fastseg.count_labels(y_true, y_pred, num_classes=5))
expected = np.bincount(base.astype(int) * 5 + other, minlength=25).reshape(5, 5) * outer
assert (counts.matrix[0] == expected).all()
"""
ORDERS = """
y_true = np.repeat(np.arange(2**18, dtype="{dtype}") % 5, 512 // np.dtype("{dtype}").itemsize).reshape(512, 512, -1)
y_pred = np.asfortranarray(y_true)
warm(y_true, y_pred, num_classes=5)
mask = y_pred > 0 if {masked} else None
grown, counts = growth(lambda: fastseg.count_labels(y_true, y_pred, num_classes=5, mask=mask))
assert counts.matrix.sum() == np.trace(counts.matrix[0]) == (y_true.size if mask is None else mask.sum())
"""
ERROR = """
y_true = np.zeros(2**26, "u1")
y_pred = y_true.copy()
y_pred[-1] = 9
warm(y_true, y_pred, num_classes=5)
def refused():
    try: fastseg.count_labels(y_true, y_pred, num_classes=5)
    except ValueError as error: return str(error)
grown, message = growth(refused)
assert f"index ({2**26 - 1},)" in message
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc of Linux here")
@pytest.mark.parametrize(
    "code",
    [
        pytest.param(BROADCAST, id="10 GB", marks=pytest.mark.slow),
        pytest.param(ORDERS.format(dtype="u1", masked=False), id="C and F", marks=pytest.mark.slow),
        pytest.param(ORDERS.format(dtype="i2", masked=True), id="C and F, mask", marks=pytest.mark.slow),
        pytest.param(ERROR, id="error"),
    ],
)
def test_a_call_holds_at_most_64_mib(code: str) -> None:
    """Beyond its inputs and results, whatever the volume's size (here 128 MiB a map, where it is not 10 GB)."""
    child = subprocess.run([sys.executable, "-c", f"{MEMORY}{code}\nprint(grown)"], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert float(child.stdout) < 64


# ---- Exact, also beyond 2^31 and 2^32 voxels
LARGE = [2**31 - 1, 2**31 + 1, 2**32 + 1, pytest.param(2**33, marks=pytest.mark.slow)]


@pytest.mark.parametrize("voxels", LARGE)
def test_more_voxels_than_32_bits_count(voxels: int) -> None:
    y_true, y_pred = (np.broadcast_to(np.uint8(label), voxels) for label in (1, 2))
    assert count_labels(y_true, y_pred, num_classes=3).matrix.tolist() == [[[0, 0, 0], [0, 0, voxels], [0, 0, 0]]]
    ones = np.broadcast_to(np.True_, voxels)
    counts = count_masks(ones, ones, channel_axis=None)
    assert (counts.tp.item(), counts.voxels[0, 0].item(), counts.fp.item(), counts.tn.item()) == (voxels, voxels, 0, 0)


@pytest.mark.parametrize("kind", ["runs", "noise", pytest.param("wide noise", marks=pytest.mark.slow)])
def test_tables_beyond_32_bits(kind: str) -> None:
    """A block of voxels again and again: each of its counts is multiplied, and passes 2^32 in sum."""
    size, dtype, times = 2**16 + 3, "u1", 2**16
    rng = np.random.default_rng(5)
    y_true, y_pred = (rng.integers(0, 15 if kind == "noise" else 200, size, dtype) for _ in range(2))
    if kind == "runs":
        y_true, y_pred = np.sort(y_true) % 3, np.sort(y_pred) % 3
    once = count_labels(y_true, y_pred, backend="numpy")
    many = count_labels(*(np.broadcast_to(a, (times, size)) for a in (y_true, y_pred)))
    assert many.labels.tolist() == once.labels.tolist()
    assert (many.matrix == once.matrix * times).all()
    assert many.voxels.tolist() == (once.voxels * times).tolist()
    assert many.voxels.sum() > 2**32


# ---- Conserved: a counter that loses or invents voxels is found out.
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize(
    "options", [{}, {"sample_weight": [1.0, 1, 1]}, {"mask": [1, 1, 0]}, {"ignore_index": 2}], ids=str
)
def test_conservation(options: dict[str, Any], change: int, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(BACKENDS[backend])

    class Careless(module.PairCounter):
        def take(self, declared: Any = None) -> Any:
            found = super().take(declared)
            name = "times" if isinstance(found, Pairs) else "sums"
            wrong = getattr(found, name).copy()
            wrong.flat[0] += change
            return found._replace(**{name: wrong})

    class CarelessMasks(module.MaskCounter):
        def count(self, block: Any) -> MaskTally:
            found = super().count(block)
            name = "inside" if "sample_weight" in options else "sums"
            wrong = getattr(found, name).copy()
            wrong.flat[0] += change
            return found._replace(**{name: wrong})

    monkeypatch.setattr(module, "PairCounter", Careless)
    monkeypatch.setattr(module, "MaskCounter", CarelessMasks)
    for closed in ({}, {"num_classes": 3}):
        with pytest.raises(RuntimeError, match="voxels were lost or counted twice"):
            count_labels([0, 1, 2], [0, 1, 1], **options, **closed, backend=backend)
    if "ignore_index" not in options:
        with pytest.raises(RuntimeError, match="voxels were lost or counted twice"):
            count_masks([0, 1, 1], [0, 1, 1], channel_axis=None, **options, backend=backend)

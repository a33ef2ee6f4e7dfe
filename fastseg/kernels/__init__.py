"""The backends: packages with a `PairCounter`, a `MaskCounter` (the protocols are in `fastseg.kernels.protocols.labels`), a
`ScoreCounter`, a `GradientWriter` (in `fastseg.kernels.protocols.scores`), a `SurfaceMeasurer` (in
`fastseg.kernels.protocols.surfaces`), `component_runs`, `paint_runs` and `run_overlaps` (in
`fastseg.kernels.protocols.components`) and `transpose_into`.

`numpy` is slow, obvious, normative. `numba` has the kernels that are compiled through its `jit`: those of labels and masks on
the 64-lane primitives of `simd.lanes`, those of scores on the vectors of numbers of `simd.vectors`. Importing this package
imports none of them.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

from fastseg.kernels.loading import loading

__all__ = ["BACKENDS", "counter_of", "device_backend"]

#: Name of each backend and its module.
BACKENDS = {"numpy": "fastseg.kernels.numpy", "numba": "fastseg.kernels.numba"}
#: That of arrays which lie on a GPU.
_CUDA = "fastseg.kernels.cuda"


def device_backend(backend: str, place: str) -> Any:
    """Return the module that counts arrays in the memory of that GPU; ValueError if another is asked for."""
    if backend not in ("auto", "cuda"):
        raise ValueError(f"backend: expected 'auto' or 'cuda' for arrays in the memory of {place}, found {backend!r}")
    return _load(_CUDA)


def counter_of(backend: str) -> Any:
    """Return the module of a backend, which has a `PairCounter` and a `MaskCounter`.

    Raises
    ------
    ValueError
        If there is no such backend.
    """
    if backend == "cuda":
        raise ValueError(
            "backend: expected 'auto', 'numba' or 'numpy' for arrays in the memory of the CPU, found 'cuda'"
        )
    name = "numba" if backend == "auto" else backend
    if not isinstance(name, str) or name not in BACKENDS:
        raise ValueError(f"backend: expected 'auto' or one of {sorted(BACKENDS)}, found {backend!r}")
    return _load(BACKENDS[name])


@functools.cache
def _load(name: str) -> Any:
    with loading():
        return importlib.import_module(name)

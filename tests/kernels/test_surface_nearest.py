"""Both searches for the nearest element: with little room for masks, of many rows, and as far as is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.surface_paths import all_ways

from fastseg import surface_distances
from fastseg.kernels.numba import surface_nearest
from fastseg.kernels.numba.surface_grid import grid_of
from fastseg.kernels.numba.surface_nearest import reach_of


def same(true: Any, pred: Any, **options: Any) -> None:
    """Raise AssertionError where the backends differ."""
    expected = surface_distances(true, pred, backend="numpy", **options)
    assert all_ways(true, pred, **options) == expected


def test_room_for_masks_may_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    true, pred = (random.random((20, 30, 40)) < share for share in (0.05, 0.002))
    for words in (1000, 5000, 20000):
        monkeypatch.setattr(surface_nearest, "_ARENA", words)
        grid_of.cache_clear()
        for spacing in (1, (0.7, 1.1, 0.9)):
            same(true, pred, spacing=spacing)


def test_planes_of_many_rows_and_of_few() -> None:
    true, pred = np.zeros((2, 90, 130, 40), bool)
    true[0], true[3, 60:70] = True, True
    pred[-1] = np.random.default_rng(1).random(pred.shape[1:]) < 0.02
    for spacing in (1, (0.7, 1.3, 0.4)):
        same(true, pred, spacing=spacing)


def test_what_is_farther_than_asked_for_is_infinite() -> None:
    random = np.random.default_rng(2)
    true, pred = (random.random((50, 60)) < share for share in (0.05, 0.002))
    for most in (0, 1, 3.5, 12.5, 40, 1000):
        same(true, pred, spacing=(1, 0.5), max_distance=most)
        same(true, pred, spacing=(1, 0.5), surface="surfel", max_distance=most)


@pytest.mark.parametrize("steps", [(1, 1, 1), (3, 0.7, 0.7), (0.3, 0.3, 5), (1e-90, 1, 1e90)])
@pytest.mark.parametrize("shape", [(300, 300, 300), (1, 1, 1), (5, 1, 900), (700, 600, 20)])
def test_all_that_is_nearer_than_the_limit_is_near_by(steps: Any, shape: Any) -> None:
    along = [(np.arange(n) * step) ** 2 for n, step in zip(shape, steps, strict=True)]
    for farthest in (np.inf, 0.0, 4.0):
        reach = reach_of(along, steps[2], farthest)
        assert reach.offsets[2] < 32
        assert reach.squares.size == np.prod(reach.offsets + 1) + 1 <= 2**15 + 1
        for each, most in zip(along, reach.offsets, strict=True):
            assert each[most] < reach.limit
            assert most + 1 == each.size or each[most + 1] >= reach.limit
        assert reach.closed == (farthest < reach.limit and farthest < np.inf)
        assert (reach.levels[1:] >= reach.levels[:-1]).all()
        assert reach.levels[-1] == np.inf

"""Components as runs: both backends are a flood fill, and their overlaps are those of the maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from fastseg import label_components
from fastseg.kernels import counter_of
from fastseg.kernels.numba import components
from fastseg.kernels.protocols.components import ComponentRuns

NEIGHBOURS = {2: (4, 8), 3: (6, 18, 26)}


def painted(runs: ComponentRuns, shape: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(int(np.prod(shape)), np.int64)
    for start, stop, number in zip(runs.starts, runs.stops, runs.ids, strict=True):
        assert not found[start:stop].any()
        found[start:stop] = number
    return found.reshape(shape)


def maps(dtype: Any) -> st.SearchStrategy[np.ndarray]:
    shapes = st.lists(st.integers(1, 7), min_size=1, max_size=2).flatmap(
        lambda sides: st.integers(1, 20).map(lambda width: (*sides, width))
    )
    values = st.booleans() if dtype is bool else st.integers(-2 if np.dtype(dtype).kind == "i" else 0, 2)
    return shapes.flatmap(lambda shape: arrays(dtype, shape, elements=values))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", [bool, np.int16])
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_components_are_those_of_the_map(backend: str, dtype: Any, data: st.DataObject) -> None:
    labels = data.draw(maps(dtype))
    neighbours = data.draw(st.sampled_from(NEIGHBOURS[labels.ndim]))
    runs = counter_of(backend).component_runs(labels, neighbours)
    found = painted(runs, labels.shape)
    assert found.tolist() == label_components(labels, neighbours).tolist()
    assert (runs.starts[1:] >= runs.stops[:-1]).all()
    assert runs.values.dtype == labels.dtype
    assert [labels[found == k][0] for k in range(1, len(runs.values) + 1)] == runs.values.tolist()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_overlaps_are_those_of_the_maps(data: st.DataObject) -> None:
    one = data.draw(maps(bool))
    other = data.draw(arrays(bool, one.shape))
    found = []
    for backend in ("numba", "numpy"):
        module = counter_of(backend)
        runs = [module.component_runs(each, NEIGHBOURS[one.ndim][0]) for each in (one, other)]
        found.append([each.tolist() for each in module.run_overlaps(*runs)])
    assert found[0] == found[1]
    assert sum(found[0][2]) == (one & other).sum()


def test_more_runs_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "_FIRST_ROOM", 1)
    mask = np.zeros((3, 50, 33), bool)
    mask[..., ::2] = True
    mask[1] = np.random.default_rng(0).random((50, 33)) < 0.5
    runs = components.component_runs(mask, 6)
    assert (painted(runs, mask.shape) > 0).tolist() == mask.tolist()
    assert painted(runs, mask.shape).tolist() == label_components(mask, 6).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.dtype(">i2"), np.float32])
def test_views_and_other_types(dtype: Any) -> None:
    drawn = np.random.default_rng(1).integers(0, 3, (6, 40, 9)).astype(dtype)
    wanted = drawn if np.dtype(dtype).kind in "iu" else (drawn > 0)
    for view in (wanted, wanted[:, ::2], wanted.T, wanted[::-1, 1:, 1:]):
        runs = components.component_runs(view, 18)
        assert painted(runs, view.shape).tolist() == label_components(view, 18).tolist()
    assert components.component_runs(np.zeros((0, 3), bool), 4).values.size == 0
    large = np.array([[2**64 - 1, 0, 2**63]], np.uint64)
    assert components.component_runs(large, 4).values.tolist() == [2**64 - 1, 2**63]

"""Binary maps on a GPU give the same counts as in the memory of the CPU."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.cuda.on_cpu import Cpu, Tensor

import fastseg
from fastseg import count_masks
from fastseg.kernels.cuda import driver

TYPES = ["u1", "f4", *(pytest.param(each, marks=pytest.mark.slow) for each in ("?", "i8", "u4", "i2", "f2", "f8"))]


def maps(shape: Any, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.random(shape) < 0.6, rng.random(shape) < 0.4


def same(true: Any, pred: Any, mask: Any = None, **options: Any) -> None:
    ours = count_masks(Tensor(true), Tensor(pred), mask=None if mask is None else Tensor(mask), **options)
    assert ours == count_masks(true, pred, mask=mask, **options, backend="numpy")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ["first", "last"])
def test_types_and_orders(cpu: Cpu, dtype: str, order: str) -> None:
    true, pred = (each.astype(dtype) for each in maps((2, 3, 5, 67)))
    inside = maps((2, 5, 67), seed=1)[0]
    if order == "last":
        true, pred = (np.ascontiguousarray(np.moveaxis(each, 1, -1)) for each in (true, pred))
    options: dict[str, Any] = {"channel_axis": 1 if order == "first" else -1, "sample_axis": 0}
    same(true, pred, **options)
    same(true, pred, inside, **options)
    same(true, pred.astype("u1"), inside.astype("i8") * 7, **options)


@settings(max_examples=30)
@given(data=st.data())
def test_any_steps(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=5))
    where = tuple(slice(None, None, data.draw(st.sampled_from((1, -1, 2)))) for _ in shape)
    order = data.draw(st.permutations(range(len(shape))))
    true, pred = (each.astype("u1").transpose(order)[where] for each in maps(shape))
    channel, sample = data.draw(st.permutations(range(len(shape))))[:2]
    channel, sample = data.draw(st.sampled_from(((channel, sample), (channel, None), (None, sample), (None, None))))
    plain = tuple(size for axis, size in enumerate(true.shape) if axis != channel)
    mask = maps(plain, seed=1)[0] if data.draw(st.booleans()) else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_driver", Cpu(data.draw(st.integers(1, 3))))
        same(true, pred, mask, channel_axis=channel, sample_axis=sample)


def test_many_channels_of_many_samples(cpu: Cpu) -> None:
    same(*maps((300, 250, 2)), channel_axis=1, sample_axis=0)


@pytest.mark.parametrize("wrong", [2, -1, 0.5, np.nan])
def test_what_is_wrong_is_said_in_the_same_words(cpu: Cpu, wrong: float) -> None:
    true, pred = (each.astype("f4") for each in maps((2, 40)))
    pred[1, 7] = wrong
    with pytest.raises(ValueError, match="y_pred") as here:
        count_masks(true, pred, channel_axis=0)
    with pytest.raises(ValueError, match=re.escape(str(here.value))):
        _ = count_masks(Tensor(true), Tensor(pred), channel_axis=0).tp
    inside = np.arange(40) != 7
    same(true, pred, inside, channel_axis=0)


def test_what_cannot_be_counted_there(cpu: Cpu) -> None:
    true, pred = map(Tensor, maps((20,)))
    with pytest.raises(ValueError, match="sample_weight: .* found one in that of the CPU"):
        count_masks(true, pred, channel_axis=None, sample_weight=np.ones(20))
    with pytest.raises(ValueError, match="backend"):
        count_masks([True], [True], channel_axis=None, backend="cuda")


@pytest.mark.parametrize(("dtype", "weights"), [("f4", "f8"), pytest.param("?", "u2", marks=pytest.mark.slow)])
def test_weighted_masks(cpu: Cpu, dtype: str, weights: str) -> None:
    true, pred = (each.astype(dtype) for each in maps((2, 3, 5, 67)))
    weight = (np.random.default_rng(2).random((2, 5, 67)) * 900).astype(weights)
    options: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0}
    for inside in (None, maps((2, 5, 67), seed=1)[0]):
        given = None if inside is None else Tensor(inside)
        ours = count_masks(Tensor(true), Tensor(pred), mask=given, sample_weight=Tensor(weight), **options)
        theirs = count_masks(true, pred, mask=inside, sample_weight=weight, **options, backend="numpy")
        assert ours.voxels.tolist() == theirs.voxels.tolist()
        for name in ("tp", "fp", "fn", "tn"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-13, atol=0)
    if weights == "f8":
        weight[1, 2, 3] = -1
        with pytest.raises(ValueError, match=r"sample_weight: .*\(1, 2, 3\)"):
            _ = count_masks(Tensor(true), Tensor(pred), sample_weight=Tensor(weight), **options).tp


def test_functions_of_masks(cpu: Cpu) -> None:
    true, pred = maps((2, 3, 50))
    options: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0}
    ours = fastseg.dice(Tensor(true), Tensor(pred), **options)
    np.testing.assert_array_equal(ours, fastseg.dice(true, pred, **options))

"""Maps of bytes, of which sixteen voxels are looked at at once: whatever labels there are, and whatever lies between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor

from fastseg import count_labels, count_masks
from fastseg.kernels.cuda import driver

#: Voxels: more than the warps of some blocks read at once, and some that are left.
VOXELS = 20_011


def same(true: Any, pred: Any, mask: Any = None, **options: Any) -> dict[str, Any]:
    """Compare with the reference; return how the kernel was compiled."""
    cpu = Cpu()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_driver", cpu)
        found = count_labels(Tensor(true), Tensor(pred), mask=None if mask is None else Tensor(mask), **options)
        assert found == count_labels(true, pred, mask=mask, **options, backend="numpy")
    return dict(cpu.launched[-1].macros)


def maps(values: Any, seed: int = 0) -> tuple[Any, Any]:
    """Return maps of noise, of which some parts have one pair of labels alone."""
    rng = np.random.default_rng(seed)
    true, pred = (rng.choice(values, VOXELS) for _ in range(2))
    for begin in range(0, VOXELS - 2000, 5000):
        true[begin : begin + 2000], pred[begin : begin + 2000] = rng.choice(values, 2)
    return true, pred


@pytest.mark.parametrize("classes", [1, 2, 100, 127, 128, 129, 200, 255, 256])
def test_labels_that_are_codes(cpu: Cpu, classes: int) -> None:
    true, pred = (each.astype("u1") for each in maps(range(classes)))
    macros = same(true, pred, num_classes=classes)
    assert (macros["WORDS"], macros["VECTOR"]) == (1, 16)
    same(true, maps(range(256), seed=1)[1].astype("u1"), num_classes=classes, unknown="count")


@pytest.mark.parametrize("dtype", ["u1", "i1", "?"])
def test_labels_that_are_looked_up(cpu: Cpu, dtype: str) -> None:
    values = [*range(-128, 128)] if dtype == "i1" else [0, 1] if dtype == "?" else [*range(256)]
    true, pred = (each.astype(dtype) for each in maps(values))
    labels: list[tuple[Any, Any]] = [
        ([0, 1], None), ([*range(20), 99], 99), ([0, 1, 2, 7, 100], None), ([5], None), ([*range(20, 90)], 70)
    ]  # fmt: skip
    for declared, ignored in labels[:3:2] if dtype == "?" else labels:
        known = maps(values[:2] if dtype == "?" else declared)[0].astype(dtype)
        assert same(known, pred, labels=declared, ignore_index=ignored, unknown="count")["WORDS"] == 1
    if dtype == "i1":
        assert same(true, pred, labels=values)["WORDS"] == 0  # the code of all else is none of a byte
        same(np.maximum(true, -127), pred, labels=values[1:], unknown="count")
    if dtype == "u1":
        assert same(true, pred, labels=[-1, *values])["WORDS"] == 0
        same(true, pred, labels=[*values, 256, 300])


def test_one_label_is_ignored_as_many_datasets_have_it(cpu: Cpu) -> None:
    true, pred = (each.astype("u1") for each in maps(range(19)))
    true[::13] = 255
    same(true, pred, num_classes=19, ignore_index=255)


def test_bytes_that_are_true(cpu: Cpu) -> None:
    true, pred = (each.astype("u1").view(bool) for each in maps([0, 1, 2, 255]))
    same(true, pred, num_classes=2)
    same(true, pred.view("u1"), labels=[0, 1, 2, 255])
    assert_masks(true[None], pred[None], None)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1"])
def test_a_mask_of_bytes(cpu: Cpu, dtype: str) -> None:
    true, pred = (each.astype("u1") for each in maps(range(7)))
    for inside in (np.arange(VOXELS) % 3 > 0, np.arange(VOXELS) > 700, np.zeros(VOXELS)):
        mask = inside.astype(dtype)
        assert same(true, pred, mask, num_classes=7)["WORDS"] == 1
        if dtype != "?":
            same(true, pred, np.where(mask, 100, 0).astype(dtype), num_classes=7)
            same(true, pred, -mask, num_classes=7)


def test_many_threads_to_a_block_of_a_large_table(cpu: Cpu) -> None:
    macros = same(*(each.astype("u1") for each in maps(range(150))), num_classes=150)
    assert (macros["THREADS"], macros["BLOCKS"], macros["TABLE"]) == (1024, 1, "SHARED")


def assert_masks(true: Any, pred: Any, mask: Any) -> None:
    options: dict[str, Any] = {"channel_axis": 0}
    found = count_masks(Tensor(true), Tensor(pred), mask=None if mask is None else Tensor(mask), **options)
    assert found == count_masks(true, pred, mask=mask, **options, backend="numpy")


@pytest.mark.parametrize("dtype", ["?", "u1", "i1"])
def test_binary_maps(cpu: Cpu, dtype: str) -> None:
    rng = np.random.default_rng(0)
    true, pred = ((rng.random((3, 4096)) < 0.5).astype(dtype) for _ in range(2))
    inside = rng.random(4096) < 0.7
    assert_masks(true, pred, None)
    assert_masks(true, pred, inside)
    assert_masks(true, pred, inside.astype("i1") * -3)
    if dtype != "?":
        pred[2, 3000] = 2
        assert_masks(true, pred, np.arange(4096) != 3000)
        with pytest.raises(ValueError, match=r"y_pred: .* 2 at index \(2, 3000\)"):
            _ = count_masks(Tensor(true), Tensor(pred), channel_axis=0).tp

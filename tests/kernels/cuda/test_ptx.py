"""What NVIDIA's compiler makes of the kernels counts as the reference does: PTX, run by a machine that forgives nothing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Tensor
from support.cuda.ptx_on_cpu import PtxCpu, PtxFaultError, run_ptx_on_cpu

from fastseg import count_labels, count_masks
from fastseg.kernels.cuda import driver

RNG = np.random.default_rng(9)
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "?", "f2", "f4", "f8")
QUICK = ("u1", "i8")


def slow(*values: Any) -> list[Any]:
    return [pytest.param(each, marks=pytest.mark.slow) for each in values]


def maps(shape: tuple[int, ...], classes: int = 5) -> tuple[Any, Any]:
    """Return two maps that have runs, and single voxels that differ."""
    true = np.repeat(RNG.integers(0, classes, shape), 3, axis=-1)[..., : shape[-1]]
    return true, np.where(RNG.random(shape) < 0.3, RNG.integers(0, classes, shape), true)


def on_gpu(array: Any) -> Any:
    """Return an array on the GPU that is a machine, which lets kernels look at no other memory."""
    return None if array is None else driver.driver().tensor(array)


def same(true: Any, pred: Any, mask: Any = None, **options: Any) -> None:
    ours = count_labels(on_gpu(true), on_gpu(pred), mask=on_gpu(mask), **options)
    assert ours == count_labels(true, pred, mask=mask, **options, backend="numpy")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> PtxCpu:
    """Run kernels from their PTX."""
    return run_ptx_on_cpu(monkeypatch)


@pytest.mark.parametrize("dtype", [*QUICK, *slow(*(each for each in TYPES if each not in QUICK))])
def test_labels_of_every_type(machine: PtxCpu, dtype: str) -> None:
    classes = 2 if dtype == "?" else 5
    true, pred = maps((3, 7, 141), classes)
    same(true.astype(dtype), pred.astype(dtype), num_classes=classes)
    assert dict(machine.launched[-1].macros)["VECTOR"] == 16 // np.dtype(dtype).itemsize
    if dtype not in QUICK:
        same(true.astype(dtype), pred.astype("u1"), num_classes=classes)
        same(true.astype("i8"), pred.astype(dtype), num_classes=classes)


@pytest.mark.parametrize("classes", [240, *slow(1, 2, 64, 107, 108, 150, 241, 300, 471, 700)])
def test_numbers_of_classes(machine: PtxCpu, classes: int) -> None:
    true, pred = maps((3, 700), classes)
    same(true, pred, num_classes=classes, sample_axis=0)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "voxels"), [("u1", 33_008), ("i1", 9008)])
def test_bytes_of_every_sort(machine: PtxCpu, dtype: str, voxels: int) -> None:
    """Long runs of one pair, labels that are looked up, more than fit seven bits, and none that is declared.

    So many voxels that a thread reads several times at once, and goes round again.
    """
    true, pred = (each.astype(dtype) for each in maps((8, voxels), 120))
    pred[RNG.random(pred.shape) < 0.01] = 125
    true[:, 3000:-4000], pred[:, 2000:-5000] = 7, 3
    mask = RNG.random(true.shape) < 0.9
    for inside in (None, mask.astype("u1")):
        same(true, pred, inside, sample_axis=0, num_classes=120, unknown="count")
        labels = [*range(3, 128), -3]
        same(true, pred, inside, sample_axis=0, labels=labels, ignore_index=[0, 1, 2], unknown="count")
        ignored = [*range(10, 120), 1, 2, 4, 5, 6]
        same(true, pred, inside, sample_axis=0, labels=[0, 3, 7, 8, 9], ignore_index=ignored, unknown="count")
        same(true, pred, inside, sample_axis=0)


@pytest.mark.slow
def test_masks_views_and_labels_that_are_not_declared(machine: PtxCpu) -> None:
    true, pred = (each.astype("u1") for each in maps((6, 5, 113), 7))
    mask = RNG.random(true.shape) < 0.8
    same(true, pred, mask, num_classes=7, ignore_index=3)
    same(true[:, :, 1:], pred[:, :, :-1], num_classes=7, sample_axis=0)
    view = (slice(None), slice(None, None, -1), slice(None, None, 2))
    same(true[view], pred[view], mask[view].astype("i4"), labels=[6, 2, 0, 1, 3], ignore_index=[4, 5], unknown="count")
    same(true.transpose(2, 0, 1), pred.transpose(2, 0, 1).copy(), num_classes=7, sample_axis=1)
    wide = np.array([-(2**63), 2**63 - 1, -7, 0, 1, 2**40, 5])[true]
    same(wide, pred, labels=[-(2**63), 2**63 - 1, -7, 1, 2**40, 5, 0], unknown="count")
    same(wide, pred, mask, sample_axis=0)
    same(true.astype("f4"), pred)
    weight = RNG.random(true.shape)
    ours = count_labels(on_gpu(true), on_gpu(pred), mask=on_gpu(mask), sample_weight=on_gpu(weight), num_classes=7)
    theirs = count_labels(true, pred, mask=mask, sample_weight=weight, num_classes=7, backend="numpy")
    np.testing.assert_allclose(ours.matrix, theirs.matrix, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", ["u1", *slow("?", "i2", "f2", "f4", "f8", "i8")])
def test_binary_maps(machine: PtxCpu, dtype: str) -> None:
    true, pred = ((RNG.random((2, 4, 9008)) < 0.4).astype(dtype) for _ in range(2))
    mask = RNG.random((2, 9008)) < 0.7
    for inside in (None, mask.astype("u1"), mask.astype("i8") * 7):
        ours = count_masks(on_gpu(true), on_gpu(pred), mask=on_gpu(inside), channel_axis=1, sample_axis=0)
        assert ours == count_masks(true, pred, mask=inside, channel_axis=1, sample_axis=0, backend="numpy")
    if dtype != "?":
        pred[1, 2, 8000] = 2
        with pytest.raises(ValueError, match=r"y_pred: .*\(1, 2, 8000\)"):
            _ = count_masks(on_gpu(true), on_gpu(pred), channel_axis=1, sample_axis=0).tp


#: What is done to the text of a kernel, and what the machine says of it.
FAULTS: dict[str, tuple[str, Any, str]] = {
    "one barrier alone": (r"(?s)(?<=bar\.sync).*", lambda found: found[0].replace("bar.sync", "//"), "a race"),
    "a vector beside its place": (
        r"(ld\.global[.\w]*\.v4\.u32\s*\{[^}]*\},\s*\[%rd\d+)\]",
        r"\1+4]",
        "a misaligned address",
    ),
    "a table beyond": (r"(mov\.[ub]\d+\s+%rd?\d+, )tables;", r"\1 1000000;", "beyond the shared memory"),
    "a job of more bytes": (r"(_param_0)\[\d+\]", r"\1[4000]", "bytes of parameters for a kernel that has 4000"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_gpu_would_not_do(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    there, instead, said = FAULTS[fault]
    run_ptx_on_cpu(monkeypatch, changed=lambda text: re.sub(there, instead, text))
    true, pred = (each.astype("u1") for each in maps((3000,)))
    with pytest.raises(PtxFaultError, match=said):
        count_labels(on_gpu(true), on_gpu(pred), num_classes=5)


#: Selectors of bytes and what a warp asks its lanes, and others in their place.
WRONG_BYTES = {
    "pairs of labels": ("20800;", "16720;"),
    "what is no code": ("0xba98", "0xba89"),
    "any for all": ("vote.sync.all", "vote.sync.any"),
    "the lane itself for the first": ("shfl.sync.idx", "shfl.sync.up"),
}


@pytest.mark.parametrize("fault", [None, *WRONG_BYTES])
def test_wrong_bytes_are_seen(monkeypatch: pytest.MonkeyPatch, fault: str | None) -> None:
    there, instead = WRONG_BYTES.get(fault or "", ("", ""))
    run_ptx_on_cpu(monkeypatch, changed=lambda text: text.replace(there, instead) if there else text)
    true = np.concatenate([np.repeat(RNG.integers(0, 5, 30), 256), RNG.integers(0, 5, 6000)]).astype("u1")
    pred = np.where(np.arange(true.size) % 997, true, 9).astype("u1")
    if fault is None:
        same(true, pred, num_classes=5, unknown="count")
        return
    with pytest.raises((AssertionError, ValueError)):
        same(true, pred, num_classes=5, unknown="count")


def test_a_voxel_beyond_the_last(machine: PtxCpu) -> None:
    true, pred = (each.astype("u1") for each in maps((3000,)))
    machine.tensor(true[:-1])
    with pytest.raises(PtxFaultError, match="an address where nothing is"):
        count_labels(Tensor(true), on_gpu(pred), num_classes=5)

"""Sums over scores and gradients by the kernels' PTX: the reference's, and bit for bit those of the kernels' own text."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor, run_text
from support.cuda.ptx_on_cpu import PtxCpu, run_ptx_on_cpu
from support.score_examples import softmax
from support.score_sums import alike

from fastseg import sum_scores
from fastseg.kernels.cuda import driver
from fastseg.kernels.cuda.maps import Lying
from fastseg.kernels.cuda.scores import SCORE_QUANTITIES, Scores, write_gradient
from fastseg.kernels.protocols.device import Device
from fastseg.kernels.protocols.scores import GradientTerms, ScoreOptions
from fastseg.losses import dice_cross_entropy_with_gradient, dice_focal_loss_with_gradient

RNG = np.random.default_rng(21)
EVERY = sorted(SCORE_QUANTITIES)
SIZES = {"float": ("f4", 4), "half": ("u2", 2), "bfloat16": ("u2", 2)}


class Text(Cpu):
    """Runs kernels from their own text, whatever else does."""

    run = staticmethod(run_text)


def slow(*values: Any) -> list[Any]:
    return [pytest.param(*each, marks=pytest.mark.slow) for each in values]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> PtxCpu:
    """Run kernels from their PTX."""
    return run_ptx_on_cpu(monkeypatch)


def example(channels: int, activation: str | None, soft: bool, dtype: str = "f4") -> tuple[Any, Any]:
    """Return a truth and scores of two samples of 8 x 95 voxels, channels last."""
    z = RNG.normal(0, 3, (2, 8, 95, channels))
    if activation is None:
        z = softmax(z) if channels > 1 else 1 / (1 + np.exp(-z))
    if dtype == "u1":
        z = np.floor(100 * z)
        z[..., 0] += 100 - z.sum(-1)
    if not soft:
        return RNG.integers(0, max(2, channels), z.shape[:-1]).astype("u1"), z.astype(dtype)
    return RNG.dirichlet(np.ones(max(2, channels)), z.shape[:-1])[..., :channels].astype("f4"), z.astype(dtype)


def planes_of(array: Any) -> Any:
    """Return values with their channels first, of voxels that can be read some at once, but for the last."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)).reshape(2, -1, 760)[..., :757]


def on_gpu(array: Any) -> Any:
    """Return an array on the GPU that is a machine, which lets kernels look at no other memory."""
    return driver.driver().tensor(array) if isinstance(array, np.ndarray) else array


def same(true: Any, score: Any, **options: Any) -> None:
    ours = sum_scores(on_gpu(true), on_gpu(score), **{name: on_gpu(value) for name, value in options.items()})
    alike(ours, sum_scores(true, score, **options, backend="numpy"))


WAYS = [
    (4, "softmax", False, "f2", {}),
    *slow(
        (14, "softmax", False, "f4", {}), (32, "softmax", False, "f2", {}), (40, "softmax", False, "f4", {}),
        (1, "sigmoid", False, "f2", {}), (5, "softmax", True, "f4", {"quantities": EVERY}),
        (5, "sigmoid", True, "f4", {"quantities": EVERY}), (3, None, False, "f4", {"quantities": EVERY}),
        (3, None, False, "u1", {"scale": 100}), (1, None, True, "f4", {}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("channels", "activation", "soft", "dtype", "more"), WAYS)
def test_sums(machine: PtxCpu, channels: int, activation: str | None, soft: bool, dtype: str, more: Any) -> None:
    true, score = example(channels, activation, soft, dtype)
    if activation == "softmax":
        score[0, 0, :, -1] = -np.inf
    options = {"activation": activation, "sample_axis": 0, "ignore_index": None if soft else [1, 7], **more}
    planes = [planes_of(each) if each.ndim == 4 else each.reshape(2, 760)[:, :757] for each in (true, score)]
    same(*planes, channel_axis=1, **options)
    view = (slice(None), slice(None, None, -1), slice(None, None, 3))
    mask = RNG.random((2, 8, 95)) < 0.7
    same(true[view], score[view], mask=mask[view], **options)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_sums_of_many_voxels(machine: PtxCpu, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """A part of so many that its threads add up several times what they have."""
    monkeypatch.setattr("fastseg.kernels.cuda.scores._MOST_PARTS", 2)
    score = RNG.normal(0, 3, (2, 4, 9680)).astype(dtype)
    true = RNG.integers(0, 4, (2, 9680)).astype("u1")
    same(true[:, :9677], score[..., :9677], channel_axis=1, activation="softmax", sample_axis=0, ignore_index=2)


@pytest.mark.slow
@pytest.mark.parametrize(("soft", "activation"), [(False, "softmax"), (True, "sigmoid")])
def test_weighted_sums(machine: PtxCpu, soft: bool, activation: str) -> None:
    true, score = example(4, activation, soft)
    weight = RNG.random((2, 8, 95)) * 900
    same(true, score, sample_weight=weight, mask=RNG.random(weight.shape) < 0.7, activation=activation, sample_axis=0)


@pytest.mark.torch
@pytest.mark.slow
def test_sums_of_bfloat16(machine: PtxCpu, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from support.cuda.tensors import pretended

    monkeypatch.setattr(importlib.import_module("fastseg.arrays.device"), "_stream", lambda *_: 0)
    true, score = example(4, "softmax", False)
    brief = torch.from_numpy(score).to(torch.bfloat16)
    ours = sum_scores(pretended(torch.from_numpy(true)), pretended(brief), activation="softmax", sample_axis=0)
    assert dict(machine.launched[0].macros)["SCORE"] == "bfloat16"
    alike(ours, sum_scores(true, brief.float().numpy(), activation="softmax", sample_axis=0, backend="numpy"))


GRADIENTS = [
    ("softmax", 5, False, "f4", {"ignore_index": 2}, dice_cross_entropy_with_gradient),
    *slow(
        ("softmax", 5, False, "f2", {"dice_weight": 300.0, "ce_weight": 300.0}, dice_cross_entropy_with_gradient),
        ("sigmoid", 5, True, "f4", {}, dice_cross_entropy_with_gradient),
        ("softmax", 40, False, "f4", {"squared": False}, dice_cross_entropy_with_gradient),
        (None, 5, False, "f4", {}, dice_cross_entropy_with_gradient),
        ("softmax", 5, False, "f4", {"ignore_index": 2}, dice_focal_loss_with_gradient),
        ("sigmoid", 3, True, "f4", {"gamma": 1.5}, dice_focal_loss_with_gradient),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "channels", "soft", "dtype", "more", "loss"), GRADIENTS)
def test_gradients(
    machine: PtxCpu, activation: str | None, channels: int, soft: bool, dtype: str, more: Any, loss: Callable[..., Any]
) -> None:
    true, score = example(channels, activation, soft, dtype)
    out = np.full(score.shape, np.nan, dtype)
    value, _ = loss(on_gpu(true), on_gpu(score), out=on_gpu(out), activation=activation, **more)
    wanted, gradient = loss(true, score, activation=activation, backend="numpy", **more)
    assert value == pytest.approx(wanted, rel=1e-6)
    rel, least = (2e-3, 1e-4) if dtype == "f2" else (1e-5, 1e-6 * np.abs(gradient).max())
    np.testing.assert_allclose(out, gradient, rtol=rel, atol=least)


# ---- Bit by bit


def written(values: Any, kind: str, into: str, **terms: Any) -> Any:
    """Return derivatives by two probabilities a voxel, as the kernel of gradients writes them; the values in both orders."""
    (given, size), (wanted, out_size) = SIZES[kind], SIZES[into]
    score = np.array([values, values[::-1]], given)
    true, out = (np.arange(values.size) % 2).astype("u1"), np.zeros(score.shape, wanted)
    options = ScoreOptions(2, None, False, frozenset({"dice"}))
    lying = [Lying(0, kind, size, (1,), 0, values.size), Lying(0, into, out_size, (1,), 0, values.size)]
    scores = Scores(lying[0], Lying(0, "u8", 1, (1,)), None, lying[1], (values.size,), 1, options)
    given_terms = dict.fromkeys(GradientTerms.__annotations__, np.zeros(2, np.float32)) | terms
    bases = (score.ctypes.data, true.ctypes.data, 0, out.ctypes.data, 0)
    write_gradient(scores, bases, [GradientTerms(**given_terms)], Device(0))
    return out


def converted(values: Any, kind: str, into: str) -> Any:
    """Return numbers of a type in another: the derivatives of a loss that are the scores themselves."""
    out = written(values, kind, into, curve=np.ones(2, np.float32))
    np.testing.assert_array_equal(out[0], out[1, ::-1])
    return out[0]


def awkward(narrow: Any) -> Any:
    """Return float32 numbers around those of a narrow type, and halfway between them; infinities, NaN and tiny ones."""
    numbers = np.unique(narrow[np.isfinite(narrow)].astype(np.float64))
    halfway = ((numbers[1:] + numbers[:-1]) / 2).astype("f4")
    near = [np.nextafter(halfway, np.float32(side)) for side in (-np.inf, np.inf)]
    others = [np.nan, np.inf, -np.inf, 1e-45, -1e-40, 3.4e38, 65519.996, 65520, -65536]
    return np.concatenate([numbers.astype("f4"), halfway, *near, np.array(others, "f4")])


HALVES = np.arange(1 << 16, dtype="u2")
BRIEF = (HALVES.astype("u4") << 16).view("f4")


def brief_bits(values: Any) -> Any:
    """Return the bits of the nearest bfloat16, ties to even, by distances."""
    low = values.view("u4") >> 16
    beyond = ((low + 1) << 16).view("f4").astype("f8")
    beyond[(low & 0x7FFF) == 0x7F7F] = 2.0**128
    size = np.abs(values.astype("f8"))
    off = (size - np.abs(BRIEF[low].astype("f8"))) - (np.abs(beyond) - size)
    with np.errstate(invalid="ignore"):
        return (low + ((off > 0) | ((off == 0) & (low % 2 == 1)))).astype("u2")


@pytest.mark.slow
@pytest.mark.parametrize("of", ["text", "PTX"])
def test_numbers_of_16_bits(monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    """All of them are read, and whatever can be is written: to the nearest, ties to even."""
    run_ptx_on_cpu(monkeypatch)
    if of == "text":
        monkeypatch.setattr(driver, "_driver", Text())
    with np.errstate(over="ignore", invalid="ignore"):
        for kind, numbers in (("half", HALVES.view("f2").astype("f4")), ("bfloat16", BRIEF)):
            np.testing.assert_array_equal(converted(HALVES, kind, "float"), numbers)
        values = awkward(HALVES.view("f2"))
        found = converted(values, "float", "half").view("f2")
        np.testing.assert_array_equal(found, values.astype("f2"))
        values = awkward(BRIEF[::9])
        found = converted(values, "float", "bfloat16")
    real = np.isfinite(values)
    np.testing.assert_array_equal(found[real] % 0x8000, brief_bits(values[real]) % 0x8000)
    np.testing.assert_array_equal(BRIEF[found[~real]], values[~real])


@pytest.mark.slow
def test_text_and_ptx_are_the_same_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is approximated, and products are rounded before they are added."""
    true, score = example(3, None, False)
    chances = RNG.random(5000).astype("f4")
    terms = {name: RNG.normal(0, 1, 2).astype("f4") for name in ("slope", "curve", "level", "base", "hit")}
    found = []
    run_ptx_on_cpu(monkeypatch)
    for each in (Text(), PtxCpu("--fmad=false")):
        monkeypatch.setattr(driver, "_driver", each)
        sums = sum_scores(
            Tensor(true), Tensor(score), sample_axis=0, quantities=["dice", "absolute", "brier", "argmax"]
        )
        found.append((sums, written(chances, "float", "half", **terms)))
    (sums, halves), (others, more) = found
    alike(sums, others, rel=0, least=0)
    np.testing.assert_array_equal(halves, more)
    assert np.unique(halves).size > 3000


# ---- It can fail


def test_a_shuffle_from_a_wrong_lane_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    true, score = example(4, "softmax", False, "f2")
    run_ptx_on_cpu(monkeypatch, changed=lambda text: text.replace("shfl.sync.bfly", "shfl.sync.up"))
    with pytest.raises(AssertionError):
        same(
            true,
            np.moveaxis(score, -1, 1).copy(),
            channel_axis=1,
            activation="softmax",
            sample_axis=0,
        )


def test_inline_ptx_is_what_sees_numbers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    true, score = example(4, "softmax", False, "f2")
    options: dict[str, Any] = {"activation": "softmax", "sample_axis": 0, "channel_axis": 1}

    def total(wrong: float, classes: slice) -> Any:
        given = np.moveaxis(score, -1, 1).copy()
        given[1, classes, 2, 3] = wrong
        return sum_scores(on_gpu(true), on_gpu(given), **options).total

    run_ptx_on_cpu(monkeypatch)
    for wrong, classes in ((np.nan, slice(1, 2)), (np.inf, slice(1, 2)), (-np.inf, slice(None))):
        with pytest.raises(ValueError, match=r"\(1, (1, )?2, 3\)"):
            total(wrong, classes)
    run_ptx_on_cpu(monkeypatch, changed=lambda text: text.replace("max.NaN.f32", "max.f32"))
    total(np.nan, slice(1, 2))

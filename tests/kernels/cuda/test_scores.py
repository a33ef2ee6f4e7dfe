"""Scores on a GPU give the sums of the reference: activations, truths, types, steps, masks, numbers of classes, errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor
from support.score_examples import softmax
from support.score_sums import alike

import fastseg
from fastseg import sum_scores
from fastseg.kernels.cuda import driver
from fastseg.kernels.cuda.scores import SCORE_QUANTITIES

EVERY = sorted(SCORE_QUANTITIES)


def example(
    channels: int, shape: tuple[int, ...], activation: str | None = "softmax", soft: bool = False, seed: int = 0
) -> tuple[Any, Any]:
    """Return a truth and scores with the channels last."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 3, (*shape, channels)).astype("f4")
    if activation is None:
        z = softmax(z) if channels > 1 else 1 / (1 + np.exp(-z))
    if not soft:
        return rng.integers(0, max(2, channels), shape).astype("u1"), z.astype("f4")
    t = rng.dirichlet(np.ones(channels), shape) if channels > 1 else rng.random((*shape, 1))
    return t.astype("f4"), z.astype("f4")


def planes(array: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def same(true: Any, score: Any, mask: Any = None, rel: float = 1e-6, **options: Any) -> Any:
    ours = sum_scores(Tensor(true), Tensor(score), mask=None if mask is None else Tensor(mask), **options)
    alike(ours, sum_scores(true, score, mask=mask, **options, backend="numpy"), rel=rel)
    return ours


WAYS = [
    (5, "softmax", False), (5, "softmax", True), (1, "sigmoid", False),
    *(pytest.param(*each, marks=pytest.mark.slow) for each in (
        (5, "sigmoid", False), (1, None, True), (2, None, False), (33, "softmax", False), (40, "sigmoid", True))),
]  # fmt: skip


@pytest.mark.parametrize(("channels", "activation", "soft"), WAYS)
def test_every_quantity_of_every_order(cpu: Cpu, channels: int, activation: str | None, soft: bool) -> None:
    true, score = example(channels, (2, 9, 83), activation, soft)
    mask = np.random.default_rng(1).random((2, 9, 83)) < 0.7
    options: dict[str, Any] = {"activation": activation, "sample_axis": 0, "quantities": EVERY}
    same(true, score, **options)
    ignored = None if soft else 1
    same(planes(true) if soft else true, planes(score), mask, channel_axis=1, ignore_index=ignored, **options)
    view = (slice(None), slice(None, None, -1), slice(None, None, 3))
    same(true[view], score[view], mask[view].astype("i4") * 7, **options)


@pytest.mark.parametrize("voxels", [1, 127, 513, 4099])
def test_the_usual_quantities_of_any_number_of_voxels(cpu: Cpu, voxels: int) -> None:
    true, score = example(4, (voxels,))
    same(true, score, activation="softmax")
    options: dict[str, Any] = {"activation": "softmax", "sample_axis": None}
    ours = fastseg.dice_cross_entropy_loss(Tensor(true), Tensor(score), **options)
    wanted = fastseg.dice_cross_entropy_loss(true, score, **options, backend="numpy")
    assert ours == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("channels", [2, 14, pytest.param(32, marks=pytest.mark.slow)])
def test_the_usual_quantities_of_some_classes(cpu: Cpu, channels: int) -> None:
    true, score = example(channels, (2, 5, 700))
    mask = np.random.default_rng(2).random((2, 5, 700)) < 0.7
    options: dict[str, Any] = {"activation": "softmax", "sample_axis": 0}
    same(true, planes(score), channel_axis=1, **options)
    assert cpu.launched[-2].name == "label_score_sums"
    if channels == 2:
        view = (slice(None), slice(None, None, -1), slice(None, None, 3))
        same(true[view].astype("i8"), score[view].astype("f2"), mask[view], ignore_index=[1, 7], **options)
        same(true, planes(score), channel_axis=1, quantities="cross_entropy", **options)
        same(true, planes(score), channel_axis=1, quantities=["dice"], **options)


def test_launches_change_no_bit() -> None:
    true, score = example(3, (2, 40_000), seed=3)
    found = []
    options: dict[str, Any] = {"activation": "softmax", "sample_axis": 0}
    for multiprocessors in (1, 3, 132):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "_driver", Cpu(multiprocessors))
            found.append(sum_scores(Tensor(true), Tensor(score), **options))
            found.append(sum_scores(Tensor(true), Tensor(score), quantities=["dice", "brier"], **options))
    for other, first in zip(found[2:], found[:2] * 2, strict=True):
        alike(other, first, rel=0, least=0)


def test_half_precision(cpu: Cpu) -> None:
    true, score = example(4, (3, 70))
    score[0, :4, 1] = [-np.inf, 6e-8, 65504.0, -1e-7]
    same(true.astype("i8"), score.astype("f2"), activation="softmax")


def test_ties_are_the_first(cpu: Cpu) -> None:
    z = np.zeros((6, 4), "f4")
    z[1, 2:] = 1
    z[2] = [-0.0, 0.0, -1, 0.0]
    z[3] = -np.inf
    z[3, 1] = z[3, 3] = -5
    z[4, 3] = np.nextafter(np.float32(0), np.float32(1))
    same(np.arange(6) % 4, z, activation="softmax")
    same(np.arange(6) % 4, z, activation="sigmoid", quantities="argmax")


def test_far_logits_and_tiny_losses(cpu: Cpu) -> None:
    """What is far away alone has an error that grows with the distance, of which float32 holds 24 bits."""
    z = np.array([[30.0, 0.0, -30], [100, -100, 3e38], [1e-3, 0, 80], [0, 0, 17]], "f4")
    for quantities in (["cross_entropy"], ["cross_entropy", "absolute"]):
        sums = same(np.array([0, 2, 2, 2]), z, activation="softmax", quantities=quantities, rel=5e-6)
    assert 0 < sums.cross_entropy.max() < 1e-5


def test_logits_so_large_that_their_exponentials_are_beyond_numbers(cpu: Cpu) -> None:
    most = np.finfo(np.float32).max
    z = np.array(
        [[most, -most, 0], [most, most, 5], [-most, -most, -most], [3e38, 2.9e38, 0], [-3e38, -most, -2.5e38]], "f4"
    )
    for quantities in (["dice", "argmax"], ["dice", "argmax", "brier"]):
        same(np.array([0, 1, 2, 0, 2]), z, activation="softmax", quantities=quantities)
    same(np.array([2, 1, 2, 1, 0]), z, activation="softmax", quantities=["cross_entropy"])
    with pytest.raises(ValueError, match=r"y_score: .*\(1, 1\)"):
        _ = same(np.array([0, 1]), np.array([[0, 1], [1, np.inf]], "f4"), activation="softmax")


@pytest.mark.parametrize("channels", [3, 14, 20, 30])
def test_where_memory_begins_changes_no_bit(cpu: Cpu, channels: int) -> None:
    true, score = example(channels, (2, 1200), seed=4)
    room_true, room_score = np.zeros(2 * 1200 + 3, "u1"), np.zeros(2 * 1200 * channels + 3, "f4")
    found, packed = [], []
    for offset in range(3):
        moved = room_score[offset:][: score.size].reshape(2, channels, 1200)
        moved[:] = np.moveaxis(score, -1, 1)
        labels = room_true[offset:][: true.size].reshape(2, 1200)
        labels[:] = true
        options: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0, "activation": "softmax"}
        found.append(sum_scores(Tensor(labels), Tensor(moved), **options))
        packed.append(dict(cpu.launched[-2].macros)["PACKED"])
    assert packed[:2] == [1, int(channels == 30)]
    for each in found[1:]:
        alike(each, found[0], rel=0, least=0)
    for offset in range(2):  # classes last
        moved = room_score[offset:][: score.size].reshape(score.shape)
        moved[:] = score
        last = sum_scores(Tensor(true), Tensor(moved), sample_axis=0, activation="softmax")
        alike(last, found[0], rel=0, least=0)
        packed.append(dict(cpu.launched[-2].macros)["PACKED"])
    assert packed[3:] == [2, 0]


def test_labels_of_other_types_and_far_away(cpu: Cpu) -> None:
    true, score = example(4, (300,))
    wide = np.where(true == 3, 2**40, true.astype("i8"))
    same(wide, score, activation="softmax", ignore_index=[2**40, 1])
    same(true.astype("f4"), score, activation="softmax")


GOOD = example(3, (4, 50), None)
WRONG: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "NaN": (None, np.nan, {"activation": "softmax"}),
    "infinite": (None, np.inf, {"activation": "softmax"}),
    "no probability": (None, 1.5, {}),
    "label": (3, None, {}),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_the_same_words(cpu: Cpu, case: str) -> None:
    label, score_there, options = WRONG[case]
    true, score = (each.copy() for each in GOOD)
    if label is not None:
        true[2, 7] = label
    if score_there is not None:
        score[2, 7, 1] = score_there
    with pytest.raises(ValueError, match=r"\(2, 7") as here:
        sum_scores(true, score, **options, backend="numpy")
    with pytest.raises(ValueError, match=re.escape(str(here.value))):
        _ = sum_scores(Tensor(true), Tensor(score), **options).total
    same(true, score, np.arange(200).reshape(4, 50) != 107, **options)


def test_no_voxels(cpu: Cpu) -> None:
    same(np.zeros((2, 0), "u1"), np.zeros((2, 0, 3), "f4"), activation="softmax", sample_axis=0)
    assert not cpu.launched


def test_what_cannot_be_summed_there(cpu: Cpu) -> None:
    true, score = map(Tensor, GOOD)
    with pytest.raises(ValueError, match=r"quantities: .* found \['ranks'\]"):
        sum_scores(true, score, quantities="ranks")
    with pytest.raises(ValueError, match="sample_weight: .* found one in that of the CPU"):
        sum_scores(true, score, sample_weight=np.ones((4, 50)))
    with pytest.raises(TypeError, match="y_score: expected float16, bfloat16, float32 or .* found float64"):
        sum_scores(true, Tensor(GOOD[1].astype("f8")))
    with pytest.raises(TypeError, match="y_score: .* integers of at most 16 bits on a GPU, found int32"):
        sum_scores(true, Tensor(GOOD[1].astype("i4")))
    with pytest.raises(ValueError, match="at most 256 classes on a GPU, found 257"):
        sum_scores(Tensor(np.zeros(2, "i8")), Tensor(np.zeros((2, 257), "f4")), activation="softmax")
    with pytest.raises(
        ValueError, match=r"y_true: .* memory of GPU 0, where y_score lies; found one in that of the CPU"
    ):
        sum_scores(GOOD[0], score)

"""Sums over logits and probabilities: against the read ceiling, torch and MONAI, and their memory."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from harness import compare, peak_mib, read_ceiling, record

import fastseg
from fastseg.losses import dice_cross_entropy_with_gradient
from fastseg.phantom import phantom_pair

CEILING = "Scores: time to read the arrays / ours"
PEERS = "Scores, against other libraries: their time / ours"
SHAPE = (128, 128, 128)


def labels(classes: int, shape: tuple[int, ...] = SHAPE, samples: int = 2) -> Any:
    """Return a truth of few runs: the phantom, or for other numbers of classes one cut into slabs."""
    one = phantom_pair(shape, 14)[0] if classes == 14 else np.indices(shape)[0] * classes // shape[0]
    return np.stack([one] * samples).astype(np.uint8)


def logits(classes: int, truth: Any, last: bool = False) -> Any:
    """Return noise about the truth, float32."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((len(truth), classes, *truth.shape[1:]), dtype=np.float32)
    for c in range(classes):
        scores[:, c] += 3 * (truth == c)
    return np.ascontiguousarray(np.moveaxis(scores, 1, -1)) if last else scores


def probabilities(classes: int, truth: Any, last: bool = False) -> Any:
    scores = np.exp(logits(classes, truth))
    scores /= scores.sum(1, keepdims=True)
    return np.ascontiguousarray(np.moveaxis(scores, 1, -1)) if last else scores


def agree(ours: fastseg.ScoreSums, truth: Any, scores: Any, **options: Any) -> None:
    """Compare with the reference, on the first slices of each sample: it is slow."""
    part = np.s_[:, :4]
    where = np.s_[:, :4] if options.get("channel_axis") == -1 else np.s_[:, :, :4]
    truth = truth[where] if truth.ndim == scores.ndim else truth[part]
    fast = fastseg.sum_scores(truth, scores[where], **options)
    slow = fastseg.sum_scores(truth, scores[where], backend="numpy", **options)
    for name in ("true_pred", "pred", "pred_squared", "cross_entropy"):
        if (found := getattr(fast, name)) is not None:
            np.testing.assert_allclose(found, getattr(slow, name), rtol=1e-6)
    assert fast.argmax_counts == slow.argmax_counts
    assert ours.voxels.sum() == scores.size // ours.num_classes


SOFTMAX = {
    "C=14": (14, np.float32, False, SHAPE, 0.30, 0.60),
    "C=14, channels last": (14, np.float32, True, SHAPE, 0.25, 0.50),
    "C=14, float16": (14, np.float16, False, SHAPE, 0.15, 0.30),
    "C=2": (2, np.float32, False, SHAPE, 0.18, 0.36),
    "C=32": (32, np.float32, False, SHAPE, 0.28, 0.56),
    "C=105": (105, np.float32, False, (96, 96, 96), 0.25, 0.50),
}


@pytest.mark.parametrize("case", SOFTMAX)
def test_softmax(benchmark: Any, case: str) -> None:
    classes, dtype, last, shape, floor, aim = SOFTMAX[case]
    truth = labels(classes, shape)
    scores = logits(classes, truth, last).astype(dtype)
    options: dict[str, Any] = {"channel_axis": -1 if last else 1, "sample_axis": 0, "activation": "softmax"}
    agree(fastseg.sum_scores(truth, scores, **options), truth, scores, **options)
    name = f"softmax logits, {case}, 2×{shape[0]}³: cross-entropy, soft Dice, argmax matrix"
    ceiling = read_ceiling(scores, truth)
    compare(
        benchmark, name, lambda: fastseg.sum_scores(truth, scores, **options), ceiling,
        group=CEILING, floor=floor, aim=aim,
    )  # fmt: skip


@pytest.mark.parametrize("case", ["label map", "one-hot, channels first", "one-hot, channels last (V-Net as given)"])
def test_dice_of_probabilities(benchmark: Any, case: str) -> None:
    truth = labels(14)
    last = case.endswith("given)")
    scores = probabilities(14, truth, last)
    if case != "label map":
        truth = fastseg.one_hot(truth, 14, channel_axis=-1 if last else 1, dtype=np.float32)
    options: dict[str, Any] = {"channel_axis": -1 if last else 1, "sample_axis": 0, "quantities": "dice"}
    agree(fastseg.sum_scores(truth, scores, **options), truth, scores, **options)
    ceiling = read_ceiling(scores, truth)
    compare(
        benchmark, f"probabilities, soft Dice only, C=14, 2×128³, {case}",
        lambda: fastseg.sum_scores(truth, scores, **options), ceiling, group=CEILING, floor=0.6, aim=0.9,
    )  # fmt: skip


@pytest.fixture(scope="module")
def batch() -> Any:
    truth = labels(14)
    return truth, logits(14, truth)


OPTIONS: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0, "activation": "softmax"}


def test_torch_eager(benchmark: Any, batch: Any) -> None:
    torch = pytest.importorskip("torch")
    truth, scores = batch
    t, z = torch.from_numpy(truth).long(), torch.from_numpy(scores)

    def peer() -> Any:
        loss = torch.nn.functional.cross_entropy(z, t, reduction="sum")
        p, hot = z.softmax(1), torch.nn.functional.one_hot(t, 14).movedim(-1, 1).float()
        axes = (2, 3, 4)
        sums = (p * hot).sum(axes), (p * p).sum(axes), hot.sum(axes)
        return loss, sums, torch.bincount((t * 14 + z.argmax(1)).reshape(-1), minlength=196)

    ours = fastseg.sum_scores(truth, scores, **OPTIONS)
    loss, sums, matrix = peer()
    assert ours.cross_entropy is not None
    assert ours.argmax_counts is not None
    assert ours.cross_entropy.sum() == pytest.approx(float(loss), rel=1e-4)  # theirs is summed in float32
    np.testing.assert_allclose(ours.true_pred, sums[0].numpy(), rtol=1e-3)
    assert np.array_equal(ours.argmax_counts.matrix.sum(0).reshape(-1), matrix.numpy())
    compare(
        benchmark, "torch eager: cross_entropy, softmax, one_hot, sums, argmax, bincount",
        lambda: fastseg.sum_scores(truth, scores, **OPTIONS), [peer], group=PEERS, floor=60, aim=120, rounds=3, warmup=1,
    )  # fmt: skip


def test_torch_cross_entropy(benchmark: Any, batch: Any) -> None:
    torch = pytest.importorskip("torch")
    truth, scores = batch
    t, z = torch.from_numpy(truth).long(), torch.from_numpy(scores)
    loss = torch.nn.CrossEntropyLoss()

    def ours() -> float:
        return float(fastseg.cross_entropy(truth, scores, channel_axis=1, activation="softmax"))

    assert ours() == pytest.approx(float(loss(z, t)), rel=1e-4)
    name = "torch CrossEntropyLoss, forward"
    compare(benchmark, name, ours, [lambda: loss(z, t)], group=PEERS, floor=4, rounds=5)


def _monai() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        losses = pytest.importorskip("monai.losses")
        return losses.DiceCELoss(to_onehot_y=True, softmax=True, smooth_nr=1e-6, smooth_dr=1e-6, squared_pred=True)


def _exacta() -> Any:
    loss = pytest.importorskip("exacta.losses").DiceCELoss(smooth=1e-6, squared_pred=True)
    return lambda scores, truth: loss(scores, truth[:, 0])


#: The same loss of others: floor and aim of the loss, and of the loss and its gradient.
DICE_CE = {"MONAI": (_monai, (14, 50), (12, 30)), "exacta": (_exacta, (25, 50), (14, 30))}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", DICE_CE)
def test_dice_ce(benchmark: Any, batch: Any, peer: str) -> None:
    torch = pytest.importorskip("torch")
    make, (floor, aim), _ = DICE_CE[peer]
    truth, scores = batch
    loss, t, z = make(), torch.from_numpy(truth)[:, None], torch.from_numpy(scores)

    def ours() -> float:
        return fastseg.dice_cross_entropy_loss(truth, scores, channel_axis=1, activation="softmax")

    assert ours() == pytest.approx(float(loss(z, t)), rel=1e-3)
    name = f"{peer} DiceCELoss, forward"
    compare(benchmark, name, ours, [lambda: loss(z, t)], group=PEERS, floor=floor, aim=aim, rounds=3, warmup=1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", DICE_CE)
def test_dice_ce_gradient(benchmark: Any, batch: Any, peer: str) -> None:
    torch = pytest.importorskip("torch")
    make, _, (floor, aim) = DICE_CE[peer]
    truth, scores = batch
    loss, t, z = make(), torch.from_numpy(truth)[:, None], torch.from_numpy(scores.copy()).requires_grad_()

    def theirs() -> Any:
        z.grad = None
        value = loss(z, t)
        value.backward()
        return value

    room = np.empty_like(scores)

    def ours() -> Any:
        return dice_cross_entropy_with_gradient(truth, scores, channel_axis=1, out=room)

    assert ours()[0] == pytest.approx(float(theirs().detach()), rel=1e-3)
    assert z.grad is not None
    np.testing.assert_allclose(room, z.grad.numpy(), atol=1e-3 * np.abs(room).max())
    name = f"loss and gradient: {peer} DiceCELoss, forward and backward by autograd"
    compare(benchmark, name, ours, [theirs], group=PEERS, floor=floor, aim=aim, rounds=3, warmup=1)


FIRST = "t = np.ones((2, 128, 128, 128), np.uint8); p = np.zeros((2, 14, 128, 128, 128), np.float32); p += 1"
LAST = "t = np.ones((2, 128, 128, 128), np.uint8); p = np.zeros((2, 128, 128, 128, 14), np.float32); p += 1"
SUMS = "fastseg.sum_scores({0}, {1}, channel_axis={2}, sample_axis=0, activation='softmax')"
GRADIENT = FIRST + "; f = fastseg.losses.dice_cross_entropy_with_gradient; out = np.zeros_like(p); out += 1"
CASES = {
    "logits, channels first": (
        FIRST, SUMS.format("t[:, :9, :99, :99]", "p[:, :, :9, :99, :99]", 1), SUMS.format("t", "p", 1),
    ),
    "logits, channels last": (
        LAST, SUMS.format("t[:, :9, :99, :99]", "p[:, :9, :99, :99]", -1), SUMS.format("t", "p", -1),
    ),
    "loss and gradient, beyond the gradient": (
        GRADIENT, "f(t[:, :9], p[:, :, :9], channel_axis=1)", "f(t, p, channel_axis=1, out=out) and None",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_memory(benchmark: Any, case: str) -> None:
    peak = benchmark.pedantic(lambda: peak_mib(*CASES[case]), rounds=1)
    record(case, [peak], 0.0, group="Peak memory beyond the inputs, MiB", floor=64, unit="", at_most=True)

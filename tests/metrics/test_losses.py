"""Losses: their formulas in NumPy, and PyTorch and MONAI as independent oracles, where these mean the same."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from support.score_examples import DATA, C, N, close

from fastseg import negative_log_likelihood, sum_scores
from fastseg.losses import (
    cross_entropy,
    dice_cross_entropy_loss,
    focal_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    jaccard_loss,
    log_cosh_dice_loss,
    soft_dice_loss,
    soft_iou_loss,
    tversky_loss,
)

EPS = 1e-6


def overlap_sums(p: Any, t: Any) -> tuple[Any, ...]:
    flat = [a.reshape(len(a), -1, a.shape[-1]) for a in (p, t)]
    p, t = flat
    return (p * t).sum(1), p.sum(1), t.sum(1), (p * p).sum(1), (t * t).sum(1)


# ---- Formulas, written out.


def test_soft_dice_is_the_formula_that_the_project_started_from() -> None:
    def reference(y_true: Any, y_pred: Any, epsilon: float = 1e-6) -> Any:
        axes = tuple(range(1, y_pred.ndim - 1))
        numerator = 2.0 * np.sum(y_pred * y_true, axes)
        denominator = np.sum(np.square(y_pred) + np.square(y_true), axes)
        return 1 - np.mean((numerator + epsilon) / (denominator + epsilon))

    assert soft_dice_loss(DATA.t, DATA.p) == close(reference(DATA.t, DATA.p))
    assert soft_dice_loss(DATA.t, DATA.p, 5.0) == close(reference(DATA.t, DATA.p, 5.0))
    assert soft_dice_loss(DATA.labels, DATA.p, 5.0) == close(reference(DATA.t, DATA.p, 5.0))
    assert soft_dice_loss(DATA.soft, DATA.p) == close(reference(DATA.soft, DATA.p))
    assert soft_dice_loss(DATA.labels, DATA.z, activation="softmax") == close(reference(DATA.t, DATA.p))
    volume = DATA.t.reshape(N, 3, 3, 11, C), DATA.p.reshape(N, 3, 3, 11, C)
    assert soft_dice_loss(*volume) == close(reference(*volume))
    assert isinstance(soft_dice_loss(DATA.t, DATA.p), float)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("weight", [None, DATA.weight])
def test_overlap_losses_by_their_formulas(squared: bool, background: bool, weight: Any) -> None:
    both, p, t, pp, tt = (a[:, int(not background) :] for a in overlap_sums(DATA.p, DATA.t))
    w = np.ones(p.shape[1]) if weight is None else weight[int(not background) :]
    everything = pp + tt if squared else p + t
    sums = DATA.sums()
    expected = {
        soft_dice_loss: lambda b, e: 1 - (2 * b + EPS) / (e + EPS),
        soft_iou_loss: lambda b, e: 1 - (b + EPS) / (e - b + EPS),
    }
    options = {"squared": squared, "include_background": background, "class_weight": weight}
    for loss, formula in expected.items():
        values = formula(both, everything)
        assert loss(sums, average=None, **options) == close(values)
        assert loss(sums, **options) == close((values @ w / w.sum()).mean())
        assert loss(sums, average="micro", **options) == close(formula(both @ w, everything @ w).mean())
    dice = (expected[soft_dice_loss](both, everything) @ w / w.sum()).mean()
    assert log_cosh_dice_loss(sums, **options) == close(math.log(math.cosh(dice)))
    assert jaccard_loss(sums) == soft_iou_loss(sums)
    options.pop("squared")
    index = (both + EPS) / (both + 0.2 * (p - both) + 0.9 * (t - both) + EPS)
    both_weights = {"alpha": 0.2, "beta": 0.9}
    assert tversky_loss(sums, average=None, **both_weights, **options) == close(1 - index)
    focal = focal_tversky_loss(sums, **both_weights, gamma=2, **options)
    assert focal == close((np.sqrt(1 - index) @ w / w.sum()).mean())


def test_tversky_of_equal_halves_is_dice() -> None:
    sums = DATA.sums()
    assert tversky_loss(sums, epsilon=0) == close(soft_dice_loss(sums, epsilon=0, squared=False))


def test_voxels_that_are_left_out_or_weighted() -> None:
    weight = np.random.default_rng(0).random(DATA.labels.shape)
    valid = DATA.ignored != 255
    both, p, t, _, _ = overlap_sums(DATA.p * (weight * valid)[..., None], DATA.t)
    t = overlap_sums(DATA.p, DATA.t * (weight * valid)[..., None])[2]
    expected = 1 - (2 * both + EPS) / (p + t + EPS)
    options = {"squared": False, "average": None, "sample_weight": weight}
    assert soft_dice_loss(DATA.ignored, DATA.p, ignore_index=255, **options) == close(expected)
    assert soft_dice_loss(DATA.labels, DATA.p, mask=valid, **options) == close(expected)


def test_focal_tversky_defaults_and_single_case() -> None:
    both, p, t, _, _ = overlap_sums(DATA.p[None], DATA.t[None])
    index = (both + EPS) / (both + 0.3 * (p - both) + 0.7 * (t - both) + EPS)
    loss = focal_tversky_loss(DATA.labels, DATA.p, sample_axis=None)
    assert loss == close(((1 - index) ** 0.75).mean())


def test_absent_classes() -> None:
    perfect = sum_scores(DATA.labels, DATA.t, sample_axis=0)
    for loss in (soft_dice_loss, soft_iou_loss, generalized_dice_loss, tversky_loss, focal_tversky_loss):
        assert loss(perfect) == pytest.approx(0, abs=1e-12)
    assert np.isnan(soft_dice_loss(perfect, epsilon=0, average=None)).tolist() == [
        [False] * 4,
        *[[False] * 3 + [True]] * 2,
    ]
    nothing = sum_scores(np.zeros((1, 5), int), np.zeros((1, 5, 1)), sample_axis=0)
    assert [generalized_dice_loss(nothing, weights=w) for w in ("square", "simple", "uniform")] == [0.0] * 3
    assert soft_dice_loss(nothing, include_background=False) == 0.0  # the only class stays


@pytest.mark.parametrize(("weights", "power"), [("square", 2), ("simple", 1), ("uniform", 0)])
def test_generalised_dice_by_its_formula(weights: Any, power: int) -> None:
    truth = np.array([[[0.9, 0.05, 0.05], [0.9, 0.1, 0.0], [0.95, 0.05, 0.0], [0.5, 0.3, 0.2]]])
    scores = DATA.p[:1, 0, :4, :3] / DATA.p[:1, 0, :4, :3].sum(-1, keepdims=True)
    both, p, t, _, _ = overlap_sums(scores, truth)
    assert (t > 0).all()
    assert (t < 1).any()
    w = t ** -float(power)
    expected = 1 - (2 * (w * both).sum() + 0.5) / ((w * (p + t)).sum() + 0.5)
    sums = sum_scores(truth, scores, sample_axis=0)
    assert generalized_dice_loss(sums, epsilon=0.5, weights=weights) == close(expected)
    both, p, t, w = (a[..., 1:] for a in (both, p, t, w))
    expected = 1 - (2 * (w * both).sum() + 0.5) / ((w * (p + t)).sum() + 0.5)
    assert generalized_dice_loss(sums, epsilon=0.5, weights=weights, include_background=False) == close(expected)


def test_classes_that_weigh_as_none_is_there() -> None:
    """Of generalised Dice: 1 where no class is there, else as much as the one that weighs most."""
    nothing = sum_scores(np.zeros((1, 4), int), np.full((1, 4, 1), 0.5), sample_axis=0)
    for weights in ("square", "simple", "uniform"):
        assert generalized_dice_loss(nothing, epsilon=1, weights=weights) == close(1 - 1 / 3)
    one = sum_scores(np.zeros((1, 4), int), np.full((1, 4, 2), 0.5), sample_axis=0)
    assert generalized_dice_loss(one, epsilon=0) == close(1 - 4 / 8)


def test_labels_may_be_smoothed_away() -> None:
    sums = sum_scores([0, 1], [[0.5, 0.5], [0.25, 0.75]], quantities=["cross_entropy", "smoothing"])
    assert cross_entropy(sums, label_smoothing=1) == close(-np.log([0.5, 0.5, 0.25, 0.75]).sum() / 4)
    with pytest.raises(ValueError, match=r"label_smoothing: expected a number from 0 to 1, found 1.5"):
        cross_entropy(sums, label_smoothing=1.5)


def test_losses_are_at_most_one_where_a_probability_is_below_zero() -> None:
    sums = sum_scores([[0]], [[[-1e-7, 1 + 1e-7]]], sample_axis=0)
    assert soft_dice_loss(sums, epsilon=0, average=None).tolist() == [[1.0, 1.0]]


# ---- PyTorch. Its tensors are (N, C, spatial...).


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    return torch


def first(array: Any, torch: Any) -> Any:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))


@pytest.mark.torch
@pytest.mark.parametrize("weight", [None, DATA.weight])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("truth", ["labels", "ignored", "soft"])
def test_cross_entropy_is_torchs(torch: Any, weight: Any, smoothing: float, truth: str) -> None:
    y_true = getattr(DATA, truth)
    target = first(y_true, torch) if truth == "soft" else torch.from_numpy(y_true)
    ours = {"class_weight": weight, "label_smoothing": smoothing, "sample_axis": 0, "activation": "softmax"}
    if truth == "ignored":
        ours["ignore_index"] = 255

    def theirs(reduction: str, n: slice = slice(None)) -> float:
        return float(
            torch.nn.functional.cross_entropy(
                first(DATA.z, torch)[n],
                target[n],
                weight=None if weight is None else torch.from_numpy(weight),
                ignore_index=255 if truth == "ignored" else -100,
                reduction=reduction,
                label_smoothing=smoothing,
            )
        )

    for reduction in ("mean", "sum"):
        assert cross_entropy(y_true, DATA.z, reduction=reduction, **ours) == close(theirs(reduction))
    per_case = [theirs("mean", slice(n, n + 1)) for n in range(N)]
    assert cross_entropy(y_true, DATA.z, reduction=None, **ours) == close(per_case)
    kept = sum_scores(y_true, DATA.z, **ours)  # weights and smoothing are those of the sums unless others are given
    assert cross_entropy(kept) == close(theirs("mean"))
    if truth == "labels":
        likelihood = torch.nn.functional.cross_entropy(first(DATA.z, torch), target)
        assert negative_log_likelihood(kept) == close(float(likelihood))


@pytest.mark.torch
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_binary_cross_entropy_is_torchs(torch: Any, smoothing: float) -> None:
    target = torch.from_numpy(DATA.binary * (1 - smoothing) + smoothing / 2)
    weight = torch.from_numpy(DATA.weight)
    ours = {"activation": "sigmoid", "label_smoothing": smoothing}
    for w, options in ((None, {}), (weight, {"class_weight": DATA.weight})):
        for reduction in ("mean", "sum"):
            theirs = torch.nn.functional.binary_cross_entropy_with_logits(
                torch.from_numpy(DATA.z), target, weight=w, reduction=reduction
            )
            assert cross_entropy(DATA.binary, DATA.z, reduction=reduction, **ours, **options) == close(float(theirs))
    single = {"channel_axis": None, **ours}
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(torch.from_numpy(DATA.z[..., 0]), target[..., 0])
    assert cross_entropy(DATA.binary[..., 0].astype(np.uint8), DATA.z[..., 0], **single) == close(float(theirs))


# ---- MONAI.


@pytest.fixture(scope="module")
def monai(torch: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("monai.losses", exc_type=ImportError)


def of_monai(loss: Any, torch: Any, scores: Any = DATA.p, truth: Any = DATA.t) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = loss(first(scores, torch), first(truth, torch)).numpy()
    return values.reshape(values.shape[:2])  # of reduction "none": (N, C, 1, 1)


@pytest.mark.torch
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("squared", [True, False])
def test_dice_and_iou_are_monais(torch: Any, monai: Any, background: bool, squared: bool) -> None:
    smooth = {"smooth_nr": 0.5, "smooth_dr": 0.5}
    theirs = {"include_background": background, "squared_pred": squared}
    ours = {"include_background": background, "squared": squared}
    dice = monai.DiceLoss(**theirs, **smooth)
    assert soft_dice_loss(DATA.labels, DATA.p, 0.5, **ours) == close(of_monai(dice, torch))
    dice = monai.DiceLoss(**theirs, **smooth, reduction="none")
    assert soft_dice_loss(DATA.labels, DATA.p, 0.5, average=None, **ours) == close(of_monai(dice, torch))
    dice = monai.DiceLoss(**theirs, **smooth, batch=True)
    assert soft_dice_loss(DATA.sums().pooled(), epsilon=0.5, **ours) == close(of_monai(dice, torch))
    # MONAI's Jaccard doubles numerator and denominator, but not what smooths them.
    iou = monai.DiceLoss(**theirs, smooth_nr=1.0, smooth_dr=1.0, jaccard=True)
    assert soft_iou_loss(DATA.labels, DATA.p, 0.5, **ours) == close(of_monai(iou, torch))
    # MONAI multiplies by the weights; it does not divide by their sum.
    chosen = DATA.weight[int(not background) :]
    weighted = of_monai(monai.DiceLoss(**theirs, **smooth, weight=torch.from_numpy(chosen)), torch) / chosen.mean()
    assert soft_dice_loss(DATA.labels, DATA.p, 0.5, class_weight=DATA.weight, **ours) == close(weighted)


@pytest.mark.torch
@pytest.mark.parametrize("background", [True, False])
def test_tversky_and_generalised_dice_are_monais(torch: Any, monai: Any, background: bool) -> None:
    theirs = {"include_background": background, "smooth_nr": 0.5, "smooth_dr": 0.5}
    ours: dict[str, Any] = {"include_background": background, "epsilon": 0.5}
    tversky = monai.TverskyLoss(**theirs, alpha=0.3, beta=0.8)
    assert tversky_loss(DATA.labels, DATA.p, alpha=0.3, beta=0.8, **ours) == close(of_monai(tversky, torch))
    for weights in ("square", "simple", "uniform"):
        generalised = monai.GeneralizedDiceLoss(**theirs, w_type=weights)
        assert generalized_dice_loss(DATA.t, DATA.p, weights=weights, **ours) == close(of_monai(generalised, torch))


@pytest.mark.torch
def test_focal_loss_is_monais(torch: Any, monai: Any) -> None:
    # With softmax, MONAI takes the mean over voxels and classes; ours, as the paper's, is over voxels.
    theirs = monai.FocalLoss(use_softmax=True, gamma=1.5)
    options = {"activation": "softmax", "gamma": 1.5}
    assert focal_loss(DATA.labels, DATA.z, **options) == close(C * of_monai(theirs, torch, DATA.z))
    theirs = monai.FocalLoss(use_softmax=True, gamma=1.5, weight=DATA.weight.tolist())
    loss = focal_loss(DATA.labels, DATA.z, class_weight=DATA.weight, **options)
    assert loss == close(C * of_monai(theirs, torch, DATA.z))
    theirs = monai.FocalLoss(gamma=2.0)
    loss = focal_loss(DATA.binary, DATA.z, activation="sigmoid")
    assert loss == close(of_monai(theirs, torch, DATA.z, DATA.binary))


@pytest.mark.torch
@pytest.mark.parametrize("weight", [None, np.array([1.5, 0.5, 1.0, 1.0])])  # of mean 1: see the Dice loss above
def test_dice_cross_entropy_is_monais(torch: Any, monai: Any, weight: Any) -> None:
    theirs = monai.DiceCELoss(
        softmax=True, squared_pred=True, smooth_nr=EPS, smooth_dr=EPS, lambda_dice=0.7, lambda_ce=1.3, label_smoothing=0.1,
        weight=None if weight is None else torch.from_numpy(weight),
    )  # fmt: skip
    labels = torch.from_numpy(DATA.labels)[:, None]
    theirs.dice.to_onehot_y = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = float(theirs(first(DATA.z, torch), labels))
    loss = dice_cross_entropy_loss(
        DATA.labels,
        DATA.z,
        dice_weight=0.7,
        ce_weight=1.3,
        label_smoothing=0.1,
        class_weight=weight,
        activation="softmax",
    )
    assert loss == close(expected)

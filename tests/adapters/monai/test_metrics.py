"""Drop-ins for MONAI's Dice: the same as the host's in all that can be seen (its own tests are not in its wheel)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same, assert_same_call, strictly, went
from support.tensors import label_maps, masks, tensor

from fastseg.adapters import Calls, report

pytestmark = pytest.mark.torch
SHAPES = [(2, 9, 7), (1, 5, 6, 4), (3, 8)]
IGNORED = [None, 0, 1, 255, -1]
OPTIONS = [
    dict(zip(("include_background", "ignore_empty", "ignore_index"), each, strict=True))
    for each in itertools.product([True, False], [True, False], IGNORED)
]


def both(name: str) -> tuple[Any, Any]:
    """Return the host's and ours."""
    import monai.metrics

    import fastseg.adapters.monai

    return getattr(monai.metrics, name), getattr(fastseg.adapters.monai, name)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "float64", "float16"])
def test_label_maps(shape: tuple[int, ...], dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    theirs, ours = both("compute_dice")
    with strictly(monkeypatch):
        for classes, options in itertools.product([2, 5], OPTIONS):
            pair = label_maps(rng, shape, classes, dtype)
            assert_same_call(theirs, ours, *pair, num_classes=classes, rtol=1e-6, **options)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "types", [("float32", "float32"), ("bool", "uint8"), ("int64", "float64"), ("float16", "int32")]
)
def test_one_hot(shape: tuple[int, ...], types: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    rng = np.random.default_rng(2)
    theirs, ours = both("compute_dice")
    with strictly(monkeypatch):
        for channels, options in itertools.product([1, 2, 4], OPTIONS):
            pair = [
                each.to(getattr(torch, dtype)) for each, dtype in zip(masks(rng, shape, channels), types, strict=True)
            ]
            assert_same_call(theirs, ours, *pair, rtol=1e-6, **options)
            assert_same_call(theirs, ours, *pair, num_classes=channels, rtol=1e-6, **options)


def test_empty_truth_everywhere() -> None:
    theirs, ours = both("compute_dice")
    pred, true = masks(np.random.default_rng(3), (2, 5, 5), 3)
    for empty, options in itertools.product([pred, pred * 0], OPTIONS):
        for dtype in ("float32", "float64"):
            assert_same_call(theirs, ours, empty, (true * 0).to(tensor([0], dtype).dtype), rtol=1e-6, **options)


def test_labels_beyond_the_classes() -> None:
    theirs, ours = both("compute_dice")
    pred, true = label_maps(np.random.default_rng(4), (2, 6, 6), 4)
    with went("monai.compute_dice", fast=1):  # a miss of its true label
        assert_same_call(theirs, ours, pred, true.clamp(max=2), num_classes=3, rtol=1e-6)
    with went("monai.compute_dice", host=1):  # a false positive where it is the truth
        assert_same_call(theirs, ours, pred.clamp(max=2), true, num_classes=3, rtol=1e-6)
    with went("monai.compute_dice", fast=1):
        assert_same_call(theirs, ours, pred, true, num_classes=3, ignore_index=3, rtol=1e-6)


def _not_covered() -> dict[str, tuple[Any, ...]]:
    import torch

    rng = np.random.default_rng(5)
    pred, true = masks(rng, (2, 6, 5), 2)
    soft = torch.from_numpy(rng.random((2, 2, 6, 5))).float()
    labels = label_maps(rng, (2, 6, 5), 2)
    nan = soft.clone()
    nan[0, 0, 0, 0] = float("nan")
    return {
        "soft truth": (pred, soft, {}),
        "scores as a prediction": (soft, true, {}),
        "NaN": (nan, true, {}),
        "NaN in the truth": (pred, nan, {}),
        "ignored NaN": (nan, torch.ones_like(true), {"ignore_index": 0}),
        "half precision": (pred, true.half(), {}),
        "bfloat16": (pred.bfloat16(), true, {}),
        "mixed": (labels[0], true, {"num_classes": 2}),
        "mixed otherwise": (pred, labels[1], {}),
        "components": (pred, true, {"per_component": True}),
        "no voxels": (pred[:, :, :0], true[:, :, :0], {}),
        "no samples": (pred[:0], true[:0], {}),
        "shapes": (pred, true[:, :, :3], {}),
        "samples": (pred, true[:1], {}),
        "channels": (pred, true, {"num_classes": 3}),
        "fewer channels": (pred, true, {"num_classes": 1}),
        "one axis": (pred[0, 0, 0], true[0, 0, 0], {}),
        "labels that are none": (labels[0] + 0.5, labels[1], {"num_classes": 2}),
        "boolean and ignored": (pred, true.bool(), {"ignore_index": 1}),
        "a float to ignore": (pred, true, {"ignore_index": 7.5}),
        "derivatives": (pred, true.clone().requires_grad_(), {}),
        "complex": (pred, true.to(torch.complex64), {}),
        "no tensor": (pred.numpy(), true, {}),
    }


CASES = [
    "soft truth", "scores as a prediction", "NaN", "NaN in the truth", "ignored NaN", "half precision", "bfloat16", "mixed",
    "mixed otherwise", "components", "no voxels", "no samples", "shapes", "samples", "channels", "fewer channels", "one axis",
    "labels that are none", "boolean and ignored", "a float to ignore", "complex", "no tensor",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_host_answers(case: str) -> None:
    *pair, options = _not_covered()[case]
    with went("monai.compute_dice", host=1):
        assert_same_call(*both("compute_dice"), *pair, rtol=1e-6, **options)


def test_derivatives_are_the_hosts() -> None:
    *pair, _ = _not_covered()["derivatives"]
    with went("monai.compute_dice", host=1):
        assert both("compute_dice")[1](*pair).requires_grad


def test_wrong_arguments() -> None:
    theirs, ours = both("compute_dice")
    for args, options in [((), {}), ((1, 2, 3, 4, 5, 6, 7, 8), {}), ((1, 2), {"background": True})]:
        assert_same_call(theirs, ours, *args, **options)


HELPERS: list[dict[str, Any]] = [
    {"reduction": reduction, "get_not_nans": not_nans, "include_background": background, **activation}
    for reduction in ("none", "mean", "sum_batch", "mean_channel")
    for not_nans in (True, False)
    for background in (None, True, False)
    for activation in ({}, {"threshold": True}, {"threshold": True, "activate": True}, {"apply_argmax": False})
]


def test_helper() -> None:
    import torch

    theirs, ours = both("DiceHelper")
    rng = np.random.default_rng(6)
    pred, true = masks(rng, (2, 9, 7), 3)
    labels = label_maps(rng, (2, 9, 7), 3)
    scores = torch.from_numpy(rng.normal(size=pred.shape)).float()
    before = report().get("monai.DiceHelper", Calls()).fast
    for options in HELPERS:
        pairs = [(scores, labels[1]), (scores, true), (pred, true), labels]
        for pair, num_classes in itertools.product(pairs, (None, 3)):
            made = [each(num_classes=num_classes, **options) for each in (theirs, ours)]
            assert_same_call(*made, *pair, rtol=1e-6)
    assert report()["monai.DiceHelper"].fast - before == len(HELPERS) * 4


def test_largest_of_equal_scores() -> None:
    import torch

    theirs, ours = both("DiceHelper")
    rng = np.random.default_rng(7)
    scores = torch.from_numpy(rng.integers(0, 3, (2, 4, 9, 9))).float()
    _, true = label_maps(rng, (2, 9, 9), 4)
    with went("monai.DiceHelper", fast=2):
        assert_same_call(theirs(), ours(), scores, true, rtol=1e-6)
        assert_same_call(theirs(ignore_index=2), ours(ignore_index=2), scores, true, rtol=1e-6)


def test_deprecated_arguments_warn() -> None:
    theirs, ours = both("DiceHelper")
    for options in ({"sigmoid": True}, {"softmax": True}, {"sigmoid": True, "softmax": False}):
        assert_same_call(lambda cls, o: vars(cls(**o)), lambda _, o: vars(ours(**o)), theirs, options)


@pytest.mark.parametrize("threads", [1, 2])
def test_large(threads: int) -> None:
    import fastseg

    rng = np.random.default_rng(8)
    theirs, ours = both("compute_dice")
    pair = masks(rng, (2, 96, 96, 40), 3)
    labels = label_maps(rng, (2, 96, 96, 40), 5, "uint8")
    before = fastseg.get_num_threads()
    fastseg.set_num_threads(threads)
    try:
        assert_same(ours(*pair), theirs(*pair), 1e-6)
        assert_same(ours(*labels, num_classes=5), theirs(*labels, num_classes=5), 1e-6)
    finally:
        fastseg.set_num_threads(before)


def test_strided_tensors() -> None:
    theirs, ours = both("compute_dice")
    pred, true = masks(np.random.default_rng(9), (2, 9, 8, 7), 3)
    last = pred.movedim(1, -1).contiguous().movedim(-1, 1)
    for pair in [
        (last, true),
        (last, last.flip(0)),
        (pred.transpose(2, 4), true.transpose(2, 4)),
        (pred[..., ::2], true[..., ::2]),
    ]:
        with went("monai.compute_dice", fast=1):
            assert_same_call(theirs, ours, *pair, rtol=1e-6)

"""Drop-ins for MONAI's IoU, generalised Dice and confusion matrices: the same as the host's in all that can be seen."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same_call, strictly, went
from support.tensors import masks

pytestmark = pytest.mark.torch
SHAPES = [(2, 9, 7), (1, 5, 6, 4), (3, 8)]
TYPES = [
    ("float32", "float32"),
    ("float64", "float32"),
    ("bool", "float32"),
    ("uint8", "int64"),
    ("float32", "float64"),
]
#: Names and aliases of the 17 metrics.
NAMES = [
    "sensitivity", "specificity", "precision", "negative predictive value", "miss rate", "fall out", "false discovery rate",
    "false omission rate", "prevalence threshold", "threat score", "accuracy", "balanced accuracy", "f1 score",
    "matthews correlation coefficient", "fowlkes mallows index", "informedness", "markedness", "hit_rate", "TPR", "csi",
]  # fmt: skip


@pytest.fixture(autouse=True)
def never_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count here, however few voxels there are."""
    for name in ("FEW_FOR_IOU", "FEW_FOR_MATRIX"):
        monkeypatch.setattr(f"fastseg.adapters.monai.one_hot_metrics.{name}", 0)


def both(name: str) -> tuple[Any, Any]:
    """Return the host's and ours."""
    import monai.metrics

    import fastseg.adapters.monai

    return getattr(monai.metrics, name), getattr(fastseg.adapters.monai, name)


def pairs(seed: int, shape: tuple[int, ...], types: tuple[str, str]) -> Any:
    """Yield masks of several numbers of channels."""
    import torch

    rng = np.random.default_rng(seed)
    for channels in (1, 2, 5):
        pair = masks(rng, shape, channels)
        yield tuple(each.to(getattr(torch, dtype)) for each, dtype in zip(pair, types, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("types", TYPES, ids="-".join)
def test_iou(shape: tuple[int, ...], types: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with strictly(monkeypatch):
        for pair in pairs(1, shape, types):
            ignored = (None,) if pair[0].shape[1] == 1 else (None, 0, 1, 255, -1)
            for background, empty, index in itertools.product([True, False], [True, False], ignored):
                assert_same_call(*both("compute_iou"), *pair, background, empty, index, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("types", TYPES, ids="-".join)
def test_generalized_dice(shape: tuple[int, ...], types: tuple[str, str]) -> None:
    for pair in pairs(2, shape, types):
        for options in itertools.product(
            [True, False], ["square", "simple", "uniform"], [True, False], [None, 0, 1, 255]
        ):
            assert_same_call(*both("compute_generalized_dice"), *pair, *options, rtol=1e-6)
        with went("monai.compute_generalized_dice", fast=1):
            both("compute_generalized_dice")[1](*pair)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("types", TYPES, ids="-".join)
def test_confusion_matrix(shape: tuple[int, ...], types: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with strictly(monkeypatch):
        for pair in pairs(3, shape, types):
            ignored = (None,) if pair[0].shape[1] == 1 else (None, 0, 1, 255, -1)
            for background, index in itertools.product([True, False], ignored):
                assert_same_call(*both("get_confusion_matrix"), *pair, background, index, rtol=1e-6)


def test_metrics_of_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    matrix = both("get_confusion_matrix")[1](*masks(rng, (3, 6, 6), 4))
    with strictly(monkeypatch):
        for name, numbers in itertools.product(NAMES, (matrix, matrix[0], matrix[0, 0], matrix[..., :3])):
            assert_same_call(*both("compute_confusion_matrix_metric"), name, numbers, rtol=1e-6)
        assert_same_call(*both("compute_confusion_matrix_metric"), "Dice", matrix)


@pytest.mark.parametrize("name", ["compute_iou", "compute_generalized_dice", "get_confusion_matrix"])
def test_the_host_answers(name: str) -> None:
    import torch

    rng = np.random.default_rng(5)
    pred, true = masks(rng, (2, 6, 5), 2)
    soft = torch.from_numpy(rng.random((2, 2, 6, 5))).float()
    nan = torch.where(soft > 0.5, soft, float("nan"))
    cases = [
        (pred, soft), (soft, true), (nan, true), (pred, nan), (pred.half(), true.half()), (pred.bfloat16(), true),
        (pred, true[:1]), (pred, true[:, :1]), (pred[:, :, :3], true), (pred[:0], true[:0]), (pred[:, :, :0], true[:, :, :0]),
        (pred.numpy(), true), (pred[:, 0, 0, 0], true[:, 0, 0, 0]),
        (pred.to(torch.complex64), true),
    ]  # fmt: skip
    for pair in cases:
        with went(f"monai.{name}", host=1):
            assert_same_call(*both(name), *pair, rtol=1e-6)
    with went(f"monai.{name}", host=3):
        assert_same_call(*both(name), pred[:, :1], true[:, :1], ignore_index=1, rtol=1e-6)
        assert_same_call(*both(name), pred, nan, ignore_index=0, rtol=1e-6)
        assert both(name)[1](pred, true.clone().requires_grad_()).requires_grad


def test_tensors_of_another_device_are_the_hosts() -> None:
    """Shown by the device without memory; a GPU's are told apart by the same line."""
    pred, true = (each.to("meta") for each in masks(np.random.default_rng(8), (2, 6, 5), 2))
    for name in ("compute_iou", "get_confusion_matrix"):
        with went(f"monai.{name}", host=1):
            found, wanted = both(name)[1](pred, true), both(name)[0](pred, true)
        assert (found.shape, found.device.type) == (wanted.shape, "meta")


def test_two_boolean_maps_are_no_matrix_to_the_host() -> None:
    """Its sums of them are boolean, and never 2: nothing is ever a true positive."""
    pred, true = masks(np.random.default_rng(6), (2, 6, 5), 2, "bool")
    with went("monai.get_confusion_matrix", host=1):
        found = assert_same_call(*both("get_confusion_matrix"), pred, true).value
    assert not found[..., 0].any()
    assert both("get_confusion_matrix")[1](pred.float(), true)[..., 0].any()


def test_ignored_classes_differ_among_metrics() -> None:
    """IoU and confusion matrices empty the channel of an ignored class; Dice leaves out its voxels."""
    import torch

    labels = torch.tensor([[0, 1, 2, 2], [0, 0, 1, 2]])
    pred, true = (torch.nn.functional.one_hot(each, 3).T[None].float() for each in labels)
    iou = assert_same_call(*both("compute_iou"), pred, true, ignore_index=1, rtol=1e-6).value
    dice = assert_same_call(*both("compute_dice"), pred, true, ignore_index=1, rtol=1e-6).value
    np.testing.assert_allclose(iou, [[1 / 2, np.nan, 1 / 2]])
    np.testing.assert_allclose(dice, [[2 / 3, np.nan, 1]])


@pytest.mark.parametrize(("name", "few", "many"), [("compute_iou", 40, 60), ("get_confusion_matrix", 16, 32)])
def test_few_voxels_are_the_hosts(name: str, few: int, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    rng = np.random.default_rng(9)
    with went(f"monai.{name}", host=1, fast=1):
        for side in (few, many):
            assert_same_call(*both(name), *masks(rng, (1, side, side, side), 1), rtol=1e-6)


def test_a_class_without_voxels_has_the_largest_weight() -> None:
    import torch

    true = torch.zeros(1, 3, 8)
    true[0, 0, :4] = true[0, 1, 4:] = 1
    pred = true.roll(1, 2)
    pred[0, 2, 0] = 1
    for pair in [(pred, true), (pred, true * 0), (pred * 0, true * 0)]:
        for options in itertools.product([True, False], ["square", "simple", "uniform"], [True, False]):
            with went("monai.compute_generalized_dice", fast=1):
                assert_same_call(*both("compute_generalized_dice"), *pair, *options, rtol=1e-6)

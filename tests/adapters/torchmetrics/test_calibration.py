"""The calibration errors against torchmetrics' own, which adds up in the type of the scores: so to its own rounding."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from support.drop_ins import assert_same_call
from support.torchmetrics_cases import Case
from support.torchmetrics_lives import LIVES, assert_same_life

pytestmark = pytest.mark.torch

NAMES = [
    ("binary_calibration_error", "BinaryCalibrationError"),
    ("multiclass_calibration_error", "MulticlassCalibrationError"),
]


def both(name: str) -> tuple[Any, Any]:
    """Return the host's and ours, a function or a class."""
    host = "torchmetrics.classification" if name[0].isupper() else "torchmetrics.functional.classification"
    return tuple(getattr(importlib.import_module(each), name) for each in (host, "fastseg.adapters.torchmetrics"))  # type: ignore[return-value]


def drawn(function: str, seeds: range) -> list[Case]:
    """Return cases in which the host's sums are good to compare with."""
    import torch

    found = []
    for seed in seeds:
        case = Case(both(function)[0], seed)
        case.options.pop("threshold", None)
        if case.preds.dtype in (torch.float16, torch.bfloat16):
            case.preds = case.preds.double()
        found.append(case)
    return found


@pytest.mark.parametrize(("function", "name"), NAMES)
def test_drawn_arguments(function: str, name: str) -> None:
    for case in drawn(function, range(60)):
        assert_same_call(*both(function), case.preds, case.target, rtol=2e-5, **case.options)


@pytest.mark.parametrize(("function", "name"), NAMES)
def test_drawn_lives(function: str, name: str) -> None:
    for case in drawn(function, range(100, 160)):
        if case.preds.is_floating_point():
            batches = [(case.preds, case.target)] * case.random.choice([1, 2])
            assert_same_life(*both(name), case.options, batches, case.random.choice(LIVES), rtol=2e-5)


def test_tasks_by_name() -> None:
    import torch

    scores, target = torch.rand(40, 3, generator=torch.Generator().manual_seed(3)), torch.arange(40) % 3
    options = {"task": "multiclass", "num_classes": 3}
    assert_same_call(*both("calibration_error"), scores, target, rtol=2e-5, **options)
    assert_same_life(*both("CalibrationError"), options, [(scores, target)], "forward", rtol=2e-5)


def test_integers_cannot_be_binned() -> None:
    import torch

    ones = torch.ones(4, dtype=torch.long)
    with pytest.raises(ValueError, match="preds: expected real numbers"):
        both("BinaryCalibrationError")[1](validate_args=False).update(ones, ones)
    assert_same_life(*both("BinaryCalibrationError"), {}, [(ones, ones)], "update")


@pytest.mark.slow
def test_bins_do_not_saturate() -> None:
    """The host counts the samples of a bin in float32, which ends at 2^24."""
    import torch

    scores, target = torch.full((2**24 + 2**20,), 0.75), torch.ones(2**24 + 2**20, dtype=torch.long)
    theirs, ours = (each(scores, target) for each in both("binary_calibration_error"))
    assert float(ours) == 0.25
    assert abs(float(theirs) - 0.25) > 1e-3

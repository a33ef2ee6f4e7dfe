"""SMP's counts and ours, on the same tensors."""

from __future__ import annotations

import functools
import importlib
import warnings
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same, assert_same_call, outcome, strictly, went

pytestmark = [pytest.mark.torch, pytest.mark.host("segmentation_models")]

#: Types of output and target: few, since kernels are compiled for each pair.
LABELS = (("int64", "int64"), ("uint8", "int64"), ("uint8", "uint8"), ("int32", "int8"))
MASKS = (*LABELS, ("bool", "int64"), ("bool", "bool"))
SCORES = ("float16", "bfloat16", "float32", "float64")


@functools.cache
def modules() -> tuple[Any, Any, Any]:
    """Return PyTorch, theirs and ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the host's own imports
        names = ("torch", "segmentation_models_pytorch.metrics", "fastseg.adapters.segmentation_models")
        torch, theirs, ours = map(importlib.import_module, names)
    return torch, theirs, ours


def compare(*args: Any, **kwargs: Any) -> Any:
    """Compare calls of get_stats."""
    _, theirs, ours = modules()
    return assert_same_call(theirs.get_stats, ours.get_stats, *args, **kwargs)


def shapes(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(1, 9, rng.integers(0, 4)).tolist())


def labels(rng: np.random.Generator, shape: tuple[int, ...], classes: int, dtype: str) -> Any:
    torch = modules()[0]
    return torch.from_numpy(rng.integers(0, rng.integers(1, classes + 1), shape)).to(getattr(torch, dtype))


def test_random_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = modules()[0]
    rng = np.random.default_rng(1)
    for _ in range(300):
        shape, classes = (int(rng.integers(1, 5)), *shapes(rng)), int(rng.integers(2, 40))
        output, target = (labels(rng, shape, classes, dtype) for dtype in rng.choice(LABELS))
        ignore = None
        if rng.random() < 0.5:
            lowest = torch.iinfo(target.dtype).min
            ignore = int(rng.choice([each for each in (-1, 100, lowest) if each < 0 or each >= classes] or [None]))
        if ignore is not None and ignore >= lowest:
            target[torch.from_numpy(rng.random(shape) < 0.3)] = ignore
        if ignore is None and rng.random() < 0.2:
            output, target = output.transpose(0, -1), target.transpose(0, -1)
        if ignore is None or ignore >= lowest:
            with strictly(monkeypatch):
                compare(output, target, "multiclass", num_classes=classes, ignore_index=ignore)
        else:
            compare(output, target, "multiclass", num_classes=classes, ignore_index=ignore)


@pytest.mark.parametrize("few", [0, 1 << 60], ids=["ours", "few"])
def test_random_masks(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    torch, _, ours = modules()
    rng = np.random.default_rng(2)
    monkeypatch.setattr(f"{ours.__name__}.stats._FEW", few)  # voxels that PyTorch counts
    for _ in range(300):
        shape = (*rng.integers(1, 5, 2).tolist(), *shapes(rng), 3)
        mode = "binary" if rng.random() < 0.5 else "multilabel"
        output, target = (labels(rng, shape, 2, dtype) for dtype in rng.choice(MASKS))
        if rng.random() < 0.3:
            threshold = rng.choice([None, 0.5, 1])
        else:
            scores = rng.choice([0, 0.25, 0.5, 0.75, 1, np.nan, np.inf, -1], shape)
            output = torch.from_numpy(scores).to(getattr(torch, rng.choice(SCORES))).requires_grad_()
            threshold = rng.choice([0.5, 0.25, 0.3, 1, 0, -1, 2, 1e-60, 0.0])
        threshold = threshold if threshold is None else float(threshold) if rng.random() < 0.8 else int(threshold)
        if rng.random() < 0.3:  # channels last
            output, target = (each.movedim(1, -1).contiguous().movedim(-1, 1) for each in (output, target))
        with strictly(monkeypatch):
            compare(output, target, mode, threshold=threshold)


@pytest.mark.parametrize("reduction", ["micro", "macro", "weighted", "micro-imagewise", "macro-imagewise", "none"])
def test_scores_are_the_hosts_own(reduction: str) -> None:
    _, theirs, ours = modules()
    rng = np.random.default_rng(3)
    output, target = (labels(rng, (3, 8, 8), 4, "int64") for _ in range(2))
    found, wanted = (each.get_stats(output, target, "multiclass", num_classes=4) for each in (ours, theirs))
    scores = set(theirs.__all__) - {"get_stats"}
    assert scores == set(ours.__all__) - {"get_stats", "DiceLoss", "JaccardLoss", "TverskyLoss"}
    for name in scores:
        weights = [1.0, 2, 3, 4] if "weighted" in reduction else None
        options = {"reduction": reduction, "class_weights": weights, "zero_division": 0.5}
        assert_same(getattr(ours, name)(*found, **options), getattr(theirs, name)(*wanted, **options), rtol=0)


def test_what_is_the_hosts_to_answer_or_to_refuse() -> None:
    torch, _, ours = modules()
    zeros = torch.zeros((2, 1, 3, 4), dtype=torch.int64)
    empty, flat, turned = zeros[:0], zeros[:, :, 0, 0], zeros.transpose(2, 3)
    many = torch.zeros((1, 1, 200, 200), dtype=torch.int64)
    byte = torch.tensor([[0, 255, 255], [254, 3, 255]], dtype=torch.uint8)
    five = torch.tensor([[0, 5, 1, -1], [5, 5, 1, 9]])
    cases: list[tuple[Any, Any, str, dict[str, Any]]] = [
        (zeros, zeros, "multiclass", {}),
        (zeros, zeros, "multiclass", {"num_classes": 1}),  # a single bin of the host's is twice as wide
        (zeros, zeros, "multiclass", {"num_classes": 3, "ignore_index": 2}),
        (zeros, zeros, "multiclass", {"num_classes": 3, "threshold": 0.5}),
        (zeros.float(), zeros, "multiclass", {"num_classes": 3}),
        (zeros, zeros.float(), "multiclass", {"num_classes": 3}),
        (zeros[:1], zeros, "multiclass", {"num_classes": 3}),
        (turned, turned, "multiclass", {"num_classes": 3, "ignore_index": 255}),
        (five, five.flip(1), "multiclass", {"num_classes": 5}),  # labels outside the classes
        (five, five.flip(0), "multiclass", {"num_classes": 5, "ignore_index": 5}),
        (byte, byte.flip(0), "multiclass", {"num_classes": 256}),  # where −1 is a label to the host
        (byte, byte.flip(0), "multiclass", {"num_classes": 256, "ignore_index": 256}),
        (byte, byte.flip(0), "multiclass", {"num_classes": 5, "ignore_index": -1}),
        (zeros.bool(), zeros.bool(), "multiclass", {"num_classes": 2, "ignore_index": 7}),
        (empty, empty, "multiclass", {"num_classes": 3}),
        (empty, empty, "binary", {}),
        (flat, flat, "binary", {}),  # true negatives are floats then
        (zeros[0, 0, 0], zeros[0, 0, 0], "binary", {}),
        (turned, turned, "multilabel", {}),
        (many + 2, many + 1, "multilabel", {}),
        (zeros.float(), zeros, "binary", {}),
        (zeros.float(), zeros, "binary", {"threshold": [0.5]}),
        (zeros.float(), zeros, "binary", {"threshold": torch.tensor(0.5)}),
        (zeros.cfloat(), zeros, "binary", {"threshold": 0.5}),
        (zeros, zeros, "binary", {"ignore_index": 3}),
        (zeros, zeros, "panoptic", {}),
        (zeros.tolist(), zeros, "binary", {}),
    ]
    for output, target, mode, options in cases:
        with went("segmentation_models.get_stats", host=1):
            outcome(ours.get_stats, output, target, mode, **options)
        compare(output, target, mode, **options)
    compare(zeros)
    compare(zeros + 2, zeros + 1, "multilabel")  # few enough to be no labels, but numbers


@pytest.mark.filterwarnings("ignore")  # of the compiler's, about the host's own operations
def test_in_a_compiled_function_the_host_counts() -> None:
    torch, _, ours = modules()
    output, target = torch.arange(24).reshape(2, 12) % 4, torch.arange(24).reshape(2, 12) % 3

    def function(output: Any, target: Any) -> Any:
        return ours.get_stats(output * 1, target, "multiclass", num_classes=4)

    with went("segmentation_models.get_stats", fast=1, host=1):
        found = torch.compile(function, backend="eager")(output, target)
        assert_same(found, function(output, target))


def test_counts_beyond_what_a_float_counts() -> None:
    """The host's bins hold no odd number beyond 2²⁴, and may stop there (pytorch#96613): a difference that is meant."""
    torch, theirs, ours = modules()
    zeros = torch.zeros((1, (1 << 24) + 9), dtype=torch.uint8)
    tp, _, _, tn = ours.get_stats(zeros, zeros, "multiclass", num_classes=3)
    assert tp.tolist() == [[zeros.numel(), 0, 0]]
    assert tn.tolist() == [[0, zeros.numel(), zeros.numel()]]
    assert theirs.get_stats(zeros, zeros, "multiclass", num_classes=3)[0].max() in ((1 << 24), (1 << 24) + 8)

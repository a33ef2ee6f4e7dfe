"""Random tensors for tests of drop-ins of PyTorch's libraries; PyTorch is imported where it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np


def tensor(array: Any, dtype: str) -> Any:
    """Return an array as a tensor of a type of that name."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to(getattr(torch, dtype))


def label_maps(rng: np.random.Generator, shape: tuple[int, ...], classes: int, dtype: str = "int64") -> tuple[Any, Any]:
    """Return a prediction and a truth (B, 1, ...); the first sample of the truth lacks class 1, both its last one."""
    pred, true = rng.integers(0, classes, (2, shape[0], 1, *shape[1:]))
    true[0][true[0] == 1] = 0
    for each in (pred, true):
        each[0][each[0] == classes - 1] = 0
    return tensor(pred, dtype), tensor(true, dtype)


def masks(rng: np.random.Generator, shape: tuple[int, ...], channels: int, dtype: str = "float32") -> tuple[Any, Any]:
    """Return two maps (B, C, ...) that overlap; channel 1 of the first sample is empty, its last one in the truth alone."""
    pred, true = rng.random((2, shape[0], channels, *shape[1:])) < 0.4
    pred[0, min(1, channels - 1)] = true[0, min(1, channels - 1)] = channels == 1
    true[0, -1] = False
    return tensor(pred, dtype), tensor(true, dtype)


def logits_and_labels() -> tuple[Any, Any]:
    """Return logits (2, 5, 9, 60) and labels (2, 1, 9, 60)."""
    import torch

    torch.manual_seed(0)
    return torch.randn(2, 5, 9, 60), torch.randint(0, 5, (2, 1, 9, 60))


def one_hot_of(labels: Any) -> Any:
    """Return labels (N, 1, ...) of five classes as masks (N, 5, ...) of floats."""
    import torch

    return torch.nn.functional.one_hot(labels[:, 0], 5).movedim(-1, 1).float()

"""What tests of modules of losses share: the host's and ours have the same values and gradients."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from support.drop_ins import assert_same_call

__all__ = ["assert_same_losses", "combinations", "labels_and_logits", "losses_of_training"]


def labels_and_logits(shape: tuple[int, ...], seed: int = 0) -> tuple[Any, Any, Any]:
    """Return logits, a label map whose first sample lacks class 1, and the same one-hot."""
    import torch

    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(2, shape[1]), (shape[0], 1, *shape[2:]))
    labels[0][labels[0] == 1] = 0
    onehot = (
        labels == np.arange(shape[1] == 1, shape[1] + (shape[1] == 1)).reshape(-1, *(1,) * (len(shape) - 2))
    ) * 1.0
    return torch.from_numpy(rng.normal(size=shape)).float(), torch.from_numpy(labels), torch.from_numpy(onehot).float()


def assert_same_losses(
    theirs: Any, ours: Any, scores: Any, truth: Any, *args: Any, rtol: float = 2e-6, **options: Any
) -> None:
    """Compare values, their type and shape, warnings, and the gradients of a sum of values that weigh differently."""
    import torch

    gradients = []

    def run(kind: Any) -> Any:
        z = scores.detach().clone().requires_grad_()
        loss = kind(*args, **options)(z, truth)
        assert loss.requires_grad
        weights = torch.arange(1.0, loss.numel() + 1).reshape(loss.shape)
        (loss * weights).sum().backward()
        gradients.append(z.grad)
        return loss.detach()

    assert_same_call(lambda: run(theirs), lambda: run(ours), rtol=rtol)
    wanted, found = gradients
    assert (found.dtype, found.shape, found.stride()) == (wanted.dtype, wanted.shape, wanted.stride())
    torch.testing.assert_close(found, wanted, rtol=2e-5, atol=5e-6 * float(wanted.abs().max()))
    with torch.no_grad():
        assert_same_call(theirs(*args, **options), ours(*args, **options), scores, truth, rtol=rtol)


def combinations(choices: dict[str, list[Any]], seed: int, number: int) -> list[dict[str, Any]]:
    """Return some combinations of options, all of the first ones among them."""
    every = [dict(zip(choices, each, strict=True)) for each in itertools.product(*choices.values())]
    picked = np.random.default_rng(seed).permutation(len(every))[: number - 1]
    return [every[0], *(every[i] for i in picked)]


def losses_of_training(criterion: Any, images: Any, labels: Any) -> list[float]:
    """Return the losses of five steps of a small network, with automatic casts and a scaler of gradients."""
    import torch

    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 3, 3, padding=1)
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = criterion(network(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(float(loss.detach()))
    return losses

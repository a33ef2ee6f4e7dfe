"""What `gpu_parts.py` asks of scores and gradients: equal results first, then times, beside what is usual in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gpu_timing
import numpy as np
import torch
from gpu_timing import Report, device_seconds, kernel_seconds, on_device, peak_bytes, rotated
from torch.nn import functional

import fastseg
from fastseg.losses import dice_cross_entropy_with_gradient

CHANNELS = (4, 14, 32, 105)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
#: Samples, and voxels of each.
SAMPLES, VOXELS = 2, 1 << 21
OPTIONS: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0, "activation": "softmax"}


def example(channels: int, dtype: Any) -> tuple[Any, Any]:
    """Return labels (N, V) and logits (N, C, V) on the GPU, somewhat right."""
    torch.manual_seed(0)
    labels = torch.randint(0, channels, (SAMPLES, VOXELS // 64), device=gpu_timing.DEVICE).repeat_interleave(64, 1)
    logits = torch.randn(SAMPLES, channels, VOXELS, device=gpu_timing.DEVICE, dtype=torch.float32)
    logits.scatter_add_(1, labels[:, None], torch.full_like(logits[:, :1], 2.0))
    return on_device(labels.to(torch.uint8)), on_device(logits.to(dtype))


def eager(labels: Any, logits: Any) -> Any:
    """Return soft Dice loss and cross-entropy as is usual in PyTorch."""
    truth, z = labels.long(), logits.float()
    p = z.softmax(1)
    hot = functional.one_hot(truth, z.shape[1]).movedim(-1, 1).to(p.dtype)
    ratio = (2 * (p * hot).sum(2) + 1e-6) / ((p * p).sum(2) + (hot * hot).sum(2) + 1e-6)
    return functional.cross_entropy(z, truth) + (1 - ratio).mean()


def with_backward(loss: Callable[..., Any], labels: Any, logits: Any) -> Any:
    """Return the gradient of a loss."""
    logits = logits.detach().requires_grad_()
    loss(labels, logits).backward()
    return logits.grad


def sums(report: Report, channels: int, dtype: Any) -> None:
    """Sum scores, against the ceiling and PyTorch; the first sample is compared class by class, in double precision."""
    labels, logits = example(channels, dtype)
    copies = rotated(labels, logits)
    found = fastseg.sum_scores(labels, logits, **OPTIONS)
    truth, z = labels[0].long(), logits[0].double()
    log = z.log_softmax(0)
    p = log.exp()
    away = [
        _off(found.pred[0], p.sum(1)),
        _off(found.pred_squared[0], (p * p).sum(1)),
        _off(found.true_pred[0], torch.stack([p[c][truth == c].sum() for c in range(channels)])),
        _off(found.cross_entropy[0], torch.stack([-log[c][truth == c].sum() for c in range(channels)])),
    ]
    matrix = torch.bincount(truth * channels + z.argmax(0), minlength=channels**2)
    equal = np.array_equal(_numbers(matrix).reshape(channels, channels), found.argmax_counts.matrix[0])
    del z, log, p
    ours = kernel_seconds([partial(fastseg.sum_scores, *each, **OPTIONS) for each in copies])
    with torch.no_grad():
        theirs = device_seconds([partial(eager, *each) for each in copies])
    report.add(
        "sums of scores",
        channels=channels,
        dtype=str(dtype),
        argmax_equal=equal,
        relative_error=max(away),
        microseconds=round(ours * 1e6, 1),
        share_of_copy=report.share(labels.nbytes + logits.nbytes, ours),
        **_beside({"torch, eager": round(theirs / ours, 1)}, copies, ours, with_gradient=False),
    )


def gradient(report: Report, channels: int) -> None:
    """Time loss and gradient: two reads and one write."""
    labels, logits = example(channels, torch.float32)
    copies = rotated(labels, logits)
    out = torch.empty_like(logits)
    options = {"channel_axis": 1, "out": out}
    loss, found = dice_cross_entropy_with_gradient(labels, logits, **options)
    expected = with_backward(eager, labels, logits)
    away = float((found - expected).abs().max() / expected.abs().max())
    ours = kernel_seconds([partial(dice_cross_entropy_with_gradient, *each, **options) for each in copies])
    theirs = device_seconds([partial(with_backward, eager, *each) for each in copies])
    report.add(
        "loss and gradient",
        channels=channels,
        relative_error=away,
        loss_error=abs(loss / float(eager(labels, logits)) - 1),
        microseconds=round(ours * 1e6, 1),
        share_of_copy=report.share(2 * (labels.nbytes + logits.nbytes) + out.nbytes, ours),
        peak_mib=round(peak_bytes(partial(dice_cross_entropy_with_gradient, *copies[0], channel_axis=1)) / 2**20, 1),
        peak_mib_of_torch=round(peak_bytes(partial(with_backward, eager, *copies[0])) / 2**20, 1),
        **_beside({"torch, eager": round(theirs / ours, 1)}, copies, ours, with_gradient=True),
    )


def compiled(report: Report) -> None:
    """Time PyTorch's compiler on the same loss: last, since compiling takes long."""
    labels, logits = example(14, torch.float32)
    copies = rotated(labels, logits)
    loss = torch.compile(eager)
    forward = device_seconds([partial(loss, *each) for each in copies])
    both = device_seconds([partial(with_backward, loss, *each) for each in copies])
    report.add(
        "torch, compiled",
        channels=14,
        forward_microseconds=round(forward * 1e6, 1),
        both_microseconds=round(both * 1e6, 1),
    )


def _beside(
    others: dict[str, float | str], copies: list[tuple[Any, ...]], ours: float, with_gradient: bool
) -> dict[str, Any]:
    """Return how many times longer others take, packages that are there among them, and how far their losses are away."""
    away: dict[str, float] = {}
    wanted = float(eager(*copies[0]))
    for name, make in (("monai", _monai), ("exacta", _exacta)):
        try:
            loss = make()
            away[name] = abs(float(loss(*copies[0])) / wanted - 1)
            calls = [partial(with_backward, loss, *each) if with_gradient else partial(loss, *each) for each in copies]
            with torch.set_grad_enabled(with_gradient):
                others[name] = round(device_seconds(calls) / ours, 1)
        except Exception as error:  # not installed, or not for these shapes
            others[name] = f"{type(error).__name__}: {error}"[:100]
    return {"others": others, "losses_away": away}


def _monai() -> Callable[..., Any]:
    from monai.losses import DiceCELoss

    loss = DiceCELoss(to_onehot_y=True, softmax=True, squared_pred=True)
    return lambda labels, logits: loss(logits, labels[:, None])


def _exacta() -> Callable[..., Any]:
    from exacta.losses import DiceCELoss

    loss = DiceCELoss(squared_pred=True)
    return lambda labels, logits: loss(logits[..., None], labels[..., None].long())


def _off(found: Any, expected: Any) -> float:
    """Return the largest relative difference."""
    wanted = _numbers(expected)
    return float(np.max(np.abs(found - wanted) / np.maximum(wanted, 1e-300)))


def _numbers(tensor: Any) -> Any:
    return np.asarray(tensor.cpu().tolist())

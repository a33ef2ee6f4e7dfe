"""Gradients of losses on a GPU: those of the reference, written where they are wanted; and what autograd has of them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor

from fastseg.losses import (
    cross_entropy_with_gradient,
    dice_cross_entropy_with_gradient,
    dice_focal_loss_with_gradient,
)

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng(5)
LOGITS = RNG.normal(0, 2, (2, 5, 7, 60)).astype("f4")
LABELS = RNG.integers(0, 5, (2, 7, 60)).astype("u1")
SOFT = np.ascontiguousarray(RNG.dirichlet(np.ones(5), (2, 7, 60)).astype("f4").transpose(0, 3, 1, 2))
CHANCES = np.ascontiguousarray(RNG.dirichlet(np.ones(5), (2, 7, 60)).astype("f4").transpose(0, 3, 1, 2))
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "label map": (LABELS, LOGITS, {}),
    "all options": (
        LABELS, LOGITS,
        {"squared": False, "class_weight": [1, 2, 0.5, 3, 0.1], "label_smoothing": 0.1, "ignore_index": 2,
         "include_background": False, "dice_weight": 0.3, "ce_weight": 2.0, "mask": RNG.random((2, 7, 60)) < 0.8},
    ),
    "sigmoid, soft": (SOFT, LOGITS, {"activation": "sigmoid"}),
    "one class": ((LABELS > 2).astype("u1"), LOGITS[:, :1], {"activation": "sigmoid"}),
    "many classes": (
        RNG.integers(0, 40, (2, 30)), RNG.normal(0, 2, (2, 40, 30)).astype("f4"), {"squared": False},
    ),
    "soft": (SOFT, LOGITS, {}),
    "probabilities": (LABELS, CHANCES, {"activation": None}),
    "one class, probabilities": ((LABELS > 2).astype("u1"), CHANCES[:, :1], {"activation": None}),
}  # fmt: skip
SLOW = ("soft", "probabilities", "one class, probabilities")


def on_gpu(options: dict[str, Any]) -> dict[str, Any]:
    return {name: Tensor(value) if isinstance(value, np.ndarray) else value for name, value in options.items()}


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CASES]
)
def test_losses_and_gradients_are_the_references(cpu: Cpu, case: str) -> None:
    true, score, options = CASES[case]
    options = {"channel_axis": 1, **options}
    out = np.full(score.shape, np.nan, "f4")
    tensor = Tensor(out)
    loss, found = dice_cross_entropy_with_gradient(Tensor(true), Tensor(score), out=tensor, **on_gpu(options))
    assert found is tensor
    wanted, gradient = dice_cross_entropy_with_gradient(true, score, backend="numpy", **options)
    assert loss == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_allclose(out, gradient, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


def test_half_precision_and_any_order(cpu: Cpu) -> None:
    score = np.ascontiguousarray(np.moveaxis(LOGITS, 1, -1)).astype("f2")[:, ::-1, ::2]
    out = np.full((*score.shape[:2], 2 * score.shape[2], 5), np.nan, "f2")[:, :, ::2]
    true = LABELS[:, :, ::2]
    options: dict[str, Any] = {"dice_weight": 300.0, "ce_weight": 300.0}
    dice_cross_entropy_with_gradient(Tensor(true), Tensor(score), out=Tensor(out), **options)
    _, gradient = dice_cross_entropy_with_gradient(true, score, backend="numpy", **options)
    np.testing.assert_allclose(out, gradient, rtol=2e-3, atol=1e-4)
    assert gradient.dtype == out.dtype


@pytest.mark.parametrize(("channels", "kind"), [(4, "f4"), (6, "f2"), (5, "f4")])
def test_classes_that_lie_side_by_side_change_no_bit(cpu: Cpu, channels: int, kind: str) -> None:
    score = RNG.normal(0, 2, (2, 65, channels)).astype(kind)
    true = RNG.integers(0, channels + 1, (2, 65))
    found, beside = [], []
    for first in (False, True, False):
        given = np.ascontiguousarray(np.moveaxis(score, -1, 1)) if first else score
        room = np.full(score.size + 1, np.nan, "f4")
        out = room[len(found) // 2 :][: score.size].reshape(given.shape)  # the last time beyond the first number
        options: dict[str, Any] = {"channel_axis": 1 if first else -1, "ignore_index": channels}
        dice_cross_entropy_with_gradient(Tensor(true), Tensor(given), out=Tensor(out), **options)
        found.append(np.moveaxis(out, 1, -1) if first else out)
        beside.append(dict(cpu.launched[-1].macros)["BESIDE"])
    assert beside == [1, 0, int(channels == 5)]
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


def test_no_voxels(cpu: Cpu) -> None:
    nothing = np.zeros((2, 0, 3), "f4")
    loss, _ = cross_entropy_with_gradient(Tensor(nothing[..., 0]), Tensor(nothing), out=Tensor(nothing.copy()))
    assert np.isnan(loss)


def test_where_it_is_written(cpu: Cpu) -> None:
    true, score, out = LABELS, LOGITS, np.zeros_like(LOGITS)

    def ask(out: Any, **options: Any) -> None:
        dice_cross_entropy_with_gradient(Tensor(true), Tensor(score), channel_axis=1, out=out, **options)

    with pytest.raises(
        TypeError, match=r"out: expected an array of shape .* no way to make one for Tensor; found None"
    ):
        ask(None)
    with pytest.raises(ValueError, match="out: expected a writeable array of float32 of shape"):
        ask(Tensor(out[:1]))
    with pytest.raises(ValueError, match="out: expected a writeable array of float16"):
        ask(Tensor(out), dtype=np.float16)
    with pytest.raises(TypeError, match="dtype: expected float32 or float16, found float64"):
        ask(Tensor(out.astype("f8")))
    with pytest.raises(TypeError, match="dtype: expected float32 or float16, found float64"):
        ask(None, dtype=np.float64)
    with pytest.raises(TypeError, match="out: expected an array of float32 or float16, found one of bfloat16"):
        ask(SimpleNamespace(dtype="torch.bfloat16"))
    with pytest.raises(ValueError, match="out: expected memory of its own"):
        ask(Tensor(score[:, ::-1]))
    with pytest.raises(ValueError, match="out: .* memory of GPU 0, where y_score lies; found one in that of the CPU"):
        ask(out)
    with pytest.raises(ValueError, match="out: expected a place for each number"):
        ask(Tensor(np.broadcast_to(out[:1], out.shape)))
    with pytest.raises(ValueError, match="out: expected a writeable array"):
        ask(Tensor(out, writeable=False))


FOCAL: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "label map": (LABELS, LOGITS, {"ignore_index": 2}),
    "sigmoid, soft": (SOFT, LOGITS, {"activation": "sigmoid", "gamma": 1.5}),
    "soft": (SOFT, LOGITS, {"gamma": 0.0}),
    "probabilities": (LABELS, CHANCES, {"activation": None}),
    "one class, probabilities": ((LABELS > 2).astype("u1"), CHANCES[:, :1], {"activation": None}),
    "many classes": (RNG.integers(0, 40, (2, 30)), RNG.normal(0, 2, (2, 40, 30)).astype("f4"), {}),
}


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=[pytest.mark.slow] if name != "label map" else []) for name in FOCAL]
)
def test_gradients_of_focal_losses(cpu: Cpu, case: str) -> None:
    true, score, options = FOCAL[case]
    out = np.full(score.shape, np.nan, "f4")
    loss, _ = dice_focal_loss_with_gradient(Tensor(true), Tensor(score), channel_axis=1, out=Tensor(out), **options)
    wanted, gradient = dice_focal_loss_with_gradient(true, score, channel_axis=1, backend="numpy", **options)
    assert loss == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_allclose(out, gradient, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_autograd(cpu: Cpu, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Tensors that say they lie on a GPU go through autograd there and back."""
    import torch
    from support.cuda.tensors import pretended

    from fastseg.adapters.autograd import differentiable_loss
    from fastseg.metrics.loss_derivatives import CrossEntropy

    monkeypatch.setattr(importlib.import_module("fastseg.arrays.device"), "_stream", lambda *_: 0)
    dtype = getattr(torch, kind)
    plain = torch.from_numpy(LOGITS).to(dtype).requires_grad_()
    scores = pretended(torch.from_numpy(LOGITS).to(dtype)).requires_grad_()
    truth = torch.from_numpy(LABELS)
    options: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0, "activation": "softmax"}
    loss = differentiable_loss(
        scores, pretended(truth), CrossEntropy(), lambda *_: None, torch.float32,
        quantities=["cross_entropy"], **options,
    )  # fmt: skip
    assert cpu.launched
    expected = torch.nn.functional.cross_entropy(plain.float(), truth.long())
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    (3 * loss).backward()
    (3 * expected).backward()
    assert cpu.launched[-1].name == "score_gradient"
    assert (scores.grad.dtype, plain.grad.dtype) == (dtype, dtype)
    found, wanted = (np.asarray(each.grad.float().tolist()) for each in (scores, plain))
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if kind == "float32" else 1e-2, atol=1e-9)


@pytest.mark.torch
def test_the_training_loop_of_the_guide(cpu: Cpu, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from support.cuda.tensors import pretended

    import fastseg

    monkeypatch.setattr(importlib.import_module("fastseg.arrays.device"), "_stream", lambda *_: 0)
    blocks = re.findall(r"```{code-block} python\n(.*?)```", (ROOT / "docs/guide/gpu.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {"torch": torch, "fastseg": fastseg}
    exec(blocks[1], names)
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 5)
    images, labels = torch.randn(2, 40, 3), pretended(torch.from_numpy(LABELS[:, 0, :40].copy()))
    optimizer = torch.optim.SGD(network.parameters(), 0.5)

    def scores(given: Any) -> Any:
        return pretended(network(given).transpose(1, 2).contiguous())

    losses = [float(names["step"](scores, optimizer, images, labels)) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]

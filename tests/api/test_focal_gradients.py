"""The focal loss and its gradient: against torch's autograd, finite differences, limits, and the NumPy backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg import losses
from fastseg.kernels import BACKENDS
from fastseg.losses import dice_focal_loss_with_gradient, focal_loss_with_gradient, soft_dice_loss_with_gradient

RNG = np.random.default_rng(8)
SHAPE = (2, 5, 9, 7)  # samples, classes, space
LOGITS = RNG.normal(size=SHAPE).astype(np.float32) * 3
LABELS = RNG.integers(0, 5, (2, 9, 7))
SOFT = RNG.dirichlet(np.ones(5), (2, 9, 7)).astype(np.float32).transpose(0, 3, 1, 2)
PROBABILITIES = RNG.dirichlet(np.ones(5), (2, 9, 7)).transpose(0, 3, 1, 2)
WEIGHTS, ALPHAS = [1, 2, 0.5, 3, 0.1], [0.1, 0.9, 0.5, 2, 0]
backends = pytest.mark.parametrize("backend", BACKENDS)


def by_autograd(t: Any, z: Any, options: dict[str, Any]) -> tuple[float, Any]:
    """Return the mean of −α w (1 − p)^γ ln p and its gradient from torch, in float64; channels are axis 1."""
    import torch

    functional = torch.nn.functional
    z = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    classes, activation = z.shape[1], options["activation"]
    truth = torch.tensor(t)
    if truth.ndim < z.ndim:
        truth = functional.one_hot(truth, max(2, classes)).movedim(-1, 1)[:, -classes:]
    column = (1, -1, *(1,) * (z.ndim - 2))
    weight = torch.tensor(options.get("class_weight", np.ones(classes)), dtype=torch.float64).reshape(column)
    alpha = options.get("alpha")
    own = others = torch.ones_like(weight)
    if np.ndim(alpha):
        own = torch.tensor(alpha, dtype=torch.float64).reshape(column)
    elif alpha is not None and activation == "sigmoid":
        own, others = alpha * own, (1 - alpha) * others
    elif alpha is not None:
        own = torch.tensor([1 - alpha, *(classes - 1) * [alpha]], dtype=torch.float64).reshape(column)
    gamma = options.get("gamma", 2.0)
    if activation == "sigmoid":
        yes = -own * truth * torch.sigmoid(-z) ** gamma * functional.logsigmoid(z)
        no = -others * (1 - truth) * torch.sigmoid(z) ** gamma * functional.logsigmoid(-z)
        loss = (weight * (yes + no)).mean()
    else:
        log = z.log_softmax(1) if activation else z.log()
        loss = (-weight * own * truth * (1 - log.exp()) ** gamma * log).sum(1).mean()
    loss.backward()
    return float(loss.detach()), z.grad.numpy()


CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "softmax": (LABELS, LOGITS, {}),
    "softmax, alpha": (LABELS, LOGITS, {"alpha": 0.25, "gamma": 1.5}),
    "softmax, everything": (LABELS, LOGITS, {"alpha": ALPHAS, "gamma": 3.0, "class_weight": WEIGHTS}),
    "softmax of a soft truth": (SOFT, LOGITS, {"alpha": 0.25, "gamma": 0.5}),
    "softmax without focus": (SOFT, LOGITS, {"gamma": 0.0}),
    "float64": (LABELS, LOGITS.astype(np.float64), {"gamma": 1.0}),
    "sigmoid": (LABELS, LOGITS, {"activation": "sigmoid"}),
    "sigmoid, alpha": (LABELS, LOGITS, {"activation": "sigmoid", "alpha": 0.25, "gamma": 0.5}),
    "sigmoid, everything": (
        LABELS, LOGITS, {"activation": "sigmoid", "alpha": ALPHAS, "gamma": 3.0, "class_weight": WEIGHTS}
    ),
    "sigmoid of a soft truth": (SOFT, LOGITS, {"activation": "sigmoid", "alpha": 0.75, "class_weight": WEIGHTS}),
    "sigmoid without focus": (LABELS, LOGITS, {"activation": "sigmoid", "gamma": 0.0}),
    "one class": (LABELS % 2, LOGITS[:, :1], {"activation": "sigmoid", "alpha": 0.25}),
    "probabilities": (LABELS, PROBABILITIES, {"activation": None}),
    "probabilities, soft": (SOFT, PROBABILITIES, {"activation": None, "gamma": 1.5}),
}  # fmt: skip


@pytest.mark.torch
@backends
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("case", CASES)
def test_autograd(case: str, last: bool, backend: str) -> None:
    t, z, options = CASES[case]
    options = {"activation": "softmax", **options}
    loss, gradient = by_autograd(t, z, options)
    if last:
        t = np.ascontiguousarray(np.moveaxis(t, 1, -1)) if t.ndim == z.ndim else t
        z, gradient = np.ascontiguousarray(np.moveaxis(z, 1, -1)), np.moveaxis(gradient, 1, -1)
    options |= {"channel_axis": -1 if last else 1, "backend": backend}
    found, ours = focal_loss_with_gradient(t, z, **options)
    assert (ours.dtype, ours.shape) == (np.float32, z.shape)
    assert found == pytest.approx(loss, rel=1e-6)
    assert found == pytest.approx(losses.focal_loss(t, z, **options), rel=1e-12)
    np.testing.assert_allclose(ours, gradient, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("case", CASES)
def test_finite_differences(case: str) -> None:
    t, z, own = CASES[case]
    t, z = t[..., :2, :2], z[..., :2, :2].astype(np.float64)
    options: dict[str, Any] = {"activation": "softmax", "channel_axis": 1, "backend": "numpy", **own}
    _, gradient = focal_loss_with_gradient(t, z, **options)
    for place in [(0, 0, 0, 0), (1, z.shape[1] - 1, 1, 0), (1, z.shape[1] // 2, 1, 1)]:
        step = 1e-6 * (z[place] if options["activation"] is None else 1)
        sides = []
        for sign in (1, -1):
            moved = z.copy()
            moved[place] += sign * step
            sides.append(focal_loss_with_gradient(t, moved, **options)[0])
        found = (sides[0] - sides[1]) / (2 * step)
        assert gradient[place] == pytest.approx(found, rel=1e-4, abs=1e-6 * float(np.abs(gradient).max()))


@backends
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_next_to_right_and_wrong(activation: str, gamma: float, backend: str) -> None:
    """By the logit it is −(γ + 1) q^(γ + 1) where q is next to 0, and −1 where p is; so it is by a difference of two."""
    z = np.array([4.0, 12.0, 20.0, 30.0, -12.0, -30.0, -60.0, -300.0])
    q = 1 / (1 + np.exp(z))
    p = 1 / (1 + np.exp(-z))
    wanted = -(q**gamma) * (gamma * p * np.log1p(np.exp(-z)) + q) / 8
    np.testing.assert_allclose(wanted[1:4], -(gamma + 1) * q[1:4] ** (gamma + 1) / 8, rtol=1e-4)
    options: dict[str, Any] = {"activation": activation, "gamma": gamma, "backend": backend, "sample_axis": None}
    if activation == "sigmoid":
        _, of_true = focal_loss_with_gradient(np.ones(8, int), z[:, None], **options)
        _, of_false = focal_loss_with_gradient(np.zeros(8, int), -z[:, None], **options)
        np.testing.assert_allclose(of_true[:, 0], wanted, rtol=2e-5)
        np.testing.assert_array_equal(of_false, -of_true)
        _, soft = focal_loss_with_gradient(np.ones((8, 1)), z[:, None], **options)
    else:
        both = np.stack([z, 0 * z], 1)
        _, found = focal_loss_with_gradient(np.zeros(8, int), both, **options)
        np.testing.assert_allclose(found, np.stack([wanted, -wanted], 1), rtol=2e-5)
        _, soft = focal_loss_with_gradient(np.tile([1.0, 0.0], (8, 1)), both, **options)
    np.testing.assert_allclose(soft[:, 0], wanted, rtol=2e-5)


@backends
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_certainty_beyond_floats(activation: str, gamma: float, backend: str) -> None:
    """Where p is 0 or 1 to the last bit, and its logarithm is -inf or 0: gradients are finite, and those of the limit."""
    for far in (200.0, 1e30, 3e38, np.inf):
        z = np.array([[far if np.isfinite(far) else 0.0, -far], [-far, far if np.isfinite(far) else 0.0]], np.float32)
        options: dict[str, Any] = {"activation": activation, "gamma": gamma, "backend": backend, "sample_axis": None}
        for truth in ([0, 1], np.eye(2)):
            _, right = focal_loss_with_gradient(truth, z, **options)
            if activation == "softmax" or np.isfinite(far):
                np.testing.assert_array_equal(right, 0)
        for truth in ([1, 0], np.eye(2)[::-1]):
            _, wrong = focal_loss_with_gradient(truth, z, **options)
            assert np.isfinite(wrong).all()
            if activation == "softmax":
                np.testing.assert_allclose(wrong, [[0.5, -0.5], [-0.5, 0.5]])


@backends
def test_probabilities_of_zero_and_one(backend: str) -> None:
    options: dict[str, Any] = {"activation": None, "sample_axis": None, "backend": backend}
    p = np.array([[1.0, 0.0], [0.0, 1.0]])
    for truth in ([0, 1], np.eye(2)):
        loss, gradient = focal_loss_with_gradient(truth, p, **options)
        assert loss == 0
        np.testing.assert_array_equal(gradient, 0)
        _, gradient = focal_loss_with_gradient(truth, p, **options, gamma=0.0)
        np.testing.assert_array_equal(gradient, -np.eye(2) / 2)
    loss, gradient = focal_loss_with_gradient([1, 1], p, **options)
    assert loss == np.inf
    np.testing.assert_array_equal(gradient, [[0, -np.inf], [0, 0]])
    _, gradient = focal_loss_with_gradient([1, 1], p, **options, class_weight=[1, 0])
    np.testing.assert_array_equal(gradient, 0)
    one = np.array([[0.0], [1.0]])
    for truth in ([1, 0], [[1.0], [0.0]]):
        _, gradient = focal_loss_with_gradient(truth, one, **options)
        np.testing.assert_array_equal(gradient, [[-np.inf], [np.inf]])


@backends
def test_what_is_ignored_or_masked_has_no_gradient(backend: str) -> None:
    options: dict[str, Any] = {"channel_axis": 1, "backend": backend}
    mask = np.zeros(LABELS.shape, bool)
    mask[:, 2:6] = True
    z = LOGITS.copy()
    z[:, :, 0] = np.nan
    for other in ({"mask": mask}, {"ignore_index": 255}):
        labels = LABELS if "mask" in other else np.where(mask, LABELS, 255)
        loss, gradient = focal_loss_with_gradient(labels, z, **options, **other)
        wanted, part = focal_loss_with_gradient(LABELS[:, 2:6], LOGITS[:, :, 2:6], **options)
        assert loss == pytest.approx(wanted, rel=1e-12)
        np.testing.assert_allclose(gradient[:, :, 2:6], part, atol=1e-8)
        assert not gradient[:, :, :2].any()
        assert not gradient[:, :, 6:].any()


@backends
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_with_dice_it_is_the_sum_of_both(activation: str, backend: str) -> None:
    options: dict[str, Any] = {"channel_axis": 1, "activation": activation, "backend": backend, "class_weight": WEIGHTS}
    loss, gradient = dice_focal_loss_with_gradient(LABELS, LOGITS, **options, dice_weight=0.5, focal_weight=2.0)
    dice, of_dice = soft_dice_loss_with_gradient(LABELS, LOGITS, **options)
    focal, of_focal = focal_loss_with_gradient(LABELS, LOGITS, **options)
    assert loss == pytest.approx(0.5 * dice + 2 * focal, rel=1e-12)
    np.testing.assert_allclose(gradient, 0.5 * of_dice + 2 * of_focal, atol=1e-8)


def test_bad_arguments() -> None:
    z, t = [[0.25, 0.75]], [1]
    for options, message in [
        ({"alpha": 1.5}, "alpha: expected a number from 0 to 1, or one for each class, found 1.5"),
        ({"alpha": -0.5}, "alpha: expected a finite number that is not negative, found -0.5"),
        ({"alpha": [1.0]}, "alpha: expected a weight for each of 2 classes"),
        ({"alpha": [1.0, np.nan]}, "alpha: expected finite numbers that are not negative"),
        ({"gamma": -1.0}, "gamma: expected a finite number that is not negative, found -1.0"),
    ]:
        for function in (losses.focal_loss, focal_loss_with_gradient):
            with pytest.raises(ValueError, match=message):
                function(t, z, **options)
    with pytest.raises(ValueError, match="focal_weight: expected a finite number that is not negative"):
        dice_focal_loss_with_gradient(t, z, focal_weight=-1.0)


def test_alpha_of_classes_and_of_binary_sums() -> None:
    p = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]
    each = -np.log([0.5, 0.75, 0.75]) * [0.25, 1 / 16, 1 / 16]
    factors = [0.75, 0.75, 0.25]
    assert losses.focal_loss([0, 0, 1], p, alpha=0.25) == pytest.approx((each * factors).mean())
    assert losses.focal_loss([0, 0, 1], p, alpha=[3, 5]) == pytest.approx((each * [3, 3, 5]).mean())
    one = [[0.5], [0.25], [0.75]]
    assert losses.focal_loss([0, 0, 1], one, alpha=0.25) == pytest.approx((each * factors).mean())
    assert losses.focal_loss([0, 0, 1], one, alpha=1) == pytest.approx(each[2] / 3)
    assert losses.focal_loss([0, 0, 1], one, alpha=[5]) == pytest.approx((each * [1, 1, 5]).mean())

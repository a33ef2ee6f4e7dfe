"""Losses with gradients: against torch's autograd, finite differences, and the NumPy backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg import losses, set_num_threads
from fastseg.kernels import BACKENDS
from fastseg.losses import (
    cross_entropy_with_gradient,
    dice_cross_entropy_with_gradient,
    soft_dice_loss_with_gradient,
)

RNG = np.random.default_rng(7)
SHAPE = (2, 5, 9, 7, 8)  # samples, classes, space
LOGITS = RNG.normal(size=SHAPE).astype(np.float32)
LABELS = RNG.integers(0, 5, (2, 9, 7, 8))
ONE_HOT = np.moveaxis(np.eye(5, dtype=np.float32)[LABELS], -1, 1)
SOFT = RNG.dirichlet(np.ones(5), (2, 9, 7, 8)).astype(np.float32).transpose(0, 4, 1, 2, 3)
PROBABILITIES = RNG.dirichlet(np.ones(5), (2, 9, 7, 8)).astype(np.float32).transpose(0, 4, 1, 2, 3)
backends = pytest.mark.parametrize("backend", BACKENDS)


def by_autograd(t: Any, z: Any, options: dict[str, Any]) -> tuple[float, Any]:
    """Return the loss and its gradient from torch, in float64; channels are axis 1."""
    import torch

    functional = torch.nn.functional
    activation, ignored = options.get("activation", "softmax"), options.get("ignore_index")
    z = torch.tensor(np.asarray(z), dtype=torch.float64, requires_grad=True)
    classes, soft, space = z.shape[1], t.ndim == z.ndim, tuple(range(2, z.ndim))
    truth = torch.tensor(np.asarray(t))
    p = {"softmax": lambda: z.softmax(1), "sigmoid": z.sigmoid, None: lambda: z}[activation]()
    keep = torch.ones(truth.shape, dtype=torch.bool) if soft or ignored is None else truth != ignored
    if soft:
        hot, inside = truth.double(), 1.0
    else:
        hot = (
            functional.one_hot(torch.where(keep, truth.long(), 0), max(2, classes))
            .movedim(-1, 1)[:, -classes:]
            .double()
        )
        inside = keep[:, None].double()
    weights = torch.ones(classes, dtype=torch.float64)
    if "class_weight" in options:
        weights = torch.tensor(options["class_weight"], dtype=torch.float64)
    both = (p * hot * inside).sum(space)
    size = ((p * p + hot * hot) if options.get("squared", True) else p + hot) * inside
    dice = 1 - (2 * both + 1e-6) / (size.sum(space) + 1e-6)
    share = weights.clone()
    if not options.get("include_background", True):
        share[0] = 0
    loss = options.get("dice_weight", 1.0) * (dice * share / share.sum()).sum() / len(z)
    if activation == "softmax":
        target = hot if soft else torch.where(keep, truth.long(), -100)
        smoothing = options.get("label_smoothing", 0.0)
        entropy = functional.cross_entropy(z, target, weight=weights, label_smoothing=smoothing)
        loss = loss + options.get("ce_weight", 1.0) * entropy
    elif activation == "sigmoid":
        loss = loss + options.get("ce_weight", 1.0) * functional.binary_cross_entropy_with_logits(z, hot)
    loss.backward()
    return float(loss.detach()), z.grad.numpy()


CASES = {
    "label map": (LABELS, LOGITS, {}),
    "one-hot": (ONE_HOT, LOGITS, {}),
    "soft truth": (SOFT, LOGITS, {}),
    "options": (LABELS, LOGITS, {"squared": False, "class_weight": [1, 2, 0.5, 3, 0.1], "label_smoothing": 0.1}),
    "no background": (LABELS, LOGITS, {"include_background": False, "dice_weight": 0.3, "ce_weight": 2.0}),
    "ignored": (np.where(LABELS == 3, 255, LABELS), LOGITS, {"ignore_index": 255}),
    "float64": (LABELS, LOGITS.astype(np.float64) * 10, {}),
    "Dice of probabilities": (LABELS, PROBABILITIES, {"activation": None, "ce_weight": 0.0}),
    "Dice of probabilities, soft": (SOFT, PROBABILITIES, {"activation": None, "ce_weight": 0.0}),
    "sigmoid": (LABELS, LOGITS, {"activation": "sigmoid"}),
    "sigmoid, soft": (SOFT, LOGITS, {"activation": "sigmoid"}),
    "one class": ((LABELS > 1).astype(np.uint8), LOGITS[:, :1], {"activation": "sigmoid"}),
}


@pytest.mark.slow
@pytest.mark.torch
@backends
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("case", CASES)
def test_autograd(case: str, last: bool, backend: str) -> None:
    t, z, options = CASES[case]
    loss, gradient = by_autograd(t, z, options)
    if last:
        t = np.ascontiguousarray(np.moveaxis(t, 1, -1)) if t.ndim == z.ndim else t
        z, gradient = np.ascontiguousarray(np.moveaxis(z, 1, -1)), np.moveaxis(gradient, 1, -1)
    axis = -1 if last else 1
    found, ours = dice_cross_entropy_with_gradient(t, z, channel_axis=axis, backend=backend, **options)
    assert ours.dtype == np.float32
    assert ours.shape == z.shape
    assert found == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(ours, gradient, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


WEIGHTS = [1, 2, 0.5, 3, 0.1]
DIFFERENCES: dict[str, dict[str, Any]] = {
    "probabilities": {"activation": None},
    "probabilities of which some are ignored": {"activation": None, "squared": False, "ignore_index": 3},
    "softmax": {},
    "softmax of everything else": {
        "squared": False, "class_weight": WEIGHTS, "label_smoothing": 0.1, "include_background": False, "dice_weight": 0.3,
        "ce_weight": 2.0, "epsilon": 0.5,
    },
    "softmax of a soft truth": {"soft": True, "class_weight": WEIGHTS, "label_smoothing": 0.2},
    "sigmoid": {"activation": "sigmoid"},
    "sigmoid of a soft truth": {"activation": "sigmoid", "soft": True, "class_weight": WEIGHTS, "squared": False},
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENCES)
def test_finite_differences(case: str) -> None:
    own = {"activation": "softmax", "soft": False, **DIFFERENCES[case]}
    z = (PROBABILITIES if own["activation"] is None else LOGITS)[:, :, :2, :2, :2].astype(np.float64)
    t = (SOFT[:, :, :2, :2, :2] if own.pop("soft") else LABELS[:, :2, :2, :2]).copy()
    options: dict[str, Any] = {"channel_axis": 1, "backend": "numpy", **own}
    loss, gradient = dice_cross_entropy_with_gradient(t, z, **options)
    assert loss == pytest.approx(losses.dice_cross_entropy_loss(t, z, **options), rel=1e-12)
    for place in [(0, 0, 0, 0, 0), (1, 3, 1, 0, 1), (0, 4, 1, 1, 1)]:
        sides = []
        for step in (1e-6, -1e-6):
            moved = z.copy()
            moved[place] += step
            sides.append(dice_cross_entropy_with_gradient(t, moved, **options)[0])
        assert gradient[place] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-4, abs=1e-8)


@backends
def test_parts_add_up_and_equal_the_losses(backend: str) -> None:
    options: dict[str, Any] = {"channel_axis": 1, "activation": "softmax", "backend": backend}
    loss, gradient = dice_cross_entropy_with_gradient(LABELS, LOGITS, **options)
    dice, of_dice = soft_dice_loss_with_gradient(LABELS, LOGITS, **options)
    entropy, of_entropy = cross_entropy_with_gradient(LABELS, LOGITS, **options)
    assert loss == pytest.approx(dice + entropy, rel=1e-12)
    np.testing.assert_allclose(gradient, of_dice + of_entropy, atol=1e-8)
    assert dice == pytest.approx(losses.soft_dice_loss(LABELS, LOGITS, **options), rel=1e-12)
    assert entropy == pytest.approx(losses.cross_entropy(LABELS, LOGITS, **options), rel=1e-12)


@backends
def test_layouts_and_types(backend: str) -> None:
    options: dict[str, Any] = {"channel_axis": 1, "backend": backend}
    _, expected = dice_cross_entropy_with_gradient(LABELS, LOGITS, **options)
    wide = np.zeros((2, 5, 9, 7, 16), np.float32)
    wide[..., ::2] = LOGITS
    for view in (np.asfortranarray(LOGITS), wide[..., ::2], LOGITS[:, :, ::-1][:, :, ::-1]):
        _, gradient = dice_cross_entropy_with_gradient(LABELS, view, **options)
        np.testing.assert_allclose(gradient, expected, atol=1e-8)
    half = LOGITS.astype(np.float16)
    _, gradient = dice_cross_entropy_with_gradient(LABELS, half, **options)
    assert gradient.dtype == np.float16
    _, exact = dice_cross_entropy_with_gradient(LABELS, half, dtype=np.float32, **options)
    np.testing.assert_array_equal(gradient, exact.astype(np.float16))
    out = np.full(LOGITS.shape, np.nan, np.float32)
    _, given = dice_cross_entropy_with_gradient(LABELS, LOGITS, out=out, **options)
    assert given is out
    np.testing.assert_array_equal(out, expected)


@backends
def test_voxels_that_are_not_looked_at_have_no_gradient(backend: str) -> None:
    mask = np.zeros(LABELS.shape, bool)
    mask[:, 2:6] = True
    z = LOGITS.copy()
    z[:, :, 0] = np.nan
    loss, gradient = dice_cross_entropy_with_gradient(LABELS, z, channel_axis=1, mask=mask, backend=backend)
    inside = LABELS[:, 2:6], LOGITS[:, :, 2:6]
    expected, part = dice_cross_entropy_with_gradient(*inside, channel_axis=1, backend=backend)
    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient[:, :, 2:6], part, atol=1e-8)
    assert not gradient[:, :, :2].any()
    assert not gradient[:, :, 6:].any()


def test_threads_do_not_change_a_bit() -> None:
    z = RNG.normal(size=(2, 4, 1 << 19)).astype(np.float32)
    t = RNG.integers(0, 4, (2, 1 << 19))
    results = []
    try:
        for threads in (1, 2, 5):
            set_num_threads(threads)
            results.append(dice_cross_entropy_with_gradient(t, z, channel_axis=1))
    finally:
        set_num_threads(None)
    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="dtype: expected float32 or float16, found float64"):
        dice_cross_entropy_with_gradient(LABELS, LOGITS, channel_axis=1, dtype=np.float64)
    with pytest.raises(ValueError, match="out: expected a writeable array"):
        dice_cross_entropy_with_gradient(LABELS, LOGITS, channel_axis=1, out=np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="y_score: expected logits"):
        dice_cross_entropy_with_gradient(LABELS, np.full(SHAPE, np.nan, np.float32), channel_axis=1)
    with pytest.raises(ValueError, match="label_smoothing"):
        dice_cross_entropy_with_gradient(LABELS, LOGITS, channel_axis=1, activation="sigmoid", label_smoothing=0.1)


@backends
def test_samples_without_space(backend: str) -> None:
    z, t = LOGITS.reshape(-1, 5)[:200], LABELS.reshape(-1)[:200]
    apart, _ = cross_entropy_with_gradient(t, z, backend=backend)
    together, gradient = cross_entropy_with_gradient(t, z, sample_axis=None, backend=backend)
    assert apart == pytest.approx(together, rel=1e-9)
    out = np.full(z.shape, np.nan, np.float32)
    cross_entropy_with_gradient(t, z, out=out, backend=backend)
    np.testing.assert_allclose(out, gradient, atol=1e-8)
    assert losses.cross_entropy(np.array(1), z[0], activation="softmax", sample_axis=None, backend=backend) > 0


@backends
def test_no_weight_and_no_probability(backend: str) -> None:
    z = np.array([[[-np.inf, 0.0], [0.0, 1.0]]], np.float32)
    options: dict[str, Any] = {"class_weight": [0, 1], "activation": "softmax", "backend": backend}
    loss, _ = dice_cross_entropy_with_gradient([[0, 1]], z, **options)
    assert loss == pytest.approx(losses.dice_cross_entropy_loss([[0, 1]], z, **options))


@backends
def test_probabilities_that_only_float64_tells_from_one(backend: str) -> None:
    options: dict[str, Any] = {"channel_axis": None, "activation": None, "backend": backend}
    for rest in (1e-7, 1e-9):
        _, gradient = cross_entropy_with_gradient(np.array([[0]]), np.array([[1 - rest]]), **options)
        assert gradient.item() == pytest.approx(1 / rest, rel=1e-5)


@pytest.mark.parametrize("classes", [1, 2])
def test_background_is_left_out_unless_it_is_all_there_is(classes: int) -> None:
    t, z = LABELS[:, 0, 0] % 2, np.moveaxis(LOGITS[:, :classes, 0, 0], 1, -1)
    options: dict[str, Any] = {"include_background": False, "activation": "sigmoid", "backend": "numpy"}
    loss, gradient = soft_dice_loss_with_gradient(t, z, **options)
    assert loss == pytest.approx(losses.soft_dice_loss(t, z, **options), rel=1e-12)
    assert gradient.any((0, 1)).tolist() == [True] if classes == 1 else [False, True]


def test_dice_without_epsilon() -> None:
    """Of a class whose sums are 1, and one that has none: its loss is undefined, but it does not spoil the gradient."""
    p = np.array([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    options: dict[str, Any] = {"activation": None, "backend": "numpy"}
    loss, gradient = soft_dice_loss_with_gradient([[0, 1]], p, 0.0, **options)
    assert np.isnan(loss)
    np.testing.assert_allclose(gradient, [[[-2 / 27, 0, 0], [4 / 27, -2 / 3, 0]]], rtol=1e-6)
    loss, gradient = soft_dice_loss_with_gradient([[0, 1]], p[..., :2], 0.0, **options)
    assert loss == pytest.approx((1 / 3 + 1) / 2)


def test_out_must_not_overlap_an_input() -> None:
    room = np.zeros(10_002, np.float32)
    with pytest.raises(ValueError, match="out: expected memory of its own"):
        dice_cross_entropy_with_gradient(
            np.zeros((1, 5000), int), room[:-2].reshape(1, 5000, 2), out=room[2:].reshape(1, 5000, 2)
        )
    for name in ("epsilon", "dice_weight", "ce_weight"):
        with pytest.raises(ValueError, match=f"{name}: expected a finite number that is not negative"):
            dice_cross_entropy_with_gradient(LABELS, LOGITS, channel_axis=1, **{name: -1.0})

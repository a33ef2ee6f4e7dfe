"""Losses among what PyTorch does with modules: gradients checked, mixed precision, copies, scripts, compilation, training."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
from support.drop_ins import strictly, went
from support.loss_modules import losses_of_training

pytestmark = pytest.mark.torch
NAMES = ["DiceLoss", "DiceCELoss", "TverskyLoss", "GeneralizedDiceLoss", "FocalLoss", "DiceFocalLoss"]
OPTIONS: dict[str, Any] = {"softmax": True, "to_onehot_y": True}
#: Of gradcheck, whose steps are of 1e-3: kernels work with 24 bits, so a loss is known to 1e-7, its difference to 1e-4.
GRADCHECK = {"eps": 1e-3, "atol": 1e-4, "rtol": 1e-3}


@pytest.fixture(autouse=True)
def never_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count here, however few scores there are."""
    monkeypatch.setattr("fastseg.adapters.monai.loss_inputs.FEW", 0)


def both(name: str) -> tuple[Any, Any]:
    """Return the host's class and ours."""
    import monai.losses

    import fastseg.adapters.monai

    return getattr(monai.losses, name), getattr(fastseg.adapters.monai, name)


def options_of(name: str) -> dict[str, Any]:
    return {"use_softmax": True, "to_onehot_y": True} if name == "FocalLoss" else OPTIONS


def example(shape: tuple[int, ...] = (2, 3, 5, 4)) -> tuple[Any, Any]:
    import torch

    rng = np.random.default_rng(3)
    labels = rng.integers(0, shape[1], (shape[0], 1, *shape[2:]))
    return torch.from_numpy(rng.normal(size=shape)).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"batch": True}, {"include_background": False}], ids=str)
def test_gradcheck(name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    scores, labels = example((1, 3, 3, 4))
    if name == "FocalLoss" and options:
        options = {"gamma": 1.5, "alpha": 0.25} if "batch" in options else {"use_softmax": False, **options}
    loss = both(name)[1](**options_of(name) | options)
    with strictly(monkeypatch):
        assert torch.autograd.gradcheck(lambda z: loss(z, labels), scores.double().requires_grad_(), **GRADCHECK)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_are_the_hosts(name: str) -> None:
    import torch

    scores, labels = example()
    found = []
    for kind in both(name):
        z = scores.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(kind(**options_of(name))(z, labels), z, create_graph=True)
        (second,) = torch.autograd.grad((gradient**2).sum(), z)
        found.append((gradient.detach(), second))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_automatic_casts(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network returns there is of 16 bits, the loss is not."""
    import torch

    half = getattr(torch, dtype)
    scores, labels = example()
    with strictly(monkeypatch), torch.autocast("cpu", half):
        for given in (scores, scores.to(half)):
            results = []
            for kind in both(name):
                z = given.clone().requires_grad_()
                loss = kind(**options_of(name))(z, labels)
                loss.backward()
                assert loss.dtype is torch.float32
                assert z.grad is not None
                assert z.grad.dtype is given.dtype
                results.append((loss.detach(), z.grad))
            (wanted, wanted_gradient), (found, found_gradient) = results
            room = 1e-2 if given.dtype is half else 1e-5  # the host rounds to 16 bits after each step
            torch.testing.assert_close(found, wanted, rtol=room, atol=0)
            torch.testing.assert_close(
                found_gradient, wanted_gradient, rtol=room, atol=room * float(wanted_gradient.abs().max())
            )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_scores_of_16_bits_are_summed_exactly(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An intended difference: the host adds numbers of 16 bits up in 16 bits, those of float16 to infinity."""
    import torch

    half = getattr(torch, dtype)
    logits, labels = example((1, 2, 300, 300))
    scores = (logits + torch.tensor([9.0, 0]).reshape(2, 1, 1)).to(half)
    options = OPTIONS | {"reduction": "none"}
    theirs, ours = (kind(**options) for kind in both("DiceLoss"))
    with strictly(monkeypatch):
        found, wanted = ours(scores, labels), theirs(scores.float(), labels)
    assert found.dtype is theirs(scores, labels).dtype is torch.float32
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    if half is torch.float16:
        assert theirs(scores, labels)[0, 0] == 1


def test_training_with_a_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network learns the same with either, its gradients scaled beyond what 16 bits hold."""
    images, labels = example((2, 3, 8, 8))
    losses = [losses_of_training(kind(**OPTIONS), images, labels) for kind in both("DiceCELoss")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert losses[1][-1] < losses[1][0]


@pytest.mark.parametrize("name", NAMES)
def test_copies(name: str) -> None:
    import torch

    scores, labels = example()
    loss = both(name)[1](**options_of(name))
    wanted = loss(scores, labels)
    buffer = io.BytesIO()
    torch.save(loss, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=False)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), saved):
        assert type(other) is type(loss)
        assert other(scores, labels) == wanted
    assert repr(loss) == repr(both(name)[0](**options_of(name)))
    assert loss.state_dict().keys() == both(name)[0](**options_of(name)).state_dict().keys()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_scripts_are_the_hosts_and_can_be_saved(name: str) -> None:
    import torch

    scores, labels = example()
    theirs, ours = (kind(**options_of(name)) for kind in both(name))
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(ours), buffer)
    buffer.seek(0)
    scripted = torch.jit.script(
        theirs
    )  # which is not always what it is a script of: generalised Dice has other weights
    torch.testing.assert_close(torch.jit.load(buffer)(scores, labels), scripted(scores, labels))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DiceLoss", "DiceCELoss", "FocalLoss"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_compiled_programs_have_the_hosts(name: str) -> None:
    import torch

    scores, labels = example()
    theirs, ours = (kind(**options_of(name)) for kind in both(name))

    @torch.compile(backend="eager")
    def step(z: Any) -> Any:
        return ours(z * 2, labels) + 1

    z, other = (scores.clone().requires_grad_() for _ in range(2))
    step(z).backward()
    (theirs(other * 2, labels) + 1).backward()
    torch.testing.assert_close(z.grad, other.grad)


def test_inputs_that_change_before_the_gradient_are_an_error() -> None:
    scores, labels = example()
    z = scores.clone().requires_grad_()
    truth = labels.clone()
    loss = both("DiceLoss")[1](**OPTIONS)(z, truth)
    truth[:] = 0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_twice_backward() -> None:
    import torch

    scores, labels = example()
    z = scores.clone().requires_grad_()
    loss = both("DiceLoss")[1](**OPTIONS)(z, labels)
    loss.backward(retain_graph=True)
    once = z.grad.clone()
    loss.backward()
    torch.testing.assert_close(z.grad, 2 * once)


def test_tensors_with_metadata() -> None:
    import torch
    from monai.data import MetaTensor

    scores, labels = example()
    for truth in (labels, MetaTensor(labels, affine=torch.diag(torch.tensor([2.0, 2, 2, 1])))):
        for given in (scores, MetaTensor(scores)):
            results = []
            for kind in both("DiceCELoss"):
                z = given.clone().requires_grad_()
                loss = kind(**OPTIONS)(z, truth)
                loss.backward()
                results.append((loss, z.grad))
            (wanted, wanted_gradient), (found, found_gradient) = results
            assert type(found) is type(wanted)
            assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
            np.testing.assert_allclose(found_gradient, wanted_gradient, rtol=1e-4, atol=1e-7)


def test_derivatives_by_the_truth_are_the_hosts() -> None:
    import torch

    scores, labels = example()
    truth = torch.nn.functional.one_hot(labels[:, 0], 3).movedim(-1, 1).float().requires_grad_()
    with went("monai.DiceLoss", host=1):
        both("DiceLoss")[1](softmax=True)(scores, truth).backward()
    assert truth.grad is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch imports for it
def test_other_ways_to_differentiate_are_the_hosts() -> None:
    import torch
    from torch.autograd import forward_ad

    scores, labels = example()
    theirs, ours = (kind(**OPTIONS) for kind in both("DiceLoss"))
    with went("monai.DiceLoss", host=2):
        found = torch.func.grad(lambda z: ours(z, labels))(scores)
        with forward_ad.dual_level():
            along = forward_ad.unpack_dual(ours(forward_ad.make_dual(scores, torch.ones_like(scores)), labels)).tangent
    torch.testing.assert_close(found, torch.func.grad(lambda z: theirs(z, labels))(scores))
    torch.testing.assert_close(along, found.sum(), rtol=1e-4, atol=1e-6)


def test_scores_are_freed_after_the_gradient() -> None:
    """As the host's are, although somebody keeps the losses of a whole epoch."""
    scores, labels = example()
    z = scores.clone().requires_grad_()
    given = z * 2
    kept = weakref.ref(given)
    loss = both("DiceCELoss")[1](**OPTIONS)(given, labels)
    loss.backward()
    del given
    gc.collect()
    assert kept() is None
    assert loss.requires_grad

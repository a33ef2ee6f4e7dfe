"""SMP's losses and ours: values and gradients are the host's, whatever the options, and whatever PyTorch does with modules."""

from __future__ import annotations

import copy
import functools
import importlib
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same_call, outcome, strictly, went
from support.loss_modules import assert_same_losses, combinations, labels_and_logits, losses_of_training

pytestmark = [pytest.mark.torch, pytest.mark.host("segmentation_models")]

NAMES = ["DiceLoss", "JaccardLoss", "TverskyLoss"]
WEIGHTS = [1.0, 2.0, 0.5, 3.0]
OPTIONS: dict[str, list[Any]] = {
    "log_loss": [False, True], "from_logits": [True, False], "smooth": [0.0, 0.5], "ignore_index": [None, 255, 1, -1],
    "eps": [1e-7, 0.3], "classes": [None, [1], [0, 2, -1], [1, 1, 3]], "class_weights": [None, WEIGHTS],
}  # fmt: skip
OWN: dict[str, dict[str, list[Any]]] = {
    "TverskyLoss": {"alpha": [0.5, 0.2], "beta": [0.5, 0.9], "gamma": [1.0, 1.5, 2.0]},
}


@functools.cache
def modules() -> tuple[Any, Any, Any]:
    """Return PyTorch, theirs and ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the host's own imports
        names = ("torch", "segmentation_models_pytorch.losses", "fastseg.adapters.segmentation_models")
        torch, theirs, ours = map(importlib.import_module, names)
    return torch, theirs, ours


def both(name: str) -> tuple[Any, Any]:
    """Return the host's class and ours."""
    return getattr(modules()[1], name), getattr(modules()[2], name)


def example(mode: str, shape: tuple[int, ...] = (2, 4, 9, 8)) -> tuple[Any, Any]:
    """Return logits and a truth; of several classes the third is nowhere."""
    torch = modules()[0]
    if mode == "binary":
        logits, labels, _ = labels_and_logits((shape[0], 1, *shape[2:]))
        return logits, labels
    logits, labels, _ = labels_and_logits(shape)
    labels[labels == 2] = 0
    if mode == "multiclass":
        return logits, labels[:, 0]
    return logits, torch.from_numpy(np.random.default_rng(5).integers(0, 2, shape)) * (torch.arange(4) != 2)[
        :, None, None
    ]


def ignoring(truth: Any, index: int | None) -> Any:
    """Return a truth with some labels to ignore."""
    torch = modules()[0]
    some = torch.from_numpy(np.random.default_rng(6).random(truth.shape) < 0.2)
    return truth if index is None else torch.where(some, index, truth)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_losses(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, truth = example(mode)
    probabilities = logits.softmax(1) if mode == "multiclass" else logits.sigmoid()
    choices = OPTIONS | OWN.get(name, {})
    if mode == "binary":
        choices |= {"classes": [None], "class_weights": [None]}
    with strictly(monkeypatch):
        for options in combinations(choices, len(name), 60):
            scores = logits if options["from_logits"] else probabilities
            true = ignoring(truth, options["ignore_index"])
            truths = [true] if mode == "multiclass" else [true, true.float(), true.to(modules()[0].int16)]
            for each in truths:
                assert_same_losses(*both(name), scores, each, mode, **options)


def test_roots_of_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, truth = example("multiclass")
    with strictly(monkeypatch):
        assert_same_losses(*both("TverskyLoss"), logits, truth, "multiclass", gamma=0.75, log_loss=True)
        theirs, ours = (kind("multiclass", gamma=0.75)(logits, truth * 0) for kind in both("TverskyLoss"))
        assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_layouts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = modules()[0]
    kinds = both(name)
    with strictly(monkeypatch):
        for shape in [(3, 4, 50), (2, 4, 9, 8), (1, 4, 5, 6, 7)]:
            for mode in ("binary", "multiclass"):
                logits, truth = example(mode, shape)
                for scores in (logits, logits.double()):
                    assert_same_losses(*kinds, scores, truth, mode)
                    assert_same_losses(
                        *kinds, scores, truth.unsqueeze(1) if mode == "multiclass" else truth[:, 0], mode
                    )
                    assert_same_losses(*kinds, scores, ignoring(truth, 9).to(torch.uint8), mode, ignore_index=9)
        for mode in ("binary", "multiclass", "multilabel"):
            logits, truth = example(mode)
            assert_same_losses(*kinds, logits.contiguous(memory_format=torch.channels_last), truth, mode)
            assert_same_losses(*kinds, logits.transpose(2, 3), truth.transpose(-1, -2), mode)
        logits, truth = example("binary")
        assert_same_losses(*kinds, logits[:, 0], truth, "binary")
        assert_same_losses(*kinds, logits, truth.bool(), "binary")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_no_truth_and_nothing_but_ignored(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, truth = example(mode)
    with strictly(monkeypatch):
        for options in ({}, {"log_loss": True}, {"smooth": 1.0}):
            assert_same_losses(*both(name), logits, truth * 0, mode, **options)
            assert_same_losses(*both(name), logits, truth * 0 + 7, mode, ignore_index=7, **options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_gradcheck(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps of 1e-3: kernels work with 24 bits, so a loss is known to 1e-7, its difference to 1e-4."""
    torch = modules()[0]
    logits, truth = example(mode, (1, 4, 3, 4))
    loss = both(name)[1](mode)
    steps: dict[str, Any] = {"eps": 1e-3, "atol": 1e-4, "rtol": 1e-3}
    with strictly(monkeypatch):
        assert torch.autograd.gradcheck(lambda z: loss(z, truth), logits.double().requires_grad_(), **steps)


@pytest.fixture
def never_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count here, however few scores there are."""
    modules()
    monkeypatch.setattr("fastseg.adapters.segmentation_models.losses._FEW", 0)


@pytest.mark.usefixtures("never_few")
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_are_the_hosts(name: str, mode: str) -> None:
    torch = modules()[0]
    logits, truth = example(mode)
    found = []
    for kind in both(name):
        z = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(kind(mode)(z, truth), z, create_graph=True)
        (second,) = torch.autograd.grad((gradient**2).sum(), z)
        found.append((gradient.detach(), second))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_automatic_casts(name: str, dtype: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = modules()[0]
    half = getattr(torch, dtype)
    logits, truth = example(mode)
    options: dict[str, Any] = {} if mode == "binary" else {"class_weights": WEIGHTS}
    for cast in (True, False):
        with strictly(monkeypatch), torch.autocast("cpu", half, enabled=cast):
            for given, own in ((logits, {}), (logits.to(half), {}), (logits.to(half), options)):
                results = []
                for kind in both(name):
                    z = given.clone().requires_grad_()
                    loss = kind(mode, **own)(z, truth)
                    loss.backward()
                    results.append((loss.detach(), z.grad))
                (wanted, wanted_gradient), (found, found_gradient) = results
                room = 2e-2 if given.dtype is half else 1e-5  # the host rounds to 16 bits after each step
                torch.testing.assert_close(found, wanted, rtol=room, atol=room)
                torch.testing.assert_close(
                    found_gradient, wanted_gradient, rtol=2 * room, atol=2 * room * float(wanted_gradient.abs().max())
                )


def test_scores_of_16_bits_are_summed_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """An intended difference: the host adds numbers of 16 bits up in 16 bits, beyond 65,504 to infinity."""
    torch = modules()[0]
    scores, truth = torch.full((1, 1, 300, 300), 9.0).half(), torch.ones((1, 1, 300, 300)).long()
    theirs, ours = (kind("binary") for kind in both("DiceLoss"))
    with strictly(monkeypatch):
        found, wanted = ours(scores, truth), theirs(scores.float(), truth)
    assert found.dtype is theirs(scores, truth).dtype is torch.float16
    torch.testing.assert_close(found.float(), wanted, rtol=1e-3, atol=1e-6)
    assert not theirs(scores, truth).isfinite() or abs(theirs(scores, truth) - wanted) > 1e-3


@pytest.mark.usefixtures("never_few")
def test_where_a_prediction_is_right_to_the_last_bit() -> None:
    """An intended difference: of |p − t| at p = t the host takes the slope 0, unlike beside; logits do not see it."""
    torch = modules()[0]
    truth = torch.tensor([[[1, 0, 0, 1]]])
    found = []
    for kind in both("DiceLoss"):
        p = truth.double().requires_grad_()
        kind("binary", from_logits=False)(p, truth).backward()
        beside = (truth.double() * 0.998 + 0.001).requires_grad_()
        kind("binary", from_logits=False)(beside, truth).backward()
        found.append((p.grad, beside.grad))
    (theirs, theirs_beside), (ours, ours_beside) = found
    torch.testing.assert_close(ours_beside, theirs_beside, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ours, ours_beside, rtol=1e-2, atol=1e-2)
    assert (theirs - theirs_beside).abs().max() > 0.1


@pytest.mark.usefixtures("never_few")
@pytest.mark.filterwarnings("ignore")  # of the compiler's, about the host's own operations
def test_in_a_compiled_function_the_host_computes() -> None:
    torch = modules()[0]
    logits, truth = example("multiclass")
    theirs, ours = (kind("multiclass") for kind in both("DiceLoss"))

    @torch.compile(backend="eager")
    def step(z: Any) -> Any:
        return ours(z * 2, truth) + 1

    z, other = (logits.clone().requires_grad_() for _ in range(2))
    step(z).backward()
    (theirs(other * 2, truth) + 1).backward()
    torch.testing.assert_close(z.grad, other.grad)


@pytest.mark.usefixtures("never_few")
@pytest.mark.parametrize("name", NAMES)
def test_copies_and_names(name: str) -> None:
    logits, truth = example("multiclass")
    loss = both(name)[1]("multiclass", classes=[1, 2], class_weights=WEIGHTS)
    wanted = loss(logits, truth)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert type(other) is type(loss)
        assert other(y_pred=logits, y_true=truth) == wanted
    assert repr(loss) == repr(both(name)[0]("multiclass"))
    assert isinstance(loss, both(name)[0])


def _not_covered() -> dict[str, tuple[str, Any, Any, dict[str, Any]]]:
    torch = modules()[0]
    logits, labels = example("multiclass")
    masks = example("multilabel")[1]
    one, truth = example("binary")
    nan = logits.clone()
    nan[0, 0, 0, 0] = float("nan")
    return {
        "a soft truth": ("binary", one, one.sigmoid(), {}),
        "soft masks": ("multilabel", logits, logits.sigmoid(), {}),
        "a truth of 16 bits": ("binary", one, truth.half(), {}),
        "labels of other classes": ("multiclass", logits, labels * 2, {}),
        "labels of no class": ("multiclass", logits, labels - 1, {}),
        "labels of 32 bits": ("multiclass", logits, labels.int(), {}),
        "float labels": ("multiclass", logits, labels.float(), {}),
        "one-hot labels": ("multiclass", logits, masks, {}),
        "a truth of another size": ("multilabel", logits, labels, {}),
        "another batch": ("binary", one, truth[:1], {}),
        "NaN": ("multiclass", nan, labels, {}),
        "no probabilities": ("multiclass", logits, labels, {"from_logits": False}),
        "classes that there are not": ("multiclass", logits, labels, {"classes": [4]}),
        "few weights": ("multiclass", logits, labels, {"class_weights": [1.0, 2.0]}),
        "one weight": ("multiclass", logits, labels, {"class_weights": [2.0]}),
        "scores of integers": ("binary", truth, truth, {"from_logits": False}),
        "ignore_index of a mask": ("binary", one, truth.bool(), {"ignore_index": 1}),
        "no voxels": ("multiclass", logits[:, :, :0], labels[:, :0], {}),
        "no batch axis": ("multiclass", logits[0, 0, 0], labels[0, 0], {}),
        "a graph of the truth": ("binary", one, truth.float().requires_grad_(), {}),
        "no tensors": ("multiclass", logits, np.zeros(1), {}),
        "another device": ("binary", one.to("meta"), truth.to("meta"), {}),
        "sparse": ("binary", one, truth.to_sparse(), {}),
        "complex": ("binary", one, truth.to(torch.complex64), {}),
    }


def test_the_host_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.adapters.segmentation_models.losses._FEW", 0)
    theirs, ours = both("DiceLoss")
    for case, (mode, scores, truth, options) in _not_covered().items():
        with went("segmentation_models.DiceLoss", host=1):
            outcome(ours(mode, **options), scores, truth)
        if case == "another device":
            continue

        def run(kind: Any) -> Any:
            return kind(mode, **options)(scores, truth).detach()  # noqa: B023

        assert_same_call(lambda: run(theirs), lambda: run(ours), rtol=1e-6)


def test_few_scores_are_the_hosts() -> None:
    logits, truth = example("multiclass")
    loss = both("DiceLoss")[1]("multiclass")
    with went("segmentation_models.DiceLoss", host=1):
        loss(logits, truth)
    logits, truth = example("multiclass", (2, 4, 256, 256))
    with went("segmentation_models.DiceLoss", fast=1):
        loss(logits, truth)


def test_wrong_options_are_refused_alike() -> None:
    for name in NAMES:
        for args, options in [
            (("panoptic",), {}),
            (("binary",), {"classes": [1]}),
            (("binary",), {"class_weights": [1.0]}),
        ]:
            theirs, ours = (outcome(kind, *args, **options) for kind in both(name))
            assert type(theirs.error) is type(ours.error) is not type(None)
            assert str(ours.error) == str(theirs.error)


@pytest.mark.usefixtures("never_few")
def test_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network learns the same with either, with automatic casts and a scaler."""
    torch = modules()[0]
    images, labels = (
        torch.from_numpy(np.random.default_rng(2).normal(size=(2, 3, 8, 8))).float(),
        example("multiclass", (2, 3, 8, 8))[1],
    )
    runs = [losses_of_training(kind("multiclass"), images, labels) for kind in both("DiceLoss")]
    assert runs[1] == pytest.approx(runs[0], rel=2e-2)
    assert runs[1][-1] < runs[1][0]

"""One-call functions with a sample axis; and what is said of options that a function does not have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import metrics
from fastseg.arrays.option_names import _ALSO_CALLED, _AT_HOME

RNG = np.random.default_rng(8)
TRUE, PRED = (RNG.integers(0, 3, (4, 2, 30)).astype(np.uint8) for _ in range(2))
PRED[2] = TRUE[2]
MASK, WEIGHT = RNG.random(TRUE.shape) < 0.7, RNG.random(TRUE.shape)
METRICS = sorted({metric.name for metric in metrics.REGISTRY.values()})


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", METRICS)
def test_a_row_for_each_sample(name: str, axis: int) -> None:
    function: Callable[..., Any] = getattr(fastseg, name)
    given: dict[str, Any] = {"num_classes": 4, "mask": MASK, "sample_weight": WEIGHT}
    counts = fastseg.count_labels(TRUE, PRED, sample_axis=axis, **given)
    averages = [None] if metrics.get(name).is_overall(counts) else [None, "macro", "micro", "weighted"]
    samples = [[np.take(a, n, axis) for a in (TRUE, PRED, MASK, WEIGHT)] for n in range(TRUE.shape[axis])]
    for average in averages:
        values = function(TRUE, PRED, sample_axis=axis, average=average, **given)
        one_by_one = [function(t, p, num_classes=4, mask=m, sample_weight=w, average=average) for t, p, m, w in samples]
        assert values.dtype == np.float64
        assert values.shape == np.shape(one_by_one)
        assert values == pytest.approx(np.array(one_by_one), nan_ok=True, rel=1e-12)


def test_a_single_sample_has_its_axis() -> None:
    assert fastseg.dice(TRUE[:1], PRED[:1], num_classes=3, sample_axis=0).shape == (1, 3)  # type: ignore[union-attr]
    assert fastseg.accuracy(TRUE[:1], PRED[:1], num_classes=3, sample_axis=0).shape == (1,)  # type: ignore[union-attr]
    assert isinstance(fastseg.dice(TRUE, PRED, average="macro"), float)
    assert isinstance(fastseg.accuracy(TRUE, PRED), float)


def test_matrices_and_tables_of_samples() -> None:
    matrices = fastseg.confusion_matrix(TRUE, PRED, num_classes=3, sample_axis=1)
    assert matrices.shape == (2, 3, 3)
    for n in range(2):
        assert np.array_equal(matrices[n], fastseg.confusion_matrix(TRUE[:, n], PRED[:, n], num_classes=3))
    scores = fastseg.evaluate(TRUE, PRED, num_classes=3, sample_axis=0)
    assert scores["dice"].shape == (4, 3)
    assert np.array_equal(scores["dice"], fastseg.dice(TRUE, PRED, num_classes=3, sample_axis=0))
    assert scores.to_dict()["cases"] == 4


def test_the_docstrings_say_so() -> None:
    for function in (fastseg.dice, fastseg.tversky, fastseg.confusion_matrix, fastseg.evaluate):
        assert "sample_axis" in inspect.signature(function).parameters or function is fastseg.evaluate
        assert "(N, K" in str(inspect.getdoc(function))
        assert "sample" in str(inspect.getdoc(function))


# ---- Options of other functions

Z = np.zeros((4, 3))
Y = [0, 1, 2, 2]


def files(**options: Any) -> Any:
    return fastseg.evaluate_files("a.npy", "b.npy", **options)


CALLS: list[tuple[Callable[..., Any], str, str]] = [
    (lambda **o: fastseg.recall(Y, Y, **o), "ignore", "did you mean 'ignore_index'?"),
    (lambda **o: fastseg.recall(Y, Y, **o), "y_score", "did you mean 'y_pred'?"),
    (lambda **o: fastseg.sum_scores(Y, Z, **o), "y_pred", "did you mean 'y_score'?"),
    (lambda **o: fastseg.evaluate(Y, Z, channel_axis=1, **o), "num_classes", "as many classes as channels"),
    (lambda **o: fastseg.evaluate_folder("a", "b", **o), "warn", "did you mean 'note'?"),
    (lambda **o: fastseg.evaluate_folder("a", "b", **o), "mask", "roi="),
    (lambda **o: fastseg.evaluate_folder("a", "b", **o), "zero_division", "of folders convention= says it"),
    (lambda **o: fastseg.evaluate_folder("a", "b", **o), "include_background", "did you mean 'background'?"),
    (lambda **o: fastseg.dice(Y, Y, **o), "background", "did you mean 'include_background'?"),
    (lambda **o: fastseg.count_files("a", "b", **o), "note", "did you mean 'warn'?"),
    (lambda **o: fastseg.confusion_matrix(Y, Y, **o), "channel_axis", "evaluate_scores"),
    (lambda **o: fastseg.count_labels(Y, Y, **o), "channel_axis", "count_masks"),
    (lambda **o: fastseg.iou(Y, Y, **o), "axis", "did you mean 'channel_axis'?"),
    (lambda **o: fastseg.count_masks(Z, Z, **o), "axis", "did you mean 'channel_axis'?"),
    (lambda **o: fastseg.iou(Y, Y, **o), "batch_axis", "did you mean 'sample_axis'?"),
    (lambda **o: fastseg.iou(Y, Y, **o), "classes", "num_classes= or labels="),
    (lambda **o: fastseg.count_labels(Y, Y, **o), "n_classes", "did you mean 'num_classes'?"),
    (lambda **o: fastseg.count_labels(Y, Y, **o), "num_class", "did you mean 'num_classes'?"),
    (lambda **o: fastseg.count_labels(Y, Y, **o), "average", "fastseg.dice"),
    (lambda **o: fastseg.confusion_matrix(Y, Y, **o), "unknown", "count_labels"),
    (lambda **o: fastseg.evaluate(Y, Y, **o), "average", "foreground_mean"),
    (lambda **o: fastseg.evaluate(Y, Y, **o), "metric", "did you mean 'metrics'?"),
    (lambda **o: fastseg.recall(Y, Y, **o), "ignore_label", "did you mean 'ignore_index'?"),
    (lambda **o: fastseg.recall(Y, Y, **o), "activation", "evaluate_scores"),
    (lambda **o: fastseg.recall(Y, Y, **o), "roi", "mask="),
    (lambda **o: fastseg.count_masks(Z, Z, **o), "ignore_index", "mask="),
    (lambda **o: fastseg.count_masks(Z, Z, **o), "num_classes", "count_labels"),
    (lambda **o: fastseg.count_masks(Z, Z, **o), "labels", "classes="),
    (lambda **o: fastseg.count_masks(Z, Z, **o), "weight", "did you mean 'sample_weight'?"),
    (lambda **o: fastseg.sum_scores(Y, Z, **o), "num_classes", "as many classes as channels"),
    (lambda **o: fastseg.evaluate_scores(Y, Z, **o), "softmax", "did you mean 'activation'?"),
    (lambda **o: fastseg.soft_dice_loss(Y, Z, **o), "smooth", "did you mean 'epsilon'?"),
    (lambda **o: fastseg.cross_entropy(Y, Z, **o), "dim", "did you mean 'channel_axis'?"),
    (lambda **o: fastseg.losses.cross_entropy_with_gradient(Y, Z, **o), "bins", "sum_scores"),
    (lambda **o: fastseg.one_hot(Y, 3, **o), "mask", "count_labels"),
    (lambda **o: fastseg.Evaluator(**o), "sample_axis", "Evaluator.update"),
    (lambda **o: fastseg.Evaluator(**o), "sample_weight", "Evaluator.update"),
    (lambda **o: fastseg.Evaluator().update(Y, Y, **o), "channel_axis", "sum_scores"),
    (files, "mask", "roi="),
    (files, "names", "labels="),
    (files, "sample_axis", "evaluate_folder"),
    (files, "num_threads", "did you mean 'threads'?"),
    (lambda **o: fastseg.count_labels(Y, Y, **o), "num_threads", "fastseg.set_num_threads"),
    (lambda **o: fastseg.count_labels(Y, Y, **o), "threads", "fastseg.set_num_threads"),
]


@pytest.mark.parametrize(("call", "option", "says"), CALLS)
def test_what_to_call_instead(call: Callable[..., Any], option: str, says: str) -> None:
    with pytest.raises(TypeError) as error:
        call(**{option: 1})
    text = str(error.value)
    assert f"got an unexpected keyword argument '{option}' (" in text
    assert says in text


def test_an_option_like_no_other_is_only_refused() -> None:
    with pytest.raises(TypeError, match=r"^dice\(\) got an unexpected keyword argument 'luck'$"):
        fastseg.dice(Y, Y, luck=7)  # type: ignore[call-arg]


def test_every_name_in_the_hints_is_one_that_there_is() -> None:
    options = {
        name
        for public in (*fastseg.__all__, *metrics.REGISTRY)
        if callable(function := getattr(fastseg, public))
        for name in inspect.signature(function).parameters
    }
    options |= {"axes", "geometry", "reorient", "roi"}  # of count_files, which evaluate_files passes on
    there = {name for name in (*_AT_HOME, *_ALSO_CALLED.values()) if name not in options}
    assert there == {"num_threads"}

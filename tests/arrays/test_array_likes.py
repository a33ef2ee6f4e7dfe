"""What is no array in NumPy's sense: said in our words, or taken, but never item by item."""

from __future__ import annotations

from collections import UserList, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import count_labels, count_masks, sum_scores
from fastseg.arrays.convert import as_array

Y = np.array([0, 1, 2, 1], np.uint8)


class Items:
    """Has a length and items, as images of other libraries do."""

    def __len__(self) -> int:
        raise AssertionError("taken apart")

    def __getitem__(self, index: int) -> int:
        raise AssertionError("taken apart")

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("taken apart")


NO_ARRAYS = {
    "items": (Items(), "found Items, which offers its items one by one"),
    "list of items": ([Items(), Items()], "found list of Items"),
    "nested": ([[1, 2], (3, Items())], "found tuple of Items"),
    "generator": ((y for y in Y), "found generator"),
    "iterator": (iter([0, 1, 2, 1]), "found list_iterator"),
    "values of a dict": ({0: 1}.values(), "found dict_values"),
    "deque": (deque([0, 1, 2, 1]), "found deque"),
    "UserList": (UserList([0, 1, 2, 1]), "found UserList"),
    "text": ("true.nii.gz", "found str; of files pass the paths to fastseg.evaluate_files"),
    "path": (Path("true.nii.gz"), "Path; of files pass the paths to fastseg.evaluate_files"),
}


@pytest.mark.parametrize(("value", "message"), NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_nothing_is_taken_apart(value: Any, message: str) -> None:
    for function, name in ((count_labels, "y_pred"), (count_masks, "y_pred"), (sum_scores, "y_score")):
        with pytest.raises(TypeError, match=f"{name}: expected an array, found .*") as caught:
            function(Y, value)
        assert message in str(caught.value)
    for option in ("mask", "sample_weight"):
        with pytest.raises(TypeError, match=f"{option}: expected an array"):
            count_labels(Y, Y, **{option: value})


def test_lists_stay_allowed() -> None:
    expected = count_labels(Y, Y)
    for value in (Y.tolist(), tuple(Y), range(4), list(Y), memoryview(Y)):
        assert as_array(value, "y_true").shape == (4,)
    assert count_labels(list(Y), tuple(Y.tolist())) == expected
    assert as_array([[1, True, np.int8(2)], np.array([1, 2, 3]), memoryview(Y[:3])], "y_true").shape == (3, 3)


ONE_MORE = {
    "one-hot truth": (count_labels, np.zeros((2, 14, 6, 6)), np.zeros((2, 6, 6))),
    "logits": (count_labels, np.zeros((2, 6, 6)), np.zeros((2, 6, 6, 14))),
    "labels for masks": (count_masks, np.zeros((2, 6, 6)), np.zeros((2, 14, 6, 6))),
}


@pytest.mark.parametrize(("function", "y_true", "y_pred"), ONE_MORE.values(), ids=ONE_MORE)
def test_an_axis_more(function: Any, y_true: Any, y_pred: Any) -> None:
    with pytest.raises(
        ValueError, match=r"one axis more: fastseg.sum_scores .* fastseg.count_masks one-hot maps of both"
    ):
        function(y_true, y_pred)


@pytest.mark.parametrize("shape", [(2, 6, 6, 1), (2, 6, 7), (2, 14, 6, 7)])
def test_another_shape_is_just_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"found \([\d, ]*\)$"):
        count_labels(np.zeros((2, 6, 6)), np.zeros(shape))


# ---- bfloat16
def bfloat16(values: Any, library: str) -> Any:
    if library == "torch":
        import torch

        return torch.tensor(np.asarray(values, np.float32)).to(torch.bfloat16)
    return np.asarray(values, np.float32).astype(pytest.importorskip("ml_dtypes").bfloat16)


LIBRARIES = pytest.mark.parametrize("library", [pytest.param("torch", marks=pytest.mark.torch), "ml_dtypes"])


@LIBRARIES
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_label_maps_of_bfloat16(library: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    for largest, size in ((3, (40, 50, 60)), (256, (300, 70)), (5, (7,))):
        y_true, y_pred = (rng.integers(-1, largest + 1, size) for _ in range(2))
        expected = count_labels(y_true, y_pred, backend=backend)
        true, pred = bfloat16(y_true, library), bfloat16(y_pred, library)
        assert count_labels(true, pred, backend=backend) == expected
        assert count_labels(true, y_pred, backend=backend) == expected
        options = {"ignore_index": -1, "mask": y_pred != 1, "sample_axis": 0, "backend": backend}
        options["labels"] = range(-1, largest + 1)
        assert count_labels(y_true, pred, **options) == count_labels(y_true, y_pred, **options)
    zeros = bfloat16([0.0, -0.0, 1], library)
    assert count_labels(zeros, zeros, num_classes=2).matrix.tolist() == [[[2, 0], [0, 1]]]


@LIBRARIES
def test_what_bfloat16_cannot_be(library: str) -> None:
    message = r"y_pred: expected labels that are whole numbers.*found 2 voxel\(s\).* the first is 0.5 at index \(1,\)"
    with pytest.raises(ValueError, match=message):
        count_labels([0, 1, 1], bfloat16([0, 0.5, np.nan], library))
    message = r"y_true: expected labels among the 2 classes 0..1, found 1 voxel\(s\).* the first is 7 at index \(2,\)"
    with pytest.raises(ValueError, match=message):
        count_labels(bfloat16([0, 1, 7], library), [0, 1, 1], num_classes=2)
    message = r"y_true: expected masks of zeros and ones, found 1 value\(s\).* the first is 0.5 at index \(1,\)"
    with pytest.raises(ValueError, match=message):
        count_masks(bfloat16([0, 0.5, 1], library), [0, 1, 1], channel_axis=None)
    with pytest.raises(TypeError, match="sample_weight: expected .*bfloat16"):
        count_masks([1, 0], [1, 0], channel_axis=None, sample_weight=bfloat16([0, 1], library))


@LIBRARIES
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_masks_of_bfloat16(library: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    t, p = (rng.integers(0, 2, (2, 3, 40, 9)) for _ in range(2))
    axes = {"channel_axis": 1, "sample_axis": 0, "backend": backend}
    expected = count_masks(t, p, **axes)
    assert count_masks(bfloat16(t, library), bfloat16(p, library), **axes) == expected
    assert count_masks(t, bfloat16(p, library), **axes) == expected


# ---- float16 that rounds probabilities to 0
P = np.array([[1, 1e-9], [0.5, 0.5]])
CALLS: dict[str, Any] = {
    "sum_scores": lambda p: sum_scores([1, 0], p),
    "cross_entropy": lambda p: fastseg.cross_entropy([1, 0], p),
    "evaluate_scores": lambda p: fastseg.evaluate_scores([1, 0], p),
    "focal_loss": lambda p: fastseg.losses.focal_loss([1, 0], p),
    "gradient": lambda p: fastseg.losses.cross_entropy_with_gradient([1, 0], p, activation=None, sample_axis=None),
    "Evaluator": lambda p: fastseg.Evaluator(scores=True).update([1, 0], p),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_infinite_by_float16(call: Any) -> None:
    call(P)  # warnings are errors in tests
    call(np.array([[0.9, 0.1], [0.5, 0.5]], np.float16))
    call(np.array([[1, 0], [0.5, 0.5]]))  # infinite, but not by rounding
    with pytest.warns(UserWarning, match=r"y_score: cross-entropy is infinite, .* float16 has none between 0 and 6e-8"):
        call(P.astype(np.float16))
    sum_scores([1, 0], P.astype(np.float16), quantities="dice")


def test_infinite_by_float16_of_files(tmp_path: Path) -> None:
    np.save(tmp_path / "true.npy", np.array([[1, 0]], np.uint8))
    np.save(tmp_path / "scores.npy", P.astype(np.float16)[None])
    notes: list[str] = []
    options = {"channel_axis": -1, "warn": notes.append}
    scores = fastseg.evaluate_score_files(tmp_path / "true.npy", tmp_path / "scores.npy", **options)
    assert scores.extra["cross_entropy"] == np.inf
    assert len(notes) == 1
    assert notes[0].startswith(f"{tmp_path / 'scores.npy'}: cross-entropy is infinite")

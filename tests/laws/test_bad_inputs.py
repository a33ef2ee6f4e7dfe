"""What must be refused: the error names the argument, what was expected, what was found, and where."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import Evaluator, confusion_matrix, count_labels, count_masks, evaluate
from fastseg.counting import threads

BACKENDS = ("numpy", "numba")
NAN, INF = float("nan"), float("inf")
Y = np.array([0, 1, 2, 1])
ONE_HOT = np.eye(3, dtype=bool)


class OnGpu:
    """Looks like an array of another device; reading it would be a mistake."""

    dtype = np.dtype(np.uint8)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 10, 0  # ROCm's

    def __dlpack__(self, **_: Any) -> Any:
        raise AssertionError("an array on another device was read")


@contextmanager
def refused(kind: type[Exception], *fragments: str) -> Iterator[list[str]]:
    """Expect exactly that exception, with all fragments in its message; the message is put in the list."""
    message: list[str] = []
    with pytest.raises(kind) as caught:
        yield message
    message.append(str(caught.value))
    assert type(caught.value) is kind, message
    for fragment in fragments:
        assert fragment in message[0]


def both_refuse(function: Callable[..., Any], *arrays: Any, says: Sequence[str], **options: Any) -> None:
    """Expect a ValueError from both backends, in the same words."""
    messages = []
    for backend in BACKENDS:
        with refused(ValueError, *says) as message:
            function(*arrays, **options, backend=backend)
        messages += message
    assert messages[0] == messages[1]


# ---- What is no array of numbers: name, value, and what the message says was found.
NOT_NUMBERS = {
    "complex": (Y * 1j, "dtype complex128"),
    "object": (Y.astype(object), "object"),
    "strings": (["0", "1", "2", "1"], "dtype <U1"),
    "bytes strings": (np.array([b"0", b"1", b"2", b"1"]), "dtype |S1"),
    "a string": ("0121", "found str"),
    "None": (None, "found NoneType"),
    "dict": ({0: 1}, "found dict"),
    "set": ({0, 1}, "found set"),
    "generator": ((i for i in Y), "found generator"),
    "any object": (object(), "found object"),
    "datetime": (Y.astype("M8[s]"), "dtype datetime64[s]"),
    "timedelta": (Y.astype("m8[s]"), "dtype timedelta64[s]"),
    "structured": (np.zeros(4, "i4,f4"), "'f0'"),
    "masked array": (np.ma.array(Y), "masked array; pass its data, and mask=~array.mask"),
    "ragged list": ([[1], [1, 2]], "found list"),
    "integers beyond 64 bits": ([2**64, 0, 0, 0], "object dtype"),
    "another device": (OnGpu(), "in that of ROCm GPU 0"),
}
if np.dtype(np.longdouble).itemsize > 8:
    NOT_NUMBERS["long double"] = (Y.astype(np.longdouble), f"dtype {np.dtype(np.longdouble)}")


@pytest.mark.parametrize(("value", "found"), NOT_NUMBERS.values(), ids=NOT_NUMBERS)
def test_not_numbers(value: Any, found: str) -> None:
    for function in (count_labels, count_masks, confusion_matrix, evaluate, Evaluator().update, fastseg.iou):
        with refused(TypeError, "y_true: expected", found):
            function(value, Y)
        with refused(TypeError, "y_pred: expected", found):
            function(Y, value)
    for name in ("mask", "sample_weight") if value is not None else ():
        for function, options in ((count_labels, {}), (count_masks, {"channel_axis": None})):
            with refused(TypeError, f"{name}: expected", found):
                function(Y, Y, **options, **{name: value})


SHAPES = {
    "shorter": (Y, Y[:3], "(4,); found (3,)"),
    "scalar": (Y, 1, "(4,); found ()"),
    "one element": (Y, [1], "(4,); found (1,)"),
    "column": (Y, Y[:, None], "(4,); found (4, 1)"),
    "row": (Y[None], Y, "(1, 4); found (4,)"),
    "transposed": (np.zeros((2, 3)), np.zeros((3, 2)), "(2, 3); found (3, 2)"),
    "one-hot": (Y, np.eye(3)[Y], "(4,); found (4, 3)"),
    "empty": (Y, [], "(4,); found (0,)"),
}


@pytest.mark.parametrize(("y_true", "y_pred", "shapes"), SHAPES.values(), ids=SHAPES)
def test_shapes_never_broadcast(y_true: Any, y_pred: Any, shapes: str) -> None:
    for function in (count_labels, confusion_matrix, count_masks, evaluate, Evaluator().update, fastseg.dice):
        with refused(ValueError, "y_pred: expected the shape of y_true", shapes):
            function(y_true, y_pred)


@pytest.mark.parametrize("name", ["mask", "sample_weight"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4, 1), (1, 4)])
def test_shape_of_mask_and_weight(name: str, shape: tuple[int, ...]) -> None:
    for function, maps in ((count_labels, Y), (count_masks, np.ones((4, 2), bool))):  # four voxels, two channels
        with refused(ValueError, f"{name}: expected one value a voxel, shape (4,)", f"found shape {shape}"):
            function(maps, maps, **{name: np.ones(shape, bool)})


# ---- Options: name, value, exception, what the message says was found. (An evaluator refuses them when it is made.)
OPTIONS: list[tuple[str, Any, type[Exception], str]] = [
    ("num_classes", 0, ValueError, "1 to 4096, found 0"),
    ("num_classes", -1, ValueError, "found -1"),
    ("num_classes", 4097, ValueError, "found 4097"),
    ("num_classes", 2**70, ValueError, f"found {2**70}"),
    ("num_classes", True, TypeError, "found True"),
    ("num_classes", 1.5, TypeError, "found 1.5"),
    ("num_classes", np.float64(3), TypeError, "found np.float64(3.0)"),
    ("num_classes", "3", TypeError, "found '3'"),
    ("num_classes", [3], TypeError, "found [3]"),
    ("labels", [0, 1, 2, 1], ValueError, "each label once, found [1] more than once"),
    ("labels", [], ValueError, "1 to 4096 labels, found 0"),
    ("labels", range(5000), ValueError, "found 5000"),
    ("labels", [0, 2**63], ValueError, "64-bit signed integers"),
    ("labels", [[0, 1, 2]], TypeError, "found [0, 1, 2]"),
    ("labels", np.array([[0, 1, 2]]), ValueError, "one axis, found shape (1, 3)"),
    ("labels", [0.0, 1.0, 2.0], TypeError, "found 0.0"),
    ("labels", np.array([0.5, 1.0]), TypeError, "found np.float64(0.5)"),
    ("labels", [True, False], TypeError, "found True"),
    ("labels", "012", TypeError, "found str"),
    ("labels", np.array(["0", "1"]), TypeError, "found np.str_('0')"),
    ("ignore_index", 255.0, TypeError, "found 255.0"),
    ("ignore_index", [0, 1.5], TypeError, "found 1.5"),
    ("ignore_index", True, TypeError, "found True"),
    ("ignore_index", "255", TypeError, "found str"),
    ("ignore_index", {255: 0}, TypeError, "found dict"),
    ("ignore_index", [None], TypeError, "found None"),
    ("ignore_index", 2**63, ValueError, "64-bit signed integers"),
    ("ignore_index", np.zeros((1, 1), int), ValueError, "one axis, found shape (1, 1)"),
    ("unknown", "x", ValueError, "'raise' or 'count', found 'x'"),
    ("unknown", None, ValueError, "found None"),
    ("backend", "x", ValueError, "found 'x'"),
    ("backend", "cuda", ValueError, "found 'cuda'"),
    ("backend", None, ValueError, "found None"),
]
OPTIONS_OF_CALLS: list[tuple[str, Any, type[Exception], str]] = [
    ("sample_axis", 1, ValueError, "an axis of arrays with 1 axes, found 1"),
    ("sample_axis", -2, ValueError, "found -2"),
    ("sample_axis", True, TypeError, "found True"),
    ("sample_axis", 0.0, TypeError, "found 0.0"),
    ("sample_axis", (0,), TypeError, "found (0,)"),
    ("mask", [1.0, 0.0, 1.0, 1.0], TypeError, "bool or integers (not zero: inside), found dtype float64"),
]


@pytest.mark.parametrize(("name", "value", "kind", "found"), [*OPTIONS, *OPTIONS_OF_CALLS])
def test_options(name: str, value: Any, kind: type[Exception], found: str) -> None:
    functions = [count_labels, evaluate]
    functions += [confusion_matrix] if name not in ("unknown", "backend") else []
    for function in functions:
        with refused(kind, f"{name}: expected", found):
            function(Y, Y, **{name: value})


@pytest.mark.parametrize(("name", "value", "kind", "found"), OPTIONS)
def test_options_of_evaluators(name: str, value: Any, kind: type[Exception], found: str) -> None:
    with refused(kind, f"{name}: expected", found):
        Evaluator(**{name: value})


MASK_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"channel_axis": 2}, ValueError, "channel_axis: expected an axis of arrays with 2 axes, found 2"),
    ({"channel_axis": -3}, ValueError, "channel_axis: expected an axis of arrays with 2 axes, found -3"),
    ({"channel_axis": False}, TypeError, "channel_axis: expected an integer, found False"),
    ({"channel_axis": 0.0}, TypeError, "channel_axis: expected an integer, found 0.0"),
    ({"sample_axis": 2}, ValueError, "sample_axis: expected an axis of arrays with 2 axes, found 2"),
    ({"sample_axis": True}, TypeError, "sample_axis: expected an integer, found True"),
    ({"sample_axis": 1}, ValueError, "sample_axis: expected another axis than channel_axis, found 1 for both"),
    ({"sample_axis": -2, "channel_axis": 0}, ValueError, "sample_axis: expected another axis than channel_axis"),
    ({"classes": ["a"]}, ValueError, "classes: expected a name for each of 3 channels, found 1"),
    ({"classes": "abcd"}, ValueError, "classes: expected a name for each of 3 channels, found 4"),
    ({"backend": "x"}, ValueError, "backend: expected 'auto' or one of"),
]


@pytest.mark.parametrize(("options", "kind", "message"), MASK_OPTIONS)
def test_options_of_masks(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with refused(kind, message):
        count_masks(ONE_HOT, ONE_HOT, **options)


def test_other_options() -> None:
    both = {"num_classes": 3, "labels": [0, 1, 2]}
    for call in (lambda: count_labels(Y, Y, **both), lambda: Evaluator(**both)):
        with refused(ValueError, "labels: expected either num_classes or labels, found both"):
            call()
    for call in (lambda: evaluate(Y, Y, metrics=["iou", "luck"]), lambda: Evaluator(metrics="luck")):
        with refused(ValueError, "metrics: expected", "iou"):
            call()
    with refused(ValueError, "average: expected None, 'macro', 'micro' or 'weighted'", "found 'mean'"):
        fastseg.iou(Y, Y, average="mean")
    for function in (count_labels, count_masks, confusion_matrix, evaluate, fastseg.iou):
        with refused(TypeError, "num_class"):
            function(Y, Y, num_class=3)
    with refused(ValueError, "sample_axis: expected an axis of arrays with 1 axes, found 7"):
        Evaluator().update(Y, Y, sample_axis=7)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "2", [2]])
def test_number_of_threads(value: Any) -> None:
    kind = ValueError if type(value) is int else TypeError
    with refused(kind, "n: expected an integer of at least 1", f"found {value!r}"):
        fastseg.set_num_threads(value)


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "2e1", "1 2"])
def test_number_of_threads_in_the_environment(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_chosen", None)
    monkeypatch.setenv("FASTSEG_NUM_THREADS", value)
    says = ("FASTSEG_NUM_THREADS: expected an integer of at least 1", f"found {value!r}")
    with refused(ValueError, *says):
        fastseg.get_num_threads()
    large = np.broadcast_to(np.uint8(0), (2**21 + 1,))
    with refused(ValueError, *says):
        count_labels(large, large)


# ---- Values of voxels: truth, prediction, options; who is named, how many voxels, and the first of them.
K3 = {"num_classes": 3}
WHOLE = "whole numbers of at most 64 bits"
NOT_LABELS: dict[str, tuple[Any, Any, dict[str, Any], str, int, str]] = {
    "NaN in y_true": ([0, 1, NAN], [0.0, 1, 2], {}, "y_true", 1, "nan at index (2,)"),
    "NaN in y_pred": ([0.0, 1, 2], [0, NAN, NAN], K3, "y_pred", 2, "nan at index (1,)"),
    "inf": ([0.0, 1, 2], [0, 1, INF], {}, "y_pred", 1, "inf at index (2,)"),
    "-inf": ([-INF, 1, 2], [0.0, 1, 2], {}, "y_true", 1, "-inf at index (0,)"),
    "one half": ([[0.0, 1], [0.5, 1]], [[0.0, 1], [0, 1]], {}, "y_true", 1, "0.5 at index (1, 0)"),
    "nearly whole": ([7015.0], [7014.9999], {}, "y_pred", 1, "7014.9999 at index (0,)"),
    "1e300": ([0, 1e300], [0.0, 0], {}, "y_true", 1, "1e+300 at index (1,)"),
    "2.0**63": ([0, 2.0**63], [0.0, 0], {}, "y_true", 1, "9.223372036854776e+18 at index (1,)"),
    "0-d": (NAN, 1.0, {}, "y_true", 1, "nan at index ()"),
    "uint64": (
        np.array([0, 2**63], "u8"),
        np.array([0, 1], "u8"),
        {},
        "y_true",
        1,
        f"{2**63} at index (1,) (count_pairs",
    ),
    "float16": (np.array([1, 0.5], "f2"), np.array([1, 1], "f2"), K3, "y_true", 1, "0.5 at index (1,)"),
    "float32": (np.array([1, 0.25], "f4"), np.array([1, 1], "f4"), K3, "y_true", 1, "0.25 at index (1,)"),
    "big-endian": (np.array([1, 0.25], ">f4"), np.array([1, 1], ">f4"), K3, "y_true", 1, "0.25 at index (1,)"),
    "NaN is not unknown": ([0.0, 1], [0, NAN], {**K3, "unknown": "count"}, "y_pred", 1, "nan at index (1,)"),
    "before what is no class": ([0.0, 5], [NAN, 0], K3, "y_pred", 1, "nan at index (0,)"),
}
OUTSIDE: dict[str, tuple[Any, Any, dict[str, Any], str, int, str]] = {
    "-1 in y_true": ([0, -1, 2], [0, 1, 2], K3, "y_true", 1, "-1 at index (1,)"),
    "-1 in y_pred": ([0, 1, 2], [0, 1, -1], K3, "y_pred", 1, "-1 at index (2,)"),
    "-1 as int8": (np.array([0, -1], "i1"), np.array([0, 1], "i1"), K3, "y_true", 1, "-1 at index (1,)"),
    "255 in y_true": ([0, 255, 255], [0, 1, 2], K3, "y_true", 2, "255 at index (1,)"),
    "255 in y_pred": (np.array([0, 1], "u1"), np.array([255, 1], "u1"), K3, "y_pred", 1, "255 at index (0,)"),
    "K": ([0, 3], [0, 1], K3, "y_true", 1, "3 at index (1,)"),
    "K as a float": ([0.0, 1], [0.0, 3], K3, "y_pred", 1, "3 at index (1,)"),
    "2**40": ([0, 2], [2**40, 1], K3, "y_pred", 1, f"{2**40} at index (0,)"),
    "between the labels": ([9, 6, 5], [9, 9, 5], {"labels": [9, 5]}, "y_true", 1, "6 at index (1,)"),
    "unknown truth": ([0, 9], [8, 0], {**K3, "unknown": "count"}, "y_true", 1, "9 at index (1,)"),
    "others ignored": ([255, 7, 9], [0, 0, 0], {**K3, "ignore_index": 255}, "y_true", 2, "7 at index (1,)"),
    "others outside": ([7, 0, 9], [0, 0, 0], {**K3, "mask": [0, 1, 1]}, "y_true", 1, "9 at index (2,)"),
    "truth first": ([0, 9], [9, 0], K3, "y_true", 1, "9 at index (1,)"),
}


VOXELS = ("y_true", "y_pred", "options", "who", "number", "first")


@pytest.mark.parametrize(VOXELS, NOT_LABELS.values(), ids=NOT_LABELS)
def test_no_labels(y_true: Any, y_pred: Any, options: dict[str, Any], who: str, number: int, first: str) -> None:
    says = (f"{who}: expected labels that are {WHOLE}", f"found {number} voxel(s)", f"the first is {first}")
    both_refuse(count_labels, y_true, y_pred, **options, says=says)


@pytest.mark.parametrize(VOXELS, OUTSIDE.values(), ids=OUTSIDE)
def test_outside_classes(y_true: Any, y_pred: Any, options: dict[str, Any], who: str, number: int, first: str) -> None:
    classes = "labels=[9, 5]" if "labels" in options else "the 3 classes 0..2"
    hint = "ignore_index= leaves such voxels out" if who == "y_true" else "unknown='count' counts them as misses"
    says = (
        f"{who}: expected labels among {classes}",
        f"found {number} voxel(s) outside",
        f"the first is {first}",
        hint,
    )
    both_refuse(count_labels, y_true, y_pred, **options, says=says)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize(("bad", "found"), [(-1, "-1.0"), (NAN, "nan"), (INF, "inf"), (-INF, "-inf")])
def test_weights(bad: float, found: str, dtype: str) -> None:
    weight, maps = np.array([1, 0, bad, 1], dtype), (Y > 0)[:, None]
    says = ("sample_weight: expected finite numbers that are not negative, found 1 ", f"{found} at index (2,)")
    both_refuse(count_labels, Y, Y, sample_weight=weight, says=says)
    both_refuse(count_masks, maps, maps, sample_weight=weight, says=says)
    both_refuse(count_labels, Y, Y, sample_weight=weight, ignore_index=2, says=says)  # weights of ignored voxels too


@pytest.mark.parametrize("channel_axis", [None, 0, 1])
@pytest.mark.parametrize("bad", [2, -1, 0.5, NAN])
def test_masks(bad: float, channel_axis: int | None) -> None:
    for dtype in ("f2", "f8", "i1", "i4")[: 4 if bad in (2, -1) else 2]:
        good, wrong = np.eye(3, dtype=dtype), np.eye(3, dtype=dtype)
        wrong[1, 2] = wrong[2, 0] = bad
        at = f"found 2 value(s) that are neither; the first is {wrong[1, 2].item()} at index (1, 2)"
        for name, pair in (("y_true", (wrong, good)), ("y_pred", (good, wrong))):
            says = (f"{name}: expected masks of zeros and ones", at, "count_labels")
            both_refuse(count_masks, *pair, channel_axis=channel_axis, says=says)


ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "backwards": lambda a: np.ascontiguousarray(a[::-1, :, ::-1])[::-1, :, ::-1],
    "middle axis first": lambda a: np.ascontiguousarray(a.transpose(1, 2, 0)).transpose(2, 0, 1),
    "every second": lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
}


@pytest.mark.parametrize("sample_axis", [None, 0, 2])
@pytest.mark.parametrize("order", ORDERS)
def test_first_coordinates_are_in_index_order(order: str, sample_axis: int | None) -> None:
    good, wrong = np.zeros((4, 5, 300), "i8"), np.zeros((4, 5, 300), "i8")
    wrong[1, 4, 200] = wrong[2, 0, 1] = wrong[3, 1, 0] = 9  # in memory order another may come first
    first = "the first is 9 at index (1, 4, 200)"
    for pair in ((ORDERS[order](wrong), good), (good, ORDERS[order](wrong))):
        both_refuse(count_labels, *pair, num_classes=3, sample_axis=sample_axis, says=("found 3 voxel(s)", first))
        both_refuse(count_masks, *pair, channel_axis=1, sample_axis=sample_axis, says=("found 3 value(s)", first))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_looked_at_is_no_error(backend: str) -> None:
    mask, weight = [1, 0, 1, 0], [1.0, NAN, 1.0, -1.0]
    y_true, y_pred = np.array([0, NAN, 1, 1e300]), np.array([0.0, 5.5, 1.0, -7.0])
    counts = count_labels(y_true, y_pred, num_classes=2, mask=mask, sample_weight=weight, backend=backend)
    assert counts.matrix.tolist() == [[[1, 0], [0, 1]]]
    assert counts.voxels.tolist() == [[2, 0, 2, 0]]
    assert count_labels(y_true, y_pred, mask=mask, backend=backend).labels.tolist() == [0, 1]
    masks = count_masks(y_true, y_pred, channel_axis=None, mask=mask, sample_weight=weight, backend=backend)
    assert (masks.tp.item(), masks.voxels.tolist()) == (1, [[2, 0, 2, 0]])
    ignored = count_labels([0, 255, 255], [0, -1, 99], num_classes=1, ignore_index=255, backend=backend)
    assert ignored.voxels.tolist() == [[1, 2, 0, 0]]  # "whatever was predicted there"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["u4", "i8", "f8"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_million_labels(backend: str, dtype: str) -> None:
    """Open counts of an image that is no label map: refused soon, before a table of that size is asked for."""
    image = np.arange(10**6).astype(dtype)
    count_labels(image[:9], image[:9], backend=backend)  # compiled outside the measurement
    for y_true in (image, np.zeros_like(image)):
        start = time.process_time()  # of this process: nothing that others do makes it longer
        with refused(ValueError, "labels: expected at most 4096 distinct labels", "labels="):
            count_labels(y_true, image, backend=backend)
        assert time.process_time() - start < 5


def test_a_rejected_batch_leaves_the_evaluator_as_it_was() -> None:
    evaluator = Evaluator(num_classes=3)
    evaluator.update(Y, Y)
    before = evaluator.counts
    for wrong in ([0, 1, 2, 3], [0, 1, 2, NAN], [0, 1], None):
        with pytest.raises((ValueError, TypeError)):
            evaluator.update(Y, wrong)
    assert evaluator.counts == before

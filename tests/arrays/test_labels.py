"""What is accepted: anything that holds whole numbers, in any memory order and of any shape, without a copy."""

from __future__ import annotations

import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg import Evaluator, LabelCounts, count_labels, count_masks, evaluate
from fastseg.arrays.convert import as_array

BACKENDS = pytest.mark.parametrize("backend", ["numpy", "numba"])
TRUE, PRED = np.array([[0, 1, 2], [2, 1, 1]]), np.array([[0, 2, 2], [1, 1, 0]])
MATRIX = [[1, 0, 0], [1, 1, 1], [0, 1, 1]]


class Exotic:
    """Offers an array only by `__array__`, as data frames and images of other libraries do."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.data


def naive(y_true: np.ndarray, y_pred: np.ndarray) -> dict[tuple[int, int], int]:
    """Count pairs voxel by voxel, in Python integers."""
    return dict(Counter(zip(map(int, y_true.ravel().tolist()), map(int, y_pred.ravel().tolist()), strict=True)))


def pairs(counts: LabelCounts, case: int = 0) -> dict[tuple[int, int], int]:
    """Return the counts of a case as {(true, predicted): voxels}."""
    labels, matrix = counts.labels.tolist(), counts.matrix[case]
    return {(labels[i], labels[j]): matrix[i, j].item() for i, j in zip(*np.nonzero(matrix), strict=True)}


# ---- Containers
CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "nested lists": np.ndarray.tolist,
    "tuples": lambda a: tuple(map(tuple, a.tolist())),
    "list of arrays": list,
    "floats in lists": lambda a: a.astype(float).tolist(),
    "array": lambda a: a,
    "read-only array": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "recarray": lambda a: a.view(np.recarray),
    "memoryview": memoryview,
    "memoryview of bytes": lambda a: memoryview(a.astype("u1").tobytes()).cast("B", a.shape),
    "every second of a memoryview": lambda a: memoryview(np.repeat(a.astype("u1"), 2, axis=0))[::2],
    "__array__": Exotic,
    "big-endian": lambda a: a.astype(">i4"),
    "unaligned": lambda a: np.frombuffer(b"x" + a.astype("i4").tobytes(), "u1")[1:].view("i4").reshape(a.shape),
    "field of a structure": lambda a: np.rec.fromarrays([a.astype("u1"), a.astype("i4")], "u1,i4")["f1"],
    "Fortran order": np.asfortranarray,
    "backwards": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
}
FLAT: dict[str, Callable[[np.ndarray], Any]] = {
    "bytes": lambda a: a.astype("u1").tobytes(),
    "bytearray": lambda a: bytearray(a.astype("u1").tobytes()),
    "array.array of int": lambda a: array.array("i", a.ravel().tolist()),
    "array.array of double": lambda a: array.array("d", a.ravel().tolist()),
    "list": lambda a: a.ravel().tolist(),
}
DTYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i2", ">u4", ">i8", ">f4", ">f8"]


@pytest.mark.parametrize("make", [*CONTAINERS.values(), *FLAT.values()], ids=[*CONTAINERS, *FLAT])
def test_containers(make: Callable[[np.ndarray], Any]) -> None:
    for options in ({}, {"num_classes": 3, "backend": "numpy"}):
        assert count_labels(make(TRUE), make(PRED), **options).matrix[0].tolist() == MATRIX
    options = {"mask": as_array(make(TRUE), "mask") > 0, "sample_weight": make(TRUE + PRED)}
    weighted = count_labels(make(TRUE), make(PRED), **options)  # label 0 is predicted only
    assert weighted.matrix[0].tolist() == [[0, 0, 0], [1, 2, 3], [0, 3, 4]]
    maps = count_masks(make(TRUE % 2), make(PRED % 2), channel_axis=None)
    assert [int(getattr(maps, name).item()) for name in ("tp", "fp", "fn", "tn")] == [1, 1, 2, 2]


SHARING = [name for name in CONTAINERS if "list" not in name and name not in ("tuples", "memoryview of bytes")]


@pytest.mark.parametrize("name", [*SHARING, "bytearray", "array.array of int"])
def test_no_copy(name: str) -> None:
    given = {**CONTAINERS, **FLAT}[name](TRUE)
    memory = np.frombuffer(given, "u1") if name == "bytearray" else np.asarray(given)
    assert np.shares_memory(as_array(given, "y_true"), memory)


@BACKENDS
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: str, backend: str) -> None:
    assert count_labels(TRUE.astype(dtype), PRED.astype(dtype), backend=backend).matrix[0].tolist() == MATRIX
    assert count_labels(TRUE.astype(dtype), PRED.astype("u1"), backend="numpy").matrix[0].tolist() == MATRIX


# ---- Values: the widest of each type, and zeros of either sign.
VALUES: dict[str, list[float]] = {
    "b1": [False, True],
    "i1": [-128, -1, 0, 127],
    "u1": [0, 15, 16, 255],
    "i2": [-(2**15), -1, 255, 256, 2**15 - 1],
    ">i2": [-(2**15), -1, 1, 255, 256, 2**15 - 1],
    "u2": [0, 255, 256, 2**16 - 1],
    "i4": [-(2**31), -1, 255, 2**31 - 1],
    "u4": [0, 2**31, 2**32 - 1],
    "i8": [-(2**63), -1, 255, 256, 2**53 + 1, 2**63 - 1],
    "u8": [0, 2**53 + 1, 2**63 - 1],
    "f2": [-0.0, 0.0, -1, 255, 256, 2048, -65504, 65504],
    "f4": [-0.0, 0.0, -1, 255, 256, 2**24, -(2.0**63), 2.0**40],
    ">f4": [-0.0, 0.0, -1, 1, 255, 256, 2.0**40],
    "f8": [-0.0, 0.0, -1, 255, 256, 2**53, -(2.0**63), 2.0**40],
}


@BACKENDS
@pytest.mark.parametrize("dtype", VALUES)
def test_values(dtype: str, backend: str) -> None:
    values = np.array(VALUES[dtype], dtype)
    for length in (len(values), 1000):  # one by one, and in blocks of 64
        rng = np.random.default_rng(0)
        y_true, y_pred = rng.choice(values[1:], length), rng.choice(values, length)  # one label is predicted only
        expected = naive(y_true, y_pred)
        counts = count_labels(y_true, y_pred, backend=backend)
        assert pairs(counts) == expected
        assert counts.labels.tolist() == sorted({int(v) for v in [*y_true, *y_pred]})
        declared = sorted({int(v) for v in values}, key=str)  # any order
        closed = count_labels(y_true, y_pred, labels=declared, backend=backend)
        assert closed.labels.tolist() == declared
        assert pairs(closed) == expected


@BACKENDS
@pytest.mark.parametrize("dtype", ["i8", ">i8", "f8"])
def test_labels_in_any_order(dtype: str, backend: str) -> None:
    labels = [9170, -1, 2**40, 255]
    y_true = np.array([-1, 255, 9170, 2**40, 255, 7], dtype)
    y_pred = np.array([-1, 9170, 9170, 255, 255, -1], dtype)
    for given in (labels, tuple(labels), np.array(labels), dict.fromkeys(labels).keys()):
        counts = count_labels(y_true, y_pred, labels=given, ignore_index=[7, 8], backend=backend)
        assert counts.labels.tolist() == labels
        assert counts.matrix[0].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 1]]
        assert counts.voxels.tolist() == [[5, 1, 0, 0]]


@BACKENDS
def test_any_integer_type_for_options(backend: str) -> None:
    expected = count_labels(TRUE, PRED, num_classes=3, ignore_index=1, sample_axis=0, backend=backend)
    options = {"num_classes": np.uint8(3), "ignore_index": np.array([1]), "sample_axis": np.int64(-2)}
    assert count_labels(TRUE, PRED, **options, backend=backend) == expected
    for ignored in ([1], (1,), {1}, np.int16(1), np.array(1), [1, 1]):
        assert count_labels(TRUE, PRED, **{**options, "ignore_index": ignored}, backend=backend) == expected


# ---- Shapes
@BACKENDS
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4), (2, 1, 3, 2), (2, 3, 1, 2, 2)])
def test_any_number_of_axes(shape: tuple[int, ...], backend: str) -> None:
    rng = np.random.default_rng(1)
    y_true, y_pred = (rng.integers(0, 4, shape) for _ in range(2))
    assert pairs(count_labels(y_true, y_pred, backend=backend)) == naive(y_true, y_pred)
    for axis in range(-len(shape), len(shape)):
        counts = count_labels(y_true, y_pred, num_classes=4, sample_axis=axis, backend=backend)
        assert counts.num_cases == shape[axis]
        for n in range(shape[axis]):
            assert pairs(counts, n) == naive(y_true.take(n, axis), y_pred.take(n, axis))
    given = y_true > 1, y_pred > 1
    for channel in (None, *range(len(shape))):
        counts = count_masks(*given, channel_axis=channel, backend=backend)
        both = (given[0] & given[1]).sum(axis=tuple(a for a in range(len(shape)) if a != channel))
        assert counts.tp[0].tolist() == np.atleast_1d(both).tolist()


@BACKENDS
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3)])
def test_empty(shape: tuple[int, ...], backend: str) -> None:
    nothing = np.zeros(shape, "u1")
    for axis in (None, *range(len(shape))):
        cases = 1 if axis is None else shape[axis]
        counts = count_labels(nothing, nothing, num_classes=2, sample_axis=axis, backend=backend)
        assert counts.matrix.tolist() == [[[0, 0], [0, 0]]] * cases
        assert counts.voxels.tolist() == [[0, 0, 0, 0]] * cases
        weight = {"sample_weight": np.zeros(shape), "mask": nothing}
        assert count_labels(nothing, nothing, sample_axis=axis, **weight, backend=backend).matrix.shape == (cases, 0, 0)
        masks = count_masks(nothing, nothing, channel_axis=None, sample_axis=axis, backend=backend)
        assert masks.tp.tolist() == masks.tn.tolist() == [[0]] * cases
    no_channel = count_masks(np.zeros((2, 5, 0)), np.zeros((2, 5, 0)), sample_axis=0, backend=backend)
    assert no_channel.tp.shape == (2, 0)


def test_empty_everywhere() -> None:
    assert evaluate([], [], num_classes=2).defined == {"dice": 0, "iou": 0, "precision": 0, "recall": 0}
    evaluator = Evaluator()
    evaluator.update([], [])
    assert evaluator.counts == LabelCounts.zeros()


# ---- Sources
def test_memmap(tmp_path: Path) -> None:
    TRUE.tofile(tmp_path / "true.raw")
    mapped = np.memmap(tmp_path / "true.raw", TRUE.dtype, "r", shape=TRUE.shape)
    assert as_array(mapped, "y_true").ctypes.data == mapped.ctypes.data
    assert count_labels(mapped, PRED).matrix[0].tolist() == MATRIX


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "bool", "float16", "float32", "float64"])
def test_torch(dtype: str) -> None:
    import torch

    y_true, y_pred = (torch.tensor(a).to(getattr(torch, dtype)) for a in (TRUE, PRED))
    expected = count_labels(TRUE.astype(dtype), PRED.astype(dtype))
    views = {"plain": lambda t: t, "transposed": lambda t: t.T, "strided": lambda t: t.repeat_interleave(2, 1)[:, ::2]}
    for view in views.values():
        given = view(y_true)
        assert as_array(given, "y_true").ctypes.data == given.data_ptr()
        assert count_labels(given, view(y_pred)) == expected
    if dtype.startswith("float"):
        y_true.requires_grad_()
        assert as_array(y_true, "y_true").ctypes.data == y_true.data_ptr()
        assert count_labels(y_true, y_pred) == expected
    options = {"mask": y_true.detach() != 9, "sample_weight": torch.ones(2, 3), "labels": torch.arange(3)}
    assert count_labels(y_true, y_pred, **options).matrix.sum() == 6


def test_arguments_are_not_modified() -> None:
    """Arrays that may not be written to are accepted everywhere, also where a block must be converted or transposed."""
    shape = (30, 40, 20)
    rng = np.random.default_rng(2)
    makers = [np.asfortranarray, lambda a: np.ascontiguousarray(a[::-1])[::-1], np.ascontiguousarray]
    for dtype, make in ((d, m) for d in ("u1", ">i4", "f2", "f8") for m in makers):
        y_true, y_pred = (rng.integers(0, 2, shape).astype(dtype) for _ in range(2))
        arrays = {
            "y_true": make(y_true),
            "y_pred": y_pred,
            "mask": rng.integers(0, 2, shape).astype("i2"),
            "sample_weight": make(rng.random(shape).astype("f2")),
        }
        kept = {name: a.tobytes() for name, a in arrays.items()}
        for a in arrays.values():
            a.flags.writeable = False
        for backend in ("numpy", "numba"):
            count_labels(**arrays, sample_axis=1, backend=backend)
            count_masks(**arrays, channel_axis=None, sample_axis=1, backend=backend)
        assert {name: a.tobytes() for name, a in arrays.items()} == kept

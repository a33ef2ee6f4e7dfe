"""One-hot encoding and its inverse: against numpy.eye, for every type, memory order and channel position."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.encodings import BACKENDS, SHAPES, check, frozen, layouts

import fastseg
from fastseg.api.encoding import argmax_labels, one_hot

LABEL_TYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">i2", ">u4", ">f4", ">f2")
RESULT_TYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    yield
    fastseg.set_num_threads(None)


def expected(labels: np.ndarray, classes: int, axis: int, dtype: Any = np.uint8, ignored: Any = ()) -> np.ndarray:
    values = labels.astype(np.int64)
    inside = ~np.isin(values, ignored)
    rows = np.eye(classes, dtype=np.uint8)[np.where(inside, values, 0)] * inside[..., None]
    return np.moveaxis(rows, -1, axis).astype(dtype)


# ---- one_hot


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_one_hot_in_any_memory_order(shape: tuple[int, ...], backend: str) -> None:
    labels = np.random.default_rng(1).integers(0, 5, shape).astype(np.int16)
    for (name, array), axis in itertools.product(layouts(labels), range(-len(shape) - 1, len(shape) + 1)):
        result = one_hot(frozen(array), 5, channel_axis=axis, backend=backend)
        check(result, expected(labels, 5, axis), name, axis)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_hot_of_any_types(backend: str) -> None:
    labels = np.random.default_rng(2).integers(0, 2, (33, 65))
    for dtype, axis in itertools.product(LABEL_TYPES, (0, 1, 2)):
        for name, array in layouts(labels.astype(dtype)):
            check(one_hot(array, 2, channel_axis=axis, backend=backend), expected(labels, 2, axis), dtype, axis, name)
    for dtype, axis in itertools.product(RESULT_TYPES, (0, 1, 2)):
        result = one_hot(labels, 2, channel_axis=axis, dtype=dtype, backend=backend)
        check(result, expected(labels, 2, axis, dtype), dtype, axis)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("classes", [1, 2, 3, 127, 128, 129, 254, 255, 256, 257, 300, 4096])
def test_one_hot_of_any_number_of_classes(classes: int, backend: str) -> None:
    every = np.concatenate([np.arange(classes)[: -min(classes, 300) - 1 : -1], [0]])
    for dtype in ("i1", "u1", "i2", "u2", "i8", "f2", "f4") if classes < 256 else ("i2", "u2", "f2", "f4"):
        most = 2048 if dtype == "f2" else np.finfo(dtype).max if dtype[0] == "f" else np.iinfo(dtype).max
        labels = every[every <= most].astype(dtype)
        for axis in (0, 1):
            check(one_hot(labels, classes, channel_axis=axis, backend=backend), expected(labels, classes, axis), dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", LABEL_TYPES[1:])
def test_ignored_labels_have_no_channel(dtype: str, backend: str) -> None:
    values = [0, 1, 2, 3, 100, 77]
    ignored = [1, 100, 77, 1000, -1, 2**53 + 1, -(2**63)]
    if np.dtype(dtype).kind != "u":
        values.append(-1)
    labels = np.random.default_rng(3).choice(values, (9, 40)).astype(dtype)
    for (name, array), axis in itertools.product(layouts(labels), (0, 1, 2)):
        result = one_hot(array, 4, channel_axis=axis, ignore_index=ignored, backend=backend)
        check(result, expected(labels, 4, axis, ignored=ignored), name, axis)
    assert one_hot([0, 255], 2, ignore_index=255, backend=backend).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("dtype", "value"),
    [("i1", -1), ("u1", 3), ("u1", 255), ("i2", -(2**15)), ("i8", 2**62), ("i8", -(2**63)), ("u8", 2**64 - 1),
     ("u8", 2**63), ("i4", 3), (">i4", 256), ("f4", 3.0), ("f8", -1.0), ("f2", 3.0)],
)  # fmt: skip
def test_a_label_outside_the_classes(dtype: str, value: float, backend: str) -> None:
    labels = np.zeros((4, 50), dtype)
    labels[2, 7] = labels[3, 1] = value
    message = (
        r"labels: expected labels among the 3 classes 0\.\.2, found 2 voxel\(s\) outside; "
        rf"the first is {int(value)} at index \(2, 7\)"
    )
    for (name, array), axis in itertools.product(layouts(labels), (0, 1, 2)):
        guarded = np.full(3 * 200 + 128, 7, np.uint8)
        out = guarded[64:-64].reshape(expected(labels * 0, 3, axis).shape)
        with pytest.raises(ValueError, match=message):
            one_hot(array, 3, channel_axis=axis, backend=backend, out=out, ignore_index=[-2, 77])
        assert (guarded[:64] == 7).all(), name
        assert (guarded[-64:] == 7).all(), name
    if int(value) < 2**63:
        one_hot(labels, 3, ignore_index=int(value), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.5, 1e300, -(2.0**80)])
def test_a_label_that_is_no_whole_number(value: float, backend: str) -> None:
    labels = np.zeros((3, 5))
    labels[1, 2] = value
    with pytest.raises(ValueError, match=r"labels: expected whole numbers, found 1 voxel\(s\) .* at index \(1, 2\)"):
        one_hot(labels, 2, ignore_index=[0, -(2**63)], backend=backend)


@pytest.mark.parametrize(
    "call", [lambda **k: one_hot([0, 1], 2, **k), lambda **k: argmax_labels([[0, 1], [1, 0]], **k)]
)
def test_where_to_write(call: Any) -> None:
    wanted = call()
    for backend in BACKENDS:
        out = np.full(wanted.shape, 9, np.int16)
        assert call(out=out, backend=backend) is out
        assert np.array_equal(out, wanted)
    with pytest.raises(ValueError, match=r"out: expected shape \(2,.*found shape \(3,"):
        call(out=np.zeros((3,), np.uint8))
    with pytest.raises(TypeError, match="out: expected a NumPy array, found list"):
        call(out=[0])
    with pytest.raises(TypeError, match="out: expected .*found dtype complex128"):
        call(out=np.zeros(wanted.shape, complex))
    for out in (
        frozen(np.zeros(wanted.shape, np.uint8)),
        np.zeros([2 * n for n in wanted.shape])[(slice(None, None, 2),) * wanted.ndim],
    ):
        with pytest.raises((ValueError, TypeError), match="out: expected"):
            call(out=out)
    with pytest.raises(ValueError, match="backend: expected 'auto'"):
        call(backend="fortran")
    with pytest.raises(ValueError, match="channel_axis: expected an axis"):
        call(channel_axis=5)
    with pytest.raises(TypeError, match="dtype: expected"):
        call(dtype=complex)
    with pytest.raises(TypeError, match="dtype: expected a NumPy type"):
        call(dtype="nonsense")


def test_arguments_of_one_hot() -> None:
    for classes in (None, 2.0, "2", True):
        with pytest.raises(TypeError, match="num_classes: expected an integer"):
            one_hot([0], classes)  # type: ignore[arg-type]
    for classes in (0, -1, 5000):
        with pytest.raises(ValueError, match="num_classes: expected 1 to 4096"):
            one_hot([0], classes)
    for labels in (np.array([1j]), np.array(["a"]), np.zeros(2, np.longdouble)):
        with pytest.raises(TypeError, match="labels: expected"):
            one_hot(labels, 2)
    with pytest.raises(TypeError, match="channel_axis: expected an integer, found None"):
        one_hot([0], 2, channel_axis=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ignore_index: expected values that fit"):
        one_hot([0], 2, ignore_index=2**63)
    with pytest.raises(ValueError, match=r"out: a result of shape .* cannot be had"):
        one_hot(np.broadcast_to(np.uint8(0), (1 << 22, 1 << 22)), 4096, dtype=np.float64)
    memory = np.zeros((8, 2), np.uint8)
    with pytest.raises(ValueError, match="out: expected memory of its own, found some that it shares with labels"):
        one_hot(memory[:, 0], 2, out=memory)
    memory = np.zeros((8, 2), np.uint8)
    with pytest.raises(ValueError, match="out: expected memory of its own, found some that it shares with y_score"):
        argmax_labels(memory, out=memory.reshape(-1)[:8])


# ---- Both


@settings(max_examples=60)
@given(data=st.data())
def test_the_one_undoes_the_other(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 9), max_size=4).map(tuple))
    classes = data.draw(st.integers(2, 40))
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    seed = data.draw(st.integers(0, 2**32 - 1))
    labels = np.random.default_rng(seed).integers(0, classes, shape)
    order = data.draw(st.permutations(range(len(shape))))
    labels = labels.transpose(order).astype(data.draw(st.sampled_from(LABEL_TYPES[1:])))
    backend = data.draw(st.sampled_from(BACKENDS))
    encoded = one_hot(
        labels, classes, channel_axis=axis, dtype=data.draw(st.sampled_from(["?", "i2", "f2", "f4"])), backend=backend
    )
    assert np.array_equal(argmax_labels(encoded, channel_axis=axis, backend=backend), labels)


def test_large_volumes_on_any_number_of_threads() -> None:
    labels = np.random.default_rng(6).integers(0, 7, (120, 150, 131)).astype(np.uint8)
    for array, axis in itertools.product(
        (labels, np.asfortranarray(labels), np.asfortranarray(labels)[:, ::-1]), (0, 2, -1)
    ):
        wanted = expected(array, 7, axis)
        for threads in (1, 2, 5):
            fastseg.set_num_threads(threads)
            check(one_hot(array, 7, channel_axis=axis), wanted, threads, axis)
            encoded = np.moveaxis(np.moveaxis(wanted, axis, 0).copy(order="F" if threads == 2 else "C"), 0, axis)
            assert np.array_equal(argmax_labels(encoded, channel_axis=axis), array)
    fastseg.set_num_threads(3)
    bad = labels.astype(np.int32)
    bad[110, 1, 2] = -5
    with pytest.raises(ValueError, match=r"found 1 voxel\(s\) outside; the first is -5 at index \(110, 1, 2\)"):
        one_hot(bad, 7)


def test_kernels_as_plain_python() -> None:
    """With NUMBA_DISABLE_JIT=1 the kernels run as Python, where words wrap around as silently as they do compiled."""
    code = """
import warnings; warnings.simplefilter("error")
import numpy as np
from fastseg.api.encoding import argmax_labels, one_hot
x = np.random.default_rng(0).integers(0, 3, (3, 40, 4))
for labels in (x, x.T, x[::-1, :, ::-1], x.astype(np.int8), x.astype(np.float16)):
    for axis in range(4):
        encoded = one_hot(labels, 3, channel_axis=axis, ignore_index=-1)
        assert np.array_equal(encoded, one_hot(labels, 3, channel_axis=axis, backend="numpy"))
        for scores in (encoded, encoded.astype(np.float16), -encoded.astype(np.float32)[::-1], encoded[:, ::-1]):
            found = argmax_labels(scores, channel_axis=axis)
            assert np.array_equal(found, argmax_labels(scores, channel_axis=axis, backend="numpy"))
    half = labels.astype(np.float16) - 1
    assert np.array_equal(argmax_labels(half, channel_axis=None, threshold=-0.5), half > -0.5)
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

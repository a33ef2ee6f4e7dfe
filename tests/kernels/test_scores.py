"""The vectors that kernels of scores compute with, compiled and in Python, against NumPy; and the kernels as Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

import fastseg
from fastseg.kernels.numba.scores import sum_tiles
from fastseg.kernels.numba.simd import vector_math, vector_memory, vectors, vectors_python
from fastseg.kernels.numba.simd.vector_math import exp_scaled, exponent_of, floor_of, log_of, minus_log_of, shift_of
from fastseg.kernels.numba.simd.vector_memory import add_doubles, load, load_flat, load_one, store, transpose_tile
from fastseg.kernels.numba.simd.vectors import narrow, sum_of, widen
from fastseg.kernels.numba.stages import untyped
from fastseg.kernels.numba.switch import WIDTH

U = np.uint64


def test_every_vector_function_has_a_twin() -> None:
    only_compiled = {"DOUBLES", "FLOATS", "INTS", "IR_TYPES", "MASK", "build_multiply_add", "call", "constant"}
    compiled = {*vectors.__all__, *vector_math.__all__, *vector_memory.__all__}
    assert compiled == {*vectors_python.__all__, *only_compiled}


# ---- The same source, compiled and with the twins


def loads(source: Any, target: Any) -> None:
    for i in range(0, source.shape[1], WIDTH):
        store(target, U(0), U(i), narrow(load(source, U(0), U(i))))


def loads_one(source: Any, target: Any) -> None:
    for i in range(source.shape[1]):
        target[0, i] = load_one(source, U(0), U(i))


def logs(source: Any, target: Any) -> None:
    for i in range(0, source.shape[1], WIDTH):
        store(target, U(0), U(i), log_of(load(source, U(0), U(i))))


def minus_logs(source: Any, rest: Any, target: Any) -> None:
    for i in range(0, source.shape[1], WIDTH):
        store(target, U(0), U(i), minus_log_of(load(source, U(0), U(i)), load(rest, U(0), U(i))))


def exponentials(source: Any, largest: Any, target: Any) -> None:
    """Write exp(source) over exp(largest), both scaled by the same power of two, which is not known here."""
    for i in range(0, source.shape[1], WIDTH):
        top = load(largest, U(0), U(i))
        shift = shift_of(top)
        floor, exponent = floor_of(top, shift), exponent_of(top, shift)
        store(target, U(0), U(i), exp_scaled(load(source, U(0), U(i)), shift, floor, exponent))
        store(target, U(1), U(i), exp_scaled(top, shift, floor, exponent))


def transposes(source: Any, target: Any) -> None:
    for start in range(0, source.shape[1], 16):
        for row in range(0, source.shape[0], 4):
            transpose_tile(source, U(row), U(start), target, U(start))


def sums(source: Any, target: Any) -> None:
    for i in range(0, source.size, WIDTH):
        value = widen(load_flat(source, U(i)))
        target[0, i // WIDTH] = sum_of(value)
        add_doubles(target, U(1), U(0), value)


def with_twins(function: Callable[..., None]) -> Callable[..., None]:
    names = {**function.__globals__, **{name: getattr(vectors_python, name) for name in vectors_python.__all__}}
    return type(function)(function.__code__, names)


@pytest.fixture(params=["compiled", "Python"])
def build(request: pytest.FixtureRequest) -> Any:
    return njit if request.param == "compiled" else with_twins


def line(values: Any, dtype: Any = np.float32) -> Any:
    """Return values as a row of whole vectors, filled up with the last."""
    values = np.asarray(values, dtype)
    return np.pad(values, (0, -values.size % WIDTH), "edge")[None]


def assert_close(found: Any, wanted: Any, rel: float) -> None:
    found = found.astype(np.float64)
    good = abs(found - wanted) <= rel * abs(wanted)
    assert good.all(), (found[~good][:5], wanted[~good][:5], np.max(abs(found / wanted - 1)[~good]))


@pytest.mark.parametrize("kernel", [loads, loads_one])
def test_loads(build: Any, kernel: Any) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)[None]
    found = np.zeros(bits.shape, np.float32)
    run = build(kernel)
    run(bits, found)
    assert np.array_equal(found, bits.view(np.float16).astype(np.float32), equal_nan=True)
    assert np.array_equal(np.signbit(found), bits >= 0x8000)
    run(bits.view(np.int16), found)
    assert np.array_equal(found.view(np.uint32), bits.astype(np.uint32) << 16)
    small = np.arange(256, dtype=np.uint8)[None]
    found = np.zeros(small.shape, np.float32)
    run(small, found)
    assert np.array_equal(found, small)
    for dtype in (np.float32, np.float64):
        values = np.random.default_rng(0).normal(size=(1, 256)).astype(dtype)
        run(values, found)
        assert np.array_equal(found, values.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials(build: Any, dtype: Any) -> None:
    run = build(exponentials)
    grid = np.linspace(-87, 0, 100_001)  # below, results are no normal floats
    for top in (0.0, 0.3, -5.7, 88.0, 700.0, 8191.5, 8192.0, 1e4, -1e4):
        x = line(grid + top, dtype)
        largest = np.full_like(x, top)
        found = np.zeros((2, x.size), np.float32)
        run(x, largest, found)
        assert found[1].min() >= 0.7
        assert found[1].max() <= 1.42
        wanted = np.exp(x[0].astype(np.longdouble) - largest[0])
        ratio = found[0].astype(np.float64) / found[1]
        exact = top == 0 or abs(top) >= 8192  # exp of the largest is exactly one
        assert_close(ratio, wanted.astype(float), 2.5e-7 if exact else 5e-7)
    x = line([-87.4, -90, -103.9, -104, -104.1, -1e4, -np.inf, np.nan], dtype)
    found = np.ones((2, x.size), np.float32)
    run(x, np.zeros_like(x), found)
    assert np.isnan(found[0, 7])
    assert (abs(found[0, :7] - np.exp(x[0, :7].astype(float))) <= 2.0**-126).all()
    assert (found[0, 1:7] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithms(build: Any, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    least = np.finfo(np.float32).tiny
    near = 1 + rng.uniform(-0.5, 0.5, 50_000) * 10.0 ** rng.uniform(-7, 0, 50_000)
    values = np.concatenate([10.0 ** rng.uniform(-37, 38, 50_000), near, [1, least, 0.5, 2, 1e-30, 2e-30]])
    x = line(values, dtype)
    found = np.zeros(x.shape, np.float32)
    run = build(logs)
    run(x, found)
    assert_close(found[0], np.log(x[0].astype(np.float64)), 2.5e-7)
    x = line([0, -0.0, -1, np.inf if dtype == np.float32 else 1], dtype)
    run(x, found[:, :WIDTH])
    assert np.isneginf(found[0, :3]).all()


def test_minus_logarithms_near_one(build: Any) -> None:
    rest = line(np.concatenate([10.0 ** -np.linspace(0.4, 37, 50_000), np.linspace(0, 0.999, 10_000)]))
    x = np.maximum(1 - rest, np.float32(1e-3))
    near = x[0] > 0.75
    found = np.zeros(x.shape, np.float32)
    build(minus_logs)(x, rest, found)
    assert_close(found[0][near], -np.log1p(-rest[0][near].astype(np.float64)), 2.5e-7)
    assert_close(found[0][~near], -np.log(x[0][~near].astype(np.float64)), 5e-7)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_tiles_are_transposed(build: Any, dtype: Any) -> None:
    run = build(transposes)
    for channels in (4, 12):
        values = np.arange(64 * channels).reshape(64, channels).astype(dtype)
        numbers = values.view(np.float16) if dtype == np.uint16 else values
        target = np.zeros((channels, 80), np.result_type(numbers, np.float32))
        run(values.T, target)
        assert np.array_equal(target[:, :64], numbers.T)
        assert (target[:, 64:] == 0).all()


def test_sums(build: Any) -> None:
    values = np.random.default_rng(2).normal(size=8 * WIDTH).astype(np.float32)
    found, again = np.zeros((2, WIDTH)), np.zeros((2, WIDTH))
    build(sums)(values, found)
    with_twins(sums)(values, again)
    assert np.array_equal(found, again)
    rows = values.reshape(8, WIDTH).astype(np.float64)
    assert np.allclose(found[0, :8], rows.sum(1), 1e-12, 1e-12)
    assert np.allclose(found[1], rows.sum(0), 1e-12, 1e-12)


# ---- Stages


def test_types_of_arrays_are_not_multiplied() -> None:
    """Whatever scores, truth and weights are, the kernel is compiled once; stages see them as what they are."""
    rng = np.random.default_rng(3)
    labels, soft = rng.integers(0, 3, 90).astype(np.uint8), rng.dirichlet(np.ones(3), 90)
    options: dict[str, Any] = {"activation": "softmax", "quantities": "dice"}
    for score in ("f2", "f4", "f8"):
        fastseg.sum_scores(labels, soft.astype(score), **options)
    fastseg.sum_scores(labels, soft.astype("f4"), sample_weight=rng.random(90), **options)
    fastseg.sum_scores(soft.astype("f4"), soft.astype("f4"), **options)
    assert 1 <= len(sum_tiles._compiled) <= 2  # two where some test has more than 256 classes


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_untyped_arrays_lie_where_the_numbers_do(dtype: Any) -> None:
    for array in (
        np.ones((3, 70), dtype),
        np.ones((70, 3), dtype).T,
        np.ones((3, 1), dtype),
        np.ones((9, 70), dtype)[::3],
    ):
        first = untyped(array[:, : array.shape[1] // 2 + 1])
        assert first.ctypes.data == array.ctypes.data
        assert first.shape == (3, array.shape[1] // 2 + 1)
        assert first.strides == array.strides or array.shape[1] == 1


# ---- Without a compiler


def test_kernels_as_plain_python() -> None:
    """With NUMBA_DISABLE_JIT=1 the kernels run as Python, and sum the same."""
    code = """
import warnings; warnings.simplefilter("error")
import numpy as np
from fastseg import sum_scores
from fastseg.counts.scores import QUANTITIES, ScoreSums
rng = np.random.default_rng(0)
z, labels, weight = rng.normal(0, 2, (3, 90)), rng.integers(0, 3, 90), rng.random(90)
p = np.exp(z) / np.exp(z).sum(0)
soft, mask = rng.dirichlet(np.ones(3), 90).T, rng.random(90) < 0.7
options = {"quantities": "all", "bins": 10, "focal_gamma": 2.0}
few = {"quantities": ["dice", "cross_entropy", "argmax"], "bins": None, "focal_gamma": None}
def check(y_true, y_score, near=0.0, channel_axis=0, **more):
    found, wanted = (
        sum_scores(y_true, y_score, channel_axis=channel_axis, backend=b, **{**options, **more}) for b in ("numba", "numpy")
    )
    assert found.voxels.tolist() == wanted.voxels.tolist()
    for name in {n for q in found.quantities for n in QUANTITIES[q]}:
        a, b = getattr(found, name), getattr(wanted, name)
        assert (a is None) == (b is None), name
        if a is None: continue
        a, b = (s.matrix if name == "argmax_counts" else s for s in (a, b))
        assert np.allclose(a, b, 1e-6, near if name.endswith("_bins") else 1e-9), (name, a, b)
for dtype in ("f2", "f4", "f8"):
    for activation in ("softmax", "sigmoid", None):
        scores, near = (p if activation is None else z).astype(dtype), 0 if activation is None else 1e-6
        for axis in (0, -1):
            laid = np.ascontiguousarray(np.moveaxis(scores, 0, axis))
            check(labels, laid, near, axis, activation=activation)
        check(labels, laid, near, axis, activation=activation, mask=mask, sample_weight=weight)
        check(np.ascontiguousarray(soft.T), laid, near, axis, activation=activation)
        check(soft.astype("f4"), scores, near, activation=activation, mask=mask, sample_weight=weight)
        check(labels, scores, activation=activation, **few)
check(labels > 0, p[0].astype("f4"), channel_axis=None, **few)
check(labels, (p * 255).astype("u1"), activation="sigmoid", near=1)
for dtype in ("f4", "f8"):
    sides = [np.ascontiguousarray(np.resize(x, (3, 3000)).T.astype(dtype)) for x in (soft, p)]
    check(*sides, channel_axis=-1, quantities="dice", bins=None, focal_gamma=None)
check(labels, np.array([[1e4], [-1e4], [0]]) + 0 * z, activation="softmax", near=1)
for bad in (np.nan, np.inf):
    broken = z.copy(); broken[1, 7] = bad
    for activation in ("softmax", "sigmoid", None):
        try: sum_scores(labels, broken, channel_axis=0, activation=activation, backend="numba")
        except ValueError as error: assert "y_score" in str(error)
        else: raise AssertionError(activation)
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

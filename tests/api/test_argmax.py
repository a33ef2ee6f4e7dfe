"""The labels of the largest scores: against numpy.argmax, for every type, memory order and channel position."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.encodings import BACKENDS, SHAPES, check, frozen, layouts

from fastseg.api.encoding import argmax_labels

SCORE_TYPES = ("f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?", ">f4", ">f2", ">i8")
#: Most compile kernels of their own.
EACH_TYPE = [t if t in ("f2", "f4", "u1") else pytest.param(t, marks=pytest.mark.slow) for t in SCORE_TYPES]


def scores(shape: tuple[int, ...], dtype: str, seed: int = 4) -> np.ndarray:
    """Return scores with many ties, both zeros and infinities."""
    drawn = np.random.default_rng(seed).integers(-3, 4, shape)
    kind = np.dtype(dtype).kind
    if kind == "f":
        values = drawn.astype(np.float64)
        values[drawn == 0] = -0.0
        values[drawn == -3] = -np.inf
        values[drawn == 3] = np.random.default_rng(seed).choice([0.0, np.inf, 1.5])
        return values.astype(dtype)
    low, high = (0, 1) if kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = abs(drawn).astype(dtype)
    values[drawn == 3], values[drawn == -3] = high, low
    return values


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape])
def test_argmax_in_any_memory_order(shape: tuple[int, ...], backend: str) -> None:
    for axis, channels in itertools.product(range(-len(shape) - 1, len(shape) + 1), (2, 5)):
        place = axis % (len(shape) + 1)
        values = scores((*shape[:place], channels, *shape[place:]), "f4")
        wanted = np.argmax(values, axis).astype(np.uint8)
        for name, array in layouts(values):
            check(argmax_labels(frozen(array), channel_axis=axis, backend=backend), wanted, axis, channels, name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", EACH_TYPE)
def test_argmax_of_any_type(dtype: str, backend: str) -> None:
    # Of every type a kernel, and another for scores that are not side by side: of types like others one is compiled.
    one = {"i1": 0, "u2": 0, "u4": 0, "i8": 0, ">i8": 0, "i2": 2, "i4": 2, "u8": 2}.get(dtype)
    axes = (0, 1, 2) if one is None else (one,)
    for axis, shape in itertools.product(axes, ((3, 37, 41), (40, 3, 3), (5, 2, 200))):
        values = scores(shape, dtype)
        for name, array in layouts(values):
            if one is not None and name != "C":
                continue
            for out_type in (None, "i2", "u4", "i8"):
                wanted = np.argmax(values, axis).astype(out_type or "u1")
                result = argmax_labels(frozen(array), channel_axis=axis, dtype=out_type, backend=backend)
                check(result, wanted, axis, shape, name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_argmax_of_many_classes(backend: str) -> None:
    for channels, dtype in ((256, "u1"), (257, "u2"), (65_537, "u4")):
        values = np.zeros((channels, 34), np.float32)
        values[-1] = 1
        for array, axis in ((values, 0), (values.T.copy(), 1), (values.T, 1))[: 3 if channels == 256 else 1]:
            result = argmax_labels(array, channel_axis=axis, backend=backend)
            check(result, np.full(34, channels - 1, dtype), channels)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_nan_is_an_error(dtype: str, backend: str) -> None:
    values = np.zeros((3, 40, 5), dtype)
    for k, sign in ((0, 1), (1, -1), (2, 1)):
        values[k, 3, 4] = np.copysign(np.nan, sign)
        values[k, 38, 0] = np.nan
        for array, axis, index in ((values, 0, (3, 4)), (np.moveaxis(values, 0, -1).copy(), -1, (3, 4))):
            for name, laid in layouts(array):
                with pytest.raises(ValueError, match=r"y_score: expected numbers, found NaN at 2 voxel\(s\)") as caught:
                    argmax_labels(laid, channel_axis=axis, backend=backend)
                assert str(caught.value).endswith(f"the first is at index {index}"), name
        with pytest.raises(ValueError, match=r"NaN at \d voxel\(s\); the first is at index \(0?"):
            argmax_labels(values, channel_axis=None, backend=backend)
        values[:] = 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinite_scores(backend: str) -> None:
    values = np.array([[-np.inf, -np.inf], [-np.inf, 0], [np.inf, np.inf], [0, np.inf]])
    for dtype in ("f2", "f4", "f8"):
        assert argmax_labels(values.astype(dtype), backend=backend).tolist() == [0, 1, 0, 1]


@pytest.mark.torch
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_16_bit_float(backend: str) -> None:
    import torch

    bits = np.arange(1 << 16, dtype=np.uint16)
    halves = bits.view(np.float16)
    halves = halves[~np.isnan(halves)]
    brains = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    brains = brains[~torch.isnan(brains)]
    for array, numbers in ((halves, halves.astype(np.float64)), (brains, brains.to(torch.float64).numpy())):
        for limit in (0.5, 0.0, -0.0, 0.1, -0.1, 1e-30, -1e-30, 65504.0, 1e300, -1e300, np.inf, -np.inf):
            result = argmax_labels(array, channel_axis=None, threshold=limit, backend=backend)
            check(result, (numbers > limit).astype(np.uint8), limit)
        order = np.random.default_rng(5).permutation(len(numbers) // 4 * 4)
        wanted = numbers[order].reshape(-1, 4).argmax(-1).astype(np.uint8)
        check(argmax_labels(array[order].reshape(-1, 4), backend=backend), wanted)
        wanted = numbers[order].reshape(4, -1).argmax(0).astype(np.uint8)
        check(argmax_labels(array[order].reshape(4, -1), channel_axis=0, backend=backend), wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", SCORE_TYPES)
def test_one_class_needs_a_threshold(dtype: str, backend: str) -> None:
    values = scores((9, 50), dtype)
    exact = values.astype(object)
    for limit in (None, 0, 0.0, 1, 0.5, -0.5, -1, 1e30, -1e30, np.inf, -np.inf, 0.1, 2.0**63, float(2**53)):
        wanted = np.array([number > (0.5 if limit is None else limit) for number in exact.flat], np.uint8).reshape(
            9, 50
        )
        for name, array in layouts(values):
            result = argmax_labels(array, channel_axis=None, threshold=limit, backend=backend)
            check(result, wanted, name, limit)
        for axis in (0, 1, 2):
            with_axis = np.expand_dims(values, axis)
            check(argmax_labels(with_axis, channel_axis=axis, threshold=limit, backend=backend), wanted, axis, limit)
    check(argmax_labels(values, channel_axis=None, dtype=bool, threshold=0, backend=backend), values > 0)


def test_arguments_of_argmax() -> None:
    with pytest.raises(ValueError, match="threshold: expected None for 2 classes"):
        argmax_labels([[0, 1]], threshold=0.5)
    with pytest.raises(ValueError, match="threshold: expected a number, found nan"):
        argmax_labels([0], channel_axis=None, threshold=np.nan)
    with pytest.raises(TypeError, match="threshold: expected a number, found '1'"):
        argmax_labels([0], channel_axis=None, threshold="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"y_score: expected at least one class .* found shape \(3, 0\)"):
        argmax_labels(np.zeros((3, 0)))
    with pytest.raises(TypeError, match="y_score: expected real numbers"):
        argmax_labels(np.array([1j]))
    with pytest.raises(ValueError, match="dtype: expected a type that holds 2, found bool"):
        argmax_labels(np.zeros((1, 3)), dtype=bool)
    with pytest.raises(ValueError, match="dtype: expected a type that holds 200, found int8"):
        argmax_labels(np.zeros((1, 201)), dtype=np.int8)
    with pytest.raises(TypeError, match="dtype: expected an integer type"):
        argmax_labels(np.zeros((1, 3)), dtype=float)
    assert argmax_labels(0.7, channel_axis=None).shape == ()

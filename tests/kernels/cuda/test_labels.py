"""Label maps on a GPU give the same counts as in the memory of the CPU: types, steps, tails, masks, classes, errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.cuda.on_cpu import Cpu, Tensor

import fastseg
from fastseg import count_labels
from fastseg.kernels.cuda import driver

INTEGERS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
TYPES = (*INTEGERS, "?", "f2", "f4", "f8")
OTHERS = [pytest.param(each, marks=pytest.mark.slow) for each in TYPES if each not in ("u1", "i8", "f4")]


def maps(shape: Any, classes: int = 5, seed: int = 0) -> tuple[Any, Any]:
    """Return two maps of blobs, which have runs, and of single voxels, which have none."""
    rng = np.random.default_rng(seed)
    true = np.repeat(rng.integers(0, classes, shape), 3, axis=-1)[..., : shape[-1]]
    return true, np.where(rng.random(shape) < 0.3, rng.integers(0, classes, shape), true)


def same(true: Any, pred: Any, mask: Any = None, **options: Any) -> None:
    ours = count_labels(Tensor(true), Tensor(pred), mask=None if mask is None else Tensor(mask), **options)
    assert ours == count_labels(true, pred, mask=mask, **options, backend="numpy")


def macros(cpu: Cpu) -> dict[str, Any]:
    return dict(cpu.launched[-1].macros)


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", *OTHERS])
def test_every_type_beside_itself_and_beside_bytes(cpu: Cpu, dtype: str) -> None:
    classes = 2 if dtype == "?" else 5
    true, pred = maps((3, 7, 41), classes)
    same(true.astype(dtype), pred.astype(dtype), num_classes=classes)
    assert macros(cpu)["VECTOR"] == 16 // np.dtype(dtype).itemsize
    same(true.astype(dtype), pred.astype("u1"), num_classes=classes)
    same(true.astype("i8"), pred.astype(dtype), num_classes=classes)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 255, 4095, 4096, 4097, 20_000])
@pytest.mark.parametrize("dtype", ["u1", "i8"])
def test_tails(cpu: Cpu, size: int, dtype: str) -> None:
    same(*(each.astype(dtype) for each in maps((size,))), num_classes=5)


@pytest.mark.parametrize("first", range(1, 5))
def test_where_memory_begins(cpu: Cpu, first: int) -> None:
    true, pred = (each.astype("u1") for each in maps((200,)))
    same(true[first:], pred[: 200 - first], num_classes=5)
    assert macros(cpu)["VECTOR"] == 1
    same(true[first:], pred[first:], np.arange(200 - first) % 3, num_classes=5)


@settings(max_examples=40)
@given(data=st.data())
def test_any_steps(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    true, pred = (each.astype(data.draw(st.sampled_from(("u1", "i4")))) for each in maps(shape))
    order = data.draw(st.permutations(range(len(shape))))
    where = tuple(slice(None, None, data.draw(st.sampled_from((1, -1, 2, -2)))) for _ in shape)
    seen = [true.transpose(order)[where], pred.transpose(order)[where]]
    if data.draw(st.booleans()):
        seen[1] = np.ascontiguousarray(seen[1])
    mask = data.draw(st.sampled_from((None, seen[0] % 2 == 0, (seen[0] % 3).astype("i1"))))
    axis = data.draw(st.sampled_from((None, *range(len(shape)))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_driver", Cpu(data.draw(st.integers(1, 3))))
        same(*seen, mask, num_classes=5, sample_axis=axis)


@pytest.mark.parametrize(
    ("classes", "parts"),
    [(1, 1), (2, 1), (64, 1), (116, 1), (117, 1), (150, 1), (237, 1), (238, 2), (256, 2), (470, 4), (700, 0)],
)
def test_numbers_of_classes(cpu: Cpu, classes: int, parts: int) -> None:
    true, pred = maps((4, 900), classes)
    same(true, pred, num_classes=classes, sample_axis=0)
    assert (macros(cpu)["TABLE"], macros(cpu)["PARTS"]) == (("SHARED", parts) if parts else ("GLOBAL", 1))


def test_declared_ignored_unknown_and_open_labels(cpu: Cpu) -> None:
    true, pred = maps((30, 50), 7)
    same(true, pred, labels=[6, 2, 0, 1, 3, 4, 5], ignore_index=3)
    same(true, pred, num_classes=6, ignore_index=[6, 255], unknown="count")
    same(true, pred, labels=[-(2**63), *range(1, 7), 2**63 - 1, 0], unknown="count")
    same(np.where(true == 2, 255, true), np.where(true == 2, 99, pred), num_classes=7, ignore_index=255)
    for dtype in ("u1", "i1"):
        same(true.astype(dtype), pred.astype(dtype))
        same((true * 17).astype(dtype), pred.astype(dtype), ignore_index=17)
    same(true > 2, pred.astype("u1"))


def test_bytes_that_are_true() -> None:
    cpu = Cpu()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_driver", cpu)
        strange = np.array([0, 1, 2, 255], "u1").view(bool)
        same(strange, strange[::-1], num_classes=2)


@pytest.mark.slow
def test_samples_that_are_many(cpu: Cpu) -> None:
    true, pred = maps((70_000, 3), 2)
    same(true.astype("u1"), pred.astype("u1"), num_classes=2, sample_axis=0)


def test_no_voxels(cpu: Cpu) -> None:
    nothing = np.zeros((2, 0, 3), "u1")
    same(nothing, nothing, num_classes=3, sample_axis=0)
    assert not cpu.launched


WRONG = [
    (np.array([0, 1, 7]), np.array([0, 1, 1]), {}, "y_true"),
    (np.array([0, 1, 1]), np.array([0, 9, 1]), {}, "y_pred"),
    (np.array([0, -1, 1]), np.array([0, 1, 1]), {}, "-1"),
    (np.array([0, 1.5, 1]), np.array([0, 1, 1]), {}, "1.5"),
    (np.array([0, 1, 1]), np.array([0, np.nan, 1]), {"unknown": "count"}, "nan"),
    (np.array([0, 1, 1], "f2"), np.array([0, np.inf, 1], "f2"), {"unknown": "count"}, "inf"),
    (np.array([0, 2**63, 1], "u8"), np.array([0, 1, 1]), {"unknown": "count"}, "9223372036854775808"),
]


@pytest.mark.parametrize(("true", "pred", "options", "said"), WRONG)
def test_what_is_wrong_is_said_in_the_same_words(cpu: Cpu, true: Any, pred: Any, options: Any, said: str) -> None:
    for view in (slice(None), slice(None, None, -1)):
        with pytest.raises(ValueError, match=said) as here:
            count_labels(true[view], pred[view], num_classes=3, **options)
        with pytest.raises(ValueError, match=re.escape(str(here.value))):
            _ = count_labels(Tensor(true[view]), Tensor(pred[view]), num_classes=3, **options).voxels


def test_arrays_in_two_places(cpu: Cpu) -> None:
    true, pred = maps((20,))
    with pytest.raises(
        ValueError, match=r"y_pred: .* memory of GPU 0, where y_true lies; found one in that of the CPU"
    ):
        count_labels(Tensor(true), pred, num_classes=5)
    with pytest.raises(ValueError, match=r"y_pred: .* memory of GPU 0, where y_true lies; found one in that of GPU 1"):
        count_labels(Tensor(true), Tensor(pred, device=1), num_classes=5)
    with pytest.raises(ValueError, match=r"mask: .* memory of the CPU, where y_true lies; found one in that of GPU 0"):
        count_labels(true, pred, mask=Tensor(true > 1), num_classes=5)


def test_what_cannot_be_counted_there(cpu: Cpu) -> None:
    true, pred = map(Tensor, maps((20,)))
    with pytest.raises(ValueError, match="sample_weight: .* found one in that of the CPU"):
        count_labels(true, pred, sample_weight=np.ones(20), num_classes=5)
    with pytest.raises(ValueError, match="backend"):
        count_labels(true, pred, num_classes=5, backend="numba")
    with pytest.raises(ValueError, match="backend"):
        count_labels([0], [0], backend="cuda")
    with pytest.raises(TypeError, match="memory of the CPU"):
        fastseg.one_hot(true, 5)


def test_functions_of_labels(cpu: Cpu) -> None:
    true, pred = maps((2, 300))
    a, b = Tensor(true), Tensor(pred)
    np.testing.assert_array_equal(fastseg.dice(a, b, num_classes=5), fastseg.dice(true, pred, num_classes=5))
    matrix = fastseg.confusion_matrix(a, b, num_classes=5, sample_axis=0)
    np.testing.assert_array_equal(matrix, fastseg.confusion_matrix(true, pred, num_classes=5, sample_axis=0))
    assert fastseg.evaluate(a, b, num_classes=5).mean == fastseg.evaluate(true, pred, num_classes=5).mean


def test_two_threads_at_once(cpu: Cpu) -> None:
    from concurrent.futures import ThreadPoolExecutor

    pairs = [maps((500 + n,), seed=n) for n in range(12)]
    expected = [count_labels(*pair, num_classes=5) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda pair: count_labels(*map(Tensor, pair), num_classes=5), pairs)
        assert [*found] == expected

"""Columns come back from their steps, and nothing that is none is taken for one."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fastseg.counts.columns import from_steps, restored, saved, steps

EDGES = st.sampled_from([0, 1, -1, 255, 256, 2**31, -(2**63), 2**63 - 1])


@given(st.lists(EDGES | st.integers(-(2**63), 2**63 - 1), max_size=12), st.sampled_from(["i8", "u8", "f8"]))
def test_columns_come_back_as_they_were(values: list[int], kind: str) -> None:
    column = np.array(values, np.int64)
    column = column / 3 if kind == "f8" else column.view(kind)
    for back in (from_steps(steps(column)), restored(json.loads(json.dumps(saved(column))), column.size)):
        assert back.dtype == column.dtype
        np.testing.assert_array_equal(back, column)


def test_sorted_columns_are_small() -> None:
    column = np.repeat(np.arange(10**15, 10**15 + 50_000), 4)
    first, each, _ = steps(column)
    assert (first, each.dtype) == (10**15, np.uint8)
    assert len(saved(column)["zlib"]) < column.size / 10


def damaged(**change: Any) -> Any:
    return {**saved(np.arange(10)), **change}


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    ("plain", "error", "says"),
    [
        (damaged(dtype="<i4"), ValueError, "columns of 64-bit numbers, found '<i4'"),
        (damaged(first=2**64), ValueError, "columns of 64-bit numbers"),
        (damaged(first=1.5), TypeError, "integer"),
        (damaged(dtype="<f8"), ValueError, "columns of 64-bit numbers"),
        (damaged(steps="|O"), ValueError, "columns of 64-bit numbers"),
        (damaged(zlib="?"), ValueError, "found damaged ones"),
        (damaged(zlib=packed(b"")[:-6] + "AAAA"), ValueError, "data: expected"),
        (damaged(zlib=packed(b"123456789")), ValueError, "columns of 10 numbers"),
        (damaged(zlib=packed(b"0" * 10**6)), ValueError, "columns of 10 numbers"),
        ({"dtype": "<i8", "first": 0, "steps": "|u1"}, KeyError, "zlib"),
        ([1, 2], TypeError, "list"),
    ],
)
def test_what_is_no_column(plain: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        restored(plain, 10)


def test_no_column_has_less_than_no_numbers() -> None:
    with pytest.raises(ValueError, match="data: expected"):
        restored(damaged(steps="|u1"), -1)

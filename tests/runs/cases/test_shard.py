"""Shares of cases: disjoint, complete, spread; and how they are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from fastseg.runs.cases.shard import Shard, parse_shard


@given(st.integers(0, 50), st.integers(1, 20))
def test_each_case_is_in_one_share(cases: int, of: int) -> None:
    shares = [Shard(number, of).share(range(cases)) for number in range(1, of + 1)]
    assert sorted(case for share in shares for case in share) == list(range(cases))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_shard_as_text() -> None:
    assert parse_shard("3/16") == (3, 16)
    assert str(Shard(3, 16)) == "3/16"


@pytest.mark.parametrize("text", ["", "3", "3/", "/16", "a/b", "-1/4", "0/4", "5/4", "1/0", "1/4/2", "1.0/4", "²/4"])
def test_no_shard(text: str) -> None:
    with pytest.raises(ValueError, match="^shard: expected"):
        parse_shard(text)


@pytest.mark.parametrize("value", [3, "3/16", (1,), (1, 2, 3), (1.0, 2), None])
def test_no_pair(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="^shard: expected"):
        Shard.checked(value)

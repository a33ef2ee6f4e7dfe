"""A share of the cases of a run: every n-th of them, for machines that know nothing of each other."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self, TypeVar

__all__ = ["Shard", "digest_of", "parse_shard"]

T = TypeVar("T")


class Shard(NamedTuple):
    """One of so many shares."""

    number: int
    """From 1 on."""
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def checked(cls, value: Any) -> Self:
        """Return a pair of integers as a shard; TypeError or ValueError if it is none."""
        try:
            number, of = map(operator.index, value)
        except (TypeError, ValueError):
            raise TypeError(
                f"shard: expected a number and how many there are, such as (3, 16), found {value!r}"
            ) from None
        if not 1 <= number <= of:
            raise ValueError(f"shard: expected a number from 1 to how many there are, found {number} of {of}")
        return cls(number, of)

    def share(self, cases: Sequence[T]) -> tuple[T, ...]:
        """Return the cases of this shard, which are spread over all of them."""
        return tuple(cases[self.number - 1 :: self.of])


def parse_shard(text: str) -> Shard:
    """Return the shard that a text such as "3/16" says; ValueError if it says none."""
    number, slash, of = text.partition("/")
    if not (slash and number.isascii() and number.isdigit() and of.isascii() and of.isdigit()):
        raise ValueError(f"shard: expected K/N, such as 3/16 for the third of sixteen, found {text!r}")
    return Shard.checked((int(number), int(of)))


def digest_of(ids: Iterable[str]) -> str:
    """Return what tells one list of cases from another."""
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()

"""COCO's run-length encoding: how many pixels, column by column, are outside, inside, outside, … in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["checked_counts", "counts_of_text", "fill"]

#: Characters of a number of 35 bits: more than any picture needs.
_LONGEST = 7


def counts_of_text(text: str) -> list[int]:
    """Return the run lengths that a compressed string holds.

    A character is 48 and six bits: five of the number, the least first, and one that says whether another character
    follows; the last one's fifth bit is the sign. From the fourth on, a number is the difference to the length of two before.

    Raises
    ------
    ValueError
        If the text holds something else.
    """
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    if ((codes < 0) | (codes > 63)).any():
        raise ValueError("expected characters from '0' to 'o' in its counts, found another one")
    ends = np.flatnonzero((codes & 32) == 0)
    if codes.size == 0 or ends.size == 0 or ends[-1] != codes.size - 1:
        raise ValueError("expected counts with an end, found a string that is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts >= _LONGEST).any():
        raise ValueError(f"expected counts of at most {_LONGEST} characters each, found a longer one")
    place = np.arange(codes.size) - np.repeat(starts, ends - starts + 1)
    numbers = np.add.reduceat((codes & 31) << (5 * place), starts)
    numbers -= np.where(codes[ends] & 16, np.int64(1) << (5 * (ends - starts + 1)), 0)
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return [int(number) for number in numbers]


def checked_counts(counts: Any, pixels: int) -> list[int]:
    """Return run lengths, from a list or a compressed string, that are those of so many pixels; ValueError if they are not."""
    if isinstance(counts, str):
        counts = counts_of_text(counts)
    if not isinstance(counts, list) or not all(type(count) is int for count in counts):
        raise ValueError("expected counts that are a list of whole numbers or a string")
    least, total = min(counts, default=0), sum(counts)
    if least < 0:
        raise ValueError(f"expected counts of 0 or more, found {least}")
    if total != pixels:
        raise ValueError(f"expected counts whose sum is height times width, {pixels}, found {total}")
    return counts


def fill(pixels: NDArray[np.uint8], counts: list[int]) -> None:
    """Set what is inside to 1 in pixels that lie column by column."""
    bounds = np.cumsum(np.array(counts, np.int64))
    for start, stop in zip(bounds[0::2].tolist(), bounds[1::2].tolist(), strict=False):
        pixels[start:stop] = 1

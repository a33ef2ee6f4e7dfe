"""Blocks transposed by each backend, item by item; what lies between the rows stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from fastseg.kernels import BACKENDS, counter_of


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (3, 5), (8, 32), (9, 67)])
def test_each_item_goes_to_its_place(columns: int, rows: int, backend: str) -> None:
    source = np.random.default_rng(0).integers(1, 256, columns * (rows + 2), np.uint8)
    for step in (columns + 3, columns):
        target = np.zeros((rows + 2) * step, np.uint8)  # with room behind the last row
        expected = target.copy()
        for r in range(rows):
            for c in range(columns):
                expected[r * step + c] = source[c * (rows + 2) + r]
        counter_of(backend).transpose_into(source, rows + 2, target, step, columns, rows)
        np.testing.assert_array_equal(target, expected)

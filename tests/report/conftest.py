"""Volumes that are arrays, of reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastseg.counting import stored_labels as aligned


@pytest.fixture
def volumes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let files be arrays by their names, which are read in boxes of odd sizes from the last to the first."""
    arrays: dict[str, Any] = {}

    def label_blocks(reference: str, prediction: str, **options: Any) -> Iterator[aligned.LabelBlock]:
        if reference not in arrays:
            raise FileNotFoundError(2, "No such file or directory", reference)
        true, pred = (arrays[name].astype(np.int64) for name in (reference, prediction))
        inside = None if options["roi"] is None else arrays[options["roi"]]
        size = tuple(max(k, n // 10) for k, n in zip((7, 9, 20, 1, 1), true.shape, strict=False))
        spacing = arrays.get("spacing", (1.0, 1.0, 2.0))[: true.ndim] + (float("nan"),) * (true.ndim - 3)
        for cell in reversed([*np.ndindex(*(-(-n // k) for n, k in zip(true.shape, size, strict=True)))]):
            start = tuple(c * k for c, k in zip(cell, size, strict=True))
            box = tuple(slice(a, a + k) for a, k in zip(start, size, strict=True))
            part = None if inside is None else inside[box]
            yield aligned.LabelBlock(start, true[box], pred[box], part, true.shape, spacing)

    monkeypatch.setattr(aligned, "label_blocks", label_blocks)
    return arrays

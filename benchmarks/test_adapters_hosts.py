"""How much faster drop-ins are than their hosts: the same call, on the same arrays."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from harness import compare

from fastseg.phantom import phantom_pair

GROUP = "Drop-ins: the host's time / ours"


def calls(function: Callable[[], Any], times: int) -> Callable[[], Any]:
    """Return a call that is long enough for a clock."""
    return lambda: [function() for _ in range(times)]


@pytest.mark.parametrize("name", ["dc", "specificity"])
@pytest.mark.parametrize(
    ("shape", "times", "floor"), [((32, 32, 1), 200, 0.7), ((512, 512, 1), 20, 1), ((128, 128, 128), 3, 1.5)]
)
def test_medpy(benchmark: Any, name: str, shape: tuple[int, ...], times: int, floor: float) -> None:
    theirs = getattr(pytest.importorskip("medpy.metric.binary"), name)
    ours = getattr(importlib.import_module("fastseg.adapters.medpy"), name)
    reference, result = (labels == 1 for labels in phantom_pair(shape, 2))
    assert ours(result, reference) == theirs(result, reference)
    compare(
        benchmark,
        f"MedPy {name}, bool {'×'.join(map(str, shape))}",
        calls(lambda: ours(result, reference), times),
        [calls(lambda: theirs(result, reference), times)],
        group=GROUP,
        floor=floor,
    )

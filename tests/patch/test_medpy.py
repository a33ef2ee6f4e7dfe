"""MedPy while it is patched: its overlaps do as they did, counted here."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from support.drop_ins import strictly, went
from support.patched import assert_same_patched

import fastseg
from fastseg.adapters import report

pytestmark = pytest.mark.host("medpy")

NAMES = ["dc", "jc", "precision", "recall", "sensitivity", "specificity", "ravd"]
RNG = np.random.default_rng(1)
MASKS = [(RNG.random((9, 8, 7)) < share).astype(dtype) for share, dtype in ((0.3, "?"), (0.6, "u1"), (0, "i4"))]


@pytest.mark.parametrize("name", NAMES)
def test_overlaps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function = getattr(importlib.import_module("medpy.metric"), name)  # another module than that which defines it
    with strictly(monkeypatch), went(f"medpy.{name}", fast=6):
        for result in MASKS:
            for reference in MASKS[:2]:
                assert_same_patched("medpy", function, result, reference)


def test_distances_are_the_hosts() -> None:
    before = report()
    with fastseg.patch("medpy"):
        importlib.import_module("medpy.metric").hd(*MASKS[:2])
    assert report() == before

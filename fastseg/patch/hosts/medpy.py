"""The overlaps of MedPy: each function that there is a drop-in for."""

from __future__ import annotations

import fastseg.adapters.medpy  # noqa: F401 — its rows
from fastseg.patch.swaps import steps_of_rows

__all__ = ["STEPS"]

STEPS = steps_of_rows("medpy")

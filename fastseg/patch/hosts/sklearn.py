"""The metrics of scikit-learn: each function that there is a drop-in for, behind the check of its parameters."""

from __future__ import annotations

import fastseg.adapters.sklearn  # noqa: F401 — its rows
from fastseg.patch.swaps import steps_of_rows

__all__ = ["STEPS"]

STEPS = steps_of_rows("sklearn")

"""Losses of probabilities: what scikit-learn means by them, clipped in float64, is its own to compute."""

from __future__ import annotations

from typing import Any

from fastseg.adapters.calls import hand_over

__all__ = ["brier_score_loss", "log_loss"]

#: fastseg sums terms of float32 (to 1e-7), and clips nothing: not what these promise.
_REASON = "probabilities are left to scikit-learn, whose losses are of float64"

log_loss: Any = hand_over("sklearn.metrics.log_loss", _REASON, module=__name__)
brier_score_loss: Any = hand_over("sklearn.metrics.brier_score_loss", _REASON, module=__name__)

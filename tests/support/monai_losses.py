"""What tests of drop-ins for MONAI's losses share."""

from __future__ import annotations

from typing import Any

from support.loss_modules import assert_same_losses, labels_and_logits

__all__ = ["assert_same_loss", "both", "example"]


def both(name: str) -> tuple[Any, Any]:
    """Return the host's class and ours."""
    import monai.losses

    import fastseg.adapters.monai

    return getattr(monai.losses, name), getattr(fastseg.adapters.monai, name)


def example(shape: tuple[int, ...] = (2, 4, 6, 5, 7), seed: int = 0) -> tuple[Any, Any, Any]:
    """Return logits, a label map (N, 1, ...) and the same one-hot."""
    return labels_and_logits(shape, seed)


def assert_same_loss(name: str, scores: Any, truth: Any, rtol: float = 2e-6, **options: Any) -> None:
    """Compare values and gradients."""
    assert_same_losses(*both(name), scores, truth, rtol=rtol, **options)

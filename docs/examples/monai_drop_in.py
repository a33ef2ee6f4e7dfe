"""MONAI's Dice metric and loss, counted by fastseg: the two imports are all that changes in a program.

Needs `pip install monai`. MONAI's own results are compared with; then `report` says which calls fastseg has counted.
"""

import monai.losses
import monai.metrics
import torch

from fastseg.adapters import report
from fastseg.adapters.monai import DiceCELoss, DiceMetric

CLASSES = 4


def main() -> None:
    """Score a prediction, and take the gradient of a loss."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, CLASSES, (2, 1, 48, 48, 48), generator=generator)
    logits = torch.randn(2, CLASSES, 48, 48, 48, generator=generator).requires_grad_()

    prediction = logits.argmax(1, keepdim=True)
    for metric in (monai.metrics.DiceMetric(num_classes=CLASSES), DiceMetric(num_classes=CLASSES)):
        metric(prediction, truth)
        print(f"{type(metric).__module__.partition('.')[0]:8} Dice {metric.aggregate().item():.6f}")

    for kind in (monai.losses.DiceCELoss, DiceCELoss):
        logits.grad = None
        loss = kind(to_onehot_y=True, softmax=True)(logits, truth)
        loss.backward()
        norm = logits.grad.norm().item()
        print(f"{kind.__module__.partition('.')[0]:8} loss {loss.item():.6f}, norm of its gradient {norm:.6e}")
    print(report())


if __name__ == "__main__":
    main()

"""Ignite's confusion matrix, counted by fastseg: one import is another."""

import torch
from ignite.engine import Engine

from fastseg.adapters import report

# from ignite.metrics import ConfusionMatrix, mIoU
from fastseg.adapters.ignite import ConfusionMatrix, mIoU

torch.manual_seed(0)
batches = []
for _ in range(4):
    labels = torch.randint(0, 4, (2, 8, 8)).repeat_interleave(16, 1).repeat_interleave(16, 2)
    batches.append((torch.nn.functional.one_hot(labels, 4).movedim(-1, 1) + torch.rand(2, 4, 128, 128) * 1.2, labels))

evaluator = Engine(lambda _, batch: batch)
mIoU(ConfusionMatrix(num_classes=4)).attach(evaluator, "mIoU")
print(evaluator.run(batches).metrics)
print(report())

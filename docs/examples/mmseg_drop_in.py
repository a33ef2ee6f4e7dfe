"""MMSegmentation's IoUMetric, counted by fastseg; here without a runner."""

import torch
from mmseg.registry import METRICS

import fastseg.adapters.mmseg  # noqa: F401 — a configuration does so by custom_imports = dict(imports=["fastseg.adapters.mmseg"])
from fastseg.adapters import report

# val_evaluator = dict(type="FastsegIoUMetric", iou_metrics=["mIoU", "mDice"])
metric = METRICS.build({"type": "FastsegIoUMetric", "iou_metrics": ["mIoU", "mDice"]})
metric.dataset_meta = {"classes": ("road", "car", "sky")}

torch.manual_seed(0)
for _ in range(4):
    label = torch.randint(0, 3, (1, 16, 32)).repeat_interleave(32, 1).repeat_interleave(32, 2)
    pred = torch.where(torch.rand(label.shape) < 0.05, torch.randint(0, 3, label.shape), label)
    metric.process({}, [{"pred_sem_seg": {"data": pred}, "gt_sem_seg": {"data": label}}])

print(metric.evaluate(size=4))
print(report())

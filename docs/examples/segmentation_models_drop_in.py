"""Counts and a loss of segmentation_models_pytorch, made by fastseg: one import is another."""

import torch

from fastseg.adapters import report

# from segmentation_models_pytorch.metrics import f1_score, get_stats, iou_score
# from segmentation_models_pytorch.losses import DiceLoss
from fastseg.adapters.segmentation_models import DiceLoss, f1_score, get_stats, iou_score

torch.manual_seed(0)
target = torch.randint(0, 4, (8, 1, 64, 64)).repeat_interleave(8, -1).repeat_interleave(8, -2).squeeze(1)
output = torch.where(torch.rand(target.shape) < 0.05, torch.randint(0, 4, target.shape), target)

tp, fp, fn, tn = get_stats(output, target, mode="multiclass", num_classes=4)
print(f"IoU {iou_score(tp, fp, fn, tn, reduction='micro'):.4f}, F1 {f1_score(tp, fp, fn, tn, reduction='macro'):.4f}")

logits = torch.randn(8, 4, 512, 512, requires_grad=True)
loss = DiceLoss("multiclass")(logits, target)
loss.backward()
print(f"Dice loss {loss.item():.4f}, norm of its gradient {logits.grad.norm().item():.3e}")
print(report())

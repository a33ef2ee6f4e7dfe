"""torchmetrics' metrics of a volume of 2 million voxels, by one changed line of imports, alone and in a collection.

Run it with ``python docs/examples/torchmetrics_drop_in.py`` (pip install torch torchmetrics).
"""

from time import perf_counter

import torch
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import multiclass_jaccard_index as theirs

# from torchmetrics.classification import CohenKappa, ConfusionMatrix, F1Score
# from torchmetrics.functional.classification import multiclass_jaccard_index
# from torchmetrics.segmentation import DiceScore
from fastseg.adapters import report
from fastseg.adapters.torchmetrics import CohenKappa, ConfusionMatrix, DiceScore, F1Score, multiclass_jaccard_index
from fastseg.phantom import phantom_pair

target, preds = (torch.from_numpy(labels).long() for labels in phantom_pair((128, 128, 128), 4))
multiclass_jaccard_index(preds, target, num_classes=4)  # the first call compiles
for function in (theirs, multiclass_jaccard_index):
    start = perf_counter()
    score = function(preds, target, num_classes=4)
    print(f"{function.__module__}: {score:.6f} in {(perf_counter() - start) * 1e3:.1f} ms")

task = {"task": "multiclass", "num_classes": 4}
metrics = MetricCollection([F1Score(**task), CohenKappa(**task), ConfusionMatrix(**task)])
for a, b in zip(preds.split(32), target.split(32), strict=True):  # each batch is counted once for all three
    metrics.update(a, b)
print(metrics.compute(), "groups that are counted once:", metrics.compute_groups)

dice = DiceScore(num_classes=4, include_background=False, input_format="index")
print("Dice of this batch:", dice(preds[None], target[None]))

print(report())  # what was counted here, and what torchmetrics was asked, and why

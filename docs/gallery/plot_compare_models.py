"""
Which of two models is better?
==============================

Two means side by side do not say: cases differ more than models do. ``compare_runs`` (``fastseg compare`` in a
shell) takes the difference case by case, with an interval and a test for each class. The cases are made here,
so that we know the answer: the second model has smoother borders, and misses one organ in some cases.
"""

import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage

import fastseg
from fastseg.phantom import phantom_pair

CASES, SHAPE, CLASSES = 24, (48, 48, 48), 5

# %%
# The cases
# ---------
# A phantom is some ellipsoids, and a prediction that has them moved and resized a little. Model A frays the
# prediction's borders; model B does not, but loses class 4 in a third of the cases.

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
rng = np.random.default_rng(0)
for name in ("references", "model_A", "model_B"):
    (folder / name).mkdir()
for case in range(CASES):
    truth, prediction = phantom_pair(SHAPE, CLASSES, foreground=0.25, seed=case)
    border = ndimage.maximum_filter(prediction, 3) != ndimage.minimum_filter(prediction, 3)
    frayed = np.where(border & (rng.random(SHAPE) < 0.35), ndimage.maximum_filter(prediction, 3), prediction)
    lost = np.where((prediction == 4) & (case % 3 == 0), 0, prediction)
    for name, labels in (("references", truth), ("model_A", frayed), ("model_B", lost)):
        np.save(folder / name / f"case_{case:02}.npy", labels.astype(np.uint8))

# %%
# Two runs
# --------
# Each case is read once; the matrices of all cases are kept, and everything below is made of them without
# looking at a voxel again.
#
# .. code-block:: console
#
#    $ fastseg evaluate references model_A -o results_A
#    $ fastseg evaluate references model_B -o results_B
#    $ fastseg compare results_A results_B -o comparison

names = {0: "background", 1: "liver", 2: "spleen", 3: "kidney", 4: "gallbladder"}
runs = [
    fastseg.evaluate_folder(folder / "references", folder / name, labels=names, metrics=["dice", "recall"])
    for name in ("model_A", "model_B")
]
for name, run in zip("AB", runs, strict=True):
    print(f"model {name}: mean Dice {run.mean('dice'):.4f} over {len(run.values('dice'))} cases")

# %%
# The comparison
# --------------
# Differences are B less A. A p is corrected for the number of tests of its metric (Holm).

comparison = fastseg.compare_runs(*runs, names=("model A", "model B"))
print(comparison)

# %%
# The picture
# -----------
# ``comparison.save(folder)`` writes tables and a forest plot; here the differences of all cases are drawn too.
# Three organs are better in every case. The gallbladder is a little better in 16 cases and lost in 8. Its mean
# difference is far below 0, and so is the interval; the test of ranks sees nothing, since it asks in how many
# cases B is better and not by how much. Recall, of which B wins in no case, leaves no doubt. The mean over
# classes hides all of this: read classes, intervals and tests together.

import matplotlib.pyplot as plt

differences = runs[1].values("dice") - runs[0].values("dice")
rows = [row for row in comparison.rows if row.metric == "dice" and row.key is not None]
figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
for place, (label, row) in enumerate(zip(list(names)[1:], rows[-4:], strict=True)):
    values = differences[:, label]
    values = values[~np.isnan(values)]
    axes.scatter(values, place + rng.uniform(-0.12, 0.12, values.size), s=14, alpha=0.5, color="#2b7bba")
    axes.plot([row.low, row.high], [place + 0.28] * 2, color="0.1", linewidth=2)
    axes.plot(row.difference, place + 0.28, "D", color="0.1", markersize=5)
axes.axvline(0, color="0.5", linewidth=1)
axes.set_yticks(range(4), list(names.values())[1:])
axes.invert_yaxis()
axes.set_xlabel("Dice of B less Dice of A, a point a case; the mean with its 95% interval")
axes.spines[["top", "right", "left"]].set_visible(False)
plt.show()
temporary.cleanup()

"""
An overlay of image, truth and prediction
=========================================

The figure that papers of segmentation have: the image, the true outlines, what was predicted, and where the two
differ, with the scores below. The image is real: the MNI152 template of the human brain (T1-weighted MRI, 1
mm), which the package nilearn ships together with maps of how probable grey and white matter are at each voxel.
These are the truth; the prediction is a simple one, of grey values alone.
"""

# %%
# The data
# --------
# nilearn need not be imported: its files lie in the package.

import importlib.util
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from scipy import ndimage

import fastseg

folder = Path(importlib.util.find_spec("nilearn").origin).parent / "datasets" / "data"
t1, grey, white = (
    np.asarray(nibabel.load(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz").dataobj, np.float32)
    for name in ("t1", "gm", "wm")
)
grey, white = grey / 255, white / 255
other = np.clip(1 - grey - white, 0, None)
truth = np.stack([other, grey, white]).argmax(0).astype(np.uint8)
names = {0: "other", 1: "grey matter", 2: "white matter"}

# %%
# A prediction
# ------------
# Three clusters of the grey values within the head: each voxel goes to the nearest centre, each centre to the
# mean of its voxels.

brain = ndimage.binary_erosion(t1 > 0, iterations=1)
centres = np.quantile(t1[brain], [0.1, 0.5, 0.9])
for _ in range(20):
    borders = (centres[1:] + centres[:-1]) / 2
    cluster = np.digitize(t1[brain], borders)
    centres = np.array([t1[brain][cluster == k].mean() for k in range(3)])
prediction = np.zeros_like(truth)
prediction[brain] = cluster

# %%
# The scores
# ----------
# Every voxel is read once. The table leaves out nothing; the means of the foreground are over two classes.

scores = fastseg.evaluate(truth, prediction, num_classes=3, names=names)
print(scores)

# %%
# The picture
# -----------
# Outlines on the image, where fills would hide it; blue and orange are told apart by people who see few colours
# too. What differs has a colour for each kind of error: missed (true and not predicted) and invented.

COLOURS = {1: "#f4a259", 2: "#2b7bba"}
PLANE = 80
image, true, pred = (np.rot90(volume[:, :, PLANE]) for volume in (t1, truth, prediction))

figure, axes = plt.subplots(1, 3, figsize=(11, 4.9), layout="constrained")
for panel, title, labels in zip(axes[:2], ("truth", "prediction"), (true, pred), strict=True):
    panel.imshow(image, cmap="gray")
    for label, colour in COLOURS.items():
        panel.contour(labels == label, levels=[0.5], colors=colour, linewidths=0.9)
    panel.set_title(title)

error = np.zeros(true.shape, int)
error[(true > 0) & (pred != true)] = 1  # missed, or taken for the other class
error[(true == 0) & (pred > 0)] = 2
axes[2].imshow(image, cmap="gray")
axes[2].imshow(np.ma.masked_equal(error, 0), cmap=ListedColormap(["#c05a1a", "#40b0a6"]), vmin=1, vmax=2)
axes[2].set_title("where they differ")
for panel in axes:
    panel.set_axis_off()

dice = fastseg.dice(truth, prediction, num_classes=3)
handles = [Patch(color=COLOURS[label], label=f"{names[label]}: Dice {dice[label]:.3f}") for label in COLOURS]
handles += [Patch(color="#c05a1a", label="missed or confused"), Patch(color="#40b0a6", label="invented")]
figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
plt.show()

# %%
# One plane shows what the scores cannot: *where* the errors are. Here they lie along the border between the two
# tissues, where both are in a voxel and the truth itself is a threshold.

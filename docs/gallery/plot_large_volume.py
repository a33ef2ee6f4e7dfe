"""
A volume that does not fit into memory
======================================

Counts are small, exact, and add up: the table of a whole is the sum of the tables of its parts. So a volume
needs not be in memory, nor in one file, nor on one machine. Three ways, shown with what a build of this page
can afford (2 × 1 GiB on disk), and one pair of 40 GB, of which only the address space is large.
"""

import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fastseg
from fastseg.phantom import phantom_pair

# %%
# Two files
# ---------
# Sparse files: only what is written takes room on the disk, the rest is read as zeros. Every eighth slab of 128
# slices holds a phantom. A file of your own is opened by ``np.load(path, mmap_mode="r")`` as well.

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
SHAPE, SLAB = (4096, 512, 512), 128
slab_true, slab_pred = phantom_pair((SLAB, *SHAPE[1:]), num_classes=14)
for name, slab in (("true", slab_true), ("pred", slab_pred)):
    volume = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, SHAPE)
    for start in range(0, SHAPE[0], 8 * SLAB):
        volume[start : start + SLAB] = slab
    volume.flush()

y_true, y_pred = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("true", "pred"))
print(f"{y_true.nbytes / 2**30:.0f} GiB each, {y_true.size:,} voxels")

# %%
# Memory-mapped arrays are counted as they are
# --------------------------------------------
# The pages of a file come into memory as they are read, and the system drops them when it needs room. No array
# of the volume's size is made beside it.

whole = fastseg.count_labels(y_true, y_pred, num_classes=14)
print(fastseg.metrics.dice(whole, average="macro", include_background=False))

# %%
# In blocks, from wherever they come
# ----------------------------------
# A generator stands for anything that hands out blocks: a reader of chunks, a network that predicts patch by
# patch, a queue. An ``Evaluator`` adds them up.


def blocks():
    for start in range(0, SHAPE[0], 512):
        part = np.s_[start : start + 512]
        yield y_true[part], y_pred[part]


evaluator = fastseg.Evaluator(num_classes=14)
for part_true, part_pred in blocks():
    evaluator.update(part_true, part_pred)
print(evaluator.compute())

# %%
# On several machines
# -------------------
# Each counts what it has and sends some kilobytes; ``merge`` is associative and commutative, so who is first
# does not matter. The sum *equals* the table of the whole, bit by bit.

parts = [fastseg.count_labels(t, p, num_classes=14) for t, p in blocks()]
total = parts[0]
for part in reversed(parts[1:]):
    total = total.merge(part)
assert np.array_equal(total.matrix, whole.matrix)
print(
    f"{len(parts)} parts, {total.matrix.nbytes / 1024:.1f} KiB each; equal: {np.array_equal(total.matrix, whole.matrix)}"
)

# %%
# Forty gigabytes
# ---------------
# 40 GB in which one slab is seen again and again: a broadcast, whose stride along the first axis is 0. Every
# voxel is counted; what it does not show is a disk. Counts are 64-bit integers, so that nothing saturates:
# 32-bit floats, in which some libraries count, hold no odd number beyond 16,777,216.

times = 40 * 10**9 // 2 // slab_true.size
huge = [np.broadcast_to(slab, (times, *slab.shape)) for slab in (slab_true, slab_pred)]
start = time.perf_counter()
counts = fastseg.count_labels(*huge, num_classes=14)
seconds = time.perf_counter() - start
print(
    f"{huge[0].size:,} voxels, 2 × {huge[0].size / 1e9:.0f} GB, in {seconds:.1f} s on {fastseg.get_num_threads()} threads"
)
assert np.array_equal(counts.matrix, times * fastseg.count_labels(slab_true, slab_pred, num_classes=14).matrix)

# %%
# The matrix of them all: on a logarithmic scale, since the background is nearly all there is.

matrix = counts.matrix[0]
figure, axes = plt.subplots(figsize=(5.4, 4.4), layout="constrained")
shown = axes.imshow(np.ma.masked_equal(matrix, 0), norm="log", cmap="viridis")
axes.set(xlabel="predicted label", ylabel="true label", xticks=range(0, 14, 2), yticks=range(0, 14, 2))
figure.colorbar(shown, label="voxels")
plt.show()
temporary.cleanup()

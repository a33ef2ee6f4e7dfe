"""Label maps and masks of the shapes that people send, what is right for them, and smaller parts of them."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from harness import Array, expected_matrix
from scipy import ndimage, spatial

from fastseg.phantom import phantom_pair

#: Samples, then the extent of each.
SHAPES = {
    "1×256²": (1, 256, 256),
    "1×512²": (1, 512, 512),
    "8×512²": (8, 512, 512),
    "16×256²": (16, 256, 256),
    "2×128³": (2, 128, 128, 128),
    "512³": (1, 512, 512, 512),
}
CLASSES = (2, 4, 19, 150, 1000)
CALLS = ("confusion matrix", "mean IoU", "Dice a sample", "evaluate")
MASKS = (("1×256²", 4), ("16×256²", 2), ("1×512²", 19), ("1×512²", 150), ("2×128³", 4))
MASK_TYPES = ("bool", "uint8", "int64", "float16", "float32")


def label_pair(shape: tuple[int, ...], classes: int) -> tuple[Array, Array]:
    """Return a truth and a prediction: ellipsoids, or for images of many classes a patchwork without background."""
    dtype = np.uint8 if classes <= 256 else np.uint16
    samples, *extent = shape
    if len(extent) == 2 and classes >= 19:
        maps = patchwork(shape)
        named = [_names(ids.max() + 1, classes, n) for n, ids in enumerate(maps[0])]
        return tuple(np.stack([names[k][ids] for names, ids in zip(named, maps[k], strict=True)]) for k in (0, 1))
    foreground = 0.2 if len(extent) == 2 else 0.05 if classes <= 19 else 0.3
    pairs = [phantom_pair(tuple(extent), classes, foreground=foreground, seed=n, dtype=dtype) for n in range(samples)]
    return tuple(np.stack(maps) if samples > 1 else maps[0][None] for maps in zip(*pairs, strict=True))


@functools.lru_cache(maxsize=1)
def patchwork(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Number 20 to 60 patches with wavy borders in each image; in the prediction the borders are moved and wavier."""
    samples, height, width = shape
    found = np.empty((2, *shape), np.uint8)
    for n in range(samples):
        rng = np.random.default_rng(n)
        seeds = rng.uniform(0, 1, (int(rng.integers(20, 61)), 2)) * (height, width)
        pixels = np.indices((height, width)).astype(float) + _waves(rng, height, width, 16, 3.0)
        found[0, n] = _nearest(seeds, pixels)
        moved = seeds + rng.normal(0, 0.005 * width, seeds.shape)
        found[1, n] = _nearest(moved, pixels + _waves(rng, height, width, 4, 0.7))
    return found[0], found[1]


def _waves(rng: Any, height: int, width: int, length: int, pixels: float) -> Array:
    return ndimage.zoom(rng.normal(0, pixels, (2, height // length, width // length)), (1, length, length), order=1)


def _nearest(seeds: Array, pixels: Array) -> Array:
    return spatial.cKDTree(seeds).query(np.moveaxis(pixels, 0, -1))[1].astype(np.uint8)


def _names(patches: int, classes: int, seed: int) -> tuple[Array, Array]:
    """Draw each patch's class; one patch in twenty is taken for another class."""
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, patches, replace=patches > classes)
    pred = np.where(rng.random(patches) < 0.05, rng.permutation(true), true)
    dtype = np.uint8 if classes <= 256 else np.uint16
    return true.astype(dtype), pred.astype(dtype)


def one_hot(labels: Array, classes: int, dtype: str, last: bool) -> Array:
    """Return label maps as masks, channels first (axis 1) or last."""
    each = np.arange(classes, dtype=np.uint8)
    if last:
        return (labels[..., None] == each).astype(dtype)
    return (labels[:, None] == each.reshape(-1, *[1] * (labels.ndim - 1))).astype(dtype)


def middle(labels: Array, voxels: int) -> Array:
    """Return a box of at most so many voxels from the middle of the first sample, contiguous."""
    extent = list(labels.shape[1:])
    while math.prod(extent) > voxels:
        axis = int(np.argmax(extent))
        extent[axis] = (extent[axis] + 1) // 2
    box = tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(labels.shape[1:], extent, strict=True))
    return np.ascontiguousarray(labels[(slice(0, 1), *box)])


def matrices(true: Array, pred: Array, classes: int) -> Array:
    """Return each sample's confusion matrix, by NumPy."""
    planes = [(t[None], p[None]) if t.ndim == 2 else (t, p) for t, p in zip(true, pred, strict=True)]
    return np.stack([expected_matrix(t, p, classes) for t, p in planes])


def of_matrices(matrix: Array) -> tuple[Array, Array, Array]:
    """Return what was both, true and predicted as each class."""
    return matrix.diagonal(axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2)


def four_scores(both: Array, true: Array, pred: Array) -> tuple[Array, Array, Array, Array]:
    """Return Dice, IoU, precision and recall; NaN where undefined."""
    with np.errstate(invalid="ignore"):
        return 2 * both / (true + pred), both / (true + pred - both), both / pred, both / true


def wanted(call: str, matrix: Array, of_true_classes: bool = False) -> Array:
    """Return what a call of samples with these matrices must return; as MONAI does, only of classes that are true."""
    pooled = matrix if call == "Dice a sample" else matrix.sum(0)
    if call == "confusion matrix":
        return pooled
    both, true, pred = of_matrices(pooled)
    scores = [
        np.where(true > 0, score, np.nan) if of_true_classes else score for score in four_scores(both, true, pred)
    ]
    return {"mean IoU": np.nanmean(scores[1]), "Dice a sample": scores[0], "evaluate": np.stack(scores)}[call]


def agree(found: Any, right: Array) -> bool:
    """Compare counts with ==, float64 scores to 1e-12, and the float32 scores of others to 1e-5."""
    if isinstance(found, tuple):
        found = np.stack([np.asarray(score).reshape(right.shape[1:]) for score in found])
    found = np.asarray(found)
    if found.size != right.size:
        return False
    if right.dtype.kind == "i":
        return np.array_equal(found, right)
    tolerance = 1e-12 if found.dtype == np.float64 else 1e-5
    return np.allclose(found.reshape(right.shape), right, rtol=tolerance, atol=0, equal_nan=True)

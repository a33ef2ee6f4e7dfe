"""How far voxels are apart: the decimal that a file was given, where rounding is all that keeps it from being one."""

from __future__ import annotations

import numpy as np

from fastseg.volumes.geometry import Geometry
from fastseg.volumes.spacing import right_angled_spacing

ROTATION = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]


def spacing_of(linear: np.ndarray) -> tuple[float, ...]:
    affine = np.eye(4)
    affine[:3, :3] = linear
    lengths = tuple(np.linalg.norm(linear, axis=0).tolist())
    return right_angled_spacing(Geometry((4, 5, 6), affine, lengths), "a volume")


def test_lengths_that_were_rounded_are_decimals() -> None:
    steps = (0.8, 1.25, 0.683594)
    assert spacing_of(np.diag(steps).astype(np.float32).astype(float)) == steps
    assert spacing_of(ROTATION @ np.diag(steps)) == steps
    assert spacing_of((ROTATION @ np.diag(steps)).astype(np.float32).astype(float)) == steps


def test_lengths_of_many_digits_are_kept() -> None:
    steps = (0.80000001, 1.23456789012, 0.7312345678)
    assert spacing_of(np.diag(steps)) == steps
    turned = ROTATION @ np.diag((1.23456789012, 0.7312345678, 3.1415926))
    assert spacing_of(turned) == tuple(np.linalg.norm(turned, axis=0).tolist())

"""Surfaces of files are of the labels that are counted: by colour, and without what is no data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg

Image: Any = pytest.importorskip("PIL.Image")
tifffile: Any = pytest.importorskip("tifffile")

TRUE = np.kron(np.random.default_rng(0).integers(0, 3, (6, 6)), np.ones((4, 4))).astype("u1")
PRED = np.roll(TRUE, 1, 0)
COLOURS = ((0, 0, 0), (200, 0, 0), (0, 200, 0))


def hd95(true: Path, pred: Path) -> Any:
    return fastseg.evaluate_files(true, pred, metrics=["hd95"], spacing=1, warn=lambda _: None)["hd95"]


def test_palettes_in_another_order(tmp_path: Path) -> None:
    paths = []
    for name, data, order in (
        ("t", TRUE, (0, 1, 2)),
        ("same", PRED, (0, 1, 2)),
        ("p", np.array([0, 2, 1], "u1")[PRED], (0, 2, 1)),
    ):
        image = Image.fromarray(data)
        image.putpalette(sum((COLOURS[k] for k in order), ()))
        paths.append(tmp_path / f"{name}.png")
        image.save(paths[-1], optimize=False)
    np.testing.assert_array_equal(hd95(paths[0], paths[2]), hd95(paths[0], paths[1]))


@pytest.mark.parametrize(("value", "dtype"), [(255, "u1"), (float("nan"), "f4")])
def test_what_is_no_data(tmp_path: Path, value: float, dtype: str) -> None:
    lacking = np.zeros(TRUE.shape, bool)
    lacking[:4] = True
    true, pred = tmp_path / "t.tif", tmp_path / "p.tif"
    tags = [(42113, 2, 0, str(value), True)]
    data = np.where(lacking, value, TRUE).astype(dtype)
    tifffile.imwrite(true, data, photometric="minisblack", metadata=None, extratags=tags)
    tifffile.imwrite(pred, PRED, photometric="minisblack", metadata=None)
    options: dict[str, Any] = {"labels": [1, 2], "ignore_index": 255, "spacing": 1}
    distances = fastseg.surface_distances(np.where(lacking, 255, TRUE), PRED, **options)
    np.testing.assert_array_equal(hd95(true, pred)[1:], fastseg.metrics.hd95(distances)[0])

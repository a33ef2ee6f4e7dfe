"""The plane that a picture shows: where the error is largest, of any shape, thinned without losing it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.reports import checked, of_arrays, run_of

from fastseg.report import overlays, pictures
from fastseg.runs import Settings

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_the_largest_error_is_found(volumes: dict[str, Any]) -> None:
    true = np.zeros((70, 64, 50), np.uint8)
    true[5:60, 5:60, 5:45] = 1
    pred = true.copy()
    pred[40:46, 20:26, 30:36] = 2  # 216 voxels; their middle is (42.5, 22.5, 32.5)
    pred[::9, 50, 10] = 0  # a few elsewhere
    found = overlays.views(of_arrays(volumes, true, pred), Settings(axes="xyz"))
    assert found.voxel[:2] == (42, 22)
    assert 30 <= found.voxel[2] < 36  # within the fuller of the two cubes that it lies in
    assert found.errors == int((true != pred).sum())
    assert [plane.name for plane in found.planes] == ["z", "x", "y"]
    axial = found.planes[0]
    assert axial.index == found.voxel[2]
    np.testing.assert_array_equal(axial.pred, pred[:66, :64, axial.index].T[::-1])
    np.testing.assert_array_equal(axial.true, true[:66, :64, axial.index].T[::-1])
    assert found.planes[1].size == (100.0, 64.0)  # z up, y to the right; in mm
    assert (pictures.disagreement(axial) == 4).sum() == 36


def test_large_planes_are_thinned_and_keep_the_error(volumes: dict[str, Any]) -> None:
    true = np.zeros((1500, 1300), np.uint8)
    true[10:1490, 10:1290] = 1
    pred = true.copy()
    pred[701, 803] = 0
    (plane,) = overlays.views(of_arrays(volumes, true, pred), Settings()).planes
    assert max(plane.true.shape) <= 512
    assert (plane.true != plane.pred).sum() == 1
    assert plane.axis is None
    text = checked(run_of(of_arrays(volumes, true, pred))).text
    assert text.count("Disagreement") == 1
    assert "(701, 803)" in text
    assert "1 voxel disagrees" in text


@pytest.mark.parametrize("shape", [(20, 30), (1, 20, 30), (20, 30, 1), (20, 30, 8, 3), (3, 2, 1), (5, 1, 1)])
def test_any_shape(shape: tuple[int, ...], volumes: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 3, shape), rng.integers(0, 3, shape)
    found = overlays.views(of_arrays(volumes, true, pred), Settings())
    flat = len(shape) == 2 or 1 in shape[:3]
    assert len(found.planes) == (1 if flat else 3)
    assert found.errors == ((true != pred)[..., 0] if len(shape) == 4 else true != pred).sum()
    checked(run_of(of_arrays(volumes, true, pred)))


def test_no_error_and_no_foreground(volumes: dict[str, Any]) -> None:
    true = np.zeros((20, 20, 20), np.uint8)
    assert overlays.views(of_arrays(volumes, true, true), Settings()).voxel == (10, 10, 10)
    true[2:5, 4:7, 6:9] = 1
    assert overlays.views(of_arrays(volumes, true, true), Settings()).voxel == (3, 5, 7)
    assert "no voxel disagrees" in checked(run_of(of_arrays(volumes, true, true))).text


def test_what_is_not_scored_is_no_error(volumes: dict[str, Any]) -> None:
    true = np.ones((20, 20, 20), np.uint8)
    true[:8] = 9
    pred = np.ones((20, 20, 20), np.uint8)
    pred[18, 3, 3] = 0
    assert overlays.views(of_arrays(volumes, true, pred), Settings(ignore=(9,))).voxel == (18, 3, 3)
    volumes["mask"] = np.zeros(true.shape, bool)
    volumes["mask"][2, 2, 2] = True
    found = overlays.views(of_arrays(volumes, true, pred, roi="mask"), Settings())
    assert (found.voxel, found.errors) == ((2, 2, 2), 1)


def test_a_hole_in_the_middle_of_errors(volumes: dict[str, Any]) -> None:
    true = np.zeros((48, 48), np.uint8)
    pred = np.ones((48, 48), np.uint8)
    pred[16:32, 16:32] = 0  # the cube whose surroundings have the most errors has none itself
    voxel = overlays.views(of_arrays(volumes, true, pred), Settings()).voxel
    assert pred[voxel] == 1

"""What ImageJ says of its values and of its origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

tifffile: Any = pytest.importorskip("tifffile")

TRUE = np.random.default_rng(0).integers(0, 3, (6, 7)).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, TRUE)


def written(path: Path, values: Any, said: str) -> Path:
    tifffile.imwrite(path, values, photometric="minisblack", metadata=None, description=f"ImageJ=1.54f\n{said}\n")
    return path


def test_values_are_calibrated_by_a_straight_line(tmp_path: Path) -> None:
    plain = written(tmp_path / "plain.tif", TRUE, "unit=pixel")
    signed = written(tmp_path / "signed.tif", TRUE.astype("u2") + 32768, "cf=0\nc0=-32768.0\nc1=1.0\nvunit=Gray Value")
    assert fastseg.count_files(plain, signed) == EXPECTED
    assert fastseg.count_files(plain, written(tmp_path / "same.tif", TRUE, "cf=0\nc0=0\nc1=1")) == EXPECTED
    assert fastseg.count_files(plain, written(tmp_path / "none.tif", TRUE, "cf=20\nc0=5")) == EXPECTED
    halves = written(tmp_path / "twice.tif", TRUE * 2, "cf=0\nc0=0\nc1=0.5")
    assert fastseg.count_files(plain, halves) == EXPECTED


@pytest.mark.parametrize("said", ["cf=4\nc0=0\nc1=2", "cf=21", "cf=0\nc0=0\nc1=0", "cf=0\nc0=abc\nc1=1"])
def test_other_calibrations_are_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(VolumeError, match=r"calibrated by a straight line \(ImageJ's cf=0\), found cf="):
        open_volume(written(tmp_path / "a.tif", TRUE, said))


def test_the_origin_is_compared(tmp_path: Path) -> None:
    one = written(tmp_path / "one.tif", TRUE, "xorigin=50\nyorigin=3")
    other = written(tmp_path / "other.tif", TRUE, "unit=pixel")
    with pytest.raises(GeometryError, match=r"a pure translation by \(3, 50\) voxels along yx"):
        fastseg.count_files(one, other)
    assert fastseg.count_files(one, one, warn=lambda _: None) == EXPECTED
    tifffile.imwrite(tmp_path / "plain.tif", TRUE, photometric="minisblack", metadata=None)
    assert fastseg.count_files(one, tmp_path / "plain.tif") == EXPECTED  # which says nothing of a place

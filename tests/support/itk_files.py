"""NRRD and MetaImage files as SimpleITK writes them, and headers of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volume_checks import voxels

sitk: Any = pytest.importorskip("SimpleITK")

SUFFIXES = [".nrrd", ".nhdr", ".mha", ".mhd"]
OBLIQUE = (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)
NRRD = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 5 4 3\n"
META = b"ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\nBinaryData = True\n"
DATA = voxels("u1", (5, 4, 3))
RAW = DATA.tobytes("F")


def write_itk(path: Path, data: np.ndarray, compress: bool = False) -> Path:
    """Write with SimpleITK, in an oblique position."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T), isVector=False)
    axes = image.GetDimension()
    direction = np.eye(axes)
    if axes > 2:
        direction[:3, :3] = np.array(OBLIQUE).reshape(3, 3)
    image.SetDirection(direction.ravel().tolist())
    image.SetSpacing((0.5, 0.75, 2, 4)[:axes])
    image.SetOrigin((10, -20, 30, 0)[:axes])
    sitk.WriteImage(image, str(path), compress)
    return path

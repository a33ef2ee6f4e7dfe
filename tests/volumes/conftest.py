"""Small volumes to break."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def small_gz(tmp_path: Path) -> Path:
    """Return a .nii.gz of a few hundred bytes."""
    from support.nifti_files import SHAPE, write  # only with nibabel

    return write(tmp_path / "small.nii.gz", np.arange(60, dtype=np.uint8).reshape(SHAPE))

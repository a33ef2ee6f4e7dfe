"""What tests of formats that hold any array share: voxels, and how they are read or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.array_volumes import whole

from fastseg.volumes import VolumeError, open_volume

SHAPE = (11, 9, 7)


def voxels(dtype: str = "u1", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def load(path: Any) -> np.ndarray:
    with open_volume(path) as volume:
        return whole(volume)


def refused(path: Any, *expected: str) -> None:
    with pytest.raises(VolumeError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    for text in expected:
        assert text in message

"""Elements of maps that are scanned where they lie, and of those that are copied first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.surface_paths import all_ways

from fastseg import surface_distances
from fastseg.kernels.numba import surface_slabs
from fastseg.kernels.numba.surface_elements import coordinate_bits


@pytest.mark.parametrize("shape", [(7, 5, 70), (9, 1, 64), (4, 3, 130), (6, 70, 1), (3, 8, 8), (40, 65)])
@pytest.mark.parametrize("border", ["background", "extend"])
def test_all_ways_to_scan_find_the_same(monkeypatch: pytest.MonkeyPatch, shape: Any, border: str) -> None:
    random = np.random.default_rng(0)
    for step, share in ((1, 0.02), (300, 0.5), (1 << 21, 1.0)):
        monkeypatch.setattr(surface_slabs, "_VOXELS", step)
        true, pred = (random.integers(1, 4, shape, "u1") * (random.random(shape) < share) for _ in range(2))
        true.flat[0] = true.flat[-1] = pred.flat[-1] = 3
        true.flags.writeable = False
        options: Any = {"spacing": 1, "num_classes": 4, "border": border}
        expected = surface_distances(true, pred, backend="numpy", **options)
        assert all_ways(true, pred, **options) == expected
        assert all_ways(np.asfortranarray(true), pred, **options) == expected
        for surface in ("object", "surfel"):
            one, other = (
                surface_distances(true, pred, surface=surface, backend=backend, **options)
                for backend in ("numpy", "numba")
            )
            assert one == other


def test_volumes_whose_places_have_no_room_are_refused() -> None:
    assert coordinate_bits((1, 1, 1)) == (0, 0)
    assert coordinate_bits((5, 6, 256)) == (11, 8)
    assert coordinate_bits((1 << 20, 1 << 10, 1 << 11)) == (21, 11)
    with pytest.raises(ValueError, match=r"expected volumes of up to 2\^41 voxels for surfaces, found the shape"):
        coordinate_bits((1 << 20, 1 << 11, 1 << 11))

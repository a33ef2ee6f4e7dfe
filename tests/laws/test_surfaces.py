"""Surfaces: every backend finds what a comparison of all pairs finds, and what must not change them does not."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.layouts import arrange
from support.surface_oracle import distances, elements
from support.surface_paths import all_ways

from fastseg import SurfaceDistances, surface_distances
from fastseg.kernels import BACKENDS

SPACINGS = (1.0, 0.7, 0.3, 5.0, 2.5)
ORDERS = ("C", "F", "transposed", "sliced", "reversed", "unaligned", "read-only")
#: Types that are scanned as they are, narrowed, or looked up.
DTYPES = ("u1", "?", "u2", "i1", "i8", ">i4", "f4")


@st.composite
def pairs(draw: Any, most: int = 9) -> tuple[Any, Any, tuple[float, ...]]:
    """Draw two small maps with the labels 0 to 3, few or many of each, and a spacing."""
    axes = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, most)) for _ in range(axes))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.5, 0.9, 0.1, 0.02]))
    true, pred = (random.integers(1, 4, shape) * (random.random(shape) < share) for _ in range(2))
    if draw(st.booleans()):  # near to each other
        pred = np.where(random.random(shape) < 0.9, true, pred)
    return true, pred, tuple(draw(st.sampled_from(SPACINGS)) for _ in range(axes))


def rows(surfaces: SurfaceDistances, case: int = 0) -> dict[Any, list[float]]:
    return {
        (name, direction): np.repeat(*surfaces.row(case, name, direction)).tolist()
        for name in surfaces.classes
        for direction in ("true_to_pred", "pred_to_true")
    }


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60)
@given(pair=pairs(6), border=st.sampled_from(["background", "extend"]), masked=st.booleans(), seed=st.integers(0, 99))
def test_distances_are_those_of_all_pairs(backend: str, pair: Any, border: str, masked: bool, seed: int) -> None:
    true, pred, spacing = pair
    unknown = (np.random.default_rng(seed).random(true.shape) < 0.1) & masked
    mask = ~unknown if masked else None
    found = surface_distances(true, pred, spacing=spacing, num_classes=4, border=border, mask=mask, backend=backend)
    for k in range(4):
        t, p = (elements(each == k, unknown, border) for each in (true, pred))
        assert rows(found)[k, "true_to_pred"] == distances(t, p, spacing)
        assert rows(found)[k, "pred_to_true"] == distances(p, t, spacing)


@settings(max_examples=80)
@given(pair=pairs(), data=st.data())
def test_backends_agree_to_the_last_bit(pair: Any, data: Any) -> None:
    true, pred, spacing = pair
    types = data.draw(st.sampled_from([(dtype, dtype) for dtype in DTYPES] + [("u1", "i8"), ("f4", "u2")]))
    if "?" in types:
        true, pred = true == 1, pred == 1
    true, pred = (
        arrange(each.astype(dtype), data.draw(st.sampled_from(ORDERS)))
        for each, dtype in zip((true, pred), types, strict=True)
    )
    options: dict[str, Any] = {
        "surface": data.draw(st.sampled_from(["voxel", "object"])),
        "border": data.draw(st.sampled_from(["background", "extend"])),
        "max_distance": data.draw(st.sampled_from([None, 2])),
    }
    options |= data.draw(
        st.sampled_from(
            [
                {},
                {"num_classes": 4},
                {"labels": [3, 1]},
                {"labels": [2, 70000], "ignore_index": 3},
                {"ignore_index": [1, 9]},
                {"regions": {"a": [1, 2], "b": [2, 3], "all": [0, 1, 2, 3], "none": 7}},
            ]
        )
    )
    before = true.copy(), pred.copy()
    expected = surface_distances(true, pred, spacing=spacing, backend="numpy", **options)
    assert all_ways(true, pred, spacing=spacing, **options) == expected
    assert (true == before[0]).all()
    assert (pred == before[1]).all()


@pytest.mark.parametrize(
    "shape", [(3, 4, 300), (150, 5, 4), (5, 200, 3), (1, 90, 90), (130, 140), (1, 1, 500), (70, 1, 66)]
)
@pytest.mark.parametrize("seed", range(3))
def test_what_lies_far_apart_is_found(shape: tuple[int, ...], seed: int) -> None:
    random = np.random.default_rng(seed)
    spacing = tuple(random.choice(SPACINGS, len(shape)).tolist())
    true, pred = (random.random(shape) < share for share in (0.02, 3 / np.prod(shape)))
    true.flat[0] = pred.flat[-1] = True
    assert all_ways(true, pred, spacing=spacing) == surface_distances(true, pred, spacing=spacing, backend="numpy")


def test_thin_sheets_and_balls_within_balls() -> None:
    sheets = np.zeros((2, 40, 40, 40), bool)
    sheets[0, 3], sheets[1, :, :, 36] = True, True
    grid = np.ogrid[-20:20, -20:20, -20:20]
    squares: Any = sum(x * x for x in grid)
    balls = np.stack([squares <= 18**2, squares <= 5**2])
    for true, pred in (sheets, balls):
        for spacing in (1, (0.3, 0.3, 5)):
            assert all_ways(true, pred, spacing=spacing) == surface_distances(
                true, pred, spacing=spacing, backend="numpy"
            )


def test_an_image_is_no_volume_of_one_plane() -> None:
    true = np.zeros((9, 9), bool)
    true[2:7, 2:7] = True
    pred = np.roll(true, 1, axis=0)
    image, volume = surface_distances(true, pred, spacing=1), surface_distances(true[None], pred[None], spacing=1)
    assert image.elements.tolist() == [[[16, 16]]]
    assert volume.elements.tolist() == [[[25, 25]]]
    flat = surface_distances(true[None], pred[None], spacing=(1, 1, 1), border="extend")
    assert rows(flat) == rows(image)


@given(pair=pairs(), data=st.data())
def test_axes_may_change_places_and_turn_around(pair: Any, data: Any) -> None:
    true, pred, spacing = pair
    order = data.draw(st.permutations(range(true.ndim)))
    flips = tuple(slice(None, None, data.draw(st.sampled_from([1, -1]))) for _ in order)
    turned = surface_distances(
        true.transpose(order)[flips], pred.transpose(order)[flips], spacing=[spacing[a] for a in order], num_classes=4
    )
    found = rows(surface_distances(true, pred, spacing=spacing, num_classes=4))
    for name, values in rows(turned).items():  # sums of squares in another order
        assert values == pytest.approx(found[name], rel=1e-14)


@given(pair=pairs(), power=st.sampled_from([-3, 2]))
def test_scaled_spacing_scales_distances(pair: Any, power: int) -> None:
    true, pred, spacing = pair
    one = surface_distances(true, pred, spacing=spacing, num_classes=4)
    other = surface_distances(true, pred, spacing=[s * 2.0**power for s in spacing], num_classes=4)
    assert (other.distances == one.distances * 2.0**power).all()
    assert (other.weights == one.weights).all()


@given(pair=pairs(), margin=st.integers(1, 70))
def test_a_margin_of_background_changes_nothing(pair: Any, margin: int) -> None:
    true, pred, spacing = pair
    wide = [np.pad(each, [(margin, 2)] * each.ndim) for each in (true, pred)]
    options: Any = {"spacing": spacing, "labels": [1, 2, 3]}
    assert rows(surface_distances(*wide, **options)) == rows(surface_distances(true, pred, **options))


@given(pair=pairs())
def test_truth_and_prediction_change_places(pair: Any) -> None:
    true, pred, spacing = pair
    one = surface_distances(true, pred, spacing=spacing, num_classes=4)
    other = surface_distances(pred, true, spacing=spacing, num_classes=4)
    swapped = {"true_to_pred": "pred_to_true", "pred_to_true": "true_to_pred"}
    assert rows(one) == {(name, swapped[direction]): values for (name, direction), values in rows(other).items()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_samples_and_channels_are_kept_apart(backend: str) -> None:
    random = np.random.default_rng(3)
    true, pred = random.random((2, 3, 2, 9, 8)) < 0.3
    options: Any = {"spacing": (2, 0.5), "backend": backend}
    found = surface_distances(true, pred, sample_axis=0, channel_axis=1, **options)
    assert found.elements.shape == (3, 2, 2)
    for n in range(3):
        for c in range(2):
            alone = surface_distances(true[n, c], pred[n, c], **options)
            assert rows(found.select([c]).cases([n]).rename({c: 1})) == rows(alone)
    ones = surface_distances(true.astype("f4"), pred.astype("u1"), sample_axis=0, channel_axis=1, **options)
    assert ones == found
    maps = surface_distances(true[:, 0] * 5, pred[:, 0] * 5, sample_axis=0, **options)
    assert rows(maps.rename({5: 0}), 2) == rows(found.select([0]), 2)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import fastseg
    from fastseg.counting import jobs, surfaces as counting
    from fastseg.kernels.numba import surface_slabs, surfaces
    from fastseg.phantom import phantom_pair

    true, pred = phantom_pair((40, 50, 60), 6)
    options: Any = {"spacing": (3, 0.8, 0.8), "num_classes": 6}
    whole = surface_distances(true, pred, **options)
    for module in (surfaces, counting, jobs):
        monkeypatch.setattr(module, "SMALL", -1)
    monkeypatch.setattr(surface_slabs, "_VOXELS", 5000)
    monkeypatch.setattr(surfaces, "PIECE", 300)
    monkeypatch.setattr(surfaces, "_MOST_WORDS", 9000)
    for threads, few in itertools.product((1, 3), (-1, surfaces._FEW)):
        monkeypatch.setattr(surfaces, "_FEW", few)
        fastseg.set_num_threads(threads)
        try:
            assert surface_distances(true, pred, **options) == whole
        finally:
            fastseg.set_num_threads(None)


def run(code: str, **environment: str) -> str:
    """Run a program of its own."""
    given = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kernels_as_plain_python() -> None:
    """With NUMBA_DISABLE_JIT=1 the kernels run as Python, and find the same."""
    code = """
import numpy as np, fastseg
random = np.random.default_rng(0)
for shape, share in (((4, 5, 70), 0.3), ((3, 66, 4), 0.01), ((9, 12), 0.3), ((70, 3, 3), 0.02)):
    for surface in ("voxel", "surfel", "object"):
        true, pred = (random.random((2, *shape)) < share).astype(np.uint8)
        true.flat[0] = pred.flat[-1] = 1
        options = dict(spacing=(1, 0.7, 2.5)[: len(shape)], surface=surface, mask=random.random(shape) < 0.97)
        one, other = (fastseg.surface_distances(true, pred, backend=name, **options) for name in ("numpy", "numba"))
        assert one == other, (shape, surface)
"""
    run(code, NUMBA_DISABLE_JIT="1")


@pytest.mark.slow
@pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="the highest amount of memory is Linux's to say"
)
def test_memory_is_that_of_the_surface() -> None:
    code = """
import numpy as np, fastseg
from pathlib import Path

def memory(name):
    return next(int(l.split()[1]) for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(name)) / 1024

grid = np.ogrid[:320, :400, :400]
squares = sum((x - n // 2) ** 2 for x, n in zip(grid, (320, 400, 400)))
true, pred = ((squares < r * r).astype(np.uint8) for r in (150, 100))
del squares
fastseg.surface_distances(true[:40], pred[:40], spacing=1, labels=[1])
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS:")
surfaces = fastseg.surface_distances(true, pred, spacing=1, labels=[1])
print(memory("VmHWM:") - before, surfaces.elements.sum())
"""
    grown, elements = map(float, run(code, FASTSEG_NUM_THREADS="2").split())
    assert elements > 300_000
    assert grown < 64

"""How near to the read ceiling pairs of many labels are counted, how much faster than others, and in how much memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from harness import compare, peak_mib, read_ceiling, record

import fastseg

CEILING = "Pairs of many labels: read ceiling / time"
PEERS = "Pairs of many labels against other libraries: their time / ours"
MEMORY = "Pairs of many labels: memory beyond the maps"
#: Voxels along each axis; PAIRS_SIZE=512 is what goals are for.
SIZE = int(os.environ.get("PAIRS_SIZE", "256"))
#: Rows and columns of a volume like CREMI's, of 125 planes; CREMI_SIDE=1250 is what goals are for.
CREMI_SIDE = int(os.environ.get("CREMI_SIDE", "250"))
PARTITION = ("variation_of_information", "adjusted_rand_error")
#: Read ceiling ÷ time, and how much faster than scikit-image, SciPy and NumPy: floor and aim.
GOALS = {
    1_000: ((0.7, 0.9), {}),
    100_000: ((0.2, 0.4), {"skimage": (15, 40), "scipy": (5, 15), "numpy": (25, 60)}),
    1_000_000: ((None, None), {"skimage": (5, 12), "scipy": (2.5, 6), "numpy": (8, 20)}),
}
COUNTS = [pytest.param(number, id=f"{number:.0e}") for number in GOALS]


def _nearest(points: Any, shape: tuple[int, ...]) -> Any:
    """Return the number of the nearest point at each voxel, from 1 on."""
    from scipy import ndimage

    seeds = np.zeros(shape, np.uint32)
    seeds[tuple(np.clip(points.round().astype(int), 0, np.array(shape) - 1).T)] = np.arange(1, len(points) + 1)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return seeds[tuple(nearest)]


def segments(number: int, size: int = SIZE) -> tuple[Any, Any]:
    """Return two maps of as many segments as a cube of 512³ would have, uint64: points, and the same points moved a little.

    Larger cubes than 256³ are made of such, whose labels differ.
    """
    rng, tile = np.random.default_rng(1), min(size, 256)
    each = max(1, number * tile**3 // 512**3)
    points = rng.random((each, 3)) * tile
    moved = points + rng.normal(0, 0.05 * tile / each ** (1 / 3), points.shape)
    maps = []
    for seeds in (points, moved[rng.random(each) < 0.95]):
        one = _nearest(seeds, (tile,) * 3).astype(np.uint64)
        whole = np.empty((size,) * 3, np.uint64)
        for k, corner in enumerate(np.ndindex(*(size // tile,) * 3)):
            where = tuple(slice(c * tile, (c + 1) * tile) for c in corner)
            whole[where] = one + np.uint64(k * (each + 1))
        maps.append(whole)
    return maps[0], maps[1]


def _numpy(t: Any, p: Any) -> Any:
    return np.unique(t.ravel() << np.uint64(32) | p.ravel(), return_counts=True)


def _scipy(t: Any, p: Any) -> Any:
    from scipy import sparse

    ones = np.broadcast_to(np.int64(1), t.size)
    return sparse.coo_matrix((ones, (t.ravel(), p.ravel()))).tocsr()


def _skimage(t: Any, p: Any) -> Any:
    from skimage.metrics import contingency_table

    return contingency_table(t, p)


OTHERS = {
    "skimage": ("scikit-image's contingency_table", _skimage),
    "scipy": ("SciPy's coo_matrix", _scipy),
    "numpy": ("np.unique of packed pairs", _numpy),
}


@pytest.fixture(scope="module", params=COUNTS)
def maps(request: Any) -> Any:
    t, p = segments(request.param)
    codes, times = _numpy(t, p)
    pairs = fastseg.count_pairs(t, p)
    assert np.array_equal(pairs.true.astype(np.uint64) << np.uint64(32) | pairs.pred.astype(np.uint64), codes)
    assert np.array_equal(pairs.counts, times)
    return request.param, t, p


def test_ceiling(benchmark: Any, maps: Any) -> None:
    number, t, p = maps
    (floor, aim), _ = GOALS[number]
    name = f"{number:,} segments in 512³, of which {SIZE}³, uint64"
    ours = lambda: fastseg.count_pairs(t, p)  # noqa: E731
    compare(benchmark, name, ours, read_ceiling(t, p), group=CEILING, floor=floor, aim=aim, rounds=7)


@pytest.mark.parametrize("other", OTHERS)
def test_peers(benchmark: Any, maps: Any, other: str) -> None:
    number, t, p = maps
    floor, aim = GOALS[number][1].get(other, (None, None))
    title, call = OTHERS[other]
    ours = lambda: fastseg.count_pairs(t, p)  # noqa: E731
    name = f"{number:,} segments in 512³, of which {SIZE}³: {title}"
    compare(benchmark, name, ours, [lambda: call(t, p)], group=PEERS, floor=floor, aim=aim, rounds=3)


def test_cremi(benchmark: Any) -> None:
    """Both metrics of a volume as CREMI has them, of one count, against scikit-image, which counts for each."""
    from skimage import metrics

    tile = min(CREMI_SIDE, 250)
    few = segments(100_000, tile)
    t, p = (np.tile(each[:125, :tile, :tile], (1, CREMI_SIDE // tile, CREMI_SIDE // tile)) for each in few)
    for k, (y, x) in enumerate(np.ndindex(CREMI_SIDE // tile, CREMI_SIDE // tile)):
        for each in (t, p):
            each[:, y * tile : (y + 1) * tile, x * tile : (x + 1) * tile] += np.uint64(k * 20_000)

    def theirs() -> list[float]:
        return [*metrics.variation_of_information(t, p), *metrics.adapted_rand_error(t, p)]

    def ours() -> list[float]:
        pairs = fastseg.count_pairs(t, p)
        found = [getattr(fastseg.metrics, name)(pairs, convention="skimage") for name in PARTITION]
        return [float(value[0]) for each in found for value in each]

    assert ours() == pytest.approx(theirs(), rel=1e-9)
    name = (
        f"VI and adjusted Rand error, 125×{CREMI_SIDE:,}×{CREMI_SIDE:,}, {len(np.unique(t)):,} segments: scikit-image"
    )
    compare(benchmark, name, ours, [theirs], group=PEERS, floor=10, aim=30, rounds=3)


@pytest.mark.parametrize(("shape", "number"), [((1024, 2048), 100), ((2048, 2048), 5_000)])
def test_pictures(benchmark: Any, shape: tuple[int, int], number: int) -> None:
    """Pairs of pictures such as panoptic quality is of, against the fastest of the others."""
    rng = np.random.default_rng(2)
    points = rng.random((number, 2)) * shape
    t, p = (_nearest(points + rng.normal(0, 3, points.shape), shape).astype(np.int32) for _ in range(2))
    wide = [each.astype(np.uint64) for each in (t, p)]
    others = [lambda call=call: call(*wide) for _, call in OTHERS.values()]  # type: ignore[misc]
    name = f"{shape[0]:,}×{shape[1]:,} pixels, {number:,} segments, int32: the fastest of these"
    compare(benchmark, name, lambda: fastseg.count_pairs(t, p), others, group=PEERS, rounds=5)


def test_memory() -> None:
    setup = (
        f"import sys; sys.path.insert(0, 'benchmarks')\nfrom test_pairs import segments\nt, p = segments(10**6, {SIZE})"
    )
    warm = "fastseg.count_pairs(t[:2], p[:2])"
    path = {name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ}
    grown = peak_mib(setup, warm, "fastseg.count_pairs(t, p)", **path)
    name = f"1,000,000 segments in 512³, of which {SIZE}³"
    record(name, [grown], 0, group=MEMORY, floor=600, aim=300, unit=" MiB", at_most=True)
    assert grown < 600

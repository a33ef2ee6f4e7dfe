"""How many times faster surfaces are measured than by other libraries, on the same arrays."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import compare, peak_mib, record, timed
from test_folders import folders

import fastseg
from fastseg import metrics
from fastseg.phantom import noise_pair, phantom_pair

GROUP = "Surfaces: their time / ours"
MEMORY = "Surfaces: peak memory beyond the inputs, MiB"
FLAT = "Surfaces: cost per element against that at 64³"
K = 14
SKEW = (1.5, 0.8, 0.8)
SLICES = 8


def of_ours(pair: Any, spacing: Any, classes: int, surface: str = "voxel") -> Any:
    """Return our Dice, HD95, ASSD and NSD of all classes but 0, as a call without arguments."""

    def call() -> Any:
        counts = fastseg.count_labels(*pair, num_classes=classes)
        surfaces = fastseg.surface_distances(*pair, spacing=spacing, labels=range(1, classes), surface=surface)
        return (
            metrics.dice(counts, include_background=False),
            metrics.hd95(surfaces),
            metrics.average_symmetric_surface_distance(surfaces),
            metrics.normalized_surface_dice(surfaces, tolerance=1.0),
        )

    return call


def of_exacta(pair: Any, spacing: Any, classes: int, surface: str = "voxels") -> Any:
    """Return exacta's of the same."""
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("exacta").functional
    true, pred = (torch.from_numpy(np.asarray(each).astype(np.uint8))[None] for each in pair)
    options: Any = {"surface": surface}
    names = {"dice": {}, "hd95": options, "assd": options, "nsd": {"tolerance": 1.0, **options}}

    def call() -> Any:
        found = functional.evaluate(
            pred, true, metrics=names, spacing=spacing, num_classes=classes, include_background=False
        )
        return tuple(found[name].numpy() for name in names)

    return call


def against_exacta(
    benchmark: Any, name: str, pair: Any, spacing: Any, classes: int, ours: str = "voxel", **goals: Any
) -> None:
    mine, other = (
        of_ours(pair, spacing, classes, ours),
        of_exacta(pair, spacing, classes, {"voxel": "voxels", "surfel": "surfels"}[ours]),
    )
    for a, b in zip(mine(), other(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    goals = {"rounds": 5, "warmup": 1, **goals}
    compare(benchmark, f"exacta evaluate, {name}", mine, [other], group=GROUP, **goals)


@pytest.mark.parametrize(("n", "floor", "aim"), [(128, 2, 4), (256, 4, 8), (512, 4, 8)])
def test_phantom(benchmark: Any, n: int, floor: float, aim: float) -> None:
    against_exacta(benchmark, f"phantom {n}³", phantom_pair((n, n, n), K), (1, 1, 1), K, floor=floor, aim=aim)


def test_thick_slices(benchmark: Any) -> None:
    pair = phantom_pair((200, 512, 512), K)
    against_exacta(benchmark, "phantom 200×512², 3×0.7×0.7 mm", pair, (3, 0.7, 0.7), K, floor=4, aim=8)


@pytest.mark.parametrize("n", [256, 512])
def test_surfels(benchmark: Any, n: int) -> None:
    goals = {"floor": 5, "aim": 12} if n == 512 else {}
    against_exacta(benchmark, f"phantom {n}³, surfels", phantom_pair((n, n, n), K), SKEW, K, "surfel", **goals)


def test_shifted(benchmark: Any) -> None:
    true, _ = phantom_pair((256, 256, 256), K)
    pair = (true, np.roll(true, 64, axis=2))
    against_exacta(benchmark, "shifted by a quarter, 256³", pair, (1, 1, 1), K, floor=3, aim=8, rounds=3)


def test_balls_within_balls(benchmark: Any) -> None:
    grid = np.ogrid[-128:128, -128:128, -128:128]
    squares: Any = sum(x * x for x in grid)
    pair = [(squares <= (part * 256) ** 2).astype(np.uint8) for part in (0.48, 0.24)]
    against_exacta(benchmark, "a ball within a ball, 256³", pair, (1, 1, 1), 2, floor=2, aim=5, rounds=3)


def test_noise(benchmark: Any) -> None:
    pair = noise_pair((128, 128, 128), K)
    against_exacta(benchmark, "noise 128³", pair, (1, 1, 1), K, floor=1.5, aim=3, rounds=3)


def slices(n: int = 256) -> Any:
    grid = np.ogrid[:n, :n]
    return tuple(
        (grid[0] - a) ** 2 + (grid[1] - n // 2) ** 2 <= r * r for a, r in ((n // 2, n // 3), (n // 2 + 3, n // 3 - 4))
    )


def series(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return what calls so often, as of the slices of a volume: one call alone finds what the other left in the caches."""
    return lambda: [call() for _ in range(SLICES)]


def test_slice_by_exacta(benchmark: Any) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("exacta").functional
    pair = slices()
    true, pred = (torch.from_numpy(each.astype(np.uint8))[None] for each in pair)

    def ours() -> Any:
        return fastseg.hd95(*pair, spacing=(1, 1))

    def peer() -> Any:
        return functional.hd95(pred, true, num_classes=2, spacing=(1, 1), include_background=False)

    assert peer().item() == pytest.approx(ours())
    name = f"exacta hd95, 256×256, whole call (× {SLICES})"
    compare(benchmark, name, series(ours), [series(peer)], group=GROUP, floor=1.5, aim=3, rounds=51)


def test_slice_by_medpy(benchmark: Any) -> None:
    binary = pytest.importorskip("medpy.metric.binary")
    true, pred = slices()

    def ours() -> Any:
        return fastseg.hd95(true, pred, spacing=1, combine="pooled")

    def peer() -> Any:
        return binary.hd95(pred, true, (1, 1))

    assert peer() == pytest.approx(ours())
    name = f"MedPy hd95, 256×256, whole call (× {SLICES})"
    compare(benchmark, name, series(ours), [series(peer)], group=GROUP, floor=20, aim=50, rounds=21)


@pytest.mark.parametrize(("shape", "cases"), [((128, 128, 128), 36), ((256, 256, 100), 12)])
def test_folder(benchmark: Any, tmp_path: Path, shape: tuple[int, ...], cases: int) -> None:
    """Dice, HD95 and NSD of a folder of .nii.gz against Dice alone."""
    both = folders(tmp_path, cases, shape, 4)
    ratios, seconds = [], []
    for _ in range(5):
        alone = timed(lambda: fastseg.evaluate_folder(*both, metrics="dice"))
        seconds.append(timed(lambda: fastseg.evaluate_folder(*both, metrics="dice,hd95,nsd", tolerance=1)))
        ratios.append(seconds[-1] / alone)
    name = f"folder of {cases} .nii.gz pairs, {'×'.join(map(str, shape))}, K=14, with HD95 and NSD / Dice alone"
    record(name, ratios, statistics.median(seconds), group=GROUP, floor=3, aim=1.8, at_most=True)
    benchmark.pedantic(lambda: fastseg.evaluate_folder(*both, metrics="dice"), rounds=1)


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # by its own code
@pytest.mark.parametrize(("n", "floor", "aim"), [(256, None, None), (512, 30, 60)])
def test_surface_distance(benchmark: Any, n: int, floor: float | None, aim: float | None) -> None:
    """Google's, class by class, as its users do."""
    peers = pytest.importorskip("surface_distance")
    pair = phantom_pair((n, n, n), K)
    ours = of_ours(pair, SKEW, K, "surfel")

    def peer() -> Any:
        found = []
        for k in range(1, K):
            distances = peers.compute_surface_distances(pair[0] == k, pair[1] == k, SKEW)
            found.append(
                (
                    peers.compute_dice_coefficient(pair[0] == k, pair[1] == k),
                    peers.compute_robust_hausdorff(distances, 95),
                    peers.compute_average_surface_distance(distances),
                    peers.compute_surface_dice_at_tolerance(distances, 1.0),
                )
            )
        return found

    _, far, _, within = ours()
    found = peer()
    np.testing.assert_allclose(far[0], [each[1] for each in found], rtol=1e-12)
    np.testing.assert_allclose(within[0], [each[3] for each in found], rtol=1e-12)
    rounds = 3 if n == 256 else 1
    name = f"surface-distance, phantom {n}³"
    compare(benchmark, name, ours, [peer], group=GROUP, floor=floor, aim=aim, rounds=rounds, warmup=rounds - 1)


@pytest.mark.filterwarnings("ignore:monai:FutureWarning")  # by its own code
def test_monai(benchmark: Any) -> None:
    """Class by class, as all classes of one-hot volumes take more memory than there is."""
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("monai.metrics")
    pair = phantom_pair((512, 512, 512), K)
    ours = of_ours(pair, (1, 1, 1), K)
    options = {"include_background": True, "spacing": (1, 1, 1)}

    def peer() -> Any:
        found = []
        for k in range(1, K):
            true, pred = (torch.from_numpy((each == k)[None, None]) for each in pair)
            values = (
                theirs.compute_dice(pred, true),
                theirs.compute_hausdorff_distance(pred, true, percentile=95, **options),
                theirs.compute_average_surface_distance(pred, true, symmetric=True, **options),
                theirs.compute_surface_dice(pred, true, [1.0], **options),
            )
            found.append([value.item() for value in values])
        return np.array(found)

    mine = np.array([each[0] for each in ours()])
    np.testing.assert_allclose(peer().T, mine, rtol=1e-5)
    compare(benchmark, "MONAI, phantom 512³", ours, [peer], group=GROUP, floor=300, aim=800, rounds=1, warmup=0)


def test_memory(benchmark: Any) -> None:
    setup = "from fastseg.phantom import phantom_pair\nt, p = phantom_pair((512, 512, 512), 14)"
    call = "fastseg.surface_distances({0}, {1}, spacing=1, labels=range(1, 14))"
    start = time.perf_counter()
    peak = benchmark.pedantic(
        lambda: peak_mib(
            setup, call.format("t[:64, :64, :64]", "p[:64, :64, :64]"), f"({call.format('t', 'p')}, None)[1]"
        ),
        rounds=1,
    )
    seconds = time.perf_counter() - start
    record("surfaces of a phantom, 512³", [peak], seconds, group=MEMORY, floor=128, aim=64, unit="", at_most=True)


def test_cost_of_an_element(benchmark: Any) -> None:
    """At 64³ most of it is what any call costs, at 1,024³ most are the voxels that are of no surface."""

    def cost(pair: Any, calls: int) -> tuple[float, int]:
        start = time.perf_counter()
        for _ in range(calls):
            found = fastseg.surface_distances(*pair, spacing=1, labels=range(1, K))
        return (time.perf_counter() - start) / calls, int(found.elements.sum())

    benchmark.pedantic(lambda: None, rounds=1)
    smallest: list[float] = []
    for n in (64, 128, 256, 512, 1024):
        pair = phantom_pair((n, n, n), K)
        cost(pair, 1)
        found = [cost(pair, max(1, (256 // n) ** 2)) for _ in range(5)]
        each = [seconds / elements for seconds, elements in found]
        smallest = smallest or each
        ratios = [a / b for a, b in zip(each, smallest, strict=True)]
        record(
            f"surfaces of {n}³", ratios, statistics.median(seconds for seconds, _ in found),
            group=FLAT, floor=2, aim=1.3, unit="", at_most=True,
        )  # fmt: skip

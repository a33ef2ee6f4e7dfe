"""How near to the read ceiling, and how much faster than others, one-hot masks of each type are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import compare, read_ceiling

import fastseg
from fastseg.phantom import phantom_pair

CEILING = "One-hot masks by type: read ceiling / time"
PEERS = "One-hot masks against other libraries: their time / ours"
K = 14


@pytest.fixture(scope="module")
def phantom() -> Any:
    return phantom_pair((128, 128, 128), K)


def _one_hot(labels: Any, dtype: str, last: bool) -> Any:
    if last:
        return np.ascontiguousarray((labels[..., None] == np.arange(K)).astype(dtype))
    return (labels == np.arange(K)[:, None, None, None]).astype(dtype)


def _check(counts: Any, phantom: Any) -> None:
    t, p = phantom
    matrix = np.bincount((t.astype(np.int64) * K + p).reshape(-1), minlength=K * K).reshape(K, K)
    assert np.array_equal(counts.tp[0], np.diag(matrix))
    assert np.array_equal(counts.fp[0], matrix.sum(0) - np.diag(matrix))
    assert np.array_equal(counts.fn[0], matrix.sum(1) - np.diag(matrix))
    assert np.array_equal(counts.tn[0], t.size - matrix.sum(0) - matrix.sum(1) + np.diag(matrix))


FLOORS = {"f4": 0.6, "i8": 0.6, "f2": 0.4}


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("dtype", ["?", "u1", "f2", "f4", "f8", "i8"])
def test_types(benchmark: Any, phantom: Any, dtype: str, last: bool) -> None:
    t, p = (_one_hot(labels, dtype, last) for labels in phantom)
    axis = -1 if last else 0
    _check(fastseg.count_masks(t, p, channel_axis=axis), phantom)
    ours = lambda: fastseg.count_masks(t, p, channel_axis=axis)  # noqa: E731
    name = f"{t.dtype}, 14 channels {'last' if last else 'first'}, 128³"
    goals = {} if last or dtype not in FLOORS else {"floor": FLOORS[dtype], "aim": 0.9}
    compare(benchmark, name, ours, read_ceiling(t, p), group=CEILING, **goals)


def test_unlike_types(benchmark: Any, phantom: Any) -> None:
    t, p = (_one_hot(labels, dtype, False) for labels, dtype in zip(phantom, ("u1", "f4"), strict=True))
    _check(fastseg.count_masks(t, p, channel_axis=0), phantom)
    ours = lambda: fastseg.count_masks(t, p, channel_axis=0)  # noqa: E731
    compare(benchmark, "uint8 with float32, 14 channels first, 128³", ours, read_ceiling(t, p), group=CEILING)


def _peers(t: Any, p: Any) -> dict[str, Any]:
    """Return what others make of (N, C, spatial) masks: the Dice of each sample and channel."""
    torch = pytest.importorskip("torch")
    exacta = pytest.importorskip("exacta.functional")
    monai = pytest.importorskip("monai.metrics")
    true, pred = torch.from_numpy(t), torch.from_numpy(p)
    return {
        "exacta dice": lambda: exacta.dice(pred, true, input_format="one-hot"),
        "MONAI compute_dice": lambda: monai.compute_dice(pred, true),
    }


BATCHES = {"1×14×128³": (1, 14, (128, 128, 128)), "8×150×512²": (8, 150, (512, 512)), "2×4×128²": (2, 4, (128, 128))}


@pytest.mark.parametrize("batch", BATCHES)
def test_peers(benchmark: Any, batch: str) -> None:
    samples, channels, spatial = BATCHES[batch]
    rng = np.random.default_rng(0)
    # Blobs: labels of a coarse grid, of which one in twenty differs.
    coarse = rng.integers(0, channels, (samples, *(n // 16 for n in spatial)))
    other = np.where(rng.random(coarse.shape) < 0.05, rng.integers(0, channels, coarse.shape), coarse)
    pair = []
    for labels in (coarse, other):
        for axis in range(1, labels.ndim):
            labels = np.repeat(labels, 16, axis=axis)
        pair.append((labels[:, None] == np.arange(channels).reshape(1, -1, *(1,) * len(spatial))).astype(np.float32))
    t, p = pair

    def ours() -> Any:
        return fastseg.metrics.dice(fastseg.count_masks(t, p, channel_axis=1, sample_axis=0))

    found = ours()
    peers = _peers(t, p)
    for name, peer in peers.items():
        theirs = np.asarray(peer())
        both = ~np.isnan(theirs) & ~np.isnan(found)
        assert both.any(), name
        np.testing.assert_allclose(found[both], theirs[both], rtol=1e-5)
    rounds, calls = (5, 1) if t.nbytes > 1 << 28 else (21, 1 if t.nbytes > 1 << 20 else 50)

    def repeated(call: Any) -> Any:
        return lambda: [call() for _ in range(calls)]

    name = f"Dice of {batch} float32{f' (× {calls})' if calls > 1 else ''}, the faster of exacta and MONAI"
    compare(benchmark, name, repeated(ours), [repeated(peer) for peer in peers.values()], group=PEERS, rounds=rounds)

"""Counts of data between clean and noise equal the reference: every path of the label kernel, and the changes between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import fastseg

# Types that other tests compile too.
PAIRS = [("u1", "u1"), ("i8", "i8"), ("f4", "f4"), ("i2", "i2"), ("u1", "i8")]
LENGTHS = [1, 63, 64, 65, 127, 128, 129, 511, 512, 513, 640, 1000, 4096, 20_000]


def ragged(rng: np.random.Generator, kind: str, length: int, classes: int, wrong: float) -> tuple[Any, Any]:
    """Make a pair of 1-D maps of runs, a part of whose predictions are wrong in the way that `kind` says."""
    mean = {"patches": 40, "runs": 900, "scattered": 5_000, "columns": 200, "bursts": 700}[kind]
    ends = np.cumsum(rng.geometric(1 / mean, length))
    true = rng.integers(0, classes, length)[np.searchsorted(ends, np.arange(length), side="right")]
    pred = np.roll(true, int(rng.integers(0, 9)))
    if kind == "columns":
        where = np.arange(length) % int(rng.integers(2, 70)) == 0
    elif kind == "bursts":  # noisy stretches between clean ones
        where = np.sin(np.arange(length) / rng.uniform(20, 2000)) > 1 - 2 * wrong
    else:
        where = rng.random(length) < wrong
    pred[where] = rng.integers(0, classes, int(where.sum()))
    if kind == "bursts":
        true[where] = rng.integers(0, classes, int(where.sum()))
    return true, pred


def check(t: Any, p: Any, **options: Any) -> None:
    ours, reference = (fastseg.count_labels(t, p, backend=backend, **options) for backend in ("numba", "numpy"))
    assert ours.labels.tolist() == reference.labels.tolist()
    assert np.array_equal(ours.matrix, reference.matrix)
    assert np.array_equal(ours.voxels, reference.voxels)


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["patches", "runs", "scattered", "columns", "bursts"]),
    length=st.sampled_from(LENGTHS) | st.integers(1, 700),
    classes=st.sampled_from([2, 4, 14, 16, 17, 150, 256, 300]),
    wrong=st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.2, 0.35, 0.6, 1.0]),
    types=st.sampled_from(PAIRS),
    masked=st.booleans(),
    rows=st.sampled_from([1, 1, 3]),
)
def test_any_raggedness(
    seed: int, kind: str, length: int, classes: int, wrong: float, types: tuple[str, str], masked: bool, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    if "u1" in types:
        classes = min(classes, 256)
    pairs = [ragged(rng, kind, length, classes, wrong) for _ in range(rows)]
    # Sliced, so that rows are looked at one by one.
    t, p = (np.stack([np.append(pair[k], 0) for pair in pairs]).astype(types[k])[:, :length] for k in range(2))
    if masked and types == ("u1", "u1"):
        mask = ragged(rng, kind, rows * length, 2, wrong)[1].reshape(rows, length).astype(bool)
        check(t, p, mask=mask, num_classes=classes)
        return
    check(t, p, num_classes=classes)


@pytest.mark.parametrize("mean", [1, 2, 4, 40])
@pytest.mark.parametrize("option", ["mask", "sample_weight"])
def test_runs_of_wide_labels(option: str, mean: int) -> None:
    """Few runs in a block are counted each, many voxel by voxel; what is not in the mask is in neither."""
    rng = np.random.default_rng(mean)
    runs = np.cumsum(rng.geometric(1 / mean, 5010))
    t, p = (rng.integers(250, 300, 5010)[np.searchsorted(runs, np.arange(5000) + k, side="right")] for k in (0, 3))
    t[2000:2300] = p[2000:2300] = 1 << 40
    given = rng.random(5000) if option == "sample_weight" else ragged(rng, "patches", 5000, 2, 0.2)[1].astype(bool)
    labels = [*range(250, 300), 1 << 40]
    ours, reference = (
        fastseg.count_labels(t, p, labels=labels, backend=backend, **{option: given}) for backend in ("numba", "numpy")
    )
    np.testing.assert_allclose(ours.matrix, reference.matrix, rtol=1e-12 if option == "sample_weight" else 0)
    assert np.array_equal(ours.voxels, reference.voxels)


@pytest.mark.parametrize("dtype", ["i8", "f4"])
@pytest.mark.parametrize("odd", [-1, 256, 257, 2**23 + 1, -(2**31)])
def test_one_wide_label_anywhere_in_noise(dtype: str, odd: int) -> None:
    """Bytes would hold it as another label: blocks with it are counted by themselves."""
    rng = np.random.default_rng(0)
    for classes in (14, 100):
        t, p = (rng.integers(0, classes, 1500).astype(dtype) for _ in range(2))
        for at in (0, 63, 64, 200, 700, 1471, 1499):
            for values in (t, p):
                kept = values[at]
                values[at] = odd
                check(t, p)
                values[at] = kept


@pytest.mark.parametrize("odd", [np.nan, -0.0, 0.5, 254.5, np.inf, 1e-45])
def test_one_float_that_is_no_label_in_noise(odd: float) -> None:
    rng = np.random.default_rng(0)
    t, p = (rng.integers(0, 100, 640).astype("f4") for _ in range(2))
    t[333] = odd
    if odd == 0:
        check(t, p)
        return
    for backend in ("numba", "numpy"):
        with pytest.raises(ValueError, match="333"):
            fastseg.count_labels(t, p, backend=backend)


def test_counters_of_noise_wrap_around() -> None:
    """A pair that occurs in every block, 300 of them, and as often as others: one-byte counters pass 255 many times."""
    rng = np.random.default_rng(0)
    for labels in ([3, 5], [3, 5, 200, 255]):
        t, p = (rng.choice(labels, 64 * 300).astype("u1") for _ in range(2))
        t[::2], p[::2] = rng.integers(0, max(labels), (2, t.size // 2))
        check(t, p)

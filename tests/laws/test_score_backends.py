"""Sums over scores: every backend × type × size agrees with the oracle, on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.score_sums import ALL, agree, alike, every_backend, example, expected_of, planes_of

import fastseg
from fastseg import sum_scores
from fastseg.kernels import BACKENDS, numpy as reference

# Every kernel costs a second or more to compile, so here and below few combinations stand for all: each storage with
# each activation, in one of the two memory orders.
# Storage of scores, of the truth, activation, axis of the channels.
MAPS = [
    ("f4", "u1", "softmax", -1),
    ("f4", "i8", None, 0),
    ("f4", "?", "sigmoid", 0),
    ("f2", "u1", "softmax", -1),
    ("f2", "i2", None, -1),
    ("f2", "u1", "sigmoid", 0),
    ("f8", "f4", "softmax", -1),
    ("f8", "i8", None, 0),
    ("f8", "u1", "sigmoid", -1),
    ("bf16", "u1", "softmax", -1),
    ("bf16", "i2", None, 0),
    ("ml bf16", "u1", "sigmoid", -1),
    (">f4", "f8", "softmax", 0),
    (">f2", ">i2", "sigmoid", 0),
    (">f8", ">i2", None, 0),
    ("u1%", "u1", None, -1),
    ("i2%", "f2", None, 0),
    ("i4%", "i4", None, 0),
    ("?", "u1", None, -1),
    ("u1", "?", "sigmoid", 0),
]
SOFT = [
    ("f4", "f4", "softmax", -1),
    ("f4", "f4", None, -1),
    ("f4", "f4", "sigmoid", 0),
    ("f4", "u1", "softmax", 0),
    ("f4", "?", "softmax", 0),
    ("f4", "f2", None, -1),
    ("f2", "f2", "softmax", -1),
    ("f2", "f8", "sigmoid", 0),
    ("f8", "f8", "softmax", -1),
    ("f8", "f8", None, -1),
    ("bf16", "bf16", "softmax", -1),
    ("f4", "ml bf16", "sigmoid", -1),
    (">f4", ">f4", None, 0),
    ("u1%", "f4", None, 0),
]


def marks(scores: str, truth: str) -> list[pytest.MarkDecorator]:
    """Return what needs PyTorch, and what compiles kernels of its own for seconds."""
    needed = [pytest.mark.torch] if "bf16" in (scores, truth) else []
    return needed if scores == "f4" else [*needed, pytest.mark.slow]


FORMATS = [
    pytest.param(*row, soft, marks=marks(*row[:2])) for rows, soft in ((MAPS, False), (SOFT, True)) for row in rows
]


@every_backend
@pytest.mark.parametrize(("scores", "truth", "activation", "axis", "soft"), FORMATS)
def test_every_format(scores: str, truth: str, activation: str | None, axis: int, soft: bool, backend: str) -> None:
    for channels in (1, 2, 3, 14) if axis == 0 else (2, 3, 14):
        if (channels == 1 and activation == "softmax") or (channels == 1 and soft and truth in ("?", "u1")):
            continue
        y_true, y_score, options = example(
            np.random.default_rng(channels), (3, 37), channels, scores, truth, activation, soft
        )
        given_true, given_score = (planes_of(a) if axis == 0 and a.ndim == 3 else a for a in (y_true, y_score))
        sums = sum_scores(given_true, given_score, channel_axis=axis, **options, **ALL, backend=backend)
        assert sums.binary == (activation == "sigmoid" or channels == 1)
        assert sums.soft == soft
        agree(sums, expected_of(y_true, y_score, soft=soft, **options), activation)


@every_backend
@pytest.mark.parametrize("truth", ["u1", "f4"])
def test_one_class_needs_no_axis(truth: str, backend: str) -> None:
    soft = truth == "f4"
    rng = np.random.default_rng(0)
    y_true, y_score, options = example(rng, (7, 20), 1, "f4", truth, "sigmoid", soft)
    wanted = expected_of(y_true, y_score, soft=soft, activation="sigmoid")
    y_true = y_true[..., 0] if soft else y_true
    sums = sum_scores(y_true, y_score[..., 0], channel_axis=None, **options, **ALL, backend=backend)
    agree(sums, wanted, "sigmoid")


@every_backend
@pytest.mark.parametrize(
    ("activation", "soft", "channels"),
    [(*row, channels) for row in (("softmax", False), (None, False), ("sigmoid", True)) for channels in (2, 33, 256)]
    + [("softmax", False, 300)],
)
def test_sizes(channels: int, activation: str | None, soft: bool, backend: str) -> None:
    for voxels in (0, 1, 31, 32, 33, 1000) if channels == 2 else (0, 1, 33) if channels < 300 else (33,):
        y_true, y_score, options = example(
            np.random.default_rng(voxels), (voxels,), channels, "f4", "f4" if soft else "u2", activation, soft
        )
        sums = sum_scores(y_true, y_score, **options, **ALL, backend=backend)
        agree(sums, expected_of(y_true, y_score, soft=soft, activation=activation), activation)
        if channels < 300:
            y_true, planes = planes_of(y_true) if soft else y_true, planes_of(y_score)
            again = sum_scores(y_true, planes, channel_axis=0, **options, **ALL, backend=backend)
            alike(again, sums, near=1e-6 + voxels / 99)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
@pytest.mark.parametrize(
    ("scores", "activation", "soft"),
    [
        ("f4", "softmax", False),
        ("f4", "softmax", True),
        ("f4", None, False),
        ("f4", None, True),
        ("f4", "sigmoid", True),
        ("f2", "sigmoid", False),
        ("f8", None, False),
    ],
)
def test_backends_agree_on_more_voxels(scores: str, activation: str | None, soft: bool, backend: str) -> None:
    for channels, voxels in ((2, 70_000), (5, 70_000), (14, 70_001), (64, 9_000)):
        rng = np.random.default_rng(voxels)
        y_true, y_score, options = example(rng, (voxels,), channels, scores, "f4" if soft else "u1", activation, soft)
        options |= {"mask": rng.random(voxels) < 0.8, **ALL}
        for axis in (-1, 0):
            given_true, given_score = (planes_of(a) if axis == 0 and a.ndim == 2 else a for a in (y_true, y_score))
            found, wanted = (
                sum_scores(given_true, given_score, channel_axis=axis, **options, backend=b) for b in (backend, "numpy")
            )
            alike(found, wanted, near=0 if activation is None else 2 + 1e-4 * voxels)
            if activation is None:
                for name in ("ranks", "top_bins", "class_bins"):
                    mine, theirs = getattr(found, name), getattr(wanted, name)
                    first = (...,) if name == "ranks" else (..., 0)
                    assert np.array_equal(mine[first], theirs[first]), name


@pytest.fixture
def threads() -> Iterator[Any]:
    yield fastseg.set_num_threads
    fastseg.set_num_threads(None)


@every_backend
@pytest.mark.parametrize("channel_axis", [0, -1])
@pytest.mark.parametrize("soft", [False, True])
def test_threads_do_not_change_a_bit(threads: Any, soft: bool, channel_axis: int, backend: str) -> None:
    rng = np.random.default_rng(8)
    voxels = 1_600_000 if backend == "numba" else 800_000
    y_score = rng.standard_normal((3, voxels) if channel_axis == 0 else (voxels, 3), np.float32)
    y_true = rng.random(y_score.shape, np.float32) if soft else rng.integers(0, 3, voxels, np.uint8)
    options: dict[str, Any] = {"activation": "softmax", "channel_axis": channel_axis, "backend": backend}
    options |= ALL if backend == "numba" else {}
    results = []
    for n in (1, 2, 3, 5):
        threads(n)
        results.append(sum_scores(y_true, y_score, sample_weight=np.ones(voxels, np.float32), **options))
    assert results[0] == results[1] == results[2] == results[3]


@pytest.mark.parametrize(
    "name", ["pred", "true_pred", "cross_entropy", "absolute", "brier", "negative_log", "focal", "ranks", "top_bins"]
)
def test_a_broken_backend_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a backend that is off by ten parts in a million must fail what the others pass."""

    class Broken(reference.ScoreCounter):
        def take(self) -> Any:
            tally = super().take()
            tally.sums[name] *= 1 + 1e-5
            return tally

    monkeypatch.setattr(reference, "ScoreCounter", Broken)
    with pytest.raises(AssertionError):
        test_every_format("f4", "u1", "softmax", -1, False, "numpy")

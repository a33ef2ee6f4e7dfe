"""Binary maps of every type in every layout are counted alike, and what is no mask is refused alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.layouts import arrange

import fastseg
from fastseg import count_masks
from fastseg.arrays import label_spans, mask_blocks
from fastseg.kernels import BACKENDS

INTEGERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">u2", ">i8")
FLOATS = ("f2", "f4", "f8", ">f2", ">f4", ">f8", "bfloat16")
SPATIAL = (5, 9, 31)  # rows that are no whole blocks of 64 values

# ---- How a map of (2 samples, 3 channels, 5, 9, 31) lies in memory: what is given, its channel_axis, its sample_axis.
LAYOUTS: dict[str, tuple[Callable[[Any], Any], int, int]] = {
    "channels first": (np.ascontiguousarray, 1, 0),
    "channels last": (lambda a: np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 0),
    "channels last, seen first": (lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1), 1, 0),
    "channels first, seen last": (lambda a: np.moveaxis(np.ascontiguousarray(a), 1, -1), -1, 0),
    "channels in the middle": (lambda a: np.ascontiguousarray(np.moveaxis(a, 1, 3)), 3, 0),
    "channels before samples": (lambda a: np.ascontiguousarray(np.moveaxis(a, 1, 0)), 0, 1),
    "samples last": (lambda a: np.ascontiguousarray(np.moveaxis(a, 0, -1)), 0, -1),
    "backwards": (lambda a: np.ascontiguousarray(a[::-1, ::-1, ::-1])[::-1, ::-1, ::-1], 1, 0),
    "F": (np.asfortranarray, 1, 0),
    "F, channels last": (lambda a: np.asfortranarray(np.moveaxis(a, 1, -1)), -1, 0),
    "every second row": (lambda a: np.repeat(a, 2, axis=3)[:, :, :, ::2], 1, 0),
    "every second voxel": (lambda a: arrange(a, "sliced"), 1, 0),
    "unaligned": (lambda a: arrange(a, "unaligned"), 1, 0),
}


def cast(array: Any, dtype: str) -> Any:
    return array.astype(np.float32 if dtype == "bfloat16" else dtype)


def masks_of(array: Any, dtype: str, layout: str) -> tuple[Any, dict[str, int]]:
    """Return values of (2, 3, spatial) as they are given to `count_masks`, and the axes to give with them."""
    arranged, channel, sample = LAYOUTS[layout]
    if dtype != "bfloat16":
        return arranged(cast(array, dtype)), {"channel_axis": channel, "sample_axis": sample}
    ml_dtypes = pytest.importorskip("ml_dtypes")
    return arranged(array.astype(ml_dtypes.bfloat16)), {"channel_axis": channel, "sample_axis": sample}


def pair() -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    return rng.random((2, 3, *SPATIAL)) < 0.4, rng.random((2, 3, *SPATIAL)) < 0.5


def spread(where: Any, axes: dict[str, int]) -> Any:
    """Put an array of (2, spatial) in the order of the maps without their channels."""
    sample = axes["sample_axis"]
    return np.ascontiguousarray(np.moveaxis(where, 0, -1)) if sample == -1 else where


def check(counts: Any, t: Any, p: Any, inside: Any, weight: Any) -> None:
    w = (inside * weight)[:, None]
    for name, both in (("tp", t & p), ("fp", ~t & p), ("fn", t & ~p), ("tn", ~t & ~p)):
        assert np.array_equal(getattr(counts, name), (both * w).sum((2, 3, 4))), name
    size = inside[0].size
    within = inside.sum((1, 2, 3))
    assert counts.voxels.tolist() == [[n, 0, size - n, 0] for n in within.tolist()]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_type_in_every_layout(layout: str, backend: str) -> None:
    t, p = pair()
    rng = np.random.default_rng(5)
    inside, weight = rng.random((2, *SPATIAL)) < 0.6, rng.integers(0, 9, (2, *SPATIAL))
    everywhere, ones = np.ones_like(inside), np.ones_like(weight)
    for dtype in ("?", *INTEGERS, *FLOATS):
        y_true, axes = masks_of(t, dtype, layout)
        for other in dict.fromkeys((dtype, "u1", "f4")):
            y_pred, _ = masks_of(p, other, layout)
            check(count_masks(y_true, y_pred, **axes, backend=backend), t, p, everywhere, ones)
    options = {"mask": spread(inside, axes).astype("i4") * 6}
    check(count_masks(y_true, y_pred, **axes, **options, backend=backend), t, p, inside, ones)
    for kind in ("i8", "f4"):
        options["sample_weight"] = spread(weight, axes).astype(kind)
        check(count_masks(y_true, y_pred, **axes, **options, backend=backend), t, p, inside, weight)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_maps_that_lie_unlike_each_other(layout: str) -> None:
    """The prediction has the axes of the truth, and lies in memory as it likes."""
    t, p = pair()
    everywhere = np.ones((2, *SPATIAL), bool)
    for dtype in ("?", "f4"):
        y_pred, axes = masks_of(p, dtype, layout)
        moved = np.moveaxis(t, (0, 1), (axes["sample_axis"], axes["channel_axis"]))
        for y_true in (np.ascontiguousarray(moved), np.asfortranarray(moved), moved):
            check(count_masks(y_true.astype("u1"), y_pred, **axes), t, p, everywhere, everywhere)


@pytest.mark.parametrize("layout", ["channels first", "channels last", "channels in the middle", "F"])
def test_counts_do_not_depend_on_how_maps_are_cut(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    t, p = pair()
    everywhere = np.ones((2, *SPATIAL), bool)
    for least in (1, 200, 3000, 10**6):
        monkeypatch.setattr(label_spans, "JOB_BYTES", least)
        monkeypatch.setattr(mask_blocks, "_LEAST_JOB_BYTES", least)
        for threads in (1, 3):
            fastseg.set_num_threads(threads)
            for dtype in ("?", "f4"):
                y_true, axes = masks_of(t, dtype, layout)
                y_pred, _ = masks_of(p, "i8", layout)
                check(count_masks(y_true, y_pred, **axes), t, p, everywhere, everywhere)
    fastseg.set_num_threads(None)


@pytest.mark.parametrize("channels", [1, 2, 7, 64, 65, 3000])
def test_channels_side_by_side(channels: int) -> None:
    """Periods of counters that are no whole blocks, that are longer than usual, and that wrap around."""
    rng = np.random.default_rng(0)
    for voxels in (1, 2, 63, 300, 700):
        t, p = (rng.random((voxels, channels)) < 0.9 for _ in range(2))
        for dtype in ("?", "u1", "f8"):
            counts = count_masks(t.astype(dtype), p.astype(dtype))
            assert np.array_equal(counts.tp[0], (t & p).sum(0))
            assert np.array_equal(counts.fp[0], (~t & p).sum(0))
            assert np.array_equal(counts.tn[0], (~t & ~p).sum(0))


def test_minus_zero_is_zero_and_any_true_byte_is_one() -> None:
    for backend in BACKENDS:
        for dtype in FLOATS[:-1]:
            zeros = np.array([0.0, -0.0, 1.0, 1.0], dtype)
            counts = count_masks(zeros, zeros, channel_axis=None, backend=backend)
            assert (counts.tp.item(), counts.tn.item()) == (2, 2)
        odd = np.array([0, 1, 2, 255], np.uint8).view(bool)
        assert count_masks(odd, odd, channel_axis=None, backend=backend).tp.item() == 3


# ---- What is no mask, by type.
SMALLEST = {"f2": 2**-24, "f4": 2**-149, "f8": 5e-324}
NEXT = {"f2": 1 - 2**-11, "f4": 1 - 2**-24, "f8": 1 - 2**-53}
WRONG = [(dtype, bad) for dtype in INTEGERS for bad in (2, -1, 3, 127) if bad >= 0 or "i" in dtype]
WRONG += [
    (dtype, bad)
    for dtype in ("f2", "f4", "f8", ">f2", ">f4", ">f8")
    for bad in (0.5, 2.0, -1.0, np.nan, np.inf, -np.inf, SMALLEST[dtype[-2:]], -SMALLEST[dtype[-2:]], NEXT[dtype[-2:]])
]


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
def test_what_is_no_mask_is_found_where_it_is(layout: str) -> None:
    t, p = pair()
    arranged, _, _ = LAYOUTS[layout]
    voxels = ((0, 0, 0, 0, 0), (1, 2, 4, 8, 30), (1, 0, 2, 3, 4))
    for number, (dtype, bad) in enumerate(WRONG):
        voxel = voxels[number % len(voxels)]
        for wrong_first in (True, False):
            good, wrong = cast(t, dtype), cast(p, dtype)
            wrong[voxel] = bad
            y_true, y_pred = (arranged(a) for a in ((wrong, good) if wrong_first else (good, wrong)))
            axes = {"channel_axis": LAYOUTS[layout][1], "sample_axis": 0}
            index = voxel if layout == "channels first" else (voxel[0], *voxel[2:], voxel[1])
            messages = set()
            for backend in BACKENDS:
                with pytest.raises(ValueError, match="expected masks of zeros and ones, found 1 value") as caught:
                    count_masks(y_true, y_pred, **axes, backend=backend)
                messages.add(str(caught.value))
            (message,) = messages
            assert message.startswith("y_true" if wrong_first else "y_pred")
            assert f"the first is {wrong[voxel].item()} at index {index} " in message
            inside = np.ones((2, *SPATIAL), bool)
            inside[voxel[0], voxel[2], voxel[3], voxel[4]] = False
            pair_given = (p, t) if wrong_first else (t, p)
            check(count_masks(y_true, y_pred, **axes, mask=inside), *pair_given, inside, np.ones_like(inside))
            inside[voxel[0], voxel[2], voxel[3], voxel[4]] = True
            with pytest.raises(ValueError, match="found 1 value"):
                count_masks(y_true, y_pred, **axes, mask=inside)


def test_masks_as_plain_python() -> None:
    """With NUMBA_DISABLE_JIT=1 the kernels run as Python, and count the same."""
    code = """
import warnings; warnings.simplefilter("error")
import numpy as np
from fastseg import count_masks
rng = np.random.default_rng(0)
t, p = (rng.random((2, 3, 7, 23)) < 0.5 for _ in range(2))
mask, weight = rng.random((2, 7, 23)) < 0.5, rng.integers(0, 9, (2, 7, 23)).astype("f4")
for dtype in ("?", "i2", "f4", ">f8"):
    a, b = t.astype(dtype), p.astype(dtype)
    for given in ({}, {"mask": mask}, {"sample_weight": weight}, {"mask": mask, "sample_weight": weight}):
        for order in (lambda x: x, lambda x: x[:, ::-1], np.asfortranarray):
            one, two = (count_masks(order(a), order(b), channel_axis=1, sample_axis=0, **given, backend=name)
                        for name in ("numba", "numpy"))
            assert one == two, (dtype, list(given))
    last = [np.ascontiguousarray(np.moveaxis(x, 1, -1)) for x in (a, b)]
    one, two = (count_masks(*last, sample_axis=0, backend=name) for name in ("numba", "numpy"))
    assert one == two, dtype
    if dtype == "?": continue
    a[1, 2, 3, 4] = last[0][1, 3, 4, 2] = 2
    for call in (lambda **o: count_masks(a, b, channel_axis=1, **o), lambda **o: count_masks(*last, **o)):
        try: call(sample_axis=0)
        except ValueError as error: assert "y_true" in str(error)
        else: raise AssertionError(dtype)
    mask[1, 3, 4] = False
    count_masks(a, b, channel_axis=1, sample_axis=0, mask=mask)
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

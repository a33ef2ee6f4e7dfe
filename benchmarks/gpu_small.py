"""Small calls of every kernel on a GPU, compared with the reference: in seconds, without PyTorch, for compute-sanitizer too.

``python benchmarks/gpu_small.py`` prints a line for each, and ends with 1 where one is not what it should be.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import fastseg
from fastseg.kernels.cuda.driver import Nvidia, driver
from fastseg.kernels.protocols.device import Device
from fastseg.losses import dice_cross_entropy_with_gradient, dice_focal_loss_with_gradient

RNG = np.random.default_rng(0)
DEVICE = Device(0)


class OnGpu:
    """A copy of an array in the memory of the GPU, which has CUDA's array interface and nothing else."""

    def __init__(self, array: Any) -> None:
        self.array = np.ascontiguousarray(array)
        self.pointer = driver().upload(self.array, DEVICE)

    @property
    def dtype(self) -> Any:
        """Of its numbers."""
        return self.array.dtype

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        interface = self.array.__array_interface__
        return {
            "shape": interface["shape"],
            "typestr": interface["typestr"],
            "data": (self.pointer, False),
            "version": 3,
        }

    def read(self) -> Any:
        """Return what it holds by now."""
        content = driver().download(self.pointer, self.array.nbytes, DEVICE)
        return np.frombuffer(content, self.array.dtype).reshape(self.array.shape)


def maps(shape: tuple[int, ...], dtype: str, classes: int = 5) -> tuple[Any, Any]:
    """Return two maps that are alike."""
    true = np.repeat(RNG.integers(0, classes, shape), 3, axis=-1)[..., : shape[-1]]
    return true.astype(dtype), np.where(RNG.random(shape) < 0.3, RNG.integers(0, classes, shape), true).astype(dtype)


def labels(dtype: str, masked: bool = False, weighted: bool = False, classes: int = 5, **options: Any) -> bool:
    """Count label maps."""
    true, pred = maps((2, 3, 4097), dtype, classes)
    more: dict[str, Any] = {"mask": RNG.random(true.shape) < 0.7} if masked else {}
    more |= {"sample_weight": RNG.random(true.shape)} if weighted else {}
    options |= {"num_classes": classes, "sample_axis": 0}
    found = fastseg.count_labels(OnGpu(true), OnGpu(pred), **options, **{k: OnGpu(v) for k, v in more.items()})
    expected = fastseg.count_labels(true, pred, **options, **more, backend="numpy")
    return bool(np.allclose(found.matrix, expected.matrix, rtol=1e-12, atol=0)) and (weighted or found == expected)


def open_labels() -> bool:
    """Count label maps whose labels nobody has declared."""
    true, pred = (each * 1000 - 7 for each in maps((9, 4097), "i8"))
    return bool(fastseg.count_labels(OnGpu(true), OnGpu(pred)) == fastseg.count_labels(true, pred, backend="numpy"))


def masks(dtype: str) -> bool:
    """Count masks with channels."""
    true, pred = maps((2, 3, 4097), dtype, 2)
    options: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0}
    found = fastseg.count_masks(OnGpu(true), OnGpu(pred), **options)
    return bool(found == fastseg.count_masks(true, pred, **options, backend="numpy"))


def sums(dtype: str, channels: int, soft: bool = False, last: bool = False, activation: str = "softmax") -> bool:
    """Sum scores."""
    score = (2 * RNG.normal(size=(2, channels, 4099))).astype(dtype)
    true = RNG.integers(0, channels, (2, 4099)).astype("u1")
    truth = RNG.dirichlet(np.ones(channels), (2, 4099)).transpose(0, 2, 1).astype("f4") if soft else true
    options: dict[str, Any] = {"channel_axis": 2 if last else 1, "sample_axis": 0, "activation": activation}
    if last:
        score, truth = np.moveaxis(score, 1, 2), np.moveaxis(truth, 1, 2) if soft else truth
    found = fastseg.sum_scores(OnGpu(truth), OnGpu(score), **options)
    expected = fastseg.sum_scores(truth, score, **options, backend="numpy")
    names = ("true", "pred", "true_pred", "cross_entropy")
    return found.argmax_counts == expected.argmax_counts and all(
        np.allclose(getattr(found, name), getattr(expected, name), rtol=2e-6, atol=0) for name in names
    )


def gradient(call: Callable[..., Any], channels: int, last: bool = False) -> bool:
    """Write a gradient."""
    shape, axis = ((2, 4099, channels), 2) if last else ((2, channels, 4099), 1)
    score = RNG.normal(size=shape).astype("f4")
    true = RNG.integers(0, channels, (2, 4099)).astype("u1")
    out = OnGpu(np.full_like(score, np.nan))
    loss, _ = call(OnGpu(true), OnGpu(score), channel_axis=axis, out=out)
    wanted, expected = call(true, score, channel_axis=axis, backend="numpy")
    return bool(
        abs(loss / wanted - 1) < 1e-6
        and np.allclose(out.read(), expected, rtol=1e-5, atol=1e-6 * float(np.abs(expected).max()))
    )


def wrong_label() -> bool:
    """Say what is wrong."""
    true = np.array([0, 1, 9])
    try:
        _ = fastseg.count_labels(OnGpu(true), OnGpu(true), num_classes=3).voxels
    except ValueError as error:
        return "the first is 9 at index (2,)" in str(error)
    return False


CASES: list[tuple[Any, ...]] = [
    (labels, "u1"), (labels, "u1", True), (labels, "i8"), (labels, "f4", True), (labels, "u1", False, False, 150),
    (labels, "u2", False, False, 300), (labels, "u1", True, True), (open_labels,), (masks, "u1"), (masks, "f4"),
    (sums, "f4", 4), (sums, "f2", 14), (sums, "f4", 14, True), (sums, "f4", 40), (sums, "f4", 14, False, True),
    (sums, "f2", 3, True, True, "sigmoid"), (labels, "u2", True, False, 600),
    (gradient, dice_cross_entropy_with_gradient, 4), (gradient, dice_cross_entropy_with_gradient, 6, True),
    (gradient, dice_cross_entropy_with_gradient, 40), (gradient, dice_focal_loss_with_gradient, 4), (wrong_label,),
]  # fmt: skip


def main() -> int:
    """Try all of them."""
    if not isinstance(driver(), Nvidia):
        print("not on a GPU")
    failed = 0
    for case, *arguments in CASES:
        name = " ".join(getattr(each, "__name__", str(each)) for each in (case, *arguments))
        try:
            right = case(*arguments)
        except Exception:
            traceback.print_exc(limit=-3, file=sys.stdout)
            right = False
        failed += not right
        print("right" if right else "WRONG", name, flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())

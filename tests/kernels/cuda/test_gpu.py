"""The same on a real GPU, where there is one: tensors of PyTorch, of every type and order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg import count_labels
from fastseg.kernels.cuda import driver

pytestmark = [pytest.mark.gpu, pytest.mark.torch]


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "i8", "?", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(1,), (4097,), (3, 64, 129)])
def test_counts_are_those_of_the_cpu(dtype: str, shape: tuple[int, ...]) -> None:
    import torch

    rng = np.random.default_rng(0)
    classes = 2 if dtype == "?" else 14
    true, pred = (rng.integers(0, classes, shape).astype(dtype) for _ in range(2))
    mask = rng.random(shape) < 0.7
    a, b, m = (torch.from_numpy(each).cuda() for each in (true, pred, mask))
    options: dict[str, Any] = {"num_classes": classes, "ignore_index": 1}
    assert count_labels(a, b, **options) == count_labels(true, pred, **options)
    assert count_labels(a, b, mask=m, **options) == count_labels(true, pred, mask=mask, **options)
    if len(shape) == 3:
        seen = count_labels(a.permute(2, 0, 1)[::2], b.permute(2, 0, 1)[::2], sample_axis=1, **options)
        assert seen == count_labels(
            true.transpose(2, 0, 1)[::2], pred.transpose(2, 0, 1)[::2], sample_axis=1, **options
        )


def test_bfloat16_and_a_stream_of_its_own() -> None:
    import torch

    with torch.cuda.stream(torch.cuda.Stream()):
        true = torch.arange(100_000, device="cuda") % 7
        counts = count_labels(true.to(torch.bfloat16), true, num_classes=7)
    assert counts == count_labels(true.cpu().numpy(), true.cpu().numpy(), num_classes=7)


@pytest.mark.parametrize("classes", [2, 14, 150, 300, 4096])
def test_numbers_of_classes(classes: int) -> None:
    import torch

    true, pred = (torch.randint(0, classes, (3, 100_003), device="cuda") for _ in range(2))
    counts = count_labels(true, pred, num_classes=classes, sample_axis=0)
    assert counts == count_labels(true.cpu(), pred.cpu(), num_classes=classes, sample_axis=0)


def test_what_is_wrong_is_said() -> None:
    import torch

    wrong = torch.tensor([0, 1, 9], device="cuda")
    with pytest.raises(ValueError, match=r"the first is 9 at index \(2,\)"):
        count_labels(wrong, wrong, num_classes=3)


def test_the_callers_context_stays() -> None:
    import torch

    true = torch.zeros(10, dtype=torch.uint8, device="cuda")
    before = torch.cuda.current_device()
    count_labels(true, true, num_classes=2)
    assert torch.cuda.current_device() == before
    assert int((true + 1).sum()) == 10
    assert driver.driver().limits

"""The same on a real GPU, where there is one: tensors of PyTorch, of every type and order."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from support.score_sums import alike

from fastseg import count_labels, count_masks, sum_scores
from fastseg.kernels.cuda import driver
from fastseg.losses import dice_cross_entropy_with_gradient, dice_focal_loss_with_gradient

# What libraries of a GPU machine warn of is theirs. Expected are the reference's results, for which nothing is compiled.
pytestmark = [pytest.mark.gpu, pytest.mark.torch, pytest.mark.filterwarnings("default")]
HERE: dict[str, Any] = {"backend": "numpy"}


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
    assert count_labels(a, b, **options) == count_labels(true, pred, **options, **HERE)
    assert count_labels(a, b, mask=m, **options) == count_labels(true, pred, mask=mask, **options, **HERE)
    if len(shape) == 3:
        seen = count_labels(a.permute(2, 0, 1)[::2], b.permute(2, 0, 1)[::2], sample_axis=1, **options)
        assert seen == count_labels(
            true.transpose(2, 0, 1)[::2], pred.transpose(2, 0, 1)[::2], sample_axis=1, **options, **HERE
        )


def test_bfloat16_and_a_stream_of_its_own() -> None:
    import torch

    with torch.cuda.stream(torch.cuda.Stream()):
        true = torch.arange(100_000, device="cuda") % 7
        counts = count_labels(true.to(torch.bfloat16), true, num_classes=7)
    torch.cuda.synchronize()  # what follows is on another stream
    assert counts == count_labels(true.cpu().numpy(), true.cpu().numpy(), num_classes=7, **HERE)


@pytest.mark.parametrize("classes", [2, 14, 150, 238, 300, 470, 4096])
def test_numbers_of_classes(classes: int) -> None:
    import torch

    true, pred = (torch.randint(0, classes, (3, 100_003), device="cuda") for _ in range(2))
    counts = count_labels(true, pred, num_classes=classes, sample_axis=0)
    assert counts == count_labels(true.cpu(), pred.cpu(), num_classes=classes, sample_axis=0, **HERE)


@pytest.mark.parametrize("classes", [2, 14, 128, 150, 237, 238, 256])
def test_maps_of_bytes(classes: int) -> None:
    """Noise, a part where all is one pair, labels that are ignored or looked up, a mask, and where memory begins."""
    import torch

    true, pred = (torch.randint(0, classes, (1_000_003,), dtype=torch.uint8) for _ in range(2))
    true[200_000:500_000], pred[200_000:500_000] = 1, 0
    inside = torch.rand(1_000_003) < 0.7
    for begin, masked in ((0, False), (0, True), (1, False), (16, True)):
        a, b, m = (each[begin:] for each in (true, pred, inside))
        given = inside.cuda()[begin:] if masked else None
        found = count_labels(true.cuda()[begin:], pred.cuda()[begin:], mask=given, num_classes=classes)
        assert found == count_labels(a, b, mask=m if masked else None, num_classes=classes, **HERE)
    if classes < 250:
        true[::17] = 255
        options: dict[str, Any] = {"num_classes": classes, "ignore_index": 255}
        assert count_labels(true.cuda(), pred.cuda(), **options) == count_labels(true, pred, **options, **HERE)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    ("channels", "soft"), [(1, False), (4, False), (14, False), (14, True), (24, False), (32, False), (105, False)]
)
def test_sums_and_gradients_are_those_of_the_cpu(dtype: str, channels: int, soft: bool) -> None:
    import torch

    torch.manual_seed(channels)
    z = (2 * torch.randn(2, channels, 4099)).to(getattr(torch, dtype))
    t = torch.randn(2, channels, 4099).softmax(1) if soft else torch.randint(0, max(2, channels), (2, 4099))
    options: dict[str, Any] = {"channel_axis": 1, "activation": "softmax" if channels > 1 else "sigmoid"}
    found = sum_scores(t.cuda(), z.cuda(), sample_axis=0, **options)
    alike(found, sum_scores(t, z, sample_axis=0, **options, backend="numpy"))
    alike(found, sum_scores(t.cuda(), z.cuda(), sample_axis=0, **options), rel=0, least=0)
    last = [each.movedim(1, -1).contiguous() if each.ndim == 3 else each for each in (t, z)]
    assert last[1].shape[-1] == channels
    turned = sum_scores(*(each.cuda() for each in last), sample_axis=0, **(options | {"channel_axis": -1}))
    alike(turned, found)
    loss, gradient = dice_cross_entropy_with_gradient(t.cuda(), z.cuda(), dtype=np.float32, **options)
    expected, wanted = dice_cross_entropy_with_gradient(t, z, dtype=np.float32, backend="numpy", **options)
    assert loss == pytest.approx(expected, rel=1e-6)
    assert gradient.is_cuda
    np.testing.assert_allclose(gradient.cpu().numpy(), wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max())
    _, turned = dice_cross_entropy_with_gradient(
        *(each.cuda() for each in last), dtype=np.float32, **(options | {"channel_axis": -1})
    )
    np.testing.assert_allclose(turned.movedim(-1, 1).cpu().numpy(), wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max())


def test_weights_and_open_labels() -> None:
    import torch

    true, pred = (torch.randint(-3, 9, (100_003,)) for _ in range(2))
    weight = torch.rand(100_003, dtype=torch.float64)
    assert count_labels(true.cuda(), pred.cuda()) == count_labels(true, pred, **HERE)
    found = count_labels(true.cuda(), pred.cuda(), sample_weight=weight.cuda())
    np.testing.assert_allclose(found.matrix, count_labels(true, pred, sample_weight=weight, **HERE).matrix, rtol=1e-12)


def test_a_graph_of_counts_and_sums() -> None:
    """What was captured is counted again, of what the arrays hold by then, each time that the graph is launched."""
    import torch

    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    true, z = torch.randint(0, 5, (100_003,), device="cuda"), torch.randn(5, 100_003, device="cuda")
    pred = true.clone()

    def ask() -> tuple[Any, Any]:
        return (
            count_labels(true, pred, num_classes=5),
            sum_scores(true, z, channel_axis=0, activation="softmax"),
        )

    with torch.cuda.stream(stream):  # what is compiled and allocated is so before
        assert all(each.voxels.sum() == 100_003 for each in ask())
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        counts, sums = ask()
    pred.zero_()
    z.mul_(2)
    torch.cuda.synchronize()
    graph.replay()
    torch.cuda.synchronize()
    expected = ask()
    assert counts == expected[0]
    alike(sums, expected[1], rel=0, least=0)


def test_nothing_waits_until_a_number_is_asked_for() -> None:
    import torch

    true = torch.zeros(1 << 20, dtype=torch.uint8, device="cuda")
    assert count_labels(true, true, num_classes=2).voxels.sum() == 1 << 20
    torch.cuda._sleep(500_000_000)  # cycles: a quarter of a second
    begin = time.perf_counter()
    counts = count_labels(true, true, num_classes=2)
    assert time.perf_counter() - begin < 0.1
    assert counts.matrix[0, 0, 0] == 1 << 20
    assert time.perf_counter() - begin > 0.1


def test_what_is_wrong_is_said() -> None:
    import torch

    wrong = torch.tensor([0, 1, 9], device="cuda")
    with pytest.raises(ValueError, match=r"the first is 9 at index \(2,\)"):
        _ = count_labels(wrong, wrong, num_classes=3).voxels


def test_the_callers_context_stays() -> None:
    import torch

    true = torch.zeros(10, dtype=torch.uint8, device="cuda")
    before = torch.cuda.current_device()
    count_labels(true, true, num_classes=2)
    assert torch.cuda.current_device() == before
    assert int((true + 1).sum()) == 10
    assert driver.driver().limits


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16", "float32", "int64"])
def test_masks(dtype: str) -> None:
    import torch

    true, pred = ((torch.rand(2, 3, 65_539) < 0.5).to(getattr(torch, dtype)) for _ in range(2))
    inside = torch.rand(2, 65_539) < 0.7
    options: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0}
    for mask in (None, inside):
        given = None if mask is None else mask.cuda()
        found = count_masks(true.cuda(), pred.cuda(), mask=given, **options)
        assert found == count_masks(true, pred, mask=mask, **options, **HERE)


def test_weights_of_masks_and_scores() -> None:
    import torch

    true, pred = (torch.rand(2, 3, 5003) < 0.5 for _ in range(2))
    weight = torch.rand(2, 5003, dtype=torch.float64)
    options: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0}
    masks = count_masks(true.cuda(), pred.cuda(), sample_weight=weight.cuda(), **options)
    expected = count_masks(true, pred, sample_weight=weight, **options, **HERE)
    np.testing.assert_allclose(masks.tp, expected.tp, rtol=1e-12)
    z, labels = torch.randn(2, 3, 5003), torch.randint(0, 3, (2, 5003))
    found = sum_scores(labels.cuda(), z.cuda(), sample_weight=weight.cuda(), activation="softmax", **options)
    alike(found, sum_scores(labels, z, sample_weight=weight, activation="softmax", **options, **HERE))


def test_a_gradient_of_the_focal_loss() -> None:
    import torch

    z, labels = torch.randn(2, 5, 4099), torch.randint(0, 5, (2, 4099))
    loss, gradient = dice_focal_loss_with_gradient(labels.cuda(), z.cuda(), channel_axis=1)
    expected, wanted = dice_focal_loss_with_gradient(labels, z, channel_axis=1, **HERE)
    assert loss == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient.cpu().numpy(), wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max())


def test_two_streams_and_tensors_that_are_differentiated() -> None:
    import torch

    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in range(2)]
    for stream in streams:
        with torch.cuda.stream(stream):
            z = torch.randn(2, 4, 100_003, device="cuda", requires_grad=True)
            labels = z.argmax(1)
            for _ in range(20):
                sums = sum_scores(labels, z, channel_axis=1, sample_axis=0, activation="softmax")
            assert sums.argmax_counts.matrix.trace(axis1=1, axis2=2).tolist() == [100_003] * 2

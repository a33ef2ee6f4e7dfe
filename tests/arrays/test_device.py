"""Arrays of other libraries on a GPU, as far as they say what they are: the array interface, DLPack, streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor, run_on_cpu

from fastseg import argmax_labels, count_labels, sum_scores
from fastseg.arrays import device
from fastseg.arrays.device import device_array, device_of, tensor_on_device

TRUE = np.arange(60, dtype="i8").reshape(3, 20) % 5
PRED = TRUE[:, ::-1]


class OnlyInterface:
    """An array with CUDA's array interface and nothing else, as Numba's."""

    def __init__(self, array: Any, **more: Any) -> None:
        self.array, self.dtype, self.more = array, array.dtype, more

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("copied to the memory of the CPU without being asked")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        interface = self.array.__array_interface__
        return {**{key: interface[key] for key in ("shape", "typestr", "data", "strides")}, "version": 3, **self.more}


class OnlyDlpack:
    """An array with DLPack and nothing else, of a library that has streams of its own."""

    def __init__(self, array: Any, dtype: str = "") -> None:
        self.array, self.dtype = array, dtype or str(array.dtype)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("copied to the memory of the CPU without being asked")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, *, stream: int) -> Any:
        assert stream == 1
        return self.array.__dlpack__()


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Cpu:
    return run_on_cpu(monkeypatch)


@pytest.mark.parametrize("kind", [OnlyInterface, OnlyDlpack])
def test_arrays_that_say_it_in_one_way(cpu: Cpu, kind: Any) -> None:
    counts = count_labels(kind(TRUE), kind(PRED), num_classes=5, sample_axis=0)
    assert cpu.launched
    assert counts == count_labels(TRUE, PRED, num_classes=5, sample_axis=0, backend="numpy")
    with pytest.raises(
        ValueError, match=r"y_pred: .* memory of GPU 0, where y_true lies; found one in that of the CPU"
    ):
        count_labels(kind(TRUE), PRED, num_classes=5)


@pytest.mark.parametrize(
    ("kind", "said"), [(2, "GPU 3"), (8, "Metal GPU 3"), (10, "ROCm GPU 3"), (99, "DLPack kind 99 3")]
)
def test_where_an_array_lies_is_said(kind: int, said: str) -> None:
    there = OnlyDlpack(TRUE)
    there.__dlpack_device__ = lambda: (kind, 3)  # type: ignore[method-assign]
    with pytest.raises(TypeError, match=rf"y_score: .* found one in that of .*{said}; copy it, as PyTorch's \.cpu\(\)"):
        argmax_labels(there, channel_axis=0)
    with pytest.raises(TypeError, match="y_score: .* found one in that of a GPU; copy it"):
        argmax_labels(OnlyInterface(TRUE), channel_axis=0)


@pytest.mark.torch
def test_bfloat16_of_dlpack(cpu: Cpu) -> None:
    import torch

    score = torch.arange(60, dtype=torch.float32).reshape(20, 3).remainder(7).to(torch.bfloat16)
    found = sum_scores(OnlyDlpack(torch.from_numpy(TRUE[0] % 3)), OnlyDlpack(score, "bfloat16"), activation="softmax")
    expected = sum_scores(TRUE[0] % 3, score.float(), activation="softmax", backend="numpy")
    np.testing.assert_allclose(found.cross_entropy, expected.cross_entropy, rtol=1e-6)


def test_what_cannot_be_read() -> None:
    with pytest.raises(TypeError, match="y_true: expected a plain array, found a masked one"):
        device_array(OnlyInterface(TRUE, mask=TRUE), "y_true")
    with pytest.raises(TypeError, match="y_true: expected numbers in the order of bytes of the machine"):
        device_array(Tensor(TRUE.astype(">i4")), "y_true")
    with pytest.raises(
        TypeError, match=r"y_true: .* CUDA array interface or DLPack on a GPU, found OnlyDlpack of complex64"
    ):
        device_array(OnlyDlpack(TRUE.astype("c8")), "y_true")
    assert device_array(TRUE, "y_true") is None


def test_streams() -> None:
    """The first array's is worked on, others are waited for; 0 and 1 are both the default one."""
    first, same, other = (device_array(Tensor(TRUE, stream=stream), "y_true") for stream in (1, None, 8))
    plain = device_of(y_true=first, y_pred=same, mask=None)
    assert plain is not None
    assert (plain.stream, plain.others) == (1, ())
    mixed = device_of(y_true=other, y_pred=same)
    assert mixed is not None
    assert (mixed.stream, mixed.others) == (8, (1,))


def test_memory_that_is_only_read() -> None:
    plain, read_only = (device_array(Tensor(TRUE, writeable=writeable), "out") for writeable in (True, False))
    assert plain is not None
    assert read_only is not None
    assert (plain.writeable, read_only.writeable) == (True, False)


def test_memory_that_is_nowhere(cpu: Cpu) -> None:
    """A tensor that is shared out, or has no memory yet, says that it lies on a GPU, and at no address."""
    nowhere = {"data": (0, False)}
    with pytest.raises(
        TypeError, match="y_true: expected an array with memory on a GPU, found OnlyInterface without any"
    ):
        device_array(OnlyInterface(TRUE, **nowhere), "y_true")
    found = device_array(OnlyInterface(TRUE[:0], **nowhere), "y_true")
    assert found is not None
    assert found.size == 0


def test_who_says_nothing_of_streams_is_asked_by_dlpack() -> None:
    """JAX's interface is of version 2, which does not wait for what makes the array; its DLPack does."""

    class Both(OnlyDlpack):
        asked = False

        def __init__(self, array: Any, version: int) -> None:
            super().__init__(array)
            self.version = version

        def __dlpack__(self, *, stream: int) -> Any:
            self.asked = True
            return super().__dlpack__(stream=stream)

        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            return {**OnlyInterface(self.array).__cuda_array_interface__, "version": self.version}

    for version, asked in ((2, True), (3, False)):
        array = Both(TRUE, version)
        found = device_array(array, "y_true")
        assert found is not None
        assert (found.pointer, found.shape, found.strides) == (TRUE.ctypes.data, TRUE.shape, TRUE.strides)
        assert array.asked is asked


def test_what_dlpack_refuses_is_named() -> None:
    class Sparse(OnlyDlpack):
        def __dlpack__(self, *, stream: int) -> Any:
            raise BufferError("sparse")

    with pytest.raises(TypeError, match="y_pred: expected a dense array on one GPU, found Sparse: sparse"):
        device_array(Sparse(TRUE), "y_pred")


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let plain tensors of PyTorch in the memory of the CPU be on a GPU."""
    monkeypatch.setattr(device, "_gpu_of", lambda tensor: 0)
    monkeypatch.setattr(device, "_stream_of_torch", lambda: lambda index: 7)


@pytest.mark.torch
def test_plain_tensors_are_asked_themselves(on_gpu: None) -> None:
    import torch

    for kind in ("bool", "uint8", "int16", "int64", "float16", "float32", "float64", "bfloat16"):
        tensor = torch.zeros(4, 6, dtype=getattr(torch, kind))[1:, ::2].T
        found = tensor_on_device(tensor, "y_true")
        assert found is not None
        array, bfloat16 = found
        size = tensor.element_size()
        assert (array.pointer, array.shape, array.strides) == (tensor.data_ptr(), (3, 3), (2 * size, 6 * size))
        assert (array.dtype.name, bfloat16) == ("int16" if kind == "bfloat16" else kind, kind == "bfloat16")
        assert (array.device.index, array.device.stream) == (0, 7)
    assert tensor_on_device(torch.zeros(1).to_sparse(), "y_true") is None
    assert tensor_on_device(torch.nn.Parameter(torch.zeros(1)), "y_true") is None
    graph = torch.zeros(3, requires_grad=True) * 2
    kept = tensor_on_device(graph, "y_score")
    assert kept is not None
    assert kept[0].owner.grad_fn is None
    with pytest.raises(TypeError, match="y_true: expected numbers as they lie in memory, found a view that negates"):
        tensor_on_device(torch.zeros(2, dtype=torch.complex64).conj().imag, "y_true")
    with pytest.raises(TypeError, match="y_true: .* found torch.float8_e4m3fn"):
        tensor_on_device(torch.zeros(2).to(torch.float8_e4m3fn), "y_true")
    with pytest.raises(TypeError, match="mask: expected an array of a type that NumPy has, found bfloat16"):
        device_array(torch.zeros(2, dtype=torch.bfloat16), "mask")


@pytest.mark.torch
def test_plain_tensors_are_counted(cpu: Cpu, on_gpu: None) -> None:
    import torch

    true, pred = torch.from_numpy(TRUE), torch.from_numpy(PRED.copy())
    for begin in (0, 1, 0):  # the same arrays, and others that lie alike
        ours = count_labels(true[:, begin:], pred[:, begin:], num_classes=5, sample_axis=0)
        assert ours == count_labels(TRUE[:, begin:], PRED[:, begin:], num_classes=5, sample_axis=0, backend="numpy")
    score = torch.arange(60, dtype=torch.float32).reshape(20, 3).remainder(7).to(torch.bfloat16)
    found = sum_scores(true[0] % 3, score, activation="softmax")
    expected = sum_scores(TRUE[0] % 3, score.float().numpy(), activation="softmax", backend="numpy")
    np.testing.assert_allclose(found.cross_entropy, expected.cross_entropy, rtol=1e-6)

"""The GPU of tests of drop-ins: kernels and tensors of a CPU."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.cuda.on_cpu import run_on_cpu

from fastseg.kernels.cuda import driver
from fastseg.kernels.protocols.device import NoDevice


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Enter a GPU whose kernels run on the CPU (`launched`), and let nothing go to the host."""
    import torch
    from support.cuda.gpu import Gpu, OnGpu

    def copied(*_: Any) -> Any:
        raise AssertionError("a map was copied from the GPU")

    found = Gpu(run_on_cpu(monkeypatch))
    monkeypatch.setattr(importlib.import_module("fastseg.kernels.cuda"), "on_host", copied)
    monkeypatch.setattr(importlib.import_module("fastseg.arrays.device"), "_stream", lambda *_: 0)
    monkeypatch.setattr(importlib.import_module("fastseg.adapters.devices"), "_PLAIN", (torch.Tensor, OnGpu))
    loss = importlib.import_module("fastseg.adapters.autograd")._Loss
    monkeypatch.setattr(loss, "backward", staticmethod(found.within(loss.backward)))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")
    with found:
        yield found


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what takes the driver away."""

    def none() -> Any:
        raise NoDevice("no driver")

    return lambda: monkeypatch.setattr(driver, "driver", none)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing go to the host, and skip where PyTorch knows no GPU."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs PyTorch for CUDA")
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")

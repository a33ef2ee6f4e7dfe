"""Where the kernels of a GPU run: on the CPU, from their own text, or on a GPU where there is one."""

from __future__ import annotations

import os

import pytest
from support.cuda.on_cpu import Cpu, run_on_cpu
from support.cuda.ptx_on_cpu import PtxCpu

if os.environ.get("FASTSEG_PTX"):  # all of them from what NVIDIA's compiler makes of them, which takes minutes
    Cpu.run = PtxCpu().run


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Cpu:
    """Run kernels on the CPU."""
    return run_on_cpu(monkeypatch)

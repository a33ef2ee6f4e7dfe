"""Where the kernels of a GPU run: on the CPU, from their own text, or on a GPU where there is one."""

from __future__ import annotations

import pytest
from support.cuda.on_cpu import Cpu, run_on_cpu


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Cpu:
    """Run kernels on the CPU."""
    return run_on_cpu(monkeypatch)

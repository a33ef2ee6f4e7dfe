"""Where the kernels of a GPU run: on the CPU, from their own text, or on a GPU where there is one."""

from __future__ import annotations

import shutil

import pytest
from support.cuda.on_cpu import Cpu

from fastseg.kernels.cuda import driver


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Cpu:
    """Run kernels on the CPU."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++, which pip does not install")
    found = Cpu()
    monkeypatch.setattr(driver, "_driver", found)
    return found

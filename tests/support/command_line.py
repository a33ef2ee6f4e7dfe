"""The command line, called in this process and as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from fastseg import cli

T = np.repeat(np.random.default_rng(0).integers(0, 4, (6, 8, 5)), 6, axis=2).astype("u1")


def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "fastseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["fastseg", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        cli.main()
    out, err = capsys.readouterr()
    return int(done.value.code or 0), out, err

"""Commands beside evaluate: info, version, warmup and demo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from support.command_line import call

from fastseg.cli import tools
from fastseg.kernels.numba import cache_folder


def test_info_and_version(capsys: Any, monkeypatch: Any) -> None:
    code, out, _ = call(capsys, monkeypatch, "info")
    assert code == 0
    for word in ("fastseg", "numba", "scipy", "threads", "features", "kernel cache", "CUDA"):
        assert word in out
    assert call(capsys, monkeypatch, "--version")[1].startswith("fastseg, version ")
    assert "demo" in call(capsys, monkeypatch, "--help")[1]


def test_demo_in_small(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tools, "_DEMO_SHAPE", (40, 50, 60))
    code, out, err = call(capsys, monkeypatch, "demo", "--threads", 2)
    assert code == 0
    assert "all 196 counts equal NumPy's" in out
    assert "million voxels a second" in out
    assert not Path(err.strip().rsplit(" ", 1)[-1]).exists()  # the temporary folder is gone


def test_warmup(capsys: Any, monkeypatch: Any) -> None:
    code, out, err = call(capsys, monkeypatch, "warmup")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"kernels are ready after \d+\.\d s; cache: .+\n", out)
    assert out.endswith(f" {cache_folder()}\n")

"""The examples of drop-ins run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*_drop_in.py"))
#: Hosts that need no PyTorch.
LIGHT = ("sklearn",)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem.startswith(LIGHT) else pytest.mark.torch)
        for path in EXAMPLES
    ],
)
def test_example(path: Path, tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert "fast" in result.stdout
    assert "Traceback" not in result.stderr

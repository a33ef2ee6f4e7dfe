"""scikit-learn's own tests, from its wheel, while it is patched, started from the command line: all must pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

FILES = [f"sklearn.metrics.tests.test_{name}" for name in ("classification", "common", "score_objects")]
PLOTS = "sklearn.metrics._plot.tests.test_confusion_matrix_display"


@pytest.mark.slow
def test_their_tests_pass(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fastseg.patch", "sklearn", "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider"]
    command += ["-p", "support.printed_status", "--pyargs", *FILES, PLOTS]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed, result.stdout[-2_000:]
    assert int(passed[1]) >= 1_800
    status = re.search(r"^sklearn +\S+ +\d{4}-\S+ \S+ +(\d+) +(\d+)$", result.stdout, re.MULTILINE)
    assert status, result.stdout[-2_000:]  # still patched at the end
    fast = re.findall(r"^sklearn\.\w+ +(\d+)", result.stdout, re.MULTILINE)
    assert len(fast) == 16  # every function that there is a drop-in for
    assert sum(map(int, fast)) == int(status[1]) > 3_000

"""The example of patching runs, and everything that it is about goes fast."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import fastseg
from fastseg.adapters import report

EXAMPLE = Path(__file__).parents[2] / "docs/examples/patch.py"


def test_example(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")
    report(reset=True)  # of what other tests called
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    assert "8 scores, the largest difference 0.0\n" in printed
    calls = fastseg.patch.status()["sklearn"].calls
    assert calls["sklearn.f1_score"].fast == 3
    assert calls["sklearn.classification_report"].fast == calls["sklearn.jaccard_score"].fast == 1
    assert not [name for name, each in calls.items() if each.host]

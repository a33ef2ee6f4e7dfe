"""The folder of a run, written once for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.example_runs import example

from fastseg.runs.outputs.folder import write_outputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_outputs(example(), tmp_path)
    return tmp_path

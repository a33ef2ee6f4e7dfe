"""Files and folders for the command line, which an interrupted command leaves as they were."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cases_on_disk import folders
from support.command_line import T
from support.volumes_on_disk import write


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """An interrupted command leaves them ignored, as it ends."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    p = T.copy()
    p[0] = 0
    return write(tmp_path / "reference.nii.gz", T), write(tmp_path / "prediction.nii.gz", p)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folders(tmp_path, 5)

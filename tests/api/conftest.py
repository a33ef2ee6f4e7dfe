"""Files of scores: how they are cut into slabs and kept meanwhile, and the labels that they are scored against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.volumes_on_disk import write

from fastseg.counting import score_files
from fastseg.volumes import sources as score_sources


@pytest.fixture(params=[100, 1600, 16 << 20], ids=["voxels", "lines", "whole"])
def slab(request: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """Cut the volumes into slabs of a few voxels, of a few lines, and not at all."""
    size = int(request.param)
    monkeypatch.setattr(score_files, "SLAB_BYTES", size)
    return size


@pytest.fixture(params=[True, False], ids=["memory", "disk"])
def place(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(score_sources, "MEMORY_BYTES", 100)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    from support.score_files import T  # which sums them, and most tests of this folder need none of it

    return write(tmp_path / "t.nii.gz", T)

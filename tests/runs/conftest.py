"""Folders of cases to score, and which of them were counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.cases_on_disk import folders
from support.runs import Counted

from fastseg.runs.scoring import threads as running
from fastseg.runs.scoring.case import score_case


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folders(tmp_path)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The ids of the cases that were counted."""
    ids: Counted = []

    def noted(case: Any, *args: Any, **kwargs: Any) -> Any:
        ids.append(case.id)
        return score_case(case, *args, **kwargs)

    monkeypatch.setattr(running, "score_case", noted)
    return ids

"""A report of other results than those beside it is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.reports import phantom, run_of

from fastseg.report import write_report
from fastseg.runs import Run
from fastseg.runs.outputs.stale_report import remove_stale_report

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_a_page_of_earlier_results_is_removed(tmp_path: Path) -> None:
    run = run_of(phantom("a", 0), phantom("b", 1))
    assert remove_stale_report(tmp_path) is None
    run.save(tmp_path)
    assert remove_stale_report(tmp_path) is None
    path = write_report(tmp_path)
    Run(run.settings, run.records, {"times": {"seconds": 5.0}}).save(tmp_path)
    assert remove_stale_report(tmp_path) is None
    assert path.is_file()
    run_of(phantom("a", 0), phantom("b", 2)).save(tmp_path)
    note = remove_stale_report(tmp_path)
    assert note == f"{path} showed earlier results, and is removed: fastseg report {tmp_path} writes it again"
    assert not path.exists()
    path.write_text("<title>My diary</title>")
    assert remove_stale_report(tmp_path) is None
    assert path.is_file()


@pytest.mark.parametrize(
    "changed", [{"metrics": ("iou",)}, {"confidence": 0.9}, {"names": {1: "liver"}}, {"gates": [1]}]
)
def test_a_page_of_other_settings_is_removed(tmp_path: Path, changed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(phantom("a", 0)).save(tmp_path)
    path = write_report(tmp_path, overlays=False)
    facts = {name: changed[name] for name in ("gates",) if name in changed}
    run_of(phantom("a", 0), facts=facts, **{name: changed[name] for name in changed.keys() - facts}).save(tmp_path)

    def fail(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fail)
        assert (
            remove_stale_report(tmp_path) == f"{path} shows earlier results, and cannot be removed: Permission denied"
        )
    assert "is removed" in str(remove_stale_report(tmp_path))

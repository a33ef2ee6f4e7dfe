"""The worst cases of a report, and the files of which it makes pictures."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.reports import Page, checked, of_arrays, phantom, run_of, scored

from fastseg.phantom import phantom_pair
from fastseg.report import overlays, worst_cases, write_report
from fastseg.runs import Run, Settings, evaluate_folder

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_worst_cases_by_direction() -> None:
    values = np.array([0.5, np.nan, -0.2, 0.9])
    assert worst_cases.badness(values, "higher").argsort()[:3].tolist() == [3, 0, 2]
    run = run_of(*(phantom(f"{n}", n) for n in range(4)))
    for metric, order in (
        ("dice", [2, 0, 3]),
        ("false_positive_rate", [3, 0, 2]),
        ("relative_volume_difference", [3, 0, 2]),
    ):
        assert worst_cases.rank(run, metric, values) == order
    assert worst_cases.rank(run, "prevalence", values) == []


def test_files_that_changed(tmp_path: Path, volumes: dict[str, Any]) -> None:
    path = tmp_path / "r.nii"
    path.write_bytes(b"12345")
    case = phantom("a", 0, reference=str(path), prediction=str(path), inputs={"reference": {"size": 4}})
    assert "it has changed since it was scored" in checked(run_of(case)).text
    entry = {"size": 5, "sha256": hashlib.sha256(b"54321").hexdigest()}
    case = phantom("a", 0, reference=str(path), prediction=str(path), inputs={"reference": entry})
    assert "it has changed since it was scored" in checked(run_of(case)).text  # though it is as large


def scored_beside(folder: Path, suffix: str = ".nii.gz", **options: Any) -> tuple[Path, Run]:
    """Score two files by relative paths in a folder; return that of the results."""
    nibabel = pytest.importorskip("nibabel")
    for name, labels in zip(("r", "p"), phantom_pair((30, 40, 20), 4, foreground=0.3), strict=True):
        image = (nibabel.Nifti1Pair if suffix == ".img" else nibabel.Nifti1Image)(labels, np.eye(4))
        nibabel.save(image, folder / f"{name}{suffix}")
    run = evaluate_folder(f"r{suffix}", f"p{suffix}", resamples=50, **options)
    run = Run(run.settings, run.records, {**run.facts, "working_folder": str(folder)})
    run.save(folder / "out")
    return folder / "out", run


@pytest.mark.parametrize("suffix", [".nii.gz", ".img"])
def test_pictures_from_another_folder(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out, _ = scored_beside(tmp_path, suffix)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = write_report(out).read_text()
    assert "no picture" not in text
    assert text.count("<figcaption>Disagreement</figcaption>") == 3


def test_pictures_where_run_and_files_were_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    scored_beside(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    assert "no picture" not in write_report("out").read_text()
    Path("p.nii.gz").unlink()
    found = Page(write_report("out").read_text())
    wanted = f"p.nii.gz: there is no such file, neither in {tmp_path}/here, where the run was made, nor in the folder in which"
    assert f"There is no picture of this case: {wanted}" in found.text


def test_files_that_are_gone(tmp_path: Path) -> None:
    inputs = {"reference": {"size": 4, "sha256": None}, "prediction": {"size": 4, "sha256": None}}
    text = checked(run_of(phantom("a", 0, inputs=inputs))).text
    assert (
        "gone.nii.gz: there is no such file in the folder in which this report was written, and the run does not"
        in text
    )
    case = phantom("a", 0, inputs=inputs, reference=str(tmp_path / "gone.nii.gz"))
    assert f"{tmp_path}/gone.nii.gz: there is no such file any more" in checked(run_of(case)).text


def test_real_files(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    true, pred = phantom_pair((30, 40, 20), 4, foreground=0.3)
    paths = [str(tmp_path / name) for name in ("r.nii.gz", "p.nii.gz")]
    for path, labels in zip(paths, (true, pred), strict=True):
        nibabel.save(nibabel.Nifti1Image(labels, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    found = overlays.views(scored("a", true, pred, reference=paths[0], prediction=paths[1]), Settings())
    assert found.axes == ("x", "y", "z")
    assert found.errors == (true != pred).sum()
    z = found.planes[0]
    assert z.index == found.voxel[2]
    assert (z.true != z.pred).sum() == (true != pred)[:, :, z.index].sum()


@pytest.mark.parametrize(("labels", "more"), [(24, None), (25, "and 1 more"), (60, "and 36 more")])
def test_a_legend_says_how_many_classes_it_does_not_name(
    volumes: dict[str, Any], labels: int, more: str | None
) -> None:
    volume = np.repeat(np.arange(1, labels + 1), 8).reshape(4, -1)
    text = checked(run_of(of_arrays(volumes, volume, volume))).text
    assert re.findall(r"and \d+ more", text) == ([] if more is None else [more])

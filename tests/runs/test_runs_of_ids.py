"""Runs whose labels are ids of instances, such as cells: matched by the pairs that were counted."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import call
from support.saved_pairs import saved_pairs

from fastseg import Run, count_pairs, evaluate_folder, match_instances, merge_runs
from fastseg.metrics.instances import match_pairs
from fastseg.report import write_report
from fastseg.runs.comparison.compare import compare_runs


def cells(seed: int) -> tuple[Any, Any]:
    """Return 5,000 cells of 12 pixels, more than there may be classes, with large ids; some are drawn badly or missed."""
    draw = np.random.default_rng(seed)
    true = (np.arange(5000).reshape(50, 100) + 10**9).repeat(3, 0).repeat(4, 1)
    pred = np.where(draw.random(true.shape) < 0.35, 0, true - 10**9 + 7)
    pred[:, :40] = 0
    return true, pred


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return saved_pairs(tmp_path, cells)


def test_cells_of_folders(folders: Any, tmp_path: Path, counted: list[str]) -> None:
    out = tmp_path / "out"
    run = evaluate_folder(*folders, out, instances="ids", match="stardist", min_voxels=3)
    assert run.failed == ()
    assert run.settings.metrics[-1] == "adjusted_rand_error_recall"
    wanted = [match_instances(*cells(seed), convention="stardist", min_voxels=3) for seed in range(3)]
    found = run.instances
    assert found is not None
    assert found.values("detection_f1")[:, 0] == pytest.approx([each.f1 for each in wanted])
    assert found.pooled("matched") == [sum(each.tp for each in wanted)]
    assert f"ids {found.pooled('matched')[0]:.0f}" in " ".join(str(run).split())
    with (out / "instances.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(each.rows()) for each in wanted)
    assert {row["region"] for row in rows} == {"ids"}
    assert int(next(row["true"] for row in rows if row["kind"] == "matched")) == wanted[0].pairs.true[0]
    with (out / "cases.csv").open(encoding="utf-8", newline="") as file:
        missed = [row for row in csv.DictReader(file) if row["metric"] == "missed"]
    assert [(row["class"], row["label"], row["value"]) for row in missed] == [("ids", "", f"{w.fn}") for w in wanted]
    loaded = Run.load(out)
    assert loaded.instances is not None
    assert loaded.instances.rows == found.rows
    counted.clear()
    again = evaluate_folder(*folders, out, instances=["ids"], match="stardist", min_voxels=3, metrics="rand_index")
    assert counted == []
    assert [each.metric for each in compare_runs(run, again, metrics=["pq"]).rows] == ["panoptic_quality"] * 2


def test_shards_and_the_report(folders: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"instances": "ids", "metrics": "rand_index", "gates": ["pq=0.1", "ids:missed=99999"]}
    for k in (1, 2):
        evaluate_folder(*folders, tmp_path / f"{k}", shard=(k, 2), **options)
    merged = merge_runs([tmp_path / "1", tmp_path / "2"], tmp_path / "both")
    whole = evaluate_folder(*folders, tmp_path / "whole", **options)
    assert merged.facts["gates"] == whole.facts["gates"]
    assert [each["passed"] for each in whole.facts["gates"]] == [True, True]
    for name in ("instances.csv", "cases.csv", "classes.csv"):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    page = write_report(tmp_path / "whole").read_text("utf-8")
    assert "Instances" in page


def test_the_command_line(folders: Any, capsys: Any, monkeypatch: Any) -> None:
    pair = folders[0] / "1.npy", folders[1] / "1.npy"
    code, out, err = call(capsys, monkeypatch, "evaluate", *pair, "--instances", "ids", "--match", "cellpose")
    assert (code, err) == (0, "")
    wanted = match_pairs(count_pairs(*cells(1)), convention="cellpose")
    assert out.splitlines()[-1].split()[:4] == ["ids", f"{wanted.tp}", f"{wanted.fn}", f"{wanted.fp}"]
    assert "variation_of_information" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": "dice"}, "instances: expected metrics of partitions beside 'ids'"),
        ({"connectivity": 8}, "connectivity: of components, and 'ids' are taken as they are; found 8"),
        ({"dilation": 1}, "dilation: of components"),
        ({"match": "centre"}, "match: expected a rule of overlaps, .* found 'centre'"),
        ({"match": "brats"}, "match: expected a rule of overlaps, or a convention of maps of ids, .* found 'brats'"),
        ({"instances": "1", "metrics": "rand_index"}, "instances: of classes, which partitions have none of"),
        ({"match": "iou>1.5"}, "match: threshold: expected at most 1, which no iou exceeds, found 1.5"),
        ({"match": "iou"}, "found 'iou' .quoted, 'iou>0.5', since shells have a meaning of their own for >"),
    ],
)
def test_what_is_refused(folders: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_folder(*folders, **{"instances": "ids", **options})

"""Shards become the run that one machine would have made, or an error lists why they cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cases_on_disk import contents, folders as case_folders
from support.command_line import call

import fastseg
from fastseg.runs.cases.find import CasesError


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return case_folders(tmp_path, 5)


def shards(two: Any, where: Path, of: int, **options: Any) -> list[Path]:
    """Score all shards; return their folders."""
    out = [where / str(number) for number in range(1, of + 1)]
    for number, folder in enumerate(out, 1):
        fastseg.evaluate_folder(*two, folder, shard=(number, of), **options)
    return out


@pytest.mark.parametrize("of", [1, 2, 7])
def test_shards_are_the_run_of_one_machine(two: Any, tmp_path: Path, of: int) -> None:
    (two[1] / "case_03.nii.gz").write_bytes(b"no volume")
    options: dict[str, Any] = {"gates": ["dice=0.5", "iou=0.99"], "metrics": ["dice", "iou"]}
    fastseg.evaluate_folder(*two, tmp_path / "whole", **options)
    folders = shards(two, tmp_path / "out", of, **options)  # of seven, two have no cases
    run = fastseg.merge_runs(folders[::-1], tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    assert [gate["passed"] for gate in run.facts["gates"]] == [True, False]
    assert [record.id for record in run.failed] == ["case_03"]
    before = contents(tmp_path / "merged")
    fastseg.merge_runs([*folders, tmp_path / "merged"], tmp_path / "merged")  # as out/* names it
    assert contents(tmp_path / "merged") == before


def test_instances_of_shards(two: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"instances": [1, 2], "match": "overlap>0", "gates": ["1:pq=0.1"]}
    fastseg.evaluate_folder(*two, tmp_path / "whole", **options)
    folders = shards(two, tmp_path / "out", 2, **options)
    fastseg.merge_runs(folders, tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    (folders[1] / "instances.csv").unlink()
    with pytest.raises(CasesError, match="expected the instances.csv that the shard was written with"):
        fastseg.merge_runs(folders, tmp_path / "merged")


def test_shards_of_surfaces(two: Any, tmp_path: Path, counted: list[str]) -> None:
    options: dict[str, Any] = {"gates": ["hd95=3"], "metrics": ["hd95", "nsd"], "tolerance": 1, "surface": "surfel"}
    fastseg.evaluate_folder(*two, tmp_path / "whole", **options)
    fastseg.merge_runs(shards(two, tmp_path / "out", 2, **options), tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    counted.clear()
    fastseg.evaluate_folder(*two, tmp_path / "merged", metrics=["assd"], surface="surfel")
    assert counted == []
    fastseg.evaluate_folder(*two, tmp_path / "out" / "2", shard=(2, 2), gates=["dice=0"])
    with pytest.raises(CasesError, match="surfaces None, and {'surface': 'surfel'"):
        fastseg.merge_runs([tmp_path / "out" / "1", tmp_path / "out" / "2"])


def test_the_merged_folder_goes_on(two: Any, tmp_path: Path, counted: list[str]) -> None:
    fastseg.merge_runs(shards(two, tmp_path / "out", 2), tmp_path / "merged")
    counted.clear()
    fastseg.evaluate_folder(*two, tmp_path / "merged")
    assert counted == []


def test_a_shard_counts_its_share_and_goes_on(two: Any, tmp_path: Path, counted: list[str]) -> None:
    said: list[str] = []
    fastseg.evaluate_folder(*two, tmp_path / "out", shard=(2, 3))
    assert counted == ["case_01", "case_04"]
    fastseg.evaluate_folder(*two, tmp_path / "out", shard=(2, 3), note=said.append)
    assert counted == ["case_01", "case_04"]
    assert said == ["2 of 2 cases were scored before"]
    with pytest.raises(ValueError, match="^output: .* expected another folder"):
        fastseg.evaluate_folder(*two, tmp_path / "out", shard=(1, 3))


def test_all_that_is_wrong_with_shards_is_listed(two: Any, tmp_path: Path) -> None:
    first, second, third, fourth = shards(two, tmp_path / "out", 4)
    shutil.copytree(second, tmp_path / "copy")
    (third / "run.json").unlink()
    fastseg.evaluate_folder(*two, fourth, shard=(4, 4), metrics=["dice"], ignore=[2])
    fastseg.evaluate_folder(*two, tmp_path / "whole")
    with pytest.raises(CasesError) as found:
        fastseg.merge_runs([first, second, tmp_path / "copy", third, fourth, tmp_path / "whole", first])
    text = str(found.value)
    assert text.startswith("the shards: ")
    for expected in (
        "expected a folder that fastseg evaluate -o has finished, found no run.json in it",
        "whole: expected a shard (evaluate --shard), found a whole run",
        "4: metrics ['dice'], and ['dice', 'iou', 'precision', 'recall'] in",
        "4: ignore [2], and [] in",
        f"shard 2/4: 2 times, in {second}, {tmp_path / 'copy'}",
        "shard 3/4: missing",
        f"{first}: given 2 times",
    ):
        assert expected in text, expected


def test_what_differs_is_said_of_the_one_that_does_also_where_it_is_the_first(two: Any, tmp_path: Path) -> None:
    first, *others = shards(two, tmp_path / "out", 3)
    fastseg.evaluate_folder(*two, first, shard=(1, 3), ignore=[2])
    with pytest.raises(CasesError) as found:
        fastseg.merge_runs([first, *others])
    assert found.value.problems == [f"{first}: ignore [2], and [] in {others[0]}"]


def test_cases_that_came_later_are_found(two: Any, tmp_path: Path) -> None:
    first, second = shards(two, tmp_path / "out", 2)
    for folder in two:
        shutil.copy(folder / "case_00.nii.gz", folder / "case_99.nii.gz")
    fastseg.evaluate_folder(*two, second, shard=(2, 2))
    with pytest.raises(CasesError, match="cases 6, and 5 in"):
        fastseg.merge_runs([first, second])


def test_other_cases_than_there_were_are_found(two: Any, tmp_path: Path) -> None:
    (folder,) = shards(two, tmp_path / "out", 1)
    plain = json.loads((folder / "run.json").read_text())
    plain["facts"]["shard"]["ids"] = "0" * 64
    (folder / "run.json").write_text(json.dumps(plain))
    with pytest.raises(CasesError, match="expected the 5 cases that were there when the shards began, found 5, others"):
        fastseg.merge_runs([folder])


def test_paths_that_are_no_folders_of_shards() -> None:
    with pytest.raises(TypeError, match="^shards: expected the folders of all shards, found one path"):
        fastseg.merge_runs("out")
    with pytest.raises(ValueError, match="^shards: expected at least one folder"):
        fastseg.merge_runs([])


def test_on_the_command_line(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    gate = ("--fail-under", "dice=0.999")
    _, table, _ = call(capsys, monkeypatch, "evaluate", *two, "-o", tmp_path / "whole", *gate)
    for number in (1, 2):
        code, _, err = call(
            capsys, monkeypatch, "evaluate", *two, "-o", tmp_path / f"out/{number}", "--shard", f"{number}/2", *gate
        )
        assert code == 0
        assert f"shard {number}/2: {4 - number} of 5 cases; fastseg merge puts all shards together" in err
        assert "gate" not in err
    code, text, err = call(
        capsys,
        monkeypatch,
        "merge",
        tmp_path / "out/1",
        tmp_path / "out/2",
        "-o",
        tmp_path / "m",
        "--junit",
        tmp_path / "j",
    )
    assert (code, text) == (1, table)
    assert "gate failed" in err
    assert "failures=" in (tmp_path / "j").read_text()
    assert contents(tmp_path / "m") == contents(tmp_path / "whole")
    code, text, err = call(capsys, monkeypatch, "merge", tmp_path / "out/1")
    assert (code, text, err) == (
        3,
        "",
        "fastseg: error: the shards: 1 problem\n  shard 2/2: missing\n"
        "  (the same commands as before finish or repeat single shards)\n",
    )
    for wrong in (["--shard", "3/2", "-o", tmp_path / "x"], ["--shard", "1/2"]):
        code, _, err = call(capsys, monkeypatch, "evaluate", *two, *wrong)
        assert (code, "--shard: expected" in err) == (2, True)


def test_a_shard_without_cases_is_no_failure(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "-o", tmp_path / "out", "--shard", "9/9")
    assert (code, text) == (0, "")
    assert "shard 9/9: 0 of 5 cases" in err

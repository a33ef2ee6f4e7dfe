"""Folders on the command line: options reach the run, and what it prints, keeps and exits with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from support.cases_on_disk import contents, pair as cases_pair
from support.command_line import call
from support.volumes_on_disk import write


def test_a_folder_is_scored_and_kept(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "-o", out)
    assert (code, err) == (0, "")
    for word in ("class", "dice", "mean", "95%", "interval", "5 of 5 cases scored", "convention: fastseg"):
        assert word in text
    assert max(map(len, text.splitlines())) < 130
    before = contents(out)
    code, again, err = call(capsys, monkeypatch, "evaluate", *two, "-o", out)
    assert (code, again, err) == (0, text, "fastseg: 5 of 5 cases were scored before\n")
    assert contents(out) == before
    assert call(capsys, monkeypatch, "evaluate", *two, "-o", out, "--quiet") == (0, "", "")
    assert call(capsys, monkeypatch, "evaluate", *two, "-o", out, "--no-resume")[2] == ""
    assert contents(out) == before


def test_a_folder_as_json(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "--json", "-", "--metrics", "dice,accuracy")
    assert (code, err) == (0, "")
    found = json.loads(text)
    assert found["counts"]["scored"] == 5
    assert set(found["mean"]) == {"dice", "accuracy"}
    assert [case["id"] for case in found["cases"]] == [f"case_{n:02d}" for n in range(5)]
    code, text, _ = call(capsys, monkeypatch, "evaluate", *two, "--json", tmp_path / "x.json", "--quiet")
    assert (code, text) == (0, "")
    assert json.loads((tmp_path / "x.json").read_text())["mean"]["dice"] == found["mean"]["dice"]


def test_options_reach_the_run(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("1 -> 2\n")
    options = [
        "--ignore", 3, "--map-prediction", tmp_path / "map.txt", "--regions", "a=1,2;b=2", "--convention", "nnunet",
        "--missing", "worst", "--background", "--hash", "always", "--unknown", "count", "--reorient", "--axes", "xyz",
        "--geometry", "warn", "--threads", 2, "--pattern", r"(?P<case>.*)\.nii\.gz",
        "--pattern", r"(?P<case>.*)\.nii.gz",
    ]  # fmt: skip
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "--json", "-", *options)
    assert (code, err.count("\n")) == (0, 1)
    assert "does nothing where no labels are declared" in err
    settings = json.loads(text)["settings"]
    expected: dict[str, Any] = {
        "ignore": [3], "map_prediction": {"1": 2}, "regions": {"a": [1, 2], "b": [2]}, "convention": "nnunet",
        "missing": "worst", "background": True, "unknown": "count", "reorient": True, "axes": "xyz", "geometry": "warn",
        "activation": None,
    }  # fmt: skip
    assert {name: settings[name] for name in expected} == expected
    table = tmp_path / "pairs.csv"
    table.write_text("reference,prediction\ngt/case_01.nii.gz,pred/case_02.nii.gz\n")
    code, text, err = call(capsys, monkeypatch, "evaluate", "--pairs", table, "--json", "-")
    assert (code, json.loads(text)["counts"]["expected"]) == (0, 1)
    code, text, _ = call(capsys, monkeypatch, "evaluate", *two, "--roi", two[0], "--json", "-")
    assert (code, json.loads(text)["voxels"]["outside_mask"] > 0) == (0, True)


def test_two_files_become_a_run_where_an_option_needs_one(
    two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    pair = [folder / "case_00.nii.gz" for folder in two]
    code, text, _ = call(capsys, monkeypatch, "evaluate", *pair, "-o", tmp_path / "out")
    assert code == 0
    assert "1 of 1 cases scored" in text
    assert contents(tmp_path / "out")


def test_cases_that_fail(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    (two[1] / "case_01.nii.gz").write_bytes(b"no")
    for folder in two:
        (folder / "case_02.nii.gz").rename(folder / "\x1b[31m\n.nii.gz")
    (two[1] / "\x1b[31m\n.nii.gz").write_bytes(b"")
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "-o", tmp_path / "out", "--quiet")
    assert (code, text) == (3, "")
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(r"fastseg: error: '\x1b[31m\n': ")
    assert lines[1].startswith("fastseg: error: case_01: ")
    assert "\x1b" not in err
    assert len(contents(tmp_path / "out")) == 6
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "--fail-under", "dice=0.1")
    assert code == 3  # not 1, and not 0
    assert "3 of 5 cases scored, 2 failed" in text


def test_missing_predictions_are_said(two: Any, capsys: Any, monkeypatch: Any) -> None:
    (two[1] / "case_01.nii.gz").unlink()
    code, text, err = call(capsys, monkeypatch, "evaluate", *two)
    assert (code, text) == (3, "")
    assert err.startswith(
        "fastseg: error: the cases: 1 problem\n  case_01: no prediction\n  (missing='skip', --missing skip, "
    )
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "--missing", "skip")
    assert (code, err) == (0, "fastseg: warning: 1 of 5 cases have no prediction, and were left out\n")
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "--missing", "worst", "--quiet")
    assert (code, text, err) == (0, "", "")


def test_cases_that_lie_elsewhere_are_said(two: Any, capsys: Any, monkeypatch: Any) -> None:
    write(two[1] / "case_01.nii.gz", cases_pair(1)[1], np.diag([1.0, 1, 2, 1]))
    assert call(capsys, monkeypatch, "evaluate", *two)[0] == 3
    code, _, err = call(capsys, monkeypatch, "evaluate", *two, "--geometry", "warn")
    assert code == 0
    assert err.startswith("fastseg: warning: case_01: ")
    assert err.count("\n") == 1
    assert call(capsys, monkeypatch, "evaluate", *two, "--geometry", "warn", "--quiet") == (0, "", "")


def test_gates(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    options = ["--junit", junit, "--quiet"]
    assert call(capsys, monkeypatch, "evaluate", *two, "--fail-under", "dice=0.01", *options) == (0, "", "")
    assert b'failures="0"' in junit.read_bytes()
    err = call(capsys, monkeypatch, "evaluate", *two, "--fail-under", "dice=0.01")[2]
    assert err.startswith("fastseg: gate passed: dice is 0.")
    gates = ["--fail-under", "dice=0.01", "--fail-under", "2:iou=0.999"]
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, *gates, *options)
    assert (code, text) == (1, "")
    assert err.startswith("fastseg: gate failed: iou of 2 is 0.")
    assert b'failures="1"' in junit.read_bytes()
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "--fail-under", "livr:dice=0.5")
    assert (code, text) == (2, "")
    assert "--fail-under: there is no class 'livr'" in err
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "--fail-under", "nonsense")
    assert (code, text) == (2, "")
    assert "--fail-under: gate: expected METRIC=NUMBER" in err


def test_a_mistake_is_told_before_anything_is_counted(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    for option in ("--json", "--junit"):
        code, text, err = call(
            capsys, monkeypatch, "evaluate", *two, "-o", tmp_path / "out", option, tmp_path / "a" / "b"
        )
        assert (code, text) == (2, "")
        assert f"{option}: " in err
        assert "there is no " in err
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "records.jsonl").write_text("mine\n")
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "-o", tmp_path / "foreign")
    assert (code, text) == (3, "")
    assert "name another folder" in err
    assert (tmp_path / "foreign" / "records.jsonl").read_text() == "mine\n"
    assert call(capsys, monkeypatch, "evaluate", two[0], tmp_path / "none")[0] == 3
    assert call(capsys, monkeypatch, "evaluate", *two, *["--pattern", "x"] * 3)[0] == 2
    assert not (tmp_path / "out").exists()


def test_interrupted_runs_say_what_is_kept(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    from fastseg.runs.scoring import threads as running

    score = running.score_case

    def interrupted(case: Any, *args: Any, **options: Any) -> Any:
        if case.id == "case_03":
            raise KeyboardInterrupt
        return score(case, *args, **options)

    monkeypatch.setattr(running, "score_case", interrupted)
    code, text, err = call(capsys, monkeypatch, "evaluate", *two, "-o", tmp_path / "out", "--threads", 1)
    assert (code, text) == (130, "")
    assert "fastseg: 3 of 5 cases are kept; the same command goes on with the others\n" in err
    assert err.endswith("fastseg: interrupted\n")


def test_two_files_are_scored_as_a_folder_of_them_is(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    files = [folder / "case_01.nii.gz" for folder in two]
    (two[0].parent / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "all": [1, 2, 3], "two": 2}}))
    code, text, err = call(capsys, monkeypatch, "evaluate", *files, "--json", "-")
    assert code == 0
    assert err == f"fastseg: labels from {two[0].parent}/dataset.json\n"
    alone = json.loads(text)
    code, text, err = call(capsys, monkeypatch, "evaluate", *files, "--missing", "skip", "--json", "-")
    assert (code, err) == (0, f"fastseg: labels from {two[0].parent}/dataset.json\n")
    rows = {(row["name"], row["metric"]): row["mean"] for row in json.loads(text)["classes"]}
    for name in ("all", "two"):
        for metric in ("dice", "iou", "precision", "recall"):
            assert rows[name, metric] == alone["classes"][name][metric]


def test_results_of_other_predictions_are_not_overwritten(
    two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert call(capsys, monkeypatch, "evaluate", *two, "-o", out, "--quiet")[0] == 0
    before = contents(out)
    others = tmp_path / "others"
    two[1].rename(others)
    code, text, err = call(capsys, monkeypatch, "evaluate", two[0], others, "-o", out)
    assert (code, text) == (2, "")
    assert "--output: " in err
    assert "results of other predictions" in err
    assert contents(out) == before
    assert call(capsys, monkeypatch, "evaluate", two[0], others, "-o", out, "--no-resume", "--quiet")[0] == 0
    assert str(others) in (out / "run.json").read_text()


def test_a_problem_of_cases_is_no_wrong_option_whatever_the_case_is_called(
    two: Any, capsys: Any, monkeypatch: Any
) -> None:
    (two[0] / "case_01.nii.gz").rename(two[0] / "labels.nii.gz")
    (two[1] / "case_01.nii.gz").unlink()
    code, _, err = call(capsys, monkeypatch, "evaluate", *two)
    assert code == 3
    assert "labels: no prediction" in err


def test_files_that_options_cannot_write(two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option, path in (("--junit", "-"), ("--junit", tmp_path), ("--output", tmp_path / "file")):
        code, text, err = call(capsys, monkeypatch, "evaluate", *two, option, path)
        assert (code, text) == (2, "")
        assert f"error: {option}: " in err
    for metrics in (",", "nope"):
        assert call(capsys, monkeypatch, "evaluate", *two, "--metrics", metrics)[0] == 2

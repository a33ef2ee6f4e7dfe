"""Two files on the command line: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import T, call, run
from support.volumes_on_disk import atlases, write


def test_table(pair: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("1 liver\n2 left kidney\n")
    code, out, err = call(capsys, monkeypatch, "evaluate", *pair, "--labels", tmp_path / "names.txt")
    assert (code, err) == (0, "")
    for text in ("class", "dice", "true ml", "left kidney", "foreground mean", "over"):
        assert text in out
    assert max(map(len, out.splitlines())) < 130


def test_json_on_stdout_is_all_there_is(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    code, out, err = call(capsys, monkeypatch, "evaluate", *pair, "--json", "-", "--metrics", "Dice, IoU,cohen_kappa")
    assert (code, err) == (0, "")
    scores = json.loads(out)
    assert set(scores) == {
        "classes", "mean", "foreground_mean", "defined", "foreground_defined", "voxels", "cases", "files", "fastseg",
        "overall",
    }  # fmt: skip
    assert set(scores["mean"]) == {"dice", "iou"}
    assert scores["voxels"]["counted"] == T.size
    assert scores["classes"]["0"]["true_voxels"] == int((T == 0).sum())


def test_json_file_is_whole_or_not_there(pair: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    target = tmp_path / "out" / "scores.json"
    code, _, err = call(capsys, monkeypatch, "evaluate", *pair, "--json", target)
    assert code == 2
    assert "--json: " in err
    assert "scores.json" in err
    assert call(capsys, monkeypatch, "evaluate", *pair, "--json", tmp_path)[0] == 2  # a folder
    target.parent.mkdir()
    code, out, _ = call(capsys, monkeypatch, "evaluate", *pair, "--json", target, "--quiet")
    assert (code, out) == (0, "")
    assert json.loads(target.read_text())["cases"] == 1
    assert [path.name for path in target.parent.iterdir()] == ["scores.json"]


def test_options_reach_the_evaluation(pair: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("1 -> 2\n")
    arguments = ["--json", "-", "--ignore", 0, "--ignore", 3, "--map-prediction", tmp_path / "map.txt", "--threads", 1]
    code, out, _ = call(capsys, monkeypatch, "evaluate", *pair, *arguments)
    assert code == 0
    scores = json.loads(out)
    assert scores["voxels"]["ignored"] == int(np.isin(T, (0, 3)).sum())
    assert scores["classes"]["1"]["pred_voxels"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["evaluate"], 2, "expected REFERENCE and PREDICTION, or --pairs"),
        (["evaluate", "a", "b", "--geometry", "maybe"], 2, "'maybe' is not one of"),
        (["evaluate", "a", "b", "--threads", "0"], 2, "0 is not in the range"),
        (["evaluate", "a", "b", "--nonsense"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
        (["evaluate", "missing.nii", "missing.nii"], 3, "missing.nii: no such file"),
        (["evaluate", "{reference}", "{reference}", "--metrics", "dice,nonsense"], 2, "--metrics: expected some of"),
        (["evaluate", "{reference}", "{reference}", "--labels", "{reference}"], 2, "--labels: "),
        (["evaluate", "{reference}", "{reference}", "--regions", "a"], 2, "--regions: a: no such file"),
        (["evaluate", "{reference}", "{reference}", "--axes", "xxx"], 2, "--axes: expected"),
        (["evaluate", "{reference}", "{reference}", "--missing", "skip", "--axes", "xxx"], 2, "--axes: expected"),
        (["evaluate", ".", ".", "--pattern", "x"], 2, "--pattern: expected a regular expression with a group"),
        (["evaluate", "{reference}", "{reference}", "--ignore", "x"], 2, "not a valid integer"),
    ],
)
def test_errors_are_plain_lines(
    arguments: list[str], code: int, message: str, pair: Any, capsys: Any, monkeypatch: Any
) -> None:
    found, out, err = call(capsys, monkeypatch, *(a.format(reference=pair[0]) for a in arguments))
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("fastseg: error: ")
    assert message in last  # on one line, however long


def test_geometry_policies(capsys: Any, monkeypatch: Any) -> None:
    folder = atlases()
    pair = [folder / "AAL.nii", folder / "AAL3.nii"]
    code, out, err = call(capsys, monkeypatch, "evaluate", *pair)
    assert (code, out) == (3, "")
    assert "translation by (0, -1, -1) voxels" in err
    code, out, err = call(capsys, monkeypatch, "evaluate", *pair, "--geometry", "warn")
    assert code == 0
    assert err.startswith("fastseg: warning: ")
    assert "foreground mean" in out
    code, _, err = call(capsys, monkeypatch, "evaluate", *pair, "--geometry", "warn", "--quiet")
    assert (code, err) == (0, "")


def test_as_a_process(pair: Any, tmp_path: Path) -> None:
    done = run("evaluate", *pair, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["cases"] == 1
    assert run("evaluate", *pair, "--bad").returncode == 2
    missing = run("evaluate", tmp_path / "x.nii", pair[1])
    assert missing.returncode == 3
    assert missing.stderr.count("\n") == 1


def test_options_of_label_volumes_for_two_files(pair: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    inside = write(tmp_path / "inside.nii.gz", (T == 1).astype("u1"))
    options = ["--roi", inside, "--regions", "both=1,2", "--json", "-"]
    code, text, _ = call(capsys, monkeypatch, "evaluate", *pair, *options)
    assert code == 0
    scores = json.loads(text)
    assert [*scores["classes"]] == ["both"]
    assert scores["voxels"]["outside_mask"] == int((T != 1).sum())
    scores_file = tmp_path / "scores.npy"
    np.save(scores_file, np.stack([T == 0, T != 0]).astype("f4"))
    np.save(tmp_path / "labels.npy", (T != 0).astype("u1"))
    code, text, err = call(
        capsys, monkeypatch, "evaluate", tmp_path / "labels.npy", scores_file, "--roi", inside, "--reorient"
    )
    assert (code, text) == (2, "")
    assert f"--roi: for label volumes, not for scores, which {scores_file} holds" in err


def test_without_a_command_the_help_is_shown(capsys: Any, monkeypatch: Any) -> None:
    code, text, err = call(capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert text.startswith("Usage: fastseg [OPTIONS]")


def test_labels_none_is_no_table(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    (pair[0].parent / "dataset.json").write_text("broken")
    assert call(capsys, monkeypatch, "evaluate", *pair)[0] == 2
    for more in ([], ["--missing", "skip"]):
        code, _, err = call(capsys, monkeypatch, "evaluate", *pair, *more, "--labels", "none")
        assert (code, err) == (0, "")


def test_codes_that_differ_are_said(pair: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    other = write(tmp_path / "other.nii.gz", np.where(T == 3, 255, T).astype("u1"))
    for more in ([], ["--missing", "skip"]):
        code, _, err = call(capsys, monkeypatch, "evaluate", pair[0], other, *more)
        assert code == 0
        assert err.startswith(
            "fastseg: warning: labels in predictions only: 255, in references only: 3; where codes differ"
        )
        code, _, err = call(capsys, monkeypatch, "evaluate", pair[0], other, *more, "--map-prediction", "255=3")
        assert (code, err) == (0, "")
        assert call(capsys, monkeypatch, "evaluate", pair[0], other, *more, "--ignore", "255")[2] == ""
        err = call(capsys, monkeypatch, "evaluate", pair[0], pair[1], *more, "--unknown", "count")[2]
        assert err == "fastseg: warning: unknown='count' (--unknown count) does nothing where no labels are declared\n"
    options = ["--labels", tmp_path / "ours.txt", "--prediction-labels", tmp_path / "theirs.txt"]
    (tmp_path / "ours.txt").write_text("1 liver\n2 lung\n3 kidney\n")
    (tmp_path / "theirs.txt").write_text("1 liver\n2 lung\n255 left kidney\n")
    code, text, err = call(capsys, monkeypatch, "evaluate", pair[0], other, *options)
    assert "none of the reference's (1): left kidney" in err
    assert "9000000000000000001" not in text

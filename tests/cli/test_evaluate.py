"""The command line: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cases_on_disk import contents, folders, pair as cases_pair
from support.volumes_on_disk import atlases, write

from fastseg import cli
from fastseg.cli import screen, tools
from fastseg.kernels.numba import cache_folder

T = np.repeat(np.random.default_rng(0).integers(0, 4, (6, 8, 5)), 6, axis=2).astype("u1")


def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "fastseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """An interrupted command leaves them ignored, as it ends."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["fastseg", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        cli.main()
    out, err = capsys.readouterr()
    return int(done.value.code or 0), out, err


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    p = T.copy()
    p[0] = 0
    return write(tmp_path / "reference.nii.gz", T), write(tmp_path / "prediction.nii.gz", p)


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


def test_unexpected_errors_and_interrupts(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    import fastseg

    for error, code, message in (
        (ZeroDivisionError("x"), 3, "ZeroDivisionError: x"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ):

        def fail(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(fastseg, "evaluate_files", fail)
        found, _, err = call(capsys, monkeypatch, "evaluate", *pair)
        assert found == code
        assert message in err


def test_progress_bar_on_a_slow_terminal(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    times = iter(range(1000))
    monkeypatch.setattr(screen.time, "monotonic", lambda: float(next(times)))
    with screen.counting_progress(quiet=False) as update:
        assert update is not None
        update(1, 10)
        update(10, 10)
    with screen.counting_progress(quiet=True) as update:
        assert update is None


def test_info_and_version(capsys: Any, monkeypatch: Any) -> None:
    code, out, _ = call(capsys, monkeypatch, "info")
    assert code == 0
    for word in ("fastseg", "numba", "scipy", "threads", "features", "kernel cache", "CUDA"):
        assert word in out
    assert call(capsys, monkeypatch, "--version")[1].startswith("fastseg, version ")
    assert "demo" in call(capsys, monkeypatch, "--help")[1]


def test_demo_in_small(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tools, "_DEMO_SHAPE", (40, 50, 60))
    code, out, err = call(capsys, monkeypatch, "demo", "--threads", 2)
    assert code == 0
    assert "all 196 counts equal NumPy's" in out
    assert "million voxels a second" in out
    assert not Path(err.strip().rsplit(" ", 1)[-1]).exists()  # the temporary folder is gone


def test_as_a_process(pair: Any, tmp_path: Path) -> None:
    done = run("evaluate", *pair, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["cases"] == 1
    assert run("evaluate", *pair, "--bad").returncode == 2
    missing = run("evaluate", tmp_path / "x.nii", pair[1])
    assert missing.returncode == 3
    assert missing.stderr.count("\n") == 1


def test_warmup(capsys: Any, monkeypatch: Any) -> None:
    code, out, err = call(capsys, monkeypatch, "warmup")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"kernels are ready after \d+\.\d s; cache: .+\n", out)
    assert out.endswith(f" {cache_folder()}\n")


# Folders


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folders(tmp_path, 5)


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


def test_messages_are_harmless(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    code, _, err = call(capsys, monkeypatch, "evaluate", tmp_path / "a\x1b[2J\nfastseg: all is well", tmp_path / "b")
    assert code == 3
    assert "\x1b" not in err
    assert err.count("\n") == 1


def test_the_progress_of_a_run(two: Any, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert call(capsys, monkeypatch, "evaluate", *two)[0] == 0


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
        err = call(capsys, monkeypatch, "evaluate", pair[0], pair[1], *more, "--unknown", "count")[2]
        assert err == "fastseg: warning: unknown='count' (--unknown count) does nothing where no labels are declared\n"
    options = ["--labels", tmp_path / "ours.txt", "--prediction-labels", tmp_path / "theirs.txt"]
    (tmp_path / "ours.txt").write_text("1 liver\n2 lung\n3 kidney\n")
    (tmp_path / "theirs.txt").write_text("1 liver\n2 lung\n255 left kidney\n")
    code, text, err = call(capsys, monkeypatch, "evaluate", pair[0], other, *options)
    assert "none of the reference's (1): left kidney" in err
    assert "9000000000000000001" not in text


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

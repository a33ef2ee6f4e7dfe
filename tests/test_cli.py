"""The command line: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from volumes_on_disk import atlases, write

from fastseg import cli
from fastseg.cli import screen

T = np.repeat(np.random.default_rng(0).integers(0, 4, (6, 8, 5)), 6, axis=2).astype("u1")


def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "fastseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


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
    code, out, err = call(capsys, monkeypatch, "evaluate", *pair, "--json", "-", "--metrics", "dice, iou,cohen_kappa")
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
    assert code == 3
    assert "scores.json" in err
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
        (["evaluate"], 2, "Missing argument 'REFERENCE'"),
        (["evaluate", "a", "b", "--geometry", "maybe"], 2, "'maybe' is not one of"),
        (["evaluate", "a", "b", "--threads", "0"], 2, "0 is not in the range"),
        (["evaluate", "a", "b", "--nonsense"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
        (["evaluate", "missing.nii", "missing.nii"], 3, "missing.nii: no such file"),
        (["evaluate", "{reference}", "{reference}", "--metrics", "dice,nonsense"], 3, "metrics: expected some of"),
        (["evaluate", "{reference}", "{reference}", "--labels", "{reference}"], 3, "reference.nii.gz"),
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
    monkeypatch.setattr(cli, "_DEMO_SHAPE", (40, 50, 60))
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
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    warm = run("warmup", env=environment)
    assert warm.returncode == 0
    assert str(tmp_path / "cache") in warm.stdout

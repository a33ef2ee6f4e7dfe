"""Metrics of partitions on the command line: two files, and folders that go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import call

import fastseg

TRUE = np.repeat(np.arange(5000), 4)
PRED = TRUE // 2


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "true.npy", tmp_path / "pred.npy"
    for path, labels in zip(paths, (TRUE, PRED), strict=True):
        np.save(path, labels)
    return paths


def test_two_files(files: Any, capsys: Any, monkeypatch: Any) -> None:
    arguments = ["--metrics", "Variation_of_information,adapted_rand_error", "--ignore", "3"]
    code, out, err = call(capsys, monkeypatch, "evaluate", *files, *arguments)
    assert (code, err) == (0, "")
    split, merge = fastseg.variation_of_information(TRUE, PRED, ignore_index=3)
    lines = out.splitlines()
    assert lines[:3] == [
        f"variation_of_information: {split + merge:.4f}",
        f"variation_of_information_split: {split:.4f}",
        f"variation_of_information_merge: {merge:.4f}",
    ]
    assert lines[-1] == "1 of 1 cases scored; convention: fastseg"
    found = json.loads(call(capsys, monkeypatch, "evaluate", *files, *arguments, "--json", "-")[1])
    assert (
        found["mean"]["adjusted_rand_error"]["value"] == fastseg.adjusted_rand_error(TRUE, PRED, ignore_index=3).error
    )


def test_gates_and_conventions(files: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    options = ["--metrics", "adjusted_rand_error", "--convention", "funlib", "-o", tmp_path / "out"]
    code, out, err = call(capsys, monkeypatch, "evaluate", *files, *options, "--fail-under", "adjusted_rand_error=0.1")
    assert code == 1
    assert "convention: funlib" in out
    assert "adjusted_rand_error is 0.3" in out + err
    code, _, err = call(capsys, monkeypatch, "evaluate", *files, "--metrics", "rand_index,dice")
    assert code == 2
    assert "of segments whose labels mean nothing" in err

"""Other engines than Dask: the examples of those that can be had here run, with two processes each."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from typing import Any

import pytest
from support.pages import DOCS
from support.ports import free_port

import fastseg
from fastseg.phantom import phantom_pair

EXAMPLES = DOCS / "examples"


def test_each_example_is_on_the_page() -> None:
    page = (DOCS / "guide" / "clusters.md").read_text(encoding="utf-8")
    examples = sorted(EXAMPLES.glob("distributed_*.py"))
    assert len(examples) == 5
    for example in examples:
        assert f"../examples/{example.name}" in page


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of joblib
def test_joblib(capsys: Any) -> None:
    runpy.run_path(str(EXAMPLES / "distributed_joblib.py"), run_name="__main__")
    assert capsys.readouterr().out.startswith("[")


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_torch_distributed(processes: int) -> None:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(EXAMPLES / "distributed_torch.py")],
            env={**os.environ, **place, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    printed = [rank.communicate(timeout=300)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * processes
    whole = fastseg.Evaluator(num_classes=3)
    for batch in range(6):
        whole.update(*phantom_pair((32, 32, 32), num_classes=3, seed=batch))
    assert printed == [f"{whole.compute()}\n", *[""] * (processes - 1)]

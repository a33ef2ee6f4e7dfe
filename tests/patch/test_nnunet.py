"""nnU-Net while it is patched: its functions and commands write the same summary.json, counted here, without new processes."""

from __future__ import annotations

import gc
import importlib
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.drop_ins import went
from support.patched import assert_same_patched

import fastseg

pytestmark = [
    pytest.mark.torch,
    pytest.mark.host("nnunet"),
    pytest.mark.filterwarnings("ignore:Mean of empty slice"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of files that nnU-Net leaves open
]


@pytest.fixture(autouse=True)
def close_files() -> Iterator[None]:
    """Close the files that nnU-Net leaves open, before they are an error of some other test."""
    yield
    gc.collect()


def host() -> Any:
    return importlib.import_module("nnunetv2.evaluation.evaluate_predictions")


def reader() -> Any:
    return importlib.import_module("nnunetv2.imageio.simpleitk_reader_writer").SimpleITKIO()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    import SimpleITK

    rng = np.random.default_rng(2)
    for name, most in (("a", 5), ("b", 3), ("c", 1)):
        for folder in ("true", "pred"):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = SimpleITK.GetImageFromArray(rng.integers(0, most, (3, 7, 8)).astype(np.uint8))
            SimpleITK.WriteImage(image, str(tmp_path / folder / f"{name}.nii.gz"))
    return str(tmp_path / "true"), str(tmp_path / "pred")


def no_process(*_: Any) -> Any:
    raise AssertionError("a process was to be started")


def test_a_pair_of_files(folders: Any) -> None:
    pair = [os.path.join(folder, "a.nii.gz") for folder in folders]
    with went("nnunet.compute_metrics", fast=1):
        assert_same_patched("nnunet", host().compute_metrics, *pair, reader(), [1, (1, 2), 9], 3)


def test_what_is_not_covered_is_the_hosts(folders: Any) -> None:
    pair = [os.path.join(folder, "a.nii.gz") for folder in folders]
    with went("nnunet.compute_metrics", host=1):
        assert_same_patched("nnunet", host().compute_metrics, *pair, reader(), [1.0])


def test_a_folder(folders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the function to which all others lead, which lives in other modules under its name as well."""
    imported = importlib.import_module("nnunetv2.evaluation.find_best_configuration").compute_metrics_on_folder
    assert imported is host().compute_metrics_on_folder
    written = []
    with fastseg.patch("nnunet"), monkeypatch.context() as alone:
        alone.setattr(multiprocessing, "get_context", no_process)
        with went("nnunet.compute_metrics_on_folder", fast=1), went("nnunet.compute_metrics", fast=3):
            imported(*folders, str(tmp_path / "ours.json"), reader(), ".nii.gz", [1, (1, 2)], 3)
        with went("nnunet.compute_metrics_on_folder", fast=1), went("nnunet.compute_metrics", fast=3):
            host().compute_metrics_on_folder_simple(*folders, [1, 3], str(tmp_path / "ours_too.json"))
        assert fastseg.patch.status()["nnunet"].calls["nnunet.compute_metrics"].fast > 0
    with pytest.MonkeyPatch.context() as threads:
        threads.setattr(host(), "multiprocessing", _Threads)  # sooner than its processes
        imported(*folders, str(tmp_path / "theirs.json"), reader(), ".nii.gz", [1, (1, 2)], 3)
        host().compute_metrics_on_folder_simple(*folders, [1, 3], str(tmp_path / "theirs_too.json"))
    for name in ("", "_too"):
        written = [(tmp_path / f"{whose}{name}.json").read_bytes() for whose in ("ours", "theirs")]
        assert written[0] == written[1]


class _Threads:
    @staticmethod
    def get_context(_: str) -> Any:
        return _Threads

    @staticmethod
    def Pool(_: int) -> Any:
        return importlib.import_module("multiprocessing.pool").ThreadPool(1)


@pytest.mark.slow
def test_its_command(folders: Any, tmp_path: Path) -> None:
    script = tmp_path / "nnUNetv2_evaluate_simple"  # as pip writes it
    script.write_text(
        "import sys\n"
        "from nnunetv2.evaluation.evaluate_predictions import evaluate_simple_entry_point\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(evaluate_simple_entry_point())\n"
    )
    flags = [*folders, "-l", "1", "2", "-il", "3", "-np", "2", "-o"]
    for before, output in (([], "theirs.json"), (["-m", "fastseg.patch", "nnunet"], "ours.json")):
        command = [sys.executable, *before, str(script), *flags, str(tmp_path / output)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "ours.json").read_bytes() == (tmp_path / "theirs.json").read_bytes()
    assert json.loads((tmp_path / "ours.json").read_text())["mean"]["1"]["n_ref"] > 0

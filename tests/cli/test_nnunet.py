"""``fastseg nnunet-evaluate``; adapters/test_nnunet.py tests that its file is nnU-Net's, byte for byte."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import call, run
from support.volumes_on_disk import write

LABELS = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of two cases, and of a reference that has no prediction."""
    rng = np.random.default_rng(4)
    for name in ("b", "a", "c"):
        for folder in ("true", "pred"):
            (tmp_path / folder).mkdir(exist_ok=True)
            write(tmp_path / folder / f"{name}.nii.gz", rng.integers(0, 4, (5, 6, 7)).astype("u1"))
    (tmp_path / "pred" / "c.nii.gz").unlink()
    (tmp_path / "pred" / "notes.txt").write_text("no volume")
    return tmp_path / "true", tmp_path / "pred"


def arrays(folders: tuple[Path, Path], name: str) -> list[Any]:
    import nibabel

    return [np.asarray(nibabel.load(folder / f"{name}.nii.gz").dataobj) for folder in folders]


def dataset(folder: Path, **changed: Any) -> list[str]:
    """Write a dataset.json and a plans.json; return the options that name them."""
    content = {"labels": LABELS, "file_ending": ".nii.gz", **changed}
    plans = {"label_manager": content.pop("label_manager", "LabelManager")}
    (folder / "dataset.json").write_text(json.dumps(content))
    (folder / "plans.json").write_text(json.dumps(plans))
    return ["-djfile", str(folder / "dataset.json"), "-pfile", str(folder / "plans.json")]


def test_labels(folders: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    flags = ["-l", 1, 2, "-il", 3, "--chill", "-np", 1, "-o", output]
    code, out, err = call(capsys, monkeypatch, "nnunet-evaluate", *flags, *folders)
    assert (code, out, err) == (0, f"{output}: 2 cases\n", "")
    found = json.loads(output.read_text())
    assert list(found) == ["foreground_mean", "mean", "metric_per_case"]
    dice = []
    for case, name in zip(found["metric_per_case"], "ab", strict=True):
        true, pred = arrays(folders, name)
        assert case["prediction_file"] == str(folders[1] / f"{name}.nii.gz")
        tp = int(((true == 2) & (pred == 2)).sum())
        fp = int(((pred == 2) & (true != 2) & (true != 3)).sum())
        fn = int(((true == 2) & (pred != 2)).sum())
        assert [case["metrics"]["2"][key] for key in ("TP", "FP", "FN")] == [tp, fp, fn]
        assert case["metrics"]["2"]["TN"] == (true != 3).sum() - tp - fp - fn
        dice.append(2 * tp / (2 * tp + fp + fn))
    assert found["mean"]["2"]["Dice"] == pytest.approx(np.mean(dice))
    means = [found["mean"][label]["IoU"] for label in "12"]
    assert found["foreground_mean"]["IoU"] == pytest.approx(np.mean(means))


def test_a_dataset_with_regions(folders: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    assert call(capsys, monkeypatch, "nnunet-evaluate", *folders, *dataset(tmp_path), "--chill")[0] == 0
    found = json.loads((folders[1] / "summary.json").read_text())
    assert list(found["mean"]) == ["(1, 2)", "2"]
    true, pred = arrays(folders, "a")
    tp = (np.isin(true, (1, 2)) & np.isin(pred, (1, 2))).sum()
    assert found["metric_per_case"][0]["metrics"]["(1, 2)"]["TP"] == tp


def test_a_dataset_with_labels(folders: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    flags = dataset(tmp_path, labels={"background": 0, "two": 2, "one": [1]})[
        :2
    ]  # the plans say nothing that is needed
    assert call(capsys, monkeypatch, "nnunet-evaluate", *folders, *flags, "--chill")[0] == 0
    assert list(json.loads((folders[1] / "summary.json").read_text())["mean"]) == ["1", "2"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "expected either -djfile and -pfile, or -l"),
        (["-l", 1, "-djfile", "x"], "expected either -djfile and -pfile, or -l"),
        (["-l"], "'-l' requires an argument"),
        (["-l", "one"], "'one' is not a valid integer"),
        (["-l", 1, "-pfile", "x"], "-pfile: expected -djfile too"),
        (["-djfile", "x", "-il", 3], "-il: expected -l"),
        (["-l", 1, "-o", "summary.txt"], "-o: expected a name that ends with .json, found 'summary.txt'"),
        (["-l", 1, "-o", "nowhere/summary.json"], "there is no nowhere"),
        (["-l", 1, "-np", 0], "-np"),
    ],
)
def test_wrong_usage(folders: Any, capsys: Any, monkeypatch: Any, flags: list[Any], message: str) -> None:
    code, out, err = call(capsys, monkeypatch, "nnunet-evaluate", *folders, *flags)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"overwrite_image_reader_writer": "NibabelIOWithReorient"}, "expected a reader of SimpleITKIO, NibabelIO"),
        ({"label_manager": "Other"}, "expected the label_manager LabelManager, found 'Other'"),
        ({"file_ending": ""}, "expected a file_ending, found ''"),
        ({"labels": {"one": 1}}, "expected labels with the background 0"),
        ({"labels": {**LABELS, "ignore": [3]}}, "expected the ignore label to be an integer, found [3]"),
        ({"file_ending": ".mha"}, "expected files that end with '.mha', found none"),
        ({"file_ending": ".txt"}, "notes.txt: files that are no NIfTI, NRRD or MetaImage"),
        ({"labels": {"background": 0, "half": [0.5, 1]}}, "labels or regions that are no integers"),
        ({}, "expected a prediction of each reference, found none of 1: c.nii.gz"),
    ],
)
def test_what_cannot_be_scored(
    folders: Any, capsys: Any, monkeypatch: Any, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    flags = [*dataset(tmp_path, **changed), *(["--chill"] if changed else [])]
    code, out, err = call(capsys, monkeypatch, "nnunet-evaluate", *folders, *flags)
    assert (code, out) == (3, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (folders[1] / "summary.json").exists()


def test_files_that_cannot_be_read(folders: Any, capsys: Any, monkeypatch: Any) -> None:
    flags = ["nnunet-evaluate", *folders, "-l", 1]
    write(folders[1] / "c.nii.gz", np.zeros((5, 6, 8), "u1"))
    code, _, err = call(capsys, monkeypatch, *flags)
    assert code == 3
    assert "c.nii.gz" in err
    assert "(5, 6, 8)" in err
    (folders[1] / "c.nii.gz").write_bytes(b"no volume")
    assert call(capsys, monkeypatch, *flags)[0] == 3
    (folders[1] / "c.nii.gz").unlink()
    write(folders[1] / "d.nii.gz", np.zeros((5, 6, 7), "u1"))
    code, _, err = call(capsys, monkeypatch, *flags, "--chill")
    assert code == 3
    assert "d.nii.gz" in err  # it has no reference
    (folders[1] / "broken.json").write_text("{")
    code, _, err = call(capsys, monkeypatch, "nnunet-evaluate", *folders, "-djfile", folders[1] / "broken.json")
    assert code == 3
    assert "broken.json: expected JSON" in err


def test_neither_nnunet_nor_pytorch_is_imported(folders: Any) -> None:
    result = run("nnunet-evaluate", *folders, "-l", 1, "--chill", check=False)
    assert (result.returncode, result.stderr) == (0, "")
    code = "import sys, fastseg.adapters.nnunet_files; print({'torch', 'nnunetv2'} & set(sys.modules))"
    assert run_python(code) == "set()\n"


def run_python(code: str) -> str:
    import subprocess

    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

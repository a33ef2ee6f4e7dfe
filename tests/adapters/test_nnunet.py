"""nnU-Net's evaluation of files and folders and ours: the same numbers, the same summary.json."""

from __future__ import annotations

import functools
import gc
import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import call
from support.drop_ins import assert_same, assert_same_call, outcome, strictly, went

pytestmark = [
    pytest.mark.torch,
    pytest.mark.host("nnunet"),
    pytest.mark.filterwarnings("ignore:Mean of empty slice"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of files that nnU-Net leaves open
]

REGIONS: list[Any] = [1, (1, 2), 3, (4,), 9, 0]


@pytest.fixture(autouse=True)
def close_files() -> Iterator[None]:
    """Close the files that nnU-Net leaves open, before they are an error of some other test."""
    yield
    gc.collect()


@functools.cache
def modules() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the host's own imports
        return tuple(
            map(importlib.import_module, ("nnunetv2.evaluation.evaluate_predictions", "fastseg.adapters.nnunet"))
        )


def reader(name: str) -> Any:
    module = {"SimpleITKIO": "simpleitk", "NaturalImage2DIO": "natural_image"}.get(name, "nibabel")
    return getattr(importlib.import_module(f"nnunetv2.imageio.{module}_reader_writer"), name)()


def write(path: Path, labels: Any, spacing: float = 1) -> str:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(labels)
    image.SetSpacing((spacing,) * labels.ndim)
    path.parent.mkdir(exist_ok=True)
    SimpleITK.WriteImage(image, str(path))
    return str(path)


@pytest.fixture
def case(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    rng = np.random.default_rng(0)

    def make(name: str = "a", suffix: str = ".nii.gz", dtype: str = "uint8", most: int = 6) -> tuple[str, str]:
        true = rng.integers(0, most, (3, 7, 8)).astype(dtype)
        pred = np.where(rng.random(true.shape) < 0.3, rng.integers(0, most, true.shape), true).astype(dtype)
        return write(tmp_path / "true" / f"{name}{suffix}", true), write(tmp_path / "pred" / f"{name}{suffix}", pred, 2)

    return make


@pytest.mark.parametrize("ignore", [None, 0, 2, 5, 77])
@pytest.mark.parametrize(
    ("suffix", "name"),
    [(".nii.gz", "SimpleITKIO"), (".nii", "NibabelIO"), (".nrrd", "SimpleITKIO"), (".mha", "SimpleITKIO")],
)
def test_metrics_of_files(case: Any, suffix: str, name: str, ignore: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = modules()
    for dtype in ("uint8", "int16", "float32"):
        true, pred = case(dtype, suffix, dtype)
        with strictly(monkeypatch):
            assert_same_call(theirs.compute_metrics, ours.compute_metrics, true, pred, reader(name), REGIONS, ignore)


def test_what_is_the_hosts_to_answer_or_to_refuse(case: Any, tmp_path: Path) -> None:
    theirs, ours = modules()
    true, pred = case()
    small = write(tmp_path / "small.nii.gz", np.zeros((3, 7, 9), np.uint8))
    flat = write(tmp_path / "flat.nii.gz", np.ones((1, 7, 8), np.uint8))  # which NumPy broadcasts
    half = write(tmp_path / "half.nii.gz", np.full((3, 7, 8), 1.5, np.float32))
    picture = write(tmp_path / "picture.png", np.ones((5, 6), np.uint8))
    itk = reader("SimpleITKIO")
    for args in (
        (true, small, itk, REGIONS),
        (true, flat, itk, REGIONS),
        (true, half, itk, REGIONS),
        (true, str(tmp_path / "nothing.nii.gz"), itk, REGIONS),
        (true, pred, itk, ["1"]),
        (true, pred, itk, [1.0]),
        (true, pred, itk, [1], 2.0),
        (true, pred, reader("NibabelIOWithReorient"), [1]),
        (picture, picture, reader("NaturalImage2DIO"), [1]),
    ):
        with went("nnunet.compute_metrics", host=1):
            outcome(ours.compute_metrics, *args)
        wanted, found = outcome(theirs.compute_metrics, *args), outcome(ours.compute_metrics, *args)
        assert type(found.error) is type(wanted.error)
        assert_same(found.value, wanted.value)


@pytest.fixture
def folders(case: Any, tmp_path: Path) -> tuple[str, str]:
    for name, most in (("a", 6), ("b", 3), ("c", 1), ("d", 5)):
        case(name, most=most)
    Path(case("only a reference")[1]).unlink()
    (tmp_path / "pred" / "notes.txt").write_text("no volume")
    return str(tmp_path / "true"), str(tmp_path / "pred")


def serial(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare nnU-Net its processes, which take seconds to begin."""
    from multiprocessing.pool import ThreadPool

    class Threads:
        @staticmethod
        def get_context(_: str) -> Any:
            return Threads

        Pool = staticmethod(lambda _: ThreadPool(1))

    monkeypatch.setattr(host, "multiprocessing", Threads)


@pytest.mark.parametrize("ignore", [None, 2])
def test_folders(folders: Any, tmp_path: Path, ignore: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = modules()
    serial(theirs, monkeypatch)
    results = []
    for module in (theirs, ours):
        output = str(tmp_path / f"{module.__name__}.json")
        results.append(
            module.compute_metrics_on_folder(*folders, output, reader("SimpleITKIO"), ".nii.gz", REGIONS, ignore, 2)
        )
        results.append(Path(output).read_bytes())
    assert_same(results[2], results[0])
    assert results[3] == results[1]
    with went("nnunet.compute_metrics_on_folder", fast=1), went("nnunet.compute_metrics", fast=4):
        ours.compute_metrics_on_folder(*folders, None, reader("SimpleITKIO"), ".nii.gz", [1])
    for options in (
        {"output_file": "summary.txt"},
        {"chill": False},
        {"file_ending": ".mha"},
        {"regions_or_labels": []},
    ):
        given = {"output_file": None, "file_ending": ".nii.gz", "regions_or_labels": [1], **options}
        assert_same_call(
            theirs.compute_metrics_on_folder,
            ours.compute_metrics_on_folder,
            *folders,
            image_reader_writer=reader("SimpleITKIO"),
            **given,
        )


def test_a_case_that_is_not_covered_is_nnunets_to_read(folders: Any, tmp_path: Path) -> None:
    _, ours = modules()
    for folder in folders:
        write(Path(folder, "e.nii.gz"), np.full((3, 7, 8), 1.5, np.float32))
    with went("nnunet.compute_metrics", fast=4, host=1):
        result = ours.compute_metrics_on_folder(*folders, None, reader("SimpleITKIO"), ".nii.gz", [1])
    assert len(result["metric_per_case"]) == 5


@pytest.mark.parametrize("regions", [False, True])
def test_what_datasets_and_plans_say(
    folders: Any, tmp_path: Path, regions: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    theirs, ours = modules()
    serial(theirs, monkeypatch)
    labels = {"background": 0, "one": [1, 2] if regions else 1, "two": 2, "three": 3, "four": 4, "ignore": 5}
    dataset = {
        "labels": labels,
        "file_ending": ".nii.gz",
        "regions_class_order": [1, 2, 3, 4],
        "channel_names": {"0": "CT"},
    }
    files = [tmp_path / "dataset.json", tmp_path / "plans.json"]
    for path, content in zip(files, (dataset, {"label_manager": "LabelManager"}), strict=True):
        path.write_text(json.dumps(content))
    summaries = []
    for module in (theirs, ours):
        module.compute_metrics_on_folder2(*folders, *map(str, files), chill=True)
        summaries.append(Path(folders[1], "summary.json").read_bytes())
        flags = ["-djfile", str(files[0]), "-pfile", str(files[1]), "-o", str(tmp_path / "flags.json"), "--chill"]
        monkeypatch.setattr(sys, "argv", ["nnUNetv2_evaluate_folder", *folders, *flags])
        module.evaluate_folder_entry_point()
        summaries.append((tmp_path / "flags.json").read_bytes())
    assert call(capsys, monkeypatch, "nnunet-evaluate", *folders, *flags)[0] == 0
    assert len({*summaries, (tmp_path / "flags.json").read_bytes()}) == 1


def test_labels_on_their_own(folders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    theirs, ours = modules()
    serial(theirs, monkeypatch)
    summaries = []
    for module in (theirs, ours):
        module.compute_metrics_on_folder_simple(*folders, [1, 3], ignore_label=2, chill=True)
        summaries.append(Path(folders[1], "summary.json").read_bytes())
        flags = ["-l", "1", "3", "-il", "2", "-o", str(tmp_path / "flags.json"), "--chill"]
        monkeypatch.setattr(sys, "argv", ["nnUNetv2_evaluate_simple", *folders, *flags])
        module.evaluate_simple_entry_point()
        summaries.append((tmp_path / "flags.json").read_bytes())
    assert call(capsys, monkeypatch, "nnunet-evaluate", *folders, *flags)[0] == 0
    assert len({*summaries, (tmp_path / "flags.json").read_bytes()}) == 1


def test_other_versions_answer_themselves(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = modules()
    serial(theirs, monkeypatch)
    monkeypatch.setattr(ours, "version", lambda _: "3.0")
    with went("nnunet.compute_metrics_on_folder", host=1):
        ours.compute_metrics_on_folder(*folders, None, reader("SimpleITKIO"), ".nii.gz", [1])

"""Files of probabilities and logits: the sums of arrays, whatever the format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import call
from support.score_files import ALL, SHAPE, P, T, Z, same, save
from support.volumes_on_disk import write

import fastseg
from fastseg import sum_scores
from fastseg.api.score_files import evaluate_score_files, sum_files
from fastseg.counting import jobs, threads
from fastseg.volumes import VolumeError
from fastseg.volumes.sources import holds_scores

pytestmark = pytest.mark.usefixtures("slab")


@pytest.mark.parametrize("dtype", ["f4", ">f4", "f8"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti(tmp_path: Path, reference: Path, place: None, suffix: str, dtype: str) -> None:
    prediction = write(tmp_path / f"p{suffix}", P.astype(dtype))
    seen: list[tuple[int, int]] = []
    same(sum_files(reference, prediction, progress=lambda *at: seen.append(at), **ALL))
    assert seen[-1] == (T.size, T.size)
    assert holds_scores(reference, prediction)
    assert not holds_scores(reference, reference)
    same(sum_files(write(tmp_path / "float.nii", T.astype("f4")), prediction, **ALL))


def test_nifti_of_five_axes_and_pairs(tmp_path: Path, reference: Path) -> None:
    same(sum_files(reference, write(tmp_path / "five.nii", P[:, :, :, None]), **ALL))
    same(sum_files(reference, write(tmp_path / "pair.img", P), **ALL))
    same(sum_files(reference, write(tmp_path / "first.nii", np.moveaxis(P, -1, 0)), channel_axis=0, **ALL))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("axis", [0, 1, 3])
@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "reversed"])
def test_npy(tmp_path: Path, reference: Path, place: None, order: Any, axis: int, reverse: bool) -> None:
    scores = np.moveaxis(P.transpose(2, 1, 0, 3) if reverse else P, -1, axis)
    prediction = save(tmp_path / "p.npy", np.asarray(scores, order=order))
    same(sum_files(reference, prediction, **ALL))
    labels = save(tmp_path / "t.npy", T)
    same(sum_files(labels, prediction, channel_axis=axis, **ALL))
    same(sum_files(save(tmp_path / "t.npy", np.asfortranarray(T)), prediction, **ALL))
    assert holds_scores(labels, prediction)


@pytest.mark.parametrize("how", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
def test_npz(tmp_path: Path, reference: Path, place: None, how: Any) -> None:
    path, nnunet = tmp_path / "p.npz", np.ascontiguousarray(P.transpose(3, 2, 1, 0))
    how(path, probabilities=nnunet)
    same(sum_files(reference, path, **ALL))
    how(path, probabilities=nnunet, other=T)
    same(sum_files(reference, path, **ALL))
    how(path, softmax=P)
    same(sum_files(reference, path, **ALL))
    how(tmp_path / "t.npz", T)
    same(sum_files(tmp_path / "t.npz", path, **ALL))
    how(path, one=P, two=P, labels=T)
    same(sum_files(reference, f"{path}::two", **ALL))
    assert holds_scores(reference, f"{path}::two")
    assert not holds_scores(reference, f"{path}::labels")
    with pytest.raises(VolumeError, match=r"p.npz: expected one array.*found the arrays 'one', 'two', 'labels'"):
        sum_files(reference, path)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_logits(tmp_path: Path, reference: Path, activation: str) -> None:
    expected = sum_scores(T, Z, activation=activation, **ALL)
    for prediction in (write(tmp_path / "z.nii", Z), save(tmp_path / "z.npy", Z)):
        same(sum_files(reference, prediction, activation=activation, **ALL), expected)
    with pytest.raises(ValueError, match=r"z.npy: expected probabilities in \[0, 1\] \(or activation"):
        sum_files(reference, tmp_path / "z.npy")


def test_one_class_has_no_axis(tmp_path: Path) -> None:
    labels = (T == 1).astype("u1")
    reference, expected = write(tmp_path / "t.nii", labels), sum_scores(labels, P[..., 1], channel_axis=None)
    for prediction in (save(tmp_path / "p.npy", P[..., 1]), write(tmp_path / "p.nii.gz", P[..., 1])):
        same(sum_files(reference, prediction), expected)
        assert evaluate_score_files(reference, prediction).classes == (0, 1)


def test_an_array_of_the_shape_of_the_labels_is_a_label_map_until_somebody_says_otherwise(tmp_path: Path) -> None:
    reference = write(tmp_path / "t.nii.gz", T)
    whole, single = save(tmp_path / "whole.npy", T.astype("f4")), save(tmp_path / "single.npy", P[..., 1])
    for prediction in (whole, single, save(tmp_path / "axis.npy", P[None, ..., 1])):
        assert not holds_scores(reference, prediction)
    assert fastseg.evaluate_files(reference, whole).foreground_mean["dice"] == 1.0
    for prediction in (single, write(tmp_path / "single.nii", P[..., 1])):
        with pytest.raises(
            ValueError, match=r"single.\S+: expected labels that are whole .*activation=, --activation none"
        ):
            fastseg.evaluate_files(reference, prediction)


def test_volumes_of_other_formats_are_labels(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.create_dataset("x", data=T)
        file.create_dataset("y", data=T)
    zarr.save_array(str(tmp_path / "p.zarr"), T)
    with zarr.storage.ZipStore(tmp_path / "p.zarr.zip", mode="w") as store:
        zarr.save_array(store, T)
    np.savez(tmp_path / "p.npz", a=T, b=P)
    for name in ("p.h5::/x", "p.zarr", "p.zarr.zip", "p.npz::a"):
        for reference in (write(tmp_path / "t.nii.gz", T), tmp_path / "p.zarr"):
            assert not holds_scores(reference, f"{tmp_path}/{name}")
            code, out, _ = call(capsys, monkeypatch, "evaluate", reference, f"{tmp_path}/{name}", "--json", "-")
            assert (code, json.loads(out)["mean"]["dice"]) == (0, 1.0)
    assert holds_scores(tmp_path / "p.zarr", f"{tmp_path}/p.npz::b")
    assert not holds_scores(reference, f"{save(tmp_path / 'p.npy', T)}::a")
    with pytest.raises(VolumeError, match=r"p.npy::a: expected an .npz file"):
        fastseg.evaluate_files(reference, f"{tmp_path / 'p.npy'}::a")


def test_options_are_those_of_arrays(tmp_path: Path, reference: Path) -> None:
    mask = np.random.default_rng(3).random(SHAPE) < 0.5
    expected = sum_scores(T, P, ignore_index=2, mask=mask, **ALL)
    files = [
        write(tmp_path / "p.nii", P),
        save(tmp_path / "p.npy", P),
        save(tmp_path / "q.npy", P.transpose(3, 2, 1, 0)),
    ]
    before = threads.get_num_threads()
    for prediction in files:
        same(sum_files(reference, prediction, ignore_index=2, mask=mask, threads=1, **ALL), expected)
    assert threads.get_num_threads() == before
    assert sum_files(reference, files[0], quantities=(name for name in ["brier"])).quantities == ("brier",)
    with pytest.raises(ValueError, match="mask"):
        sum_files(reference, files[0], mask=mask[1:])
    with pytest.raises(TypeError, match="unexpected keyword argument 'bins'"):
        evaluate_score_files(reference, files[0], bins=3)


def test_threads_are_those_of_the_call(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, seen = write(tmp_path / "p.nii", P), set()
    run_jobs, everybodys = jobs.run_jobs, threads.get_num_threads()

    def noted(*args: Any, **options: Any) -> None:
        seen.add((options["threads"], threads.get_num_threads()))
        run_jobs(*args, **options)

    monkeypatch.setattr(jobs, "run_jobs", noted)
    monkeypatch.setattr(jobs, "SMALL", 0)
    for number in (1, 3):
        seen.clear()
        same(sum_files(reference, prediction, threads=number, **ALL))
        assert seen == {(number, everybodys)}
    with pytest.raises(ValueError, match="threads: expected an integer of at least 1, found 0"):
        sum_files(reference, prediction, threads=0)


def test_integers_and_scaled_integers(tmp_path: Path, reference: Path) -> None:
    percent = np.round(P * 100).astype("u1")
    expected = sum_scores(T, percent, scale=100, **ALL)
    same(sum_files(reference, save(tmp_path / "p.npy", percent), scale=100, **ALL), expected)
    scaled = write(tmp_path / "p.nii", percent)
    raw = bytearray(scaled.read_bytes())
    raw[112:120] = np.array([0.01, 0], "<f4").tobytes()
    scaled.write_bytes(raw)
    same(sum_files(reference, scaled, **ALL), expected, 1e-5)
    with pytest.raises(ValueError, match="scale: expected None"):
        sum_files(reference, scaled, scale=100)
    logits = write(tmp_path / "z.nii", (percent - 50.0).astype("i2"))
    raw = bytearray(logits.read_bytes())
    raw[112:120] = np.array([0.25, 1], "<f4").tobytes()
    logits.write_bytes(raw)
    expected = sum_scores(T, (percent - 50.0) * 0.25 + 1, activation="softmax", **ALL)
    same(sum_files(reference, logits, activation="softmax", **ALL), expected)

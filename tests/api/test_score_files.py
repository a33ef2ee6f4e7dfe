"""Files of probabilities and logits: the sums of arrays, whatever the format; and their damage."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write

import fastseg
from fastseg import cli, sum_scores
from fastseg.api.score_files import evaluate_score_files, sum_files
from fastseg.counting import jobs, labels as counting, score_files, threads
from fastseg.volumes import GeometryError, VolumeError, sources as score_sources
from fastseg.volumes.sources import holds_scores

RNG = np.random.default_rng(3)
SHAPE, C = (7, 6, 9), 4
Z = RNG.normal(0, 2, (*SHAPE, C)).astype("f4")
P = np.exp(Z) / np.exp(Z).sum(-1, keepdims=True)
T = np.where(RNG.random(SHAPE) < 0.7, Z.argmax(-1), RNG.integers(0, C, SHAPE)).astype("u1")
ALL: dict[str, Any] = {"quantities": "all", "bins": 20}
EXPECTED = sum_scores(T, P, **ALL)


def same(found: Any, expected: Any = EXPECTED, rel: float = 1e-6) -> None:
    assert found.argmax_counts == expected.argmax_counts
    assert found.quantities == expected.quantities
    assert found.voxels.tolist() == expected.voxels.tolist()
    for name in ("true", "true_pred", "pred", "pred_squared", "cross_entropy", "brier", "absolute", "focal", "ranks"):
        if getattr(expected, name) is not None:
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=rel), name


def save(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def written(folder: Path, name: str, scores: Any) -> Path:
    """Write scores (x, y, z, class) by a format's name."""
    path = folder / name
    if name.endswith(".npy"):
        return save(path, scores)
    if name.endswith(".npz"):
        how = {"stored.npz": np.savez, "deflated.npz": np.savez_compressed}[name]
        how(path, probabilities=np.ascontiguousarray(scores.transpose(3, 2, 1, 0)))
        return path
    return write(path, scores)


@pytest.fixture(params=[100, 1600, 16 << 20], ids=["voxels", "lines", "whole"], autouse=True)
def slab(request: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """Cut the volumes into slabs of a few voxels, of a few lines, and not at all."""
    size = int(request.param)
    monkeypatch.setattr(score_files, "SLAB_BYTES", size)
    return size


@pytest.fixture(params=[True, False], ids=["memory", "disk"])
def place(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(score_sources, "MEMORY_BYTES", 100)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write(tmp_path / "t.nii.gz", T)


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


def test_nothing_is_left_behind(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "SLAB_BYTES", 1600)  # less than all: classes are then apart
    monkeypatch.setattr(score_sources, "MEMORY_BYTES", 100)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    same(sum_files(reference, write(tmp_path / "p.nii.gz", P), **ALL))
    with pytest.raises(ValueError, match="sum to one"):
        sum_files(reference, write(tmp_path / "z.nii.gz", P * 0.5))
    assert not list(folder.iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "none"))
    with pytest.raises(VolumeError, match=r"p.nii.gz: cannot be unpacked to a temporary file"):
        sum_files(reference, tmp_path / "p.nii.gz")


@pytest.mark.parametrize("name", ["p.nii", "p.nii.gz", "p.npy", "stored.npz", "deflated.npz"])
def test_memory_holds_a_few_slabs(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "SLAB_BYTES", 1 << 17)
    monkeypatch.setattr(score_sources, "_READ_BYTES", 1 << 16)
    monkeypatch.setattr(score_sources, "MEMORY_BYTES", 100)
    labels, scores = np.zeros((64, 48, 40), "u1"), np.full((64, 48, 40, 16), 1 / 16, "f4")  # 7.5 MiB
    reference, prediction = write(tmp_path / "t.nii", labels), written(tmp_path, name, scores)
    sum_files(reference, prediction)
    tracemalloc.start()
    try:
        sums = sum_files(reference, prediction)
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()
    assert sums.total.tolist() == [labels.size]


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


def test_the_order_of_the_axes_of_a_single_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    labels, scores = rng.integers(0, 2, (4, 5, 4)).astype("u1"), rng.random((4, 5, 4)).astype("f4")
    reference, prediction = write(tmp_path / "t.nii.gz", labels), save(tmp_path / "p.npy", scores)
    with pytest.raises(
        VolumeError, match=r"no channel axis \(in order\) or .*reversed.*axes='xyz' or axes='zyx' \(--axes\)$"
    ):
        sum_files(reference, prediction)
    expected, turned = (sum_scores(true, scores, channel_axis=None) for true in (labels, labels.T))
    same(sum_files(reference, prediction, axes="xyz"), expected)
    same(sum_files(reference, prediction, axes="zyx"), turned)
    same(sum_files(save(tmp_path / "t.npy", labels), prediction), expected)
    same(sum_files(reference, write(tmp_path / "p.nii", scores), axes="zyx"), expected)  # which names its axes
    same(sum_files(reference, save(tmp_path / "q.npy", scores[None]), channel_axis=0), expected)
    same(sum_files(reference, tmp_path / "q.npy", channel_axis=0, axes="zyx"), turned)
    with pytest.raises(VolumeError, match=r"p.npy: expected axes='xyz' or axes='zyx', found axes='yxz'"):
        sum_files(reference, prediction, axes="yxz")
    longer = save(tmp_path / "r.npy", rng.random((4, 5, 6)).astype("f4"))
    with pytest.raises(VolumeError, match=r"r.npy: expected the shape .* found \(4, 5, 6\) \(axes='zyx'\)"):
        sum_files(write(tmp_path / "long.nii", rng.integers(0, 2, (4, 5, 6)).astype("u1")), longer, axes="zyx")
    row = write(tmp_path / "row.nii", labels[:1, :, :1])
    same(
        sum_files(row, save(tmp_path / "row.npy", scores[:1, :, :1])),
        sum_scores(labels[:1, :, :1], scores[:1, :, :1], channel_axis=None),
    )


def test_a_picture_has_its_axes_in_the_order_of_arrays(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    labels, scores = T[:6, :, 0], np.ascontiguousarray(np.moveaxis(P[:6, :, 0], -1, 0))
    pillow.fromarray(labels).save(tmp_path / "t.png")
    np.savez(tmp_path / "p.npz", probabilities=scores)
    same(sum_files(tmp_path / "t.png", tmp_path / "p.npz"), sum_scores(labels, scores, channel_axis=0))
    assert not holds_scores(tmp_path / "t.png", save(tmp_path / "p.npy", labels[None]))


def test_options_are_those_of_arrays(tmp_path: Path, reference: Path) -> None:
    mask = RNG.random(SHAPE) < 0.5
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
    run_jobs, everybodys = counting.run_jobs, threads.get_num_threads()

    def noted(*args: Any, **options: Any) -> None:
        seen.add((options["threads"], threads.get_num_threads()))
        run_jobs(*args, **options)

    monkeypatch.setattr(counting, "run_jobs", noted)
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


def test_axes_that_shapes_do_not_tell(tmp_path: Path) -> None:
    labels = RNG.integers(0, 4, (4, 5, 6)).astype("u1")
    scores = np.zeros((4, 4, 5, 6), "f4")
    np.put_along_axis(scores, labels[None].astype(int), 1, 0)
    reference, prediction = write(tmp_path / "t.nii", labels), save(tmp_path / "p.npy", scores)
    with pytest.raises(
        VolumeError,
        match=r"p.npy: .*channel axis 0 \(in order\) or channel axis 1 \(in order\); say which with channel_axis",
    ):
        sum_files(reference, prediction)
    expected = sum_scores(labels, scores, channel_axis=0)
    same(sum_files(reference, prediction, channel_axis=0), expected)
    assert (np.diag(expected.argmax_counts.matrix[0]).sum()) == labels.size

    cube, both = labels[:, :4, :4], np.ascontiguousarray(scores[:3, :, :4, :4] + 0.0)
    both = np.concatenate([both, 1 - both.sum(0, keepdims=True)])[:, :, ::-1]
    cube_reference = write(tmp_path / "cube.nii", cube)
    cubes = save(tmp_path / "cube.npy", both[[0, 1, 2, 3, 3]] * np.float32([1, 1, 1, 0.5, 0.5])[:, None, None, None])
    with pytest.raises(
        VolumeError, match=r"channel axis 0 \(in order\) or channel axis 0 \(reversed\); .*--axes\) or channel_axis"
    ):
        sum_files(cube_reference, cubes)
    same(sum_files(cube_reference, cubes, channel_axis=0), sum_scores(cube, np.load(cubes), channel_axis=0))
    same(sum_files(cube_reference, cubes, axes="zyx"), sum_scores(cube.T, np.load(cubes), channel_axis=0))
    same(sum_files(save(tmp_path / "cube_t.npy", cube), cubes), sum_scores(cube, np.load(cubes), channel_axis=0))
    np.savez(
        tmp_path / "cube.npz", probabilities=np.load(cubes)
    )  # nnU-Net's are reversed, also where that cannot be seen
    same(sum_files(cube_reference, tmp_path / "cube.npz"), sum_scores(cube.T, np.load(cubes), channel_axis=0))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((7, 6, 8, C), {}, r"expected the shape \(7, 6, 9\) of .*t.nii.gz and .*class.*; found \(7, 6, 8, 4\)"),
        ((7, 6), {}, "one axis more"),
        ((*SHAPE, 1, C), {}, "one axis more"),
        ((*SHAPE, C), {"channel_axis": 0}, "the classes along axis 0"),
        ((*SHAPE, C), {"channel_axis": 4}, "channel_axis: expected an axis of arrays with 4 axes, found 4"),
        ((*SHAPE, C), {"geometry": "maybe"}, "geometry: expected one of"),
        ((*SHAPE, C), {"activation": "tanh"}, "activation: expected None"),
    ],
)
def test_wrong_shapes_and_options(tmp_path: Path, reference: Path, shape: Any, options: Any, message: str) -> None:
    prediction = save(tmp_path / "p.npy", np.full(shape, 1 / C, "f4"))
    with pytest.raises(ValueError, match=message):
        sum_files(reference, prediction, **options)
    if len(shape) == 4 and not options:
        with pytest.raises(ValueError, match=message):
            sum_files(reference, write(tmp_path / "p.nii", np.load(prediction)), **options)


def test_geometry_is_guarded(tmp_path: Path, reference: Path) -> None:
    shifted = np.eye(4)
    shifted[1, 3] = 1.0
    prediction = write(tmp_path / "p.nii", P, shifted)
    with pytest.raises(GeometryError, match="translation"):
        sum_files(reference, prediction)
    notes: list[str] = []
    same(sum_files(reference, prediction, geometry="warn", warn=notes.append, **ALL))
    assert "translation" in notes[0]
    with pytest.warns(UserWarning, match="translation"):
        sum_files(reference, prediction, geometry="warn")
    assert evaluate_score_files(reference, prediction, geometry="ignore").files["geometry"] == "not compared"
    array = save(tmp_path / "p.npy", P)
    assert evaluate_score_files(reference, array).files["geometry"] == f"not compared: {array} has none"
    with pytest.raises(VolumeError, match=r"t.npy: expected a NIfTI file"):
        sum_files(save(tmp_path / "t.npy", T), prediction)


def test_wrong_voxels_are_named_with_their_place_in_the_volume(tmp_path: Path, reference: Path, slab: int) -> None:
    wrong, labels, half = P.copy(), T.copy(), P.copy()
    wrong[3, 2, 1, 2], labels[4, 5, 6], half[1, 2, 3] = np.nan, 77, 0.5
    number = "" if slab > 1e6 else r" \(the number is that of a part of the volume\)"
    for prediction in (
        write(tmp_path / "p.nii", wrong),
        save(tmp_path / "p.npy", wrong),
        write(tmp_path / "p.nii.gz", wrong),
    ):
        with pytest.raises(ValueError, match=rf"p\.\S+: expected .* nan at index \(3, 2, 1, 2\){number}$"):
            sum_files(reference, prediction)
    np.savez_compressed(tmp_path / "p.npz", probabilities=wrong.transpose(3, 2, 1, 0))
    with pytest.raises(ValueError, match=r"p.npz: expected .* is nan at index \(2, 1, 2, 3\)"):
        sum_files(reference, tmp_path / "p.npz")
    with pytest.raises(ValueError, match=r"h.nii: .*sum to one.* is 2.0 at index \(1, 2, 3\) of the voxels"):
        sum_files(reference, write(tmp_path / "h.nii", half))
    for name in ("bad.nii", "bad.nii.gz"):
        for prediction in (write(tmp_path / "p.nii", P), save(tmp_path / "p.npy", P)):
            with pytest.raises(ValueError, match=rf"{name}: expected labels .* is 77 at index \(4, 5, 6\)"):
                sum_files(write(tmp_path / name, labels), prediction)
    fractions = T.astype("f4")
    fractions[0, 1, 2] = 1.5
    with pytest.raises(ValueError, match=r"f.nii: expected labels that are whole.* is 1.5 at index \(0, 1, 2\)"):
        sum_files(write(tmp_path / "f.nii", fractions), tmp_path / "p.npy")


@pytest.mark.parametrize("name", ["p.npy", "stored.npz", "deflated.npz", "p.nii", "p.nii.gz"])
def test_damage_anywhere_is_found_or_harmless(tmp_path: Path, name: str, slab: int) -> None:
    """Truncated, and with bits flipped, in many places: an error that names a file; or the same sums, if it has a checksum."""
    step = 3 if slab > 1e6 else 40
    reference = write(tmp_path / "t.nii", T[:3, :4, :5] % 2)
    scores = P[:3, :4, :5, :2]
    prediction = written(tmp_path, name, scores / scores.sum(-1, keepdims=True))
    expected, good = sum_files(reference, prediction), prediction.read_bytes()
    for n in range(0, len(good), step):
        prediction.write_bytes(good[:n])
        with pytest.raises(ValueError, match=name) as failed:
            sum_files(reference, prediction)
        assert str(failed.value).startswith(str(prediction))
    for n in range(0, len(good), step):
        prediction.write_bytes(good[:n] + bytes([good[n] ^ 1 << n % 8]) + good[n + 1 :])
        try:
            found = sum_files(reference, prediction, geometry="ignore")
        except ValueError as error:
            assert str(prediction) in str(error)
        else:
            if name.endswith(("npz", "gz")):
                same(found, expected)


def test_what_is_no_array_of_numbers(tmp_path: Path, reference: Path) -> None:
    prediction = tmp_path / "p.npy"
    np.save(prediction, np.array([{}, None]), allow_pickle=True)
    with pytest.raises(VolumeError, match="p.npy: expected real numbers of at most 64 bits, found dtype object"):
        sum_files(reference, prediction)
    for array in (P.astype("c8"), np.zeros((), "f4"), np.zeros((*SHAPE, 0), "f4"), np.zeros(3, "f4,f4")):
        with pytest.raises(VolumeError, match="p.npy: expected"):
            sum_files(reference, save(prediction, array))
    save(prediction, P)
    prediction.write_bytes(prediction.read_bytes() + b"\1")
    with pytest.raises(VolumeError, match=r"p.npy: expected the end .* after the last voxel.* at byte 6176"):
        sum_files(reference, prediction)
    for text, message in (
        (b"PK\3\4nonsense", "truncated, corrupt"),
        (b"nonsense", "expected an .npy or .npz file, found the first bytes"),
        (b"", "empty file"),
    ):
        prediction.write_bytes(text)
        with pytest.raises(VolumeError, match=message):
            sum_files(reference, prediction)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, P, version=(3, 0))
    prediction.write_bytes(buffer.getvalue())
    with pytest.raises(VolumeError, match="version 1 or 2"):
        sum_files(reference, prediction)
    with pytest.raises(VolumeError, match="no such file"):
        sum_files(reference, tmp_path / "missing.npz")
    import zipfile

    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    with pytest.raises(VolumeError, match="found a zip archive without arrays"):
        sum_files(reference, tmp_path / "empty.npz")


# ---- Scores and the command line


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["fastseg", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        cli.main()
    out, err = capsys.readouterr()
    return int(done.value.code or 0), out, err


def check(found: dict[str, Any], sums: Any, *, left_out: int = -1) -> None:
    counts = sums.argmax_counts
    dice = fastseg.metrics.dice(counts)[0, counts.labels != left_out]
    assert found["mean"]["dice"] == pytest.approx(float(np.nanmean(dice)))
    assert found["classes"]["1"]["pred_voxels"] == int(counts.matrix[0, :, 1].sum())
    wanted = {
        "soft_dice": 1 - fastseg.soft_dice_loss(sums),
        "cross_entropy": fastseg.cross_entropy(sums),
        "brier_score": fastseg.brier_score(sums),
    }
    assert found["scores"] == pytest.approx(wanted, rel=1e-6)


def test_json_is_what_arrays_give(tmp_path: Path, reference: Path, capsys: Any, monkeypatch: Any) -> None:
    prediction = write(tmp_path / "p.nii.gz", P)
    code, out, err = call(capsys, monkeypatch, "evaluate", reference, prediction, "--json", "-")
    assert (code, err) == (0, "")
    check(json.loads(out), EXPECTED)
    logits = save(tmp_path / "z.npy", np.moveaxis(Z, -1, 0))
    arguments = ["--activation", "softmax", "--ignore", 2, "--threads", 1, "--channel-axis", 0]
    code, out, err = call(capsys, monkeypatch, "evaluate", reference, logits, *arguments, "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [*found["classes"]] == ["0", "1", "3"]  # an ignored label is no class
    check(found, sum_scores(T, Z, activation="softmax", ignore_index=2, **ALL), left_out=2)
    assert found["voxels"]["ignored"] == int((T == 2).sum())
    assert (found["files"]["activation"], found["files"]["channel_axis"]) == ("softmax", 0)


def test_table(tmp_path: Path, reference: Path, capsys: Any, monkeypatch: Any) -> None:
    names = tmp_path / "names.txt"
    names.write_text("1 liver\n2 spleen\n")
    prediction = write(tmp_path / "p.nii", P)
    code, out, err = call(capsys, monkeypatch, "evaluate", reference, prediction, "--labels", names)
    assert (code, err) == (0, "")
    assert "liver" in out
    assert out.splitlines()[-3:] == [
        f"soft Dice: {1 - fastseg.soft_dice_loss(EXPECTED):.4f}",
        f"cross-entropy: {fastseg.cross_entropy(EXPECTED):.4f}",
        f"Brier score: {fastseg.brier_score(EXPECTED):.4f}",
    ]


def test_a_volume_of_another_shape_is_no_file_of_scores(
    tmp_path: Path, reference: Path, capsys: Any, monkeypatch: Any
) -> None:
    prediction = write(tmp_path / "p.nii", P[:, :, 1:])
    assert not holds_scores(reference, prediction)
    code, out, err = call(capsys, monkeypatch, "evaluate", reference, prediction)
    assert (code, out) == (3, "")
    assert "expected the shape (7, 6, 9)" in err


def test_undefined_scores_are_null(tmp_path: Path, reference: Path) -> None:
    scores = evaluate_score_files(reference, write(tmp_path / "p.nii", P), ignore_index=[0, 1, 2, 3])
    assert scores.to_dict()["scores"] == dict.fromkeys(["soft_dice", "cross_entropy", "brier_score"])
    assert "soft Dice: -" in str(scores)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "ignore": 3}}')
    names = {"background": 0, "liver": 1, "lung": 2, "ignore": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": names}))
    with pytest.raises(ValueError, match=r"p.nii: expected scores of the labels \(0, 1, 2\), found \[3\] too"):
        evaluate_score_files(reference, tmp_path / "p.nii", labels=tmp_path / "dataset.json")
    scores = evaluate_score_files(reference, tmp_path / "p.nii", labels=tmp_path / "dataset.json", unknown="count")
    assert scores.counts.voxels[0, 1] == (T == 3).sum()
    assert scores.classes == (0, 1, 2)
    with pytest.raises(ValueError, match=r"t.nii.gz: expected labels among \(0, 1\), found \[2, 3\] too"):
        evaluate_score_files(reference, tmp_path / "p.nii", labels=[0, 1], unknown="count")
    wide = evaluate_score_files(reference, tmp_path / "p.nii", labels=[5, 0, 1, 2, 3], regions={"r": [3, 5]})
    assert wide.counts.labels.tolist() == [5, 0, 1, 2, 3]
    assert wide["dice"][0] == evaluate_score_files(reference, tmp_path / "p.nii")["dice"][3]
    with pytest.raises(TypeError, match="labels: expected names"):
        evaluate_score_files(reference, tmp_path / "p.nii", labels=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown: expected"):
        evaluate_score_files(reference, tmp_path / "p.nii", unknown="skip")  # type: ignore[arg-type]


def test_regions_of_scores(tmp_path: Path, reference: Path) -> None:
    prediction = write(tmp_path / "p.nii", P)
    counts = evaluate_score_files(reference, prediction).counts
    united = evaluate_score_files(reference, prediction, regions="all=1,2,3;two=2")
    assert united.counts == counts
    expected = fastseg.metrics.dice(counts.regions({"all": [1, 2, 3], "two": [2]}))[0]
    assert np.array_equal(united["dice"], expected)
    assert united.classes == ("all", "two")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{z}"], 3, "z.npy: expected probabilities in [0, 1] (or activation='softmax'"),
        (["{z}", "--activation", "tanh"], 2, "'tanh' is not one of"),
        (["{z}", "--channel-axis", "x"], 2, "not a valid integer"),
        (["{z}", "--activation", "softmax", "--channel-axis", "7"], 2, "--channel-axis: expected an axis"),
        (["{z}", "--activation", "softmax", "--map-prediction", "1=2"], 2, "--map-prediction: as "),
        (["missing.npy"], 3, "missing.npy: no such file"),
    ],
)
def test_exit_codes(
    tmp_path: Path, reference: Path, arguments: list[str], code: int, message: str, capsys: Any, monkeypatch: Any
) -> None:
    logits = save(tmp_path / "z.npy", Z)
    found, out, err = call(capsys, monkeypatch, "evaluate", reference, *(a.format(z=logits) for a in arguments))
    assert (found, out) == (code, "")
    assert message in err.strip().splitlines()[-1]


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("which", ["reference", "prediction"])
def test_unpacking_can_be_ended(
    tmp_path: Path, reference: Path, which: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_sources, "MEMORY_BYTES", limit)
    monkeypatch.setattr(score_files, "SLAB_BYTES", 1)
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        raise ZeroDivisionError

    # An array in C order has its classes where they can be read in turn, and then it is the labels that are unpacked.
    options: dict[str, Any] = {} if which == "prediction" else {"channel_axis": -1, "axes": "xyz"}
    path = save(tmp_path / "p.npy", P) if options else write(tmp_path / "p.nii.gz", P)
    with pytest.raises(ZeroDivisionError):
        sum_files(reference, path, progress=stop, **options)
    assert calls == [(0, T.size)]

"""HDF5 files of MATLAB and Julia: their axes come in the order of those programs, and what holds no labels is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_volumes import check_boxes, whole

from fastseg import evaluate_files
from fastseg.runs.cases.find import find_cases
from fastseg.volumes import VolumeError, open_volume, split_suffix

h5py: Any = pytest.importorskip("h5py")

MATLAB = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 ."
JLD2 = b"HDF5-based Julia Data Format, version 0.1.1\0 (Julia 1.9.0 64-bit LE)\0"
JLD = b"Julia data file (HDF5), version 0.1.3"
SHAPE = (11, 9, 7)
FORMS: list[dict[str, Any]] = [{}, {"chunks": (3, 5, 4), "compression": "gzip"}]


def voxels(dtype: str = "u1", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def begin(path: Path, user_block: bytes) -> None:
    """Make a file of nothing but a user block of 512 bytes, as both programs do."""
    with h5py.File(path, "w", userblock_size=512):
        pass
    with path.open("r+b") as file:
        tail = b"\0\x02IM" if user_block is MATLAB else b""
        file.write(user_block.ljust(124, b" ") + tail)


def save(path: Path, user_block: bytes = MATLAB, form: dict[str, Any] | None = None, **variables: np.ndarray) -> Path:
    """Write variables as MATLAB's save(..., '-v7.3') does, or as Julia does, which says nothing more of arrays."""
    begin(path, user_block)
    names = {"?": "logical", "d": "double", "f": "single"}
    with h5py.File(path, "a") as file:
        for name, data in variables.items():
            stored = data.astype("u1") if data.dtype == bool else data
            dataset = file.create_dataset(name, data=stored.T, **(form or {}))
            if user_block is MATLAB:
                dataset.attrs["MATLAB_class"] = np.bytes_(names.get(data.dtype.char, data.dtype.name))
                if data.dtype == bool:
                    dataset.attrs["MATLAB_int_decode"] = np.int32(1)
    return path


def refused(path: Any, *expected: str) -> None:
    with pytest.raises(VolumeError) as caught:
        open_volume(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    for text in expected:
        assert text in message


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["?", "u1", "<u2", "<i4", "<f4", "<f8"])
@pytest.mark.parametrize("user_block", [MATLAB, JLD2, JLD])
def test_axes_are_in_the_order_of_the_program(
    tmp_path: Path, user_block: bytes, dtype: str, form: dict[str, Any]
) -> None:
    data = voxels(dtype)
    with open_volume(save(tmp_path / "case.mat", user_block, form, labels=data)) as volume:
        assert (volume.geometry.shape, volume.geometry.axes, volume.order) == (SHAPE, "", "F")
        assert volume.blocks == form.get("chunks", (1, 1, 1))[::-1]
        assert volume.parallel == (not form)
        np.testing.assert_array_equal(whole(volume), data)
        check_boxes(volume, data, 3)


def test_only_what_matlab_wrote_is_reversed(tmp_path: Path) -> None:
    data, path = voxels(), save(tmp_path / "case.mat", spacing=np.ones((1, 3)))
    with h5py.File(path, "a") as file:
        file["labels"] = data
    with open_volume(path) as volume:
        assert (volume.geometry.shape, volume.order) == (SHAPE, "C")
        np.testing.assert_array_equal(whole(volume), data)
    with h5py.File(tmp_path / "case.h5", "w") as file:
        file["labels"] = data
        file["labels"].attrs["MATLAB_class"] = np.bytes_("uint8")
    with open_volume(tmp_path / "case.h5") as volume:
        np.testing.assert_array_equal(whole(volume), data)


@pytest.mark.parametrize("form", FORMS)
def test_a_cube_scores_as_its_array(tmp_path: Path, form: dict[str, Any]) -> None:
    cube = voxels("u1", (16, 16, 16)) % 3
    np.save(tmp_path / "case.npy", cube)
    path = save(tmp_path / "case.mat", form=form, labels=cube)
    counts = evaluate_files(tmp_path / "case.npy", path).counts
    np.testing.assert_array_equal(counts.matrix[0], np.diag(np.bincount(cube.ravel())))


def test_the_variable_may_be_named_or_be_the_only_volume(tmp_path: Path) -> None:
    data, path = voxels(), tmp_path / "case.mat"
    save(path, labels=data, spacing=np.ones((1, 3)), count=np.ones((1, 1)), name=np.zeros((2, 3), "u2"))
    with h5py.File(path, "a") as file:
        file["name"].attrs["MATLAB_class"] = np.bytes_("char")
        file.create_dataset("nothing", data=np.array([0, 0], "u8")).attrs.update(
            {"MATLAB_class": np.bytes_("double"), "MATLAB_empty": np.uint8(1)}
        )
        kept = file.create_dataset("#refs#/a", data=data)
        kept.attrs["MATLAB_class"] = np.bytes_("uint8")
        file.create_dataset("cells", data=np.array([[kept.ref]], h5py.ref_dtype)).attrs["MATLAB_class"] = np.bytes_(
            "cell"
        )
        file.create_group("case").attrs["MATLAB_class"] = np.bytes_("struct")
    for name in (path, f"{path}::labels"):
        with open_volume(name) as volume:
            np.testing.assert_array_equal(whole(volume), data)
    with h5py.File(path, "a") as file:
        field = file["case"].create_dataset("mask", data=data.T)
        field.attrs["MATLAB_class"] = np.bytes_("uint8")
    refused(path, "or the name of one after ::", "::/labels (11, 9, 7) uint8", "::/case/mask (11, 9, 7) uint8", "char")
    with open_volume(f"{path}::case/mask") as volume:
        np.testing.assert_array_equal(whole(volume), data)
    refused(f"{path}::case", "found struct: name the field that holds the labels, as in", "::case/field")
    refused(f"{path}::name", "found char: save the labels as numbers")
    refused(f"{path}::cells", "found cell: save what is in it as a variable of its own")


def test_what_has_no_voxels_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "case.mat", labels=np.array([[0, 5]], "u8"))  # its shape, which is how MATLAB keeps none
    with h5py.File(path, "a") as file:
        file["labels"].attrs["MATLAB_empty"] = np.uint8(1)
        group = file.create_group("sparse")
        group.attrs.update({"MATLAB_class": np.bytes_("double"), "MATLAB_sparse": np.uint64(4)})
        group["data"] = np.ones(3)
    refused(f"{path}::labels", "found empty uint64: save the labels as numbers")
    refused(f"{path}::sparse", "found sparse: save full(...) of it")
    refused(path, "expected one dataset of numbers", "::/labels (1, 2) empty uint64")


def test_older_files_say_how_to_save_them(tmp_path: Path) -> None:
    for name, text in (("case.mat", "one of version 5 to 7"), ("case.bin", "one of version 5 to 7")):
        (tmp_path / name).write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\x01IM" + bytes(100))
        refused(tmp_path / name, text, "save it with save(file, 'labels', '-v7.3')")
    (tmp_path / "case.mat").write_bytes(bytes([0, 0, 0, 0, 5, 0, 0, 0]) * 20)  # version 4 has no magic
    refused(tmp_path / "case.mat", "found the first bytes", "'-v7.3'")
    refused(f"{tmp_path / 'case.mat'}::labels", "found the first bytes", "'-v7.3'")


def test_folders_list_them(tmp_path: Path) -> None:
    assert split_suffix("liver_001.mat") == ("liver_001", ".mat")
    for folder in ("references", "predictions"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "references" / "liver_001.npy", voxels())
    save(tmp_path / "predictions" / "liver_001.mat", labels=voxels())
    (case,) = find_cases(tmp_path / "references", tmp_path / "predictions").cases
    assert (case.id, Path(str(case.prediction)).name) == ("liver_001", "liver_001.mat")

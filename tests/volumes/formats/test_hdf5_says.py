"""What an HDF5 dataset says of its axes, its place and its values is obeyed or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write as write_nifti

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

h5py: Any = pytest.importorskip("h5py")

RANDOM = np.random.default_rng(0)
TRUE = RANDOM.integers(0, 3, (8, 8, 8)).astype("u1")
PRED = np.where(RANDOM.random(TRUE.shape) < 0.8, TRUE, 1).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, PRED)


def write(path: Path, data: np.ndarray, attributes: Any = (), **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("labels", data=data, **options)
        for key, value in dict(attributes).items():
            dataset.attrs[key] = value
    return path


def tags(axes: str) -> dict[str, Any]:
    """Return axistags as ilastik writes them."""
    entries = [{"key": key, "typeFlags": 2, "resolution": 0, "description": ""} for key in axes]
    return {"axistags": json.dumps({"axes": entries})}


def test_axistags_are_matched(tmp_path: Path) -> None:
    true = write(tmp_path / "t.h5", TRUE, tags("zyx"))
    assert fastseg.count_files(true, write(tmp_path / "p.h5", PRED.T, tags("xyz"))) == EXPECTED
    assert fastseg.count_files(true, write(tmp_path / "c.h5", PRED[..., None], tags("zyxc"))) == EXPECTED
    flat = write(tmp_path / "f.h5", TRUE[:4, :, :6], tags("zyx"))
    assert fastseg.count_files(flat, write(tmp_path / "g.h5", PRED[:4, :, :6].T, tags("xyz"))) == fastseg.count_labels(
        TRUE[:4, :, :6], PRED[:4, :, :6]
    )
    nifti = write_nifti(tmp_path / "n.nii", PRED.T)
    assert fastseg.count_files(true, nifti) == EXPECTED
    for false in ({"axistags": "{"}, {"axistags": '{"axes": [1]}'}, tags("zy")):
        with pytest.raises(VolumeError, match="expected (axistags of ilastik's|3 axes in axistags)"):
            open_volume(write(tmp_path / "x.h5", TRUE, false))
    four = write(tmp_path / "4.h5", TRUE[:, :, :3], tags("yxc"))
    with pytest.raises(VolumeError, match=r"found 3 channels \(axes yxc\)"):
        fastseg.count_files(four, four)


def test_labels_of_dimensions_are_matched(tmp_path: Path) -> None:
    paths = []
    for name, data, labels in (("t", TRUE, "zyx"), ("p", PRED.T, "xyz")):
        paths.append(write(tmp_path / f"{name}.h5", data))
        with h5py.File(paths[-1], "a") as file:
            for dimension, label in zip(file["labels"].dims, labels, strict=True):
                dimension.label = label
    assert fastseg.count_files(*paths) == EXPECTED


def netcdf(path: Path, data: np.ndarray, names: str, starts: dict[str, float]) -> Path:
    """Write a variable and its coordinates as netCDF 4 does."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("labels", data=data)
        for axis, name in enumerate(names):
            file[name] = starts.get(name, 0.0) + 0.5 * np.arange(data.shape[axis])
            file[name].make_scale(name)
            file[name].attrs["units"] = "m"
            dataset.dims[axis].attach_scale(file[name])
    return path


def test_coordinates_of_netcdf_are_matched_and_compared(tmp_path: Path) -> None:
    true = netcdf(tmp_path / "t.h5", TRUE, "zyx", {"x": 3})
    assert (
        fastseg.count_files(f"{true}::labels", f"{netcdf(tmp_path / 'p.h5', PRED.T, 'xyz', {'x': 3})}::labels")
        == EXPECTED
    )
    moved = netcdf(tmp_path / "m.h5", PRED, "zyx", {"x": 7})
    with pytest.raises(GeometryError, match=r"a pure translation by \(0, 0, 8\) voxels along zyx"):
        fastseg.count_files(f"{true}::labels", f"{moved}::labels")


def test_values_that_are_no_data_or_packed(tmp_path: Path) -> None:
    data = np.where(RANDOM.random(TRUE.shape) < 0.2, 255, TRUE).astype("u1")
    true = write(tmp_path / "t.h5", data, {"_FillValue": np.uint8(255)})
    notes: list[str] = []
    counts = fastseg.count_files(true, write(tmp_path / "p.h5", PRED), warn=notes.append)
    assert counts == fastseg.count_labels(data, PRED, ignore_index=255)
    assert "declares 255 to be no data" in notes[0]
    packed = write(tmp_path / "s.h5", TRUE * 2 + 10, {"scale_factor": 0.5, "add_offset": np.float32(-5)})
    assert fastseg.count_files(packed, write(tmp_path / "p.h5", PRED)) == EXPECTED
    for options in ({}, {"chunks": (4, 4, 4)}):
        signed = write(tmp_path / "u.h5", (TRUE * 100).view("i1"), {"_Unsigned": "true"}, **options)
        assert fastseg.count_files(signed, signed) == fastseg.count_labels(TRUE * 100, TRUE * 100)


def test_spacing_in_micrometres_is_compared(tmp_path: Path) -> None:
    true = write(tmp_path / "t.h5", TRUE, {"element_size_um": [2.0, 1.0, 1.0]})
    assert fastseg.count_files(true, write(tmp_path / "p.h5", PRED, {"element_size_um": [2.0, 1.0, 1.0]})) == EXPECTED
    with pytest.raises(GeometryError, match="the spacings are"):
        fastseg.count_files(true, write(tmp_path / "q.h5", PRED, {"element_size_um": [1.0, 1.0, 1.0]}))
    with pytest.raises(VolumeError, match="expected 3 positive numbers in element_size_um"):
        open_volume(write(tmp_path / "r.h5", PRED, {"element_size_um": [1.0, 0.0, 1.0]}))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"IMAGE_WHITE_IS_ZERO": np.uint8(1)}, "expected a picture whose stored 0 is black, found IMAGE_WHITE_IS_ZERO"),
        ({"DISPLAY_ORIGIN": "LL"}, "first pixel is at the upper left, found DISPLAY_ORIGIN 'LL'"),
        ({"IMAGE_SUBCLASS": "IMAGE_TRUECOLOR"}, "found a colour picture"),
    ],
)
def test_pictures_of_hdf5_are_what_they_say(tmp_path: Path, attributes: Any, message: str) -> None:
    plain = write(
        tmp_path / "t.h5", TRUE[0], {"CLASS": "IMAGE", "DISPLAY_ORIGIN": "UL", "IMAGE_SUBCLASS": "IMAGE_GRAYSCALE"}
    )
    assert fastseg.count_files(plain, plain).voxels.sum() == 64
    with pytest.raises(VolumeError, match=message):
        open_volume(write(tmp_path / "f.h5", TRUE[0], {"CLASS": np.bytes_("IMAGE"), **attributes}))


def test_palettes_of_hdf5_are_compared(tmp_path: Path) -> None:
    paths = []
    for name, order in (("t", [0, 1, 2]), ("p", [0, 2, 1])):
        colours = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]], "u1")[order]
        indexes = np.argsort(order).astype("u1")[TRUE[0]]
        paths.append(write(tmp_path / f"{name}.h5", indexes, {"CLASS": "IMAGE", "IMAGE_SUBCLASS": "IMAGE_INDEXED"}))
        with h5py.File(paths[-1], "a") as file:
            file["palette"] = colours
            file["labels"].attrs["PALETTE"] = file["palette"].ref
    notes: list[str] = []
    counts = fastseg.count_files(*(f"{path}::labels" for path in paths), warn=notes.append)
    assert counts == fastseg.count_labels(TRUE[0], TRUE[0])
    assert "compared by colour" in notes[0]


def test_images_of_itk_lie_where_they_say(tmp_path: Path) -> None:
    itk: Any = pytest.importorskip("SimpleITK")
    image = itk.GetImageFromArray(TRUE)
    image.SetSpacing((1, 2, 3))
    image.SetOrigin((5, 6, 7))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, 1))
    for name in ("t.h5", "t.nii"):
        itk.WriteImage(image, str(tmp_path / name))
    inside = f"{tmp_path / 't.h5'}::ITKImage/0/VoxelData"
    assert fastseg.count_files(tmp_path / "t.nii", inside) == fastseg.count_labels(TRUE, TRUE)
    image.SetOrigin((5, 6, 8))
    itk.WriteImage(image, str(tmp_path / "m.nii"))
    with pytest.raises(GeometryError, match="a pure translation"):
        fastseg.count_files(tmp_path / "m.nii", inside)


def test_minc_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.mnc", "w") as file:
        file["minc-2.0/image/0/image"] = TRUE
    with pytest.raises(
        VolumeError, match="found MINC 2, whose slices each have a scale of their own: convert it with mnc2nii"
    ):
        open_volume(tmp_path / "t.mnc")


def test_chunks_that_are_not_stored_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("labels", (8, 8, 8), "u1", chunks=(4, 4, 4), fillvalue=1)
        dataset[:4, :4, :4] = TRUE[:4, :4, :4]
    with open_volume(path) as volume:
        assert volume.notes == (f"{path}: /labels: 7 of 8 chunks are not stored: such voxels have the fill value 1",)
    with h5py.File(path, "w") as file:
        file.create_dataset("labels", (8, 8, 8), "u1")
    notes: list[str] = []
    assert fastseg.count_files(path, path, warn=notes.append).voxels.sum() == 512
    assert notes[0] == f"{path}: /labels: nothing of it is stored: such voxels have the fill value 0"


@pytest.mark.parametrize("dtype", [">i2", "<i2", "i1", ">f4", ">u8", "?"])
def test_byte_order_and_sign_are_obeyed(tmp_path: Path, dtype: str) -> None:
    data = (TRUE.astype("i4") * (1 if dtype in ("?", ">u8") else -1)).astype(dtype)
    path = write(tmp_path / "t.h5", data)
    assert fastseg.count_files(path, path) == fastseg.count_labels(data.astype("i4"), data.astype("i4"))

"""What the conventions of netCDF and CF say of values and places, in HDF5 and in Zarr."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

h5py: Any = pytest.importorskip("h5py")
zarr: Any = pytest.importorskip("zarr")

TRUE = np.random.default_rng(0).integers(0, 3, (5, 6)).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, TRUE)
Write = Callable[..., Path]


def hdf5(path: Path, data: Any, beside: Any = (), **attributes: Any) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["labels"] = data
        file["labels"].attrs.update(attributes)
        for name, (values, said) in dict(beside).items():
            file[name] = values
            file[name].attrs.update(said)
            if np.ndim(values) == 1:
                axis = ("y", "x").index(name)
                file[name].make_scale(name)
                file["labels"].dims[axis].attach_scale(file[name])
    return path.with_suffix(".h5")


def zarr_array(path: Path, data: Any, beside: Any = (), **attributes: Any) -> Path:
    path = path.with_suffix(".zarr")
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.open_group(path, mode="w", zarr_format=2)
    plain = {key: np.asarray(value).tolist() for key, value in attributes.items()}
    group.create_array("labels", data=data, attributes={"_ARRAY_DIMENSIONS": ["y", "x"], **plain})
    for name, (values, said) in dict(beside).items():
        dimensions = {"_ARRAY_DIMENSIONS": [name]} if np.ndim(values) else {}
        group.create_array(name, data=np.asarray(values), attributes={**said, **dimensions})
    return path


@pytest.fixture(params=[hdf5, zarr_array], ids=["hdf5", "zarr"])
def write(request: pytest.FixtureRequest) -> Write:
    found: Write = request.param
    return found


@pytest.mark.parametrize(
    "said",
    [
        {"valid_range": np.array([0, 1], "u1")},
        {"valid_max": np.uint8(1)},
        {"valid_min": np.uint8(1), "valid_max": np.uint8(2)},
    ],
)
def test_values_outside_of_the_valid_range_have_no_label(tmp_path: Path, write: Write, said: dict[str, Any]) -> None:
    plain = write(tmp_path / "plain", TRUE)
    wrong = write(tmp_path / "wrong", TRUE, **said)
    for pair in ((plain, wrong), (wrong, plain)):
        with pytest.raises(
            VolumeError, match=r"wrong\.\w+: expected values from .* \(valid_range, valid_min, valid_max\), found"
        ):
            fastseg.count_files(*pair, num_classes=3)
    with pytest.raises(VolumeError, match="valid_range"):
        fastseg.count_mask_files({"a": str(plain)}, {"a": str(write(tmp_path / "mask", TRUE, valid_max=np.uint8(0)))})
    holed = np.where(TRUE == 2, 255, TRUE).astype("u1")  # no data lies outside, as it mostly does
    within = write(tmp_path / "within", holed, valid_range=np.array([0, 2], "u1"), _FillValue=np.uint8(255))
    counts = fastseg.count_files(within, plain, warn=lambda _: None)
    assert counts == fastseg.count_labels(holed, TRUE, ignore_index=255)


def test_a_table_of_flags_names_the_labels(tmp_path: Path, write: Write) -> None:
    true = write(tmp_path / "true", TRUE, flag_values=np.array([0, 1, 2], "u1"), flag_meanings="none forest water")
    assert fastseg.evaluate_files(true, true, warn=lambda _: None).names == {0: "none", 1: "forest", 2: "water"}
    other = np.array([0, 2, 1], "u1")[TRUE]
    pred = write(tmp_path / "pred", other, flag_values=np.array([0, 2, 1], "u1"), flag_meanings="none forest water")
    notes: list[str] = []
    scores = fastseg.evaluate_files(true, pred, metrics="dice", warn=notes.append)
    assert scores["dice"].tolist() == [1.0, 1.0, 1.0]
    assert "matched by the names of its own labels" in notes[0]
    with pytest.raises(VolumeError, match="a word in flag_meanings for each of 3 flag_values, found 2"):
        open_volume(write(tmp_path / "a", TRUE, flag_values=np.array([0, 1, 2], "u1"), flag_meanings="none forest"))
    with pytest.raises(VolumeError, match="found flag_masks: bits of which several may be set"):
        open_volume(write(tmp_path / "b", TRUE, flag_masks=np.array([1, 2], "u1"), flag_meanings="forest water"))


def test_reference_systems_are_compared_with_and_without_a_text(tmp_path: Path, write: Write) -> None:
    def of(name: str, said: dict[str, Any]) -> Path:
        return write(tmp_path / name, TRUE, {"crs": (np.int32(0), said)}, grid_mapping="crs")

    wkt = 'PROJCS["a map",AUTHORITY["EPSG","{}"]]'
    conic = {"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": 45.0}
    for one, other in (
        ({"crs_wkt": wkt.format(32632)}, {"crs_wkt": wkt.format(32633)}),
        (conic, {**conic, "standard_parallel": 50.0}),
    ):
        first, second = of("one", one), of("other", other)
        assert fastseg.count_files(f"{first}::labels", f"{first}::labels", warn=lambda _: None) == EXPECTED
        with pytest.raises(GeometryError, match="the coordinate reference systems are"):
            fastseg.count_files(f"{first}::labels", f"{second}::labels")


def test_units_and_packed_values_of_coordinates_count(tmp_path: Path) -> None:
    def of(name: str, step: float, **said: Any) -> Path:
        return hdf5(tmp_path / name, TRUE, {"y": (np.arange(5.0), {"units": "m"}), "x": (step * np.arange(6.0), said)})

    metres = of("metres", 1.0, units="m")
    assert fastseg.count_files(f"{metres}::labels", f"{of('same', 1e-3, units='km')}::labels") == EXPECTED
    packed = of("packed", 0.5, units="m", scale_factor=2.0)
    assert fastseg.count_files(f"{metres}::labels", f"{packed}::labels") == EXPECTED
    for other in (of("far", 1.0, units="km"), of("wide", 1.0, units="m", scale_factor=2.0)):
        with pytest.raises(GeometryError, match="the voxels lie from"):
            fastseg.count_files(f"{metres}::labels", f"{other}::labels")


def test_coordinates_of_two_axes_are_compared(tmp_path: Path) -> None:
    def of(name: str, first: float) -> str:
        beside = {"lat2": (first + np.zeros(TRUE.shape), {}), "lon2": (np.zeros(TRUE.shape), {})}
        return f"{hdf5(tmp_path / name, TRUE, beside, coordinates='lat2 lon2')}::labels"

    assert fastseg.count_files(of("one", 5.0), of("same", 5.0)) == EXPECTED
    with pytest.raises(GeometryError, match="lat2 from 5, 5, 5, 5; lon2 from 0, 0, 0, 0 and lat2 from 50"):
        fastseg.count_files(of("one", 5.0), of("other", 50.0))

"""What a Zarr array says of its axes, its place and its values is obeyed or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.zarr_files import write, zarr

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

RANDOM = np.random.default_rng(0)
TRUE = RANDOM.integers(0, 3, (8, 8, 8)).astype("u1")
PRED = np.where(RANDOM.random(TRUE.shape) < 0.8, TRUE, 1).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, PRED)


def image(path: Path, data: np.ndarray, *transforms: Any, whole: Any = None, axes: str = "zyx", **unit: str) -> Path:
    """Write an OME-Zarr 0.4 image of one resolution."""
    entry: dict[str, Any] = {
        "version": "0.4",
        "axes": [{"name": letter, "type": "space", **unit} for letter in axes],
        "datasets": [{"path": "0", "coordinateTransformations": list(transforms)}],
    }
    if whole is not None:
        entry["coordinateTransformations"] = whole
    zarr.create_group(path, zarr_format=2, attributes={"multiscales": [entry]})
    write(path, data, name="0", zarr_format=2)
    return path


def scale(*values: float) -> dict[str, Any]:
    return {"type": "scale", "scale": list(values)}


def translation(*values: float) -> dict[str, Any]:
    return {"type": "translation", "translation": list(values)}


@pytest.mark.parametrize("unit", [{"unit": "micrometer"}, {}])
@pytest.mark.parametrize("at_the_top", [False, True])
def test_an_image_elsewhere_is_refused(tmp_path: Path, unit: dict[str, str], at_the_top: bool) -> None:
    true = image(tmp_path / "t.zarr", TRUE, scale(1, 0.5, 0.5), **unit)
    moved = translation(0, 0, 8)
    pred = (
        image(tmp_path / "p.zarr", PRED, scale(1, 0.5, 0.5), whole=[moved], **unit)
        if at_the_top
        else image(tmp_path / "p.zarr", PRED, scale(1, 0.5, 0.5), moved, **unit)
    )
    with pytest.raises(GeometryError, match=r"a pure translation by \(0, 0, 16\) voxels along zyx"):
        fastseg.count_files(true, pred)
    notes: list[str] = []
    assert fastseg.count_files(true, pred, geometry="warn", warn=notes.append) == EXPECTED
    assert "translation" in notes[0]
    assert fastseg.count_files(pred, pred) == fastseg.count_labels(PRED, PRED)


def test_transformations_follow_one_another(tmp_path: Path) -> None:
    """The dataset's, then the image's: 4 → ×2 → +3 → ×10 → +5."""
    path = image(
        tmp_path / "t.zarr", TRUE, scale(2, 2, 2), translation(3, 3, 3), whole=[scale(10, 10, 10), translation(5, 5, 5)]
    )
    with open_volume(path) as volume:
        assert volume.geometry.positions is not None
        assert volume.geometry.positions.ends == ((35, 35 + 7 * 20),) * 3
    same = image(tmp_path / "p.zarr", PRED, scale(20, 20, 20), translation(35, 35, 35))
    assert fastseg.count_files(path, same) == EXPECTED
    other = image(tmp_path / "o.zarr", PRED, scale(20, 20, 21), translation(35, 35, 35))
    with pytest.raises(
        GeometryError,
        match="the voxels lie from 35 to 175, 35 to 175, 35 to 175 and from 35 to 175, 35 to 175, 35 to 182",
    ):
        fastseg.count_files(path, other)


def test_a_small_translation_passes_with_a_note(tmp_path: Path) -> None:
    true = image(tmp_path / "t.zarr", TRUE, scale(1, 1, 1), unit="micrometer")
    pred = image(tmp_path / "p.zarr", PRED, scale(1, 1, 1), translation(0, 0.05, 0), unit="micrometer")
    notes: list[str] = []
    assert fastseg.count_files(true, pred, warn=notes.append) == EXPECTED
    assert "which passes for the same place" in notes[0]
    with pytest.raises(GeometryError):
        fastseg.count_files(true, pred, geometry_tolerance=0.04)


def test_axes_of_images_are_matched_by_name(tmp_path: Path) -> None:
    true = image(tmp_path / "t.zarr", TRUE, scale(1, 2, 3), translation(7, 0, 0))
    pred = image(tmp_path / "p.zarr", PRED.T, scale(3, 2, 1), translation(0, 0, 7), axes="xyz")
    assert fastseg.count_files(true, pred) == EXPECTED


@pytest.mark.parametrize("names", ["zyx", ("depth", "row", "column"), ("a name", "another", "a third")])
def test_names_of_dimensions_are_matched(tmp_path: Path, names: Any) -> None:
    names = list(names)
    true = write(tmp_path / "t.zarr", TRUE, dimension_names=names)
    pred = write(tmp_path / "p.zarr", PRED.T, dimension_names=names[::-1])
    assert fastseg.count_files(true, pred) == EXPECTED
    other = write(tmp_path / "x.zarr", PRED.T, zarr_format=2, attributes={"_ARRAY_DIMENSIONS": names[::-1]})
    assert fastseg.count_files(true, other) == EXPECTED
    unnamed = write(tmp_path / "u.zarr", PRED, dimension_names=["dim_0", "dim_1", "dim_2"])
    assert fastseg.count_files(true, unnamed) == EXPECTED
    with pytest.raises(VolumeError, match="expected 3 names of dimensions"):
        open_volume(write(tmp_path / "f.zarr", TRUE, zarr_format=2, attributes={"_ARRAY_DIMENSIONS": ["x"]}))


def test_names_that_contradict_the_image_are_refused(tmp_path: Path) -> None:
    path = image(tmp_path / "t.zarr", TRUE)
    (path / "0" / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["x", "y", "z"]}))
    with pytest.raises(VolumeError, match="expected the axes zyx of the image in its dimension_names, found xyz"):
        open_volume(path)


@pytest.mark.parametrize("key", ["_FillValue", "missing_value"])
def test_a_value_that_is_no_data_is_not_scored(tmp_path: Path, key: str) -> None:
    lacking = RANDOM.random(TRUE.shape) < 0.2
    data = np.where(lacking, 255, TRUE).astype("u1")
    true = write(tmp_path / "t.zarr", data, attributes={key: 255}, fill_value=7)
    pred = write(tmp_path / "p.zarr", PRED, fill_value=1)  # Zarr's own fill value means nothing else
    notes: list[str] = []
    counts = fastseg.count_files(true, pred, warn=notes.append)
    assert counts == fastseg.count_labels(data, PRED, ignore_index=255)
    assert notes == [f"{true}: declares 255 to be no data: such voxels are not scored"]
    assert fastseg.evaluate_files(true, pred, warn=notes.append).foreground_defined["dice"] == 2
    back = fastseg.count_files(pred, true, warn=notes.append)
    assert back.labels.tolist() == [0, 1, 2]
    assert back.unknown.sum() == lacking.sum()
    assert back.matrix.tolist() == fastseg.count_labels(PRED, data, labels=[0, 1, 2], unknown="count").matrix.tolist()
    assert f"{true}: declares 255 to be no data: {lacking.sum()} such voxels are misses of their true class" in notes
    closed = fastseg.count_files(pred, true, num_classes=3, warn=notes.append)
    assert closed == fastseg.count_labels(PRED, data, num_classes=3, unknown="count")
    assert notes[-1].endswith(f"{lacking.sum()} such voxels are misses of their true class")
    other = write(tmp_path / "o.zarr", np.where(data == 2, 9, data), attributes={key: 255})
    with pytest.raises(ValueError, match="expected labels among the 3 classes"):
        fastseg.count_files(pred, other, num_classes=3, warn=notes.append)
    declared = fastseg.count_files(true, pred, labels=[0, 1, 2, 255], warn=notes.append)
    assert declared == fastseg.count_labels(data, PRED, labels=[0, 1, 2, 255])
    assert "is scored there, as 255 is a declared label" in notes[-1]


def test_packed_values_are_unpacked(tmp_path: Path) -> None:
    true = write(
        tmp_path / "t.zarr", TRUE * 2 + 10, attributes={"scale_factor": 0.5, "add_offset": -5, "_FillValue": 10}
    )
    notes: list[str] = []
    counts = fastseg.count_files(true, write(tmp_path / "p.zarr", PRED), warn=notes.append)
    assert counts == fastseg.count_labels(TRUE, PRED, ignore_index=0)
    for attributes in ({"scale_factor": 0}, {"scale_factor": "two"}, {"_FillValue": 1, "missing_value": 2}):
        path = write(tmp_path / f"{len(notes)}{len(str(attributes))}.zarr", TRUE, attributes=attributes)
        with pytest.raises(VolumeError, match="expected (a finite scale_factor|a number|one value for no data)"):
            open_volume(path)


def test_signed_bytes_that_are_meant_unsigned_are(tmp_path: Path) -> None:
    data = (TRUE * 100).astype("u1")
    true = write(tmp_path / "t.zarr", data.view("i1"), attributes={"_Unsigned": "true", "_FillValue": -56})
    pred = write(tmp_path / "p.zarr", data)
    counts = fastseg.count_files(true, pred, warn=lambda _: None)
    assert counts == fastseg.count_labels(data, data, ignore_index=200)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_coordinates_of_xarray_place_the_voxels(tmp_path: Path, zarr_format: int) -> None:
    xarray: Any = pytest.importorskip("xarray")

    def write_dataset(name: str, data: np.ndarray, dims: str, x: float = 0, code: int = 32632) -> Path:
        coords: dict[str, Any] = {"x": x + 10.0 * np.arange(8), "y": 5 - 10.0 * np.arange(8)}
        coords["crs"] = (
            (),
            0,
            {"crs_wkt": f'PROJCS["UTM",GEOGCS["WGS",AUTHORITY["EPSG","4326"]],AUTHORITY["EPSG","{code}"]]'},
        )
        found = xarray.Dataset({"labels": (tuple(dims), data, {"grid_mapping": "crs"})}, coords)
        found.to_zarr(tmp_path / name, zarr_format=zarr_format, consolidated=False)
        return tmp_path / name

    true = write_dataset("t.zarr", TRUE, "zyx")
    assert fastseg.count_files(true, write_dataset("p.zarr", PRED.T, "xyz")) == EXPECTED
    with pytest.raises(GeometryError, match=r"a pure translation by \(0, 0, 2\) voxels along zyx"):
        fastseg.count_files(true, write_dataset("m.zarr", PRED, "zyx", x=20))
    with pytest.raises(GeometryError, match="EPSG:32632 and EPSG:32633"):
        fastseg.count_files(true, write_dataset("c.zarr", PRED, "zyx", code=32633))


@pytest.mark.parametrize("value", [10**400, [1, 2], True, "?", None])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: Any) -> None:
    for key in ("_FillValue", "scale_factor"):
        path = write(tmp_path / f"{key}.zarr", TRUE)
        document = json.loads((path / "zarr.json").read_text())
        (path / "zarr.json").write_text(json.dumps(document | {"attributes": {key: value}}))
        with pytest.raises(VolumeError, match=f"expected a number in the attribute '{key}'"):
            open_volume(path)

"""Zarr groups and OME-Zarr: which array is meant, and where it lies."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_volumes import check_boxes, whole
from support.stored_arrays import SHAPE, load, refused, voxels
from support.writers import skipped_if_not_written
from support.zarr_files import edit, write, zarr, zip_folder

from fastseg.volumes import open_volume


def test_groups(tmp_path: Path) -> None:
    data, path = voxels(), tmp_path / "case.zarr"
    for version in (2, 3):
        zarr.create_group(path, zarr_format=version)
        refused(path, "expected one array, or the name of one after ::, found none")
        write(path, data, name="left/kidney", zarr_format=version)
        np.testing.assert_array_equal(load(path), data)
        np.testing.assert_array_equal(load(f"{path}::left"), data)
        np.testing.assert_array_equal(load(f"{path}::/left/kidney/"), data)
        np.testing.assert_array_equal(load(path / "left" / "kidney"), data)
        write(path, data + 1, name="liver", zarr_format=version)
        refused(path, "::left/kidney", "::liver")
        np.testing.assert_array_equal(load(f"{path}::liver"), data + 1)
        refused(f"{path}::spleen", "expected spleen/zarr.json or .zarray or .zgroup, found none")
        for outside in ("../case.zarr/liver", "left/./kidney", "left//kidney"):
            refused(f"{path}::{outside}", "expected the path of an array inside")
        shutil.rmtree(path)
    path.mkdir()
    refused(path, "expected zarr.json or .zarray or .zgroup, found none")


def test_a_group_in_itself_is_searched_to_an_end(tmp_path: Path) -> None:
    path = tmp_path / "case.zarr"
    zarr.create_group(path)
    for name in "ab":
        (path / name).symlink_to(path)
    refused(path, "found none")


IMAGE: dict[str, Any] = {
    "axes": [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "c", "type": "channel"},
        {"name": "z", "type": "space", "unit": "micrometer"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "millimeter"},
    ],
    "datasets": [
        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 500, 250.0, 2]}]},
        {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 500, 500.0, 4]}]},
    ],
    "coordinateTransformations": [{"type": "scale", "scale": [0.1, 1, 1, 1, 2]}],
}


def write_image(path: Path, data: np.ndarray, version: str, image: Any = IMAGE) -> Path:
    """Write an OME-Zarr image by hand, whose lower resolutions are the data halved."""
    zarr_format = 3 if version == "0.5" else 2
    attributes = {"multiscales": [image | {"version": version}]}
    zarr.create_group(path, zarr_format=zarr_format, attributes={"ome": attributes} if zarr_format == 3 else attributes)
    for level in (0, 1):
        reduced = data[..., :: 1 + level]
        write(path, reduced, name=str(level), zarr_format=zarr_format, chunks=(1, 1, 4, 5, 4)[-data.ndim :])
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("zipped", [False, True])
def test_ome_zarr(tmp_path: Path, version: str, zipped: bool) -> None:
    data = voxels("<u2", (1, 1, *SHAPE))
    path = write_image(tmp_path / "case.zarr", data, version)
    path = zip_folder(path) if zipped else path
    with open_volume(path) as volume:
        assert (volume.geometry.shape, volume.geometry.axes, volume.geometry.affine) == (SHAPE, "zyx", None)
        assert volume.geometry.spacing == pytest.approx((0.5, 0.00025, 4))
        assert volume.blocks == (4, 5, 4)
        check_boxes(volume, data[0, 0], 1)
    with open_volume(f"{path}::1") as volume:
        assert (volume.geometry.shape, volume.geometry.axes) == ((*SHAPE[:2], 4), "zyx")
        assert volume.geometry.spacing == pytest.approx((0.5, 0.0005, 8))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_with_labels_lists_them(tmp_path: Path, version: str) -> None:
    path, data = tmp_path / "case.zarr", voxels("u1", (1, 1, *SHAPE))
    write_image(path, data, version)
    names = {"labels": ["cells", "nuclei"]}
    zarr_format = 3 if version == "0.5" else 2
    zarr.create_group(
        path, path="labels", zarr_format=zarr_format, attributes={"ome": names} if zarr_format == 3 else names
    )
    for number, name in enumerate(names["labels"]):
        write_image(path / "labels" / name, data + number, version)
    refused(path, "expected labels, found an image that has labels: ::labels/cells, ::labels/nuclei")
    refused(f"{path}::labels", "found ::labels/cells, ::labels/nuclei")
    np.testing.assert_array_equal(load(f"{path}::labels/nuclei"), data[0, 0] + 1)
    np.testing.assert_array_equal(load(path / "labels" / "nuclei"), data[0, 0] + 1)


def space(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "type": "space"} for name in names]


@pytest.mark.parametrize(
    ("image", "shape", "axes", "spacing"),
    [
        ({"axes": ["z", "y", "x"]}, SHAPE, "zyx", None),
        ({"axes": space("Z", "Y", "X")}, SHAPE, "zyx", None),
        ({"axes": space("depth", "y", "x")}, SHAPE, "zyx", None),
        ({"axes": space("depth", "z", "x")}, SHAPE, "", None),
        ({"axes": space("x", "x", "y")}, SHAPE, "", None),
        ({}, SHAPE, "", None),
        ({}, (1, 1, *SHAPE), "zyx", None),
        ({"axes": [{"name": "t", "type": "time"}, *space("y", "x")]}, (2, 4, 5), "tyx", None),
        ({"axes": [{**each, "unit": "furlong"} for each in space("y", "x")], "scale": [1, 2]}, (4, 5), "yx", None),
        ({"axes": [{**each, "unit": "meter"} for each in space("y", "x")], "scale": [1, 0.5]}, (4, 5), "yx", (1000, 500)),
    ],
)  # fmt: skip
def test_axes_of_images(tmp_path: Path, image: Any, shape: tuple[int, ...], axes: str, spacing: Any) -> None:
    data = voxels("u1", shape)
    scale = image.get("scale", [1] * len(shape))
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    with skipped_if_not_written(ValueError):
        path = write_image(tmp_path / "case.zarr", data, "0.4", {**image, "datasets": datasets})
    with open_volume(path) as volume:
        assert volume.geometry.axes == axes
        np.testing.assert_equal(volume.geometry.spacing, spacing or (math.nan,) * len(volume.geometry.shape))
        np.testing.assert_array_equal(whole(volume), data.reshape(volume.geometry.shape))


def transforms(*given: Any) -> dict[str, Any]:
    return {**IMAGE, "datasets": [{"path": "0", "coordinateTransformations": list(given)}]}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (transforms({"type": "scale", "scale": [1, 1, 1, 1, -2]}), "expected a scale of 5 numbers above zero"),
        (transforms({"type": "scale", "scale": [1, 1, 1, 1, 1e999]}), "expected a scale of 5 numbers above zero"),
        (transforms({"type": "scale", "scale": [1, 2, 3]}), "expected a scale of 5 numbers above zero"),
        (transforms({"type": "translation", "translation": [1, 2, 3]}), "expected a translation of 5 numbers"),
        (transforms({"type": "scale", "path": "scales"}), "expected a scale of 5 numbers in the metadata"),
        (transforms({"type": "affine", "affine": [[1]]}), "of the type scale or translation, found 'affine'"),
        ({**IMAGE, "axes": IMAGE["axes"][1:]}, "expected 5 axes"),
        ({**IMAGE, "axes": 5}, "expected 5 axes, found 5"),
        ({**IMAGE, "datasets": []}, "expected datasets of an image"),
        ({**IMAGE, "datasets": [{"path": 5}]}, "expected datasets of an image"),
        ({**IMAGE, "datasets": [{"path": "../case.zarr/0"}]}, "expected the path of an array inside"),
        ({**IMAGE, "datasets": [{"path": "7"}]}, "expected the array 7 of the image, found none"),
        ({**IMAGE, "datasets": [{"path": ""}]}, "found a group"),
    ],
)
def test_false_images_are_refused(tmp_path: Path, image: Any, expected: str) -> None:
    refused(write_image(tmp_path / "case.zarr", voxels("u1", (1, 1, *SHAPE)), "0.4", image), expected)


def test_several_channels_or_images_are_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "channels.zarr", voxels("u1", (1, 3, *SHAPE)), "0.5")
    refused(path, "expected labels of one channel, found 3 along the axis 'c'")
    edit(path, lambda document: document["attributes"]["ome"]["multiscales"].append({}))
    refused(path, "expected one multiscale image")
    edit(path, lambda document: document["attributes"].update(ome={"multiscales": 3}))
    refused(path, "expected one multiscale image, found 3")
    edit(path, lambda document: document.update(attributes=[3]))
    refused(path, "expected attributes by name")

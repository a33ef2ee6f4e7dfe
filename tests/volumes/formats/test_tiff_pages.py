"""What every page of a TIFF file states counts, and so do samples that are neither greys nor indexes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

tifffile: Any = pytest.importorskip("tifffile")

TRUE = np.random.default_rng(0).integers(0, 3, (4, 6, 7)).astype("u1")
GREYS = np.stack([np.arange(256) * 257] * 3).astype("u2")


def tie(x: float) -> list[Any]:
    return [(33550, 12, 3, [1.0, 1.0, 0.0], True), (33922, 12, 6, [0.0, 0.0, 0.0, x, 0.0, 0.0], True)]


def text(code: int, value: str) -> list[Any]:
    return [(code, 2, len(value) + 1, value, True)]


SCALE = '<GDALMetadata><Item name="SCALE" sample="0" role="scale">2</Item></GDALMetadata>'


@pytest.mark.parametrize(
    ("name", "usual", "other"),
    [
        ("Orientation", {}, {"extratags": [(274, 3, 1, 3, True)]}),
        ("GDAL_NODATA", {"extratags": text(42113, "255")}, {"extratags": text(42113, "0")}),
        ("GDAL_METADATA", {"extratags": text(42112, SCALE)}, {"extratags": text(42112, SCALE.replace("2<", "3<"))}),
        ("ModelTiepoint", {"extratags": tie(0)}, {"extratags": tie(40)}),
        (
            "ColorMap",
            {"photometric": "palette", "colormap": GREYS},
            {"photometric": "palette", "colormap": GREYS[:, ::-1]},
        ),
        ("PhotometricInterpretation", {}, {"photometric": "miniswhite"}),
    ],
)
@pytest.mark.parametrize("big", [False, True])
def test_pages_that_state_something_else_than_the_first_are_refused(
    tmp_path: Path, name: str, usual: dict[str, Any], other: dict[str, Any], big: bool
) -> None:
    def stack(path: Path, unlike: int) -> Path:
        with tifffile.TiffWriter(path, bigtiff=big) as writer:
            for number, page in enumerate(TRUE):
                more = other if number == unlike else usual
                writer.write(page, metadata=None, **({"photometric": "minisblack"} | more))
        return path

    same = stack(tmp_path / "same.tif", -1)
    assert fastseg.count_files(same, same, warn=lambda _: None).voxels[0].sum() == TRUE.size
    with pytest.raises(
        VolumeError, match=f"expected pages that all state the same {name}, found another one on page 2"
    ):
        open_volume(stack(tmp_path / "unlike.tif", 2))


def written(path: Path, *, kind: int = 1, tags: Any = ()) -> Path:
    tifffile.imwrite(path, TRUE[0], photometric="minisblack", metadata=None, extratags=list(tags))
    if kind != 1:
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages[0].tags[262].overwrite(kind)
    return path


@pytest.mark.parametrize("kind", [2, 5, 6, 8, 32803, 34892])
def test_samples_of_colours_and_of_cameras_are_no_labels(tmp_path: Path, kind: int) -> None:
    with pytest.raises(
        VolumeError, match=f"expected greys or indexes of a palette, found PhotometricInterpretation {kind} "
    ):
        open_volume(written(tmp_path / "a.tif", kind=kind))


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ((433, 11, 2, (0.0, 9.0), True), "Decode"),
        ((50712, 3, 3, (5, 6, 7), True), "LinearizationTable"),
        ((50714, 3, 1, 9, True), "BlackLevel"),
    ],
)
def test_tags_that_change_what_is_stored_are_refused(tmp_path: Path, tag: Any, found: str) -> None:
    with pytest.raises(VolumeError, match=f"found the tag {found}, which changes them"):
        open_volume(written(tmp_path / "a.tif", tags=[tag]))


def test_rational_polynomials_place_a_picture(tmp_path: Path) -> None:
    one, other = (written(tmp_path / f"{k}.tif", tags=[(50844, 12, 92, [float(k)] * 92, True)]) for k in (1, 2))
    with pytest.raises(GeometryError, match="are by rational polynomials .* and by rational polynomials"):
        fastseg.count_files(one, other)


def test_no_data_that_no_whole_number_can_be(tmp_path: Path) -> None:
    with open_volume(written(tmp_path / "a.tif", tags=text(42113, "nan"))) as volume:
        assert volume.nodata is None

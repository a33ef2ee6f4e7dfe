"""What a TIFF file says of its place, its orientation, its values and its codec is obeyed or refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.writers import skipped_if_not_written

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

tifffile: Any = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

RANDOM = np.random.default_rng(0)
TRUE = np.kron(RANDOM.integers(0, 3, (8, 8)), np.ones((4, 4))).astype("u1")
PRED = np.where(RANDOM.random(TRUE.shape) < 0.8, TRUE, 1).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, PRED)
UTM = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32632)


def write(path: Path, data: np.ndarray, *tags: tuple[int, int, Any], **options: Any) -> Path:
    """Write a picture with tags: a code, a type and values."""
    given = [(code, kind, len(values) if isinstance(values, tuple) else 0, values, True) for code, kind, values in tags]
    tifffile.imwrite(path, data, photometric="minisblack", extratags=given, metadata=None, **options)
    return path


def by_hand(path: Path, data: np.ndarray, **tags: int) -> Path:
    """Write bytes in one strip, with tags that tifffile does not write."""
    codes = {"orientation": 274, "fill_order": 266}
    rows, columns = data.shape
    entries = {256: columns, 257: rows, 258: 8, 259: 1, 262: 1, 273: 8, 278: rows, 279: data.size}
    entries |= {codes[name]: value for name, value in tags.items()}
    directory = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in sorted(entries.items()))
    end = 8 + data.size
    header = b"II*\0" + struct.pack("<I", end)
    path.write_bytes(header + data.tobytes() + struct.pack("<H", len(entries)) + directory + bytes(4))
    return path


def tile(
    path: Path, data: np.ndarray, x: float = 500000, y: float = 5000000, step: float = 10, keys: Any = UTM
) -> Path:
    """Write a GeoTIFF file, whose first pixel's corner is at x and y."""
    tags: list[tuple[int, int, Any]] = [
        (33550, 12, (float(step), float(step), 0.0)),
        (33922, 12, (0.0, 0.0, 0.0, x, y, 0.0)),
    ]
    return write(path, data, *tags, *([(34735, 3, keys)] if keys else []))


def test_maps_of_the_same_place_are_compared(tmp_path: Path) -> None:
    true, pred = tile(tmp_path / "t.tif", TRUE), tile(tmp_path / "p.tif", PRED)
    scores = fastseg.evaluate_files(true, pred)
    assert scores.counts == EXPECTED
    with open_volume(true) as volume:
        positions = volume.geometry.positions
        assert positions is not None
        assert positions.ends == ((4999995, 4999995 - 31 * 10), (500005, 500005 + 31 * 10))
        assert (positions.steps, positions.frame, positions.unit) == ((10, 10), "EPSG:32632", "")
    plain = write(tmp_path / "plain.tif", PRED)  # it says nothing, so that nothing contradicts
    assert fastseg.count_files(true, plain) == EXPECTED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": 500160}, r"a pure translation by \(0, 16\) voxels along yx"),
        ({"y": 5000005}, r"a pure translation by \(-0.5, 0\) voxels"),
        ({"step": 20}, "the voxels lie from 4999995 to 4999685, 500005 to 500315 and from 4999990 to 4999370"),
        ({"keys": (*UTM[:-1], 32633)}, "the coordinate reference systems are EPSG:32632 and EPSG:32633"),
        ({"keys": (1, 1, 0, 1, 2048, 0, 1, 4326)}, "systems are EPSG:32632 and EPSG:4326"),
        ({"keys": (*UTM[:3], 3, *UTM[4:], 1025, 0, 1, 2)}, r"by \(-0.5, -0.5\) voxels"),  # the point is the centre
    ],
)
def test_maps_of_another_place_are_refused(tmp_path: Path, options: Any, message: str) -> None:
    true, pred = tile(tmp_path / "t.tif", TRUE), tile(tmp_path / "p.tif", PRED, **options)
    with pytest.raises(GeometryError, match=message):
        fastseg.count_files(true, pred)
    assert fastseg.count_files(true, pred, geometry="ignore") == EXPECTED


def test_maps_are_placed_by_a_matrix_too(tmp_path: Path) -> None:
    def placed(name: str, data: np.ndarray, *matrix: float) -> Path:
        tags: list[tuple[int, int, Any]] = [(34264, 12, (*matrix, *(0.0,) * (16 - len(matrix)))), (34735, 3, UTM)]
        return write(tmp_path / name, data, *tags)

    same = placed("m.tif", TRUE, 10, 0, 0, 500000, 0, -10, 0, 5000000)
    assert fastseg.count_files(tile(tmp_path / "t.tif", TRUE), same) == fastseg.count_labels(TRUE, TRUE)
    turned = placed("r.tif", PRED, 6, -8, 0, 500000, -8, -6, 0, 5000000)
    with pytest.raises(GeometryError, match=r"EPSG:32632 and EPSG:32632 turned by \(6, -8, -8, -6\)"):
        fastseg.count_files(same, turned)
    moved = placed("s.tif", TRUE, 6, -8, 0, 500000, -8, -6, 0, 5000100)
    with pytest.raises(GeometryError, match=r"by \(10, 0\) voxels"):
        fastseg.count_files(turned, moved)
    points = tuple(float(n) for n in range(24))
    control = write(tmp_path / "c.tif", PRED, (33922, 12, points), (34735, 3, UTM))
    with pytest.raises(GeometryError, match=r"EPSG:32632 by 4 control points \(\w{8}\) and EPSG:32632$"):
        fastseg.count_files(control, same)


@pytest.mark.parametrize(
    "tags",
    [
        [(33550, 12, (0.0, 10.0, 0.0)), (33922, 12, (0.0,) * 6)],
        [(33550, 12, (1.0, 1.0))],
        [(34735, 3, (1, 1, 0, 9))],
        [(34264, 12, (float("nan"),) * 16)],
        [(42113, 2, "none")],
        [(42112, 2, "<GDALMetadata><Item role='scale'>two</Item></GDALMetadata>")],
        [(42112, 2, "<GDALMetadata>")],
    ],
)
def test_tags_that_say_nothing_clear_are_refused(tmp_path: Path, tags: Any) -> None:
    with pytest.raises(VolumeError, match="expected .* found |expected XML"):
        open_volume(write(tmp_path / "t.tif", TRUE, *tags))


def test_no_data_of_gdal_is_not_scored(tmp_path: Path) -> None:
    lacking = RANDOM.random(TRUE.shape) < 0.2
    data = np.where(lacking, 255, TRUE).astype("u1")
    true = write(tmp_path / "t.tif", data, (42113, 2, "255"))
    pred = write(tmp_path / "p.tif", PRED)
    notes: list[str] = []
    scores = fastseg.evaluate_files(true, pred, warn=notes.append)
    assert scores.counts == fastseg.count_labels(data, PRED, ignore_index=255)
    assert scores.foreground_defined["dice"] == 2
    assert notes == [f"{true}: declares 255 to be no data: such voxels are not scored"]
    both = fastseg.count_files(true, write(tmp_path / "q.tif", data, (42113, 2, "255\0")), warn=notes.append)
    assert both == fastseg.count_labels(data, data, ignore_index=255)
    for value in ("-9999", "256"):  # which no byte can be
        assert fastseg.count_files(write(tmp_path / "u.tif", TRUE, (42113, 2, value)), pred) == EXPECTED
    signed = write(tmp_path / "i.tif", data.astype("i2") - 1, (42113, 2, "-1"))
    assert fastseg.count_files(signed, signed, warn=notes.append).ignored.tolist() == [-1]
    floats = write(tmp_path / "f.tif", np.where(lacking, -9999, TRUE).astype("f4"), (42113, 2, "-9999"))
    found = fastseg.count_files(floats, pred, warn=notes.append)
    assert found == fastseg.count_labels(np.where(lacking, -9999, TRUE).astype("i4"), PRED, ignore_index=-9999)


def test_a_case_of_a_run_says_what_is_no_data(tmp_path: Path) -> None:
    true = write(tmp_path / "t.tif", np.where(TRUE == 2, 255, TRUE).astype("u1"), (42113, 2, "255"))
    (record,) = fastseg.evaluate_folder(true, write(tmp_path / "p.tif", PRED)).records
    assert record.notes == (f"{true}: declares 255 to be no data: such voxels are not scored",)


def test_a_scale_of_gdal_is_obeyed(tmp_path: Path) -> None:
    items = "".join(
        f'<Item name="{r.upper()}" sample="0" role="{r}">{v}</Item>' for r, v in (("scale", 0.5), ("offset", -5))
    )
    true = write(tmp_path / "t.tif", TRUE * 2 + 10, (42112, 2, f"<GDALMetadata>{items}</GDALMetadata>"))
    assert fastseg.count_files(true, write(tmp_path / "p.tif", PRED)) == EXPECTED


def shown(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Put each stored pixel where TIFF 6.0 says that it is seen."""
    rows, columns = stored.shape
    seen = np.zeros((rows, columns) if orientation < 5 else (columns, rows), stored.dtype)
    for r, c in np.ndindex(rows, columns):
        left, top = columns - 1 - c, rows - 1 - r
        places = {
            1: (r, c),
            2: (r, left),
            3: (top, left),
            4: (top, c),
            5: (c, r),
            6: (c, top),
            7: (left, top),
            8: (left, r),
        }
        seen[places[orientation]] = stored[r, c]
    return seen


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    data = TRUE[:20]
    path = by_hand(tmp_path / "t.tif", data, orientation=orientation)
    seen = shown(data, orientation)
    straight = write(tmp_path / "s.tif", seen)
    assert fastseg.count_files(straight, path) == fastseg.count_labels(seen, seen)
    assert fastseg.count_files(path, straight) == fastseg.count_labels(seen, seen)


def test_an_orientation_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="expected an Orientation from 1 to 8, of a picture with a place 1, found 9"):
        open_volume(by_hand(tmp_path / "t.tif", TRUE, orientation=9))
    path = tile(tmp_path / "m.tif", TRUE)
    content = path.read_bytes()
    entry = struct.pack("<HHII", 305, 2, 12, 0)[:4]  # of Software, whose place the Orientation takes
    at = content.index(entry)
    path.write_bytes(content[:at] + struct.pack("<HHII", 274, 4, 1, 3) + content[at + 12 :])
    with pytest.raises(VolumeError, match="found one that is turned"):
        open_volume(path)


LOSSLESS: list[Any] = ["lzw", "zlib", "zstd", "lzma", "packbits", "png", "lerc", "jpeg2000", "jpegxl"]
LOSSLESS += [("lerc", {"level": 0, "compression": "deflate"}), ("lerc", {"level": 0, "compression": "zstd"})]
LOSSLESS += [("jpegxl", {"lossless": True, "usecontainer": True})]
LOSSY = {
    "LERC with an error of up to 1": [("lerc", {"level": 1}), ("lerc", {"level": 1, "compression": "deflate"})],
    "lossy JPEG 2000": [("jpeg2000", {"level": 30})],
    "lossy JPEG XL": [("jpegxl", {"lossless": False, "distance": 2})],
    "JPEGXR, which is lossy": [("jpegxr", {"level": 0.5}), ("jpegxr", {})],
    "JPEG, which is lossy": [("jpeg", {})],
}


def compressed(path: Path, data: np.ndarray, given: Any) -> Path:
    codec, arguments = given if isinstance(given, tuple) else (given, {})
    with skipped_if_not_written(ValueError, TypeError, NotImplementedError):
        return write(path, data, compression=codec, compressionargs=arguments)


@pytest.mark.parametrize("codec", LOSSLESS)
def test_codecs_that_keep_labels_are_read(tmp_path: Path, codec: Any) -> None:
    true = compressed(tmp_path / "t.tif", TRUE, codec)
    assert fastseg.count_files(true, write(tmp_path / "p.tif", PRED)) == EXPECTED


@pytest.mark.parametrize(("found", "codec"), [(found, each) for found, codecs in LOSSY.items() for each in codecs])
def test_codecs_that_lose_labels_are_refused(tmp_path: Path, found: str, codec: Any) -> None:
    true = compressed(tmp_path / "t.tif", TRUE, codec)
    with pytest.raises(VolumeError, match=f"expected a compression that keeps every label as it is, found {found}"):
        fastseg.count_files(true, true)


def test_voxels_that_are_not_stored_are_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tif", TRUE, tile=(16, 16), compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        for name in ("TileOffsets", "TileByteCounts"):
            tag, size = tags[name], 8 if tags[name].dtype == 16 else struct.calcsize("HI"[tags[name].dtype == 4])
            content[tag.valueoffset : tag.valueoffset + size] = bytes(size)
    path.write_bytes(content)
    with open_volume(path) as volume:
        assert volume.notes == (f"{path}: 1 of 4 tiles or strips are not stored: their voxels are 0",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_byte_order_and_sign_are_obeyed(tmp_path: Path, order: str, dtype: str) -> None:
    data = TRUE.astype(dtype) * (-1 if dtype[0] != "u" else 1)
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, data, photometric="minisblack", byteorder=order)
    assert fastseg.count_files(path, path) == fastseg.count_labels(data.astype("i4"), data.astype("i4"))


def test_bits_in_reverse_are_obeyed(tmp_path: Path) -> None:
    """FillOrder 2: the lowest bit of a byte comes first."""
    turned = np.packbits(np.unpackbits(TRUE, bitorder="little")).reshape(TRUE.shape)
    path = by_hand(tmp_path / "t.tif", turned, fill_order=2)
    assert fastseg.count_files(path, write(tmp_path / "p.tif", PRED)) == EXPECTED


def test_channels_that_ome_names_are_no_label_map(tmp_path: Path) -> None:
    path = tmp_path / "t.ome.tif"
    tifffile.imwrite(path, np.stack([TRUE] * 3), photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(
        VolumeError, match=r"expected one label for each voxel, found 3 channels \(axes cyx\).*--channels"
    ):
        fastseg.count_files(path, path)
    four = np.stack([np.stack([TRUE] * 3)] * 2)
    tifffile.imwrite(path, four, photometric="minisblack", metadata={"axes": "TZYX"})
    assert fastseg.count_files(path, path) == fastseg.count_labels(four, four)


def test_the_place_of_the_stage_is_compared(tmp_path: Path) -> None:
    def image(name: str, data: np.ndarray, x: float) -> Path:
        size = {f"PhysicalSize{axis}{what}": value for axis in "XY" for what, value in (("", 0.5), ("Unit", "µm"))}
        plane = {"PositionX": [x], "PositionY": [0.0], "PositionXUnit": ["µm"], "PositionYUnit": ["µm"]}
        metadata = {"axes": "YX", **size, "Plane": plane}
        tifffile.imwrite(tmp_path / name, data, photometric="minisblack", metadata=metadata)
        return tmp_path / name

    true = image("t.ome.tif", TRUE, 100)
    assert fastseg.count_files(true, image("p.ome.tif", PRED, 100)) == EXPECTED
    with pytest.raises(GeometryError, match=r"a pure translation by \(0, 16\) voxels along yx"):
        fastseg.count_files(true, image("m.ome.tif", PRED, 108))


def test_the_place_on_a_page_is_compared(tmp_path: Path) -> None:
    def piece(name: str, data: np.ndarray, x: int) -> Path:
        tags: list[tuple[int, int, Any]] = [(286, 5, 1, (x, 100), True), (287, 5, 1, (0, 100), True)]  # type: ignore[list-item]
        options = {"resolution": (100, 100), "resolutionunit": "CENTIMETER", "metadata": None}
        tifffile.imwrite(tmp_path / name, data, photometric="minisblack", extratags=tags, **options)
        return tmp_path / name

    true = piece("t.tif", TRUE, 0)
    assert fastseg.count_files(true, piece("p.tif", PRED, 0)) == EXPECTED
    with pytest.raises(GeometryError, match=r"a pure translation by \(0, 8\) voxels along yx"):
        fastseg.count_files(true, piece("m.tif", PRED, 8))


def test_no_data_that_is_no_number_is_not_scored(tmp_path: Path) -> None:
    lacking = RANDOM.random(TRUE.shape) < 0.2
    true = write(tmp_path / "t.tif", np.where(lacking, np.nan, TRUE).astype("f4"), (42113, 2, "nan"))
    pred = write(tmp_path / "p.tif", PRED)
    notes: list[str] = []
    counts = fastseg.count_files(true, pred, warn=notes.append)
    expected = fastseg.count_labels(TRUE, PRED, mask=~lacking)
    assert counts.labels.tolist() == [0, 1, 2]
    assert counts.matrix.tolist() == expected.matrix.tolist()
    assert counts.voxels[0].tolist() == [int((~lacking).sum()), int(lacking.sum()), 0, 0]
    assert notes == [f"{true}: declares nan to be no data: such voxels are not scored"]
    back = fastseg.count_files(pred, true, warn=notes.append)
    assert back.unknown.sum() == lacking.sum()
    assert f"declares nan to be no data: {lacking.sum()} such voxels are misses" in notes[-1]
    with pytest.raises(ValueError, match="expected labels that are whole numbers"):
        fastseg.count_files(write(tmp_path / "u.tif", np.where(lacking, np.nan, TRUE).astype("f4")), pred)

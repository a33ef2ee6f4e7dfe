"""TIFF: what tifffile writes is read back value by value, in any block, and nothing broken is read at all."""

from __future__ import annotations

import contextlib
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.writers import skipped_if_not_written

from fastseg.volumes import Volume, VolumeError, open_volume

tifffile: Any = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

DTYPES = ["?", "u1", "i1", "<u2", ">i2", "<i4", ">u4", "<i8", "<f4", ">f8"]
LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "big": {"rowsperstrip": 7, "bigtiff": True},
}


def labels(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def write(path: Path, data: np.ndarray, **options: Any) -> Path:
    order = ">" if data.dtype.byteorder == ">" else "<"
    with skipped_if_not_written(NotImplementedError):
        tifffile.imwrite(path, data, byteorder=order, photometric="minisblack", **options)
    return path


def whole(volume: Volume) -> np.ndarray:
    shape = volume.geometry.shape
    return volume.read_block((0,) * len(shape), shape)


def load(path: Path) -> np.ndarray:
    with open_volume(path) as volume:
        return whole(volume)


def boxes(shape: tuple[int, ...], count: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    random = np.random.default_rng(5)
    corners = [np.sort([random.integers(0, n + 1, 2) for n in shape], axis=1) for _ in range(count)]
    return [(tuple(each[:, 0].tolist()), tuple(each[:, 1].tolist())) for each in corners]


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_what_tifffile_writes(tmp_path: Path, dtype: str, layout: str, compression: str | None) -> None:
    for shape in ((41, 53), (3, 41, 53)):
        data = labels(dtype, shape)
        path = write(tmp_path / "case.tif", data, compression=compression, **LAYOUTS[layout])
        with open_volume(path) as volume:
            assert volume.geometry.shape == shape
            assert volume.geometry.axes == "zyx"[-len(shape) :]
            assert volume.geometry.affine is None
            assert np.isnan(volume.geometry.spacing).all()
            assert volume.dtype.newbyteorder("=") == data.dtype.newbyteorder("=")
            assert volume.order == "C"
            assert not volume.streams
            assert volume.blocks is not None
            assert len(volume.blocks) == len(shape)
            np.testing.assert_array_equal(whole(volume), data)
            for start, stop in boxes(shape, 4):
                found = volume.read_block(start, stop)
                assert found.dtype == volume.dtype
                np.testing.assert_array_equal(found, data[tuple(map(slice, start, stop))])


def test_blocks_are_what_is_stored_together(tmp_path: Path) -> None:
    for options, expected in [
        ({"compression": "zlib", "tile": (16, 32)}, (1, 16, 32)),
        ({"compression": "zlib", "rowsperstrip": 7}, (1, 7, 53)),
        ({}, (1, 1, 1)),
        ({"compression": "zlib", "tile": (2, 16, 32), "volumetric": True}, (2, 16, 32)),
    ]:
        data = labels("u1", (3, 41, 53))
        with open_volume(write(tmp_path / "case.tif", data, **options)) as volume:
            assert volume.blocks == expected
            np.testing.assert_array_equal(whole(volume), data)


@pytest.mark.parametrize("predictor", [2, 3])
def test_predictors(tmp_path: Path, predictor: int) -> None:
    data = labels("<u2" if predictor == 2 else "<f4", (3, 41, 53))
    path = write(tmp_path / "case.tif", data, compression="zlib", predictor=predictor, tile=(16, 16))
    np.testing.assert_array_equal(load(path), data)


@pytest.mark.parametrize("bits", [1, 3, 12])
def test_packed_samples(tmp_path: Path, bits: int) -> None:
    data = (
        np.random.default_rng(7)
        .integers(0, 1 << bits, (2, 20, 32))
        .astype("?" if bits == 1 else "u1" if bits < 8 else "u2")
    )
    path = write(tmp_path / "case.tif", data, bitspersample=bits, rowsperstrip=7)
    np.testing.assert_array_equal(load(path), data)


def test_indexes_of_a_palette_are_the_labels(tmp_path: Path) -> None:
    data, colours = labels("u1", (41, 53)), np.random.default_rng(1).integers(0, 65536, (3, 256)).astype("u2")
    tifffile.imwrite(tmp_path / "case.tif", data, photometric="palette", colormap=colours, compression="lzw")
    np.testing.assert_array_equal(load(tmp_path / "case.tif"), data)


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [("TZYX", (2, 3, 20, 30), "tzyx"), ("ZYX", (1, 20, 30), "yx"), ("QQYX", (2, 3, 20, 30), "qzyx")]
    + [("QYX", (3, 20, 30), "zyx"), ("TYX", (3, 20, 30), "tyx"), ("YX", (1, 30), "yx"), ("QZYX", (2, 3, 4, 5), "qzyx")],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_axes(tmp_path: Path, axes: str, shape: tuple[int, ...], expected: str, compression: str | None) -> None:
    data = labels("u1", shape)
    path = write(tmp_path / "case.tif", data, compression=compression, metadata={"axes": axes})
    with open_volume(path) as volume:
        assert volume.geometry.axes == expected
        assert volume.geometry.shape == tuple(n for n, a in zip(shape, axes, strict=True) if n > 1 or a in "YX")
        np.testing.assert_array_equal(whole(volume), data.reshape(volume.geometry.shape))


def test_pages_without_metadata_run_along_z(tmp_path: Path) -> None:
    data = labels("u1", (4, 20, 30))
    with tifffile.TiffWriter(tmp_path / "case.tif") as writer:
        for plane in data:
            writer.write(plane, metadata=None, compression="zlib", photometric="minisblack")
    with open_volume(tmp_path / "case.tif") as volume:
        assert volume.geometry.axes == "zyx"
        np.testing.assert_array_equal(whole(volume), data)


@pytest.mark.parametrize(("unit", "factor"), [("µm", 1e-3), ("nm", 1e-6), ("mm", 1), (None, 1e-3), ("pixel", np.nan)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_spacing(tmp_path: Path, unit: str | None, factor: float, compression: str | None) -> None:
    data = labels("<u2", (3, 20, 30))
    sizes: dict[str, Any] = {f"PhysicalSize{axis}": size for axis, size in (("X", 0.25), ("Y", 0.5), ("Z", 2.0))}
    if unit is not None:
        sizes |= {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    path = write(tmp_path / "case.ome.tif", data, ome=True, compression=compression, metadata={"axes": "ZYX"} | sizes)
    with open_volume(path) as volume:
        assert volume.geometry.axes == "zyx"
        assert volume.geometry.spacing == pytest.approx((2 * factor, 0.5 * factor, 0.25 * factor), nan_ok=True)
        assert volume.geometry.voxel_volume_ml == pytest.approx(0.25 * factor**3 / 1000, nan_ok=True)
        np.testing.assert_array_equal(whole(volume), data)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_imagej(tmp_path: Path, compression: str | None) -> None:
    data, options = labels("<u2", (2, 3, 20, 30)), {"axes": "TZYX", "spacing": 3.0, "unit": "um"}
    path = tmp_path / "case.tif"
    tifffile.imwrite(path, data, imagej=True, resolution=(4.0, 2.0), compression=compression, metadata=options)
    with open_volume(path) as volume:
        assert volume.geometry.axes == "tzyx"
        assert volume.geometry.spacing == pytest.approx((np.nan, 3e-3, 0.5e-3, 0.25e-3), nan_ok=True)
        np.testing.assert_array_equal(whole(volume), data)


def test_resolution_tags_alone_are_not_trusted(tmp_path: Path) -> None:
    path = write(tmp_path / "case.tif", labels("u1", (20, 30)), resolution=(72, 72), resolutionunit="INCH")
    with open_volume(path) as volume:
        assert np.isnan(volume.geometry.spacing).all()


def test_the_full_resolution_of_a_pyramid(tmp_path: Path) -> None:
    data = labels("u1", (3, 64, 64))
    for number, options in enumerate([{"subifds": 1}, {}]):
        path = tmp_path / f"case{number}.tif"
        with tifffile.TiffWriter(path) as writer:
            for plane in data if number else [data]:
                writer.write(plane, tile=(16, 16), compression="zlib", photometric="minisblack", **options)
                writer.write(plane[..., ::2, ::2], tile=(16, 16), subfiletype=1, photometric="minisblack")
                if number:
                    break
        with open_volume(path) as volume:
            np.testing.assert_array_equal(whole(volume), plane)


def test_several_images_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "case.tif") as writer:
        writer.write(labels("u1", (20, 30)), photometric="minisblack")
        writer.write(labels("<u2", (5, 7)), photometric="minisblack")
    with pytest.raises(
        VolumeError, match=r"expected one image, found 2 \(0:  ?YX \(20, 30\) uint8, 1:  ?YX \(5, 7\) uint16"
    ):
        open_volume(tmp_path / "case.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_are_refused(tmp_path: Path, planar: str) -> None:
    shape = (20, 30, 3) if planar == "contig" else (3, 20, 30)
    tifffile.imwrite(tmp_path / "case.tif", labels("u1", shape), photometric="rgb", planarconfig=planar)
    with pytest.raises(VolumeError, match="expected one label per voxel, found 3 samples: a colour picture"):
        open_volume(tmp_path / "case.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(("dtype", "top"), [("?", 1), ("u1", 255), ("<u2", 65535)])
def test_white_is_zero_is_refused(tmp_path: Path, dtype: str, top: int, compression: str | None) -> None:
    path, data = tmp_path / "case.tif", (labels("u1", (20, 30)) > 30).astype(dtype) * np.dtype(dtype).type(top)
    with skipped_if_not_written(NotImplementedError):
        tifffile.imwrite(path, data, photometric="miniswhite", compression=compression)
    with pytest.raises(VolumeError, match=r"0 is black, found PhotometricInterpretation 0 \(WhiteIsZero\).*minisblack"):
        open_volume(path)
    np.testing.assert_array_equal(load(write(path, data, compression=compression)), data)


def test_programs_do_not_agree_on_white_is_zero(tmp_path: Path) -> None:
    """Why such files are refused: either reading would be wrong for the masks that somebody writes."""
    pillow, sitk = pytest.importorskip("PIL.Image"), pytest.importorskip("SimpleITK")
    path, data = str(tmp_path / "case.tif"), labels("u1", (20, 30))
    tifffile.imwrite(path, data, photometric="miniswhite")
    np.testing.assert_array_equal(np.array(pillow.open(path)), 255 - data)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), data)
    mask = data > 30
    tifffile.imwrite(path, mask)  # what is written unless `photometric` says otherwise
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].photometric == tifffile.PHOTOMETRIC.MINISWHITE
    np.testing.assert_array_equal(tifffile.imread(path), mask)
    np.testing.assert_array_equal(np.array(pillow.open(path)), ~mask)


def test_palettes_from_white_to_black_are_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "case.tif", labels("u1", (41, 53))
    ramp = np.broadcast_to(np.arange(256, dtype="u2") * 257, (3, 256))
    tifffile.imwrite(path, data, photometric="palette", colormap=ramp[:, ::-1])
    with pytest.raises(VolumeError, match="found a palette that runs from white to black"):
        open_volume(path)
    tifffile.imwrite(path, data, photometric="palette", colormap=ramp)
    np.testing.assert_array_equal(load(path), data)


def test_what_is_no_label_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "case.tif", labels("u1", (20, 30)), compression="jpeg")
    with pytest.raises(VolumeError, match="found JPEG, which is lossy"):
        open_volume(path)
    path = write(tmp_path / "case.tif", labels("c8", (20, 30)))
    with pytest.raises(VolumeError, match="expected integers or floating-point numbers.*found complex64"):
        open_volume(path)


def test_sparse_tiles_are_not_decoded(tmp_path: Path) -> None:
    data = np.zeros((48, 64), "u1")
    data[:16, :32] = 9
    tiles = [data[y : y + 16, x : x + 32] for y in range(0, 48, 16) for x in (0, 32)]
    path = tmp_path / "case.tif"
    options = {"shape": data.shape, "dtype": "u1", "tile": (16, 32), "compression": "zlib", "photometric": "minisblack"}
    tifffile.imwrite(path, iter([tile.copy() if tile.any() else None for tile in tiles]), **options)
    np.testing.assert_array_equal(load(path), data)


def test_two_threads_at_once(tmp_path: Path) -> None:
    data = labels("<u2", (12, 100, 120))
    path = write(tmp_path / "case.tif", data, compression="zlib", tile=(16, 32))
    with open_volume(path) as volume, ThreadPoolExecutor(2) as pool:
        assert volume.parallel
        corners = boxes(data.shape, 60)
        for (start, stop), found in zip(corners, pool.map(lambda box: volume.read_block(*box), corners), strict=True):
            np.testing.assert_array_equal(found, data[tuple(map(slice, start, stop))])


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "tile": (16, 16)}, {"compression": "lzw", "ome": True}]
)
def test_truncated_files_are_refused(
    tmp_path: Path, options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "case.tif", labels("u1", (3, 20, 30)), **options)
    content = path.read_bytes()
    padding = 16 if not options else 0  # that tifffile writes after the last directory
    for end in range(1, len(content) - padding, 7):
        path.write_bytes(content[:end])
        with pytest.raises(VolumeError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "tile": (16, 16)},
        {"compression": "lzw", "ome": True, "rowsperstrip": 7},
        {"compression": "packbits", "imagej": True},
        {"compression": "zstd", "bigtiff": True},
    ],
)
def test_flipped_bits_are_an_error_or_a_volume(
    tmp_path: Path, options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    path, random = tmp_path / "case.tif", np.random.default_rng(3)
    tifffile.imwrite(path, labels("<u2", (3, 20, 30)), **({"photometric": "minisblack"} | options))
    content = path.read_bytes()
    for _ in range(300):
        broken = bytearray(content)
        broken[random.integers(min(len(content), 900))] ^= 1 << random.integers(8)
        path.write_bytes(broken)
        with contextlib.suppress(VolumeError), open_volume(path) as volume:
            corner = tuple(min(n, 64) for n in volume.geometry.shape)  # a false width is met where voxels are read
            volume.read_block((0,) * len(corner), corner)
    assert capfd.readouterr() == ("", "")


def test_a_circle_of_pages_is_no_endless_loop(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "case.tif") as writer:
        for _ in range(150):
            writer.write(labels("u1", (2, 3)), metadata=None, photometric="minisblack")
    content = bytearray((tmp_path / "case.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "case.tif") as tiff:
        last, target = tiff.pages[149].offset, tiff.pages[120].offset
    count = struct.unpack_from("<H", content, last)[0]
    struct.pack_into("<I", content, last + 2 + 12 * count, target)
    (tmp_path / "case.tif").write_bytes(content)
    with pytest.raises(VolumeError, match="expected page 150, found byte .* once more"):
        open_volume(tmp_path / "case.tif")


def test_tiles_that_claim_too_much_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "case.tif", labels("u1", (20, 30)), compression="zlib", tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("TileWidth", "TileLength"):
            tiff.pages[0].tags[name].overwrite(60000)
    with pytest.raises(VolumeError, match=r"page 0, tile or strip 0: .*\(1, 60000, 60000\) voxels of uint8 in"):
        load(path)


def test_one_file_is_one_volume(tmp_path: Path) -> None:
    data = labels("u1", (20, 30))
    description = (
        '<OME UUID="urn:uuid:a"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="30" '
        'SizeY="20" SizeZ="2" SizeC="1" SizeT="1"><TiffData IFD="0" FirstZ="0"><UUID FileName="case.ome.tif">urn:uuid:a'
        '</UUID></TiffData><TiffData IFD="0" FirstZ="1"><UUID FileName="other.ome.tif">urn:uuid:b</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )
    path = write(tmp_path / "case.ome.tif", data, description=description, metadata=None)
    (tmp_path / "other.ome.tif").write_bytes(b"never opened")
    np.testing.assert_array_equal(load(path), data)


def test_a_closed_volume_stays_closed(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "case.tif", labels("u1", (20, 30)), compression="zlib"))
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="the volume is closed"):
        whole(volume)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "case.tif").write_bytes(b"1 liver\n" * 4)
    with pytest.raises(
        VolumeError, match="expected a TIFF or BigTIFF file that is not compressed, found the first bytes"
    ):
        open_volume(tmp_path / "case.tif")


def test_without_tifffile_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "case.tif", labels("u1", (20, 30)))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(VolumeError, match=r'pip install "fastseg-metrics\[tiff\]"'):
        open_volume(path)

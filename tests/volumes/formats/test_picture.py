"""Pictures: the values that are stored come back, and colours, lossy files and broken files are refused."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.writers import skipped_if_not_written

from fastseg.volumes import VolumeError, open_volume

Image: Any = pytest.importorskip("PIL.Image")
SHAPE = (23, 37)


def labels(dtype: str, top: int = 100) -> np.ndarray:
    return np.random.default_rng(7).integers(0, top, SHAPE).astype(dtype)


def load(path: Path) -> np.ndarray:
    """Read a picture as a stream."""
    with open_volume(path) as volume:
        parts, buffer = [], bytearray(100)
        while count := volume.read_into(buffer):
            parts.append(bytes(buffer[:count]))
        volume.finish()
        return np.frombuffer(b"".join(parts), volume.dtype).reshape(volume.geometry.shape)


def palette(values: np.ndarray) -> Any:
    image = Image.fromarray(values)
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype("u1").tobytes())
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def grey_png(values: np.ndarray, bits: int) -> bytes:
    """Write a PNG of 1, 2 or 4 bits per grey sample, which Pillow cannot."""
    each = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(each.reshape(len(values), -1).astype("u1"), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    size = values.shape[1].to_bytes(4, "big") + values.shape[0].to_bytes(4, "big")
    header = size + bytes([bits, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "dtype", "top"),
    [
        ("png", "u1", 256),
        ("png", "?", 2),
        ("png", "<u2", 65536),
        ("bmp", "u1", 256),
        ("bmp", "?", 2),
        ("gif", "u1", 256),
    ]
    + [("pgm", "u1", 256), ("pgm", "<u2", 65536), ("pbm", "?", 2), ("pfm", "<f4", 65536), ("pnm", "u1", 256)],
)
def test_reads_what_pillow_writes(tmp_path: Path, name: str, dtype: str, top: int) -> None:
    data, path = labels(dtype, top), tmp_path / f"case.{name}"
    with skipped_if_not_written(OSError, ValueError):
        Image.fromarray(data).save(path, optimize=False)  # GIF: the palette is not to be renumbered
    np.testing.assert_array_equal(load(path), data)
    with open_volume(path) as volume:
        assert volume.geometry.shape == SHAPE
        assert volume.geometry.axes == "yx"
        assert volume.geometry.affine is None
        assert np.isnan(volume.geometry.spacing).all()
        assert volume.order == "C"
        assert volume.blocks == (1, 1)
        np.testing.assert_array_equal(volume.read_block((3, 5), (20, 6)), data[3:20, 5:6])
        volume.finish()


@pytest.mark.parametrize("top", [2, 4, 16, 256])
@pytest.mark.parametrize("name", ["png", "bmp", "gif"])
def test_indexes_of_a_palette_are_the_labels(tmp_path: Path, name: str, top: int) -> None:
    data, path = labels("u1", top), tmp_path / f"case.{name}"
    palette(data).save(path, optimize=False, **({"bits": top.bit_length() - 1} if name == "png" else {}))
    np.testing.assert_array_equal(load(path), data)


def in_colours(data: np.ndarray, colours: list[int]) -> Any:
    image = Image.fromarray(data)
    image.putpalette(np.repeat(np.array(colours, "u1"), 3).tobytes())
    return image


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["png", "bmp", "gif"])
def test_palettes_from_white_to_black_are_refused(tmp_path: Path, name: str, bits: int) -> None:
    """Their indexes are the negative of what everybody sees; a mask beside the same mask in a PNG of greys would score 0."""
    data, path, top = labels("u1", 1 << bits), tmp_path / f"case.{name}", (1 << bits) - 1
    greys = [255 * index // top for index in range(top + 1)]
    options = {"bits": bits} if name == "png" else {}
    in_colours(data, greys[::-1]).save(path, optimize=False, **options)
    with pytest.raises(
        VolumeError, match="0 is black, found a palette that runs from white to black.*PNG file of greys"
    ):
        open_volume(path)
    if (name, bits) != ("bmp", 1):  # Pillow writes 8 bits and two colours, and reads noise
        in_colours(data, greys).save(path, optimize=False, **options)
        np.testing.assert_array_equal(load(path), data)


def test_bitmaps_of_black_on_white_are_refused(tmp_path: Path) -> None:
    data, path = labels("?", 2), tmp_path / "case.bmp"
    Image.fromarray(data).save(path)
    np.testing.assert_array_equal(load(path), data)
    content = path.read_bytes()
    assert content[54:61] == b"\0\0\0\0\xff\xff\xff"
    path.write_bytes(content[:54] + b"\xff\xff\xff\0\0\0\0\0" + content[62:])
    with pytest.raises(VolumeError, match="from white to black"):
        open_volume(path)


def test_a_palette_is_a_negative_also_where_it_is_filled_up(tmp_path: Path) -> None:
    data, path = labels("u1", 2), tmp_path / "case.png"
    in_colours(data, [255, 0] + [0] * 254).save(path)
    with pytest.raises(VolumeError, match="from white to black"):
        open_volume(path)
    for colours in ([0] * 256, [255] * 256, [255, 10, 0], [255, 0, 0, 255]):
        in_colours(data, colours).save(path)
        np.testing.assert_array_equal(load(path), data)


@pytest.mark.parametrize("plain", [False, True])
def test_black_of_a_bitmap_is_0_as_in_a_png_of_greys(tmp_path: Path, plain: bool) -> None:
    """A Netpbm bitmap stores black as 1; every program that reads it turns that round."""
    white, path = labels("?", 2), tmp_path / "case.pbm"
    header = f"{'P1' if plain else 'P4'}\n{SHAPE[1]} {SHAPE[0]}\n".encode()
    digits = "\n".join(" ".join(map(str, row)) for row in (~white).astype(int)).encode() + b"\n"
    path.write_bytes(header + (digits if plain else np.packbits(~white, axis=1).tobytes()))
    np.testing.assert_array_equal(load(path), white)
    np.testing.assert_array_equal(np.array(Image.open(path)), white)
    (tmp_path / "case.png").write_bytes(grey_png(white.astype("u1"), 1))
    np.testing.assert_array_equal(load(tmp_path / "case.png"), white)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_samples_of_few_bits_are_not_stretched(tmp_path: Path, bits: int) -> None:
    data, path = labels("u1", 1 << bits), tmp_path / "case.png"
    path.write_bytes(grey_png(data, bits))
    np.testing.assert_array_equal(load(path), data)


@pytest.mark.parametrize("top", [1, 20, 255, 300, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_netpbm_samples_are_not_stretched(tmp_path: Path, plain: bool, top: int) -> None:
    data, path = labels("i4", top + 1), tmp_path / "case.pgm"
    header = f"{'P2' if plain else 'P5'}\n# labels\n{SHAPE[1]} {SHAPE[0]}\n{top}\n".encode()
    stored = "\n".join(" ".join(map(str, row)) for row in data).encode()
    path.write_bytes(header + (stored + b"\n" if plain else data.astype("u1" if top < 256 else ">u2").tobytes()))
    np.testing.assert_array_equal(load(path), data)


def test_lossless_webp_of_greys(tmp_path: Path) -> None:
    data, path = labels("u1"), tmp_path / "case.webp"
    Image.fromarray(data).save(path, lossless=True)
    np.testing.assert_array_equal(load(path), data)
    Image.fromarray(np.stack([data, data, data[::-1]], axis=-1)).save(path, lossless=True)
    with pytest.raises(VolumeError, match="found a colour picture"):
        load(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "case.png"
    Image.fromarray(labels("u1")).convert(mode).save(path)
    with pytest.raises(VolumeError, match=f"mode {mode}.*no label map: convert the colours to labels first"):
        open_volume(path)


@pytest.mark.parametrize("name", ["case.jpg", "case.png", "case.webp"])
def test_lossy_pictures_are_refused(tmp_path: Path, name: str) -> None:
    Image.fromarray(labels("u1")).save(tmp_path / name, format="WEBP" if name.endswith("webp") else "JPEG")
    with pytest.raises(VolumeError, match="keeps every label as it is, such as PNG, found (JPEG|WebP).*lossy"):
        open_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["case.gif", "case.png", "case.webp"])
def test_several_frames_are_refused(tmp_path: Path, name: str) -> None:
    frames = [palette(labels("u1", top)) for top in (2, 9, 30)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(VolumeError, match="expected one picture, found 3 frames|WebP of the kind 'VP8X'"):
        open_volume(tmp_path / name)


def test_a_short_palette_of_greys_is_refused_rather_than_misread(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(labels("u1", 2)).save(buffer, "BMP")
    content = bytearray(buffer.getvalue())
    content[46:50] = (2).to_bytes(4, "little")
    content[58:62] = b"\xff\xff\xff\0"
    (tmp_path / "case.bmp").write_bytes(content)
    with pytest.raises(VolumeError, match="1 or 8 bits per pixel"):
        open_volume(tmp_path / "case.bmp")


def test_bombs_are_refused_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "case.png"
    Image.fromarray(labels("u1")).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    assert load(path).shape == SHAPE  # Pillow warns here, and refuses from twice the limit on
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(VolumeError, match="exceeds limit"):
        open_volume(path)


def test_opening_decodes_nothing_and_closing_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "case.png"
    Image.fromarray(labels("u1")).save(path)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    volume = open_volume(path)
    with pytest.raises(VolumeError, match="truncated, corrupt or not supported: Pillow: broken PNG file"):
        volume.finish()
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="the volume is closed"):
        volume.read_into(bytearray(1))


def test_threads_decode_once(tmp_path: Path) -> None:
    data, path = labels("<u2", 65536), tmp_path / "case.png"
    Image.fromarray(data).save(path)
    with open_volume(path) as volume, ThreadPoolExecutor(4) as pool:
        rows = pool.map(lambda row: volume.read_block((row, 0), (row + 1, SHAPE[1])), range(SHAPE[0]))
        np.testing.assert_array_equal(np.concatenate(list(rows)), data)


@pytest.mark.parametrize("name", ["png", "bmp", "gif", "pgm", "webp"])
def test_broken_files_are_errors_or_volumes(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path, random = tmp_path / f"case.{name}", np.random.default_rng(3)
    data = labels("u1")
    Image.fromarray(data).save(path, lossless=True)
    content = path.read_bytes()
    for _ in range(150):
        broken = bytearray(content)
        broken[random.integers(min(len(content), 300)) if random.random() < 0.7 else -1] ^= 1 << random.integers(8)
        path.write_bytes(broken)
        with contextlib.suppress(VolumeError), warnings.catch_warnings():
            warnings.simplefilter("error")
            found = load(path)
            # A checksum covers every chunk: what passes has the labels.
            assert name != "png" or np.array_equal(found, data)
    ends = [int(end) for end in random.integers(1, len(content) - 1, 60)]
    for end in ends:
        path.write_bytes(content[:end])
        with pytest.raises(VolumeError, match=f"^{path}: "):
            load(path)
    assert capfd.readouterr() == ("", "")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "case.png").write_bytes(b"1 liver\n")
    with pytest.raises(VolumeError, match="expected a PNG, BMP, GIF, WebP or Netpbm picture, found the first bytes"):
        open_volume(tmp_path / "case.png")


def test_without_pillow_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(labels("u1")).save(tmp_path / "case.png")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(VolumeError, match=r'pip install "fastseg-metrics\[images\]"'):
        open_volume(tmp_path / "case.png")

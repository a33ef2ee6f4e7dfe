"""What chunks of PNG files say, wherever they stand, is obeyed or refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

Image: Any = pytest.importorskip("PIL.Image")

TRUE = np.random.default_rng(0).integers(0, 3, (9, 7)).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, TRUE)
TURNED = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 274, 3, 1, 6) + bytes(4)
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PROFILE = b"\nexif\n%8d\n%s\n" % (len(TURNED) + 6, (b"Exif\0\0" + TURNED).hex().encode())


def png(path: Path, *chunks: tuple[bytes, bytes], behind: bool = False) -> Path:
    """Write a PNG picture of greys with some chunks before or behind its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(TRUE).save(buffer, "PNG")
    whole, more = (
        buffer.getvalue(),
        b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks),
    )
    at = len(whole) - 12 if behind else 33
    path.write_bytes(whole[:at] + more + whole[at:])
    return path


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    "chunk",
    [
        (b"eXIf", TURNED),
        (b"tEXt", b"Raw profile type exif\0" + PROFILE),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(PROFILE)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
    ],
)
def test_a_picture_to_be_turned_is_refused_wherever_it_says_so(
    tmp_path: Path, chunk: tuple[bytes, bytes], behind: bool
) -> None:
    with pytest.raises(VolumeError, match=r"found one to be turned \(Exif Orientation 6\)"):
        open_volume(png(tmp_path / "a.png", chunk, behind=behind))


@pytest.mark.parametrize(
    "chunk",
    [
        (b"eXIf", b"garbage"),
        (b"tEXt", b"Raw profile type exif\0\nexif\n 4\nzz\n"),
        (b"zTXt", b"Raw profile type exif\0\0garbage"),
        (b"tEXt", b"Comment\0Orientation 6"),
        (b"iTXt", b"XML:com.adobe.xmp"),
        (b"quUx", b"not critical"),
    ],
)
def test_other_texts_and_garbage_change_nothing(tmp_path: Path, chunk: tuple[bytes, bytes]) -> None:
    true = png(tmp_path / "a.png", chunk, behind=True)
    assert fastseg.count_files(true, png(tmp_path / "b.png")) == EXPECTED


@pytest.mark.parametrize(
    ("chunk", "found"),
    [
        ((b"pCAL", b"cal\0" + struct.pack(">iiBB", 0, 255, 0, 2) + b"mm\0" + b"0\0" + b"510"), r"\(the chunk pCAL\)"),
        ((b"sCAL", b"\x02" + b"0.5\0" + b"0.5"), "metres in the chunk sCAL"),
        ((b"sCAL", b"\x01" + b"-1\0" + b"0.5"), "metres in the chunk sCAL"),
        ((b"QuUx", b""), "which its writer calls critical"),
    ],
)
def test_values_and_chunks_that_nobody_knows_are_refused(
    tmp_path: Path, chunk: tuple[bytes, bytes], found: str
) -> None:
    with pytest.raises(VolumeError, match=found):
        open_volume(png(tmp_path / "a.png", chunk))


def test_the_size_of_pixels_and_the_place_in_a_larger_picture_are_compared(tmp_path: Path) -> None:
    scales = [(b"sCAL", b"\x01" + across + b"\0" + b"0.5") for across in (b"0.25", b"0.5")]
    one, other = (png(tmp_path / f"{k}.png", chunk) for k, chunk in enumerate(scales))
    with open_volume(one) as volume:
        assert volume.geometry.spacing == (500.0, 250.0)
    with pytest.raises(GeometryError, match=r"the spacings are \(500, 250\) and \(500, 500\) mm"):
        fastseg.count_files(one, other)
    offsets = [(b"oFFs", struct.pack(">iiB", column, 3, 0)) for column in (0, 20)]
    one, other = (png(tmp_path / f"{k}.png", chunk) for k, chunk in enumerate(offsets))
    with pytest.raises(GeometryError, match=r"a pure translation by \(0, 20\) voxels along yx"):
        fastseg.count_files(one, other)
    assert fastseg.count_files(one, png(tmp_path / "none.png")) == EXPECTED


def test_lossless_webp_beside_other_data_is_read(tmp_path: Path) -> None:
    """What has a profile or Exif data begins with VP8X, whatever codec follows."""
    exif = Image.Exif()
    exif[305] = "a program"
    grey = Image.fromarray(np.stack([TRUE] * 3, -1))
    grey.save(tmp_path / "a.webp", lossless=True, exif=exif.tobytes())
    assert (tmp_path / "a.webp").read_bytes()[12:16] == b"VP8X"
    assert fastseg.count_files(tmp_path / "a.webp", png(tmp_path / "b.png")) == EXPECTED
    grey.save(tmp_path / "lossy.webp", lossless=False, exif=exif.tobytes())
    with pytest.raises(VolumeError, match="found WebP of the kind 'VP8 ', which is lossy"):
        open_volume(tmp_path / "lossy.webp")


@pytest.mark.parametrize("kind", ["P5", "P4"])
def test_several_pictures_in_a_netpbm_file_are_refused(tmp_path: Path, kind: str) -> None:
    pixels = TRUE.tobytes() if kind == "P5" else np.packbits(TRUE > 0, axis=1).tobytes()
    one = f"{kind}\n7 9\n{'255' if kind == 'P5' else ''}".rstrip().encode() + b"\n" + pixels
    (tmp_path / "a.pnm").write_bytes(one)
    open_volume(tmp_path / "a.pnm").close()
    (tmp_path / "a.pnm").write_bytes(one + one)
    with pytest.raises(VolumeError, match="expected one picture, found another one behind it"):
        open_volume(tmp_path / "a.pnm")

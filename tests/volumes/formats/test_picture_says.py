"""What a picture says of how it is turned and what its samples are is obeyed or refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.volumes import VolumeError, open_volume

Image: Any = pytest.importorskip("PIL.Image")

RANDOM = np.random.default_rng(0)
TRUE = RANDOM.integers(0, 3, (9, 7)).astype("u1")
PRED = np.where(RANDOM.random(TRUE.shape) < 0.8, TRUE, 1).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, PRED)


def png(path: Path, data: np.ndarray, *chunks: tuple[bytes, bytes]) -> Path:
    """Write a PNG picture of greys with some chunks before its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(data).save(buffer, "PNG")
    more = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    path.write_bytes(buffer.getvalue()[:33] + more + buffer.getvalue()[33:])
    return path


def exif(orientation: int) -> tuple[bytes, bytes]:
    return b"eXIf", b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 274, 3, 1, orientation) + bytes(4)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"gAMA", struct.pack(">I", 45455)),
        (b"tRNS", b"\0\1"),
        (b"pHYs", struct.pack(">IIB", 1000, 500, 1)),
        (b"oFFs", struct.pack(">iiB", 5, 5, 0)),
        (b"sBIT", b"\x08"),
        exif(1),
    ],
)
def test_how_greys_are_shown_or_printed_changes_nothing(tmp_path: Path, chunk: tuple[bytes, bytes]) -> None:
    true = png(tmp_path / "t.png", TRUE, chunk)
    assert fastseg.count_files(true, png(tmp_path / "p.png", PRED)) == EXPECTED


@pytest.mark.parametrize(
    ("chunk", "found"),
    [((b"sBIT", b"\x02"), "2 significant bits stretched to 8"), (exif(3), r"one to be turned \(Exif Orientation 3\)")],
)
def test_greys_that_were_stretched_or_are_turned_are_refused(
    tmp_path: Path, chunk: tuple[bytes, bytes], found: str
) -> None:
    with pytest.raises(VolumeError, match=f"found {found}"):
        open_volume(png(tmp_path / "t.png", TRUE, chunk))


@pytest.mark.parametrize(("scale", "order"), [(-1.0, "<"), (1.0, ">"), (-0.5, "<"), (2.0, ">")])
def test_scale_and_byte_order_of_pfm_are_obeyed(tmp_path: Path, scale: float, order: str) -> None:
    stored = (TRUE[::-1] / abs(scale)).astype(f"{order}f4")  # from the lowest row up
    (tmp_path / "t.pfm").write_bytes(b"Pf\n7 9\n%g\n" % scale + stored.tobytes())
    assert fastseg.count_files(tmp_path / "t.pfm", png(tmp_path / "p.png", PRED)) == EXPECTED


def test_rows_of_bmp_from_above_or_below(tmp_path: Path) -> None:
    Image.fromarray(TRUE).save(tmp_path / "t.bmp")
    assert fastseg.count_files(tmp_path / "t.bmp", png(tmp_path / "p.png", PRED)) == EXPECTED
    content = bytearray((tmp_path / "t.bmp").read_bytes())
    struct.pack_into("<i", content, 22, -TRUE.shape[0])
    (tmp_path / "t.bmp").write_bytes(content)
    turned = png(tmp_path / "q.png", np.ascontiguousarray(TRUE[::-1]))
    assert fastseg.count_files(tmp_path / "t.bmp", turned) == fastseg.count_labels(TRUE, TRUE)


def test_a_bit_of_pbm_is_its_colour(tmp_path: Path) -> None:
    """In the file 1 is black; everybody reads it as a colour."""
    (tmp_path / "t.pbm").write_bytes(b"P1\n3 2\n0 1 1\n0 0 1\n")
    white = np.array([[1, 0, 0], [1, 1, 0]], "u1")
    assert fastseg.count_files(tmp_path / "t.pbm", png(tmp_path / "p.png", white)) == fastseg.count_labels(white, white)

"""Streams of JPEG 2000 are lossy or not by their transform, and by whether all of their coding passes are there."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from fastseg.volumes.formats.jpeg2000 import lossy_jpeg_2000

Image: Any = pytest.importorskip("PIL.Image")
imagecodecs: Any = pytest.importorskip("imagecodecs")


def labels(n: int) -> np.ndarray:
    rng, found = np.random.default_rng(n), np.zeros((n, n), np.uint8)
    rows, columns = np.ogrid[:n, :n]
    for label in range(1, 6):
        row, column = rng.integers(0, n, 2)
        found[(rows - row) ** 2 + (columns - column) ** 2 < (n // 4) ** 2] = label
    return found


def encoded(values: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG2000", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("n", [9, 64, 150, 300])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progression": "RLCP", "num_resolutions": 3},
        {"progression": "RPCL"},
        {"progression": "CPRL", "quality_layers": [10, 1]},
        {"quality_layers": [40, 20, 0]},
        {"tile_size": (64, 64)},
        {"codeblock_size": (32, 32)},
        {"num_resolutions": 1},
    ],
)
def test_streams_that_keep_every_value(n: int, options: dict[str, Any]) -> None:
    for values in (labels(n), np.random.default_rng(0).integers(0, 200, (n, n)).astype("u1")):
        assert lossy_jpeg_2000(encoded(values, irreversible=False, **options)) is None
    assert lossy_jpeg_2000(imagecodecs.jpeg2k_encode(labels(n).astype("u2") * 300, level=0, reversible=True)) is None


@pytest.mark.parametrize("n", [64, 150, 300])
@pytest.mark.parametrize("level", [20, 40, 60])
def test_reversible_streams_that_were_cut_to_a_quality(n: int, level: int) -> None:
    """The number tells whether the decoded values are those that were encoded: no guess."""
    for values in (labels(n) * 40, np.random.default_rng(0).integers(0, 200, (n, n)).astype("u1")):
        data = imagecodecs.jpeg2k_encode(values, level=level, reversible=True)
        kept = (imagecodecs.jpeg2k_decode(data) == values).all()
        assert kept or lossy_jpeg_2000(data) is not None


def test_a_stream_that_was_cut_to_a_size() -> None:
    data = encoded(labels(150), irreversible=False, quality_layers=[20], quality_mode="rates")
    assert lossy_jpeg_2000(data) == "JPEG 2000 that was cut to a size or a quality"


def test_what_loses_values_or_cannot_be_told() -> None:
    assert lossy_jpeg_2000(encoded(labels(64), irreversible=True)) == "lossy JPEG 2000"
    whole = encoded(labels(64), irreversible=False)
    assert lossy_jpeg_2000(b"no stream") == "lossy JPEG 2000"
    assert all(lossy_jpeg_2000(whole[:end]) is not None for end in range(0, len(whole) - 2, 7))
    precincts = encoded(labels(150), irreversible=False, precinct_size=(64, 64))
    assert lossy_jpeg_2000(precincts) == "JPEG 2000 laid out so that it cannot be told whether it is lossy"
    colours = encoded(np.stack([labels(64)] * 3, -1), irreversible=False)
    assert "cannot be told" in str(lossy_jpeg_2000(colours))


def test_streams_of_garbage_are_never_taken_for_lossless() -> None:
    """Any byte of the headers turned: an answer, and no other exception."""
    whole = bytearray(encoded(labels(40), irreversible=False))
    start = whole.find(b"\xff\x4f")
    for at in range(start, start + 130):
        for value in (0, 255):
            turned = bytearray(whole)
            turned[at] = value
            assert isinstance(lossy_jpeg_2000(bytes(turned)), str | None)

"""Pictures as PNG, in colours that everybody can tell apart."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest
from support.palette import distances

from fastseg.report import pictures

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


@pytest.mark.parametrize("colours", [{1: "#102030", 70000: "#ffffff"}, {}, dict.fromkeys(range(1, 400), "#010203")])
def test_png(colours: dict[int, str]) -> None:
    pixels = np.array([[0, 1, 70000], [1, 1, 5]])
    uri = pictures.png(pixels, colours)
    from matplotlib.image import imread

    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    import io

    found = np.rint(imread(io.BytesIO(data)) * 255).astype(int)
    for pixel, value in zip(found.reshape(-1, found.shape[-1]), pixels.reshape(-1), strict=True):
        expected = [*bytes.fromhex(colours[value][1:]), 255] if value in colours else [0, 0, 0, 0]
        assert pixel.tolist() == expected
    assert zlib.crc32(data) > 0


def test_colours_of_disagreement_differ_from_each_other_and_from_the_page() -> None:
    errors, wrong = list(pictures.ERRORS.values()), list(pictures.ERRORS.values())[1:]
    assert distances(wrong, ["#f6f7f9", "#191d23"]).min() > 11
    among = distances(wrong, errors)
    assert among[among > 0].min() > 12

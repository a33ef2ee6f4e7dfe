"""Pictures as PNG, in colours that everybody can tell apart."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

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


def test_colours_of_classes_differ() -> None:
    colours = [pictures.class_colour(place) for place in range(150)]
    assert len(set(colours)) == 150
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)


#: What people see who lack a kind of cone, in linear RGB (Machado, Oliveira and Fernandes, 2009), after what the others see.
SIGHTS = np.array([
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
])  # fmt: skip


def seen(colours: Sequence[str]) -> Any:
    """Return where colours lie in Oklab (Ottosson, 2020), times 100, as each kind of people sees them: (4, N, 3)."""
    rgb = np.array([[*bytes.fromhex(colour[1:])] for colour in colours]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
    axes = [[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]]
    simulated = np.clip(linear @ SIGHTS.transpose(0, 2, 1), 0, 1)
    return 100 * np.cbrt(simulated @ np.transpose(cones)) @ np.transpose(axes)


def test_colours_of_disagreement_are_those_of_no_class() -> None:
    errors = seen(list(pictures.ERRORS.values()))
    classes, pages = seen([pictures.class_colour(place) for place in range(16)]), seen(["#f6f7f9", "#191d23"])
    wrong = errors[:, 1:, None]
    distance = np.linalg.norm(wrong - classes[:, None], axis=-1)
    assert distance[0].min() > 14
    assert distance.min() > 9
    assert np.linalg.norm(wrong - pages[:, None], axis=-1).min() > 11
    among = np.linalg.norm(wrong - errors[:, None], axis=-1)
    assert among[among > 0].min() > 12

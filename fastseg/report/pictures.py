"""Pictures of labels: colours of classes and of disagreement, and PNG images of few colours."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.report.overlays import Plane

__all__ = ["ERRORS", "class_colour", "disagreement", "png"]

Array = npt.NDArray[Any]

#: What disagreement is, and its colour: deeper, brighter or more vivid than any class's below, so that none is taken for a
#: class, also by colour-blind people, and all are seen on a light and on a dark page.
ERRORS = {"agree": "#b0b0b0", "missed": "#3300dd", "extra": "#ffdd00", "another class": "#cc44ff"}

_COLOURS = (
    "#e6550d", "#3182bd", "#31a354", "#c9a227", "#9467bd", "#17a2a8", "#d6409f", "#8c6d31", "#e7969c", "#6baed6",
    "#a1d99b", "#7b4173", "#fdae6b", "#553300", "#637939", "#ad494a",
)  # fmt: skip


def disagreement(plane: Plane) -> npt.NDArray[np.uint8]:
    """Return what each pixel is: 0 for nothing, else 1 + its place in `ERRORS`."""
    true, pred = plane.true, plane.pred
    kinds = [(true == pred) & (true != 0), (true != 0) & (pred == 0), (true == 0) & (pred != 0), true != pred]
    return np.where(plane.scored, np.select(kinds, [1, 2, 3, 4], 0), 0).astype(np.uint8)


def class_colour(place: int) -> str:
    """Return the colour of the class at a place: a palette, and after it hues that turn by the golden angle."""
    if place < len(_COLOURS):
        return _COLOURS[place]
    hue, light = (place * 0.381966) % 1.0, (0.42, 0.58, 0.5)[place % 3]
    channels = []
    for shift in (0.0, 8.0, 4.0):
        k = (shift + 12 * hue) % 12
        channels.append(round(255 * (light - 0.65 * min(light, 1 - light) * max(-1.0, min(k - 3, 9 - k, 1.0)))))
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def png(pixels: Array, colours: Mapping[int, str]) -> str:
    """Return pixels as the URI of a PNG image; values without a colour are transparent."""
    values = sorted(colours)
    places = np.searchsorted(values, pixels) if values else np.zeros(pixels.shape, np.intp)
    known = np.isin(pixels, values)
    wide = len(values) > 255
    table = np.zeros((len(values) + 1, 4), np.uint8)
    for place, value in enumerate(values):
        table[place + 1] = (*bytes.fromhex(colours[value][1:]), 255)
    indices = np.where(known, places + 1, 0)
    rows = table[indices].reshape(len(pixels), -1) if wide else indices.astype(np.uint8)
    lines = np.concatenate([np.zeros((len(pixels), 1), np.uint8), rows], 1).tobytes()  # 0: the line is not filtered
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 6 if wide else 3, 0, 0, 0)
    parts = [(b"IHDR", header)]
    if not wide:
        parts += [(b"PLTE", table[:, :3].tobytes()), (b"tRNS", table[:, 3].tobytes())]
    parts += [(b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()

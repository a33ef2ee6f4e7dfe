"""Pictures of labels: colours of classes and of disagreement, and PNG images of few colours."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.report.colours import COLOURS
from fastseg.report.overlays import Plane

__all__ = ["ERRORS", "class_colour", "class_colours", "disagreement", "grey_png", "outlined", "png", "window"]

Array = npt.NDArray[Any]

#: What disagreement is, and its colour: far from any class's, so that what is wrong is not taken for a class, also by
#: colour-blind people, and all are seen on a light and on a dark page.
ERRORS = {"agree": "#b0b0b0", "missed": "#3300dd", "extra": "#ffdd00", "another class": "#cc44ff"}


def disagreement(plane: Plane) -> npt.NDArray[np.uint8]:
    """Return what each pixel is: 0 for nothing, else 1 + its place in `ERRORS`."""
    true, pred = plane.true, plane.pred
    kinds = [(true == pred) & (true != 0), (true != 0) & (pred == 0), (true == 0) & (pred != 0), true != pred]
    return np.where(plane.scored, np.select(kinds, [1, 2, 3, 4], 0), 0).astype(np.uint8)


def class_colour(label: int) -> str:
    """Return the colour of a label; after label 256, and below label 1, they begin again."""
    return COLOURS[(label - 1) % len(COLOURS)]


def class_colours(labels: Iterable[int]) -> dict[int, str]:
    """Return the colours of labels that are seen together.

    Labels from 1 to 256 have their own, whatever others there are. A label beyond these whose colour is taken (by one of them,
    or by a lower one beyond) has the next that is free, as long as any is.
    """
    labels = [*labels]
    last = len(COLOURS)
    colours: dict[int, str] = {}
    taken: set[str] = set()
    for label in sorted(set(labels), key=lambda label: (not 1 <= label <= last, label)):
        place = label
        while class_colour(place) in taken and len(taken) < last:
            place += 1
        colours[label] = class_colour(place)
        taken.add(colours[label])
    return {label: colours[label] for label in labels}


def window(image: Array, percentiles: tuple[float, float] = (1.0, 99.0)) -> tuple[float, float]:
    """Return between which values an image is shown from black to white; values that are no numbers have no say."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, percentiles).tolist() if finite.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def outlined(labels: Array) -> Array:
    """Return labels where a neighbour in the plane, beside or above, has another one, and 0 within and between them."""
    padded = np.pad(labels, 1, mode="edge")
    same = np.ones(labels.shape, bool)
    for vertical, horizontal in ((0, 1), (2, 1), (1, 0), (1, 2)):
        height, width = labels.shape
        same &= padded[vertical : vertical + height, horizontal : horizontal + width] == labels
    return np.where(same, 0, labels)


def grey_png(image: Array, limits: tuple[float, float]) -> str:
    """Return an image in grey as the URI of a PNG image, black and white at the limits."""
    low, high = limits
    shares = np.nan_to_num((image - low) / (high - low), nan=0.0)
    grey = np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    lines = np.concatenate([np.zeros((len(grey), 1), np.uint8), grey], 1).tobytes()
    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 0)
    return _uri([(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")])


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
    return _uri(parts)


def _uri(parts: list[tuple[bytes, bytes]]) -> str:
    """Return the chunks of a PNG image as a URI."""
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()

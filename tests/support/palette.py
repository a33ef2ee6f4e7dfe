"""The colours of labels, as they are chosen; run this file to print what `fastseg.report.colours` holds.

Each is the candidate farthest from those before it, as the kind of people sees them who tell them apart worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from fastseg.report.pictures import ERRORS
from fastseg.report.worst_cases import GREY

#: What people see who lack a kind of cone, in linear RGB (Machado, Oliveira and Fernandes, 2009), after what the others see.
SIGHTS = np.array([
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
])  # fmt: skip

#: The colours of what is wrong, and of what is neither wrong nor a class.
AGREE, *WRONG = ERRORS.values()
GREYS = [AGREE, GREY]

#: How far a colour lies at least from each of these: for most people, and for all.
FROM_ERRORS, FROM_GREYS = (14, 9), (8, 4)

#: The panel behind pictures on a light and on a dark page, and the least contrast with it.
PANELS, CONTRAST = ("#f6f7f9", "#191d23"), 1.5

#: Three axes of colour tell more apart than two do, so distances that most people see count half.
WEIGHTS = np.array([0.5, 1, 1, 1])[:, None]

#: Organs beside each other often have labels beside each other: once colours are scarce, the last few before count half too.
SCARCE, LAST = 32, 8


def linear(colours: Sequence[str]) -> Any:
    """Return colours as linear RGB: (N, 3)."""
    rgb = np.array([[*bytes.fromhex(colour[1:])] for colour in colours]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(colours: Sequence[str]) -> Any:
    """Return where colours lie in Oklab (Ottosson, 2020), times 100, as each kind of people sees them: (4, N, 3)."""
    cones = [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
    axes = [[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]]
    simulated = np.clip(linear(colours) @ SIGHTS.transpose(0, 2, 1), 0, 1)
    return 100 * np.cbrt(simulated @ np.transpose(cones)) @ np.transpose(axes)


def distances(some: Sequence[str], others: Sequence[str]) -> Any:
    """Return how far each of some colours is from each of others, as each kind of people sees them: (4, N, M)."""
    return np.linalg.norm(seen(some)[:, :, None] - seen(others)[:, None], axis=-1)


def contrast(some: Sequence[str], others: Sequence[str]) -> Any:
    """Return the contrast of each of some colours with each of others, from 1 to 21 (WCAG 2.2): (N, M)."""
    one, other = (0.05 + linear(each) @ [0.2126, 0.7152, 0.0722] for each in (some, others))
    ratio = one[:, None] / other
    return np.maximum(ratio, 1 / ratio)


def palette(number: int = 256) -> tuple[str, ...]:
    """Return the colours of the labels from 1 on."""
    every = ["#" + bytes(rgb).hex() for rgb in product(range(0, 256, 8), repeat=3)]
    fit = (contrast(every, PANELS) > CONTRAST).all(1)
    for taken, (most, anybody) in ((WRONG, FROM_ERRORS), (GREYS, FROM_GREYS)):
        apart = distances(every, taken).min(2)
        fit &= (apart[0] > most) & (apart.min(0) > anybody)
    candidates = [colour for colour, good in zip(every, fit, strict=True) if good]
    points = seen(candidates)
    nearest = (WEIGHTS * distances(candidates, WRONG).min(2)).min(0)
    chosen: list[int] = []
    last: list[Any] = []
    for place in range(number):
        scores = np.min([nearest, *(0.5 * each for each in last)], 0) if place >= SCARCE else nearest
        chosen.append(int(scores.argmax()))
        away = (WEIGHTS * np.linalg.norm(points - points[:, chosen[-1:]], axis=-1)).min(0)
        nearest = np.minimum(nearest, away)
        last = [*last, away][-LAST:]
    return tuple(candidates[each] for each in chosen)


if __name__ == "__main__":
    digits = [colour[1:] for colour in palette()]
    for place in range(0, len(digits), 16):
        print("   ", " ".join(digits[place : place + 16]))

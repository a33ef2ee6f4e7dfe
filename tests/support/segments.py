"""Writes 3D Slicer's segmentations as Slicer writes them: with SimpleITK, or a header by hand."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

#: Name, layer and value of a segment, and its identifier.
Segment = tuple[str, int, int, str]


def write(path: Path, layers: Sequence[Any], segments: Sequence[Segment]) -> Path:
    """Write layers of (z, y, x), all in one file."""
    if len(layers) == 1:
        image = sitk.GetImageFromArray(np.asarray(layers[0], np.uint8))
    else:
        image = sitk.GetImageFromArray(np.stack(layers, -1).astype(np.uint8), isVector=True)
    image.SetSpacing((1, 2, 3))
    for number, (name, layer, value, own) in enumerate(segments):
        fields = {"Name": name, "Layer": str(layer), "LabelValue": str(value), "ID": own}
        for key, text in fields.items():
            image.SetMetaData(f"Segment{number}_{key}", text)
    sitk.WriteImage(image, str(path), True)
    return path


def write_by_hand(
    path: Path, layers: Any, segments: Sequence[Segment], kinds: str = "list domain domain domain"
) -> Path:
    """Write layers (L, x, y, z), the first index fastest, under a header as Slicer writes it."""
    sizes = " ".join(map(str, layers.shape))
    lines = [
        "NRRD0004", "# written by hand", "type: unsigned char", "dimension: 4", "space: left-posterior-superior",
        f"sizes: {sizes}", "space directions: none (-1,0,0) (0,-2,0) (0,0,3)", f"kinds: {kinds}", "encoding: gzip",
        "space origin: (5,6,7)",
    ]  # fmt: skip
    for number, (name, layer, value, own) in enumerate(segments):
        lines += [
            f"Segment{number}_Color:=0.5 0.6 0.4", f"Segment{number}_ID:={own}", f"Segment{number}_LabelValue:={value}",
            f"Segment{number}_Layer:={layer}", f"Segment{number}_Name:={name}",
        ]  # fmt: skip
    body = gzip.compress(np.asarray(layers, np.uint8).tobytes("F"))
    path.write_bytes("\n".join([*lines, "", ""]).encode() + body)
    return path
